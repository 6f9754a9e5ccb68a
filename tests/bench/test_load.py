"""The load of the echo benchmark: what it counts, and that it notices a server that cheats."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

pytest.importorskip("rich", reason="the benchmarks have an extra of their own: [bench]")

from bench.processes import Load, MeasuringError, Server, load

pytestmark = pytest.mark.skipif(
    shutil.which("cc") is None, reason="the load is a C program, built when it is needed"
)

Answer = Callable[[bytes], bytes]


class InThreads:
    """A server in this process, a thread for each peer, that answers as a test wishes."""

    def __init__(self, answer: Answer) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.sent = 0
        self.peers = 0
        self._answer = answer
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with ExitStack() as threads:
            while True:
                try:
                    sock, _ = self.listener.accept()
                except OSError:
                    return
                self.peers += 1
                thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
                thread.start()
                threads.callback(thread.join)

    def _serve(self, sock: socket.socket) -> None:
        with sock:
            try:
                while data := sock.recv(65536):
                    answer = self._answer(data)
                    if not answer:
                        return
                    sock.sendall(answer)
                    with self._lock:
                        self.sent += len(answer)
            except OSError:
                return


@contextmanager
def answering(answer: Answer) -> Iterator[tuple[InThreads, Server]]:
    made = InThreads(answer)
    with tempfile.TemporaryFile("w+") as complaints:
        port = made.listener.getsockname()[1]
        yield made, Server("threads", port, os.getpid(), None, complaints)
    made.listener.shutdown(socket.SHUT_RDWR)
    made.listener.close()


def test_messages_are_counted_and_none_that_did_not_come_back() -> None:
    with answering(bytes) as (made, server):
        result = load(server, size=1000, connections=3, seconds=0.2, warmup=0.05)
        assert 3 == made.peers
    assert 0 < result.messages
    # What was echoed in the warm-up, or was under way at the end, is not counted.
    assert result.messages * 1000 <= made.sent


def test_percentiles_are_in_order_and_the_window_is_as_long_as_was_asked() -> None:
    with answering(bytes) as (_, server):
        result = load(server, size=64, connections=2, seconds=0.2, warmup=0.0)
    assert 0 < result.p50 <= result.p90 <= result.p99 <= result.max
    assert 0.2 <= result.seconds < 5.0


def test_a_large_message_may_come_back_in_pieces() -> None:
    with answering(bytes) as (made, server):
        result = load(server, size=300_000, connections=2, seconds=0.2, warmup=0.0)
    assert result.messages * 300_000 <= made.sent


def test_a_server_that_changes_what_it_sends_back_is_found_out() -> None:
    with (
        answering(lambda data: bytes(len(data))) as (_, server),
        pytest.raises(MeasuringError, match="what came back is not what was sent"),
    ):
        load(server, size=64, connections=1, seconds=0.1, warmup=0.05)


def test_a_server_that_sends_too_much_is_found_out() -> None:
    with (
        answering(lambda data: data + b"!") as (_, server),
        pytest.raises(MeasuringError, match="more came back than was sent"),
    ):
        load(server, size=64, connections=1, seconds=0.1, warmup=0.05)


def test_a_server_that_hangs_up_is_an_error_and_not_a_low_figure() -> None:
    with (
        answering(lambda data: b"") as (_, server),
        pytest.raises(MeasuringError, match="a connection ended"),
    ):
        load(server, size=64, connections=1, seconds=0.1, warmup=0.05)


def figures(**changed: float) -> Load:
    base = {"server_cpu": 0.5, "server_queued": 0.0, "load_cpu": 0.5, "load_queued": 0.0}
    times = {"p50": 1.0, "p90": 1.0, "p99": 1.0, "max": 1.0}
    return Load(messages=1000, seconds=1.0, **(base | times | changed))


def test_work_is_counted_by_cpu_time_and_not_by_the_clock_on_the_wall() -> None:
    assert 2000.0 == figures().per_cpu_second
    assert 1000.0 == figures().per_second


def test_the_load_was_the_bottleneck_if_it_never_waited_while_the_server_did() -> None:
    assert not figures().load_was_the_bottleneck
    assert figures(load_cpu=0.9, load_queued=0.09).load_was_the_bottleneck
    assert not figures(load_cpu=0.99, server_cpu=0.99).load_was_the_bottleneck


def test_the_servers_cpu_time_is_no_more_than_the_kernel_counted_for_its_process() -> None:
    # The server of these tests is this very process.
    with answering(bytes) as (_, server):
        before = os.times()
        result = load(server, size=64, connections=1, seconds=0.2, warmup=0.0)
        after = os.times()
    used = after.user + after.system - before.user - before.system
    tick = 1 / os.sysconf("SC_CLK_TCK")
    assert 0 < result.server_cpu <= used + 2 * tick
