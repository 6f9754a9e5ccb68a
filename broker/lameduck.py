"""Lame duck mode: going away without everybody coming to the neighbours at once.

The idea: a broker that is stopped throws all its clients off in one moment, and all of them connect
elsewhere in the next. A lame duck takes nobody in any more and tells those that are there (INFO
with ``ldm``), who may go when it suits them; after a while of ``grace`` it sends the rest away one
by one, spread over what is left of ``duration``.

How fast: whoever is left at the end of the grace gets an equal share of the time, but no more than
a second, and each single wait is drawn from the upper half of that, so that several ducks do not
walk in step. More clients than milliseconds are sent in groups, because a timer has its price.

Invariants: `begin` acts once; after the last client, or when there is none, ``done`` is called,
once; after `cancel` nothing of this happens any more.

Source: the procedure is nats-server's. Neighbours: `broker.server` makes one when it is told to,
and is its `Flock`. Loop thread only.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Protocol

from broker.logs import logger
from reactor import Reactor, Timer

__all__ = ["LameDuck"]

#: Seconds between two clients at most; nobody needs longer than that to be taken in elsewhere.
LONGEST_WAIT = 1.0

#: Seconds between two groups at least.
SHORTEST_WAIT = 0.001

#: Seconds for sending everybody away if the grace leaves none.
LEAST_SPREAD = 1.0


class Flock(Protocol):
    """What a lame duck needs of the server."""

    def stop_listening(self) -> object:
        """Take in no more clients."""

    def tell_lame_duck(self) -> object:
        """Send INFO with ``ldm`` to every client that understands it."""

    def cids(self) -> Iterable[int]:
        """The ids of the clients that are here, in a collection that does not change."""

    def dismiss(self, cid: int) -> bool:
        """Send one client away. Returns False if it has left by itself."""


class LameDuck:
    """One server's way out. ``duration`` and ``grace`` are seconds."""

    def __init__(
        self,
        reactor: Reactor,
        server: Flock,
        duration: float,
        grace: float,
        done: Callable[[], object],
        rng: random.Random | None = None,
    ) -> None:
        self._reactor = reactor
        self._server = server
        self._duration = duration
        self._grace = grace
        self._done = done
        self._rng = rng or random.Random()
        self._timer: Timer | None = None
        self._waiting: list[int] = []
        self._begun = self._over = False

    def begin(self) -> None:
        """Close the doors and tell the clients. Calling it again does nothing."""
        if self._begun:
            return
        self._begun = True
        logger.info("Entering lame duck mode, stop accepting new clients")
        self._server.stop_listening()
        if not self._server.cids():
            self._end()
            return
        self._server.tell_lame_duck()
        self._timer = self._reactor.call_later(self._grace, self._send_away)

    def cancel(self) -> None:
        """Stop where it is; ``done`` is not called any more. Idempotent."""
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _send_away(self) -> None:
        logger.info("Closing existing clients")
        # The last one to come is the last to go.
        self._waiting = sorted(self._server.cids(), reverse=True)
        spread = max(self._duration - self._grace, 0.0) or LEAST_SPREAD
        share = spread / max(len(self._waiting), 1)
        wait = min(max(share, SHORTEST_WAIT), LONGEST_WAIT)
        self._step(wait, max(1, round(wait / share)))

    def _step(self, wait: float, group: int) -> None:
        left = group
        while left and self._waiting:
            left -= self._server.dismiss(self._waiting.pop())
        if not self._waiting:
            self._end()
            return
        pause = wait * self._rng.uniform(0.5, 1.0)
        self._timer = self._reactor.call_later(pause, lambda: self._step(wait, group))

    def _end(self) -> None:
        if not self._over:
            self.cancel()
            self._done()
