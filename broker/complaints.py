"""Log lines about clients: each kind of trouble is named, and not a million times.

The idea: whoever can connect can cause log lines, by exceeding a limit, by guessing passwords or by
talking nonsense; and a disk that is full of them stops more than this broker. So the first line of
a kind is logged, and those that follow closely are counted. The count is told with the last of
them, after a pause of a second, then of two, and so on up to a minute, for as long as it goes on.
What happens now and then is logged each time.

A kind is a level and a text up to its first number or quotation mark: what comes behind those is
about this or that client.

Invariants: at most one line of a kind in a second; every line is logged or counted; a timer exists
only while something is counted that was not told yet.

Neighbours: `broker.connection` and `broker.wsdoor` complain, `broker.server` owns. Lines for
debugging are asked for and do not come here. Loop thread only; O(length of the text).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from broker.logs import logger
from reactor import Reactor, Timer

__all__ = ["LONGEST", "SHORTEST", "Complaints"]

#: Seconds between two lines of a kind: at first, and at most.
SHORTEST, LONGEST = 1.0, 60.0

#: Kinds that are told apart; there are some thirty.
MOST = 128

_KIND = re.compile(r"[^\d\"']*")


class _Kind:
    """One kind of line. ``held`` lines were not logged since ``since``, the last of them `last`."""

    __slots__ = ("held", "last", "pause", "since", "timer")

    def __init__(self) -> None:
        self.pause = SHORTEST
        self.since = -math.inf
        self.held = 0
        self.last: Callable[[], str] | None = None
        self.timer: Timer | None = None


class Complaints:
    """Everything that is logged about the clients of one server."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._kinds: dict[tuple[int, str], _Kind] = {}

    def say(self, level: int, who: Callable[[], str], text: str) -> None:
        """Log or count a line; ``who`` tells whom it is about, if it is logged."""
        if not logger.isEnabledFor(level):
            return
        found = _KIND.match(text)
        name = level, found[0] if found else ""
        kind = self._kinds.get(name) or self._new(name)
        now = self._reactor.now()
        if now < kind.since + kind.pause:
            kind.held += 1
            kind.last = lambda: f"{who()} - {text}"
            if kind.timer is None:
                wait = kind.since + kind.pause - now
                kind.timer = self._reactor.call_later(wait, self._sum_up, name[0], kind)
            return
        if now >= kind.since + 2 * kind.pause:
            kind.pause = SHORTEST  # it was quiet
        kind.since = now
        logger.log(level, "%s - %s", who(), text)

    def settle(self) -> None:
        """Tell every count, and begin anew."""
        kinds, self._kinds = self._kinds, {}
        for (level, _), kind in kinds.items():
            if kind.timer is not None:
                kind.timer.cancel()
                self._sum_up(level, kind)

    def _new(self, name: tuple[int, str]) -> _Kind:
        if len(self._kinds) >= MOST:
            self.settle()
        kind = self._kinds[name] = _Kind()
        return kind

    def _sum_up(self, level: int, kind: _Kind) -> None:
        assert kind.last is not None  # there is a timer, so something is held
        now = self._reactor.now()
        seconds, others = max(1, round(now - kind.since)), kind.held - 1
        more = f" (and {others:,} more like it within {seconds} s)" if others else ""
        logger.log(level, "%s%s", kind.last(), more)
        kind.timer = kind.last = None
        kind.held = 0
        kind.since = now
        kind.pause = min(LONGEST, 2 * kind.pause)
