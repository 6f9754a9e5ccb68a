"""The write side of streams: joining, the smallest buffers, back pressure, half close."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactor import CloseKind, CloseReason, Reactor
from reactor.budgets import READ_BUDGET
from reactor.stream import Stream, StreamHandler
from reactor.testing import VirtualReactor, make_reactor, memory_socketpair
from tests.support.streams import (
    Recorder,
    drain,
    memory_stream,
    read_from,
    tcp_pair,
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


# --- writing ------------------------------------------------------------------------------------


def test_small_writes_of_a_turn_reach_the_kernel_as_one(
    virtual: VirtualReactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, theirs = memory_stream(virtual, Recorder())
    sent: list[bytes] = []
    original = theirs._peer.send

    def noted(data: bytes) -> int:
        sent.append(bytes(data))
        return original(data)

    monkeypatch.setattr(theirs._peer, "send", noted)
    for part in (b"a", b"b", b"c"):
        stream.write(part)
    stream.writelines([b"d", bytearray(b"e"), memoryview(b"f")])
    assert [] == sent
    virtual.run_once(0)
    assert [b"abcdef"] == sent


def test_a_byte_at_a_time_is_enough_for_everything_to_arrive_in_order(
    virtual: VirtualReactor,
) -> None:
    stream, theirs = memory_stream(virtual, Recorder())
    theirs._peer.send_limit = 1
    sent = random.Random(2).randbytes(300)
    for at in range(0, 300, 7):
        stream.write(sent[at : at + 7])
    virtual.settle()
    assert (sent, 0) == (drain(theirs), stream.pending)


@pytest.mark.parametrize("sizes", [(200_000,), (1,) * 3000, (10, 20_000, 5, 70_000, 3) * 4])
def test_a_slow_reader_with_the_smallest_buffers_gets_every_byte(
    reactor: Reactor, sizes: tuple[int, ...]
) -> None:
    ours, theirs = unix_pair(buffer_size=1)
    rng = random.Random(3)
    parts = [rng.randbytes(size) for size in sizes]
    stream = Stream(reactor, ours, Recorder())
    with theirs:
        stream.writelines(parts)
        assert b"".join(parts) == read_from(reactor, theirs, sum(sizes))
    assert 0 == stream.pending
    assert sum(sizes) == stream.stats().bytes_out


def test_large_writes_between_small_ones_leave_in_one_gathering_send(reactor: Reactor) -> None:
    ours, theirs = unix_pair()
    stream = Stream(reactor, ours, Recorder())
    parts = [b"head", b"x" * 20_000, b"foot", b"y" * 20_000]
    with theirs:
        wait_for(reactor, lambda: True)
        reactor.run_once(0)
        for part in parts:
            stream.write(part)
        reactor.run_once(0)
        assert b"".join(parts) == theirs.recv(100_000)


def test_writability_is_asked_for_only_after_a_short_write(reactor: Reactor) -> None:
    ours, theirs = unix_pair(buffer_size=1)
    stream = Stream(reactor, ours, Recorder())
    handle = stream._handle
    assert handle is not None
    interests = set()
    with theirs:
        stream.write(b"fits")
        reactor.run_once(0)
        interests.add(handle.interest)
        stream.write(b"x" * 100_000)
        reactor.run_once(0)
        waiting = handle.interest
        read_from(reactor, theirs, 100_004)
        reactor.run_once(0)
        interests.add(handle.interest)
    assert ({1}, 3) == (interests, waiting)


def test_while_the_kernel_is_full_nothing_is_offered_to_it(
    virtual: VirtualReactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, theirs = memory_stream(virtual, Recorder(), capacity=10)
    offers: list[int] = []
    original = theirs._peer.send

    def noted(data: bytes) -> int:
        offers.append(len(data))
        return original(data)

    monkeypatch.setattr(theirs._peer, "send", noted)
    for _ in range(5):
        stream.write(b"123456")
        virtual.settle()
    stream.write_eof()
    virtual.settle()
    assert [6, 6] == offers
    assert b"1234561234" == theirs.recv(100)
    virtual.settle()
    assert [6, 6, 2, 18] == offers


def test_writes_after_the_end_are_counted_and_do_nothing(virtual: VirtualReactor) -> None:
    handler = Recorder()
    stream, theirs = memory_stream(virtual, handler)
    stream.write(b"last")
    stream.write_eof()
    stream.write(b"x")
    stream.close()
    stream.writelines([b"y", b"z"])
    virtual.settle()
    stream.write(b"x")
    assert (b"last", 3) == (drain(theirs), stream.stats().refused_writes)
    assert ["open", "close"] == handler.events


def test_a_stream_does_not_carry_text(virtual: VirtualReactor) -> None:
    stream, _theirs = memory_stream(virtual, Recorder())
    with pytest.raises(TypeError, match="encode"):
        stream.write("text")  # type: ignore[arg-type]  # the mistake that is tested


# --- back pressure ------------------------------------------------------------------------------


def test_pause_and_resume_are_told_on_the_edges_only(virtual: VirtualReactor) -> None:
    handler = Recorder()
    stream, theirs = memory_stream(virtual, handler, capacity=100, high_water=100, low_water=10)
    for _ in range(5):
        stream.write(b"x" * 60)
        virtual.settle()
    assert (["open", "pause"], True) == (handler.events, stream.above_high_water)
    taken = drain(theirs)
    virtual.settle()
    assert (["open", "pause"], 100) == (handler.events, stream.pending)
    taken += drain(theirs)
    virtual.settle()
    assert (["open", "pause", "resume"], 0) == (handler.events, stream.pending)
    assert 300 == len(taken + drain(theirs))


def test_output_that_rose_and_fell_within_a_turn_bothers_nobody(virtual: VirtualReactor) -> None:
    handler = Recorder()
    stream, theirs = memory_stream(virtual, handler, high_water=100)
    stream.write(b"x" * 1000)
    virtual.settle()
    assert (1000, ["open"]) == (len(drain(theirs)), handler.events)


class Relay(StreamHandler):
    """One half of a relay: hands on what it hears, and holds back when the other side is full."""

    def __init__(self) -> None:
        self.other: Stream | None = None
        self.edges: list[str] = []
        self.reason: CloseReason | None = None

    def on_data(self, stream: Stream, data: bytes) -> None:
        assert self.other is not None
        self.other.write(data)

    def on_eof(self, stream: Stream) -> None:
        assert self.other is not None
        self.other.write_eof()

    def on_pause(self, stream: Stream) -> None:
        assert self.other is not None
        self.edges.append("pause")
        self.other.pause_reading()

    def on_resume(self, stream: Stream) -> None:
        assert self.other is not None
        self.edges.append("resume")
        self.other.resume_reading()

    def on_close(self, stream: Stream, reason: CloseReason) -> None:
        self.reason = reason


@settings(deadline=None, max_examples=60)
@given(
    chunks=st.lists(st.integers(1, 5000), max_size=30),
    reads=st.lists(st.integers(0, 3000), min_size=1, max_size=30),
    high=st.integers(0, 4000),
    capacity=st.integers(1, 3000),
    seed=st.integers(0, 1 << 32),
)
def test_a_relay_loses_nothing_never_deadlocks_and_never_flaps(
    chunks: list[int], reads: list[int], high: int, capacity: int, seed: int
) -> None:
    rng = random.Random(seed)
    reactor = make_reactor(rng=rng)
    with reactor:
        source, inlet = memory_socketpair(reactor.demultiplexer, capacity=capacity)
        outlet, sink = memory_socketpair(reactor.demultiplexer, capacity=capacity)
        front, back = Relay(), Relay()
        streams = [Stream(reactor, inlet, front), Stream(reactor, outlet, back, high_water=high)]
        front.other, back.other = reversed(streams)
        sent, got = bytearray(), bytearray()
        waiting = b"".join(rng.randbytes(size) for size in chunks)
        total, silent, turn = len(waiting), 0, 0
        while len(got) < total:
            before = len(got)
            if waiting:
                try:
                    taken = source.send(waiting[: rng.randint(1, 5000)])
                except BlockingIOError:
                    taken = 0
                sent += waiting[:taken]
                waiting = waiting[taken:]
            wish = reads[turn % len(reads)]
            if wish or silent > 2 * len(reads):
                try:
                    got += sink.recv(wish or 1)
                except BlockingIOError:
                    pass
            turn += 1
            silent = 0 if len(got) > before else silent + 1
            assert silent < 200 + 4 * len(reads), "deadlock"
            assert streams[1].pending <= high + 2 * READ_BUDGET
            reactor.run_once(0)
        assert bytes(sent) == bytes(got)
        alternating = ["pause", "resume"] * len(back.edges)
        assert alternating[: len(back.edges)] == back.edges
        # Each pair of edges has let at least the gap between the marks pass.
        assert len(back.edges) // 2 * (high - high // 4) <= total
        source.close()
        sink.close()
        reactor.settle()
        assert all(stream.closed for stream in streams)
        assert None is not front.reason and None is not back.reason


# --- half close ---------------------------------------------------------------------------------


def test_an_overridden_on_eof_leaves_the_other_direction_open(reactor: Reactor) -> None:
    ours, theirs = tcp_pair()
    handler = Recorder(eof=lambda s: reactor.call_soon(s.write, b"still here"))
    stream = Stream(reactor, ours, handler)
    with theirs:
        theirs.send(b"question")
        theirs.shutdown(socket.SHUT_WR)
        assert b"still here" == read_from(reactor, theirs, 10)
        assert ["open", "data", "eof"] == handler.events
        stream.write_eof()
        wait_for(reactor, lambda: handler.closed)
        assert b"" == read_from(reactor, theirs, 1)
    assert CloseKind.EOF == handler.kind


def test_after_write_eof_the_peer_sees_the_end_and_can_still_answer(reactor: Reactor) -> None:
    ours, theirs = tcp_pair()
    handler = Recorder()
    stream = Stream(reactor, ours, handler)
    stream.write(b"x" * 300_000)
    stream.write_eof()
    with theirs:
        assert 300_000 == len(read_from(reactor, theirs, 300_001))
        theirs.send(b"answer")
        wait_for(reactor, lambda: handler.data)
        assert not stream.closed
    wait_for(reactor, lambda: handler.closed)
    assert (b"answer", CloseKind.EOF) == (bytes(handler.data), handler.kind)


def test_a_stream_at_its_end_does_not_spin(reactor: Reactor) -> None:
    ours, theirs = unix_pair()
    handler = Recorder(eof=lambda s: None)
    stream = Stream(reactor, ours, handler)
    theirs.close()
    wait_for(reactor, lambda: "eof" in handler.events)
    reactor.run_once(0)
    assert [0, 0, 0] == [reactor.run_once(0) for _ in range(3)]
    stream.close()
    wait_for(reactor, lambda: handler.closed)


def test_a_hang_up_of_a_paused_stream_does_not_spin(reactor: Reactor) -> None:
    ours, theirs = unix_pair()
    handler = Recorder(open=lambda s: s.pause_reading())
    stream = Stream(reactor, ours, handler)
    reactor.run_once(0)
    theirs.send(b"bye")
    theirs.close()
    for _ in range(2):
        reactor.run_once(0)
    assert [0, 0, 0] == [reactor.run_once(0) for _ in range(3)]
    stream.resume_reading()
    wait_for(reactor, lambda: handler.closed)
    assert (b"bye", CloseKind.EOF) == (bytes(handler.data), handler.kind)
