"""`reactor.testing.MemorySocket`: like the kernel's socket pair, and its faults."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor import HANGUP, READ, WRITE
from reactor.demux import open_demultiplexer
from reactor.testing import MemorySocket, ScriptedDemultiplexer, memory_socketpair

ALL = READ | WRITE | HANGUP

Pair = tuple[MemorySocket, MemorySocket]


@pytest.fixture
def demultiplexer() -> ScriptedDemultiplexer:
    return ScriptedDemultiplexer()


@pytest.fixture
def pair(demultiplexer: ScriptedDemultiplexer) -> Pair:
    return memory_socketpair(demultiplexer)


# --- the twin: a socket pair of the kernel ------------------------------------------------------

_OPERATIONS = st.one_of(
    st.tuples(st.just("send"), st.binary(max_size=5)),
    st.tuples(st.just("recv"), st.integers(1, 7)),
    st.tuples(
        st.just("shutdown"), st.sampled_from([socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR])
    ),
    st.tuples(st.just("close"), st.none()),
    st.tuples(st.just("ready"), st.integers(1, 7)),
)


@given(st.lists(st.tuples(st.integers(0, 1), _OPERATIONS), max_size=30))
def test_it_does_what_a_socket_pair_of_the_kernel_does(
    steps: list[tuple[int, tuple[str, object]]],
) -> None:
    demultiplexer = ScriptedDemultiplexer()
    memory = memory_socketpair(demultiplexer)
    kernel = socket.socketpair()
    for end in kernel:
        end.setblocking(False)
    try:
        for end_number, (operation, argument) in steps:
            expected = _do(kernel[end_number], operation, argument)
            actual = _do(memory[end_number], operation, argument)
            assert expected == actual, (end_number, operation, argument)
    finally:
        demultiplexer.close()
        for end in kernel:
            end.close()


def _do(end: socket.socket | MemorySocket, operation: str, argument: object) -> object:
    """Do one step, and return its result, or the error's number."""
    if operation == "close":
        return end.close()
    if operation == "ready":
        assert isinstance(argument, int)
        return _ready(end, argument)
    try:
        return getattr(end, operation)(argument)
    except OSError as error:
        return error.errno


def _ready(end: socket.socket | MemorySocket, interest: int) -> object:
    if end.fileno() < 0:
        return "closed"
    if isinstance(end, MemorySocket):
        return end.readiness(interest)
    demultiplexer = open_demultiplexer("poll")
    demultiplexer.register(end.fileno(), interest, 1)
    ready = demultiplexer.wait(0)
    demultiplexer.close()
    return ready[0][1] if ready else 0


# --- room ---------------------------------------------------------------------------------------


def test_it_takes_what_there_is_room_for_and_then_nothing(
    demultiplexer: ScriptedDemultiplexer,
) -> None:
    ours, theirs = memory_socketpair(demultiplexer, capacity=10)

    assert 10 == ours.send(b"x" * 15)
    with pytest.raises(BlockingIOError):
        ours.send(b"x")
    assert 0 == ours.readiness(WRITE)

    assert b"xxx" == theirs.recv(3)
    assert WRITE == ours.readiness(WRITE)
    assert 3 == ours.send(b"y" * 15)


def test_bytes_on_their_way_take_room_too(demultiplexer: ScriptedDemultiplexer) -> None:
    ours, _ = memory_socketpair(demultiplexer, capacity=10, latency=1.0)

    assert 10 == ours.send(b"x" * 15)
    with pytest.raises(BlockingIOError):
        ours.send(b"x")


@pytest.mark.parametrize("wrong", [{"capacity": 0}, {"latency": -1.0}])
def test_a_pair_that_cannot_be_is_refused(
    demultiplexer: ScriptedDemultiplexer, wrong: dict[str, float]
) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        memory_socketpair(demultiplexer, **wrong)  # type: ignore[arg-type]  # capacity is an int


def test_it_says_how_many_bytes_are_unread(demultiplexer: ScriptedDemultiplexer) -> None:
    ours, theirs = memory_socketpair(demultiplexer, latency=1.0)
    ours.send(b"hello")
    assert 0 == theirs.unread()

    demultiplexer.wait(1.0)
    theirs.recv(2)

    assert 3 == theirs.unread()


# --- the other calls of a socket ----------------------------------------------------------------


