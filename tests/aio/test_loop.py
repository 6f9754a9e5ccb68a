"""The loop: its turn, its queues, its timers, and what it shares with its reactor."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import warnings
import weakref
from collections.abc import Iterator

import pytest

import reactor.aio
from reactor import READ, Reactor
from reactor.aio import ReactorEventLoop
from reactor.clock import ManualClock

TIMEOUT = 20.0


@pytest.fixture
def loop() -> Iterator[ReactorEventLoop]:
    loop = reactor.aio.new_event_loop()
    yield loop
    loop.close()


def test_run_returns_what_the_coroutine_returns_and_closes_the_loop() -> None:
    async def main() -> asyncio.AbstractEventLoop:
        await asyncio.sleep(0)
        return asyncio.get_running_loop()

    loop = reactor.aio.run(main())

    assert isinstance(loop, ReactorEventLoop)
    assert loop.is_closed()


def test_what_a_queued_call_queues_waits_for_the_next_turn(loop: ReactorEventLoop) -> None:
    seen: list[str] = []

    def first() -> None:
        seen.append("first")
        loop.call_soon(seen.append, "added")
        loop.stop()

    loop.call_soon(first)
    loop.call_soon(seen.append, "second")
    loop.run_forever()

    assert ["first", "second"] == seen


def test_what_was_queued_is_called_before_an_event_is_told(loop: ReactorEventLoop) -> None:
    # A program may prepare in a task for what is on its way already.
    seen: list[str] = []
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.send(b"x")
        loop.add_reader(ours, lambda: (seen.append("event"), loop.stop()))
        loop.call_soon(seen.append, "queued")
        loop.run_forever()
        loop.remove_reader(ours)

    assert ["queued", "event"] == seen


def test_a_loop_that_was_stopped_before_it_runs_looks_at_its_events_once(
    loop: ReactorEventLoop,
) -> None:
    seen: list[str] = []
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.send(b"x")
        loop.add_reader(ours, seen.append, "event")
        loop.stop()
        loop.run_forever()
        loop.remove_reader(ours)

    assert ["event"] == seen


def test_nothing_is_told_after_a_queued_call_has_stopped_the_loop(loop: ReactorEventLoop) -> None:
    seen: list[str] = []
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.send(b"x")
        loop.add_reader(ours, seen.append, "event")
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.remove_reader(ours)

    assert [] == seen


def test_timers_fire_in_the_order_of_their_deadlines_and_equal_ones_in_that_of_their_making() -> (
    None
):
    clock = ManualClock()
    with Reactor(clock=clock) as core:
        loop = reactor.aio.new_event_loop(core)
        seen: list[str] = []
        loop.call_at(2.0, seen.append, "late")
        for name in "abc":
            loop.call_at(1.0, seen.append, name)
        clock.advance(2.0)
        loop.call_later(0, loop.stop)
        loop.run_forever()
        loop.close()

    assert ["a", "b", "c", "late"] == seen


def test_a_cancelled_timer_is_not_called_and_many_of_them_are_swept_out(
    loop: ReactorEventLoop,
) -> None:
    seen: list[int] = []
    timers = [loop.call_later(3600, seen.append, number) for number in range(1000)]
    for timer in timers:
        timer.cancel()

    assert len(loop._scheduled) < 200
    assert all(timer.cancelled() for timer in timers)


def test_a_cancelled_timer_keeps_nothing_alive(loop: ReactorEventLoop) -> None:
    class Thing:
        pass

    thing = Thing()
    alive = weakref.ref(thing)
    loop.call_later(3600, print, thing).cancel()
    del thing

    assert alive() is None


def test_a_call_from_another_thread_wakes_a_loop_that_sleeps(loop: ReactorEventLoop) -> None:
    threading.Timer(0.05, loop.call_soon_threadsafe, [loop.stop]).start()
    guard = loop.call_later(TIMEOUT, loop.stop)
    loop.run_forever()
    guard.cancel()

    assert loop.time() < guard.when()


def test_calls_from_many_threads_are_all_made(loop: ReactorEventLoop) -> None:
    seen: list[int] = []

    def work() -> None:
        for number in range(500):
            loop.call_soon_threadsafe(seen.append, number)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()

    async def wait() -> None:
        while len(seen) < 2000:
            await asyncio.sleep(0.001)

    loop.run_until_complete(asyncio.wait_for(wait(), TIMEOUT))
    for thread in threads:
        thread.join()

    assert 2000 == len(seen)


def test_several_loops_run_in_several_threads() -> None:
    results: list[int] = []

    async def main(number: int) -> int:
        await asyncio.sleep(0.01)
        return number

    threads = [
        threading.Thread(target=lambda n=n: results.append(reactor.aio.run(main(n))))
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)

    assert [0, 1, 2, 3] == sorted(results)


def test_a_call_after_close_is_refused() -> None:
    loop = reactor.aio.new_event_loop()
    loop.close()

    with pytest.raises(RuntimeError, match="closed"):
        loop.call_soon(print)
    with pytest.raises(RuntimeError, match="closed"):
        loop.call_later(1, print)
    with pytest.raises(RuntimeError, match="closed"):
        loop.call_soon_threadsafe(print)


def test_a_loop_that_nobody_closed_says_so() -> None:
    with pytest.warns(ResourceWarning, match="unclosed event loop"):
        loop = reactor.aio.new_event_loop()
        del loop
        gc.collect()


def test_a_program_uses_the_reactor_beside_asyncio() -> None:
    async def main() -> tuple[int, bytes]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, ReactorEventLoop)
        ours, theirs = socket.socketpair()
        arrived: asyncio.Future[bytes] = loop.create_future()
        handle = loop.reactor.register(ours, READ, lambda ready: arrived.set_result(ours.recv(9)))
        due: asyncio.Future[int] = loop.create_future()
        loop.reactor.call_later(0.01, due.set_result, 5)
        theirs.send(b"hello")
        try:
            return await asyncio.wait_for(due, TIMEOUT), await asyncio.wait_for(arrived, TIMEOUT)
        finally:
            handle.close()
            ours.close()
            theirs.close()

    assert (5, b"hello") == reactor.aio.run(main())


def test_an_error_in_a_handler_of_the_reactor_reaches_the_exception_handler(
    loop: ReactorEventLoop,
) -> None:
    contexts: list[dict[str, object]] = []
    loop.set_exception_handler(lambda _, context: contexts.append(context))
    loop.reactor.call_soon(lambda: 1 / 0)
    loop.call_later(0, loop.stop)
    loop.run_forever()

    assert [ZeroDivisionError] == [type(context["exception"]) for context in contexts]


def test_a_reactor_that_was_handed_in_outlives_the_loop() -> None:
    with Reactor() as core:
        reactor.aio.new_event_loop(core).close()
        seen: list[int] = []
        core.call_soon(seen.append, 1)
        core.run_once(0)

    assert [1] == seen


def test_a_reader_that_is_replaced_is_not_called_any_more(loop: ReactorEventLoop) -> None:
    seen: list[str] = []
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.send(b"x")
        loop.add_reader(ours, seen.append, "old")
        loop.add_reader(ours, lambda: (seen.append("new"), loop.stop()))
        loop.run_forever()
        assert loop.remove_reader(ours)
        assert not loop.remove_reader(ours)

    assert ["new"] == seen


def test_reader_and_writer_of_one_descriptor_come_and_go_alone(loop: ReactorEventLoop) -> None:
    seen: list[str] = []
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.send(b"x")
        loop.add_reader(ours, seen.append, "read")
        loop.add_writer(ours, lambda: (seen.append("write"), loop.remove_writer(ours)))
        for _ in range(2):
            loop.stop()
            loop.run_forever()
        loop.remove_reader(ours)

    assert ["read", "write", "read"] == seen


def test_debug_mode_names_the_callback_that_was_slow_even_if_the_reactor_called_it(
    loop: ReactorEventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    loop.set_debug(True)
    loop.slow_callback_duration = 0.0
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.send(b"x")
        loop.add_reader(ours, loop.stop)
        loop.run_forever()
        loop.remove_reader(ours)

    assert any("Executing handle" in record.getMessage() for record in caplog.records)


def test_debug_mode_refuses_a_call_from_another_thread(loop: ReactorEventLoop) -> None:
    loop.set_debug(True)
    errors: list[BaseException] = []

    def call() -> None:
        try:
            loop.call_later(1, print)
        except RuntimeError as error:
            errors.append(error)

    async def main() -> None:
        await loop.run_in_executor(None, call)

    loop.run_until_complete(main())
    loop.run_until_complete(loop.shutdown_default_executor())

    assert 1 == len(errors)


def test_a_task_keeps_its_context(loop: ReactorEventLoop) -> None:
    name: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="nobody")

    async def tell(value: str) -> str:
        name.set(value)
        await asyncio.sleep(0)
        return name.get()

    async def main() -> list[str]:
        return list(await asyncio.gather(*(tell(value) for value in "abc")))

    assert ["a", "b", "c"] == loop.run_until_complete(main())
    assert "nobody" == name.get()


def test_a_signal_ends_a_sleep_and_calls_its_handler(loop: ReactorEventLoop) -> None:
    loop.add_signal_handler(signal.SIGUSR1, loop.stop)
    threading.Timer(0.05, os.kill, [os.getpid(), signal.SIGUSR1]).start()
    guard = loop.call_later(TIMEOUT, loop.stop)
    loop.run_forever()
    guard.cancel()

    assert loop.remove_signal_handler(signal.SIGUSR1)
    assert loop.time() < guard.when()


def test_ctrl_c_cancels_the_main_task_and_is_raised() -> None:
    ended: list[str] = []

    async def main() -> None:
        threading.Timer(0.05, os.kill, [os.getpid(), signal.SIGINT]).start()
        try:
            await asyncio.sleep(TIMEOUT)
        finally:
            ended.append("cleaned up")

    with pytest.raises(KeyboardInterrupt):
        reactor.aio.run(main())

    assert ["cleaned up"] == ended


def test_the_wakeup_descriptor_of_somebody_else_is_left_alone(loop: ReactorEventLoop) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        before = signal.set_wakeup_fd(ours.fileno())
        try:
            loop.call_soon(loop.stop)
            loop.run_forever()
            assert ours.fileno() == signal.set_wakeup_fd(before)
        finally:
            signal.set_wakeup_fd(before)


def test_a_child_process_ends_and_is_heard(loop: ReactorEventLoop) -> None:
    async def main() -> tuple[bytes, int | None]:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "print(input() + '!')", stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )  # fmt: skip
        out, _ = await asyncio.wait_for(child.communicate(b"hello\n"), TIMEOUT)
        return out, child.returncode

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # asyncio's own, of its watchers
        assert (b"hello!\n", 0) == reactor.aio.run(main())


def test_the_policy_makes_our_loop() -> None:
    loop = reactor.aio.EventLoopPolicy().new_event_loop()
    loop.close()

    assert isinstance(loop, ReactorEventLoop)


def test_a_reactor_that_was_handed_in_gets_back_its_error_handler() -> None:
    with Reactor() as core:
        seen: list[object] = []
        core.on_error = seen.append
        reactor.aio.new_event_loop(core).close()
        core.call_soon(lambda: 1 / 0)
        core.run_once(0)

    assert 1 == len(seen)


def test_the_child_of_a_fork_runs_a_loop_of_its_own() -> None:
    async def parent() -> int:
        await asyncio.sleep(0)
        child = os.fork()
        if not child:
            asyncio._set_running_loop(None)
            status = 1
            try:
                status = reactor.aio.run(answer())
            finally:
                os._exit(status)
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        await asyncio.sleep(0.01)  # ours still turns
        return os.waitstatus_to_exitcode(status)

    async def answer() -> int:
        await asyncio.sleep(0.01)
        return 7

    assert 7 == reactor.aio.run(parent())
