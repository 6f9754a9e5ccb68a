"""What a demultiplexer with a fast lane sees of a stream, for tests of it alone."""

from __future__ import annotations

import socket

from reactor.demux import Demultiplexer
from reactor.events import READ


class Token:
    """What a stream's handle is to a demultiplexer."""

    def __init__(self) -> None:
        self.received: bytes | None = None
        self.over: OSError | EOFError | None = None


def received(waiter: Demultiplexer, sock: socket.socket) -> Token:
    """Watch a socket as a stream does: whatever it brings is received during the wait."""
    token = Token()
    waiter.register(sock.fileno(), READ, token)
    assert waiter.lane is not None
    waiter.lane.receive(sock.fileno())
    return token
