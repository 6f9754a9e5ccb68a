"""The monitor's visitors, in virtual time: who waits, who has to go, and what it costs others."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from broker.monitorpages import Page
from broker.reception import BURST, DEBT, SHARE, Reception
from broker.visitors import (
    IDLE_TIMEOUT,
    LOOK,
    MAX_VISITORS,
    PATIENCE,
    UNREAD_LIMIT,
    Visitor,
    Visitors,
)
from reactor.testing import MemorySocket, VirtualReactor, make_reactor, memory_socketpair

REQUEST = b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def reactor() -> Iterator[VirtualReactor]:
    with make_reactor() as made:
        yield made


class House:
    """Visitors, and pages of which each takes `cost` seconds to make."""

    def __init__(self, reactor: VirtualReactor, *, cost: float = 0.0, size: int = 10) -> None:
        self.reactor = reactor
        self.asked: list[str] = []
        self._cost = cost
        self._size = size
        self._used = 0.0
        self.visitors = Visitors(reactor, self._answer, lambda: self._used)

    def _answer(self, target: str) -> Page:
        self.asked.append(target)
        self._used += self._cost
        return Page(200, "text/plain", "x" * self._size)

    def come(self, capacity: int = 1 << 20) -> tuple[Visitor, MemorySocket]:
        """A new visitor, and its own end of the connection."""
        ours, theirs = memory_socketpair(self.reactor.demultiplexer, capacity=capacity)
        visitor = self.visitors.admit(ours)
        self.reactor.settle()
        return visitor, theirs

    def ask(self, visitor: MemorySocket, data: bytes = REQUEST) -> None:
        visitor.send(data)
        self.reactor.settle()


def test_nobody_fills_our_memory_by_asking_without_listening(reactor: VirtualReactor) -> None:
    house = House(reactor, size=50_000)
    visitor, theirs = house.come(10_000)
    theirs._peer._capacity = 1 << 20
    requests = 100
    house.ask(theirs, REQUEST * requests)
    assert visitor.stream.pending <= UNREAD_LIMIT + 51_000
    received = 0
    while len(house.asked) < requests or visitor.stream.pending:
        received += len(theirs.recv(10_000))
        reactor.settle()
    assert requests == len(house.asked)
    assert received > requests * 50_000 - 10_000


def test_who_takes_no_answer_is_shown_out_and_who_takes_a_little_is_not(
    reactor: VirtualReactor,
) -> None:
    house = House(reactor, size=50_000)
    deaf, _ = house.come(10_000)
    slow, sips = house.come(10_000)
    for visitor in (_, sips):
        house.ask(visitor)
    for _second in range(int(3 * PATIENCE)):
        reactor.run_for(1.0)
        sips.recv(1000)
    assert (True, False) == (deaf.stream.closed, slow.stream.closed)


def test_who_never_finishes_a_request_is_shown_out(reactor: VirtualReactor) -> None:
    house = House(reactor)
    visitor, theirs = house.come()
    for _ in range(int(PATIENCE)):
        house.ask(theirs, b"X")
        reactor.run_for(1.0)
    assert not visitor.stream.closed
    reactor.run_for(LOOK)
    assert (True, 0) == (visitor.stream.closed, len(house.visitors))


def test_who_was_answered_may_stay_a_while_and_then_ask_slowly_again(
    reactor: VirtualReactor,
) -> None:
    house = House(reactor)
    visitor, theirs = house.come()
    house.ask(theirs)
    reactor.run_for(IDLE_TIMEOUT - LOOK)
    house.ask(theirs, REQUEST[:5])
    reactor.run_for(PATIENCE - LOOK)
    house.ask(theirs, REQUEST[5:])
    assert (["/x", "/x"], False) == (house.asked, visitor.stream.closed)
    reactor.run_for(IDLE_TIMEOUT + 2 * LOOK)
    assert visitor.stream.closed


def test_when_it_is_full_who_got_nothing_for_longest_makes_room(reactor: VirtualReactor) -> None:
    house = House(reactor)
    crowd = [house.come() for _ in range(MAX_VISITORS)]
    house.ask(crowd[0][1])
    newcomer, theirs = house.come()
    house.ask(theirs)
    gone = [index for index, (visitor, _) in enumerate(crowd) if visitor.stream.closed]
    assert ([1], MAX_VISITORS) == (gone, len(house.visitors))
    assert not newcomer.stream.closed
    assert b"200" in theirs.recv(100)


def test_a_request_of_many_small_pieces_does_not_hold_up_a_turn(reactor: VirtualReactor) -> None:
    house = House(reactor)
    _, theirs = house.come()
    head = b"POST /y HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    house.ask(theirs, head + b"1\r\nx\r\n" * 500 + b"0\r\n\r\n" + REQUEST)
    assert ["/y", "/x"] == house.asked


@pytest.mark.parametrize("method", [b"HEAD", b"POST"])
def test_a_body_that_is_wrong_is_refused_as_the_request_has_it(
    reactor: VirtualReactor, method: bytes
) -> None:
    house = House(reactor)
    visitor, theirs = house.come()
    head = method + b" /y HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    house.ask(theirs, head + b"1\r\nxyz\r\n")
    answer, _, body = theirs.recv(10_000).partition(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400")
    assert (method == b"POST") == bool(body)
    assert visitor.stream.closed
    assert 0 == reactor.stats().errors


def test_who_has_asked_all_it_wanted_gets_its_answers_before_the_end(
    reactor: VirtualReactor,
) -> None:
    house = House(reactor, cost=2 * BURST)
    visitor, theirs = house.come()
    theirs.send(REQUEST * 3)
    theirs.shutdown(1)
    reactor.run_for(2 * 3 * BURST / SHARE)
    assert (3, True) == (theirs.recv(10_000).count(b"HTTP/1.1 200"), visitor.stream.closed)


def test_who_goes_without_its_answers_is_let_go_soon(reactor: VirtualReactor) -> None:
    house = House(reactor, cost=2 * BURST)
    visitor, theirs = house.come()
    for _ in range(3):
        house.ask(theirs, REQUEST * 10)  # more than once: it is not read any more
    theirs.close()
    reactor.run_for(3 * 2 * BURST / SHARE)
    assert (True, 0) == (visitor.stream.closed, len(house.visitors))
    assert len(house.asked) < 5


def test_a_crowd_gets_its_share_of_the_time_and_everybody_gets_some(
    reactor: VirtualReactor,
) -> None:
    cost = 0.001
    house = House(reactor, cost=cost)
    crowd = [house.come()[1] for _ in range(10)]
    for theirs in crowd:
        theirs.send(REQUEST * 1000)
    reactor.run_for(PATIENCE)
    expected = (BURST + SHARE * PATIENCE) / cost
    assert expected - 5 <= len(house.asked) <= expected + 5
    answers = [theirs.recv(1 << 20).count(b"HTTP/1.1 200") for theirs in crowd]
    assert max(answers) - min(answers) <= 2


def test_one_visitor_is_served_in_a_turn_and_the_first_at_once(reactor: VirtualReactor) -> None:
    reception = Reception(reactor, lambda: 0.0)
    served: list[int] = []
    for number in range(3):
        reception.ask(partial(served.append, number))
    before = list(served)
    reactor.run_once(0)
    assert ([0], [0, 1]) == (before, served)
    reactor.settle()
    assert [0, 1, 2] == served


def test_a_failure_of_one_visit_holds_up_no_other(reactor: VirtualReactor) -> None:
    reception = Reception(reactor, lambda: 0.0)
    served: list[str] = []
    with pytest.raises(ZeroDivisionError):
        reception.ask(lambda: 1 // 0)
    reception.ask(lambda: served.append("next"))
    reactor.settle()
    assert ["next"] == served


def test_one_page_that_took_very_long_keeps_nobody_waiting_for_long(
    reactor: VirtualReactor,
) -> None:
    times = iter([0.0, 10.0, 10.0, 10.0])  # a garbage collection, perhaps
    reception = Reception(reactor, lambda: next(times))
    served: list[str] = []
    reception.ask(partial(served.append, "slow"))
    reception.ask(partial(served.append, "next"))
    reactor.run_for(DEBT / SHARE / 2)
    assert ["slow"] == served
    reactor.run_for(DEBT / SHARE / 2 + 0.01)
    assert ["slow", "next"] == served
