"""Streams over every demultiplexer, over the smallest buffers, and through every way to end."""

from __future__ import annotations

import gc
import random
import socket
import weakref
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactor import CloseKind, CloseReason, Reactor, ReactorError
from reactor.budgets import READ_BUDGET, READ_SIZE
from reactor.errors import LimitError
from reactor.ratelimit import TokenBucket
from reactor.stream import Stream, StreamHandler
from reactor.testing import MemorySocket, VirtualReactor, make_reactor, memory_socketpair
from reactor.testing._memory import CAPACITY
from reactor.timers import Timer
from reactor.trace import ErrorContext
from tests.support.streams import Recorder, read_from, tcp_pair, unix_pair, wait_for


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


def memory_stream(
    virtual: VirtualReactor, handler: StreamHandler, capacity: int = CAPACITY, **options: object
) -> tuple[Stream, MemorySocket]:
    """Return an open stream in memory, and the other end to play the peer with."""
    ours, theirs = memory_socketpair(virtual.demultiplexer, capacity=capacity)
    stream = Stream(virtual, ours, handler, **options)  # type: ignore[arg-type]  # the test's own
    virtual.settle()
    return stream, theirs


def drain(sock: MemorySocket) -> bytes:
    """Return all that has arrived."""
    got = bytearray()
    while True:
        try:
            data = sock.recv(1 << 20)
        except BlockingIOError:
            return bytes(got)
        if not data:
            return bytes(got)
        got += data


# --- the life of a stream -----------------------------------------------------------------------


@pytest.mark.parametrize("pair", [tcp_pair, unix_pair])
def test_a_stream_opens_carries_both_ways_and_closes_once(reactor: Reactor, pair: object) -> None:
    ours, theirs = tcp_pair() if pair is tcp_pair else unix_pair()
    handler = Recorder(open=lambda s: s.write(b"hello"), data=lambda s: s.write(b"you too"))
    stream = Stream(reactor, ours, handler)
    with theirs:
        assert b"hello" == read_from(reactor, theirs, 5)
        theirs.send(b"hi")
        assert b"you too" == read_from(reactor, theirs, 7)
    wait_for(reactor, lambda: handler.closed)
    assert ["open", "data", "eof", "close"] == handler.events
    assert (b"hi", CloseKind.EOF) == (bytes(handler.data), handler.kind)
    assert stream.closed
    assert -1 == ours.fileno()


def test_on_open_comes_first_even_if_data_was_there_before(reactor: Reactor) -> None:
    ours, theirs = unix_pair()
    theirs.send(b"early")
    theirs.close()
    handler = Recorder()
    Stream(reactor, ours, handler)
    wait_for(reactor, lambda: handler.closed)
    assert ["open", "data", "eof", "close"] == handler.events


def test_nothing_is_called_from_within_a_call_of_ours(virtual: VirtualReactor) -> None:
    ours, _theirs = memory_socketpair(virtual.demultiplexer)
    handler = Recorder()
    stream = Stream(virtual, ours, handler, high_water=10)
    assert [] == handler.events
    virtual.settle()
    stream.write(b"x" * 100)
    stream.close()
    assert ["open"] == handler.events
    virtual.settle()
    assert ["open", "close"] == handler.events


def test_a_stream_closed_before_it_opened_only_hears_of_that(virtual: VirtualReactor) -> None:
    ours, _theirs = memory_socketpair(virtual.demultiplexer)
    handler = Recorder()
    Stream(virtual, ours, handler).close()
    virtual.settle()
    assert (["close"], CloseKind.LOCAL) == (handler.events, handler.kind)


def test_a_blocking_socket_is_made_non_blocking(reactor: Reactor) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        Stream(reactor, ours, Recorder())
        assert 0 == ours.gettimeout()


def test_the_peer_has_a_name_even_when_it_is_gone(reactor: Reactor) -> None:
    ours, theirs = tcp_pair()
    host, port = theirs.getsockname()
    handler = Recorder()
    stream = Stream(reactor, ours, handler)
    stream.abort()
    theirs.close()
    wait_for(reactor, lambda: handler.closed)
    assert f"{host}:{port}" == stream.peer
    assert "closed" in repr(stream)


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


def test_one_turn_reads_at_most_the_budget_and_in_pieces_of_64_kib(virtual: VirtualReactor) -> None:
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
    assert (READ_SIZE, ["open", "data"]) == (len(handler.data), handler.events)
    handler.then.clear()
    stream.resume_reading()
    wait_for(reactor, lambda: handler.closed)
    assert READ_SIZE + 10 == len(handler.data)
    assert CloseKind.EOF == handler.kind


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


# --- closing ------------------------------------------------------------------------------------


