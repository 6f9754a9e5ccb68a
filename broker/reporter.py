"""Who speaks when the broker reports on a message: its name, its count of reports, its clock.

Neighbours: the `Witness` of `broker.msgtrace` that a server gives its switchboard. Loop thread
only; O(1).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from broker.gotime import timestamp
from broker.link import Link

if TYPE_CHECKING:
    from broker.server import Server

__all__ = ["Reporter"]


class Reporter:
    """Speaks for one server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._sequence = 0

    def stamp(self) -> Mapping[str, object]:
        """The server, as nats-server's events name one; each time with the next number."""
        self._sequence += 1
        server = self._server
        return {
            "name": server.name,
            "host": server.info.host,
            "id": server.server_id,
            "ver": server.info.version,
            "jetstream": False,
            "flags": 0,
            "seq": self._sequence,
            "time": self.time(),
        }

    def name(self, link: Link) -> str:
        """What a client called itself in its CONNECT."""
        connection = self._server.census.find(link.id)
        return "" if connection is None else connection.session.options.name

    def time(self) -> str:
        """The wall-clock time."""
        server = self._server
        return timestamp(server.wall(server.reactor.now()))
