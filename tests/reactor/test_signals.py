"""Signals: handlers on the loop, bursts, and what was there before coming back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from reactor import Reactor
from reactor.errors import LimitError, ReactorError, WrongThreadError
from reactor.signals import on_signal
from reactor.trace import ErrorContext

DEADLINE = 10.0
ROOT = Path(__file__).resolve().parents[2]
ONE = signal.SIGUSR1
OTHER = signal.SIGUSR2


@pytest.fixture
def reactor(backend: str) -> Iterator[Reactor]:
    before = [signal.getsignal(signum) for signum in (ONE, OTHER)]
    with Reactor(backend=backend) as reactor:
        yield reactor
    assert before == [signal.getsignal(signum) for signum in (ONE, OTHER)]


def wakeup_fd() -> int:
    """Return the interpreter's wakeup descriptor, which can only be read by setting it."""
    current = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(current, warn_on_full_buffer=False)
    return current


def test_a_handler_runs_on_the_loop_and_not_where_the_signal_came(reactor: Reactor) -> None:
    seen: list[int] = []
    on_signal(reactor, ONE, seen.append)
    signal.raise_signal(ONE)
    assert seen == []
    reactor.run_once(0)
    assert seen == [ONE]


def test_a_signal_ends_the_sleep_of_the_loop(reactor: Reactor) -> None:
    seen: list[int] = []
    on_signal(reactor, signal.SIGALRM, seen.append)
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    assert reactor.run_until(lambda: bool(seen), DEADLINE)
    assert seen == [signal.SIGALRM]


def test_a_signal_ends_the_sleep_of_a_single_turn(reactor: Reactor) -> None:
    # run_once, unlike run, gives the wakeup pipe no signals of its own: that is the watch's work.
    seen: list[int] = []
    on_signal(reactor, signal.SIGALRM, seen.append)
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    for _ in range(3):
        if not seen:
            reactor.run_once(DEADLINE)
    assert seen == [signal.SIGALRM]


def test_signals_are_handled_after_the_deferred_calls_of_their_turn(reactor: Reactor) -> None:
    seen: list[str] = []
    on_signal(reactor, ONE, lambda _signum: seen.append("signal"))
    signal.raise_signal(ONE)
    reactor.call_soon(seen.append, "deferred")
    reactor.run_once(0)
    assert seen == ["deferred", "signal"]


def test_several_watches_of_one_signal_are_called_in_order(reactor: Reactor) -> None:
    seen: list[str] = []
    first = on_signal(reactor, ONE, lambda _signum: seen.append("first"))
    on_signal(reactor, ONE, lambda _signum: seen.append("second"))
    on_signal(reactor, OTHER, lambda _signum: seen.append("other"))
    signal.raise_signal(ONE)
    reactor.run_once(0)
    assert seen == ["first", "second"]
    first.close()
    signal.raise_signal(ONE)
    signal.raise_signal(OTHER)
    reactor.run_once(0)
    assert seen == ["first", "second", "second", "other"]


def test_signals_that_come_before_the_loop_gets_to_them_are_one_call(reactor: Reactor) -> None:
    seen: list[int] = []
    watch = on_signal(reactor, ONE, seen.append)
    for _ in range(1000):
        signal.raise_signal(ONE)
    reactor.run_once(0)
    reactor.run_once(0)
    assert seen == [ONE]
    assert watch.fired == 1


def test_a_burst_that_overflows_the_pipe_loses_no_signal(reactor: Reactor) -> None:
    seen: list[int] = []
    on_signal(reactor, ONE, seen.append)
    on_signal(reactor, OTHER, seen.append)
    for _ in range(70_000):  # a pipe holds 65,536 bytes
        signal.raise_signal(ONE)
    signal.raise_signal(OTHER)
    reactor.run_once(0)
    assert seen == [ONE, OTHER]


def test_a_signal_that_comes_while_its_handler_runs_gets_a_call_of_its_own(
    reactor: Reactor,
) -> None:
    seen: list[int] = []

    def handler(signum: int) -> None:
        seen.append(signum)
        if len(seen) == 1:
            signal.raise_signal(signum)

    on_signal(reactor, ONE, handler)
    signal.raise_signal(ONE)
    reactor.run_once(0)
    assert seen == [ONE]
    reactor.run_once(0)
    assert seen == [ONE, ONE]


