"""Who is here, who was, and how many there have been: the broker's counts.

The idea: the server lets clients in and sees them out; what has been seen is kept here, so that
asking about it needs nothing of the machinery and the machinery nothing of the asking.

Invariants: a connection is among `opened` from the moment it is admitted until its session ends,
and from then on its record among `closed`, of which only the last few are kept; a client that was
turned away has a number and a record, but was never among the open ones. Counters never go down.

Neighbours: `broker.server` tells it, and answers the monitor with it. Loop thread only.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

from broker.errors import Closed
from broker.snapshots import BrokerStats, ConnectionInfo

if TYPE_CHECKING:
    from broker.connection import Connection
    from broker.connz import Row
    from broker.server import Server
    from reactor import Reactor

__all__ = ["Census"]

#: The ends of those who did not take what they were sent, as records name them.
_SLOW_REASONS = frozenset({Closed.SLOW_CONSUMER_PENDING.value, Closed.SLOW_CONSUMER_DEADLINE.value})


class Census:
    """The counts of one server. ``kept`` is how many records of closed connections it remembers."""

    def __init__(self, reactor: Reactor, kept: int) -> None:
        self.slow = self.stale = 0
        self._open: dict[int, Connection] = {}
        self._closed: deque[ConnectionInfo] = deque(maxlen=kept)
        self._reactor = reactor
        self._clock_offset = time.time() - reactor.clock.now()
        self._started = self.wall(reactor.clock.now())

    def __len__(self) -> int:
        return len(self._open)

    def came(self, connection: Connection) -> None:
        """A connection was admitted."""
        self._open[connection.cid] = connection

    def went(self, connection: Connection, record: ConnectionInfo) -> None:
        """A session is over; ``record`` says when and why."""
        self._open.pop(connection.cid, None)
        self._closed.append(record)
        if record.reason == Closed.STALE_CONNECTION.value:
            self.stale += 1
        elif record.reason in _SLOW_REASONS:
            self.slow += 1

    def keep(self, kept: int) -> None:
        """Remember so many records from now on; of more, the oldest are forgotten. O(kept)."""
        self._closed = deque(self._closed, maxlen=kept)

    def find(self, cid: int) -> Connection | None:
        """The open connection of this number. O(1)."""
        return self._open.get(cid)

    def connections(self) -> tuple[Connection, ...]:
        """The open connections at this moment, in the order of their numbers. O(connections)."""
        return tuple(self._open.values())

    def opened(self) -> Iterable[Row]:
        """The open connections, in the order of their numbers."""
        return self._open.values()

    def closed(self) -> Iterable[Row]:
        """Records of the last connections that ended, the oldest first."""
        return self._closed

    def wall(self, moment: float) -> float:
        """The wall-clock time of a moment on the reactor's clock, by the offset at our start."""
        return moment + self._clock_offset

    def stats(self, server: Server, came: int) -> BrokerStats:
        """The whole broker in numbers, with ``came`` connections so far. O(connections)."""
        counted = server.plane.stats()
        options, leafnodes = server.options, server.leafnodes
        return BrokerStats(
            server_id=server.server_id,
            server_name=server.name,
            version=server.info.version,
            host=options.host,
            port=server.port,
            http_host=options.http_host or options.host,
            http_port=server.http_port or 0,
            start=self._started,
            now=self.wall(self._reactor.clock.now()),
            connections=len(self._open),
            total_connections=came,
            in_msgs=counted.in_msgs,
            in_bytes=counted.in_bytes,
            out_msgs=counted.out_msgs,
            out_bytes=counted.out_bytes,
            subscriptions=len(server.switchboard),
            slow_consumers=self.slow,
            stale_connections=self.stale,
            flows=len(server.plane.flows),
            leafnodes=0 if leafnodes is None else len(leafnodes),
            leaf_port=0 if leafnodes is None else leafnodes.port,
            websocket_port=server.websocket_port or 0,
        )
