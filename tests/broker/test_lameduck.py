"""Lame duck mode: nobody comes in, everybody is told, and all leave at a measured pace."""

from __future__ import annotations

import itertools
import json
import logging
import random
from collections.abc import Iterator

import pytest

from broker.lameduck import LameDuck
from reactor.testing import VirtualReactor, make_reactor
from tests.support.virtual_broker import QUIET, VirtualBroker

NEW = b'CONNECT {"verbose":false,"protocol":1}\r\n'


class Flock:
    """A server that notes when each client was sent away."""

    def __init__(self, reactor: VirtualReactor, clients: int) -> None:
        self.reactor = reactor
        self.here = list(range(1, clients + 1))
        self.left: list[tuple[int, float]] = []
        self.said: list[str] = []

    def stop_listening(self) -> None:
        self.said.append("closed the door")

    def tell_lame_duck(self) -> None:
        self.said.append("told everybody")

    def cids(self) -> list[int]:
        return list(self.here)

    def dismiss(self, cid: int) -> bool:
        if cid not in self.here:
            return False
        self.here.remove(cid)
        self.left.append((cid, self.reactor.now()))
        return True


@pytest.fixture
def reactor() -> Iterator[VirtualReactor]:
    with make_reactor() as reactor:
        yield reactor


def begun(
    reactor: VirtualReactor, clients: int, *, duration: float = 30.0, grace: float = 10.0
) -> tuple[Flock, LameDuck, list[float]]:
    flock = Flock(reactor, clients)
    done: list[float] = []
    duck = LameDuck(
        reactor, flock, duration, grace, lambda: done.append(reactor.now()), random.Random(1)
    )
    duck.begin()
    return flock, duck, done


# ------------------------------------------------------------------------------------- the pace


def test_with_nobody_there_it_is_over_at_once(reactor: VirtualReactor) -> None:
    flock, _, done = begun(reactor, 0)
    assert ["closed the door"] == flock.said
    assert 1 == len(done)


def test_everybody_is_told_at_once_and_nobody_sent_away_within_the_grace(
    reactor: VirtualReactor,
) -> None:
    flock, _, done = begun(reactor, 3, grace=10.0)
    assert ["closed the door", "told everybody"] == flock.said
    reactor.run_for(9.99)
    assert ([], []) == (flock.left, done)
    reactor.run_for(0.02)
    assert [1] == [cid for cid, _ in flock.left]


def test_a_few_clients_leave_half_a_second_to_a_second_apart(reactor: VirtualReactor) -> None:
    flock, _, done = begun(reactor, 5)
    reactor.run_for(15)
    moments = [moment for _, moment in flock.left]
    assert [1, 2, 3, 4, 5] == [cid for cid, _ in flock.left]
    gaps = [after - before for before, after in itertools.pairwise(moments)]
    assert all(0.5 <= gap <= 1.0 for gap in gaps)
    assert moments[-1:] == done


@pytest.mark.parametrize("clients", [100, 5000, 60_000])
def test_many_clients_are_gone_when_the_duration_is_over(
    reactor: VirtualReactor, clients: int
) -> None:
    flock, _, done = begun(reactor, clients, duration=12.0, grace=2.0)
    start = reactor.now()
    reactor.run_for(12.0)
    assert [] == flock.here
    assert 1 == len(done)
    assert 4.0 < done[0] - start <= 12.0


def test_a_duration_that_the_grace_uses_up_leaves_a_second(reactor: VirtualReactor) -> None:
    flock, _, done = begun(reactor, 10, duration=2.0, grace=5.0)
    reactor.run_for(6.0)
    assert ([], 1) == (flock.here, len(done))


def test_who_leaves_by_himself_is_not_waited_for(reactor: VirtualReactor) -> None:
    flock, _, done = begun(reactor, 5)
    flock.here = [5]
    reactor.run_for(10.01)
    assert [5] == [cid for cid, _ in flock.left]
    assert 1 == len(done)


def test_if_all_have_left_within_the_grace_it_is_over_with_it(reactor: VirtualReactor) -> None:
    flock, _, done = begun(reactor, 5)
    flock.here = []
    reactor.run_for(10.01)
    assert 1 == len(done)


def test_beginning_twice_is_beginning_once(reactor: VirtualReactor) -> None:
    flock, duck, done = begun(reactor, 1)
    duck.begin()
    reactor.run_for(30)
    assert (2, 1) == (len(flock.said), len(done))


@pytest.mark.parametrize("moment", [5.0, 10.6])
def test_after_cancel_nobody_is_sent_away_and_nothing_is_over(
    reactor: VirtualReactor, moment: float
) -> None:
    flock, duck, done = begun(reactor, 30)
    before = reactor.stats().timers
    reactor.run_for(moment)
    left = len(flock.left)
    duck.cancel()
    duck.cancel()
    reactor.run_for(60)
    assert (left, []) == (len(flock.left), done)
    assert before - 1 == reactor.stats().timers


# ----------------------------------------------------------------------------------- the server


def test_clients_get_an_info_that_says_so_if_they_understand_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "broker")
    broker = VirtualBroker(lame_duck_duration=30.0, lame_duck_grace=10.0)
    new, old = broker.connect(NEW + b"PING\r\n"), broker.connect(QUIET + b"PING\r\n")
    silent = broker.accept()
    for client in (new, old, silent):
        client.take()
    ended: list[str] = []
    broker.server.lame_duck(lambda: ended.append("done"))
    broker.reactor.settle()
    info = json.loads(new.take().removeprefix(b"INFO "))
    assert (True, new.connection.cid) == (info["ldm"], info["client_id"])
    assert "connect_urls" not in info
    assert b"" == old.take() == silent.take()
    assert broker.server.leaving
    broker.reactor.run_for(13)
    assert ["Server Shutdown"] * 3 == broker.reasons()
    assert ["done"] == ended
    said = [record.getMessage() for record in caplog.records]
    assert "Entering lame duck mode, stop accepting new clients" == said[-2]
    assert "Closing existing clients" == said[-1]


def test_a_lame_duck_still_serves_those_who_are_there() -> None:
    broker = VirtualBroker()
    client = broker.connect(QUIET + b"SUB a 1\r\n")
    broker.server.lame_duck(lambda: None)
    assert b"MSG a 1 1\r\nx\r\n" == client.ask(b"PUB a 1\r\nx\r\n")


def test_being_told_twice_changes_nothing() -> None:
    broker = VirtualBroker()
    client = broker.connect(NEW + b"PING\r\n")
    client.take()
    ended: list[str] = []
    broker.server.lame_duck(lambda: ended.append("first"))
    broker.server.lame_duck(lambda: ended.append("second"))
    broker.reactor.settle()
    assert 1 == client.take().count(b"INFO ")
    broker.reactor.run_for(20)
    assert ["first"] == ended


def test_closing_ends_a_lame_duck_without_its_end() -> None:
    broker = VirtualBroker()
    broker.connect()
    before = broker.reactor.stats().timers
    ended: list[str] = []
    broker.server.lame_duck(lambda: ended.append("duck"))
    broker.server.close(lambda: ended.append("closed"))
    broker.reactor.settle()
    broker.server.lame_duck(lambda: ended.append("too late"))
    broker.reactor.run_for(300)
    assert ["closed"] == ended
    assert broker.reactor.stats().timers < before
