"""The hard bugs of reactors that one connection is enough for: hang-ups, ends, writes, closing.

Each by its number in docs/special-problems.md; those of the core are in `test_hard_bugs_core.py`,
those that need many peers at once in `test_hard_bugs_load.py`. Nothing here waits for a while:
every wait ends with what it waits for, and has a deadline.
"""

from __future__ import annotations

import itertools
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reactor import CloseKind, Listener, Reactor, Stream, listen
from reactor.budgets import HANGUP_PATIENCE, READ_SIZE
from reactor.events import READ
from tests.support.fake_sockets import Grudging
from tests.support.streams import PATIENCE, Recorder, wait_for

ROOT = Path(__file__).resolve().parents[2]

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Two connected sockets: ours, for a stream, and the peer's, which never waits long."""
    ours, peer = socket.socketpair()
    peer.settimeout(PATIENCE)
    yield ours, peer
    ours.close()
    peer.close()


def receive_all(peer: socket.socket) -> bytes:
    return b"".join(iter(lambda: peer.recv(READ_SIZE), b""))


# --- 4: what children get -------------------------------------------------------------------------


def test_04_a_program_that_is_started_inherits_none_of_our_descriptors(
    reactor: Reactor, pair: Pair
) -> None:
    """Even if it is started by somebody who closes nothing, as `os.system` does."""
    guests: list[Any] = []
    listener = Listener(reactor, ("127.0.0.1", 0), lambda sock, _: guests.append(sock))
    client = socket.create_connection(listener.addresses[0], PATIENCE)
    wait_for(reactor, lambda: guests)
    if reactor.demultiplexer.features.pollable:
        reactor.fileno()
    own = {int(name) for name in os.listdir("/proc/self/fd")}
    inheritable = {fd for fd in own if _is_open(fd) and os.get_inheritable(fd)}
    done = subprocess.run(
        [sys.executable, "-c", "import os; print(*os.listdir('/proc/self/fd'))"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        close_fds=False,
        check=True,
    )
    ours = {sock.fileno() for sock in (client, *guests)}
    assert not ours & inheritable
    # Its own three, the one that lists the folder, and what was inheritable before us.
    assert {int(name) for name in done.stdout.split()} <= inheritable | {0, 1, 2, 3}
    for sock in (client, *guests):
        sock.close()


#: Forks while another thread is just handing something over; that thread is not in the child.
FORK_IN_MID_CALL = """
import os, signal, sys, threading
from reactor import Reactor

reactor = Reactor(backend=sys.argv[1])
held, done = threading.Event(), threading.Event()

def be_in_the_middle_of_a_call():
    with reactor._lock:
        held.set()
        done.wait(20)

thread = threading.Thread(target=be_in_the_middle_of_a_call)
thread.start()
assert held.wait(20)
child = os.fork()
if child == 0:
    signal.alarm(10)  # ends the child if it waits for the lock
    reactor.stop()
    reactor.close()
    os._exit(7)
done.set()
thread.join()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
reactor.close()
"""


def test_04_a_child_does_not_wait_for_a_lock_whose_owner_stayed_with_the_parent(
    backend: str,
) -> None:
    # Python 3.12 warns of such a fork; what is shown here is what comes after it.
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK_IN_MID_CALL, backend],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("7\n", "")


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


# --- 5: hang-ups ---------------------------------------------------------------------------------


def test_05_a_peer_that_leaves_while_reading_is_paused_does_not_make_the_loop_spin(
    reactor: Reactor, pair: Pair
) -> None:
    ours, peer = pair
    handler = Recorder()
    stream = Stream(reactor, ours, handler)
    wait_for(reactor, lambda: handler.events)
    stream.pause_reading()
    peer.send(b"last words")
    peer.close()
    reactor.run_once(0)
    assert [reactor.run_once(0) for _ in range(2 * HANGUP_PATIENCE)] == [0] * 2 * HANGUP_PATIENCE
    stream.resume_reading()
    wait_for(reactor, lambda: handler.closed)
    assert handler.events == ["open", "data", "eof", "close"]


# --- 6: half close -------------------------------------------------------------------------------


