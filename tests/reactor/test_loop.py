"""Control of the loop: run, stop, close, threads, errors, forks, interrupts, embedding."""

from __future__ import annotations

import contextlib
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

from reactor import READ, WRITE, Reactor
from reactor.demux import open_demultiplexer
from reactor.errors import (
    ForkError,
    ReactorClosedError,
    ReentryError,
    RegistrationError,
    UnsupportedError,
    WrongThreadError,
)
from reactor.trace import ErrorContext


@pytest.fixture
def reactor(backend: str) -> Iterator[Reactor]:
    with Reactor(backend=backend) as it:
        yield it


Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ends = socket.socketpair()
    yield ends
    for end in ends:
        end.close()


def in_child(action: str) -> str:
    """Run the lines of `action` in a Python of their own and return what they print."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(action)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout


# --- run and stop -------------------------------------------------------------------------------


def test_run_turns_until_stop(reactor: Reactor) -> None:
    reactor.call_later(0.001, reactor.stop)
    reactor.run()
    assert reactor.stats().calls == 1


def test_a_stop_before_run_is_not_lost_and_is_used_up(reactor: Reactor) -> None:
    reactor.stop()
    reactor.run()
    reactor.call_soon(reactor.stop)
    reactor.run()
    assert reactor.stats().turns == 1


def test_stop_from_another_thread_wakes_the_loop(reactor: Reactor) -> None:
    stopper = threading.Timer(0.01, reactor.stop)
    stopper.start()
    reactor.run()
    stopper.join()


def test_a_turn_with_a_stop_pending_does_not_sleep(reactor: Reactor) -> None:
    reactor.stop()
    assert reactor.run_once(None) == 0


def test_run_until_returns_true_when_the_predicate_holds(reactor: Reactor) -> None:
    seen: list[int] = []
    reactor.call_every(0.001, seen.append, 1)
    assert reactor.run_until(lambda: len(seen) == 3) is True


def test_run_until_returns_false_at_its_timeout_or_a_stop(reactor: Reactor) -> None:
    assert reactor.run_until(lambda: False, timeout=0.001) is False
    reactor.call_soon(reactor.stop)
    assert reactor.run_until(lambda: False) is False
    assert reactor.stats().timers == 0


def test_run_once_waits_at_most_its_timeout(reactor: Reactor) -> None:
    start = time.monotonic()
    assert reactor.run_once(0.02) == 0
    assert time.monotonic() - start >= 0.02


def test_a_turn_within_a_turn_is_refused(reactor: Reactor) -> None:
    errors: list[ErrorContext] = []
    reactor.on_error = errors.append
    reactor.call_soon(reactor.run_once)
    reactor.call_soon(reactor.run)
    reactor.call_soon(reactor.close)
    reactor.run_once(0)
    assert [type(context.error) for context in errors] == [ReentryError] * 3
    assert reactor.run_once(0) == 0


def test_two_reactors_run_in_two_threads(backend: str) -> None:
    with Reactor(backend=backend) as one, Reactor(backend=backend) as two:
        heard: list[str] = []
        thread = threading.Thread(target=two.run)
        thread.start()
        two.call_threadsafe(one.call_threadsafe, heard.append, "from two")
        one.run_until(lambda: heard == ["from two"], timeout=10)
        two.stop()
        thread.join()
        assert heard == ["from two"]


# --- threads ------------------------------------------------------------------------------------


def test_every_call_from_other_threads_arrives_in_its_threads_order(reactor: Reactor) -> None:
    heard: list[tuple[int, int]] = []

    def shout(thread: int) -> None:
        for number in range(1000):
            reactor.call_threadsafe(heard.append, (thread, number))

    threads = [threading.Thread(target=shout, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    assert reactor.run_until(lambda: len(heard) == 4000, timeout=30)
    for thread in threads:
        thread.join()
    assert [[n for t, n in heard if t == thread] for thread in range(4)] == [list(range(1000))] * 4


def test_the_wakeup_is_written_only_if_the_loop_sleeps(
    reactor: Reactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[bool] = []
    monkeypatch.setattr(type(reactor.wakeup), "notify", lambda wakeup: written.append(True))
    reactor.call_threadsafe(lambda: None)
    reactor.run_once(0)
    assert written == []


def test_one_sleep_is_ended_by_one_write(reactor: Reactor) -> None:
    heard: list[int] = []

    def shout() -> None:
        while not reactor._asleep:
            time.sleep(0)
        for number in range(100):
            reactor.call_threadsafe(heard.append, number)

    thread = threading.Thread(target=shout)
    thread.start()
    assert reactor.run_until(lambda: len(heard) == 100, timeout=10)
    thread.join()


def test_debug_mode_refuses_calls_from_the_wrong_thread(backend: str) -> None:
    with Reactor(backend=backend, debug=True) as reactor:
        caught: list[BaseException] = []

        def trespass() -> None:
            try:
                reactor.call_soon(print)
            except WrongThreadError as error:
                caught.append(error)
            reactor.call_threadsafe(reactor.stop)

        reactor.call_soon(threading.Thread(target=trespass).start)
        reactor.run()
        assert "call_threadsafe" in str(caught[0])


# --- errors -------------------------------------------------------------------------------------


def test_an_exception_goes_to_on_error_once_and_the_loop_goes_on(
    reactor: Reactor, pair: Pair
) -> None:
    contexts: list[ErrorContext] = []
    after: list[str] = []
    reactor.on_error = contexts.append
    handle = reactor.register(pair[0], WRITE, lambda ready: [].pop())
    reactor.call_soon(after.append, "called")
    reactor.run_once(0)
    [context] = contexts
    assert (context.source, context.ready) == (handle, WRITE)
    assert "IndexError" in str(context)
    assert __file__ in str(context)
    assert after == ["called"]
    assert reactor.stats().errors == 1


def test_an_unhandled_exception_is_logged_with_its_traceback(
    reactor: Reactor, caplog: pytest.LogCaptureFixture
) -> None:
    reactor.call_soon([].pop)
    reactor.run_once(0)
    [record] = caplog.records
    assert record.name == "reactor"
    assert record.exc_info is not None
    assert "pop from empty list" in record.getMessage()


def test_an_on_error_that_fails_hides_neither_error(
    reactor: Reactor, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(context: ErrorContext) -> None:
        raise RuntimeError("worse")

    reactor.on_error = fails
    reactor.call_soon([].pop)
    reactor.run_once(0)
    texts = [record.getMessage() for record in caplog.records]
    assert texts[0] == "on_error failed"
    assert "pop from empty list" in texts[1]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_leaving_exceptions_end_the_turn_and_keep_the_rest_of_the_batch(
    reactor: Reactor, kind: type[BaseException]
) -> None:
    def leave() -> None:
        raise kind

    order: list[str] = []
    reactor.call_soon(leave)
    reactor.call_soon(order.append, "kept")
    with pytest.raises(kind):
        reactor.run_once(0)
    assert order == []
    assert reactor.run_once(None) == 1
    assert order == ["kept"]


# --- Ctrl-C -------------------------------------------------------------------------------------


def test_ctrl_c_ends_run_after_the_handler_it_came_in() -> None:
    printed = in_child("""
        import os, signal, reactor
        r = reactor.Reactor()
        def handler():
            os.kill(os.getpid(), signal.SIGINT)
            print("handler ends")
        r.call_soon(handler)
        r.call_soon(print, "the rest of the turn")
        r.run()
        print("interrupted:", r.interrupted)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert signal.set_wakeup_fd(-1) == -1
        r.close()
        """)
    assert printed.splitlines() == [
        "handler ends",
        "the rest of the turn",
        "interrupted: True",
    ]


def test_ctrl_c_ends_the_sleep() -> None:
    printed = in_child("""
        import os, signal, threading, reactor
        r = reactor.Reactor()
        threading.Timer(0.05, os.kill, [os.getpid(), signal.SIGINT]).start()
        r.run()
        print(r.interrupted)
        r.stop()
        r.run()
        print(r.interrupted)
        """)
    assert printed.splitlines() == ["True", "False"]


def test_ctrl_c_is_raised_from_run_until_as_that_is_only_a_step_of_a_program() -> None:
    printed = in_child("""
        import os, signal, reactor
        r = reactor.Reactor()
        done = []
        r.call_soon(os.kill, os.getpid(), signal.SIGINT)
        r.call_soon(done.append, "the rest of the turn")
        try:
            r.run_until(lambda: False)
        except KeyboardInterrupt:
            print("raised after", *done)
        """)
    assert printed == "raised after the rest of the turn\n"


def test_a_second_ctrl_c_interrupts_a_handler_that_does_not_end() -> None:
    printed = in_child("""
        import os, signal, reactor
        r = reactor.Reactor()
        def stuck():
            os.kill(os.getpid(), signal.SIGINT)
            print("noted")
            os.kill(os.getpid(), signal.SIGINT)
            print("never reached")
        r.call_soon(stuck)
        try:
            r.run()
        except KeyboardInterrupt:
            print("interrupted")
        """)
    assert printed.splitlines() == ["noted", "interrupted"]


def test_a_sigint_handler_of_the_program_is_left_alone() -> None:
    printed = in_child("""
        import os, signal, reactor
        r = reactor.Reactor()
        signal.signal(signal.SIGINT, lambda *_: (print("mine"), r.stop()))
        r.call_soon(os.kill, os.getpid(), signal.SIGINT)
        r.run()
        print("ended")
        """)
    assert printed.splitlines() == ["mine", "ended"]


def test_the_previous_wakeup_descriptor_is_restored_after_run() -> None:
    ours, peer = socket.socketpair()
    peer.setblocking(False)
    before = signal.set_wakeup_fd(peer.fileno())
    try:
        with Reactor() as reactor:
            reactor.stop()
            reactor.run()
        assert signal.set_wakeup_fd(before) == peer.fileno()
    finally:
        ours.close()
        peer.close()


# --- closing ------------------------------------------------------------------------------------


def test_a_closed_reactor_refuses_what_it_could_never_do(backend: str, pair: Pair) -> None:
    reactor = Reactor(backend=backend)
    reactor.close()
    reactor.close()
    for action in (
        lambda: reactor.register(pair[0], READ, print),
        lambda: reactor.call_later(1, print),
        lambda: reactor.call_threadsafe(print),
        lambda: reactor.run_once(0),
    ):
        with pytest.raises(ReactorClosedError):
            action()


def test_closing_gives_back_every_descriptor(backend: str) -> None:
    before = set(os.listdir("/proc/self/fd"))
    reactor = Reactor(backend=backend)
    ours, peer = socket.socketpair()
    reactor.register(ours, READ, print, owned=True)
    reactor.close()
    peer.close()
    assert set(os.listdir("/proc/self/fd")) == before


def test_closing_calls_what_was_deferred_before(backend: str) -> None:
    heard: list[str] = []
    reactor = Reactor(backend=backend)
    reactor.call_soon(heard.append, "kept")
    reactor.close()
    assert heard == ["kept"]


def test_closing_asks_handles_to_end_gracefully_and_then_forces_them(
    backend: str, pair: Pair
) -> None:
    asked: list[bool] = []
    reactor = Reactor(backend=backend)
    handle = reactor.register(pair[0], READ, print)
    handle.on_shutdown = asked.append
    reactor.close(timeout=0.01)
    assert asked == [False, True]
    assert handle.closed


def test_closing_waits_no_longer_than_the_handles_need(backend: str, pair: Pair) -> None:
    reactor = Reactor(backend=backend)
    handle = reactor.register(pair[0], READ, print)
    handle.on_shutdown = lambda force: handle.close()
    reactor.close(timeout=60)
    assert reactor.closed


# --- forks --------------------------------------------------------------------------------------


@contextlib.contextmanager
def forked_child() -> Iterator[list[str]]:
    """Fork; in the child, collect lines in the list, which the parent's list then holds."""
    lines: list[str] = []
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            yield lines
            os.write(write_end, "\n".join(lines).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(write_end)
    with open(read_end) as reading:
        result = reading.read().splitlines()
    assert os.waitpid(child, 0)[1] == 0
    raise _ParentError(result)


class _ParentError(Exception):
    """Carries the child's lines past the block that only the child runs."""


def test_a_forked_child_is_told_to_call_after_fork(reactor: Reactor, pair: Pair) -> None:
    ours, peer = pair
    handle = reactor.register(ours, READ, lambda ready: None)
    with pytest.raises(_ParentError) as result, forked_child() as lines:
        for action in (lambda: reactor.run_once(0), lambda: handle.modify(WRITE)):
            try:
                action()
            except ForkError as error:
                lines.append(str("after_fork" in str(error)))
        handle.close()
    assert result.value.args == (["True", "True"],)
    peer.send(b"x")
    assert reactor.run_once(1) == 1, "the child's close must not reach the parent's kernel set"


def test_after_fork_the_child_goes_on_with_all_its_handles_and_timers(
    reactor: Reactor, pair: Pair
) -> None:
    ours, peer = pair
    lines: list[str] = []
    reactor.register(ours, READ, lambda ready: lines.append(ours.recv(9).decode()))
    reactor.call_later(0, lambda: lines.append("timer"))
    with pytest.raises(_ParentError) as result, forked_child() as child_lines:
        reactor.after_fork()
        peer.send(b"data")
        threading.Timer(0.01, reactor.call_threadsafe, [reactor.stop]).start()
        reactor.run()
        child_lines.extend(sorted(lines))
    assert result.value.args == (["data", "timer"],)


def test_a_fork_within_a_turn_can_end_the_turn_in_the_child(reactor: Reactor) -> None:
    results: list[object] = []

    def fork() -> None:
        try:
            with forked_child() as lines:
                reactor.after_fork()
                lines.append("alive")
        except _ParentError as parent:
            results.append(parent.args[0])

    reactor.call_soon(fork)
    reactor.run_once(0)
    assert results == [["alive"]]


# --- being embedded -----------------------------------------------------------------------------


def test_next_deadline_is_the_next_timer_or_now_if_work_waits(reactor: Reactor) -> None:
    assert reactor.next_deadline() is None
    timer = reactor.call_later(100, print)
    assert reactor.next_deadline() == timer.deadline
    reactor.call_soon(lambda: None)
    deadline = reactor.next_deadline()
    assert deadline is not None
    assert deadline < timer.deadline


def test_a_host_is_woken_by_whatever_is_added_between_turns(backend: str) -> None:
    with Reactor(backend=backend) as reactor:
        if not reactor.demultiplexer.features.pollable:
            with pytest.raises(UnsupportedError):
                reactor.fileno()
            return
        host = open_demultiplexer("poll")
        host.register(reactor.fileno(), READ, 1)
        for add in (
            lambda: reactor.call_soon(lambda: None),
            lambda: reactor.call_threadsafe(lambda: None),
            lambda: reactor.call_later(5, lambda: None),
            lambda: reactor.on_closing(lambda: None),
        ):
            assert host.wait(0) == []
            add()
            assert host.wait(1) == [(1, READ)]
            reactor.run_once(0)
        host.close()


# --- registering --------------------------------------------------------------------------------


def test_an_interest_that_is_no_event_is_refused(reactor: Reactor, pair: Pair) -> None:
    with pytest.raises(RegistrationError, match="READ, WRITE and HANGUP"):
        reactor.register(pair[0], 8, print)


def test_an_owned_object_must_be_closable(reactor: Reactor) -> None:
    class Bare:
        def fileno(self) -> int:
            return 0

    with pytest.raises(TypeError, match=r"close\(\)"):
        reactor.register(Bare(), READ, print, owned=True)
