"""The two sides of a connection, as tests of the network need them."""

from __future__ import annotations

import socket
from typing import Any

from reactor.errors import CloseReason
from reactor.stream import Stream, StreamHandler

#: Seconds after which something that should have happened will not happen any more.
DEADLINE = 10.0

#: Any free port.
ANY = ("127.0.0.1", 0)


class Guests:
    """An `on_accept`: whoever was accepted, kept so that their sockets are closed at the end."""

    def __init__(self) -> None:
        self.sockets: list[socket.socket] = []
        self.peers: list[Any] = []

    def __call__(self, sock: socket.socket, peer: Any) -> None:
        self.sockets.append(sock)
        self.peers.append(peer)

    def __len__(self) -> int:
        return len(self.sockets)

    def close(self) -> None:
        for sock in self.sockets:
            sock.close()


class Clients:
    """Connections to a listener, kept so that they are closed at the end."""

    def __init__(self) -> None:
        self.sockets: list[socket.socket] = []

    def connect(self, address: Any, count: int = 1) -> None:
        for _ in range(count):
            family = family_of(address)
            sock = socket.socket(family, socket.SOCK_STREAM)
            self.sockets.append(sock)
            sock.settimeout(DEADLINE)
            sock.connect(address)

    def close(self) -> None:
        for sock in self.sockets:
            sock.close()


def family_of(address: Any) -> int:
    if not isinstance(address, tuple):
        return socket.AF_UNIX
    return socket.AF_INET6 if ":" in address[0] else socket.AF_INET


class Caller(StreamHandler):
    """Notes what becomes of its connection."""

    def __init__(self) -> None:
        self.streams: list[Stream] = []
        self.data = b""
        self.errors: list[OSError] = []
        self.reasons: list[CloseReason] = []

    def on_open(self, stream: Stream) -> None:
        self.streams.append(stream)

    def on_data(self, stream: Stream, data: bytes) -> None:
        self.data += data

    def on_close(self, stream: Stream, reason: CloseReason) -> None:
        self.reasons.append(reason)


class Echo(StreamHandler):
    """Sends back what it gets."""

    def on_data(self, stream: Stream, data: bytes) -> None:
        stream.write(data)
