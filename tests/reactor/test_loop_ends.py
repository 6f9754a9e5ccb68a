"""How a loop ends, or lives on: Ctrl-C, closing, forks."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator

import pytest

from reactor import READ, WRITE, Reactor
from reactor.errors import (
    ForkError,
    ReactorClosedError,
)

Pair = tuple[socket.socket, socket.socket]


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
