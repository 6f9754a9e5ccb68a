"""Dialling: again and again, ever more slowly if wanted, and never twice at a time."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from random import Random
from typing import Any

from broker.dialer import Dialer
from reactor import Reactor, Timer
from reactor.testing import VirtualReactor, make_reactor


class Line:
    """A way to dial that answers what the test wants, a tenth of a second later."""

    def __init__(self, reactor: VirtualReactor) -> None:
        self.reactor = reactor
        self.there = False
        self.dialled: list[float] = []
        self.under_way = 0

    def __call__(
        self,
        reactor: Reactor,
        address: tuple[str, int],
        on_socket: Callable[[Any], object],
        on_error: Callable[[OSError], object],
    ) -> Line:
        self.dialled.append(round(reactor.now(), 3))
        self.under_way += 1
        assert self.under_way == 1

        def answer() -> None:
            self.under_way -= 1
            if self.there:
                on_socket("socket")
            else:
                on_error(ConnectionRefusedError(111, "refused"))

        self._timer: Timer = reactor.call_later(0.1, answer)
        return self

    def cancel(self) -> None:
        self.under_way -= 1
        self._timer.cancel()


class Calm(Random):
    """No jitter."""

    def random(self) -> float:
        return 0.0


class Case:
    """A dialer and what it did."""

    def __init__(self, **options: Any) -> None:
        self.reactor = make_reactor()
        self.line = Line(self.reactor)
        self.sockets: list[Any] = []
        self.failures: list[int] = []
        self.gave_up: list[bool] = []
        self.dialer = Dialer(
            self.reactor,
            ("10.0.0.1", 6222),
            self.sockets.append,
            failed=lambda number, error: self.failures.append(number),
            gave_up=lambda: self.gave_up.append(True),
            rng=Calm(),
            dial=self.line,
            **options,
        )


def test_it_tries_every_second_until_it_succeeds() -> None:
    with (case := Case()).reactor:
        case.dialer.start()
        case.dialer.start()
        case.reactor.run_for(2.5)
        case.line.there = True
        case.reactor.run_for(60.0)
        assert [0.0, 1.1, 2.2, 3.3] == case.line.dialled
        assert [1, 2, 3] == case.failures
        assert ["socket"] == case.sockets
        assert not case.dialer.busy


def test_with_backoff_the_waits_double_up_to_half_a_minute() -> None:
    with (case := Case(backoff=True)).reactor:
        case.dialer.start()
        case.reactor.run_for(130.0)
        times = case.line.dialled
        waits = [round(after - before - 0.1, 3) for before, after in pairwise(times)]
        assert [1, 2, 4, 8, 16, 30, 30, 30] == waits


def test_it_gives_up_after_so_many_retries() -> None:
    with (case := Case(retries=2)).reactor:
        case.dialer.start()
        case.reactor.run_for(60.0)
        assert [0.0, 1.1, 2.2] == case.line.dialled
        assert [True] == case.gave_up
        assert case.dialer.closed


def test_a_lost_connection_begins_anew() -> None:
    with (case := Case(retries=0)).reactor:
        case.line.there = True
        case.dialer.start()
        case.reactor.run_for(1.0)
        case.dialer.lost(0.5)
        case.dialer.lost(0.5)
        case.reactor.run_for(1.0)
        assert [0.0, 1.5] == case.line.dialled
        assert 2 == len(case.sockets)


def test_whoever_closes_it_hears_no_more() -> None:
    with (case := Case()).reactor:
        case.dialer.start()
        case.dialer.close()
        assert 0 == case.line.under_way
        case.dialer.start()
        case.dialer.lost()
        case.reactor.run_for(60.0)
        assert ([], [], [0.0]) == (case.sockets, case.failures, case.line.dialled)


def test_it_can_be_closed_while_it_waits() -> None:
    with (case := Case()).reactor:
        case.dialer.start()
        case.reactor.run_for(0.5)
        assert case.dialer.busy
        case.dialer.close()
        case.reactor.run_for(60.0)
        assert [0.0] == case.line.dialled
