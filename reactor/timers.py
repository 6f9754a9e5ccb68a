"""Timers: a heap of deadlines that knows no loop.

The queue holds `(deadline, sequence, timer)`; the sequence keeps equal deadlines first-in,
first-out. Cancelling only marks the timer (O(1)) and lets go of its callback; the entry stays in
the heap until it comes up, or until more than half of the heap is dead and it is compacted. So a
program may set and cancel a timeout for every message and pay O(1) amortised for the cancel. And
as most of those are cancelled before the loop looks at its timers again, a new timer waits in a
plain list until then, and never sees the heap if it is not needed.

The queue never calls anybody. The loop asks it for what is due, all at once, and calls those; a
timer that is added meanwhile, with no delay even, is therefore due in the next turn at the
earliest, and one that is cancelled meanwhile is not called although it had been collected.

A periodic timer's next deadline is its previous *deadline* plus the period, so it does not drift;
periods that have passed entirely are skipped and counted, so there is no burst after a pause.

Not thread-safe: a queue belongs to its loop's thread.

Floor 1: imports `reactor.errors`, `reactor.sources` and `reactor.trace`; the loop owns one queue.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any, Final

from reactor.errors import LimitError
from reactor.sources import GO
from reactor.trace import Site

_INFINITY: Final = float("inf")

#: Dead entries that are never worth a compaction.
_FEW: Final = 64


class Timer:
    """A callback with a deadline. Made by `Reactor.call_later`, `call_at` and `call_every`.

    `deadline` is in seconds on the reactor's clock; `period` is 0 for a one-shot timer; `missed`
    counts the periods that were skipped because the loop was late; `armed` is GO while it may fire.

    It has no `__init__`: calling one would cost as much as half of all the rest. `TimerQueue.add`
    and `Reactor.call_later` fill in every slot.
    """

    __slots__ = ("args", "armed", "callback", "deadline", "fired", "queue", "site")

    deadline: float
    callback: Callable[..., object]
    args: tuple[Any, ...]
    armed: int
    fired: int
    #: The queue, while its heap has an entry for this timer.
    queue: TimerQueue | None
    site: Site | None

    # Of a timer that fires once:
    period: float = 0.0
    missed: int = 0
    last_fired: float | None = None

    def cancel(self) -> None:
        """Make sure that it does not fire (again), even if it is due already. O(1); idempotent."""
        if self.armed:
            self.armed = 0
            # The entry may stay in the queue for long; what it would have called must not.
            self.callback = _nothing
            self.args = ()
            queue = self.queue
            if queue is not None:
                queue.count_dead()

    def fire(self, ready: int) -> None:
        """Call the callback; the loop's, not yours."""
        callback, args = self.callback, self.args
        self.armed = 0
        self.fired = 1
        self.callback = _nothing
        self.args = ()
        callback(*args)

    def describe(self) -> str:
        """Return what this is, for a log line."""
        kind = f"timer every {self.period:g} s" if self.period else "timer"
        if not self.armed:
            return f"{kind} (done)"
        return f"{kind} for {getattr(self.callback, '__qualname__', repr(self.callback))}"


class PeriodicTimer(Timer):
    """A timer that is set again each time it fires, until it is cancelled."""

    __slots__ = ("_home", "last_fired", "missed", "period")

    def __init__(self, home: TimerQueue, period: float) -> None:
        self._home = home
        self.period = period
        self.missed = 0
        self.last_fired: float | None = None

    def fire(self, ready: int) -> None:
        """Set it again, then call the callback, which may cancel it."""
        self.fired += 1
        self.last_fired = self._home.now
        self._home.again(self)
        self.callback(*self.args)


def _nothing(*_args: object) -> None:
    """What a finished timer would call."""


class TimerQueue:
    """Deadlines in order. Adding is O(log n); cancelling and looking at the next are O(1)."""

    __slots__ = ("_bearable", "_dead", "_sequence", "fresh", "heap", "now")

    def __init__(self) -> None:
        self.heap: list[tuple[float, int, Timer]] = []
        #: New timers, in the order of their making; the loop's `call_later` appends here itself.
        self.fresh: list[Timer] = []
        #: When due timers were last taken out.
        self.now = 0.0
        # Cancelled timers in the heap, and how many of them are borne before somebody looks.
        self._dead = 0
        self._bearable = _FEW
        self._sequence = 0

    def __len__(self) -> int:
        """Return the number of timers that are waiting. O(those that are new)."""
        return len(self.heap) - self._dead + sum(1 for timer in self.fresh if timer.armed)

    def add(
        self,
        deadline: float,
        callback: Callable[..., object],
        args: tuple[Any, ...] = (),
        period: float = 0.0,
    ) -> Timer:
        """Set a timer. Raises `LimitError` if the deadline or the period is not a finite number."""
        if not (-_INFINITY < deadline < _INFINITY and 0 <= period < _INFINITY):
            raise LimitError(
                f"a timer needs a finite deadline and a period that is not negative, not"
                f" deadline={deadline!r}, period={period!r}"
            )
        timer = PeriodicTimer(self, period) if period else Timer()
        timer.deadline = deadline
        timer.callback = callback
        timer.args = args
        timer.armed = GO
        timer.fired = 0
        timer.queue = timer.site = None
        self.fresh.append(timer)
        return timer

    def again(self, timer: PeriodicTimer) -> None:
        """Set a periodic timer for its next deadline that lies ahead of the last collection."""
        deadline = timer.deadline + timer.period
        late = self.now - deadline
        if late >= 0:
            skipped = int(late / timer.period) + 1
            timer.missed += skipped
            deadline += skipped * timer.period
        timer.deadline = deadline
        self.fresh.append(timer)

    def next_deadline(self) -> float | None:
        """Return the earliest deadline, or None if nothing waits."""
        if self.fresh:
            self._settle()
        heap = self.heap
        while heap:
            deadline, _, timer = heap[0]
            if timer.armed:
                return deadline
            heapq.heappop(heap)
            timer.queue = None
            self._dead -= 1
        return None

    def due(self, now: float) -> list[Timer]:
        """Take out all timers that are due at `now`, earliest first. O(log n) for each."""
        self.now = now
        if self.fresh:
            self._settle()
        heap = self.heap
        due: list[Timer] = []
        while heap and heap[0][0] <= now:
            timer = heapq.heappop(heap)[2]
            timer.queue = None
            if timer.armed:
                due.append(timer)
            else:
                self._dead -= 1
        return due

    def waiting(self) -> list[Timer]:
        """Return all timers that wait, earliest first. O(n log n): for looking, not for working."""
        self._settle()
        return [timer for _, _, timer in sorted(self.heap) if timer.armed]

    def count_dead(self) -> None:
        """Note that a timer in the heap was cancelled; throw the dead out if they are too many.

        O(n), but only where more than half of the heap is dead: O(1) for each cancel.
        """
        self._dead += 1
        if self._dead > self._bearable:
            if self._dead * 2 > len(self.heap):
                self.heap = [entry for entry in self.heap if entry[2].armed]
                heapq.heapify(self.heap)
                self._dead = 0
            self._bearable = max(_FEW, len(self.heap) // 2)

    def _settle(self) -> None:
        """Put the new timers that are still wanted into the heap, in the order of their making."""
        heap = self.heap
        for timer in self.fresh:
            if timer.armed:
                timer.queue = self
                self._sequence += 1
                heapq.heappush(heap, (timer.deadline, self._sequence, timer))
        self.fresh.clear()