def test_a_closed_watch_is_not_called_for_a_signal_that_has_come_already(
    reactor: Reactor,
) -> None:
    seen: list[int] = []
    watch = on_signal(reactor, ONE, seen.append)
    on_signal(reactor, ONE, lambda _signum: None)
    signal.raise_signal(ONE)
    watch.close()
    reactor.run_once(0)
    assert seen == []
    assert watch.closed


def test_a_watch_may_close_itself_and_the_next_one(reactor: Reactor) -> None:
    seen: list[str] = []

    def handler(_signum: int) -> None:
        seen.append("first")
        first.close()
        second.close()

    first = on_signal(reactor, ONE, handler)
    second = on_signal(reactor, ONE, lambda _signum: seen.append("second"))
    signal.raise_signal(ONE)
    reactor.run_once(0)
    assert seen == ["first"]
    assert signal.getsignal(ONE) is signal.SIG_DFL


def test_what_a_handler_raises_is_reported_and_the_other_watches_are_called(
    reactor: Reactor,
) -> None:
    reported: list[ErrorContext] = []
    reactor.on_error = reported.append
    seen: list[int] = []

    def broken(_signum: int) -> None:
        raise ValueError("broken")

    on_signal(reactor, ONE, broken)
    on_signal(reactor, ONE, seen.append)
    signal.raise_signal(ONE)
    reactor.run_once(0)
    assert seen == [ONE]
    (context,) = reported
    assert "broken" in str(context)
    assert "watch for SIGUSR1" in str(context)
    assert "test_signals.py" in str(context)


def test_closing_the_last_watch_restores_the_disposition_and_the_wakeup_descriptor(
    reactor: Reactor,
) -> None:
    def before(_signum: int, _frame: object) -> None:
        raise AssertionError("never called")

    fd_before = wakeup_fd()
    original = signal.signal(ONE, before)
    try:
        watches = [on_signal(reactor, ONE, lambda _signum: None) for _ in range(2)]
        assert signal.getsignal(ONE) is not before
        assert wakeup_fd() != fd_before
        watches[0].close()
        assert signal.getsignal(ONE) is not before
        watches[1].close()
        watches[1].close()
        assert signal.getsignal(ONE) is before
        assert wakeup_fd() == fd_before
    finally:
        signal.signal(ONE, original)


def test_the_previous_wakeup_descriptor_is_in_use_again_after_the_last_watch(
    reactor: Reactor,
) -> None:
    read_fd, write_fd = os.pipe()
    os.set_blocking(read_fd, False)
    os.set_blocking(write_fd, False)
    original = signal.signal(ONE, lambda _signum, _frame: None)
    signal.set_wakeup_fd(write_fd)
    try:
        on_signal(reactor, ONE, lambda _signum: None).close()
        signal.raise_signal(ONE)
        assert os.read(read_fd, 10) == bytes([ONE])
    finally:
        signal.set_wakeup_fd(-1)
        signal.signal(ONE, original)
        os.close(read_fd)
        os.close(write_fd)


def test_who_replaced_our_disposition_keeps_theirs(reactor: Reactor) -> None:
    def theirs(_signum: int, _frame: object) -> None:
        raise AssertionError("never called")

    watch = on_signal(reactor, ONE, lambda _signum: None)
    ours = signal.signal(ONE, theirs)
    watch.close()
    replaced = signal.signal(ONE, signal.SIG_DFL)
    assert callable(ours)
    assert replaced is theirs


def test_closing_the_reactor_closes_its_watches(backend: str) -> None:
    fd_before = wakeup_fd()
    with Reactor(backend=backend) as reactor:
        watch = on_signal(reactor, ONE, lambda _signum: None)
    assert watch.closed
    assert signal.getsignal(ONE) is signal.SIG_DFL
    assert wakeup_fd() == fd_before


def test_only_one_reactor_at_a_time_has_watches(reactor: Reactor) -> None:
    seen: list[int] = []
    watch = on_signal(reactor, ONE, lambda _signum: None)
    with Reactor() as second:
        with pytest.raises(ReactorError, match="another reactor watches signals"):
            on_signal(second, OTHER, seen.append)
        watch.close()
        on_signal(second, OTHER, seen.append)
        signal.raise_signal(OTHER)
        second.run_once(0)
    assert seen == [OTHER]


