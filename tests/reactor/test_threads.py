"""Thread pools: work in threads, results on the loop, nothing lost in silence."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from reactor import Reactor
from reactor.errors import LimitError, ReactorError
from reactor.threads import ThreadPool
from reactor.trace import ErrorContext

DEADLINE = 10.0


@pytest.fixture
def reactor(backend: str) -> Iterator[Reactor]:
    with Reactor(backend=backend) as reactor:
        yield reactor


@pytest.fixture
def pool(reactor: Reactor) -> Iterator[ThreadPool]:
    pool = ThreadPool(reactor, 2)
    yield pool
    pool.close()


class Results:
    """What `then` was called with, and in which thread."""

    def __init__(self) -> None:
        self.futures: list[Future[int]] = []
        self.threads: set[int] = set()

    def __call__(self, future: Future[int]) -> None:
        self.futures.append(future)
        self.threads.add(threading.get_ident())


def test_work_is_done_in_another_thread_and_its_result_comes_on_the_loop(
    reactor: Reactor, pool: ThreadPool
) -> None:
    results = Results()
    pool.submit(threading.get_ident, then=results)
    assert results.futures == []
    assert reactor.run_until(lambda: bool(results.futures), DEADLINE)
    assert results.futures[0].result() != threading.get_ident()
    assert results.threads == {threading.get_ident()}


def test_arguments_are_passed_on(reactor: Reactor, pool: ThreadPool) -> None:
    results = Results()
    pool.submit(int, "ff", base=16, then=results)
    assert reactor.run_until(lambda: bool(results.futures), DEADLINE)
    assert results.futures[0].result() == 255


def test_a_result_ends_the_sleep_of_the_loop(reactor: Reactor, pool: ThreadPool) -> None:
    asleep = threading.Event()
    results = Results()
    pool.submit(lambda: int(asleep.wait(DEADLINE)), then=results)
    reactor.call_soon(asleep.set)
    for _ in range(3):
        if not results.futures:
            reactor.run_once(DEADLINE)
    assert results.futures[0].result() == 1


def test_what_the_work_raises_is_in_the_future(reactor: Reactor, pool: ThreadPool) -> None:
    results = Results()
    pool.submit(int, "no number", then=results)
    assert reactor.run_until(lambda: bool(results.futures), DEADLINE)
    with pytest.raises(ValueError, match="no number"):
        results.futures[0].result()


def test_what_then_raises_is_reported(reactor: Reactor, pool: ThreadPool) -> None:
    reported: list[ErrorContext] = []
    reactor.on_error = reported.append

    def then(_future: Future[int]) -> None:
        raise ValueError("not today")

    pool.submit(int, then=then)
    assert reactor.run_until(lambda: bool(reported), DEADLINE)
    assert str(reported[0].error) == "not today"


def test_without_then_the_future_alone_tells(pool: ThreadPool) -> None:
    assert pool.submit(int, "7").result(DEADLINE) == 7


def test_any_thread_may_submit(reactor: Reactor, pool: ThreadPool) -> None:
    results = Results()
    threads = [
        threading.Thread(target=pool.submit, args=(int, str(number)), kwargs={"then": results})
        for number in range(10)
    ]
    for thread in threads:
        thread.start()
    assert reactor.run_until(lambda: len(results.futures) == 10, DEADLINE)
    for thread in threads:
        thread.join(DEADLINE)
    assert sorted(future.result() for future in results.futures) == list(range(10))


def test_closing_waits_for_what_was_submitted(reactor: Reactor, pool: ThreadPool) -> None:
    results = Results()
    for number in range(5):
        pool.submit(int, str(number), then=results)
    pool.close()
    pool.close()
    assert pool.closed
    assert (5, 5, 0) == (pool.stats().submitted, pool.stats().finished, pool.stats().pending)
    assert results.futures == []
    assert reactor.run_until(lambda: len(results.futures) == 5, DEADLINE)


def test_closing_may_cancel_what_has_not_begun_and_tells_so(reactor: Reactor) -> None:
    begun, go = threading.Event(), threading.Event()

    def work() -> int:
        begun.set()
        return int(go.wait(DEADLINE))

    results = Results()
    pool = ThreadPool(reactor, 1)
    pool.submit(work, then=results)
    pool.submit(int, then=results)
    assert begun.wait(DEADLINE)
    pool.close(cancel=True, wait=False)
    go.set()
    assert reactor.run_until(lambda: len(results.futures) == 2, DEADLINE)
    assert sorted(future.cancelled() for future in results.futures) == [False, True]


def test_a_closed_pool_takes_no_more_work(pool: ThreadPool) -> None:
    pool.close()
    with pytest.raises(ReactorError, match="thread pool is closed"):
        pool.submit(int)


def test_a_result_for_a_closed_reactor_is_dropped_counted_and_logged(
    backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    go = threading.Event()
    results = Results()
    with Reactor(backend=backend) as reactor:
        pool = ThreadPool(reactor, 1)
        pool.submit(lambda: int(go.wait(DEADLINE)), then=results)
    go.set()
    pool.close()
    assert (results.futures, pool.stats().dropped) == ([], 1)
    assert len(caplog.records) == 1


def test_a_borrowed_executor_survives_and_may_serve_several_loops(backend: str) -> None:
    results = Results()
    with (
        ThreadPoolExecutor(1) as executor,
        Reactor(backend=backend) as first,
        Reactor(backend=backend) as second,
    ):
        for reactor in (first, second):
            pool = ThreadPool(reactor, executor=executor)
            pool.submit(int, then=results)
            pool.close()
        assert first.run_until(lambda: len(results.futures) == 1, DEADLINE)
        assert second.run_until(lambda: len(results.futures) == 2, DEADLINE)
        assert executor.submit(int, "3").result(DEADLINE) == 3


def test_a_pool_without_threads_is_refused(reactor: Reactor) -> None:
    with pytest.raises(LimitError, match="0 threads"):
        ThreadPool(reactor, 0)
