"""The timer queue, which knows no loop, and timers as the loop calls them, in manual time."""

from __future__ import annotations

import gc
import math
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor import Reactor
from reactor.clock import ManualClock, MonotonicClock
from reactor.errors import LimitError
from reactor.timers import TimerQueue


def _nothing() -> None:
    """A callback of no consequence."""


def test_due_timers_come_in_the_order_of_their_deadlines_and_of_their_making() -> None:
    queue = TimerQueue()
    timers = [queue.add(deadline, _nothing) for deadline in (3, 1, 2, 1)]
    assert [timers[1], timers[3], timers[2]] == queue.due(2)
    assert len(queue) == 1
    assert queue.next_deadline() == 3


def test_a_timer_is_not_due_before_its_deadline() -> None:
    queue = TimerQueue()
    queue.add(1.0, _nothing)
    assert queue.due(math.nextafter(1.0, 0)) == []


def test_a_cancelled_timer_is_neither_due_nor_next() -> None:
    queue = TimerQueue()
    first, second = queue.add(1, _nothing), queue.add(2, _nothing)
    first.cancel()
    first.cancel()
    assert len(queue) == 1
    assert queue.next_deadline() == 2
    assert queue.due(5) == [second]
    assert queue.next_deadline() is None


def test_a_cancelled_timer_lets_go_of_its_callback_at_once() -> None:
    class Owner:
        def work(self) -> None:
            """Never called."""

    queue = TimerQueue()
    owner = Owner()
    timer = queue.add(1, owner.work, (owner,))
    remembered = weakref.ref(owner)
    timer.cancel()
    del owner
    gc.collect()
    assert remembered() is None


def test_a_queue_of_mostly_cancelled_timers_is_compacted() -> None:
    queue = TimerQueue()
    timers = [queue.add(n, _nothing) for n in range(10_000)]
    for timer in timers[100:]:
        timer.cancel()
    assert len(queue) == 100
    assert len(queue.heap) <= 256
    assert queue.due(1e9) == timers[:100]


def test_a_million_timers_can_wait() -> None:
    queue = TimerQueue()
    for n in range(1_000_000):
        queue.add(float(n % 1000), _nothing)
    assert len(queue) == 1_000_000
    assert len(queue.due(0)) == 1000


@pytest.mark.parametrize("deadline", [math.inf, -math.inf, math.nan])
def test_a_deadline_that_is_not_finite_is_refused(deadline: float) -> None:
    with pytest.raises(LimitError, match="finite deadline"):
        TimerQueue().add(deadline, _nothing)


@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "cancel", "due"]), st.integers(min_value=0, max_value=40))
    )
)
def test_the_queue_does_what_a_sorted_list_would(steps: list[tuple[str, int]]) -> None:
    queue = TimerQueue()
    waiting: list[tuple[float, int]] = []
    timers = []
    for step, number in steps:
        if step == "add":
            timers.append(queue.add(number, _nothing))
            waiting.append((number, len(timers) - 1))
        elif step == "cancel" and timers:
            index = number % len(timers)
            timers[index].cancel()
            waiting = [entry for entry in waiting if entry[1] != index]
        elif step == "due":
            expected = sorted(entry for entry in waiting if entry[0] <= number)
            waiting = [entry for entry in waiting if entry[0] > number]
            assert [timers[index] for _, index in expected] == queue.due(number)
        assert len(waiting) == len(queue)
        assert queue.next_deadline() == (min(waiting)[0] if waiting else None)
    assert [timers[index] for _, index in sorted(waiting)] == queue.waiting()


class Turning:
    """A reactor in manual time, and what its timers did."""

    def __init__(self) -> None:
        self.clock = ManualClock(100.0)
        self.reactor = Reactor(clock=self.clock)
        self.fired: list[object] = []

    def after(self, seconds: float) -> list[object]:
        self.fired.clear()
        self.clock.advance(seconds)
        self.reactor.run_once(0)
        return list(self.fired)


@pytest.fixture
def turning() -> object:
    it = Turning()
    yield it
    it.reactor.close()


def test_a_timer_fires_once_with_its_arguments(turning: Turning) -> None:
    timer = turning.reactor.call_later(2, turning.fired.append, "x")
    assert turning.after(1.999) == []
    assert turning.after(0.001) == ["x"]
    assert turning.after(10) == []
    assert timer.armed == 0


def test_a_periodic_timer_does_not_drift(turning: Turning) -> None:
    timer = turning.reactor.call_every(1, turning.fired.append, "tick")
    assert turning.after(1.4) == ["tick"]
    assert timer.deadline == 102.0
    assert turning.after(0.6) == ["tick"]
    assert timer.deadline == 103.0


def test_a_late_periodic_timer_fires_once_and_counts_what_it_missed(turning: Turning) -> None:
    timer = turning.reactor.call_every(1, turning.fired.append, "tick")
    assert turning.after(5.5) == ["tick"]
    assert (timer.missed, timer.deadline) == (4, 106.0)
    assert turning.after(0.1) == []
    assert turning.after(0.4) == ["tick"]


def test_a_periodic_timer_may_be_cancelled_by_its_own_callback(turning: Turning) -> None:
    timer = turning.reactor.call_every(1, lambda: (turning.fired.append("tick"), timer.cancel()))
    assert turning.after(1) == ["tick"]
    assert turning.after(5) == []


def test_a_periodic_timer_goes_on_after_its_callback_raised(turning: Turning) -> None:
    turning.reactor.on_error = lambda context: turning.fired.append(repr(context.error))
    turning.reactor.call_every(1, [].pop)
    assert turning.after(1) == ["IndexError('pop from empty list')"]
    assert turning.after(1) == ["IndexError('pop from empty list')"]


def test_the_first_call_of_a_periodic_timer_may_come_sooner(turning: Turning) -> None:
    turning.reactor.call_every(10, turning.fired.append, "tick", first=0)
    assert turning.after(0) == ["tick"]
    assert turning.after(9) == []
    assert turning.after(1) == ["tick"]


@pytest.mark.parametrize("period", [0, -1, math.nan])
def test_a_period_that_is_no_period_is_refused(turning: Turning, period: float) -> None:
    with pytest.raises(LimitError):
        turning.reactor.call_every(period, _nothing)


def test_a_negative_delay_means_the_next_turn(turning: Turning) -> None:
    turning.reactor.call_later(-5, turning.fired.append, "now")
    assert turning.after(0) == ["now"]


def test_the_manual_clock_refuses_to_go_back() -> None:
    clock = ManualClock(5)
    clock.set(6)
    with pytest.raises(ValueError, match="go back"):
        clock.set(5)
    assert clock.now() == 6


def test_the_monotonic_clock_does_not_go_back() -> None:
    clock = MonotonicClock()
    times = [clock.now() for _ in range(100)]
    assert times == sorted(times)
