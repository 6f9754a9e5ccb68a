"""The WebSocket front of `bench.fuzz`: the upgrade, frames, fragments and compression.

What a client hears is compared after the frames are taken off: how the broker cuts its output into
frames may depend on how its input was cut, what is in them may not. One thing may: a compressed
message that turns out to be wrong, or too much, is refused with its beginning read or unread, by
how it came. So where compression was agreed on, and the client's fault is the end, only that is
compared.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence

from bench.fuzz_parts import BrokenPromiseError, Ear, drained, repeat_picks
from broker.blocks import WebsocketBlock
from broker.config import Options
from broker.server import Server
from broker.wsdoor import WebsocketDoor, WebsocketEntrance
from reactor import Stream
from reactor.testing import VirtualReactor, make_reactor, memory_socketpair

#: Small limits, so that inputs of some hundred bytes reach them.
LIMITS = Options(max_payload=64, max_control_line=128, closed_ring=8)

#: Bytes of one message of WebSocket.
LONGEST = 256

UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)
DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n"

_MASK = b"\x37\xfa\x21\x3d"


def frame(payload: bytes, first: int = 0x82) -> bytes:
    """One short frame as a client masks it; ``first`` is its first byte, a whole binary message."""
    masked = bytes(byte ^ _MASK[at % 4] for at, byte in enumerate(payload))
    return bytes((first, 0x80 | len(payload))) + _MASK + masked


def _deflated(data: bytes) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


_HELLO = frame(b'CONNECT {"verbose":false}\r\nPING\r\n')
_MORE = frame(b"SUB a 1\r\nPUB a 2\r\nhi\r\nPING\r\n")

CONVERSATIONS = (
    UPGRADE + b"\r\n" + _HELLO + _MORE,
    UPGRADE
    + b"\r\n"
    + _HELLO
    + frame(b"SUB a", 0x02)
    + frame(b"bc 1\r\n", 0x80)
    + frame(b"", 0x89),
    UPGRADE + b"\r\n" + _HELLO + frame(b"ping", 0x89) + _MORE + frame(b"\x03\xe8bye", 0x88),
    UPGRADE + DEFLATE + b"\r\n" + frame(_deflated(b"PING\r\nSUB a 1\r\n"), 0xC2) + _MORE,
    UPGRADE + DEFLATE + b"\r\n" + _HELLO + frame(_deflated(bytes(100_000)), 0xC2),
)
FRAMES = (
    _HELLO, _MORE, frame(b"x", 0x02), frame(b"y", 0x00), frame(b"z", 0x80), frame(b"", 0x8A),
    b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff", b"\x82\xfe\xff\xff", b"\x82\x05hello", b"\xf2\x80",
    b"\x88\x80" + _MASK, b"\x89\xfe\x01\x00", frame(_deflated(bytes(5000)), 0xC2), b"\r\n", DEFLATE,
    b"Origin: http://y\r\n", b"Cookie: a=b\r\n", b"Connection: close\r\n", b"HTTP/1.0",
)  # fmt: skip

_GOODBYE = b"\x08\x03\xe8"
_FAULT = b"\x08\0\0"
_SWITCHED = b"HTTP/1.1 101"
_REFUSAL = re.compile(rb"(HTTP/1\.1 [45]\d\d ).*", re.DOTALL)


class Upgraded:
    """A whole broker in virtual time, whose clients come by WebSocket."""

    def __init__(self) -> None:
        self._reactor: VirtualReactor = make_reactor()
        self._server = Server(self._reactor, LIMITS)
        self._block = WebsocketBlock(port=-1, no_tls=True, compression=True)
        self._ear = Ear()

    def converse(self, pieces: Sequence[bytes]) -> object:
        """Return what a client hears: the refusal, or the bytes and the other frames."""
        with self._ear:
            before = self._held()
            repeat_picks(self._server.plane)
            heard = self._talk(pieces)
            self._ear.check()
            if self._held() != before:
                raise BrokenPromiseError(f"left behind: {before} became {self._held()}")
            if self._reactor.stats().errors:
                raise BrokenPromiseError("an exception reached the reactor")
        if not heard.startswith(_SWITCHED):
            return _REFUSAL.sub(rb"\1", heard)
        head, _, frames = heard.partition(b"\r\n\r\n")
        understood = _understood(frames)
        if b"permessage-deflate" in head and understood[1][-1:] == [_FAULT]:
            return _FAULT
        return understood

    def _talk(self, pieces: Sequence[bytes]) -> bytes:
        ours, theirs = memory_socketpair(self._reactor.demultiplexer, capacity=1 << 20)

        def admit(entrance: WebsocketEntrance) -> None:
            self._server.admit(entrance, ("127.0.0.1", 1))

        address = "127.0.0.1", 80
        server = self._server
        door = WebsocketDoor(
            self._reactor,
            self._block,
            address,
            LONGEST,
            server.complaints,
            server.run_queue,
            admit,
            lambda door: None,
        )
        door.stream = Stream(self._reactor, ours, door, high_water=LIMITS.max_pending)
        self._reactor.settle()
        for piece in pieces:
            try:
                theirs.send(piece)
            except OSError:
                break  # the broker has hung up
            self._reactor.settle()
        heard = drained(theirs)
        theirs.close()
        self._reactor.settle()
        return heard

    def _held(self) -> tuple[int, ...]:
        self._server.complaints.settle()  # what it still has to log is no client's
        held, served = self._reactor.stats(), self._server.stats()
        return held.handles, held.timers, served.connections, served.subscriptions


def _understood(data: bytes) -> tuple[bytes, list[bytes]]:
    """What was said in frames, but for the INFO, which counts clients; and the other frames, in
    which 0 stands for every close that is the client's fault.
    """
    said, others = bytearray(), []
    for opcode, payload in _frames(data):
        if opcode == 2:
            said += payload
        else:
            others.append(bytes([opcode]) + payload[: 2 if opcode == 8 else None])
    unsaid: tuple[bytes, ...] = (b"INFO ",)
    if others and others[-1][:1] == b"\x08" and others[-1] != _GOODBYE:
        others[-1] = _FAULT
        unsaid = b"INFO ", b"-ERR "
    lines = bytes(said).split(b"\r\n")
    return b"\r\n".join(line for line in lines if not line.startswith(unsaid)), others


def _frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The server's frames: opcode and payload. Raises BrokenPromiseError for what is none."""
    message = b""
    while data:
        size, head = data[1] & 0x7F, 2
        if size >= 126:
            head = 4 if size == 126 else 10
            size = int.from_bytes(data[2:head], "big")
        payload, first = data[head : head + size], data[0]
        if data[1] & 0x80 or len(payload) != size:
            raise BrokenPromiseError(f"no frame of a server: {data[:100]!r}")
        data = data[head + size :]
        if first & 0x08:
            yield first & 0x0F, payload
            continue
        message += payload
        if first & 0x40:
            message = zlib.decompressobj(-zlib.MAX_WBITS).decompress(message + b"\0\0\xff\xff")
        if first & 0x80:
            yield 2, message
            message = b""
