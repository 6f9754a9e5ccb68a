"""The door for WebSockets: a second listener, for browsers and whoever sits behind a web proxy.

The idea: it accepts, puts TLS on where the block says so, and gives each stream a `WebsocketDoor`,
which speaks HTTP. Who passes that is admitted by the server like any other client, and is none of
this module's business any more.

Needs the extra ``[websocket]``. Importing this imports wsproto and h11 (50 ms), so the server does
it only where a `WebsocketBlock` is.

Invariants: a stream is in `_doors` until its request was granted or it ended; `close` ends those.

Neighbours: `broker.server` owns one; `broker.wsdoor` does the upgrade. Loop thread only.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Protocol

from broker.blocks import WebsocketBlock
from broker.complaints import Complaints
from broker.config import Options
from broker.runqueue import RunQueue
from broker.tlscontext import server_context
from broker.transport import Entrance
from reactor import Listener, Reactor, Stream
from reactor.tls import TlsSession

try:
    from broker.wsdoor import WebsocketDoor, WebsocketEntrance
except ModuleNotFoundError as missing:
    package = (missing.name or "").partition(".")[0]
    if package not in ("wsproto", "h11"):
        raise
    raise ModuleNotFoundError(
        f"WebSockets need the package {package}: install reactor-broker[websocket]", name=package
    ) from missing

__all__ = ["WebsocketListener"]

#: What a compressed message may inflate to beyond one largest message and its line: room for the
#: small ones that a client sends along with it.
_ROOM = 4096


class Owner(Protocol):
    """What the listener needs of the server."""

    @property
    def options(self) -> Options:
        """The limits of a message, and the host."""

    @property
    def run_queue(self) -> RunQueue:
        """Where clients' work waits that a turn has no room for."""

    @property
    def complaints(self) -> Complaints:
        """Where to log what is wrong."""

    def admit(self, sock: Entrance, address: Any) -> None:
        """Serve a client."""


class WebsocketListener:
    """Listens at once; ``port`` is the one that was found if the block asked for any.

    Raises OSError if it cannot listen or cannot read a certificate, ValueError for an unusable one.
    """

    def __init__(self, reactor: Reactor, owner: Owner, block: WebsocketBlock) -> None:
        self._reactor = reactor
        self._owner = owner
        self._block = block
        #: The certificates, for connections from now on; None without TLS.
        self.tls = None if block.tls is None else server_context(block.tls)
        self._doors: set[WebsocketDoor] = set()
        self.host = block.host or owner.options.host
        backlog = owner.options.backlog
        port = max(block.port, 0)  # -1 asks for any free port, as 0 does
        self._listener = Listener(reactor, (self.host, port), self._on_accept, backlog=backlog)
        self.port = self._listener.port

    def pause(self) -> None:
        """Let nobody in until `resume`. Idempotent."""
        self._listener.pause()

    def resume(self) -> None:
        """Let them in again. Idempotent."""
        self._listener.resume()

    def close(self) -> None:
        """Stop listening, and end those who have not come in yet. Idempotent."""
        self._listener.close()
        for door in tuple(self._doors):
            if door.stream is not None:
                door.stream.abort()

    def _on_accept(self, sock: Any, address: Any) -> None:
        options = self._owner.options
        door = WebsocketDoor(
            self._reactor,
            self._block,
            (self.host, self.port),
            options.max_control_line + options.max_payload + _ROOM,
            self._owner.complaints,
            self._owner.run_queue,
            partial(self._admit, address),
            self._doors.discard,
        )
        self._doors.add(door)
        session = None
        if self.tls is not None:
            timeout = self._block.handshake_timeout
            session = TlsSession(self.tls, server_side=True, handshake_timeout=timeout)
        door.stream = Stream(self._reactor, sock, door, high_water=options.max_pending, tls=session)

    def _admit(self, address: Any, entrance: WebsocketEntrance) -> None:
        self._owner.admit(entrance, address)
