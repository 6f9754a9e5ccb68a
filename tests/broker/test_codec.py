"""Every operation and every error: whole, byte by byte, cut at every position, with more behind it.

What is expected was asked of nats-server 2.15.1 with raw bytes, including how many of them it needs
before it complains.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker import codec, errors
from broker.codec import CLIENT_DIALECT, Parser
from broker.errors import ProtocolError, WireError
from broker.ops import (
    Connect,
    Err,
    Info,
    Ok,
    Op,
    Ping,
    Pong,
    Publish,
    Subscribe,
    Unsubscribe,
)

MAX_PAYLOAD = 1000


def make_parser() -> Parser:
    parser = Parser(CLIENT_DIALECT, max_payload=MAX_PAYLOAD)
    parser.headers = True
    return parser


def parse(chunks: Iterable[bytes], parser: Parser | None = None) -> list[Op | WireError]:
    """All operations in `chunks`, and the error that ends them, if one does."""
    parser = parser or make_parser()
    found: list[Op | WireError] = []
    try:
        for chunk in chunks:
            parser.feed(chunk)
            while (op := parser.next()) is not None:
                found.append(op)
    except ProtocolError as failure:
        found.append(failure.error)
    return found


def single_bytes(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


LONG = b"a" * 4094

VALID: list[tuple[bytes, list[Op]]] = [
    (b"PING\r\n", [Ping()]),
    (b"ping\n", [Ping()]),
    (b"PING and anything else\r\n", [Ping()]),
    (b"PINGPONG\r\n", [Ping()]),
    (b"PING " + b"x" * 5000 + b"\r\n", [Ping()]),
    (b"PONG\r\n", [Pong()]),
    (b"+OK\r\n", [Ok()]),
    (b"+okay\r\n", [Ok()]),
    (b"-ERR 'Stale Connection'\r\n", [Err(b"'Stale Connection'")]),
    (b'CONNECT {"a":1}\r\n', [Connect(b'{"a":1}')]),
    (b'CONNECT{"a":1}\r\n', [Connect(b'{"a":1}')]),
    (b'connect \t {"a":1} \r\n', [Connect(b'{"a":1} ')]),
    (b"CONNECT\r\n", [Connect(b"")]),
    (b"INFO {}\r\n", [Info(b"{}")]),
    (b"SUB a 1\r\n", [Subscribe(b"a", b"", b"1")]),
    (b"SUB a q 1\r\n", [Subscribe(b"a", b"q", b"1")]),
    (b"sUb\ta \t q\t1 \n", [Subscribe(b"a", b"q", b"1")]),
    (b"SUB \na 1\n", [Subscribe(b"a", b"", b"1")]),
    (b"SUB a\x0bb\x0c 1\r\n", [Subscribe(b"a\x0bb\x0c", b"", b"1")]),
    (b"SUB a\r 1\r\n", [Subscribe(b"a", b"", b"1")]),
    (b"SUB " + LONG + b" 1\r\n", [Subscribe(LONG, b"", b"1")]),
    (b"SUB " + b" " * 9000 + LONG + b" 1\r\n", [Subscribe(LONG, b"", b"1")]),
    (b"UNSUB 1\r\n", [Unsubscribe(b"1", 0)]),
    (b"UNSUB 1 \r\n", [Unsubscribe(b"1", 0)]),
    (b"UNSUB 1 5\r\n", [Unsubscribe(b"1", 5)]),
    (b"UNSUB 1 0005\r\n", [Unsubscribe(b"1", 5)]),
    (b"UNSUB 1 -5\r\n", [Unsubscribe(b"1", 0)]),
    (b"UNSUB 1 many\r\n", [Unsubscribe(b"1", 0)]),
    (b"UNSUB 1 9999999999\r\n", [Unsubscribe(b"1", 0)]),
    (b"PUB a 0\r\n\r\n", [Publish(b"a", b"", b"")]),
    (b"PUB a 5\r\nhello\r\n", [Publish(b"a", b"", b"hello")]),
    (b"PUB a r 5\r\nhello\r\n", [Publish(b"a", b"r", b"hello")]),
    (b"PUB a  5\r\nhello\r\n", [Publish(b"a", b"", b"hello")]),
    (b"pUb\ta\t \tr\t5 \nhello\r\n", [Publish(b"a", b"r", b"hello")]),
    (b"PUB a 00005\r\nhello\r\n", [Publish(b"a", b"", b"hello", size_text=b"00005")]),
    (b"PUB a 8\r\n\r\nPING\r\n\r\n", [Publish(b"a", b"", b"\r\nPING\r\n")]),
    (b"PUB a\rb 1\r\nx\r\n", [Publish(b"a\rb", b"", b"x")]),
    (b"PUB \xe8\xaf\xbe 1\r\nx\r\n", [Publish(b"\xe8\xaf\xbe", b"", b"x")]),
    (b"PUB a 1000\r\n" + b"x" * 1000 + b"\r\n", [Publish(b"a", b"", b"x" * 1000)]),
    (
        b"HPUB a 12 13\r\nNATS/1.0\r\n\r\nx\r\n",
        [Publish(b"a", b"", b"NATS/1.0\r\n\r\nx", header_size=12)],
    ),
    (
        b"hpub a r 012 013\nNATS/1.0\r\n\r\nx\r\n",
        [
            Publish(
                b"a",
                b"r",
                b"NATS/1.0\r\n\r\nx",
                header_size=12,
                header_text=b"012",
                size_text=b"013",
            )
        ],
    ),
    (b"HPUB a 0 1\r\nx\r\n", [Publish(b"a", b"", b"x", header_text=b"0")]),
    (b"HPUB a 5 6\r\nhelloX\r\n", [Publish(b"a", b"", b"helloX", header_size=5)]),
    (b"PING\r\nSUB a 1\r\nPONG\r\n", [Ping(), Subscribe(b"a", b"", b"1"), Pong()]),
]

UNKNOWN, SILENT = errors.UNKNOWN_OPERATION, errors.BAD_ARGUMENTS

# The bytes up to and including the one at which nats-server gives up, and how.
WRONG: list[tuple[bytes, WireError]] = [
    (b"X", UNKNOWN),
    (b"\r", UNKNOWN),
    (b"\n", UNKNOWN),
    (b" ", UNKNOWN),
    (b"\x00", UNKNOWN),
    (b"PX", UNKNOWN),
    (b"PUX", UNKNOWN),
    (b"PUBL", UNKNOWN),
    (b"PUB\r", UNKNOWN),
    (b"PIN\r", UNKNOWN),
    (b"SUB\r", UNKNOWN),
    (b"SUBJ", UNKNOWN),
    (b"UNSUB\r", UNKNOWN),
    (b"HM", UNKNOWN),
    (b"HPUBS", UNKNOWN),
    (b"CONNECX", UNKNOWN),
    (b"+X", UNKNOWN),
    (b"-ERR\r", UNKNOWN),
    (b"-E ", UNKNOWN),
    (b"M", UNKNOWN),
    (b"R", UNKNOWN),
    (b"L", UNKNOWN),
    (b"A", UNKNOWN),
    (b"SUB \r\n", SILENT),
    (b"SUB a\r\n", SILENT),
    (b"SUB a b c d\r\n", SILENT),
    (b"UNSUB \r\n", SILENT),
    (b"UNSUB 1 2 3\r\n", SILENT),
    (b"PUB \r\n", SILENT),
    (b"PUB a\r\n", SILENT),
    (b"PUB a b c 1\r\n", SILENT),
    (b"PUB a -1\r\n", SILENT),
    (b"PUB a +1\r\n", SILENT),
    (b"PUB a abc\r\n", SILENT),
    (b"PUB a 0000000001\r\n", SILENT),
    (b"PUB a \xb2\r\n", SILENT),
    (b"PUB a 1001\r\n", errors.PAYLOAD_EXCEEDED),
    (b"PUB a 999999999\r\n", errors.PAYLOAD_EXCEEDED),
    (b"PUB a 1\r\nxy", UNKNOWN),
    (b"PUB a 1\r\nx\n", UNKNOWN),
    (b"PUB a 1\r\nx\rx", UNKNOWN),
    (b"PUB a 0\r\nx", UNKNOWN),
    (b"HPUB a 5\r\n", SILENT),
    (b"HPUB a b c 1 2\r\n", SILENT),
    (b"HPUB a 13 12\r\n", SILENT),
    (b"HPUB a -1 12\r\n", SILENT),
    (b"HPUB a x 12\r\n", SILENT),
    (b"HPUB a 12 1001\r\n", errors.PAYLOAD_EXCEEDED),
    (b"SUB " + b"a" * 4097, errors.CONTROL_LINE_EXCEEDED),
    (b"CONNECT " + b"{" * 4097, errors.CONTROL_LINE_EXCEEDED),
]

# A long line is not cut at each of its bytes: that would only take long.
CUTTABLE = [case for case in VALID if len(case[0]) < 200]
CUTTABLE_WRONG = [case for case in WRONG if len(case[0]) < 200]


@pytest.mark.parametrize(("data", "ops"), VALID)
def test_an_operation_that_comes_whole(data: bytes, ops: list[Op]) -> None:
    assert ops == parse([data])


@pytest.mark.parametrize(("data", "ops"), VALID)
def test_an_operation_that_comes_byte_by_byte(data: bytes, ops: list[Op]) -> None:
    assert ops == parse(single_bytes(data))


@pytest.mark.parametrize(("data", "ops"), CUTTABLE)
def test_an_operation_that_is_cut_anywhere(data: bytes, ops: list[Op]) -> None:
    for cut in range(1, len(data)):
        assert ops == parse([data[:cut], data[cut:]]), f"cut at {cut}"


@pytest.mark.parametrize(("data", "ops"), VALID)
def test_an_operation_with_another_behind_it(data: bytes, ops: list[Op]) -> None:
    assert [*ops, Ping()] == parse([data + b"PING\r\n"])
    assert [*ops, Ping()] == parse([data + b"P", b"ING\r\n"])


@pytest.mark.parametrize(("data", "ops"), VALID)
def test_nothing_comes_of_an_operation_before_its_last_byte(data: bytes, ops: list[Op]) -> None:
    assert ops[:-1] == parse([data[:-1]])
    assert ops[:-1] == parse(single_bytes(data[:-1]))


@pytest.mark.parametrize(("data", "error"), WRONG)
def test_an_error_that_comes_whole(data: bytes, error: WireError) -> None:
    assert [error] == parse([data])


@pytest.mark.parametrize(("data", "error"), WRONG)
def test_an_error_that_comes_byte_by_byte_is_seen_at_its_first_wrong_byte(
    data: bytes, error: WireError
) -> None:
    assert [] == parse(single_bytes(data[:-1]))
    assert [error] == parse(single_bytes(data))


@pytest.mark.parametrize(("data", "error"), CUTTABLE_WRONG)
def test_an_error_that_is_cut_anywhere(data: bytes, error: WireError) -> None:
    for cut in range(1, len(data)):
        assert [error] == parse([data[:cut], data[cut:]]), f"cut at {cut}"


@pytest.mark.parametrize(("data", "error"), WRONG)
def test_an_error_behind_and_before_other_operations(data: bytes, error: WireError) -> None:
    assert [Ping(), error] == parse([b"PING\r\n" + data + b"PING\r\n"])


def test_a_control_line_may_be_4096_bytes_of_arguments_and_not_one_more() -> None:
    at_the_limit = b"SUB " + b"a" * 4093 + b" 1 "
    assert [Subscribe(b"a" * 4093, b"", b"1")] == parse([at_the_limit + b"\r\n"])
    assert [errors.CONTROL_LINE_EXCEEDED] == parse([at_the_limit + b" \r\n"])


def test_the_carriage_return_of_a_line_at_the_limit_may_come_in_a_read_of_its_own() -> None:
    line = b"SUB " + b"a" * 4094 + b" 1"
    assert [Subscribe(b"a" * 4094, b"", b"1")] == parse([line, b"\r", b"\n"])


def test_an_hpub_without_headers_agreed_closes_without_a_word() -> None:
    parser = make_parser()
    parser.headers = False
    assert [errors.BAD_ARGUMENTS] == parse([b"HPUB a 12 13\r\n"], parser)


@pytest.mark.parametrize("data", [b"P", b"s", b"\n", b"X", b"+"])
def test_while_locked_the_first_byte_must_be_a_c(data: bytes) -> None:
    parser = make_parser()
    parser.locked = True
    assert [errors.AUTHORIZATION_VIOLATION] == parse([data], parser)


def test_while_locked_a_connect_passes_in_pieces_and_what_only_begins_like_one_does_not() -> None:
    parser = make_parser()
    parser.locked = True
    assert [Connect(b"{}")] == parse(single_bytes(b"connect {}\r\n"), parser)
    parser = make_parser()
    parser.locked = True
    assert [UNKNOWN] == parse([b"c", b"X"], parser)


def test_blanks_and_ignored_text_are_not_kept_in_memory() -> None:
    parser = make_parser()
    parser.feed(b"SUB " + b" " * 100_000)
    assert parser.next() is None
    assert len(parser.data) == 0
    parser = make_parser()
    parser.feed(b"PING " + b"x" * 100_000)
    assert parser.next() is None
    assert len(parser.data) == 0


def test_a_parser_that_has_taken_all_keeps_nothing_of_the_read() -> None:
    parser = make_parser()
    parser.feed(b"PING\r\n" * 1000)
    while parser.next() is not None:
        pass
    assert b"" == parser.data


# --- random streams, cut at random


def blank() -> st.SearchStrategy[bytes]:
    return st.sampled_from([b" ", b"  ", b"\t", b" \t "])


def spelled(verb: bytes) -> st.SearchStrategy[bytes]:
    return st.sampled_from([verb, verb.lower(), verb.capitalize()])


TOKEN = st.text("abcAB.*>\x0b_$", min_size=1, max_size=8).map(str.encode)
END = st.sampled_from([b"\r\n", b"\n", b" \r\n"])
PAYLOAD = st.binary(max_size=40) | st.just(b"\r\nPUB a 1\r\n")


@st.composite
def operations(draw: st.DrawFn) -> tuple[bytes, Op]:
    kind = draw(st.sampled_from(["pub", "hpub", "sub", "unsub", "ping", "pong", "connect"]))
    gap, end = draw(blank()), draw(END)
    if kind == "pub":
        subject, reply, payload = draw(TOKEN), draw(st.none() | TOKEN), draw(PAYLOAD)
        words = [subject, *([reply] if reply else []), b"%d" % len(payload)]
        line = draw(spelled(b"PUB")) + gap + gap.join(words) + end + payload + b"\r\n"
        return line, Publish(subject, reply or b"", payload)
    if kind == "hpub":
        subject, head, body = draw(TOKEN), draw(PAYLOAD), draw(PAYLOAD)
        sizes = [b"%d" % len(head), b"%d" % len(head + body)]
        line = draw(spelled(b"HPUB")) + gap + gap.join([subject, *sizes]) + end
        op = Publish(
            subject, b"", head + body, header_size=len(head), header_text=b"%d" % len(head)
        )
        return line + head + body + b"\r\n", op
    if kind == "sub":
        subject, queue, sid = draw(TOKEN), draw(st.none() | TOKEN), draw(TOKEN)
        words = [subject, *([queue] if queue else []), sid]
        line = draw(spelled(b"SUB")) + gap + gap.join(words) + end
        return line, Subscribe(subject, queue or b"", sid)
    if kind == "unsub":
        sid, limit = draw(TOKEN), draw(st.integers(0, 99))
        words = [sid, b"%d" % limit]
        return draw(spelled(b"UNSUB")) + gap + gap.join(words) + end, Unsubscribe(sid, limit)
    if kind == "connect":
        json = b'{"name":"' + draw(TOKEN) + b'"}'
        return draw(spelled(b"CONNECT")) + gap + json + b"\r\n", Connect(json)
    if kind == "ping":
        return draw(spelled(b"PING")) + end, Ping()
    return draw(spelled(b"PONG")) + end, Pong()


@st.composite
def cut(draw: st.DrawFn, data: bytes) -> list[bytes]:
    places = sorted(draw(st.sets(st.integers(0, len(data)), max_size=12)))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


@given(st.data(), st.lists(operations(), max_size=12))
def test_random_streams_cut_anywhere_give_the_same_operations(
    data: st.DataObject, stream: list[tuple[bytes, Op]]
) -> None:
    wire = b"".join(line for line, _ in stream)
    assert [op for _, op in stream] == parse(data.draw(cut(wire)))


@given(st.data(), st.binary(max_size=60))
def test_random_bytes_never_raise_anything_but_a_protocol_error(
    data: st.DataObject, noise: bytes
) -> None:
    assert parse([noise]) == parse(data.draw(cut(noise)))


def test_a_large_payload_in_many_reads_is_gathered_once() -> None:
    parser = Parser(CLIENT_DIALECT, max_payload=1 << 20)
    size = 1 << 20
    parser.feed(b"PUB a %d\r\n" % size)
    for _ in range(size // 16):
        assert parser.next() is None
        parser.feed(b"0123456789abcdef")
        # What waits for parsing is only ever the latest read: nothing is copied again and again.
        assert len(parser.data) <= 16
    assert parser.next() is None
    parser.feed(b"\r\n")
    assert Publish(b"a", b"", b"0123456789abcdef" * (size // 16)) == parser.next()


# --- bytes out


def test_a_message_is_framed_around_the_sid() -> None:
    assert (b"MSG a ", b" 1\r\nx\r\n") == codec.msg_parts(b"a", b"", b"1", b"x\r\n")
    assert (b"MSG a ", b" r 01\r\nx\r\n") == codec.msg_parts(b"a", b"r", b"01", b"x\r\n")


def test_a_message_with_headers_carries_both_sizes() -> None:
    expected = (b"HMSG a ", b" 1 2\r\nhx\r\n")
    assert expected == codec.hmsg_parts(b"a", b"", b"1", b"2", b"hx\r\n")
    expected = (b"HMSG a ", b" r 1 2\r\nhx\r\n")
    assert expected == codec.hmsg_parts(b"a", b"r", b"1", b"2", b"hx\r\n")


def test_the_answer_of_nobody_names_the_subject() -> None:
    assert (
        b"HMSG _INBOX.x 1 38 38\r\nNATS/1.0 503\r\nNats-Subject: nobody\r\n\r\n\r\n"
    ) == codec.no_responders(b"nobody", b"_INBOX.x", b"1")


def test_an_info_line_has_a_blank_before_its_end() -> None:
    assert b'INFO {"a":1} \r\n' == codec.info_line(b'{"a":1}')


def test_an_operation_shows_itself_shortly_and_compares_by_value() -> None:
    publish = Publish(b"a", b"r", b"hello")
    assert "<Publish b'a' reply b'r' 5 bytes>" == repr(publish)
    assert {publish} == {Publish(b"a", b"r", b"hello")}
    assert publish != Ping()


def test_messages_in_output_are_counted_whatever_they_hold() -> None:
    output = (
        b"+OK\r\nMSG a.b 1 11\r\nMSG x 1 0\r\n\r\n"
        b"PING\r\nHMSG a 2 rr 12 13\r\nNATS/1.0\r\n\r\nx\r\n-ERR 'no'\r\nMSG a 1 0\r\n\r\n"
    )
    assert 3 == codec.count_messages(output)
    assert 0 == codec.count_messages(b"")