def test_close_writes_out_what_is_queued_first(reactor: Reactor) -> None:
    ours, theirs = unix_pair(buffer_size=1)
    handler = Recorder()
    stream = Stream(reactor, ours, handler)
    stream.write(b"x" * 100_000)
    stream.close()
    with theirs:
        assert 100_000 == len(read_from(reactor, theirs, 100_001))
    wait_for(reactor, lambda: handler.closed)
    assert CloseKind.LOCAL == handler.kind


def test_abort_drops_what_is_queued_and_counts_it(reactor: Reactor) -> None:
    ours, theirs = unix_pair()
    handler = Recorder()
    stream = Stream(reactor, ours, handler)
    stream.write(b"x" * 1000)
    stream.abort()
    wait_for(reactor, lambda: handler.closed)
    with theirs:
        assert b"" == theirs.recv(10)
    assert (1000, CloseKind.LOCAL) == (stream.stats().dropped, handler.kind)


def test_a_peer_that_takes_nothing_cannot_hold_up_a_close_for_ever(virtual: VirtualReactor) -> None:
    handler = Recorder()
    stream, _theirs = memory_stream(virtual, handler, capacity=1)
    stream.write(b"for nobody")
    stream.close(linger=5)
    virtual.run_for(4.9)
    assert not handler.closed
    virtual.run_for(0.2)
    assert (CloseKind.TIMEOUT, 9) == (handler.kind, stream.stats().dropped)
    assert handler.reason is not None and "5 s" in handler.reason.detail


def test_the_last_words_arrive_although_the_peer_is_still_talking(reactor: Reactor) -> None:
    # A socket closed with unread input resets the connection, which may destroy what was sent.
    ours, theirs = tcp_pair()
    handler = Recorder(open=lambda s: s.pause_reading())
    stream = Stream(reactor, ours, handler)
    with theirs:
        reactor.run_once(0)
        theirs.send(b"x" * 100_000)
        stream.write(b"-ERR go away")
        stream.close()
        wait_for(reactor, lambda: handler.closed)
        assert b"-ERR go away" == read_from(reactor, theirs, 13)


@pytest.mark.parametrize("how", ["close", "abort"])
@pytest.mark.parametrize("when", ["open", "data", "eof", "pause", "resume", "close"])
def test_a_stream_can_be_ended_from_within_every_callback(
    reactor: Reactor, how: str, when: str
) -> None:
    ours, theirs = unix_pair()
    handler = Recorder(**{when: lambda s: getattr(s, how)()})
    stream = Stream(reactor, ours, handler, high_water=100_000)
    with theirs:
        theirs.send(b"data")
        wait_for(reactor, lambda: handler.data or handler.closed)
        stream.write(b"x" * 1_000_000)
        read_from(reactor, theirs, 1_000_000)
    wait_for(reactor, lambda: handler.closed)
    assert 1 == handler.events.count("close")
    assert "close" == handler.events[-1]
    if when != "close":
        assert [when, "close"] == handler.events[-2:]


def test_a_handler_that_raises_loses_its_connection_and_nobody_elses(backend: str) -> None:
    contexts: list[ErrorContext] = []
    with Reactor(backend=backend) as reactor:
        reactor.on_error = contexts.append
        (ours, theirs), (ours2, theirs2) = unix_pair(), unix_pair()

        def fail(stream: Stream) -> None:
            raise KeyError("what was it")

        bad, good = Recorder(data=fail), Recorder()
        Stream(reactor, ours, bad)
        Stream(reactor, ours2, good)
        with theirs, theirs2:
            theirs.send(b"1")
            theirs2.send(b"2")
            wait_for(reactor, lambda: bad.closed and good.data)
            assert not good.closed
    assert CloseKind.ERROR == bad.kind
    assert bad.reason is not None
    assert [bad.reason.error] == [context.error for context in contexts]
    assert CloseKind.SHUTDOWN == good.kind


def test_closing_the_reactor_ends_every_stream_and_a_patient_one_writes_out(backend: str) -> None:
    reactor = Reactor(backend=backend)
    ours, theirs = unix_pair()
    handler, unopened = Recorder(), Recorder()
    stream = Stream(reactor, ours, handler)
    reactor.run_once(0)
    reactor.run_once(0)
    stream.write(b"goodbye")
    ours2, theirs2 = unix_pair()
    Stream(reactor, ours2, unopened)
    with theirs, theirs2:
        reactor.close(timeout=5)
        assert b"goodbye" == theirs.recv(100)
    assert [CloseKind.SHUTDOWN] * 2 == [handler.kind, unopened.kind]


