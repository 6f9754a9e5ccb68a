"""The C demultiplexer by its own interface: slots, collected changes, receiving, sending."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from reactor.events import READ, WRITE

native = pytest.importorskip(
    "_epoll_ext", reason="the C path was not built: it needs a compiler, and REACTOR_EXT not 0"
)
ffi, lib = native.ffi, native.lib

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def set_() -> Iterator[Any]:
    it = lib.rx_open(64 * 1024)
    assert it
    yield it
    lib.rx_close(it)


@pytest.fixture
def pair() -> Iterator[Pair]:
    ends = socket.socketpair()
    yield ends
    for end in ends:
        end.close()


def events(set_: Any, count: int) -> list[tuple[int, int]]:
    """The slots and masks of the last wait."""
    found = lib.rx_look(set_)
    return [(found.slots[i], found.ready[i]) for i in range(count)]


def test_a_slot_is_given_again_and_its_old_owner_is_not_heard(set_: Any, pair: Pair) -> None:
    slot = lib.rx_add(set_, pair[0].fileno(), WRITE)
    assert events(set_, lib.rx_wait(set_, 0)) == [(slot, WRITE)]
    assert lib.rx_remove(set_, slot) == 0
    assert lib.rx_wait(set_, 0) == 0
    assert lib.rx_add(set_, pair[1].fileno(), WRITE) == slot
    assert events(set_, lib.rx_wait(set_, 0)) == [(slot, WRITE)]


def test_what_is_wrong_comes_back_as_a_negative_errno(set_: Any) -> None:
    assert lib.rx_add(set_, 9999, READ) == -errno.EBADF
    assert lib.rx_modify(set_, 5, READ) == -errno.EBADF
    assert lib.rx_modify(set_, -1, READ) == -errno.EBADF
    assert lib.rx_receive(set_, 5, 1) == -errno.EBADF
    assert lib.rx_remove(set_, 5) == -errno.EBADF


def test_changes_are_applied_with_the_next_wait(set_: Any, pair: Pair) -> None:
    slot = lib.rx_add(set_, pair[0].fileno(), 0)
    lib.rx_modify(set_, slot, WRITE)
    lib.rx_modify(set_, slot, 0)
    assert lib.rx_wait(set_, 0) == 0
    lib.rx_modify(set_, slot, WRITE)
    assert events(set_, lib.rx_wait(set_, 0)) == [(slot, WRITE)]


def test_a_slot_that_is_removed_with_a_change_pending_is_free_once(set_: Any, pair: Pair) -> None:
    first = lib.rx_add(set_, pair[0].fileno(), READ)
    lib.rx_modify(set_, first, WRITE)
    lib.rx_remove(set_, first)
    second = lib.rx_add(set_, pair[0].fileno(), WRITE)
    assert lib.rx_wait(set_, 0) == 1
    third = lib.rx_add(set_, pair[1].fileno(), WRITE)
    assert len({second, third}) == 2
    assert sorted(events(set_, lib.rx_wait(set_, 0))) == sorted([(second, WRITE), (third, WRITE)])


def test_input_is_received_end_to_end_in_the_order_of_the_events(set_: Any) -> None:
    pairs = [socket.socketpair() for _ in range(3)]
    slots = [lib.rx_add(set_, ours.fileno(), READ) for ours, _ in pairs]
    texts = {}
    for slot, (_, peer), text in zip(slots, pairs, (b"one", b"three", b""), strict=True):
        lib.rx_receive(set_, slot, 1)
        texts[slot] = text
        if text:
            peer.send(text)
        else:
            peer.close()
    count = lib.rx_wait(set_, 0)
    results = lib.rx_look(set_)
    assert count == 3 | lib.RX_RECEIVED
    offset = 0
    for index, (slot, _) in enumerate(events(set_, 3)):
        size = results.sizes[index]
        assert ffi.buffer(results.arena + offset, size)[:] == texts[slot]
        offset += size
    for ends in pairs:
        for end in ends:
            end.close()


def test_a_failure_is_told_by_its_number(set_: Any) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    ours, _ = listener.accept()
    slot = lib.rx_add(set_, ours.fileno(), READ)
    lib.rx_receive(set_, slot, 1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    assert lib.rx_wait(set_, 10**9) == 1 | lib.RX_RECEIVED
    assert lib.RX_PLAIN - lib.rx_look(set_).sizes[0] == errno.ECONNRESET
    for sock in (ours, listener):
        sock.close()


def test_the_size_asked_for_grows_with_what_comes(set_: Any, pair: Pair) -> None:
    ours, peer = pair
    slot = lib.rx_add(set_, ours.fileno(), READ)
    lib.rx_receive(set_, slot, 1)
    sizes = []
    for message in (b"x" * 7000, b"x" * 7000):
        peer.send(message)
        while lib.rx_wait(set_, 0):
            sizes.append(lib.rx_look(set_).sizes[0])
    assert sizes == [4096, 2904, 7000]


def test_bulk_is_left_to_python_for_a_while(set_: Any, pair: Pair) -> None:
    ours, peer = pair
    slot = lib.rx_add(set_, ours.fileno(), READ)
    lib.rx_receive(set_, slot, 1)
    peer.send(b"x" * 60_000)
    sizes = [lib.rx_look(set_).sizes[0] for _ in range(4) if lib.rx_wait(set_, 0)]
    assert sizes == [4096, 8192, lib.RX_PLAIN, lib.RX_PLAIN]
    assert len(ours.recv(100_000)) == 60_000 - sum(sizes[:2])


def test_many_messages_are_sent_in_one_call_and_each_is_accounted_for() -> None:
    pairs = [socket.socketpair() for _ in range(3)]
    fds = ffi.new("int32_t[]", [ours.fileno() for ours, _ in pairs])
    sizes, sent = ffi.new("int32_t[]", [3, 3, 5]), ffi.new("int32_t[]", 3)
    messages = ffi.new("rx_messages *", {"fds": fds, "sizes": sizes, "sent": sent})
    pairs[1][0].shutdown(socket.SHUT_WR)
    assert lib.rx_send(messages, b"onetwothree", 3) == 1
    assert list(sent) == [3, -errno.EPIPE, 5]
    assert pairs[2][1].recv(9) == b"three"
    assert pairs[0][1].recv(9) == b"one"
    for ends in pairs:
        for end in ends:
            end.close()


def test_a_renewed_set_watches_the_same_slots(set_: Any, pair: Pair) -> None:
    slot = lib.rx_add(set_, pair[0].fileno(), WRITE)
    assert lib.rx_renew(set_) == 0
    assert events(set_, lib.rx_wait(set_, 0)) == [(slot, WRITE)]
    assert lib.rx_look(set_).renewals == 1


def test_a_descriptor_closed_while_a_duplicate_lives_on_is_heard_once_and_never_again(
    set_: Any,
) -> None:
    ours, peer = socket.socketpair()
    ghost = os.dup(ours.fileno())
    slot = lib.rx_add(set_, ours.fileno(), WRITE)
    ours.close()
    assert lib.rx_remove(set_, slot) == -errno.EBADF
    assert [lib.rx_wait(set_, 0) for _ in range(2)] == [0, 0]
    assert lib.rx_look(set_).renewals == 1
    os.close(ghost)
    peer.close()


def test_arrays_that_have_moved_are_announced(set_: Any) -> None:
    pairs = [socket.socketpair() for _ in range(lib.rx_look(set_).room)]
    for ours, _ in pairs:
        lib.rx_add(set_, ours.fileno(), WRITE)
    assert lib.rx_wait(set_, 0) == lib.RX_GREW + len(pairs)
    assert lib.rx_look(set_).room == 2 * len(pairs)
    assert lib.rx_wait(set_, 0) == len(pairs)
    for ends in pairs:
        for end in ends:
            end.close()


def test_a_wait_in_nanoseconds_is_not_shorter_than_asked(set_: Any) -> None:
    import time

    for nanoseconds in (50_000, 1_500_000):
        start = time.monotonic_ns()
        while (count := lib.rx_wait(set_, nanoseconds)) == -errno.EINTR:
            start = time.monotonic_ns()  # a signal of somebody else's: begin again
        assert count == 0
        assert time.monotonic_ns() - start >= nanoseconds


def test_what_is_ready_beyond_a_batch_comes_with_the_next_wait(set_: Any) -> None:
    pairs = [socket.socketpair() for _ in range(50)]
    for ours, peer in pairs:
        lib.rx_receive(set_, lib.rx_add(set_, ours.fileno(), READ), 1)
        peer.send(b"x")
    counts = [lib.rx_wait(set_, 0) & ~lib.RX_RECEIVED for _ in range(3)]
    assert counts == [32, 18, 0]
    for ends in pairs:
        for end in ends:
            end.close()
