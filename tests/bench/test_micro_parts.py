"""The parts without connections: that each does all its work on every loop that is here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

pytest.importorskip("rich", reason="the benchmarks have an extra of their own: [bench]")

from bench import bare_loop, loop_face, loops, micro_parts
from bench.peers import PEERS

#: How much of each work is enough to see that it ends.
LITTLE = {"timers": 200, "deferred": 2000, "wakeups": 3, "idle": 20}


#: rloop 0.5 drops its wakeup sockets without closing them, which is not ours to mend.
UNCLOSED = (
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
)


@pytest.fixture(
    params=[pytest.param(name, marks=UNCLOSED if name == "rloop" else ()) for name in loops.names()]
)
def loop_name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if (reason := PEERS[name].missing()) is not None:
        pytest.skip(f"an optional peer: {reason}")
    return name


@pytest.mark.parametrize("part", micro_parts.WORKS)
def test_a_work_is_done_once_in_each_round_and_costs_something(part: str, loop_name: str) -> None:
    for work in micro_parts.WORKS[part]:
        if work.point is None or work.point < 1000:
            small = replace(work, count=LITTLE[part])
            (measured,) = micro_parts.measure_work(small, [loop_name], rounds=2)
            assert (loop_name, 2) == (measured.subject, len(measured.figures))
            assert min(measured.figures) > 0


@pytest.mark.parametrize("count", [100, 1000])
def test_adding_and_cancelling_does_both_as_often_as_it_was_asked(count: int) -> None:
    counting = Counting()
    micro_parts.add_and_cancel(counting, count)
    assert (micro_parts.BACKGROUND + count, count) == (counting.added, counting.cancelled)


def test_a_chain_is_one_deferred_call_for_each_link() -> None:
    counting = Counting()
    micro_parts.chain(counting, 50)
    assert 50 == counting.deferred


def test_a_batch_is_as_many_deferred_calls_as_it_was_asked_for() -> None:
    counting = Counting()
    micro_parts.batch(counting, 3000)
    # One begins it, the last of each thousand begins the next.
    assert 3001 == counting.deferred


def test_a_wakeup_that_is_lost_is_an_error_and_not_a_figure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(micro_parts, "PATIENCE", 0.05)
    with loops.opened("reactor-epoll") as loop:
        deaf = Deaf(loop)
        with pytest.raises(micro_parts.StuckError, match="wakeup 1 of 5"):
            micro_parts.wakeups(deaf, 5)


class Counting(bare_loop.BareLoop):
    """A bare loop that counts what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.added = self.cancelled = self.deferred = 0
        append = self.call_soon

        def call_soon(callback: Callable[[], object]) -> None:
            self.deferred += 1
            append(callback)

        self.call_soon = call_soon

    def call_later(self, delay: float, callback: Callable[[], object]) -> CountedTimer:
        self.added += 1
        return CountedTimer(self)


class CountedTimer(bare_loop.BareTimer):
    """A timer that tells its loop when it is cancelled."""

    def __init__(self, loop: Counting) -> None:
        super().__init__(None)
        self._loop = loop

    def cancel(self) -> None:
        self._loop.cancelled += 1


class Deaf:
    """A loop that hears nothing from other threads but that it is to stop."""

    def __init__(self, loop: loop_face.Loop) -> None:
        self._loop = loop
        self.run, self.stop = loop.run, loop.stop
        self.turned, self.turn, self.close = loop.turned, loop.turn, loop.close
        self.watch, self.call_soon, self.call_later = loop.watch, loop.call_soon, loop.call_later

    def call_threadsafe(self, callback: Callable[[], object]) -> None:
        if callback == self.stop:
            self._loop.call_threadsafe(callback)
