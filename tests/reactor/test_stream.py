"""Streams over every demultiplexer: how they begin, and every way to end."""

from __future__ import annotations

import errno
import gc
import os
import socket
import weakref
from collections.abc import Callable, Iterator

import pytest

from reactor import CloseKind, Reactor
from reactor.budgets import READ_BUDGET
from reactor.errors import LimitError
from reactor.ratelimit import TokenBucket
from reactor.stream import Stream
from reactor.testing import VirtualReactor, make_reactor, memory_socketpair
from reactor.timers import Timer
from reactor.trace import ErrorContext
from tests.support.streams import (
    Recorder,
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
        theirs.setblocking(True)
        assert b"-ERR go away" == theirs.recv(100)
        assert b"" == theirs.recv(100)  # the end, and not a ConnectionResetError


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


@pytest.mark.parametrize("when", ["open", "data", "pause"])
def test_a_handler_that_raises_loses_its_connection_and_nobody_elses(
    backend: str, when: str
) -> None:
    contexts: list[ErrorContext] = []
    with Reactor(backend=backend) as reactor:
        reactor.on_error = contexts.append
        (ours, theirs), (ours2, theirs2) = unix_pair(), unix_pair()

        def fail(stream: Stream) -> None:
            raise KeyError("what was it")

        bad, good = Recorder(**{when: fail}), Recorder()
        failing = Stream(reactor, ours, bad, high_water=1)
        Stream(reactor, ours2, good)
        with theirs, theirs2:
            theirs.send(b"1")
            theirs2.send(b"2")
            failing.write(b"x" * 1_000_000)
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


def test_a_broken_stream_is_read_to_the_bottom_even_beyond_a_turns_budget(
    virtual: VirtualReactor,
) -> None:
    handler = Recorder()
    stream, theirs = memory_stream(virtual, handler, capacity=READ_BUDGET * 2)
    theirs.send(b"x" * (READ_BUDGET + 100))
    theirs.shutdown(socket.SHUT_RD)  # and it goes on living: no end comes that would tell us
    stream.write(b"for nobody")
    virtual.settle()
    assert (READ_BUDGET + 100, CloseKind.RESET) == (len(handler.data), handler.kind)


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


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ECONNRESET, CloseKind.RESET),
        (errno.ETIMEDOUT, CloseKind.TIMEOUT),
        (errno.EHOSTUNREACH, CloseKind.ERROR),
    ],
)
def test_an_error_of_the_socket_says_what_kind_of_end_it_is(
    virtual: VirtualReactor, number: int, kind: CloseKind
) -> None:
    handler = Recorder()
    stream, theirs = memory_stream(virtual, handler)
    error = OSError(number, os.strerror(number))
    theirs._peer.fail_recv(error)
    theirs.send(b"x")
    stream.write(b"y" * 100_000)
    virtual.settle()
    assert (kind, error) == (handler.kind, handler.reason and handler.reason.error)
    assert os.strerror(number) in str(handler.reason)


def test_the_last_of_a_broken_and_throttled_stream_is_delivered_at_its_rate(
    virtual: VirtualReactor,
) -> None:
    handler = Recorder()
    stream, theirs = memory_stream(virtual, handler, read_limit=TokenBucket(1000, 100))
    theirs.send(b"x" * 1000)
    theirs.shutdown(socket.SHUT_RD)
    stream.write(b"for nobody")
    virtual.settle()
    assert (100, False) == (len(handler.data), handler.closed)
    virtual.run_for(1)
    assert (1000, CloseKind.RESET) == (len(handler.data), handler.kind)


def test_what_is_in_memory_survives_a_handler_that_wants_to_exit(backend: str) -> None:
    def leave(line: bytes) -> None:
        raise SystemExit(3)

    with Reactor(backend=backend) as reactor:
        ours, theirs = unix_pair()
        handler = Recorder(open=lambda s: s.read_until(b"\n", leave))
        Stream(reactor, ours, handler)
        with theirs:
            theirs.send(b"exit\nand the rest")
            with pytest.raises(SystemExit):
                reactor.run()
            wait_for(reactor, lambda: handler.data)
        assert b"and the rest" == bytes(handler.data)


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
