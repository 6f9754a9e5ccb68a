"""The server and its connections: in virtual time, where nothing waits; the listener over TCP."""

from __future__ import annotations

import json
import logging
import re
import socket
from collections.abc import Iterator

import pytest

from broker.config import Options
from broker.errors import Closed
from broker.server import Server
from reactor import Reactor
from reactor.testing import MemorySocket
from tests.support.virtual_broker import QUIET, VirtualBroker, flood, slow_broker

TOKEN = b'CONNECT {"verbose":false,"auth_token":"t"}\r\n'


@pytest.fixture(autouse=True)
def nothing_is_lost_in_the_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG, "broker")
    yield
    assert [] == [record for record in caplog.records if record.name == "reactor"]


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


# ------------------------------------------------------------------------------------- greeting


def test_a_client_is_greeted_by_an_info_that_tells_who_the_server_is() -> None:
    broker = VirtualBroker(server_name="nova", max_payload=1000)
    line = broker.accept().take()
    assert line.startswith(b"INFO {")
    assert line.endswith(b"} \r\n")
    info = json.loads(line[5:])
    assert re.fullmatch("N[A-Z2-7]{55}", info["server_id"])
    assert ("nova", 1000, 1) == (info["server_name"], info["max_payload"], info["client_id"])
    assert "127.0.0.1" == info["client_ip"]


def test_clients_are_numbered_in_the_order_in_which_they_come() -> None:
    broker = VirtualBroker()
    ids = [json.loads(broker.accept().take()[5:])["client_id"] for _ in range(3)]
    assert [1, 2, 3] == ids


def test_all_that_a_turn_produced_for_a_client_leaves_in_one_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broker = VirtualBroker()
    subscriber = broker.connect(QUIET + b"SUB a 1\r\nSUB > 2\r\n")
    publisher = broker.connect()
    sent: list[bytes] = []
    send = MemorySocket.send

    def recording(self: MemorySocket, data: bytes | bytearray | memoryview) -> int:
        if self is subscriber.ours:
            sent.append(bytes(data))
        return send(self, data)

    monkeypatch.setattr(MemorySocket, "send", recording)
    publisher.send(b"PUB a 1\r\nx\r\n" * 3)
    assert 1 == len(sent)
    assert (3, 3) == (sent[0].count(b"MSG a 1 1\r\n"), sent[0].count(b"MSG a 2 1\r\n"))


# ---------------------------------------------------------------------------------------- limits


def test_one_client_too_many_gets_its_info_and_then_the_refusal() -> None:
    broker = VirtualBroker(max_connections=2)
    first, second = broker.connect(), broker.connect()
    third = broker.accept()
    answer = third.take()
    assert answer.startswith(b"INFO {")
    assert answer.endswith(b"} \r\n-ERR 'maximum connections exceeded'\r\n")
    assert third.ended
    assert first.ask(b"PING\r\n") == second.ask(b"PING\r\n") == b"PONG\r\n"
    assert ["Maximum Connections Exceeded"] == broker.reasons()


def test_a_place_that_becomes_free_can_be_taken() -> None:
    broker = VirtualBroker(max_connections=1)
    broker.connect().socket.close()
    broker.reactor.settle()
    assert b"PONG\r\n" == broker.connect().ask(b"PING\r\n")


def test_refused_clients_count_as_having_come_but_not_as_being_there() -> None:
    broker = VirtualBroker(max_connections=1)
    broker.connect()
    broker.accept()
    stats = broker.server.stats()
    assert (1, 2) == (stats.connections, stats.total_connections)


def test_zero_connections_at_most_means_no_limit() -> None:
    broker = VirtualBroker(max_connections=0)
    assert b"PONG\r\n" == broker.connect().ask(b"PING\r\n")


# ----------------------------------------------------------------------------------------- time


def test_a_client_that_does_not_say_who_it_is_is_shown_out_when_its_time_is_over() -> None:
    broker = VirtualBroker(token="t", auth_timeout=2.0)
    client = broker.accept()
    client.take()
    broker.reactor.run_for(1.99)
    assert b"" == client.take()
    broker.reactor.run_for(0.02)
    assert b"-ERR 'Authentication Timeout'\r\n" == client.take()
    assert client.ended
    assert ["Authentication Timeout"] == broker.reasons()


