"""The monitor: a small HTTP server on the broker's own reactor.

The idea: which pages there are and what they say is the business of `broker.monitorpages`, who may
ask for them and when that of `broker.visitors`; this file joins the two behind a door.

Neighbours: `broker.server` makes a `Monitor` if the options ask for one, and is its `Source`. Loop
thread only. h11 is imported from here alone, and this module only where a monitor is wanted:
start-up stays short.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from broker.monitorpages import Pages, Source
from broker.visitors import Visitors
from reactor import Listener, Reactor

if TYPE_CHECKING:
    import ssl

__all__ = ["Monitor", "Source"]


class Monitor:
    """Listens from the moment it is made until `close`. Raises OSError if it cannot.

    Speaks HTTP on ``http_port``; with certificates, ``tls``, it speaks HTTPS on ``https_port``
    instead.
    """

    def __init__(
        self, reactor: Reactor, source: Source, *, tls: ssl.SSLContext | None = None
    ) -> None:
        options = source.options
        port = options.http_port if tls is None else options.https_port
        self.host = options.http_host or options.host
        self._tls = tls
        self._visitors = Visitors(reactor, Pages(source, reactor.now).answer)
        self._listener = Listener(reactor, (self.host, max(port or 0, 0)), self._admit)
        self.port = self._listener.port

    def close(self) -> None:
        """Stop listening and show every visitor out, after what they are owed."""
        self._listener.close()
        self._visitors.close()

    def _admit(self, sock: socket.socket, address: object) -> None:
        self._visitors.admit(sock, self._tls)
