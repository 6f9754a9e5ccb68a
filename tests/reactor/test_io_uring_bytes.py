"""What `io_uring` takes from sockets: when, how much, and what becomes of it."""

from __future__ import annotations

import array
import contextlib
import fcntl
import socket
import termios
from collections.abc import Iterator

import pytest

from reactor import Reactor, Stream
from reactor.demux import Demultiplexer, available, open_demultiplexer
from reactor.events import READ, WRITE
from tests.support.lanes import received
from tests.support.streams import Recorder

pytestmark = pytest.mark.skipif(
    "io_uring" not in available(), reason="it needs the C path and a kernel that allows it (6.1)"
)

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def waiter() -> Iterator[Demultiplexer]:
    demultiplexer = open_demultiplexer("io_uring")
    yield demultiplexer
    demultiplexer.close()


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    with Reactor(backend="io_uring") as it:
        yield it


def unread(sock: socket.socket) -> int:
    """How many bytes wait in a socket."""
    answer = array.array("i", [0])
    fcntl.ioctl(sock, termios.FIONREAD, answer)
    return answer[0]


def test_bytes_arrive_with_the_event(waiter: Demultiplexer, pair: Pair) -> None:
    token = received(waiter, pair[0])
    assert [] == waiter.wait(0)
    pair[1].send(b"now")
    assert [(token, READ)] == waiter.wait(1)
    assert b"now" == token.received


def test_no_byte_leaves_its_socket_between_two_waits(waiter: Demultiplexer, pair: Pair) -> None:
    token = received(waiter, pair[0])
    assert [] == waiter.wait(0)
    pair[1].send(b"later")
    assert 5 == unread(pair[0])
    waiter.modify(pair[0].fileno(), 0, token)
    assert [] == waiter.wait(0)
    assert (None, 5) == (token.received, unread(pair[0]))
    waiter.modify(pair[0].fileno(), READ, token)
    assert [(token, READ)] == waiter.wait(1)
    assert b"later" == token.received


def test_whoever_unregisters_may_read_the_socket_by_himself(
    waiter: Demultiplexer, pair: Pair
) -> None:
    token = received(waiter, pair[0])
    assert [] == waiter.wait(0)
    pair[1].send(b"mine")
    waiter.unregister(pair[0].fileno())
    assert (None, b"mine") == (token.received, pair[0].recv(9))
    assert [] == waiter.wait(0)


def test_what_is_found_while_another_is_unregistered_is_in_its_token_at_once(
    waiter: Demultiplexer, pair: Pair
) -> None:
    other, its_peer = socket.socketpair()
    token, doomed = received(waiter, pair[0]), received(waiter, other)
    assert [] == waiter.wait(0)
    pair[1].send(b"first ")
    waiter.unregister(other.fileno())
    pair[1].send(b"second")
    assert b"first " == token.received, "so reading the socket now would be in order"
    assert waiter.always_ready, "which a host would have to know"
    [*events] = waiter.wait(0)
    assert {(token, READ)} == set(events)
    assert b"first second" == token.received
    assert (None, None) == (doomed.received, doomed.over)
    assert not waiter.always_ready
    for end in (other, its_peer):
        end.close()


def test_what_was_found_by_the_way_is_not_told_after_it_was_unregistered(
    waiter: Demultiplexer, pair: Pair
) -> None:
    other, its_peer = socket.socketpair()
    received(waiter, pair[0])
    received(waiter, other)
    assert [] == waiter.wait(0)
    pair[1].send(b"x")
    waiter.unregister(other.fileno())
    waiter.unregister(pair[0].fileno())
    assert [] == waiter.wait(0)
    for end in (other, its_peer):
        end.close()


def test_more_streams_than_buffers_lose_nothing(waiter: Demultiplexer) -> None:
    with contextlib.ExitStack() as stack:
        pairs = [socket.socketpair() for _ in range(300)]
        for ends in pairs:
            for end in ends:
                stack.enter_context(end)
        tokens = {received(waiter, ours): ours for ours, _ in pairs}
        in_c = []
        for _ in range(6):
            for number, (_, peer) in enumerate(pairs):
                peer.send(b"%d" % number)
            events = waiter.wait(1)
            assert set(tokens) == {token for token, _ in events}
            in_c.append(sum(token.received is not None for token in tokens))
            for number, (token, ours) in enumerate(tokens.items()):
                assert b"%d" % number == (token.received or ours.recv(9))
                token.received = None
        assert 64 == in_c[0], "few buffers stay in the cache"
        assert 300 == in_c[-1], "and more are provided where they are used"


