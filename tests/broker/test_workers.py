"""Questions to threads: each answered once, on the loop, and never too many of them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from typing import Any

import pytest

from broker.errors import AUTHORIZATION_VIOLATION
from broker.identity import Answer, Identity
from broker.workers import Workers
from reactor import Reactor
from reactor.testing import VirtualReactor, make_reactor


class ByHand(Executor):
    """Threads that work when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.waiting.append((future, lambda: fn(*args, **kwargs)))
        return future

    def work(self) -> None:
        waiting, self.waiting = self.waiting, []
        for future, call in waiting:
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(call())
            except BaseException as error:
                future.set_exception(error)


@pytest.fixture
def reactor() -> Iterator[VirtualReactor]:
    with make_reactor() as reactor:
        yield reactor


def raising(error: BaseException) -> Callable[[], Answer]:
    def question() -> Answer:
        raise error

    return question


def test_the_answer_comes_on_the_loop_and_not_before(reactor: VirtualReactor) -> None:
    threads = ByHand()
    workers = Workers(reactor, executor=threads)
    answers: list[Answer] = []
    assert workers.consult(lambda: Identity(user="a"), answers.append)
    threads.work()
    assert ([], 1) == (answers, workers.pending)
    reactor.settle()
    assert ([Identity(user="a")], 0) == (answers, workers.pending)


def test_a_question_that_fails_lets_nobody_in_and_is_logged(
    reactor: VirtualReactor, caplog: pytest.LogCaptureFixture
) -> None:
    threads = ByHand()
    workers = Workers(reactor, executor=threads)
    answers: list[Answer] = []
    workers.consult(raising(RuntimeError("no such table")), answers.append)
    workers.consult(raising(SystemExit(3)), answers.append)
    threads.work()
    reactor.settle()
    assert [AUTHORIZATION_VIOLATION] * 2 == answers
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert ["broker", "broker"] == [record.name for record in errors]
    assert "no such table" in caplog.text


def test_more_questions_than_the_bound_are_turned_away_until_one_is_answered(
    reactor: VirtualReactor,
) -> None:
    threads = ByHand()
    workers = Workers(reactor, bound=2, executor=threads)
    answers: list[Answer] = []

    def ask() -> bool:
        return workers.consult(Identity, answers.append)

    assert [True, True, False] == [ask(), ask(), ask()]
    threads.work()
    reactor.settle()
    assert [True, True, False] == [ask(), ask(), ask()]
    assert 2 == len(answers)


def test_after_close_nobody_is_answered_and_nothing_asked(reactor: VirtualReactor) -> None:
    threads = ByHand()
    workers = Workers(reactor, executor=threads)
    answers: list[Answer] = []
    workers.consult(Identity, answers.append)
    workers.close()
    workers.close()
    assert not workers.consult(Identity, answers.append)
    threads.work()
    reactor.settle()
    assert [] == answers


def test_a_thread_that_goes_on_for_long_does_not_keep_close() -> None:
    begun, release = threading.Event(), threading.Event()

    def question() -> Answer:
        begun.set()
        release.wait(10)
        return Identity()

    with Reactor() as reactor:
        workers = Workers(reactor, threads=1)
        answers: list[Answer] = []
        workers.consult(question, answers.append)
        assert begun.wait(10)
        workers.close()
        assert not release.is_set()
        release.set()
    assert [] == answers


def test_there_is_no_thread_before_the_first_question() -> None:
    before = set(threading.enumerate())  # some of which may be ending
    with Reactor() as reactor:
        workers = Workers(reactor)
        assert set(threading.enumerate()) <= before
        done = threading.Event()
        workers.consult(Identity, lambda answer: (done.set(), reactor.stop()))
        reactor.run()
        assert done.is_set()
        workers.close()
