"""Protocol traces (``-V``): what went over one connection, one log line per operation, as
nats-server writes it.

The idea: a tap beside the wire instead of a hook in the parser. It cuts the bytes of one direction
into lines and payloads by itself, so the data plane, in Python or in C, need not know that anybody
listens, and is as fast as ever when nobody does. The price is that it reads every byte a second
time, and that the log shows the operations of one read before the answers to them, not between
them.

Passwords and tokens are replaced before they reach the log. A tap never fails: bytes it cannot
follow are left to the parser to complain of.

Neighbours: `broker.server` puts two on each connection when tracing. One connection, one direction,
one thread.
"""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["Wiretap"]

#: Operations whose line ends in the size of a payload that follows.
_WITH_PAYLOAD = frozenset({b"PUB", b"HPUB", b"MSG", b"HMSG"})

_SECRETS = re.compile(rb'("(?:pass|auth_token|jwt|sig)"\s*:\s*)"(?:[^"\\]|\\.)*"')

_ESCAPES = {"\\": "\\\\", '"': '\\"', "\r": "\\r", "\n": "\\n", "\t": "\\t"}


class Wiretap:
    """Reports the operations in a stream of bytes that may be cut anywhere. O(bytes)."""

    def __init__(self, arrow: str, say: Callable[[str], object], limit: int = 0) -> None:
        """``arrow`` tells the direction; ``limit`` cuts payloads after so many bytes (0: never)."""
        self._arrow = arrow
        self._say = say
        self._limit = limit
        self._rest = b""
        self._payload_size: int | None = None

    def feed(self, data: bytes) -> None:
        """Report what is complete now."""
        data = self._rest + data
        position = 0
        while (end := self._end(data, position)) is not None:
            self._report(data[position:end])
            position = end
        self._rest = data[position:]

    def _end(self, data: bytes, position: int) -> int | None:
        """Where the line or payload that begins at ``position`` ends, if it has."""
        if self._payload_size is None:
            found = data.find(b"\n", position)
            return None if found < 0 else found + 1
        end = position + self._payload_size + 2
        return end if end <= len(data) else None

    def _report(self, piece: bytes) -> None:
        if self._payload_size is not None:
            self._say(f"{self._arrow} MSG_PAYLOAD: [{_quote(piece[:-2], self._limit)}]")
            self._payload_size = None
            return
        line = piece.rstrip(b"\r\n")
        verb, *words = line.split() or [b""]
        verb = verb.upper()
        if verb in _WITH_PAYLOAD and words and words[-1].isdigit():
            self._payload_size = int(words[-1])
        if verb != b"INFO":
            self._say(f"{self._arrow} [{_line(verb, line)}]")


def _line(verb: bytes, line: bytes) -> str:
    if verb == b"CONNECT":
        line = _SECRETS.sub(rb'\1"[REDACTED]"', line)
    elif verb == b"+OK":
        line = b"OK"
    elif verb == b"-ERR":
        line = line.replace(b"'", b"")
    return line.decode("utf-8", "backslashreplace")


def _quote(payload: bytes, limit: int) -> str:
    """A payload as Go quotes strings: one line, everything unprintable escaped."""
    cut = payload[:limit] if 0 < limit < len(payload) else payload
    text = "".join(map(_escape, cut.decode("utf-8", "surrogateescape")))
    return f'"{text}"' if cut is payload else f'"{text}..."'


def _escape(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if char.isprintable():
        return char
    return (
        f"\\x{code:02x}"
        if code < 0x80
        else f"\\u{code:04x}"
        if code < 0x10000
        else f"\\U{code:08x}"
    )
