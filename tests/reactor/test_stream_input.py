"""The read side of streams: pieces, pauses, requests and rates."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactor import CloseKind, Reactor, ReactorError
from reactor.budgets import READ_BUDGET, READ_MOST, READ_SIZE
from reactor.errors import LimitError
from reactor.ratelimit import TokenBucket
from reactor.stream import Stream
from reactor.testing import VirtualReactor, make_reactor, memory_socketpair
from tests.support.streams import (
    Recorder,
    drain,
    memory_stream,
    unix_pair,
    wait_for,
)


@pytest.fixture
def reactor(backend: str) -> Iterator[Reactor]:
    """A real reactor, in which no handler may raise unless the test says so."""
    errors: list[object] = []
    with Reactor(backend=backend) as reactor:
        reactor.on_error = errors.append
        yield reactor
        raised, errors[:] = errors[:], []
    assert [] == raised + errors


@pytest.fixture
def virtual() -> Iterator[VirtualReactor]:
    """A reactor in virtual time."""
    reactor = make_reactor()
    with reactor:
        yield reactor


# --- reading ------------------------------------------------------------------------------------


def test_all_data_is_delivered_before_the_end_of_it(reactor: Reactor) -> None:
    ours, theirs = unix_pair()
    sent = random.Random(1).randbytes(150_000)
    theirs.setblocking(True)
    handler = Recorder()
    Stream(reactor, ours, handler)
    position = 0

    def feed() -> None:
        nonlocal position
        try:
            theirs.setblocking(False)
            position += theirs.send(sent[position : position + 50_000])
        except BlockingIOError:
            pass
        if position < len(sent):
            reactor.call_soon(feed)
        else:
            theirs.close()

    feed()
    wait_for(reactor, lambda: handler.closed)
    assert sent == bytes(handler.data)
    assert ["open", "data", "eof", "close"] == handler.events


def test_one_turn_reads_at_most_the_budget(virtual: VirtualReactor) -> None:
    ours, theirs = memory_socketpair(virtual.demultiplexer, capacity=READ_BUDGET * 3)
    handler = Recorder()
    Stream(virtual, ours, handler)
    virtual.settle()
    theirs.send(b"x" * (READ_BUDGET * 2 + 5))
    turns = []
    while len(handler.data) < READ_BUDGET * 2 + 5:
        virtual.run_once(0)
        turns.append(len(handler.data))
    assert [READ_BUDGET, READ_BUDGET * 2, READ_BUDGET * 2 + 5] == turns


def test_a_read_that_came_back_short_is_not_repeated(
    virtual: VirtualReactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    _stream, theirs = memory_stream(virtual, Recorder())
    sizes: list[int] = []
    original = theirs._peer.recv

    def noted(size: int) -> bytes:
        sizes.append(size)
        return original(size)

    monkeypatch.setattr(theirs._peer, "recv", noted)
    theirs.send(b"x" * 100)
    virtual.settle()
    assert [READ_SIZE] == sizes


def test_a_stream_that_fills_its_reads_is_asked_for_more_until_it_brings_little(
    virtual: VirtualReactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = memory_socketpair(virtual.demultiplexer, capacity=READ_BUDGET)
    asked: list[int] = []
    original = ours.recv

    def noted(size: int) -> bytes:
        asked.append(size)
        return original(size)

    monkeypatch.setattr(ours, "recv", noted)
    Stream(virtual, ours, Recorder())
    virtual.settle()
    seen = []
    for size in (READ_SIZE + 1, 2 * READ_SIZE, 10, 10):
        asked.clear()
        theirs.send(b"x" * size)
        virtual.settle()
        seen.append(asked[:])
    rest = READ_BUDGET - READ_SIZE
    assert seen == [[READ_SIZE, rest], [READ_SIZE, rest], [READ_MOST], [READ_SIZE]]


def test_while_reading_is_paused_nothing_is_read_and_nothing_is_lost(reactor: Reactor) -> None:
    ours, theirs = unix_pair()
    handler = Recorder(open=lambda s: s.pause_reading())
    stream = Stream(reactor, ours, handler)
    with theirs:
        theirs.send(b"patience")
        for _ in range(5):
            reactor.run_once(0)
        assert ["open"] == handler.events
        assert not stream.stats().reading
    stream.resume_reading()
    wait_for(reactor, lambda: handler.closed)
    assert (["open", "data", "eof", "close"], b"patience") == (handler.events, bytes(handler.data))


def test_pausing_within_on_data_holds_back_the_rest_and_its_end(reactor: Reactor) -> None:
    ours, theirs = unix_pair()
    handler = Recorder(data=lambda s: s.pause_reading())
    stream = Stream(reactor, ours, handler)
    theirs.send(b"x" * (READ_SIZE + 10))
    theirs.close()
    wait_for(reactor, lambda: handler.data)
    for _ in range(5):
        reactor.run_once(0)
    assert ["open", "data"] == handler.events
    assert 0 < len(handler.data) <= READ_SIZE
    handler.then.clear()
    stream.resume_reading()
    wait_for(reactor, lambda: handler.closed)
    assert READ_SIZE + 10 == len(handler.data)
    assert CloseKind.EOF == handler.kind


# --- read_until and read_exactly ----------------------------------------------------------------


class Framed(Recorder):
    """Reads a length on a line, then so many bytes, again and again."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[bytes] = []

    def on_open(self, stream: Stream) -> None:
        super().on_open(stream)
        stream.read_until(b"\r\n", partial(self.on_line, stream))

    def on_line(self, stream: Stream, line: bytes) -> None:
        assert line.endswith(b"\r\n")
        stream.read_exactly(int(line), partial(self.on_body, stream))

    def on_body(self, stream: Stream, body: bytes) -> None:
        self.frames.append(body)
        stream.read_until(b"\r\n", partial(self.on_line, stream))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.binary(max_size=40), max_size=10), st.data())
