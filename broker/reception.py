"""Whose turn it is to be served by the monitor, and when.

The idea: pages are made on the broker's own loop, and a page may take as long as a thousand
messages. So visitors are served one at a time, one in a turn of the loop, in the order in which
they asked; and whoever asks without end gets no more than a small share of the loop's time. That
share is a *credit* that grows with time and that every page uses up: who asks now and then never
notices, a crowd that asks all the time waits, and the broker's clients notice neither.

Invariants: a visitor stands in the queue at most once; nothing is served while the credit is used
up; with an empty queue nothing is scheduled.

Neighbours: `broker.visitors` alone. Loop thread only; each call is O(1) besides what is served.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from reactor import Reactor

__all__ = ["BURST", "DEBT", "SHARE", "Reception"]

#: The share of the loop's time that pages may take for long.
SHARE = 0.005

#: Seconds of it that may be used at once after a pause: a dashboard asks for several pages.
BURST = 0.05

#: Seconds of it that can be owed. A garbage collection that falls into a page may take longer than
#: any page, and who comes next shall not wait for long because of that.
DEBT = 0.025

#: Seconds that a visitor waits at least if it waits at all.
SHORTEST = 0.001


class Reception:
    """The queue. ``stopwatch`` tells the seconds of processor time that were used."""

    def __init__(self, reactor: Reactor, stopwatch: Callable[[], float] = time.thread_time) -> None:
        self._reactor = reactor
        self._stopwatch = stopwatch
        self._queue: deque[Callable[[], object]] = deque()
        self._credit = BURST
        self._since = reactor.now()
        self._is_scheduled = False

    def ask(self, serve: Callable[[], object]) -> None:
        """Call ``serve`` when it is its turn: at once, if nobody else was served in this one."""
        self._queue.append(serve)
        if not self._is_scheduled:
            self._next()

    def _next(self) -> None:
        self._is_scheduled = False
        if not self._queue:
            return
        credit = self._refilled()
        if credit <= 0:
            self._is_scheduled = True
            self._reactor.call_later(max(SHORTEST, -credit / SHARE), self._next)
            return
        serve = self._queue.popleft()
        begin = self._stopwatch()
        try:
            # Whoever asks from now on, comes in another turn.
            self._is_scheduled = True
            self._reactor.call_soon(self._next)
            serve()
        finally:
            self._credit = max(self._credit - (self._stopwatch() - begin), -DEBT)

    def _refilled(self) -> float:
        now = self._reactor.now()
        self._credit = min(BURST, self._credit + SHARE * (now - self._since))
        self._since = now
        return self._credit
