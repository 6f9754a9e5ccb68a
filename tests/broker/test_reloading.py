"""Reloading: all of it or nothing, and nobody goes who may stay."""

from __future__ import annotations

import logging

import pytest

from broker.blocks import AccountBlock, JwtBlock, UserBlock
from broker.reloading import ReloadRefused
from tests.support import jwts
from tests.support.virtual_broker import QUIET, VirtualBroker

TOKEN = b'CONNECT {"verbose":false,"auth_token":"t"}\r\n'


def reload(broker: VirtualBroker, **changes: object) -> list[str]:
    lines = broker.server.reload(broker.server.options.replace(**changes))
    broker.reactor.settle()
    return lines


# ------------------------------------------------------------------------------- all or nothing


def test_what_only_a_restart_can_change_refuses_the_whole() -> None:
    broker = VirtualBroker()
    before = broker.server.options
    with pytest.raises(ReloadRefused) as caught:
        reload(broker, server_name="zz", max_payload=10, token="t")
    expected = "config reload not supported for ServerName: old=, new=zz"
    assert expected == str(caught.value)
    assert before is broker.server.options
    assert b"PONG\r\n" == broker.connect().ask(b"PING\r\n")


def test_nothing_new_is_nothing_to_log_and_nobody_notices() -> None:
    broker = VirtualBroker()
    client = broker.connect()
    assert [] == reload(broker)
    assert b"PONG\r\n" == client.ask(b"PING\r\n")


# ------------------------------------------------------------------------------------ log lines


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"max_payload": 1000}, "max_payload = 1000"),
        ({"debug": True}, "debug = true"),
        ({"logtime": False}, "logtime = false"),
        ({"ping_interval": 90.0}, "ping_interval = 1m30s"),
        ({"write_deadline": 2.5}, "write_deadline = 2.5s"),
        ({"max_traced": 10}, "max_traced_msg_len = 10"),
        ({"auth_timeout": 3.0}, "authorization timeout = 3"),
        ({"lame_duck_grace": 5.0}, "lame_duck_grace_period = 5s"),
        ({"log_file": "x.log"}, "log_file = x.log"),
        ({"token": "secret"}, "authorization token"),
    ],
)
def test_each_change_has_a_line_in_nats_servers_words(
    change: dict[str, object], expected: str
) -> None:
    assert [f"Reloaded: {expected}"] == reload(VirtualBroker(), **change)


def test_no_secret_is_in_any_line() -> None:
    lines = reload(VirtualBroker(), user="somebody", password="secret")
    assert ["Reloaded: authorization username", "Reloaded: authorization password"] == lines


def test_the_digest_of_the_file_is_not_a_setting() -> None:
    assert [] == reload(VirtualBroker(), digest="sha256:1", config_file="x")


def test_a_setting_that_is_taken_back_is_shown_empty() -> None:
    assert ["Reloaded: pid_file = "] == reload(VirtualBroker(pid_file="x"), pid_file=None)


# --------------------------------------------------------------------------------------- limits


def test_a_limit_holds_for_those_who_are_there_and_for_those_who_come() -> None:
    broker = VirtualBroker()
    before = broker.connect()
    reload(broker, max_payload=3)
    assert b'"max_payload":3,' in broker.accept().take()
    violation = b"-ERR 'Maximum Payload Violation'\r\n"
    assert violation == before.ask(b"PUB a 4\r\n")
    assert violation == broker.connect().ask(b"PUB a 4\r\n")


def test_a_limit_that_the_session_keeps_holds_at_once() -> None:
    broker = VirtualBroker()
    client = broker.connect(QUIET + b"SUB a 1\r\n")
    reload(broker, max_subscriptions=1)
    assert b"-ERR 'maximum subscriptions exceeded'\r\n" == client.ask(b"SUB b 2\r\n")


def test_a_shorter_deadline_holds_for_who_is_stuck_already() -> None:
    broker = VirtualBroker(write_deadline=1000.0)
    stuck = broker.connect(QUIET + b"SUB a 1\r\n", capacity=100)
    broker.connect().send(b"PUB a 1000\r\n%s\r\n" % (b"x" * 1000))
    broker.reactor.run_for(10)
    assert [] == broker.reasons()
    reload(broker, write_deadline=2.0)
    broker.reactor.run_for(3)
    assert ["Slow Consumer (Write Deadline)"] == broker.reasons()
    stuck.socket.close()


def test_fewer_connections_mean_that_the_newest_go(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "broker")
    broker = VirtualBroker()
    first, second, third = broker.connect(), broker.connect(), broker.connect()
    reload(broker, max_connections=1)
    refusal = b"-ERR 'maximum connections exceeded'\r\n"
    assert (refusal, refusal) == (second.take(), third.take())
    assert second.ended and third.ended
    assert b"PONG\r\n" == first.ask(b"PING\r\n")
    said = [record.getMessage() for record in caplog.records]
    assert "Closed 2 connections to fall within max_connections" in said