def test_a_client_that_said_who_it_is_may_stay() -> None:
    broker = VirtualBroker(token="t", auth_timeout=2.0, first_ping=60.0)
    client = broker.connect(TOKEN)
    broker.reactor.run_for(10)
    assert b"PONG\r\n" == client.ask(b"PING\r\n")


def test_the_first_ping_comes_two_seconds_after_connect_and_up_to_a_fifth_more() -> None:
    for _ in range(20):
        broker = VirtualBroker()
        client = broker.connect()
        broker.reactor.run_for(1.999)
        assert b"" == client.take()
        broker.reactor.run_for(0.402)
        assert b"PING\r\n" == client.take()


def test_the_answer_to_a_ping_tells_the_round_trip_time() -> None:
    broker = VirtualBroker()
    client = broker.connect()
    broker.reactor.run_for(2.4)
    assert b"PING\r\n" == client.take()
    broker.reactor.run_for(0.25)
    client.send(b"PONG\r\n")
    # The PING left at some moment of the last 0.4 s before it was taken.
    assert 0.25 <= client.connection.info().rtt <= 0.65


def test_a_silent_client_is_stale_after_as_many_pings_as_allowed() -> None:
    broker = VirtualBroker(ping_interval=10.0, ping_max=2)
    client = broker.connect()
    broker.reactor.run_for(60)
    assert b"PING\r\nPING\r\n-ERR 'Stale Connection'\r\n" == client.take()
    assert client.ended
    assert ["Stale Connection"] == broker.reasons()
    assert 1 == broker.server.stats().stale_connections


def test_nothing_of_a_connection_is_left_in_the_reactor_when_it_is_over() -> None:
    broker = VirtualBroker(token="t")
    before = broker.reactor.stats()
    client = broker.connect(TOKEN)
    client.socket.close()
    broker.reactor.settle()
    after = broker.reactor.stats()
    assert (before.handles, before.timers) == (after.handles, after.timers)


# --------------------------------------------------------------------------------- slow consumers


