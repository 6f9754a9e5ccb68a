"""Attacks on the WebSocket port: see `bench.hostile_attacks`, which lists them."""

from __future__ import annotations

import itertools
import socket
import struct
import zlib
from collections.abc import Iterator

from bench.hostile_target import Flood, Steps, Target

_UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n\r\n"
)

#: Masks that change nothing: what is sent is sent as it is.
_MASK = bytes(4)

#: First bytes: of a whole message, a compressed one, of fragments, a ping.
WHOLE, COMPRESSED, BEGINS, GOES_ON, PING = 0x82, 0xC2, 0x02, 0x00, 0x89


def frame(payload: bytes, first: int = WHOLE, *, size: int | None = None) -> bytes:
    """One frame of a client's, which may lie about its size."""
    size = len(payload) if size is None else size
    if size < 126:
        return struct.pack("!BB", first, 0x80 | size) + _MASK + payload
    if size < 1 << 16:
        return struct.pack("!BBH", first, 0x80 | 126, size) + _MASK + payload
    return struct.pack("!BBQ", first, 0x80 | 127, size) + _MASK + payload


def deflated(data: bytes) -> bytes:
    """A message as permessage-deflate compresses it."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


_HELLO = frame(b'CONNECT {"verbose":false}\r\nPING\r\n')


def _open(target: Target) -> socket.socket:
    sock = target.connect("websocket")
    target.say(sock, _UPGRADE + _HELLO)
    target.deeds["upgraded"] += target.hear(sock, 0.5).startswith(b"HTTP/1.1 101")
    return sock


def bombs(target: Target) -> Steps:
    """Send messages of a hundred kilobytes that inflate to a hundred megabytes."""
    bomb = frame(deflated(b"PUB hostile.bomb 100000000\r\n" + bytes(100_000_000)), COMPRESSED)
    yield 0.0
    while True:
        sock = _open(target)
        flood = Flood(target, sock)
        flood.queue(bomb)
        while not flood.push():
            yield 0.002
        target.hear_all(sock, 0.02)
        sock.close()
        yield 0.01


def fragments(target: Target) -> Steps:
    """Begin a message and go on for ever, a few bytes at a time and none at all."""
    while True:
        sock = _open(target)
        flood = Flood(target, sock)
        flood.queue(frame(b"PUB hostile.part 100000\r\n", BEGINS))
        for _ in range(50):
            flood.queue((frame(b"xx", GOES_ON) + frame(b"", GOES_ON)) * 500)
            while not flood.push():
                yield 0.002
            yield 0.005
        sock.close()


def giants(target: Target) -> Steps:
    """Announce frames of up to nine exabytes, and messages with bits that nobody agreed to."""
    for size in itertools.cycle((1 << 24, 1 << 40, (1 << 63) - 1)):
        sock = _open(target)
        target.say(sock, frame(b"x" * 65536, size=size))
        target.hear_all(sock, 0.02)
        sock.close()
        sock = _open(target)
        target.say(sock, frame(b"x" * 100, 0xF3))
        target.hear_all(sock, 0.02)
        sock.close()
        yield 0.01


def pings(target: Target) -> Steps:
    """Ask for answers as fast as can be, and read few of them."""
    sock = _open(target)
    flood = Flood(target, sock)
    while True:
        if flood.push():
            flood.queue(frame(b"x" * 100, PING) * 200)
            target.deeds["pings"] += 200
        target.hear(sock)
        yield 0.005


def slow(target: Target) -> Steps:
    """Ask for an upgrade, one byte at a time; whoever is sent away comes again."""
    crowd: list[tuple[socket.socket, Iterator[int]]] = []
    while True:
        while len(crowd) < 200:
            crowd.append((target.connect("websocket"), iter(_UPGRADE)))
        for entry in list(crowd):
            before = target.deeds["cut off"]
            target.say(entry[0], bytes([next(entry[1])]))
            if target.deeds["cut off"] != before:
                entry[0].close()
                crowd.remove(entry)
        yield 0.2