def test_no_limit_of_connections_sends_nobody_away() -> None:
    broker = VirtualBroker(max_connections=2)
    clients = broker.connect(), broker.connect()
    reload(broker, max_connections=0)
    assert [b"PONG\r\n"] * 2 == [client.ask(b"PING\r\n") for client in clients]


# ------------------------------------------------------------------------------------------ who


def test_who_would_not_be_let_in_any_more_is_told_and_closed() -> None:
    broker = VirtualBroker(token="t")
    client = broker.connect(TOKEN)
    reload(broker, token="u")
    assert b"-ERR 'Authorization Violation'\r\n" == client.take()
    assert client.ended
    assert ["Authentication Failure"] == broker.reasons()


def test_who_would_still_be_let_in_stays_with_all_subscriptions() -> None:
    broker = VirtualBroker()
    client = broker.connect(TOKEN + b"SUB a 1\r\n")
    stranger = broker.connect(QUIET)
    reload(broker, token="t")
    assert b"MSG a 1 1\r\nx\r\n" == client.ask(b"PUB a 1\r\nx\r\n")
    assert b"-ERR 'Authorization Violation'\r\n" == stranger.take()
    assert b'"auth_required":true' in broker.accept().take()


def test_who_has_not_said_who_it_is_has_to_once_that_is_required() -> None:
    broker = VirtualBroker()
    client = broker.accept()
    client.take()
    reload(broker, token="t")
    assert b"-ERR 'Authorization Violation'\r\n" == client.take()
    assert client.ended


def test_nobody_is_judged_again_if_it_did_not_change_who_may_come_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broker = VirtualBroker(token="t")
    client = broker.connect(TOKEN)
    identity = client.connection.session.identity
    reload(broker, max_payload=10)
    assert identity is client.connection.session.identity


def test_an_account_whose_jwt_is_taken_away_loses_its_users_and_one_that_is_added_is_there() -> (
    None
):
    broker = VirtualBroker(jwt=jwts.block())
    token = jwts.user({"bearer_token": True})
    client = broker.accept()
    client.send(b'CONNECT {"verbose":false,"jwt":"%b"}\r\nPING\r\n' % token.encode())
    assert client.take().endswith(b"PONG\r\n")
    none = JwtBlock(jwts.block().operators, {})
    reload(broker, jwt=none)
    assert b"-ERR 'Authorization Violation'\r\n" in client.take()
    reload(broker, jwt=jwts.block())
    again = broker.accept()
    again.send(b'CONNECT {"verbose":false,"jwt":"%b"}\r\nPING\r\n' % token.encode())
    assert again.take().endswith(b"PONG\r\n")


def test_who_is_revoked_is_told_so_once_it_is_in_and_nothing_when_it_comes_back() -> None:
    broker = VirtualBroker(jwt=jwts.block())
    token = jwts.user({"bearer_token": True})
    client = broker.connect(jwts.hello(token))
    revoked = jwts.block(jwts.account({"revocations": {jwts.USER.key: 1000}}))
    reload(broker, jwt=revoked)
    assert b"-ERR 'User Authentication Revoked'\r\n" == client.take()
    again = broker.connect(jwts.hello(token))
    assert b"-ERR 'Authorization Violation'\r\n" == again.take()
    assert ["Credentials Revoked", "Authentication Failure"] == broker.reasons()


def test_a_time_that_is_over_is_counted_from_the_reload_and_not_from_the_login() -> None:
    broker = VirtualBroker(jwt=jwts.block())
    end = int(broker.server.wall(broker.reactor.now())) + 100
    client = broker.connect(jwts.hello(jwts.user({"bearer_token": True}, exp=end)))
    broker.reactor.run_for(50)
    reload(broker, jwt=jwts.block(jwts.account({"tags": ["new"]})))
    broker.reactor.run_for(51)
    assert client.take().endswith(b"-ERR 'User Authentication Expired'\r\n")


def test_of_too_many_connections_of_an_account_the_newest_go() -> None:
    users = (UserBlock("ann", "a", account="A"),)
    broker = VirtualBroker(accounts=(AccountBlock("A", users=users),))
    hello = b'CONNECT {"verbose":false,"user":"ann","pass":"a"}\r\n'
    first, second = broker.connect(hello), broker.connect(hello)
    reload(broker, accounts=(AccountBlock("A", users=users, max_connections=1),))
    assert b"-ERR 'maximum account active connections exceeded'\r\n" == second.take()
    assert b"PONG\r\n" == first.ask(b"PING\r\n")
