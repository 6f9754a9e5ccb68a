"""Who asks much waits, and nobody else does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from broker.askers import CHEAP, MOST, SHARE, Askers
from broker.taps import Message
from reactor.testing import VirtualReactor, make_reactor
from tests.support.system import Watched


@pytest.fixture
def reactor() -> Iterator[VirtualReactor]:
    with make_reactor() as made:
        yield made


class Slow:
    """Answers each question in so many seconds of its own time, and notes them."""

    def __init__(self, reactor: VirtualReactor, takes: float) -> None:
        self.takes = takes
        self.answered: list[str] = []
        self.askers = Askers(reactor, self._serve)
        self._clock = reactor.clock

    def _serve(self, message: Message) -> None:
        self._clock.advance(self.takes)
        self.answered.append(message.payload.decode())

    def ask(self, *names: str, account: str = "A") -> None:
        """One question for each name."""
        for name in names:
            message = Message(b"$SYS.REQ.USER.INFO", b"r", b"", name.encode(), None, account)
            self.askers.ask(message)


def test_what_is_answered_quickly_is_answered_at_once(reactor: VirtualReactor) -> None:
    slow = Slow(reactor, CHEAP)
    slow.ask(*"abc")
    assert ["a", "b", "c"] == slow.answered
    assert reactor.next_deadline() is None


def test_after_a_long_answer_an_account_waits_and_the_others_do_not(
    reactor: VirtualReactor,
) -> None:
    slow = Slow(reactor, 0.1)
    slow.ask("a", "b", "c")
    slow.ask("x", account="B")
    assert ["a", "x"] == slow.answered
    reactor.run_for(0.1 * SHARE + 0.01)
    assert ["a", "x", "b"] == slow.answered
    reactor.run_for(0.1 * SHARE)
    assert ["a", "x", "b", "c"] == slow.answered
    reactor.run_for(0.1 * SHARE)
    slow.ask("d")
    assert "d" == slow.answered[-1]


def test_whoever_waited_comes_before_who_asks_now(reactor: VirtualReactor) -> None:
    slow = Slow(reactor, 0.1)
    slow.ask("a", "b")
    slow.takes = 0.0
    slow.ask("c")
    reactor.run_for(0.1 * SHARE + 0.01)
    slow.ask("d")
    assert ["a", "b", "c", "d"] == slow.answered


def test_only_so_many_wait_and_the_log_says_so_once(
    reactor: VirtualReactor, caplog: pytest.LogCaptureFixture
) -> None:
    slow = Slow(reactor, 0.1)
    slow.ask("first", *(str(number) for number in range(MOST + 10)))
    slow.takes = 0.0
    reactor.run_for(0.1 * SHARE + 0.01)
    assert ["first", *(str(number) for number in range(MOST))] == slow.answered
    assert 1 == caplog.text.count("account A asks more than it gets answers for")


def test_the_system_account_does_not_stand_in_line(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Watched()
    client, watcher = broker.enter("a"), broker.watcher()
    assert 1 == len(broker.ask(client, "$SYS.REQ.USER.INFO"))
    monkeypatch.setattr("broker.askers.Askers.ask", lambda self, message: None)
    asked = [broker.ask(one, "$SYS.REQ.USER.INFO") for one in (client, watcher)]
    assert [0, 1] == [len(answers) for answers in asked]