def test_frames_are_found_however_the_bytes_were_cut(
    bodies: list[bytes], data: st.DataObject
) -> None:
    whole = b"".join(b"%d\r\n%b" % (len(body), body) for body in bodies)
    reactor = make_reactor()
    with reactor:
        handler = Framed()
        _stream, theirs = memory_stream(reactor, handler)
        while whole:
            size = data.draw(st.integers(1, len(whole)))
            theirs.send(whole[:size])
            whole = whole[size:]
            reactor.settle()
        assert bodies == handler.frames
        theirs.send(b"12")
        theirs.close()
        reactor.settle()
    # What was begun and never finished goes the ordinary way, before the end.
    assert (b"12", ["open", "data", "eof", "close"]) == (bytes(handler.data), handler.events)


def test_what_follows_a_request_goes_to_on_data(virtual: VirtualReactor) -> None:
    lines: list[bytes] = []
    handler = Recorder(open=lambda s: s.read_until(b"\n", lines.append))
    _stream, theirs = memory_stream(virtual, handler)
    theirs.send(b"line\nrest")
    virtual.settle()
    theirs.send(b" and more")
    virtual.settle()
    assert ([b"line\n"], b"rest and more") == (lines, bytes(handler.data))


def test_pausing_between_two_requests_holds_back_the_second(virtual: VirtualReactor) -> None:
    got: list[bytes] = []

    def on_first(line: bytes) -> None:
        got.append(line)
        stream.pause_reading()
        stream.read_exactly(3, got.append)

    stream, theirs = memory_stream(virtual, Recorder(open=lambda s: s.read_until(b"\n", on_first)))
    theirs.send(b"one\ntwo")
    theirs.close()
    virtual.settle()
    assert [b"one\n"] == got
    stream.resume_reading()
    virtual.settle()
    assert [b"one\n", b"two"] == got


def test_a_line_beyond_the_limit_closes_with_overflow(virtual: VirtualReactor) -> None:
    handler = Recorder(open=lambda s: s.read_until(b"\r\n", lines.append, limit=10))
    lines: list[bytes] = []
    stream, theirs = memory_stream(virtual, handler)
    stream.write(b"already queued")
    theirs.send(b"123456789")
    virtual.settle()
    assert not handler.closed
    theirs.send(b"0")
    virtual.settle()
    assert ([], CloseKind.OVERFLOW) == (lines, handler.kind)
    assert "no b'\\r\\n' within 10 bytes" == (handler.reason and handler.reason.detail)
    assert b"already queued" == drain(theirs)