def test_several_buffers_are_sent_as_one_and_received_into_one(pair: Pair) -> None:
    ours, theirs = pair
    buffer = bytearray(4)

    assert 6 == ours.sendmsg([b"ab", memoryview(b"cd"), bytearray(b"ef")])
    assert 4 == theirs.recv_into(buffer)
    assert b"abcd" == buffer
    assert 1 == theirs.recv_into(buffer, 1)
    assert b"ebcd" == buffer


def test_each_end_knows_the_others_name(pair: Pair) -> None:
    ours, theirs = pair

    assert ours.getpeername() == theirs.getsockname() != ours.getsockname()
    ours.close()
    with pytest.raises(OSError, match="descriptor"):
        ours.getpeername()


def test_it_is_never_blocking(pair: Pair) -> None:
    pair[0].setblocking(False)
    with pytest.raises(ValueError, match="non-blocking"):
        pair[0].setblocking(True)


# --- latency ------------------------------------------------------------------------------------


def test_what_is_sent_arrives_after_the_latency(demultiplexer: ScriptedDemultiplexer) -> None:
    ours, theirs = memory_socketpair(demultiplexer, latency=2.0)
    demultiplexer.register(theirs.fileno(), READ, 1)
    ours.send(b"late")

    assert [] == demultiplexer.wait(1.999)
    assert [(1, READ)] == demultiplexer.wait(None)
    assert 2.0 == demultiplexer.clock.now()
    assert b"late" == theirs.recv(10)


def test_a_shorter_latency_does_not_let_bytes_overtake(
    demultiplexer: ScriptedDemultiplexer,
) -> None:
    ours, theirs = memory_socketpair(demultiplexer, latency=2.0)
    ours.send(b"first ")
    ours.latency = 0.0
    ours.send(b"second")
    ours.close()

    demultiplexer.wait(2.0)

    assert b"first second" == theirs.recv(100)
    assert b"" == theirs.recv(100)


def test_bytes_that_meet_a_closed_end_come_back_as_a_reset(
    demultiplexer: ScriptedDemultiplexer,
) -> None:
    ours, theirs = memory_socketpair(demultiplexer, latency=1.0)
    theirs.close()
    ours.send(b"too ")
    ours.send(b"late")

    demultiplexer.wait(5.0)

    assert errno.ECONNRESET == _do(ours, "recv", 10)
    assert b"" == ours.recv(10)


# --- faults -------------------------------------------------------------------------------------


def test_limits_make_writes_and_reads_short(pair: Pair) -> None:
    ours, theirs = pair
    ours.send_limit, theirs.recv_limit = 3, 2

    assert 3 == ours.send(b"abcdef")
    assert WRITE == ours.readiness(WRITE)
    assert [b"ab", b"c"] == [theirs.recv(10), theirs.recv(10)]


def _fail_send(end: MemorySocket, error: OSError) -> None:
    end.fail_send(error)


def _fail_recv(end: MemorySocket, error: OSError) -> None:
    end.fail_recv(error)


@pytest.mark.parametrize(
    ("fail", "operation", "argument", "event", "success"),
    [(_fail_send, "send", b"x", WRITE, 1), (_fail_recv, "recv", 1, READ, b"y")],
)
def test_a_failure_is_announced_by_readiness_raised_once_and_over(
    demultiplexer: ScriptedDemultiplexer,
    fail: Callable[[MemorySocket, OSError], None],
    operation: str,
    argument: object,
    event: int,
    success: object,
) -> None:
    ours, theirs = memory_socketpair(demultiplexer, capacity=1)
    if operation == "send":
        ours.send(b"z")
    fail(ours, TimeoutError(errno.ETIMEDOUT, "the network is gone"))

    assert event == ours.readiness(event)
    assert errno.ETIMEDOUT == _do(ours, operation, argument)
    assert 0 == ours.readiness(event)

    theirs.recv(1) if operation == "send" else theirs.send(b"y")
    assert success == _do(ours, operation, argument)


def test_a_reset_reaches_the_peer_after_what_was_sent(pair: Pair) -> None:
    ours, theirs = pair
    ours.send(b"last words")

    ours.reset()

    assert ALL == theirs.readiness(READ)
    assert b"last words" == theirs.recv(100)
    assert errno.EPIPE == _do(theirs, "send", b"x")
    assert errno.ECONNRESET == _do(theirs, "recv", 1)
    assert b"" == theirs.recv(1)
    assert -1 == ours.fileno()