def test_a_stream_that_ended_is_freed_without_the_cycle_collector(reactor: Reactor) -> None:
    ours, theirs = unix_pair()
    handler = Recorder()
    stream = Stream(reactor, ours, handler)
    stream.write(b"x")
    gone = weakref.ref(handler)
    gc.disable()
    try:
        theirs.close()
        while not handler.closed:
            reactor.run_once(1)
        reactor.run_once(0)
        del stream, handler
        assert gone() is None
    finally:
        gc.enable()


# --- broken connections -------------------------------------------------------------------------


def test_a_reset_is_the_reason_and_what_came_before_it_is_delivered(reactor: Reactor) -> None:
    ours, theirs = tcp_pair()
    handler = Recorder(open=lambda s: s.pause_reading())
    stream = Stream(reactor, ours, handler)
    reactor.run_once(0)
    theirs.send(b"last words")
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    theirs.close()
    stream.write(b"x")
    for _ in range(3):
        reactor.run_once(0)
    stream.resume_reading()
    wait_for(reactor, lambda: handler.closed)
    assert (b"last words", CloseKind.RESET) == (bytes(handler.data), handler.kind)
    assert "eof" not in handler.events


def test_when_writing_fails_pending_input_is_still_delivered_first(reactor: Reactor) -> None:
    ours, theirs = unix_pair()
    handler = Recorder()
    stream = Stream(reactor, ours, handler)
    reactor.run_once(0)
    reactor.run_once(0)
    stream.pause_reading()
    theirs.send(b"y" * 150_000)
    theirs.close()
    stream.write(b"x" * 10)
    for _ in range(3):
        reactor.run_once(0)
    assert not handler.closed
    stream.resume_reading()
    wait_for(reactor, lambda: handler.closed)
    assert (150_000, CloseKind.RESET) == (len(handler.data), handler.kind)
    assert isinstance(handler.reason and handler.reason.error, OSError)
    assert 10 == stream.stats().dropped


def test_a_peer_that_stopped_listening_does_not_keep_us_waiting_for_more(reactor: Reactor) -> None:
    ours, theirs = unix_pair()
    handler = Recorder()
    stream = Stream(reactor, ours, handler)
    with theirs:
        theirs.send(b"said before")
        theirs.shutdown(socket.SHUT_RD)
        stream.write(b"x")
        wait_for(reactor, lambda: handler.closed)
    assert (b"said before", CloseKind.RESET) == (bytes(handler.data), handler.kind)


def test_bytes_that_a_close_could_not_deliver_are_not_called_a_local_close(
    reactor: Reactor,
) -> None:
    ours, theirs = unix_pair()
    handler = Recorder()
    stream = Stream(reactor, ours, handler)
    reactor.run_once(0)
    theirs.close()
    stream.write(b"x")
    stream.close()
    wait_for(reactor, lambda: handler.closed)
    assert CloseKind.RESET == handler.kind


# --- idle timeouts ------------------------------------------------------------------------------


def test_an_idle_stream_ends_when_nothing_moved_for_so_long(virtual: VirtualReactor) -> None:
    handler = Recorder()
    stream, theirs = memory_stream(virtual, handler, idle_timeout=10)
    virtual.run_for(6)
    theirs.send(b"in")
    virtual.run_for(6)
    stream.write(b"out")
    virtual.run_for(9.9)
    assert not handler.closed
    virtual.run_for(0.2)
    assert CloseKind.IDLE == handler.kind


def test_a_busy_stream_sets_its_idle_timer_once_a_timeout(
    virtual: VirtualReactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    _stream, theirs = memory_stream(virtual, Recorder(), idle_timeout=10)
    deadlines: list[float] = []
    original = virtual.call_at

    def noted(deadline: float, callback: Callable[..., object]) -> Timer:
        deadlines.append(deadline)
        return original(deadline, callback)

    monkeypatch.setattr(virtual, "call_at", noted)
    for _ in range(300):
        theirs.send(b"x")
        virtual.run_for(0.1)
    assert 3 == len(deadlines)


@pytest.mark.parametrize("timeout", [0, -1])
def test_an_idle_timeout_must_be_positive(virtual: VirtualReactor, timeout: float) -> None:
    ours, _theirs = memory_socketpair(virtual.demultiplexer)
    with pytest.raises(LimitError, match="idle"):
        Stream(virtual, ours, Recorder(), idle_timeout=timeout)


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


# --- insight ------------------------------------------------------------------------------------


def test_the_counters_tell_what_happened(virtual: VirtualReactor) -> None:
    stream, theirs = memory_stream(virtual, Recorder())
    theirs.send(b"12345")
    stream.write(b"123")
    virtual.settle()
    stream.write(b"7 bytes")
    stats = stream.stats()
    assert (5, 3, 7) == (stats.bytes_in, stats.bytes_out, stats.pending)
    assert (True, False, "") == (stats.reading, stats.above_high_water, stats.tls)
