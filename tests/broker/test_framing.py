"""What is written to other servers is what they read."""

from __future__ import annotations

import pytest

from broker.codec import CRLF, Dialect, Parser
from broker.dialects import LEAF_DIALECT, ROUTE_DIALECT
from broker.framing import interest_line, message_line
from broker.ops import Interest, Publish, Routing
from broker.scope import Kind

PLAIN = Publish(b"a.b", b"", b"hi")
ASKING = Publish(b"a.b", b"_I.1", b"hi")
HEADED = Publish(b"a.b", b"_I.1", b"NATS/1.0\r\n\r\nhi", header_size=12)


@pytest.mark.parametrize(
    ("kind", "origin", "publish", "queues", "expected"),
    [
        (Kind.ROUTE, b"", PLAIN, (), b"RMSG $G a.b 2\r\n"),
        (Kind.ROUTE, b"", ASKING, (), b"RMSG $G a.b _I.1 2\r\n"),
        (Kind.ROUTE, b"", PLAIN, (b"q", b"r"), b"RMSG $G a.b | q r 2\r\n"),
        (Kind.ROUTE, b"", ASKING, (b"q",), b"RMSG $G a.b + _I.1 q 2\r\n"),
        (Kind.ROUTE, b"", HEADED, (), b"HMSG $G a.b _I.1 12 14\r\n"),
        (Kind.ROUTE, b"", HEADED, (b"q",), b"HMSG $G a.b + _I.1 q 12 14\r\n"),
        (Kind.ROUTE, b"LC", PLAIN, (), b"LMSG LC $G a.b 0 2\r\n"),
        (Kind.ROUTE, b"LC", HEADED, (b"q",), b"LMSG LC $G a.b + _I.1 q 12 14\r\n"),
        (Kind.LEAF, b"", PLAIN, (), b"LMSG a.b 2\r\n"),
        (Kind.LEAF, b"LC", ASKING, (b"q",), b"LMSG a.b + _I.1 q 2\r\n"),
        (Kind.LEAF, b"", HEADED, (), b"HMSG a.b _I.1 12 14\r\n"),
    ],
)
def test_a_message_is_framed_for_the_kind_of_link(
    kind: Kind, origin: bytes, publish: Publish, queues: tuple[bytes, ...], expected: bytes
) -> None:
    assert expected == message_line(kind, b"$G", origin, publish, queues)


@pytest.mark.parametrize("kind", [Kind.ROUTE, Kind.LEAF])
@pytest.mark.parametrize("origin", [b"", b"LC"])
@pytest.mark.parametrize("publish", [PLAIN, ASKING, HEADED])
@pytest.mark.parametrize("queues", [(), (b"q",), (b"q", b"r")])
def test_what_is_written_is_read_back(
    kind: Kind, origin: bytes, publish: Publish, queues: tuple[bytes, ...]
) -> None:
    parser = Parser(_dialect(kind))
    line = message_line(kind, b"$G", origin, publish, queues)
    parser.feed(line + publish.payload + CRLF)
    told = Routing(b"$G", origin, queues) if kind is Kind.ROUTE else Routing(b"", b"", queues)
    again = Publish(
        publish.subject,
        publish.reply,
        publish.payload,
        header_size=publish.header_size,
        routing=told,
    )
    assert again == parser.next()


@pytest.mark.parametrize(
    ("kind", "interest", "origins", "expected"),
    [
        (Kind.ROUTE, Interest(b"", b"A", b"a.>", b"", 1), True, b"RS+ A a.>\r\n"),
        (Kind.ROUTE, Interest(b"", b"A", b"a", b"q", 3), True, b"RS+ A a q 3\r\n"),
        (Kind.ROUTE, Interest(b"", b"A", b"a", b"", 0), True, b"RS- A a\r\n"),
        (Kind.ROUTE, Interest(b"", b"A", b"a", b"q", 0), True, b"RS- A a q\r\n"),
        (Kind.ROUTE, Interest(b"LC", b"A", b"a", b"q", 3), True, b"LS+ LC A a q 3\r\n"),
        (Kind.ROUTE, Interest(b"LC", b"A", b"a", b"", 0), True, b"LS- LC A a\r\n"),
        (Kind.ROUTE, Interest(b"LC", b"A", b"a", b"", 1), False, b"RS+ A a\r\n"),
        (Kind.LEAF, Interest(b"", b"", b"a", b"", 1), True, b"LS+ a\r\n"),
        (Kind.LEAF, Interest(b"", b"", b"a", b"q", 2), True, b"LS+ a q 2\r\n"),
        (Kind.LEAF, Interest(b"", b"", b"a", b"q", 0), True, b"LS- a q\r\n"),
    ],
)
def test_interest_is_told_in_the_words_of_the_link(
    kind: Kind, interest: Interest, origins: bool, expected: bytes
) -> None:
    line = interest_line(kind, interest, origins=origins)
    assert expected == line
    if origins:
        parser = Parser(_dialect(kind))
        parser.feed(line)
        assert interest == parser.next()


def _dialect(kind: Kind) -> Dialect:
    return ROUTE_DIALECT if kind is Kind.ROUTE else LEAF_DIALECT
