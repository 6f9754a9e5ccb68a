"""Attacks on the monitor port: see `bench.hostile_attacks`, which lists them."""

from __future__ import annotations

import itertools

from bench.hostile_target import Steps, Target

#: What would be answered if it were found in the body of another request.
HIDDEN = b"GET /healthz HTTP/1.1\r\nHost: hidden\r\n\r\n"

#: Where that answer would come from: no other page says so.
ANSWERED = b'"status":"ok"'

_POST = b"POST /nothing HTTP/1.1\r\nHost: front\r\n"
_LENGTH = b"Content-Length: %d\r\n" % len(HIDDEN)
_CHUNKED = b"Transfer-Encoding: chunked\r\n"
_END = b"\r\n0\r\n\r\n"

#: Requests on whose end two readers may disagree; the hidden one must never get an answer. Where a
#: length and chunks are both given the length holds to one reader and the chunks to another (RFC
#: 9112, 6.3): whoever answers at all must then close the connection.
SMUGGLED = (
    _POST + _LENGTH + _CHUNKED + _END + HIDDEN,
    _POST + _CHUNKED + _LENGTH + _END + HIDDEN,
    _POST + b"Content-Length: 0\r\n" + _LENGTH + b"\r\n" + HIDDEN,
    _POST + _LENGTH + b"Content-Length: 0\r\n\r\n" + HIDDEN,
    _POST + b"Transfer-Encoding : chunked\r\n" + _LENGTH + _END + HIDDEN,
    _POST + b"Transfer-Encoding: xchunked\r\n" + _LENGTH + _END + HIDDEN,
    _POST + b"Transfer-Encoding: chunked, identity\r\n" + _LENGTH + _END + HIDDEN,
    _POST + b"X: y\n" + _CHUNKED + _LENGTH + _END + HIDDEN,
    _POST + b"Transfer-Encoding:\x0bchunked\r\n" + _LENGTH + _END + HIDDEN,
    _POST + b"Content-Length: +0\r\n\r\n" + HIDDEN,
    _POST + b"Content-Length: 0x0\r\n\r\n" + HIDDEN,
    _POST + _CHUNKED + b"\r\n0;\n\r\n\r\n" + HIDDEN,
    _POST + _CHUNKED + b"\r\n-0\r\n\r\n" + HIDDEN,
)


def garbage(target: Target) -> Steps:
    """Noise, methods that never end, headers without end, chunks of impossible sizes."""
    for number in itertools.count():
        sock = target.connect("http")
        data = _noise(target, number)
        while data and (took := target.say(sock, data)):
            data = data[took:]
        target.deeds["answers"] += target.hear_all(sock, 0.02).count(b"HTTP/1.1 4")
        sock.close()
        yield 0.01


def _noise(target: Target, number: int) -> bytes:
    kinds = (
        target.random.randbytes(4096),
        b"GET /" + b"a" * (1 << 20),
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 200_000,
        b"GET / HTTP/1.1\r\nHost: " + target.random.randbytes(64) + b"\r\n\r\n",
        _POST + _CHUNKED + b"\r\n" + b"f" * 100 + b"\r\n",
        b"\r\n" * 100_000,
    )
    return kinds[number % len(kinds)]


def smuggling(target: Target) -> Steps:
    """Hide a request in another's body, and look whether it is answered."""
    for request in itertools.cycle(SMUGGLED):
        sock = target.connect("http")
        target.say(sock, request)
        heard = target.hear_all(sock, 0.05)
        target.deeds["answers"] += heard.count(b"HTTP/1.1 ")
        target.deeds["smuggled"] += heard.count(ANSWERED)
        sock.close()
        yield 0.01


def slow(target: Target) -> Steps:
    """Ask for a page, one byte at a time (known as Slowloris)."""
    crowd = [target.connect("http") for _ in range(200)]
    yield 0.0
    for byte in itertools.chain(b"GET /varz HTTP/1.1\r\nHost: x\r\n", itertools.cycle(b"X: y\r\n")):
        for sock in crowd:
            target.say(sock, bytes([byte]))
        yield 0.2


def deaf(target: Target) -> Steps:
    """Ask for pages without end and read none of them."""
    request = b"GET /connz?subs=1 HTTP/1.1\r\nHost: x\r\n\r\n" * 100
    crowd = [target.connect("http", window=4096) for _ in range(20)]
    while True:
        for sock in crowd:
            target.say(sock, request)
        yield 0.05
