"""How connections end, and how the server itself does."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator

import pytest

from broker.connection import Connection
from broker.hooks import Silent
from broker.server import CLOSE_GRACE, DRAIN_GRACE
from broker.session import Session
from broker.snapshots import ConnectionInfo
from reactor.errors import DescriptorLimitError
from tests.support.virtual_broker import QUIET, VirtualBroker, flood, slow_broker

TOKEN = b'CONNECT {"verbose":false,"auth_token":"t"}\r\n'


@pytest.fixture(autouse=True)
def nothing_is_lost_in_the_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG, "broker")
    yield
    assert [] == [record for record in caplog.records if record.name == "reactor"]


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


# ---------------------------------------------------------------------------------------- endings


def test_a_client_that_leaves_is_recorded_with_what_it_did() -> None:
    broker = VirtualBroker()
    client = broker.connect(QUIET + b"SUB a 1\r\nSUB b 2\r\nPUB a 3\r\nxyz\r\n")
    client.take()
    client.socket.close()
    broker.reactor.settle()
    (row,) = broker.server.closed()
    record = row.info()
    assert ("Client Closed", 2) == (record.reason, record.subscriptions)
    assert (1, 3, 1, 3) == (record.in_msgs, record.in_bytes, record.out_msgs, record.out_bytes)
    assert 0 == len(broker.server.switchboard)


def test_a_client_that_is_reset_is_recorded_as_a_read_error() -> None:
    broker = VirtualBroker()
    client = broker.connect()
    client.socket.reset()
    broker.reactor.settle()
    assert ["Read Error"] == broker.reasons()


def test_a_client_that_says_it_will_send_no_more_gets_its_answers_first() -> None:
    broker = VirtualBroker()
    client = broker.connect()
    client.socket.send(b"SUB a 1\r\nPUB a 1\r\nx\r\nPING\r\n")
    client.socket.shutdown(socket.SHUT_WR)
    broker.reactor.settle()
    assert b"MSG a 1 1\r\nx\r\nPONG\r\n" == client.take()
    assert client.ended


def test_a_clients_mistake_is_answered_and_costs_no_other_client() -> None:
    broker = VirtualBroker()
    wrong, right = broker.connect(), broker.connect()
    assert b"-ERR 'Unknown Protocol Operation'\r\n" == wrong.ask(b"NONSENSE\r\n")
    assert wrong.ended
    assert b"PONG\r\n" == right.ask(b"PING\r\n")
    assert ["Protocol Violation"] == broker.reasons()


def test_a_mistake_of_ours_is_logged_and_costs_one_connection(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = VirtualBroker()
    unlucky, lucky = broker.connect(), broker.connect()

    def broken(data: bytes, now: float) -> bool:
        raise RuntimeError("a bug")

    monkeypatch.setattr(
        type(unlucky.connection.session), "receive", lambda self, *args: broken(*args)
    )
    unlucky.send(b"PING\r\n")
    monkeypatch.undo()
    assert unlucky.ended
    assert b"PONG\r\n" == lucky.ask(b"PING\r\n")
    assert ["Internal Error"] == broker.reasons()
    (record,) = [record for record in caplog.records if record.exc_info]
    assert "127.0.0.1:5001 - cid:1 - internal error" in record.getMessage()


@pytest.mark.parametrize("method", ["on_ping_timer", "on_overflow"])
def test_a_mistake_of_ours_outside_of_a_read_costs_one_connection_as_well(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = slow_broker()
    unlucky = broker.connect(QUIET + b"SUB a 1\r\n", capacity=1000)
    lucky = broker.connect(b'CONNECT {"verbose":false}\r\nPING\r\n')
    lucky.take()

    def broken(self: Session, *args: float) -> None:
        if self is unlucky.connection.session:
            raise RuntimeError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(Session, method, broken)
        broker.reactor.run_for(3)
        flood(lucky, 15)
    lucky.take()
    assert ["Internal Error"] == broker.reasons()
    assert b"PONG\r\n" == lucky.ask(b"PING\r\n")


def test_output_that_cannot_be_sent_by_a_mistake_of_ours_holds_up_nobody_elses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broker = VirtualBroker()
    unlucky = broker.connect(QUIET + b"SUB a 1\r\n")
    lucky = broker.connect(QUIET + b"SUB a 1\r\n")
    push = Connection.push

    def broken(self: Connection) -> None:
        if self is unlucky.connection:
            raise RuntimeError("a bug")
        push(self)

    with monkeypatch.context() as patch:
        patch.setattr(Connection, "push", broken)
        broker.connect(QUIET + b"PUB a 1\r\nx\r\n")
    assert b"MSG a 1 1\r\nx\r\n" == lucky.take()
    assert ["Internal Error"] == broker.reasons()


def test_records_of_closed_connections_are_bounded() -> None:
    broker = VirtualBroker(closed_ring=2)
    for _ in range(4):
        broker.connect().socket.close()
        broker.reactor.settle()
    assert [3, 4] == [row.cid for row in broker.server.closed()]


def test_totals_outlive_connections() -> None:
    broker = VirtualBroker()
    client = broker.connect(QUIET + b"SUB a 1\r\nPUB a 3\r\nxyz\r\n")
    client.socket.close()
    broker.reactor.settle()
    stats = broker.server.stats()
    assert (1, 3, 1, 3) == (stats.in_msgs, stats.in_bytes, stats.out_msgs, stats.out_bytes)
    assert (0, 1, 0) == (stats.connections, stats.total_connections, stats.subscriptions)


def test_a_client_beyond_what_the_backend_can_watch_is_turned_away_with_one_line(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = VirtualBroker()

    def full(fd: int, interest: int, token: int) -> None:
        raise DescriptorLimitError("too many; use poll or epoll")

    ours, theirs = socket.socketpair()
    with ours, theirs, monkeypatch.context() as patch:
        patch.setattr(broker.reactor.demultiplexer, "register", full)
        broker.server.admit(ours, ("127.0.0.1", 1))
        assert b"" == theirs.recv(10)
    (line,) = said(caplog)
    assert line.endswith("cannot be served: too many; use poll or epoll")
    assert 0 == broker.server.plane.stats().links


# ---------------------------------------------------------------------------------------- closing


def test_closing_sends_every_client_what_it_is_owed_and_then_tells() -> None:
    broker = VirtualBroker()
    client = broker.connect(QUIET + b"SUB a 1\r\n")
    client.socket.send(b"PUB a 1\r\nx\r\n")
    closed: list[str] = []
    broker.reactor.call_soon(broker.server.close, lambda: closed.append("closed"))
    broker.reactor.settle()
    assert b"MSG a 1 1\r\nx\r\n" == client.take()
    assert client.ended
    assert ["closed"] == closed
    assert ["Server Shutdown"] == broker.reasons()


def test_closing_waits_for_those_who_do_not_read_but_not_for_long() -> None:
    broker = slow_broker(max_pending=100_000)
    broker.connect(QUIET + b"SUB a 1\r\n", capacity=1000)
    flood(broker.connect(), 5)
    closed: list[str] = []
    broker.server.close(lambda: closed.append("closed"))
    broker.reactor.run_for(CLOSE_GRACE - 0.1)
    assert [] == closed
    broker.reactor.run_for(0.2)
    assert ["closed"] == closed


def test_closing_again_tells_again() -> None:
    broker = VirtualBroker()
    closed: list[str] = []
    broker.server.close(lambda: closed.append("first"))
    broker.reactor.settle()
    broker.server.close(lambda: closed.append("second"))
    broker.reactor.settle()
    assert ["first", "second"] == closed


def test_closing_leaves_no_timer_and_no_handle_behind() -> None:
    broker = slow_broker()
    before = broker.reactor.stats()
    slow = broker.connect(QUIET + b"SUB a 1\r\n", capacity=1000)
    flood(broker.connect(), 3)
    broker.server.close()
    slow.take()
    broker.reactor.settle()
    after = broker.reactor.stats()
    assert (before.handles, before.timers) == (after.handles, after.timers)


def test_what_had_arrived_before_a_close_is_settled_even_if_it_takes_many_turns() -> None:
    broker = VirtualBroker()
    subscriber = broker.connect(QUIET + b"SUB a 1\r\n", capacity=1 << 20)
    publisher = broker.connect(capacity=1 << 20)
    # Each message is a subject of its own, so that each is an operation that Python settles.
    publisher.socket.send(b"".join(b"PUB a.%d 0\r\n\r\nPUB a 1\r\nx\r\n" % n for n in range(1000)))
    closed: list[str] = []
    broker.reactor.call_soon(broker.server.close, lambda: closed.append("closed"))
    broker.reactor.run_for(0.5)
    assert 1000 == subscriber.take().count(b"MSG a 1 1\r\nx\r\n")
    broker.reactor.settle()
    assert ["closed"] == closed


def test_closing_does_not_wait_for_a_client_that_never_stops_sending() -> None:
    broker = VirtualBroker()
    client = broker.connect()
    client.connection.stream.pause_reading()  # as for one that always has more than fits a turn
    closed: list[str] = []
    broker.server.close(lambda: closed.append("closed"))
    broker.reactor.run_for(DRAIN_GRACE - 0.1)
    assert [] == closed
    broker.reactor.run_for(0.2)
    assert ["closed"] == closed


def test_whoever_observes_is_told_of_the_end_while_messages_still_leave() -> None:
    broker = VirtualBroker()
    client = broker.connect(QUIET + b"SUB a 1\r\n")

    class LastWords(Silent):
        def closing(self) -> None:
            client.socket.send(b"PUB a 3\r\nbye\r\n")

    broker.server.observer.add(LastWords())
    broker.server.close()
    broker.reactor.settle()
    assert b"MSG a 1 3\r\nbye\r\n" == client.take()


def test_whoever_observes_is_told_of_each_end_and_whether_the_client_had_come_in() -> None:
    broker = VirtualBroker(token="t")
    told: list[tuple[str, bool]] = []

    class Diary(Silent):
        def ended(self, info: ConnectionInfo, authenticated: bool) -> None:
            told.append((info.reason, authenticated))

    broker.server.observer.add(Diary())
    broker.connect(TOKEN).socket.close()
    broker.reactor.settle()
    broker.connect(b'CONNECT {"auth_token":"x"}\r\n').take()
    assert [("Client Closed", True), ("Authentication Failure", False)] == told