def test_06_a_peer_that_ends_its_side_can_still_be_answered(reactor: Reactor, pair: Pair) -> None:
    ours, peer = pair
    handler = Recorder(eof=lambda stream: None)  # does not close
    stream = Stream(reactor, ours, handler)
    peer.send(b"question")
    peer.shutdown(socket.SHUT_WR)
    wait_for(reactor, lambda: "eof" in handler.events)
    assert not stream.closed
    stream.write(b"answer")
    stream.close()
    wait_for(reactor, lambda: handler.closed)
    assert receive_all(peer) == b"answer"
    assert handler.events == ["open", "data", "eof", "close"]
    assert handler.kind is CloseKind.EOF


def test_06_we_may_end_our_side_and_go_on_reading(reactor: Reactor, pair: Pair) -> None:
    ours, peer = pair
    handler = Recorder(eof=lambda stream: None)  # does not close
    stream = Stream(reactor, ours, handler)
    stream.write(b"question")
    stream.write_eof()
    wait_for(reactor, lambda: stream.stats().bytes_out)
    assert receive_all(peer) == b"question"
    peer.send(b"answer")
    peer.close()
    wait_for(reactor, lambda: handler.closed)
    assert handler.data == b"answer"
    assert handler.kind is CloseKind.EOF


def test_06_everything_sent_before_a_close_is_delivered_before_the_end(
    reactor: Reactor, pair: Pair
) -> None:
    """The hang-up is reported together with the first bytes; much more than one read is left."""
    ours, peer = pair
    sent = bytes(itertools.islice(itertools.cycle(range(251)), 100_000))
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * len(sent))
    peer.sendall(sent)
    peer.close()
    handler = Recorder()
    Stream(reactor, ours, handler)
    wait_for(reactor, lambda: handler.closed)
    assert handler.data == sent
    assert handler.events == ["open", "data", "eof", "close"]


# --- 22: partial writes --------------------------------------------------------------------------


def test_22_bytes_leave_whole_and_in_order_through_a_socket_that_takes_one_at_a_time(
    reactor: Reactor, pair: Pair
) -> None:
    sock = Grudging(pair[0])
    handler = Recorder()
    stream = Stream(reactor, sock, handler)
    chunks: list[bytes | bytearray | memoryview] = [
        b"a",
        b"",
        b"bc",
        bytearray(b"def"),
        memoryview(b"ghij"),
        bytes(range(256)) * 4,
    ]
    for chunk in chunks:
        stream.write(chunk)
    stream.close()
    wait_for(reactor, lambda: handler.closed)
    assert sock.got == b"".join(chunks)
    assert handler.kind is CloseKind.LOCAL
    assert (stream.pending, stream.stats().dropped) == (0, 0)


def test_22_what_the_kernel_has_no_room_for_is_kept_and_follows_in_order(
    reactor: Reactor, pair: Pair
) -> None:
    ours, peer = pair
    for end in pair:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # the kernel's least, a few kB
    handler = Recorder()
    stream = Stream(reactor, ours, handler)
    # Small ones that are joined, large ones that are not, and a buffer that is changed afterwards.
    sizes = [1, 10, 100, 9_000, 70_000, 3, 20_000, 1]
    chunks = [bytes([number]) * size for number, size in enumerate(sizes)]
    buffer = bytearray(b"y" * 10_000)
    stream.writelines(chunks)
    stream.write(buffer)
    buffer[:] = b"n" * len(buffer)
    stream.write_eof()
    received = bytearray()
    reactor.run_once(0)
    assert stream.pending > 0, "otherwise this test shows nothing"
    peer.setblocking(False)
    total = sum(sizes) + len(buffer)
    sip = reactor.register(peer, READ, lambda ready: received.extend(peer.recv(997)))
    wait_for(reactor, lambda: len(received) == total)
    sip.close()
    assert received == b"".join(chunks) + b"y" * 10_000
    assert stream.stats().bytes_out == len(received)


# --- 23: writing to somebody who has gone --------------------------------------------------------


