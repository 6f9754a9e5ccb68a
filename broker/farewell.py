"""How a server ends: what had arrived is settled, and everybody gets what they are owed.

The idea: the doors close first. Then everything that had arrived by that time is read and settled,
then every client gets what it is owed, then its connection is closed; both have a bound in time. So
what a client sent before it could know is not lost, and neither is an answer.

Invariants: each step is taken once; every ``then`` is called once, in a later turn, and when it is,
no descriptor of the server is left open.

Neighbours: `broker.server` has one, tells it of the last connection that went, and says what is
left. Loop thread only.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Protocol

from broker.errors import Closed
from broker.logs import logger
from reactor import Reactor, Timer

if TYPE_CHECKING:
    from broker.connection import Connection
    from broker.peerconn import PeerConnection

__all__ = ["Farewell", "Leaver"]

#: Seconds in which what clients had sent before a close is still settled.
DRAIN_GRACE = 1.0

#: Seconds between two looks at those that are not settled yet.
DRAIN_LOOK = 0.01

#: Seconds that clients get to take what they are owed when the server closes.
CLOSE_GRACE = 2.0


class Leaver(Protocol):
    """What is asked of a server that ends."""

    def shut(self) -> None:
        """Let nobody in any more, and begin nothing new."""

    def remaining(self) -> Collection[Connection | PeerConnection]:
        """The connections whose streams have not ended."""

    def clients(self) -> Iterable[Connection]:
        """Those of them that are clients."""

    def settled(self) -> None:
        """What had arrived is settled, or has had its time: wait for nothing any more."""

    def before_input(self) -> None:
        """Something is about to happen that may cause output."""

    def finish(self) -> None:
        """Everybody has gone: give back what is left."""


class Farewell:
    """The end of one server. ``begun`` says that it has been asked for."""

    def __init__(self, reactor: Reactor, leaver: Leaver) -> None:
        self.begun = False
        self._over = False
        self._reactor = reactor
        self._leaver = leaver
        self._waiting: list[Callable[[], object]] = []
        self._timer: Timer | None = None

    def begin(self, then: Callable[[], object] | None = None) -> None:
        """Have the server end, then call ``then``. May be asked for again."""
        if then is not None:
            self._waiting.append(then)
        if self._over:
            self._tell()
        if self.begun:
            return
        self.begun = True
        self._leaver.shut()
        until = self._reactor.now() + DRAIN_GRACE
        # Before a deferred call of the next turn, every socket is looked at once more.
        self._reactor.call_soon(self._drain, until)

    def gone(self) -> None:
        """A connection has gone: perhaps it was the last."""
        if self.begun and not self._leaver.remaining():
            self._finish()

    def _drain(self, until: float) -> None:
        """Wait for those whose input is held back because there is more of it than fits a turn."""
        leaver = self._leaver
        if self._reactor.now() < until and any(connection.busy for connection in leaver.clients()):
            self._timer = self._reactor.call_later(DRAIN_LOOK, self._drain, until)
            return
        leaver.settled()
        self._timer = self._reactor.call_later(CLOSE_GRACE, self._cut_off)
        leaver.before_input()
        for connection in tuple(leaver.remaining()):
            connection.session.close(Closed.SERVER_SHUTDOWN)
        self.gone()

    def _cut_off(self) -> None:
        for connection in tuple(self._leaver.remaining()):
            logger.warning("%s - did not take what it was owed; cut off", connection.label())
            connection.stream.abort()

    def _finish(self) -> None:
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._leaver.finish()
        self._tell()

    def _tell(self) -> None:
        waiting, self._waiting = self._waiting, []
        for then in waiting:
            self._reactor.call_soon(then)
