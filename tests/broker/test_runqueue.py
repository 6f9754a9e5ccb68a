"""What a turn has no room for is done in later ones, a little of everybody's in each."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from broker.config import Options
from broker.runqueue import CROWD, PIECES, SECONDS, RunQueue
from broker.server import Server
from reactor import Reactor
from reactor.testing import VirtualReactor, make_reactor
from tests.support.virtual_broker import VirtualBroker


@pytest.fixture
def reactor() -> Iterator[VirtualReactor]:
    with make_reactor() as made:
        yield made


class Owner:
    """Somebody with so many pieces to do, each of which takes some seconds."""

    def __init__(
        self, name: str, pieces: int, queue: RunQueue, done: list[str], seconds: float = 0.0
    ) -> None:
        self.name = name
        self.left = pieces
        self.queue = queue
        self.done = done
        self.seconds = seconds
        queue.add(self.go_on)

    def go_on(self) -> None:
        self.done.append(self.name)
        self.left -= 1
        if self.left:
            self.queue.add(self.go_on)


class Slow(Owner):
    """One for whom time passes."""

    def go_on(self) -> None:
        reactor = self.queue._reactor
        assert isinstance(reactor, VirtualReactor)
        reactor.clock.advance(self.seconds)
        super().go_on()


def test_everybody_has_a_go_before_anybody_has_another(reactor: VirtualReactor) -> None:
    queue, done = RunQueue(reactor), list[str]()
    for name in "abc":
        Owner(name, 3, queue, done)
    assert 3 == len(queue)
    reactor.settle()
    assert list("abcabcabc") == done
    assert 0 == len(queue)


def test_nothing_is_done_before_the_next_turn(reactor: VirtualReactor) -> None:
    queue, done = RunQueue(reactor), list[str]()
    Owner("a", 1, queue, done)
    assert [] == done


def test_a_turn_has_room_for_so_many_pieces_where_time_stands_still(
    reactor: VirtualReactor,
) -> None:
    queue, done = RunQueue(reactor), list[str]()
    Owner("a", PIECES + 1, queue, done)
    reactor.run_once(0)
    assert PIECES == len(done)
    reactor.run_once(0)
    assert PIECES + 1 == len(done)


def test_no_piece_is_begun_when_time_is_up(reactor: VirtualReactor) -> None:
    queue, done = RunQueue(reactor), list[str]()
    for name in "ab":
        Slow(name, 2, queue, done, seconds=0.6 * SECONDS)
    reactor.run_once(0)
    assert ["a", "b"] == done
    reactor.settle()
    assert ["a", "b", "a", "b"] == done


def test_one_piece_is_done_in_each_turn_however_long_it_takes(reactor: VirtualReactor) -> None:
    queue, done = RunQueue(reactor), list[str]()
    Slow("a", 3, queue, done, seconds=1.0)
    for expected in (1, 2, 3):
        reactor.run_once(0)
        assert expected == len(done)


def test_who_comes_when_all_is_done_is_served_again(reactor: VirtualReactor) -> None:
    queue, done = RunQueue(reactor), list[str]()
    for _ in range(2):
        Owner("a", 2, queue, done)
        reactor.settle()
    assert 4 == len(done)


def test_a_mistake_costs_nobody_else_a_piece(reactor: VirtualReactor) -> None:
    queue, done, errors = RunQueue(reactor), list[str](), list[object]()
    reactor.on_error = errors.append

    def wrong() -> None:
        raise ValueError("wrong")

    queue.add(wrong)
    Owner("a", 2, queue, done)
    reactor.settle()
    assert ["a", "a"] == done
    assert 1 == len(errors)


# --- at once


def test_one_piece_in_a_turn_may_be_done_at_once(reactor: VirtualReactor) -> None:
    queue = RunQueue(reactor)
    assert [True, False] == [queue.claim(), queue.claim()]
    reactor.run_once(0)
    assert queue.claim()


def test_no_piece_may_be_done_at_once_while_others_wait(reactor: VirtualReactor) -> None:
    queue, done = RunQueue(reactor), list[str]()
    Slow("a", 2, queue, done, seconds=1.0)
    reactor.run_once(0)
    assert not queue.claim()
    reactor.run_once(0)
    assert queue.claim()


def test_a_crowd_is_told_of_and_its_end(reactor: VirtualReactor) -> None:
    queue, told, done = RunQueue(reactor), list[bool](), list[str]()
    queue.on_crowd = told.append
    for _ in range(CROWD):
        Slow("a", 1, queue, done, seconds=1.0)
    assert [] == told
    Slow("a", 1, queue, done, seconds=1.0)
    Slow("a", 1, queue, done, seconds=1.0)
    assert [True] == told
    while len(queue) > CROWD // 2:
        assert [True] == told
        reactor.run_once(0)
    assert [True, False] == told


# --- at the door of a broker


def test_of_those_who_come_together_one_is_heard_at_once_and_the_others_in_turn() -> None:
    broker = VirtualBroker()
    clients = [broker.accept() for _ in range(PIECES + 2)]
    for client in clients:
        client.take()
    for client in clients:
        client.socket.send(b"CONNECT {}\r\nPING\r\n")
    broker.reactor.run_once(0)
    assert 1 == [client.connection.busy for client in clients].count(False)
    assert all(b"PONG" in client.take() for client in clients)
    assert not any(client.connection.busy for client in clients)


def test_what_somebody_said_who_left_before_his_turn_is_heard() -> None:
    broker = VirtualBroker()
    hearer = broker.connect(b'CONNECT {"verbose":false}\r\nSUB a 1\r\n')
    clients = [broker.accept() for _ in range(5)]
    for client in clients:
        client.socket.send(b'CONNECT {"verbose":false}\r\nPUB a 2\r\nhi\r\n')
        client.socket.close()
    broker.reactor.settle()
    assert 5 == hearer.take().count(b"MSG a 1 2\r\nhi\r\n")
    assert 5 == len(broker.reasons())


def test_while_there_is_a_crowd_nobody_else_is_let_in() -> None:
    with Reactor() as reactor:
        server = Server(reactor, Options(host="127.0.0.1"))
        server.start()
        is_over = False

        def piece() -> None:
            if not is_over:
                server.run_queue.add(piece)

        for _ in range(CROWD + 1):
            server.run_queue.add(piece)
        with socket.create_connection(("127.0.0.1", server.port)):
            for _ in range(20):
                reactor.run_once(0)
            assert not server.cids()
            is_over = True
            assert reactor.run_until(lambda: bool(server.cids()), 10)
