"""The doors: the places at which a server lets somebody in, opened and closed together.

The idea: there are up to three of them, one for clients, one for clients that speak WebSocket, one
for the monitor's visitors. Each needs its own classes, its own words when it cannot be opened and
its own log line when it is; nothing after that moment tells them apart.

Order: the door for clients is opened last, because launchers take its log line for the sign that
everything is there. What cannot be opened closes all that were.

Neighbours: `broker.server` has one `Doors`, and clients are handed to it. The websocket and the
monitor are imported only where they are wanted: start-up stays short. Loop thread only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from broker.files import local_addresses
from broker.logs import logger
from reactor import Listener, Reactor

if TYPE_CHECKING:
    from broker.monitor import Monitor
    from broker.server import Server
    from broker.tlscontext import ServerContext
    from broker.websocket import WebsocketListener

__all__ = ["Doors"]


class Door(Protocol):
    """A place at which clients come in."""

    @property
    def port(self) -> int:
        """Where it is."""

    def pause(self) -> None:
        """Let nobody in until `resume`. Idempotent."""

    def resume(self) -> None:
        """Let them in again. Idempotent."""

    def close(self) -> None:
        """Let nobody in any more. Idempotent."""


class Doors:
    """One server's doors; closed until `open`. ``port`` is the clients' one, 0 while closed."""

    def __init__(self, reactor: Reactor, server: Server) -> None:
        self.port = 0
        self._reactor = reactor
        self._server = server
        self._clients: list[Door] = []
        self._websocket: WebsocketListener | None = None
        self._monitor: Monitor | None = None
        self._urls: dict[str, list[str]] = {}

    def open(self) -> None:
        """Open all that the server's options ask for.

        Raises:
            OSError: an address or port cannot be listened on; nothing is left open then.
        """
        options = self._server.options
        try:
            if options.http_port is not None or options.https_port is not None:
                self._monitor = self._open_monitor()
            if options.websocket is not None:
                self._clients.append(self._open_websocket())
            self._clients.append(self._open_clients())
        except BaseException:
            self.close()
            raise

    def change_certificates(self, websocket: ServerContext | None) -> None:
        """Greet those who come by WebSocket from now on with another certificate."""
        if self._websocket is not None:
            self._websocket.tls = websocket

    def hold(self, crowded: bool) -> None:
        """Have clients wait outside, or not any more."""
        for door in self._clients:
            if crowded:
                door.pause()
            else:
                door.resume()

    def close_to_clients(self) -> None:
        """Let no more clients in; the monitor stays. Idempotent."""
        for door in self._clients:
            door.close()

    def close(self) -> None:
        """Close all of them. Idempotent."""
        self.close_to_clients()
        if self._monitor is not None:
            self._monitor.close()

    @property
    def http_port(self) -> int | None:
        """The monitor's port, or None if there is no monitor."""
        return None if self._monitor is None else self._monitor.port

    @property
    def websocket_port(self) -> int | None:
        """The port of the door for WebSockets, or None if there is no such door."""
        return None if self._websocket is None else self._websocket.port

    @property
    def urls(self) -> Mapping[str, Sequence[str]]:
        """Where they are, by kind: ``nats``, ``monitoring``, ``websocket``."""
        return self._urls

    def _open_clients(self) -> Door:
        options = self._server.options
        port = max(options.port, 0)  # -1 asks for any free port, as 0 does
        try:
            door = Listener(
                self._reactor, (options.host, port), self._server.admit, backlog=options.backlog
            )
        except OSError as error:
            raise explained(f"Error listening on port: {address(options.host, port)}", error) from (
                error
            )
        self.port = door.port
        secure = options.tls is not None
        self._note("nats", "tls" if secure else "nats", options.host, door.port)
        where = address(options.host, door.port)
        logger.info("Listening for client connections on %s", where)
        if secure and not options.allow_non_tls:
            logger.info("TLS required for client connections")
        return door

    def _open_websocket(self) -> Door:
        from broker.websocket import WebsocketListener  # wsproto is an extra, too

        options = self._server.options
        block = options.websocket
        assert block is not None  # the caller looked
        host = block.host or options.host
        scheme = "ws" if block.no_tls else "wss"
        try:
            door = self._websocket = WebsocketListener(self._reactor, self._server, block)
        except OSError as error:
            where = address(host, max(block.port, 0))
            raise explained(f"Unable to listen for websocket connections: {where}", error) from (
                error
            )
        self._note("websocket", scheme, host, door.port)
        where = f"{scheme}://{address(host, door.port)}"
        logger.info("Listening for websocket clients on %s", where)
        if block.no_tls:
            logger.warning("Websocket not configured with TLS. DO NOT USE IN PRODUCTION!")
        return door

    def _open_monitor(self) -> Monitor:
        from broker.monitor import Monitor  # h11 and friends take longer to import than to use

        tls = None if self._server.options.https_port is None else self._server.tls
        try:
            monitor = Monitor(self._reactor, self._server, tls=tls)
        except OSError as error:
            trouble = "Can't start monitoring: can't listen to the monitor port"
            raise explained(trouble, error) from error
        scheme = "http" if tls is None else "https"
        self._note("monitoring", scheme, monitor.host, monitor.port)
        logger.info("Starting %s monitor on %s", scheme, address(monitor.host, monitor.port))
        return monitor

    def _note(self, kind: str, scheme: str, host: str, port: int) -> None:
        self._urls[kind] = [f"{scheme}://{address(each, port)}" for each in local_addresses(host)]


def address(host: str, port: int) -> str:
    """Host and port as one text."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def explained(trouble: str, error: OSError) -> OSError:
    """The same error with what we were about to do in front of it, and its number kept."""
    explained = type(error)(f'{trouble}, "{error.strerror or error}"')
    explained.errno = error.errno
    return explained
