"""The stream transport: what is received, what is written, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import reactor.aio
from reactor.aio._transport import StreamTransport
from reactor.demux import available

TIMEOUT = 20.0


class Recorder(asyncio.Protocol):
    """Notes what it is told, and lets a test wait for it."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.received = b""
        self.calls: list[str] = []
        self.keep_open = False
        self.lost: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
        self.changed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._note("made")

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.changed.set()

    def eof_received(self) -> bool:
        self._note("eof")
        return self.keep_open

    def pause_writing(self) -> None:
        self._note("pause")

    def resume_writing(self) -> None:
        self._note("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self._note("lost")
        self.lost.set_result(exc)

    def _note(self, call: str) -> None:
        self.calls.append(call)
        self.changed.set()

    async def until(self, predicate: Callable[[], bool]) -> None:
        while not predicate():
            self.changed.clear()
            await asyncio.wait_for(self.changed.wait(), TIMEOUT)


Pair = tuple[StreamTransport, Recorder, socket.socket]


@contextlib.asynccontextmanager
async def connected(protocol: Any = None) -> AsyncIterator[Pair]:
    """A transport, its protocol, and the blocking socket of its peer."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    theirs.settimeout(TIMEOUT)
    ours.setblocking(False)
    with theirs:
        factory = protocol or Recorder
        transport, made = await loop.create_connection(factory, sock=ours)
        assert isinstance(transport, StreamTransport)
        try:
            yield transport, made, theirs
        finally:
            transport.abort()
            await asyncio.sleep(0)


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await test()

    reactor.aio.run(main())


async def in_thread(call: Callable[..., Any], *args: Any) -> Any:
    return await asyncio.wait_for(asyncio.to_thread(call, *args), TIMEOUT)


def read_all(peer: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size and (some := peer.recv(1 << 16)):
        data += some
    return bytes(data)


def test_what_arrives_is_delivered_and_what_is_written_arrives() -> None:
    async def test() -> None:
        async with connected() as (transport, protocol, peer):
            peer.sendall(b"ping")
            await protocol.until(lambda: protocol.received == b"ping")
            transport.write(b"po")
            transport.write(bytearray(b"n"))
            transport.write(memoryview(b"g"))
            transport.write(b"")
            assert b"pong" == await in_thread(read_all, peer, 4)

    run(test)


def test_more_than_the_kernel_takes_is_queued_and_the_producer_told() -> None:
    async def test() -> None:
        async with connected() as (transport, protocol, peer):
            data = bytes(range(256)) * 40_000
            transport.write(data)
            assert "pause" in protocol.calls
            assert transport.get_write_buffer_size() > 0
            transport.write(b"end")
            assert data + b"end" == await in_thread(read_all, peer, len(data) + 3)
            await protocol.until(lambda: "resume" in protocol.calls)
            assert 0 == transport.get_write_buffer_size()

    run(test)


def test_a_buffer_that_its_owner_reuses_is_sent_as_it_was() -> None:
    async def test() -> None:
        async with connected() as (transport, _, peer):
            filler = b"x" * 10_000_000
            transport.write(filler)
            buffer = bytearray(b"first")
            transport.write(buffer)
            buffer[:] = b"other"
            received = await in_thread(read_all, peer, len(filler) + 5)
            assert b"first" == received[-5:]

    run(test)


def test_elements_wider_than_a_byte_are_all_sent() -> None:
    async def test() -> None:
        async with connected() as (transport, _, peer):
            numbers = memoryview(struct.pack("=4I", 1, 2, 3, 4)).cast("I")
            transport.write(numbers)
            assert numbers.tobytes() == await in_thread(read_all, peer, 16)

    run(test)


@pytest.mark.parametrize("nonsense", ["text", 5, None])
def test_what_is_no_bytes_is_refused(nonsense: Any) -> None:
    async def test() -> None:
        async with connected() as (transport, protocol, _):
            with pytest.raises(TypeError, match="bytes-like"):
                transport.write(nonsense)
            assert not transport.is_closing()
            assert ["made"] == protocol.calls

    run(test)


def test_a_closed_transport_writes_out_what_is_queued_first() -> None:
    async def test() -> None:
        async with connected() as (transport, protocol, peer):
            data = b"x" * 10_000_000
            transport.write(data)
            transport.close()
            assert transport.is_closing()
            assert data == await in_thread(read_all, peer, len(data) + 1)
            assert None is await asyncio.wait_for(protocol.lost, TIMEOUT)

    run(test)


def test_an_aborted_transport_drops_what_is_queued() -> None:
    async def test() -> None:
        async with connected() as (transport, protocol, _):
            transport.write(b"x" * 10_000_000)
            transport.abort()
            assert 0 == transport.get_write_buffer_size()
            assert None is await asyncio.wait_for(protocol.lost, TIMEOUT)
            assert 1 == protocol.calls.count("lost")

    run(test)


def test_half_a_connection_closes_and_the_other_half_goes_on() -> None:
    async def test() -> None:
        async with connected() as (transport, protocol, peer):
            protocol.keep_open = True
            peer.shutdown(socket.SHUT_WR)
            await protocol.until(lambda: "eof" in protocol.calls)
            transport.write(b"still here")
            transport.write_eof()
            assert b"still here" == await in_thread(read_all, peer, 100)
            with pytest.raises(RuntimeError, match="write_eof"):
                transport.write(b"more")

    run(test)


def test_the_end_of_input_is_told_once_however_often_reading_is_resumed() -> None:
    async def test() -> None:
        async with connected() as (transport, protocol, peer):
            protocol.keep_open = True
            peer.shutdown(socket.SHUT_WR)
            await protocol.until(lambda: "eof" in protocol.calls)
            transport.pause_reading()
            transport.resume_reading()
            await asyncio.sleep(0.01)
            assert 1 == protocol.calls.count("eof")

    run(test)


def test_a_paused_transport_receives_nothing_until_it_is_resumed() -> None:
    async def test() -> None:
        async with connected() as (transport, protocol, peer):
            transport.pause_reading()
            assert not transport.is_reading()
            peer.sendall(b"later")
            await asyncio.sleep(0.01)
            assert b"" == protocol.received
            transport.resume_reading()
            await protocol.until(lambda: protocol.received == b"later")

    run(test)


def test_a_connection_that_breaks_is_lost_with_its_reason() -> None:
    async def test() -> None:
        async with connected() as (_, protocol, peer):
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()
            reason = await asyncio.wait_for(protocol.lost, TIMEOUT)
            assert isinstance(reason, ConnectionResetError)

    run(test)


def test_an_error_in_data_received_is_reported_and_ends_the_connection() -> None:
    class Faulty(Recorder):
        def data_received(self, data: bytes) -> None:
            raise BlockingIOError("not the kernel's")

    class Worse(Recorder):
        def data_received(self, data: bytes) -> None:
            raise LookupError("mine")

    async def test() -> None:
        contexts: list[dict[str, Any]] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: contexts.append(context))
        for factory in (Faulty, Worse):
            async with connected(factory) as (_, protocol, peer):
                peer.sendall(b"x")
                await asyncio.wait_for(protocol.lost, TIMEOUT)
        assert [LookupError] == [type(context["exception"]) for context in contexts]
        assert "data_received" in contexts[0]["message"]

    run(test)


def test_a_buffered_protocol_is_received_into_its_own_buffer() -> None:
    class Buffered(asyncio.BufferedProtocol):
        def __init__(self) -> None:
            self.buffer = bytearray(3)
            self.received = b""
            self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def get_buffer(self, sizehint: int) -> bytearray:
            return self.buffer

        def buffer_updated(self, nbytes: int) -> None:
            self.received += self.buffer[:nbytes]
            if len(self.received) == 8:
                self.done.set_result(None)

    async def test() -> None:
        async with connected(Buffered) as (_, protocol, peer):
            made: Any = protocol
            peer.sendall(b"12345678")
            await asyncio.wait_for(made.done, TIMEOUT)
            assert b"12345678" == made.received

    run(test)


def test_callbacks_run_in_the_context_in_which_the_transport_was_made() -> None:
    who: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")

    class Asking(Recorder):
        def data_received(self, data: bytes) -> None:
            self.calls.append(who.get())
            who.set("changed")  # for this connection only
            super().data_received(data)

    async def test() -> None:
        who.set("maker")
        async with connected(Asking) as (_, protocol, peer):
            who.set("later")
            peer.sendall(b"1")
            await protocol.until(lambda: protocol.received == b"1")
            peer.sendall(b"2")
            await protocol.until(lambda: protocol.received == b"12")
            assert ["made", "maker", "changed"] == protocol.calls
            assert "later" == who.get()

    run(test)


def test_writes_after_the_end_are_ignored_and_soon_complained_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def test() -> None:
        async with connected() as (transport, _, _peer):
            transport.abort()
            for _ in range(10):
                transport.write(b"x")

    run(test)

    assert any("send() raised" in record.getMessage() for record in caplog.records)


def test_the_extra_information_is_the_sockets() -> None:
    async def test() -> None:
        async with connected() as (transport, _, peer):
            assert peer.getsockname() == transport.get_extra_info("peername")
            assert peer.getpeername() == transport.get_extra_info("sockname")
            sock = transport.get_extra_info("socket")
            assert 1 == sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    run(test)


def test_a_transport_that_nobody_closed_says_so_and_closes_its_socket() -> None:
    loop = reactor.aio.new_event_loop()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with theirs:
        transport, _ = loop.run_until_complete(loop.create_connection(asyncio.Protocol, sock=ours))
        loop.close()
        with pytest.warns(ResourceWarning, match="unclosed transport"):
            transport.__del__()  # type: ignore[attr-defined]  # what the collector would do
        assert -1 == ours.fileno()
        transport._sock = None  # type: ignore[attr-defined]  # said once is enough


# --- where the backend receives -------------------------------------------------------------------


@pytest.fixture(params=["epoll", "epoll_c", "io_uring"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    name: str = request.param
    if name not in available():
        pytest.skip(f"{name} does not work here")
    monkeypatch.setenv("REACTOR_BACKEND", name)
    return name


@contextlib.asynccontextmanager
async def overtaken(meddle: Callable[[StreamTransport], object]) -> AsyncIterator[Pair]:
    """A transport with b"early" on its way, on which another that was ready, too, has meddled."""
    overtaken: list[Pair] = []

    class Meddler(Recorder):
        other: Pair

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if not overtaken:
                overtaken.append(self.other)
                meddle(self.other[0])

    async with connected(Meddler) as one, connected(Meddler) as two:
        one[1].other, two[1].other = two, one  # type: ignore[attr-defined]  # Meddlers
        for _, _, peer in (one, two):
            peer.sendall(b"early")
        await asyncio.wait_for(one[1].changed.wait(), TIMEOUT)
        while not overtaken:
            await asyncio.sleep(0)
        yield overtaken[0]


def test_what_came_before_a_pause_in_the_same_turn_is_delivered_when_reading_goes_on(
    backend: str,
) -> None:
    async def test() -> None:
        async with overtaken(StreamTransport.pause_reading) as (transport, protocol, peer):
            peer.sendall(b", late")
            for _ in range(5):
                await asyncio.sleep(0)
            assert b"" == protocol.received
            transport.resume_reading()
            await protocol.until(lambda: protocol.received == b"early, late")

    run(test)


def test_what_came_before_sendfile_borrowed_the_socket_is_delivered_after_it(
    backend: str, tmp_path: Path
) -> None:
    async def test() -> None:
        file = tmp_path / "file"
        file.write_bytes(b"contents")
        async with overtaken(StreamTransport.pause_reading) as (transport, protocol, peer):
            with file.open("rb") as opened:
                await asyncio.get_running_loop().sendfile(transport, opened)
            assert b"contents" == await in_thread(read_all, peer, 8)
            transport.resume_reading()
            await protocol.until(lambda: protocol.received == b"early")

    run(test)


def test_a_protocol_with_buffers_of_its_own_gets_what_came_before_it_took_over(
    backend: str,
) -> None:
    class Buffered(asyncio.BufferedProtocol):
        def __init__(self) -> None:
            self.buffer = bytearray(3)
            self.received = b""
            self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def get_buffer(self, sizehint: int) -> bytearray:
            return self.buffer

        def buffer_updated(self, nbytes: int) -> None:
            self.received += self.buffer[:nbytes]
            if self.received.endswith(b"late"):
                self.done.set_result(None)

    async def test() -> None:
        buffered = Buffered()
        async with overtaken(lambda it: it.set_protocol(buffered)) as (_, _, peer):
            peer.sendall(b", late")
            await asyncio.wait_for(buffered.done, TIMEOUT)
            assert b"early, late" == buffered.received

    run(test)


def test_a_failure_that_the_backend_was_told_of_is_told_to_the_protocol(backend: str) -> None:
    async def test() -> None:
        async with overtaken(StreamTransport.pause_reading) as (transport, protocol, peer):
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()
            transport.resume_reading()
            reason = await asyncio.wait_for(protocol.lost, TIMEOUT)
            assert (b"early", ConnectionResetError) == (protocol.received, type(reason))

    run(test)