def test_whoever_does_not_read_is_closed_without_a_word_and_nobody_else_notices(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = slow_broker()
    slow = broker.connect(QUIET + b"SUB a 1\r\n", capacity=4000)
    quick = broker.connect(QUIET + b"SUB a 1\r\n")
    publisher = broker.connect()
    received = 0
    for _ in range(40):
        flood(publisher, 1)
        received += quick.take().count(b"MSG a 1 1000\r\n")
    assert 40 == received
    assert ["Slow Consumer (Pending Bytes)"] == broker.reasons()
    assert b"-ERR" not in slow.take()
    assert 1 == broker.server.stats().slow_consumers
    expected = "127.0.0.1:5001 - cid:1 - Slow Consumer Detected: MaxPending of 10000 Exceeded"
    assert expected in said(caplog)


def test_what_the_kernel_took_already_still_arrives_at_a_slow_consumer() -> None:
    broker = slow_broker()
    slow = broker.connect(QUIET + b"SUB a 1\r\n", capacity=4000)
    flood(broker.connect(), 40)
    assert slow.take().startswith(b"MSG a 1 1000\r\nxxx")
    assert slow.ended


# --------------------------------------------------------------------------------------- fairness


def test_a_read_with_more_work_than_a_turn_allows_is_finished_over_several_turns_in_order() -> None:
    broker = VirtualBroker()
    subscriber = broker.connect(QUIET + b"SUB a 1\r\n", capacity=1 << 20)
    publisher = broker.connect()
    numbers = range(1000, 7000)
    publisher.socket._peer._capacity = 1 << 20
    publisher.socket.send(b"".join(b"PUB a 4\r\n%d\r\n" % number for number in numbers))
    other = broker.connect()
    other.socket.send(b"PING\r\n")
    broker.reactor.run_once(0)
    assert b"PONG\r\n" == other.take()
    expected = b"".join(b"MSG a 1 4\r\n%d\r\n" % number for number in numbers)
    broker.reactor.settle()
    assert expected == subscriber.take()


def test_a_connection_that_ends_while_its_work_waits_is_not_worked_for_any_more() -> None:
    broker = VirtualBroker()
    publisher = broker.connect()
    publisher.socket._peer._capacity = 1 << 20
    publisher.socket.send(b"PUB a 1\r\nx\r\n" * 5000)
    broker.reactor.run_once(0)
    publisher.connection.session.close(Closed.KICKED)
    broker.reactor.settle()
    assert ["Kicked"] == broker.reasons()
    assert broker.server.stats().in_msgs < 5000


# --------------------------------------------------------------------------------------- log lines


@pytest.mark.parametrize(
    ("connect", "label"),
    [
        (b"{}", "127.0.0.1:5001 - cid:1"),
        (b'{"name":"bob"}', '127.0.0.1:5001 - cid:1 - "bob"'),
        (b'{"lang":"go","version":"1"}', '127.0.0.1:5001 - cid:1 - "v1:go"'),
        (
            b'{"name":"n","lang":"l","version":"9","user":"me"}',
            '127.0.0.1:5001 - cid:1 - "v9:l:n" - "$G/user:me"',
        ),
    ],
)
def test_log_lines_name_the_client_as_nats_server_does(
    caplog: pytest.LogCaptureFixture, connect: bytes, label: str
) -> None:
    broker = VirtualBroker()
    client = broker.connect(b"CONNECT " + connect + b"\r\n")
    client.take()
    client.socket.close()
    broker.reactor.settle()
    assert [
        "127.0.0.1:5001 - cid:1 - Client connection created",
        f"{label} - Client connection closed: Client Closed",
    ] == said(caplog)


def test_a_failed_login_names_the_user_but_no_password(caplog: pytest.LogCaptureFixture) -> None:
    broker = VirtualBroker(user="me", password="right")
    broker.connect(b'CONNECT {"user":"me","pass":"wrong"}\r\n')
    assert '127.0.0.1:5001 - cid:1 - authentication error - User "me"' in said(caplog)
    assert not any("wrong" in line for line in said(caplog))


def test_traces_show_every_operation_in_both_directions(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(5, "broker")
    broker = VirtualBroker(max_traced=2)
    broker.connect(b"SUB a 1\r\nPUB a 3\r\nxyz\r\n")
    lines = [line.partition("cid:1 - ")[2] for line in said(caplog)]
    assert [
        "<<- [SUB a 1]",
        "<<- [PUB a 3]",
        '<<- MSG_PAYLOAD: ["xy..."]',
        "->> [OK]",
        "->> [OK]",
        "->> [MSG a 1 3]",
        '->> MSG_PAYLOAD: ["xy..."]',
    ] == lines[1:]


# --------------------------------------------------------------------------------------- listening


def test_a_port_in_use_is_an_error_that_names_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, Reactor() as reactor:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=rf"Error listening on port: 127\.0\.0\.1:{port}.*in use"):
            Server(reactor, Options(host="127.0.0.1", port=port)).start()


def test_a_server_that_cannot_start_leaves_nothing_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, Reactor() as reactor:
        options = Options(host="127.0.0.1", port=taken.getsockname()[1], http_port=0)
        handles = reactor.stats().handles
        with pytest.raises(OSError):
            Server(reactor, options).start()
        assert reactor.stats().handles == handles


def test_a_monitor_port_in_use_is_an_error_that_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, Reactor() as reactor:
        options = Options(host="127.0.0.1", port=0, http_port=taken.getsockname()[1])
        with pytest.raises(OSError, match=r"Can't start monitoring.*in use"):
            Server(reactor, options).start()


@pytest.mark.parametrize("port", [0, -1])
def test_any_free_port_is_reported(port: int, caplog: pytest.LogCaptureFixture) -> None:
    with Reactor() as reactor:
        server = Server(reactor, Options(host="127.0.0.1", port=port))
        server.start()
        assert server.port > 0
        assert [
            f"Listening for client connections on 127.0.0.1:{server.port}",
            "Server is ready",
        ] == said(caplog)


def test_clients_are_served_over_every_backend(backend: str) -> None:
    with Reactor(backend=backend) as reactor:
        server = Server(reactor, Options(host="127.0.0.1", port=0))
        server.start()
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(QUIET + b"SUB a 1\r\nPUB a 2\r\nhi\r\n")
            client.setblocking(False)
            received = bytearray()

            def answered() -> bool:
                try:
                    received.extend(client.recv(65536))
                except BlockingIOError:
                    pass
                return received.endswith(b"MSG a 1 2\r\nhi\r\n")

            assert reactor.run_until(answered, timeout=10)


def test_an_ipv6_address_is_written_in_brackets(caplog: pytest.LogCaptureFixture) -> None:
    with Reactor() as reactor:
        server = Server(reactor, Options(host="::1", port=0))
        try:
            server.start()
        except OSError:
            pytest.skip("this machine has no IPv6 on its loopback interface")
        assert f"Listening for client connections on [::1]:{server.port}" in said(caplog)