def test_a_reactor_in_another_thread_gets_the_signals_of_the_main_thread(backend: str) -> None:
    seen: list[tuple[int, int]] = []
    called = threading.Event()

    def handler(signum: int) -> None:
        seen.append((signum, threading.get_ident()))
        called.set()

    with Reactor(backend=backend) as reactor:
        on_signal(reactor, ONE, handler)
        thread = threading.Thread(target=reactor.run)
        thread.start()
        try:
            for _ in range(50):
                called.clear()
                signal.raise_signal(ONE)
                assert called.wait(DEADLINE)
        finally:
            reactor.stop()
            thread.join(DEADLINE)
    assert seen == [(ONE, thread.ident)] * 50


def test_any_other_thread_than_the_main_one_is_refused(reactor: Reactor) -> None:
    watch = on_signal(reactor, ONE, lambda _signum: None)
    errors: list[BaseException] = []

    def attempt() -> None:
        for call in (lambda: on_signal(reactor, OTHER, print), watch.close):
            try:
                call()
            except WrongThreadError as error:
                errors.append(error)

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join(DEADLINE)
    assert ["main thread only" in str(error) for error in errors] == [True, True]
    assert not watch.closed


@pytest.mark.parametrize(
    ("signum", "why"),
    [
        (signal.SIGKILL, "SIGKILL cannot be watched"),
        (signal.SIGSTOP, "SIGSTOP cannot be watched"),
        (signal.SIGSEGV, "faulthandler"),
        (0, "no signal 0"),
        (1000, "no signal 1000"),
    ],
)
def test_signals_that_cannot_be_watched_are_refused(signum: int, why: str) -> None:
    fd_before = wakeup_fd()
    with Reactor() as reactor:
        with pytest.raises(LimitError, match=why):
            on_signal(reactor, signum, print)
        assert reactor.stats().handles == 0
    assert wakeup_fd() == fd_before


def test_watches_leave_no_descriptor_behind(reactor: Reactor) -> None:
    reactor.run_once(0)
    before = len(os.listdir("/proc/self/fd"))
    on_signal(reactor, ONE, print).close()
    reactor.run_once(0)
    assert len(os.listdir("/proc/self/fd")) == before


def run_script(script: str, backend: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", script, backend],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_real_time_signal_may_be_watched_and_goes_by_its_number(reactor: Reactor) -> None:
    seen: list[int] = []
    watch = on_signal(reactor, signal.SIGRTMIN + 1, seen.append)
    signal.raise_signal(watch.signum)
    reactor.run_once(0)
    assert seen == [watch.signum]
    assert watch.describe() == f"watch for signal {watch.signum}"


def test_a_watch_that_cannot_be_made_leaves_nothing(
    reactor: Reactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise OSError("not here")

    fd_before = wakeup_fd()
    with monkeypatch.context() as patch:
        patch.setattr(signal, "signal", fail)
        with pytest.raises(OSError, match="not here"):
            on_signal(reactor, ONE, print)
    assert reactor.stats().handles == 0
    assert wakeup_fd() == fd_before


#: Ends on SIGTERM with status 7; says when it is ready to be told.
TERMINATED = """
import signal, sys
from reactor import Reactor, on_signal

with Reactor(backend=sys.argv[1]) as reactor:
    on_signal(reactor, signal.SIGTERM, lambda signum: reactor.stop())
    print("ready", flush=True)
    reactor.run()
sys.exit(7)
"""


def test_a_program_ends_cleanly_when_it_is_terminated(backend: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", TERMINATED, backend],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.terminate()
        assert child.wait(30) == 7


#: Forks while it watches a signal; the child watches it on a reactor of its own.
FORKED = """
import os, signal, sys
from reactor import Reactor, on_signal

seen = []
with Reactor(backend=sys.argv[1]) as reactor:
    on_signal(reactor, signal.SIGUSR1, lambda signum: None)
    child = os.fork()
    if child == 0:
        with Reactor(backend=sys.argv[1]) as own:
            on_signal(own, signal.SIGUSR1, seen.append)
            signal.raise_signal(signal.SIGUSR1)
            own.run_once(0)
        os._exit(len(seen))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_child_may_watch_signals_on_a_reactor_of_its_own(backend: str) -> None:
    # In a process of its own, as forking one that has threads is not to be relied on.
    done = run_script(FORKED, backend)
    assert ("1\n", "") == (done.stdout, done.stderr)
