"""The fast lane: what is written goes out together, in order, and never to a stranger."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

import pytest

from reactor import CloseKind, Reactor, Stream, StreamHandler
from reactor.demux import available
from tests.support.streams import Recorder

#: The backends that have one.
LANES = ("epoll_c", "io_uring")

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture(params=LANES)
def reactor(request: pytest.FixtureRequest) -> Iterator[Reactor]:
    if request.param not in available():
        pytest.skip("it needs a compiler; io_uring also a kernel that allows it")
    with Reactor(backend=request.param) as it:
        yield it


@pytest.fixture
def pair() -> Iterator[Pair]:
    ends = socket.socketpair()
    ends[1].settimeout(10)
    yield ends
    for end in ends:
        end.close()


def opened(reactor: Reactor, sock: socket.socket, handler: StreamHandler | None = None) -> Stream:
    stream = Stream(reactor, sock, handler or Recorder())
    reactor.run_once(0)
    return stream


def test_small_writes_of_a_turn_are_one_entry_and_one_send(reactor: Reactor, pair: Pair) -> None:
    stream = opened(reactor, pair[0])
    for word in (b"one ", b"two ", b"three"):
        stream.write(word)
    assert (stream._pushed, stream.pending) == (13, 13)
    assert stream.stats().bytes_out == 0
    reactor.run_once(0)
    assert (stream._pushed, stream.pending, stream.stats().bytes_out) == (0, 0, 13)
    assert pair[1].recv(99) == b"one two three"


def test_the_order_is_kept_when_writes_leave_the_lane(reactor: Reactor, pair: Pair) -> None:
    other, its_peer = socket.socketpair()
    stream, second = opened(reactor, pair[0]), opened(reactor, other)
    expected = b""
    for number in range(20):
        small, large = b"<%d>" % number, b"L" * 9000 if number % 5 == 4 else b""
        stream.write(small)
        second.write(b"between")
        stream.write(bytearray(small))
        stream.write(large)
        expected += small + small + large
    reactor.run_once(0)
    received = b""
    while len(received) < len(expected):
        reactor.run_once(0)
        received += pair[1].recv(1 << 20)
    assert received == expected
    assert its_peer.recv(1 << 20) == b"between" * 20
    its_peer.close()


def test_what_the_kernel_does_not_take_stays_in_order(reactor: Reactor, pair: Pair) -> None:
    pair[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    stream = opened(reactor, pair[0])
    expected = received = b""
    for number in range(200):
        text = b"%06d " % number * 100
        expected += text
        stream.write(text)
        reactor.run_once(0)
    assert stream.pending > 0
    while len(received) < len(expected):
        received += pair[1].recv(1 << 20)
        reactor.run_once(0)
    assert received == expected
    assert stream.stats().bytes_out == len(expected)


def test_what_is_on_the_lane_never_reaches_the_next_owner_of_the_number(
    reactor: Reactor, pair: Pair
) -> None:
    doomed = opened(reactor, pair[0])
    number = pair[0].fileno()
    strangers: list[Pair] = []

    class Replacing(Recorder):
        def on_close(self, stream: Stream, reason: object) -> None:
            reactor.on_closing(lambda: strangers.append(socket.socketpair()))

    doomed.handler = Replacing()
    doomed.write(b"not for a stranger")
    doomed.abort()
    assert doomed.pending == 0
    reactor.run_once(0)
    reactor.run_once(0)
    [ends] = strangers
    assert number in (end.fileno() for end in ends)
    for end in ends:
        end.setblocking(False)
        with pytest.raises(BlockingIOError):
            end.recv(1)
    for end in ends:
        end.close()


def test_what_was_written_before_tls_never_reaches_a_stranger_either(
    reactor: Reactor, pair: Pair
) -> None:
    doomed = opened(reactor, pair[0])
    doomed.write(b"in the clear")
    doomed.start_tls(ssl.create_default_context(), server_side=False, server_hostname="a")
    doomed.abort()
    assert (0, 12) == (doomed.pending, doomed.stats().dropped)
    reactor.run_once(0)
    assert [] == reactor.demultiplexer.lane.riders  # type: ignore[union-attr]  # these have one
    assert b"" == pair[1].recv(1)


def test_small_writes_go_by_the_lane_again_when_the_kernel_has_taken_the_large_one(
    reactor: Reactor, pair: Pair
) -> None:
    stream = opened(reactor, pair[0])
    size = 10_000_000  # more than the kernel takes at once
    stream.write(bytes(size))
    stream.write(b"behind it")
    assert 0 == stream._pushed < stream.pending
    received = 0
    while received < size + 9:
        reactor.run_once(0)
        received += len(pair[1].recv(1 << 20))
    reactor.run_once(0)
    stream.write(b"alone")
    assert 5 == stream._pushed
    reactor.run_once(0)
    assert b"alone" == pair[1].recv(99)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_large_write_is_sent_at_once_whatever_holds_it(
    reactor: Reactor, pair: Pair, kind: type[bytes]
) -> None:
    stream = opened(reactor, pair[0])
    stream.write(kind(b"x" * 20_000))
    assert 0 == stream.pending
    assert b"x" * 20_000 == pair[1].recv(1 << 20, socket.MSG_WAITALL | socket.MSG_DONTWAIT)


def test_a_stream_with_a_low_mark_hears_of_pressure_in_spite_of_the_lane(
    reactor: Reactor, pair: Pair
) -> None:
    handler = Recorder()
    stream = Stream(reactor, pair[0], handler, high_water=100)
    reactor.run_once(0)
    stream.write(bytes(101))
    assert stream.above_high_water
    reactor.run_once(0)
    assert not stream.above_high_water
    assert bytes(101) == pair[1].recv(999)


def test_a_close_sends_what_is_on_the_lane_first(reactor: Reactor, pair: Pair) -> None:
    handler = Recorder()
    stream = opened(reactor, pair[0], handler)
    stream.write(b"last words")
    stream.close()
    reactor.run_until(lambda: bool(handler.closed), timeout=10)
    assert pair[1].recv(99) == b"last words"
    assert pair[1].recv(99) == b""
    assert handler.kind == CloseKind.LOCAL


def test_a_broken_connection_is_noticed_on_the_lane(reactor: Reactor, pair: Pair) -> None:
    handler = Recorder()
    stream = opened(reactor, pair[0], handler)
    pair[1].close()
    stream.write(b"too late")
    reactor.run_until(lambda: bool(handler.closed), timeout=10)
    assert stream.stats().bytes_out == 0


def test_input_that_was_received_for_a_stream_paused_since_is_not_lost(
    reactor: Reactor, pair: Pair
) -> None:
    other, its_peer = socket.socketpair()
    streams: list[Stream] = []

    class Pausing(Recorder):
        def on_data(self, stream: Stream, data: bytes) -> None:
            super().on_data(stream, data)
            for each in streams:
                if each is not stream:
                    each.pause_reading()

    handlers = Pausing(), Pausing()
    streams += [opened(reactor, pair[0], handlers[0]), opened(reactor, other, handlers[1])]
    for peer in (pair[1], its_peer):
        peer.send(b"first ")
    reactor.run_once(0)
    assert sorted(len(handler.data) for handler in handlers) == [0, 6], "one paused the other"
    for peer in (pair[1], its_peer):
        peer.send(b"second")
    for stream in streams:
        stream.handler = Recorder()
        stream.resume_reading()
    for _ in range(3):
        reactor.run_once(0)
    heard = sorted(bytes(stream.handler.data) for stream in streams)  # type: ignore[attr-defined]
    assert heard == [b"first second", b"second"]
    its_peer.close()


def test_a_run_of_writes_longer_than_a_batch_is_never_divided(reactor: Reactor, pair: Pair) -> None:
    other, its_peer = socket.socketpair()
    pair[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    first, second = opened(reactor, other), opened(reactor, pair[0])
    first.write(b"before")
    words = [b"%05d" % number for number in range(3000)]
    for word in words:  # far more than the kernel takes at once
        second.write(word)
    expected, received = b"".join(words), b""
    while len(received) < len(expected):
        reactor.run_once(0)
        received += pair[1].recv(1 << 20)
    assert received == expected
    assert its_peer.recv(99) == b"before"
    assert (second.pending, second.stats().bytes_out) == (0, len(expected))
    its_peer.close()
