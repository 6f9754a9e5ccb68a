"""What the tests of streams share: a handler that writes down what it is told, and connected pairs.

Not a test itself. `Recorder` is used by `test_stream` and `test_tls`.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from reactor import CloseKind, CloseReason, Reactor
from reactor.budgets import READ_MOST
from reactor.stream import Stream, StreamHandler
from reactor.testing import MemorySocket, VirtualReactor, memory_socketpair
from reactor.testing._memory import CAPACITY

#: Seconds after which a test that waits for something has failed.
PATIENCE = 10.0


class Recorder(StreamHandler):
    """Writes down the order of what it is told; `then` says what to do beside that."""

    def __init__(self, **then: Callable[[Stream], object]) -> None:
        self.events: list[str] = []
        self.data = bytearray()
        self.reason: CloseReason | None = None
        self.then = then
        self.stream: Stream | None = None

    @property
    def closed(self) -> bool:
        return self.reason is not None

    @property
    def kind(self) -> CloseKind | None:
        return self.reason.kind if self.reason else None

    def note(self, event: str, stream: Stream) -> None:
        assert self.reason is None or event == "close", f"{event} after on_close"
        if not (event == "data" and self.events[-1:] == ["data"]):
            self.events.append(event)
        if event in self.then:
            self.then[event](stream)

    def on_open(self, stream: Stream) -> None:
        self.note("open", stream)

    def on_data(self, stream: Stream, data: bytes) -> None:
        assert 0 < len(data) <= READ_MOST
        self.data += data
        self.note("data", stream)

    def on_eof(self, stream: Stream) -> None:
        self.note("eof", stream)
        if "eof" not in self.then:
            super().on_eof(stream)

    def on_pause(self, stream: Stream) -> None:
        self.note("pause", stream)

    def on_resume(self, stream: Stream) -> None:
        self.note("resume", stream)

    def on_secure(self, stream: Stream) -> None:
        self.note("secure", stream)

    def on_close(self, stream: Stream, reason: CloseReason) -> None:
        assert self.reason is None, "on_close twice"
        self.reason = reason
        self.note("close", stream)


def memory_stream(
    virtual: VirtualReactor, handler: StreamHandler, capacity: int = CAPACITY, **options: object
) -> tuple[Stream, MemorySocket]:
    """Return an open stream in memory, and the other end to play the peer with."""
    ours, theirs = memory_socketpair(virtual.demultiplexer, capacity=capacity)
    stream = Stream(virtual, ours, handler, **options)  # type: ignore[arg-type]  # the test's own
    virtual.settle()
    return stream, theirs


def drain(sock: MemorySocket) -> bytes:
    """Return all that has arrived."""
    got = bytearray()
    while True:
        try:
            data = sock.recv(1 << 20)
        except BlockingIOError:
            return bytes(got)
        if not data:
            return bytes(got)
        got += data


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Return two connected TCP sockets on the loopback interface, non-blocking."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        one = socket.create_connection(door.getsockname())
        other, _ = door.accept()
    for sock in (one, other):
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return one, other


def unix_pair(buffer_size: int | None = None) -> tuple[socket.socket, socket.socket]:
    """Return two connected Unix sockets, non-blocking; with the kernel's least buffers if asked."""
    pair = socket.socketpair()
    for sock in pair:
        sock.setblocking(False)
        if buffer_size is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_size)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_size)
    return pair


def wait_for(reactor: Reactor, predicate: Callable[[], object]) -> None:
    """Turn until `predicate()` is true; the test fails if that takes too long."""
    assert reactor.run_until(lambda: bool(predicate()), PATIENCE), "it never came"


def read_from(reactor: Reactor, sock: socket.socket, size: int) -> bytes:
    """Turn until `size` bytes have come out of the other end, or it has ended."""
    got = bytearray()

    def enough() -> bool:
        try:
            data = sock.recv(min(size - len(got), 65536))
        except BlockingIOError:
            return False
        except ConnectionResetError:
            return True
        got.extend(data)
        return not data or len(got) >= size

    # The reactor does not watch this end, so it may not fall asleep over it.
    nudge = reactor.call_every(0.001, lambda: None)
    try:
        wait_for(reactor, enough)
    finally:
        nudge.cancel()
    return bytes(got)
