"""Who speaks when the broker reports on a message: the same who tells of events, and knows clients.

Neighbours: the `Witness` of `broker.msgtrace` that a server gives its switchboard; the herald of
`broker.sysservice` is asked who and when. Loop thread only; O(1) for
clients, O(routes) for other servers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from broker.gotime import timestamp
from broker.link import Link

if TYPE_CHECKING:
    from broker.server import Server
    from broker.sysservice import SystemService

__all__ = ["Reporter"]


class Reporter:
    """Speaks for one server."""

    def __init__(self, server: Server, system: SystemService) -> None:
        self._server = server
        self._system = system

    def stamp(self) -> Mapping[str, object]:
        """The server, as its events name it; each time with the next number."""
        return self._system.herald().stamp()

    def name(self, link: Link) -> str:
        """What a client called itself in its CONNECT, or another server is called."""
        connection = self._server.census.find(link.id)
        if connection is not None:
            return connection.session.options.name
        names = (route.remote_name for route in self._server.routes() if route.rid == link.id)
        return next(names, "")

    def time(self) -> str:
        """The wall-clock time."""
        server = self._server
        return timestamp(server.wall(server.reactor.now()))
