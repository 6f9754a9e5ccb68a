"""What is special to `io_uring`: files that are held, threads, forks and hosts.

The contract is tested with that of the others in `test_demux`, its lane in `test_lane`, what it
receives in `test_io_uring_bytes`.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import resource
import select
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from reactor import Reactor, Stream
from reactor.demux import Demultiplexer, available, open_demultiplexer
from reactor.errors import UnknownBackendError
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


def silent(sock: socket.socket) -> bool:
    """Whether there is nothing to hear from the other side, not even its end."""
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        sock.recv(1)
        return False
    return True


# --- files that are held --------------------------------------------------------------------------


@pytest.mark.parametrize("receives", [False, True])
def test_when_unregister_returns_the_kernel_has_let_go_of_the_file(
    waiter: Demultiplexer, receives: bool
) -> None:
    ours, peer = socket.socketpair()
    if receives:
        received(waiter, ours)
    else:
        waiter.register(ours.fileno(), READ, 1)
    assert [] == waiter.wait(0), "it is in flight"
    waiter.unregister(ours.fileno())
    ours.close()
    assert b"" == peer.recv(1)
    peer.close()


def test_the_kernel_has_let_go_of_a_paused_one_too_when_there_was_more_than_it_does_in_a_call(
    waiter: Demultiplexer,
) -> None:
    with contextlib.ExitStack() as stack:
        pairs = [socket.socketpair() for _ in range(60)]
        for ends in pairs:
            for end in ends:
                stack.enter_context(end)
        ours, peer = socket.socketpair()
        for sock, _ in pairs:
            received(waiter, sock)
        paused = received(waiter, ours)
        assert [] == waiter.wait(0)
        for _, other in pairs:
            other.send(b"x")
        waiter.modify(ours.fileno(), 0, paused)
        assert 0 < len(waiter.wait(0)) <= 60
        waiter.unregister(ours.fileno())
        ours.close()
        assert b"" == peer.recv(1)
        peer.close()


def test_a_port_is_free_as_soon_as_its_listener_was_unregistered_and_closed(
    waiter: Demultiplexer,
) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    for _ in range(20):
        waiter.register(listener.fileno(), READ, 1)
        assert [] == waiter.wait(0)
        waiter.unregister(listener.fileno())
        listener.close()
        listener = socket.create_server(address)
    listener.close()


def test_a_descriptor_closed_behind_our_back_lives_on_until_it_is_unregistered(
    waiter: Demultiplexer,
) -> None:
    ours, peer = socket.socketpair()
    number = ours.fileno()
    waiter.register(number, READ, 1)
    assert [] == waiter.wait(0)
    ours.close()
    assert silent(peer)
    waiter.unregister(number)
    peer.settimeout(10)
    assert b"" == peer.recv(1)
    peer.close()


def test_closing_the_demultiplexer_lets_go_of_everything(pair: Pair) -> None:
    ours, peer = socket.socketpair()
    waiter = open_demultiplexer("io_uring")
    for sock in (ours, *pair):
        waiter.register(sock.fileno(), READ, 1)
    assert [] == waiter.wait(0)
    waiter.close()
    ours.close()
    assert b"" == peer.recv(1)
    peer.close()


def test_opening_and_closing_leaves_no_descriptor_and_no_mapping_behind(pair: Pair) -> None:
    def counts() -> tuple[int, int]:
        maps = Path("/proc/self/maps").read_text().splitlines()
        return len(os.listdir("/proc/self/fd")), len([line for line in maps if "io_uring" in line])

    open_demultiplexer("io_uring").close()
    before = counts()
    for _ in range(20):
        waiter = open_demultiplexer("io_uring")
        waiter.register(pair[0].fileno(), READ, 1)
        waiter.wait(0)
        waiter.fileno()
        waiter.rebuild()
        waiter.wait(0)
        waiter.close()
    assert before == counts()


# --- threads, forks, hosts ------------------------------------------------------------------------


def test_a_ring_that_another_thread_takes_over_is_made_anew(
    waiter: Demultiplexer, pair: Pair
) -> None:
    ours, peer = pair
    token = received(waiter, ours)
    assert [] == waiter.wait(0)
    heard: list[object] = []

    def elsewhere() -> None:
        heard.append(waiter.wait(0))
        peer.send(b"there")
        heard.append(waiter.wait(10))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert [[], [(token, READ)]] == heard
    assert (b"there", 1) == (token.received, waiter.stats().rebuilds)
    token.received = None
    peer.send(b"here")
    assert [(token, READ)] == waiter.wait(10)
    assert b"here" == token.received
    waiter.unregister(ours.fileno())
    assert 2 == waiter.stats().rebuilds


def test_what_another_thread_writes_and_unregisters_is_done(reactor: Reactor, pair: Pair) -> None:
    handler = Recorder()
    stream = Stream(reactor, pair[0], handler)
    stream.write(b"here ")
    reactor.run_once(0)

    def elsewhere() -> None:
        stream.write(b"and there")
        reactor.run_once(0)
        stream.close()
        reactor.run_once(0)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    pair[1].settimeout(10)
    assert b"here and there" == pair[1].recv(99)
    assert b"" == pair[1].recv(1)
    assert handler.closed


def test_a_child_that_only_ends_disturbs_nothing_of_its_parents(
    waiter: Demultiplexer, pair: Pair
) -> None:
    ours, peer = pair
    waiter.register(ours.fileno(), READ, 1)
    assert [] == waiter.wait(0)
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            waiter.unregister(ours.fileno())
            waiter.close()
            os._exit(0)
        os._exit(1)
    assert (child, 0) == os.waitpid(child, 0)
    peer.send(b"x")
    assert [(1, READ)] == waiter.wait(10)


def test_a_child_has_a_ring_of_its_own(waiter: Demultiplexer, pair: Pair) -> None:
    ours, peer = pair
    waiter.register(ours.fileno(), READ, 1)
    assert [] == waiter.wait(0)
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            waiter.rebuild()
            peer.send(b"x")
            if [(1, READ)] == waiter.wait(10) and waiter.stats().rebuilds == 1:
                os._exit(0)
        os._exit(1)
    assert (child, 0) == os.waitpid(child, 0)
    assert [(1, READ)] == waiter.wait(10), "the sockets are shared, the rings are not"
    assert 0 == waiter.stats().rebuilds


def test_a_host_sees_what_is_ready_and_bytes_stay_in_their_socket_for_it(
    waiter: Demultiplexer, pair: Pair
) -> None:
    ours, peer = pair
    token = received(waiter, ours)
    assert [] == waiter.wait(0)
    host = waiter.fileno()
    for _ in range(3):
        assert [] == select.select([host], [], [], 0)[0]
        peer.send(b"x")
        assert [host] == select.select([host], [], [], 10)[0]
        assert [(token, READ)] == waiter.wait(0)
        assert (None, b"x") == (token.received, ours.recv(9))
        assert [] == waiter.wait(0)


def test_what_was_closed_behind_our_back_does_not_keep_a_host_away(
    waiter: Demultiplexer, pair: Pair
) -> None:
    number = os.dup2(pair[0].fileno(), 900, inheritable=False)  # which nobody will get meanwhile
    waiter.register(number, READ, 1)
    waiter.register(pair[0].fileno(), READ, 2)
    os.close(number)
    host = waiter.fileno()
    waiter.modify(number, READ | WRITE, 1)
    pair[1].send(b"x")
    assert [host] == select.select([host], [], [], 10)[0]
    assert [(2, READ)] == waiter.wait(0)
    assert 1 == waiter.stats().vanished


def test_what_a_host_unregisters_between_two_turns_costs_the_others_no_event(
    waiter: Demultiplexer, pair: Pair
) -> None:
    other, its_peer = socket.socketpair()
    waiter.register(other.fileno(), READ, 1)
    waiter.register(pair[0].fileno(), READ, 2)
    host = waiter.fileno()
    assert [] == waiter.wait(0)
    pair[1].send(b"x")
    waiter.unregister(other.fileno())
    assert [host] == select.select([host], [], [], 10)[0]
    assert [(2, READ)] == waiter.wait(0)
    for end in (other, its_peer):
        end.close()


# --- a flag of the kernel's that is late ----------------------------------------------------------


def test_a_flag_that_outlived_its_work_keeps_nobody_in_a_call(
    waiter: Demultiplexer, pair: Pair
) -> None:
    # The kernel notes work, then raises IORING_SQ_TASKRUN. If we have had the work done in between,
    # the flag stays up although nothing is left; here it is put up by hand.
    waiter.register(pair[0].fileno(), READ, 1)
    assert [] == waiter.wait(0)
    pair[1].send(b"x")
    with ring_memory() as (memory, offset):
        for interest, timeout in ((READ, 10), (READ, 0), (WRITE, None)):
            waiter.modify(pair[0].fileno(), interest, 1)
            flags = struct.unpack_from("=I", memory, offset)[0]
            struct.pack_into("=I", memory, offset, flags | IORING_SQ_TASKRUN)
            assert [(1, interest)] == waiter.wait(timeout)


IORING_SQ_TASKRUN = 4
SYS_IO_URING_SETUP = 425  # the same on all machines, being a late one
FLAGS_OFFSET = 14  # of `struct io_uring_params`, in words: sq_off.flags


@contextlib.contextmanager
def ring_memory() -> Iterator[tuple[mmap.mmap, int]]:
    """What the one open ring shares with the kernel, and where its flags lie therein."""
    parameters = (ctypes.c_uint32 * 30)()
    os.close(ctypes.CDLL(None).syscall(SYS_IO_URING_SETUP, 8, parameters))
    (ring,) = (
        int(link.name)
        for link in Path("/proc/self/fd").iterdir()
        if os.path.lexists(link) and os.readlink(link) == "anon_inode:[io_uring]"
    )
    with mmap.mmap(ring, mmap.PAGESIZE, mmap.MAP_SHARED) as memory:
        yield memory, parameters[FLAGS_OFFSET]


# --- where it does not work -----------------------------------------------------------------------


def test_a_kernel_that_gives_no_ring_is_told_of() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(UnknownBackendError, match="gave no ring"):
            open_demultiplexer("io_uring")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
