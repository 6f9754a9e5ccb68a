"""A whole broker in virtual time: the real server and sessions, on sockets and a clock in memory.

Nothing waits and nothing is random: a ping interval of two minutes passes at once, a subscriber
that does not read is one whose bytes the test does not take. `VirtualClient` is a client of raw
bytes, as `RawClient` is over TCP.

Used by tests/broker.
"""

from __future__ import annotations

import ssl
from typing import Any

from broker.blocks import WebsocketBlock
from broker.config import Options
from broker.connection import Connection
from broker.server import Server
from broker.tlscontext import server_context
from reactor.stream import Stream
from reactor.testing import MemorySocket, VirtualReactor, make_reactor, memory_socketpair
from reactor.tls import TlsSession

_made: list[VirtualBroker] = []


def close_all() -> None:
    """Close the reactors of all virtual brokers made so far; each holds a few real descriptors."""
    while _made:
        _made.pop().reactor.close()


QUIET = b'CONNECT {"verbose":false}\r\n'
"""What a client says that wants no +OK."""


def newest(server: Server) -> Connection:
    """The client that came last."""
    connection = server._streams[server._cids]
    assert isinstance(connection, Connection)
    return connection


class VirtualBroker:
    """A server on a virtual reactor; it listens nowhere, clients are handed to it."""

    def __init__(self, **settings: Any) -> None:
        self.reactor: VirtualReactor = make_reactor()
        options = Options(**settings)
        self.server = Server(self.reactor, options)
        if options.tls is not None:
            self.server.tls = server_context(options.tls)  # which `start` would do
        self._ports = 5000
        _made.append(self)

    def accept(self, *, capacity: int = 64 * 1024) -> VirtualClient:
        """A client that has just connected; each direction holds at most ``capacity`` bytes under
        way.
        """
        ours, theirs = memory_socketpair(self.reactor.demultiplexer, capacity=capacity)
        self._ports += 1
        self.server.admit(ours, ("127.0.0.1", self._ports))
        connection = newest(self.server)
        self.reactor.settle()
        return VirtualClient(self.reactor, ours, theirs, connection)

    def connect(self, hello: bytes = QUIET, *, capacity: int = 64 * 1024) -> VirtualClient:
        """A client that has read its INFO and said ``hello``."""
        client = self.accept(capacity=capacity)
        client.take()
        client.send(hello)
        return client

    def reasons(self) -> list[str]:
        """Why connections ended, in the order in which they did."""
        return [row.info().reason for row in self.server.closed()]


class VirtualSocket:
    """A client's end of a connection."""

    def __init__(self, reactor: VirtualReactor, socket: MemorySocket) -> None:
        self.reactor = reactor
        self.socket = socket

    def send(self, data: bytes) -> None:
        """Send all of ``data`` and let the server do what it wants to do about it now."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self.socket.send(rest) :]
            except BlockingIOError:
                pass
            self.reactor.settle()

    def take(self) -> bytes:
        """All that has come, and all that then comes because there is room again."""
        taken = bytearray()
        while True:
            try:
                piece = self.socket.recv(1 << 20)
            except BlockingIOError:
                return bytes(taken)
            if not piece:
                return bytes(taken)
            taken += piece
            self.reactor.settle()

    def ask(self, data: bytes) -> bytes:
        """Send, and return what comes of it."""
        self.send(data)
        return self.take()

    @property
    def ended(self) -> bool:
        """Whether the server has closed the connection, and everything was taken."""
        try:
            return not self.socket.recv(1)
        except BlockingIOError:
            return False
        except ConnectionResetError:
            return True


class VirtualClient(VirtualSocket):
    """The client's end of a connection, and for looking on, the server's."""

    def __init__(
        self,
        reactor: VirtualReactor,
        ours: MemorySocket,
        socket: MemorySocket,
        connection: Connection,
    ) -> None:
        super().__init__(reactor, socket)
        self.ours = ours
        self.connection = connection


class VirtualTls:
    """A client that speaks TLS by way of ``client``; ``context`` is what it trusts and shows."""

    def __init__(self, client: VirtualClient, context: ssl.SSLContext) -> None:
        self.client = client
        self.session = TlsSession(context, server_side=False, server_hostname="localhost")

    def shake(self) -> None:
        """Do the handshake, as far as the server goes along with it."""
        for _ in range(4):
            self.session.handshake()
            self.client.send(self.session.output())
            self.session.feed(self.client.take())

    def ask(self, data: bytes = b"") -> bytes:
        """Send, and return what comes of it, all in TLS."""
        if data:
            self.session.write(data)
        self.client.send(self.session.output())
        self.session.feed(self.client.take())
        return self.session.read(1 << 20)


def flood(publisher: VirtualClient, messages: int, size: int = 1000) -> None:
    """Publish to `a`, more than a slow subscriber of `a` can take."""
    for _ in range(messages):
        publisher.send(b"PUB a %d\r\n%s\r\n" % (size, b"x" * size))


def slow_broker(**settings: Any) -> VirtualBroker:
    """A broker that soon finds a subscriber too slow."""
    known: dict[str, Any] = {"max_payload": 1000, "max_pending": 10_000}
    return VirtualBroker(**(known | settings))


class VirtualWebsocket(VirtualSocket):
    """A client that has just connected to the door of a WebSocket in virtual time."""

    def __init__(self, broker: VirtualBroker, block: WebsocketBlock) -> None:
        # Only here: a test of plain TCP needs no wsproto.
        from broker.wsdoor import WebsocketDoor, WebsocketEntrance

        self.broker = broker
        ours, theirs = memory_socketpair(broker.reactor.demultiplexer, capacity=1 << 20)
        super().__init__(broker.reactor, theirs)
        self.doors: list[WebsocketDoor] = []
        options = broker.server.options

        def admit(entrance: WebsocketEntrance) -> None:
            broker.server.admit(entrance, ("127.0.0.1", 5000))

        self.door = WebsocketDoor(
            self.reactor,
            block,
            ("127.0.0.1", 8080),
            options.max_control_line + options.max_payload + 4096,
            broker.server.complaints,
            broker.server.run_queue,
            admit,
            self.doors.append,
        )
        self.door.stream = Stream(self.reactor, ours, self.door, high_water=options.max_pending)

    @property
    def connection(self) -> Connection:
        """The server's end, once the upgrade is done."""
        return newest(self.broker.server)