def test_all_polls_that_were_answered_are_told_at_once_and_all_receives_within_a_few_waits(
    waiter: Demultiplexer,
) -> None:
    with contextlib.ExitStack() as stack:
        pairs = [socket.socketpair() for _ in range(200)]
        for ends in pairs:
            for end in ends:
                stack.enter_context(end)
        for number, (ours, _) in enumerate(pairs):
            waiter.register(ours.fileno(), READ, number)
        assert [] == waiter.wait(0)
        for _, peer in pairs:
            peer.send(b"x")
        assert list(range(200)) == sorted(token for token, _ in waiter.wait(0))
        for ours, _ in pairs:
            waiter.unregister(ours.fileno())
            ours.recv(1)
        tokens = [received(waiter, ours) for ours, _ in pairs]
        assert [] == waiter.wait(0)
        for _, peer in pairs:
            peer.send(b"y")
        events = [event for _ in range(20) for event in waiter.wait(0)]
        assert [(token, READ) for token in tokens] == sorted(
            events, key=lambda event: tokens.index(event[0])
        )
        assert {b"y"} == {token.received for token in tokens}


def test_a_stream_that_fills_a_buffer_is_left_to_python_for_a_while(
    waiter: Demultiplexer, pair: Pair
) -> None:
    ours, peer = pair
    token = received(waiter, ours)
    peer.send(b"x" * 10_000)
    assert [(token, READ)] == waiter.wait(1)
    assert token.received is not None
    assert (4096, 10_000 - 4096) == (len(token.received), unread(ours))
    token.received = None
    for _ in range(64):
        assert [(token, READ)] == waiter.wait(1)
    assert (None, 10_000 - 4096) == (token.received, unread(ours))
    assert [(token, READ)] == waiter.wait(1)
    assert b"x" * 4096 == token.received


def test_the_end_and_a_failure_come_as_what_they_are(waiter: Demultiplexer) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    for expected in (EOFError, ConnectionResetError):
        client = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
        token = received(waiter, ours)
        assert [] == waiter.wait(0)
        if expected is ConnectionResetError:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        assert [(token, READ)] == waiter.wait(10)
        assert expected is type(token.over)
        assert [(token, READ)] == waiter.wait(1), "it is level-triggered, like everything"
        waiter.unregister(ours.fileno())
        ours.close()
    listener.close()


# --- a turn's flush -------------------------------------------------------------------------------


def test_a_flush_sends_and_finds_what_is_ready_in_one_call(reactor: Reactor, pair: Pair) -> None:
    other, its_peer = socket.socketpair()
    stream = Stream(reactor, pair[0], Recorder())
    reactor.run_once(0)
    its_peer.send(b"unread")
    called: list[int] = []
    handle = reactor.register(other, READ, lambda _: [called.append(1), stream.write(b"heard ")])
    reactor.run_once(0)
    assert ([1], True) == (called, reactor.demultiplexer.always_ready)
    assert b"heard " == pair[1].recv(99)
    reactor.run_once(None)
    assert [1, 1] == called
    handle.pause()
    reactor.run_once(0)
    assert [1, 1] == called, "what the flush had found was paused since"
    assert not reactor.demultiplexer.always_ready
    for end in (other, its_peer):
        end.close()


def test_what_is_registered_after_a_flush_is_heard_by_the_next_wait(
    reactor: Reactor, pair: Pair
) -> None:
    other, its_peer = socket.socketpair()
    handler = Recorder()
    stream = Stream(reactor, pair[0], handler)
    reactor.run_once(0)
    stream.write(b"out")
    pair[1].send(b"in")
    reactor.run_once(0)
    called: list[int] = []
    reactor.register(other, WRITE, called.append)
    reactor.run_once(0)
    assert (b"in", [WRITE]) == (bytes(handler.data), called)
    for end in (other, its_peer):
        end.close()
