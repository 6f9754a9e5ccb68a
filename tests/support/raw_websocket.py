"""The WebSocket protocol by hand, for tests that must not trust the library that the broker uses.

Requests, frames as a client masks them, and the frames of an answer taken apart (RFC 6455).

Used by tests/broker and tests/clients.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10

#: The key of the RFC's example, and what a server must answer to it.
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

_HEADERS = {
    "Host": "broker.example",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}


def request(method: str = "GET", path: str = "/", *, without: str = "", **headers: str) -> bytes:
    """A request for an upgrade; ``headers`` (with _ for -) replace or add; ``without`` one."""
    given = {name: value for name, value in _HEADERS.items() if name != without}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def frame(
    payload: bytes,
    opcode: int = BINARY,
    *,
    final: bool = True,
    masked: bool = True,
    compressed: bool = False,
) -> bytes:
    """One frame of a client's."""
    first = opcode | (0x80 if final else 0) | (0x40 if compressed else 0)
    bit, size = (0x80 if masked else 0), len(payload)
    if size < 126:
        header = bytes((first, bit | size))
    elif size < 1 << 16:
        header = struct.pack("!BBH", first, bit | 126, size)
    else:
        header = struct.pack("!BBQ", first, bit | 127, size)
    if not masked:
        return header + payload
    key = b"\x37\xfa\x21\x3d"
    whole = (key * (size // 4 + 1))[:size]
    mixed = int.from_bytes(payload, "big") ^ int.from_bytes(whole, "big")
    return header + key + mixed.to_bytes(size, "big")


def deflated(payload: bytes) -> bytes:
    """A compressed message (RFC 7692)."""
    compressor = zlib.compressobj(wbits=-15)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


@dataclass(frozen=True)
class Received:
    """One frame of a server's, inflated."""

    opcode: int
    payload: bytes
    compressed: bool = False


def frames(data: bytes) -> list[Received]:
    """The frames of an answer, which must be whole, final and not masked."""
    found = []
    while data:
        first, size, begin = data[0], data[1], 2
        assert first & 0x80, "not final"
        assert not size & 0x80, "masked"
        if size == 126:
            size, begin = struct.unpack_from("!H", data, 2)[0], 4
        elif size == 127:
            size, begin = struct.unpack_from("!Q", data, 2)[0], 10
        payload, data = data[begin : begin + size], data[begin + size :]
        assert len(payload) == size, "cut short"
        compressed = bool(first & 0x40)
        if compressed:
            payload = zlib.decompressobj(wbits=-15).decompress(payload + b"\x00\x00\xff\xff")
        found.append(Received(first & 0x0F, payload, compressed))
    return found


def text(data: bytes) -> bytes:
    """What the NATS protocol says in the data frames of an answer."""
    return b"".join(one.payload for one in frames(data) if one.opcode in (TEXT, BINARY))


def closing(data: bytes) -> tuple[int, str]:
    """Code and text of the close frame that ends an answer."""
    last = frames(data)[-1]
    assert CLOSE == last.opcode
    return struct.unpack_from("!H", last.payload)[0], last.payload[2:].decode()
