"""The hard bugs of reactors that are about time, signals and threads, each by its number in
docs/special-problems.md.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator

import pytest

from reactor import WRITE, Reactor
from reactor.budgets import MAX_WAIT
from reactor.clock import ManualClock
from reactor.demux import open_demultiplexer

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pairs() -> Iterator[list[Pair]]:
    ends = [socket.socketpair() for _ in range(4)]
    for ours, _ in ends:
        ours.setblocking(False)
    yield ends
    for ours, peer in ends:
        ours.close()
        peer.close()


def test_09_deferred_calls_that_defer_do_not_starve_the_handles(
    reactor: Reactor, pairs: list[Pair]
) -> None:
    seen: list[int] = []

    def again() -> None:
        reactor.call_soon(again)

    reactor.call_soon(again)
    reactor.register(pairs[0][0], WRITE, seen.append)
    for _ in range(3):
        reactor.run_once(None)
    assert seen == [WRITE] * 3


def test_09_timers_of_no_delay_do_not_starve_the_handles(
    reactor: Reactor, pairs: list[Pair]
) -> None:
    seen: list[int] = []

    def again() -> None:
        reactor.call_later(0, again)

    again()
    reactor.register(pairs[0][0], WRITE, seen.append)
    for _ in range(3):
        reactor.run_once(None)
    assert seen == [WRITE] * 3


def test_10_a_timer_of_no_delay_set_by_a_timer_fires_in_the_next_turn(reactor: Reactor) -> None:
    order: list[str] = []
    reactor.call_later(0, lambda: reactor.call_later(0, order.append, "inner"))
    reactor.run_once(0)
    assert order == []
    reactor.run_once(None)
    assert order == ["inner"]


def test_11_a_due_timer_cancelled_by_an_earlier_one_does_not_fire(reactor: Reactor) -> None:
    order: list[str] = []
    reactor.call_at(0, lambda: late.cancel())
    late = reactor.call_at(0, order.append, "late")
    reactor.run_once(0)
    assert order == []


def test_12_a_periodic_timer_neither_drifts_nor_catches_up(backend: str) -> None:
    clock = ManualClock()
    with Reactor(backend=backend, clock=clock) as reactor:
        at: list[float] = []
        timer = reactor.call_every(1, lambda: at.append(clock.now()))
        for now in (1.25, 2.0, 7.5, 7.75, 8.0):
            clock.set(now)
            reactor.run_once(0)
        assert at == [1.25, 2.0, 7.5, 8.0]
        assert timer.missed == 4


def test_13_a_jump_of_the_wall_clock_moves_no_timer(
    reactor: Reactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    reactor.call_later(100, order.append, "too early")
    reactor.call_later(0, order.append, "now")
    monkeypatch.setattr(time, "time", lambda: 4e9)
    reactor.run_once(0)
    assert order == ["now"]


def test_14_a_timer_never_fires_early_and_the_loop_does_not_spin_towards_it(
    reactor: Reactor,
) -> None:
    for delay in (0.0004, 0.0016, 0.0101):
        turns = reactor.stats().turns
        fired: list[float] = []
        timer = reactor.call_later(delay, lambda: fired.append(time.monotonic()))  # noqa: B023
        deadline = timer.deadline
        reactor.run_until(lambda: bool(fired))  # noqa: B023 - called before the next round
        assert fired[0] >= deadline
        assert reactor.stats().turns - turns <= 2


def test_14_a_very_long_wait_is_cut_to_what_the_kernel_can_express(backend: str) -> None:
    demultiplexer = open_demultiplexer(backend)
    ours, peer = socket.socketpair()
    demultiplexer.register(ours.fileno(), WRITE, 1)
    assert demultiplexer.wait(1e12) == [(1, WRITE)]
    assert MAX_WAIT < 2**31 / 1000
    demultiplexer.close()
    ours.close()
    peer.close()


def test_15_a_signal_between_the_check_and_the_wait_ends_the_wait(reactor: Reactor) -> None:
    """The C-level handler's byte is in the pipe before the wait begins, so it cannot be missed."""
    previous = signal.signal(
        signal.SIGUSR1, lambda *_: reactor.call_from_signal(heard.append, "signal")
    )
    heard: list[str] = []
    reactor.wakeup.adopt_signals()
    wait = reactor.demultiplexer.wait

    def signal_just_before(timeout: float | None) -> list[tuple[int, int]]:
        signal.raise_signal(signal.SIGUSR1)
        return wait(timeout)

    try:
        reactor.demultiplexer.wait = signal_just_before  # type: ignore[method-assign]  # the race
        reactor.run_once(None)
        assert heard == ["signal"]
    finally:
        reactor.wakeup.release_signals()
        signal.signal(signal.SIGUSR1, previous)


def test_16_an_interrupted_wait_is_continued_and_does_not_end_early(reactor: Reactor) -> None:
    interrupted: list[int] = []
    previous = signal.signal(signal.SIGALRM, lambda number, _frame: interrupted.append(number))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
        start = time.monotonic()
        reactor.run_once(0.05)
        assert time.monotonic() - start >= 0.05
        assert len(interrupted) > 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def test_17_a_wakeup_is_never_lost_and_they_do_not_flood(reactor: Reactor) -> None:
    heard: list[int] = []
    rounds = 2000

    def shout() -> None:
        for number in range(rounds):
            reactor.call_threadsafe(heard.append, number)
            while len(heard) <= number:
                time.sleep(0)

    thread = threading.Thread(target=shout)
    thread.start()
    assert reactor.run_until(lambda: len(heard) == rounds, timeout=60)
    thread.join()
    assert heard == list(range(rounds))


def test_17_a_full_wakeup_pipe_is_as_good_as_a_written_one(reactor: Reactor) -> None:
    for _ in range(100_000):
        reactor.wakeup.notify()
    reactor.run_once(None)
    reactor.run_once(0)
    while reactor.run_once(0):
        pass
    assert reactor.explain_last_wakeup().endswith("nothing happened")


def test_17_a_broken_wakeup_pipe_is_made_anew(
    reactor: Reactor, caplog: pytest.LogCaptureFixture
) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, reactor.wakeup._write_fd, inheritable=False)
    os.close(null)
    reactor.run_once(1)
    assert "made anew" in caplog.text
    threading.Timer(0.01, reactor.call_threadsafe, [reactor.stop]).start()
    reactor.run()


def test_18_a_stop_before_run_or_from_a_thread_is_not_lost(reactor: Reactor) -> None:
    reactor.stop()
    reactor.run()
    stopper = threading.Thread(target=reactor.stop)
    stopper.start()
    reactor.run()
    stopper.join()


def test_15_and_17_ctrl_c_ends_a_loop_that_has_nothing_else_to_do(backend: str) -> None:
    program = textwrap.dedent(f"""
        import os, signal, threading, reactor
        r = reactor.Reactor(backend={backend!r})
        r.call_soon(threading.Timer(0.02, os.kill, [os.getpid(), signal.SIGINT]).start)
        r.run()
        print("clean")
        """)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    )
    assert (done.stdout, done.stderr) == ("clean\n", "")
