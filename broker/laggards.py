"""Who does not take what it is sent, and for how long.

The idea: nearly every connection gets rid of its output in the turn that made it, so only the few
that did not are worth remembering. Two things must happen to these. Their links must know their
*backlog* (the bytes the stream still holds), because the data plane counts it against
``max_pending``; and as the kernel takes bytes whenever it likes, that number has to be looked up
again before a turn adds to it. And whoever takes not a single byte for ``write_deadline`` seconds
has to go, which a timer looks after while there is anybody to watch.

Invariants: a connection is watched if and only if its stream had bytes left when last looked at;
the timer exists only while somebody is watched. Cost: nothing when nobody lags, O(watched) once a
turn otherwise.

Neighbours: `broker.server` tells who was flushed, and closes those that `Laggards` finds stuck.
Loop thread only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reactor import Reactor, Timer

if TYPE_CHECKING:
    from broker.connection import Connection
    from broker.peerconn import PeerConnection

__all__ = ["Laggards"]

#: How often in a write deadline the sweep comes: a stuck connection may live longer by one such
#: part.
SWEEPS_PER_DEADLINE = 8


@dataclass
class _Progress:
    """Bytes that the kernel had taken when last looked at, and since when it was that many."""

    sent: int
    since: float


class Laggards:
    """The connections with a backlog. ``stuck`` is called with each that exceeds the deadline
    (seconds).
    """

    def __init__(
        self,
        reactor: Reactor,
        deadline: float,
        stuck: Callable[[Connection | PeerConnection], object],
    ) -> None:
        self._reactor = reactor
        self._deadline = deadline
        self._stuck = stuck
        self._watched: dict[Connection | PeerConnection, _Progress] = {}
        self._timer: Timer | None = None
        self._fresh = False

    def __len__(self) -> int:
        return len(self._watched)

    def note(self, connection: Connection | PeerConnection) -> None:
        """A connection was flushed: watch it if something is left."""
        pending = connection.stream.pending
        if not pending or connection.ended:
            return
        connection.link.backlog = pending
        if connection not in self._watched:
            sent = connection.stream.stats().bytes_out
            self._watched[connection] = _Progress(sent, self._reactor.now())
            if self._timer is None:
                period = self._deadline / SWEEPS_PER_DEADLINE
                self._timer = self._reactor.call_every(period, self._sweep)

    def forget(self, connection: Connection | PeerConnection) -> None:
        """A connection has ended."""
        self._watched.pop(connection, None)

    def look(self) -> None:
        """Bring the backlogs up to date, unless that was done in this turn already."""
        if self._watched and not self._fresh:
            self._fresh = True
            self._look()

    def turn_over(self) -> None:
        """A turn ends: from now on the kernel may take more."""
        self._fresh = False

    def close(self) -> None:
        """Watch nobody any more."""
        self._watched.clear()
        self._stop()

    def _look(self) -> None:
        for connection in tuple(self._watched):
            pending = connection.stream.pending
            connection.link.backlog = pending
            if not pending:
                del self._watched[connection]

    def _sweep(self) -> None:
        self._look()
        now = self._reactor.now()
        for connection, progress in tuple(self._watched.items()):
            sent = connection.stream.stats().bytes_out
            if sent != progress.sent:
                progress.sent, progress.since = sent, now
            elif now - progress.since >= self._deadline:
                self._stuck(connection)
        if not self._watched:
            self._stop()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
