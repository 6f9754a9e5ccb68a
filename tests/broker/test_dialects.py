"""What servers say to each other, read: every line, cut anywhere, and what is none."""

from __future__ import annotations

import pytest

from broker import errors, ops
from broker.codec import Dialect, Parser
from broker.dialects import LEAF_DIALECT, ROUTE_DIALECT
from broker.errors import ProtocolError


def routed(
    subject: bytes, reply: bytes, payload: bytes, *routing: bytes, header: int = 0, **texts: bytes
) -> ops.Publish:
    account, origin, *queues = routing
    return ops.Publish(
        subject,
        reply,
        payload,
        header_size=header,
        routing=ops.Routing(account, origin, tuple(queues)),
        **texts,
    )


ROUTE_LINES = [
    (b"RS+ $G foo\r\n", ops.Interest(b"", b"$G", b"foo", b"", 1)),
    (b"RS+ $G bar.* q1 2\r\n", ops.Interest(b"", b"$G", b"bar.*", b"q1", 2)),
    (b"RS- $G foo\r\n", ops.Interest(b"", b"$G", b"foo", b"", 0)),
    (b"RS- $G bar.* q1\r\n", ops.Interest(b"", b"$G", b"bar.*", b"q1", 0)),
    (b"LS+ LC $G lf\r\n", ops.Interest(b"LC", b"$G", b"lf", b"", 1)),
    (b"LS+ LC $G lq q1 2\r\n", ops.Interest(b"LC", b"$G", b"lq", b"q1", 2)),
    (b"LS- LC $G lq q1\r\n", ops.Interest(b"LC", b"$G", b"lq", b"q1", 0)),
    (b"RMSG $G foo 5\r\nhello\r\n", routed(b"foo", b"", b"hello", b"$G", b"")),
    (b"RMSG $G foo _I.1 5\r\nhello\r\n", routed(b"foo", b"_I.1", b"hello", b"$G", b"")),
    (b"RMSG $G b.x | q2 q1 2\r\nhi\r\n", routed(b"b.x", b"", b"hi", b"$G", b"", b"q2", b"q1")),
    (b"RMSG $G b + _I.2 q 2\r\nhi\r\n", routed(b"b", b"_I.2", b"hi", b"$G", b"", b"q")),
    (
        b"HMSG $G foo 12 14\r\nNATS/1.0\r\n\r\nhi\r\n",
        routed(b"foo", b"", b"NATS/1.0\r\n\r\nhi", b"$G", b"", header=12),
    ),
    (
        b"HMSG $G foo + _I.3 q 12 12\r\nNATS/1.0\r\n\r\n\r\n",
        routed(b"foo", b"_I.3", b"NATS/1.0\r\n\r\n", b"$G", b"", b"q", header=12),
    ),
    (b"LMSG LC $G rr 0 2\r\nhi\r\n", routed(b"rr", b"", b"hi", b"$G", b"LC")),
    (b"LMSG LC $G rr | g 0 1\r\nq\r\n", routed(b"rr", b"", b"q", b"$G", b"LC", b"g")),
    (b"PING\r\n", ops.Ping()),
    (b'INFO {"server_id":"N"}\r\n', ops.Info(b'{"server_id":"N"}')),
    (b'CONNECT {"name":"N"}\r\n', ops.Connect(b'{"name":"N"}')),
    (b"-ERR 'Stale Connection'\r\n", ops.Err(b"'Stale Connection'")),
]

LEAF_LINES = [
    (b"LS+ foo\r\n", ops.Interest(b"", b"", b"foo", b"", 1)),
    (b"LS+ qq grp 2\r\n", ops.Interest(b"", b"", b"qq", b"grp", 2)),
    (b"LS- bar.* q1\r\n", ops.Interest(b"", b"", b"bar.*", b"q1", 0)),
    (b"LMSG foo 5\r\nhello\r\n", routed(b"foo", b"", b"hello", b"", b"")),
    (b"LMSG foo _I.1 5\r\nhello\r\n", routed(b"foo", b"_I.1", b"hello", b"", b"")),
    (b"LMSG bar.x | q1 2\r\nhi\r\n", routed(b"bar.x", b"", b"hi", b"", b"", b"q1")),
    (b"LMSG bar.x + _I.2 q1 2\r\nhi\r\n", routed(b"bar.x", b"_I.2", b"hi", b"", b"", b"q1")),
    (
        b"HMSG foo + _I.3 q1 12 14\r\nNATS/1.0\r\n\r\nhi\r\n",
        routed(b"foo", b"_I.3", b"NATS/1.0\r\n\r\nhi", b"", b"", b"q1", header=12),
    ),
]

CASES = [(ROUTE_DIALECT, *case) for case in ROUTE_LINES] + [
    (LEAF_DIALECT, *case) for case in LEAF_LINES
]


@pytest.mark.parametrize(("dialect", "line", "expected"), CASES)
def test_every_line_is_read_whole_and_byte_by_byte(
    dialect: Dialect, line: bytes, expected: ops.Op
) -> None:
    whole = Parser(dialect)
    whole.feed(line + line)
    assert [expected, expected, None] == [whole.next(), whole.next(), whole.next()]
    cut = Parser(dialect)
    found = []
    for byte in line:
        cut.feed(bytes([byte]))
        found.append(cut.next())
    assert [*[None] * (len(line) - 1), expected] == found


@pytest.mark.parametrize(
    ("dialect", "line"),
    [
        (ROUTE_DIALECT, b"RS+ $G\r\n"),
        (ROUTE_DIALECT, b"RS+ $G foo q\r\n"),
        (ROUTE_DIALECT, b"RS+ $G foo q many\r\n"),
        (ROUTE_DIALECT, b"RS- $G foo q 1\r\n"),
        (ROUTE_DIALECT, b"LS+ $G foo\r\n"),
        (ROUTE_DIALECT, b"RMSG $G 5\r\n"),
        (ROUTE_DIALECT, b"RMSG $G foo -1\r\n"),
        (ROUTE_DIALECT, b"RMSG $G foo reply q1 5\r\n"),
        (ROUTE_DIALECT, b"HMSG $G foo 9 5\r\n"),
        (ROUTE_DIALECT, b"LMSG LC $G foo 5\r\n"),
        (LEAF_DIALECT, b"LS+\t \r\n"),
        (LEAF_DIALECT, b"LMSG foo\r\n"),
    ],
)
def test_a_line_that_is_none_is_refused_without_a_word(dialect: Dialect, line: bytes) -> None:
    parser = Parser(dialect)
    parser.feed(line)
    with pytest.raises(ProtocolError) as caught:
        parser.next()
    assert errors.BAD_ARGUMENTS is caught.value.error


@pytest.mark.parametrize("line", [b"PUB a 1\r\nx\r\n", b"SUB a 1\r\n", b"MSG a 1 1\r\nx\r\n"])
@pytest.mark.parametrize("dialect", [ROUTE_DIALECT, LEAF_DIALECT])
def test_what_clients_say_is_unknown_to_servers(dialect: Dialect, line: bytes) -> None:
    parser = Parser(dialect)
    parser.feed(line)
    with pytest.raises(ProtocolError) as caught:
        parser.next()
    assert errors.UNKNOWN_OPERATION is caught.value.error


def test_a_payload_over_the_limit_is_refused_at_its_line() -> None:
    parser = Parser(ROUTE_DIALECT, max_payload=4)
    parser.feed(b"RMSG $G a 5\r\n")
    with pytest.raises(ProtocolError) as caught:
        parser.next()
    assert errors.PAYLOAD_EXCEEDED is caught.value.error
