"""Stream handlers that write down what happens to them, and how to wait for it."""

from __future__ import annotations

import socket
from collections.abc import Callable

from reactor import CloseReason, Reactor, Stream, StreamHandler

#: Seconds after which a test that waits has failed.
DEADLINE = 20.0


class Recorder(StreamHandler):
    """Notes what happens, in order; bytes that arrive together are one entry or several."""

    def __init__(self) -> None:
        self.happened: list[str] = []
        self.received = bytearray()
        self.reasons: list[CloseReason] = []

    def on_open(self, stream: Stream) -> None:
        self.happened.append("open")

    def on_data(self, stream: Stream, data: bytes) -> None:
        if self.happened[-1] != "data":
            self.happened.append("data")
        self.received += data

    def on_eof(self, stream: Stream) -> None:
        self.happened.append("eof")

    def on_pause(self, stream: Stream) -> None:
        self.happened.append("pause")

    def on_resume(self, stream: Stream) -> None:
        self.happened.append("resume")

    def on_close(self, stream: Stream, reason: CloseReason) -> None:
        self.happened.append("close")
        self.reasons.append(reason)


class Closer(Recorder):
    """Ends its own direction when the peer has ended the other."""

    def on_eof(self, stream: Stream) -> None:
        super().on_eof(stream)
        stream.close()


def turn_until(reactor: Reactor, predicate: Callable[[], object]) -> None:
    """Turn until `predicate()` is true; a test that waits too long fails."""
    assert reactor.run_until(lambda: bool(predicate()), DEADLINE)


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
