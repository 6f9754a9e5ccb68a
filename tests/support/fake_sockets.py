"""Sockets with a character: one takes everything it is given, one hardly anything."""

from __future__ import annotations

import errno
import itertools
import socket


class Bottomless:
    """A socket that takes whatever it is given, and says how much that was."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.taken = 0
        self.fileno = sock.fileno
        self.recv = sock.recv
        self.close = sock.close
        self.shutdown = sock.shutdown
        self.getpeername = sock.getpeername
        sock.setblocking(False)

    def send(self, data: bytes | memoryview, /) -> int:
        self.taken += len(data)
        return len(data)


class Grudging(Bottomless):
    """A socket that takes one byte at a time, and nothing at every other try."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.got = bytearray()
        self._willing = itertools.cycle([True, False])

    def send(self, data: bytes | memoryview, /) -> int:
        if not next(self._willing):
            raise BlockingIOError(errno.EAGAIN, "not now")
        self.got += data[:1]
        return 1
