"""Twisted: a Protocol on its epoll reactor."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from bench.servers import BACKLOG, HOST, tell


def serve(name: str, port: int) -> None:
    """Serve until killed."""
    import_module("twisted.internet.epollreactor").install()  # before anybody imports `reactor`
    protocol: Any = import_module("twisted.internet.protocol")
    reactor = import_module("twisted.internet.reactor")

    class Echo:
        """One peer."""

        transport: Any

        def connectionMade(self) -> None:  # noqa: N802  # Twisted's name
            """Send at once."""
            self.transport.setTcpNoDelay(True)

        def dataReceived(self, data: bytes) -> None:  # noqa: N802  # Twisted's name
            """Send it back."""
            self.transport.write(data)

    # Made here, and not by inheritance: a type checker may not have Twisted to look at.
    factory = protocol.Factory.forProtocol(type("Echo", (Echo, protocol.Protocol), {}))
    tell(reactor.listenTCP(port, factory, backlog=BACKLOG, interface=HOST).getHost().port)
    reactor.run(installSignalHandlers=False)