def test_a_line_of_just_the_limit_is_delivered(virtual: VirtualReactor) -> None:
    lines: list[bytes] = []
    _stream, theirs = memory_stream(
        virtual, Recorder(open=lambda s: s.read_until(b"\n", lines.append, limit=5))
    )
    theirs.send(b"1234\n")
    virtual.settle()
    assert [b"1234\n"] == lines


def test_reading_no_bytes_is_done_at_once(virtual: VirtualReactor) -> None:
    got: list[bytes] = []
    stream, _theirs = memory_stream(virtual, Recorder())
    stream.read_exactly(0, got.append)
    assert [] == got
    virtual.settle()
    assert [b""] == got


def test_requests_that_make_no_sense_are_refused(virtual: VirtualReactor) -> None:
    stream, _theirs = memory_stream(virtual, Recorder())
    for separator, limit in ((b"", 10), (b"\r\n", 1)):
        with pytest.raises(LimitError, match="separator"):
            stream.read_until(separator, print, limit=limit)
    with pytest.raises(LimitError, match="-1"):
        stream.read_exactly(-1, print)
    stream.read_exactly(1, print)
    with pytest.raises(ReactorError, match="already"):
        stream.read_until(b"\n", print)


def test_a_request_of_a_closed_stream_is_never_answered(virtual: VirtualReactor) -> None:
    got: list[bytes] = []
    stream, theirs = memory_stream(virtual, Recorder())
    theirs.send(b"12345\n")
    stream.close()
    stream.read_until(b"\n", got.append)
    virtual.settle()
    assert [] == got


def test_a_handler_can_be_replaced_in_mid_stream(virtual: VirtualReactor) -> None:
    second = Recorder()

    def upgrade(line: bytes) -> None:
        stream.handler = second

    stream, theirs = memory_stream(virtual, Recorder(open=lambda s: s.read_until(b"\n", upgrade)))
    theirs.send(b"upgrade\nnew protocol")
    theirs.close()
    virtual.settle()
    assert b"new protocol" == bytes(second.data)
    assert ["data", "eof", "close"] == second.events


# --- rate limits --------------------------------------------------------------------------------


def test_reading_is_held_to_its_rate(virtual: VirtualReactor) -> None:
    handler = Recorder()
    _stream, theirs = memory_stream(virtual, handler, read_limit=TokenBucket(1000, 500))
    theirs.send(b"x" * 10_000)
    virtual.settle()
    assert 500 == len(handler.data)
    virtual.run_for(3)
    assert 3450 <= len(handler.data) <= 3500
    theirs.close()
    virtual.run_for(10)
    assert (10_000, CloseKind.EOF) == (len(handler.data), handler.kind)


def test_writing_is_held_to_its_rate(virtual: VirtualReactor) -> None:
    handler = Recorder()
    stream, theirs = memory_stream(virtual, handler, write_limit=TokenBucket(1000, 500))
    stream.write(b"x" * 3000)
    stream.write(b"y" * 1000)
    stream.close()
    virtual.settle()
    got = len(drain(theirs))
    assert 500 == got
    virtual.run_for(1)
    got += len(drain(theirs))
    assert 1450 <= got <= 1500
    virtual.run_for(5)
    assert (4000 - got, CloseKind.LOCAL) == (len(drain(theirs)), handler.kind)


def test_a_small_read_does_not_use_up_tokens_it_was_only_allowed(virtual: VirtualReactor) -> None:
    bucket = TokenBucket(1, 1000)
    handler = Recorder()
    _stream, theirs = memory_stream(virtual, handler, read_limit=bucket)
    for _ in range(10):
        theirs.send(b"x" * 100)
        virtual.settle()
    assert (1000, 0) == (len(handler.data), bucket.take(1, virtual.now()))