def test_23_a_broken_pipe_is_a_reason_and_not_a_signal(backend: str) -> None:
    """With SIGPIPE at its default, which ends a process, as in a program that embeds Python."""
    program = """
import signal, socket, sys
from reactor import Reactor, Stream, StreamHandler

class Handler(StreamHandler):
    def on_close(self, stream, reason):
        print(reason.kind.name)

signal.signal(signal.SIGPIPE, signal.SIG_DFL)
ours, peer = socket.socketpair()
with Reactor(backend=sys.argv[1]) as reactor:
    stream = Stream(reactor, ours, Handler())
    reactor.run_once(0)
    peer.close()
    stream.pause_reading()
    stream.writelines([b"x" * 10_000] * 3)
    reactor.run_once(0)
    stream.resume_reading()
    assert reactor.run_until(lambda: stream.closed, 20)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, backend],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "RESET\n", "")


def test_23_what_arrived_before_a_reset_is_delivered_and_what_could_not_leave_is_counted(
    reactor: Reactor, pair: Pair
) -> None:
    ours, peer = pair
    handler = Recorder()
    stream = Stream(reactor, ours, handler)
    reactor.run_once(0)
    peer.send(b"last words")
    peer.close()
    stream.write(b"too late")
    wait_for(reactor, lambda: handler.closed)
    assert handler.data == b"last words"
    assert handler.events == ["open", "data", "close"]
    assert handler.kind is CloseKind.RESET
    assert handler.reason is not None
    assert isinstance(handler.reason.error, BrokenPipeError)
    assert stream.stats().dropped == len(b"too late")


def test_23_a_write_after_the_end_is_a_counted_no_op(reactor: Reactor, pair: Pair) -> None:
    handler = Recorder()
    stream = Stream(reactor, pair[0], handler)
    stream.close()
    wait_for(reactor, lambda: handler.closed)
    stream.write(b"x")
    stream.writelines([b"y", b"z"])
    assert reactor.run_once(0) == 0
    assert (stream.pending, stream.stats().refused_writes) == (0, 2)


def test_23_a_connection_reset_by_tcp_ends_with_that_reason(reactor: Reactor) -> None:
    handler = Recorder()
    listener = listen(reactor, ("127.0.0.1", 0), lambda: handler)
    peer = socket.create_connection(listener.addresses[0], PATIENCE)
    wait_for(reactor, lambda: handler.events)
    # Closing with a linger of no time discards what there is, and sends a reset.
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    wait_for(reactor, lambda: handler.closed)
    assert handler.events == ["open", "close"]
    assert handler.kind is CloseKind.RESET


# --- 24: closing in the middle of everything -----------------------------------------------------


def test_24_a_stream_that_is_closed_from_within_its_own_data_hears_of_its_end_once(
    reactor: Reactor, pair: Pair
) -> None:
    class Abrupt(Recorder):
        def on_data(self, stream: Stream, data: bytes) -> None:
            super().on_data(stream, data)
            stream.write(b"never sent")
            stream.abort()
            stream.abort()
            stream.close()
            assert "close" not in self.events, "not from within the call that closes"

    handler = Abrupt()
    Stream(reactor, pair[0], handler)
    pair[1].send(bytes(3 * READ_SIZE))
    pair[1].close()
    wait_for(reactor, lambda: handler.closed)
    for _ in range(3):
        reactor.run_once(0)
    assert handler.events == ["open", "data", "close"]
    assert len(handler.data) <= READ_SIZE


def test_24_a_stream_that_is_closed_by_another_in_the_same_batch_hears_nothing_more(
    reactor: Reactor, pair: Pair
) -> None:
    streams: list[Stream] = []

    class Assassin(Recorder):
        def on_data(self, stream: Stream, data: bytes) -> None:
            super().on_data(stream, data)
            for other in streams:
                if other is not stream:
                    other.abort()

    handlers = [Assassin(), Assassin()]
    second, its_peer = socket.socketpair()
    streams += [Stream(reactor, pair[0], handlers[0]), Stream(reactor, second, handlers[1])]
    reactor.run_once(0)
    pair[1].send(b"x")
    its_peer.send(b"x")
    wait_for(reactor, lambda: handlers[0].closed or handlers[1].closed)
    reactor.run_once(0)
    happened = sorted(handler.events for handler in handlers)
    assert happened == [["open", "close"], ["open", "data"]]
    its_peer.close()
