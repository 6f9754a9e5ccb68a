"""The client dialect: bytes to operations, and operations to bytes.  No I/O, no meaning.

The idea: a dialect is a *table of verbs*.  Each row says how a verb's line is bounded and which
function turns its arguments into an operation; `Parser` walks any such table.  Routes and leaf
nodes speak other dialects of the same grammar, so they are further tables (`broker.dialects`) and
not further parsers.

The grammar, as nats-server's byte-by-byte state machine accepts it (found out by asking one):

* no blank and no empty line before a verb; verbs in any case; an error as soon as a byte fits no
  verb (`X` at once, `PUBX` at its fourth byte), as a human at a terminal or a port scanner should
  be told early;
* PUB, HPUB, SUB, UNSUB and -ERR want a space or tab next, CONNECT and INFO do not, PING, PONG and
  +OK swallow everything up to the line's end;
* a line ends at LF, a CR before it is dropped.  Arguments begin at the first byte that is no blank,
  *whatever* it is: in `SUB LF a 1 LF` that byte is the first LF, and the line ends at the second;
* the limit on control lines counts the arguments only, and is checked at the line's end and at each
  read's;
* a payload is followed by exactly CR LF;
* any of it may be cut anywhere by the network.

One deliberate difference: for nats-server a CR in the *middle* of a line makes the line lose its
last byte when the line came in one read and not when it was cut.  Here a CR in mid-line is a byte
like any other in PUB and a blank in SUB and UNSUB, however the line arrives.

Invariants: between calls `data[pos:]` holds only what has not been parsed; it never grows past the
control line limit plus a verb, because payloads in progress are gathered apart.  Total work is
linear in the bytes fed, however they are cut (a line cut into single bytes costs its length
squared, bounded by the line limit).

Neighbours: a data plane owns one parser per link, and reaches past it to `PUB_LINE`, `data` and
`pos` for the hot path. Nobody else feeds a parser.  A parser belongs to one connection and one
thread.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from broker import ops
from broker.errors import (
    AUTHORIZATION_VIOLATION,
    BAD_ARGUMENTS,
    CONTROL_LINE_EXCEEDED,
    PAYLOAD_EXCEEDED,
    UNKNOWN_OPERATION,
    ProtocolError,
    WireError,
)

__all__ = [
    "CLIENT_DIALECT",
    "COMMON_VERBS",
    "CRLF",
    "OK",
    "PING",
    "PONG",
    "PUB_LINE",
    "Dialect",
    "Head",
    "Parser",
    "Verb",
    "count_messages",
    "err_line",
    "hmsg_parts",
    "info_line",
    "msg_parts",
    "no_responders",
    "read_size",
    "split",
    "wrong",
]

CRLF = b"\r\n"
OK = b"+OK\r\n"
PING = b"PING\r\n"
PONG = b"PONG\r\n"

_CR = 0x0D
_BLANKS = re.compile(rb"[ \t]*")

# A whole PUB line in one match: subject, reply or None, size.  The hot path of the data plane uses
# it, and falls back to the parser for whatever it does not match: one C call does the work of find,
# slice and split, and tabs, runs of blanks and odd spellings of the verb cost nothing extra.
PUB_LINE = re.compile(
    rb"[Pp][Uu][Bb][ \t]+([^ \t\n]+)[ \t]+(?:([^ \t\n]+)[ \t]+)?([0-9]{1,9})[ \t]*\r?\n"
)


class Head(NamedTuple):
    """The line of a publish whose payload is yet to come; `size` is headers and body, in bytes."""

    subject: bytes
    reply: bytes
    size: int
    size_text: bytes
    header_size: int = 0
    header_text: bytes = b""
    routing: ops.Routing | None = None


@dataclass(frozen=True)
class Verb:
    """One row of a dialect: a verb, how its line is bounded, and what becomes of its arguments.

    `blank`: a space or tab must follow the verb.  `build`: makes the operation (or the `Head` of
    one with a payload) from the arguments, and raises ProtocolError; None where the rest of the
    line is ignored and `fixed` is the operation.
    """

    name: bytes
    blank: bool
    build: Callable[[Parser, bytes], ops.Op | Head] | None
    fixed: ops.Op | None = None


class Dialect:
    """A table of verbs, indexed by first byte.  Immutable after construction, hence shared by all
    parsers.
    """

    def __init__(self, verbs: Iterable[Verb]) -> None:
        table: dict[bytes, tuple[Verb, ...]] = {}
        for verb in verbs:
            table[verb.name[:1]] = (*table.get(verb.name[:1], ()), verb)
        self.table: Mapping[bytes, tuple[Verb, ...]] = table
        # One byte more than the longest verb, to see the blank behind it.
        self.window = max(len(verb.name) for group in table.values() for verb in group) + 1


class Parser:
    """Turns the bytes of one connection, cut anywhere, into operations.

    `headers`, `locked`, `max_payload` (bytes) and `max_control_line` (bytes) are set by the owner
    and may change between operations.  While `locked` any verb that does not begin like CONNECT is
    an authorization violation.
    """

    __slots__ = (
        "_body",
        "_dialect",
        "_verb",
        "data",
        "head",
        "headers",
        "locked",
        "max_control_line",
        "max_payload",
        "pos",
    )

    def __init__(
        self,
        dialect: Dialect,
        *,
        max_payload: int = 1024 * 1024,
        max_control_line: int = 4096,
    ) -> None:
        self.data = b""
        self.pos = 0
        self.headers = False
        self.locked = False
        self.max_payload = max_payload
        self.max_control_line = max_control_line
        self._dialect = dialect
        self._verb: Verb | None = None
        self.head: Head | None = None
        self._body = bytearray()

    @property
    def at_start(self) -> bool:
        """Whether the next byte begins an operation."""
        return self._verb is None and self.head is None

    @property
    def held(self) -> int:
        """Bytes in memory: unparsed, or of a payload in progress."""
        return len(self.data) + len(self._body)

    def feed(self, data: bytes) -> None:
        """Adds bytes as read from the network.  O(len(data)) plus the short unparsed rest."""
        rest = self.data[self.pos :]
        self.data = rest + data if rest else data
        self.pos = 0

    def forget(self) -> None:
        """Drops all bytes not parsed, to free their memory; the parser is of no use then."""
        self.data = b""
        self.pos = 0
        self._body = bytearray()

    def next(self) -> ops.Op | None:
        """The next whole operation, or None when more bytes are needed.

        Raises ProtocolError as soon as the bytes at hand cannot become one; the parser is of no use
        then.
        """
        op = self._next()
        if op is None:
            # Else an idle connection would keep the whole of its last read alive.
            self.data = self.data[self.pos :]
            self.pos = 0
        return op

    def _next(self) -> ops.Op | None:
        if self.head is None:
            op = self._next_line()
            if not isinstance(op, Head):
                return op
            self.head = op
        return self._next_payload(self.head)

    def _next_line(self) -> ops.Op | Head | None:
        verb = self._verb or self._match_verb()
        if verb is None:
            return None
        if verb.build is None:
            return self._skip_line(verb)
        arguments = self._take_arguments()
        if arguments is None:
            return None
        self._verb = None
        return verb.build(self, arguments)

    def _match_verb(self) -> Verb | None:
        window = self.data[self.pos : self.pos + self._dialect.window].upper()
        if not window:
            return None
        if self.locked and not window.startswith(b"C"):
            raise ProtocolError(AUTHORIZATION_VIOLATION, "the first operation must be CONNECT")
        could_be = False
        for verb in self._dialect.table.get(window[:1], ()):
            if window.startswith(verb.name):
                return self._accept_verb(verb, window[len(verb.name) : len(verb.name) + 1])
            could_be = could_be or verb.name.startswith(window)
        if not could_be:
            raise ProtocolError(UNKNOWN_OPERATION, f"no verb begins like {window!r}")
        return None

    def _accept_verb(self, verb: Verb, following: bytes) -> Verb | None:
        if verb.blank and following not in (b" ", b"\t"):
            if not following:
                return None
            raise ProtocolError(UNKNOWN_OPERATION, f"no blank after {verb.name!r}")
        self.pos += len(verb.name)
        self._verb = verb
        return verb

    def _skip_line(self, verb: Verb) -> ops.Op | None:
        end = self.data.find(b"\n", self.pos)
        if end < 0:
            self.pos = len(self.data)
            return None
        self.pos = end + 1
        self._verb = None
        return verb.fixed

    def _take_arguments(self) -> bytes | None:
        blanks = _BLANKS.match(self.data, self.pos)
        start = self.pos if blanks is None else blanks.end()
        self.pos = start
        # The first byte that is no blank belongs to the arguments even when it is an LF.
        end = self.data.find(b"\n", start + 1)
        arguments = self.data[start:] if end < 0 else self.data[start:end]
        if arguments.endswith(b"\r"):
            arguments = arguments[:-1]
        if len(arguments) > self.max_control_line:
            raise ProtocolError(CONTROL_LINE_EXCEEDED, f"over {self.max_control_line} bytes")
        if end < 0:
            return None
        self.pos = end + 1
        return arguments

    def _next_payload(self, head: Head) -> ops.Publish | None:
        body, size = self._body, head.size
        piece = self.data[self.pos : self.pos + size + 2 - len(body)]
        self.pos += len(piece)
        if body or len(piece) < size + 2:
            body += piece
            if len(body) < size + 2:
                if len(body) == size + 1 and body[size] != _CR:
                    raise ProtocolError(UNKNOWN_OPERATION, "payload longer than its size says")
                return None
            piece = bytes(body)
            self._body = bytearray()
        if not piece.endswith(CRLF):
            raise ProtocolError(UNKNOWN_OPERATION, "payload not followed by CR LF")
        self.head = None
        return ops.Publish(
            head.subject,
            head.reply,
            piece[:size],
            size_text=head.size_text,
            header_size=head.header_size,
            header_text=head.header_text,
            routing=head.routing,
        )


def split(arguments: bytes) -> list[bytes]:
    """Words between spaces and tabs.  (`bytes.split()` would also cut at VT and FF, which subjects
    may hold.)
    """
    return [word for word in arguments.replace(b"\t", b" ").split(b" ") if word]


def wrong(what: str, arguments: bytes, error: WireError = BAD_ARGUMENTS) -> ProtocolError:
    """The error to raise for arguments that break the rule `what`."""
    return ProtocolError(error, f"{what}: {arguments[:64]!r}")


def read_size(digits: bytes, arguments: bytes) -> int:
    """A size in decimal digits.  Raises ProtocolError, which shows `arguments`, for any other."""
    # Nine digits: what nats-server reads, and always below 2**31 for the sake of the C twin.
    if len(digits) > 9 or not digits.isdigit():
        raise wrong("a size must be one to nine digits", arguments)
    return int(digits)


def _build_pub(parser: Parser, arguments: bytes) -> Head:
    words = split(arguments)
    if not 2 <= len(words) <= 3:
        raise wrong("PUB takes subject [reply] size", arguments)
    size = read_size(words[-1], arguments)
    if size > parser.max_payload:
        raise wrong(f"payload over {parser.max_payload} bytes", arguments, PAYLOAD_EXCEEDED)
    return Head(words[0], words[1] if len(words) == 3 else b"", size, words[-1])


def _build_hpub(parser: Parser, arguments: bytes) -> Head:
    words = split(arguments)
    if not parser.headers:
        raise wrong("HPUB without headers agreed in CONNECT", arguments)
    if not 3 <= len(words) <= 4:
        raise wrong("HPUB takes subject [reply] header-size size", arguments)
    header_size, size = read_size(words[-2], arguments), read_size(words[-1], arguments)
    if header_size > size:
        raise wrong("headers larger than the message", arguments)
    if size > parser.max_payload:
        raise wrong(f"payload over {parser.max_payload} bytes", arguments, PAYLOAD_EXCEEDED)
    reply = words[1] if len(words) == 4 else b""
    return Head(words[0], reply, size, words[-1], header_size, words[-2])


def _build_sub(_parser: Parser, arguments: bytes) -> ops.Op:
    words = split(arguments.replace(b"\r", b" ").replace(b"\n", b" "))
    if not 2 <= len(words) <= 3:
        raise wrong("SUB takes subject [queue] sid", arguments)
    return ops.Subscribe(words[0], words[1] if len(words) == 3 else b"", words[-1])


def _build_unsub(_parser: Parser, arguments: bytes) -> ops.Op:
    words = split(arguments.replace(b"\r", b" ").replace(b"\n", b" "))
    if not 1 <= len(words) <= 2:
        raise wrong("UNSUB takes sid [max]", arguments)
    limit = words[1] if len(words) == 2 else b""
    # A limit that cannot be read is no error: it means "at once", as if it had been left out.
    return ops.Unsubscribe(words[0], int(limit) if limit.isdigit() and len(limit) <= 9 else 0)


def _build_connect(_parser: Parser, arguments: bytes) -> ops.Op:
    return ops.Connect(arguments)


def _build_info(_parser: Parser, arguments: bytes) -> ops.Op:
    return ops.Info(arguments)


def _build_err(_parser: Parser, arguments: bytes) -> ops.Op:
    return ops.Err(arguments)


# What all dialects have in common.
COMMON_VERBS = (
    Verb(b"PING", False, None, ops.Ping()),
    Verb(b"PONG", False, None, ops.Pong()),
    Verb(b"CONNECT", False, _build_connect),
    Verb(b"INFO", False, _build_info),
    Verb(b"+OK", False, None, ops.Ok()),
    Verb(b"-ERR", True, _build_err),
)

CLIENT_DIALECT = Dialect(
    (
        Verb(b"PUB", True, _build_pub),
        Verb(b"HPUB", True, _build_hpub),
        Verb(b"SUB", True, _build_sub),
        Verb(b"UNSUB", True, _build_unsub),
        *COMMON_VERBS,
    )
)


# --- operations to bytes


def msg_parts(subject: bytes, reply: bytes, size_text: bytes, body: bytes) -> tuple[bytes, bytes]:
    """What stands before and after the sid in a MSG, shared by all who receive it; `body` ends in
    CRLF.
    """
    if reply:
        return b"MSG " + subject + b" ", b" " + reply + b" " + size_text + CRLF + body
    return b"MSG " + subject + b" ", b" " + size_text + CRLF + body


def hmsg_parts(
    subject: bytes, reply: bytes, header_text: bytes, size_text: bytes, body: bytes
) -> tuple[bytes, bytes]:
    """The same for an HMSG; `body` is headers, payload and CRLF."""
    sizes = b" " + header_text + b" " + size_text + CRLF + body
    return b"HMSG " + subject + b" ", b" " + reply + sizes if reply else sizes


_DELIVERED = re.compile(rb"H?MSG [^\n]* (\d+)\r\n")


def count_messages(output: bytes) -> int:
    """How many messages stand in `output`, which was made by the functions here and is whole.

    O(its lines and messages).
    """
    count = pos = 0
    while pos < len(output):
        message = _DELIVERED.match(output, pos)
        if message is None:
            pos = output.index(b"\n", pos) + 1
        else:
            pos = message.end() + int(message[1]) + 2
            count += 1
    return count


def no_responders(subject: bytes, reply: bytes, sid: bytes) -> bytes:
    """The 503 for a request on `subject` that nobody received, addressed to the requester's own
    reply `sid`.
    """
    headers = b"NATS/1.0 503\r\nNats-Subject: " + subject + b"\r\n\r\n"
    size = b"%d" % len(headers)
    return b"HMSG " + reply + b" " + sid + b" " + size + b" " + size + CRLF + headers + CRLF


def info_line(json: bytes) -> bytes:
    """An INFO line; the blank before CRLF is nats-server's habit, and clients have met no other."""
    return b"INFO " + json + b" \r\n"


def err_line(error: WireError) -> bytes:
    """The line that tells the peer of `error`, or nothing for those that close without a word."""
    return b"" if error.text is None else b"-ERR '" + error.text + b"'\r\n"
