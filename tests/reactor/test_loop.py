"""Control of the loop: run, stop, close, threads, errors, forks, interrupts, embedding."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from reactor import READ, WRITE, Reactor
from reactor.demux import open_demultiplexer
from reactor.errors import (
    ReentryError,
    RegistrationError,
    UnsupportedError,
    WrongThreadError,
)
from reactor.trace import ErrorContext
from reactor.wakeup import Wakeup

Pair = tuple[socket.socket, socket.socket]


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


def test_one_sleep_is_ended_by_one_write(reactor: Reactor, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[int] = []
    written: list[bool] = []
    shouted = threading.Event()
    notify = type(reactor.wakeup).notify

    def counted(wakeup: Wakeup) -> None:
        written.append(True)
        notify(wakeup)

    def shout() -> None:
        while not reactor._asleep:
            time.sleep(0)
        # The first one keeps the loop busy, which so cannot fall asleep again in between.
        reactor.call_threadsafe(shouted.wait, 10)
        for number in range(100):
            reactor.call_threadsafe(heard.append, number)
        shouted.set()

    monkeypatch.setattr(type(reactor.wakeup), "notify", counted)
    thread = threading.Thread(target=shout)
    thread.start()
    assert reactor.run_until(lambda: len(heard) == 100, timeout=10)
    thread.join()
    assert written == [True]


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
