"""How connections begin where there is TLS, in virtual time: who speaks first?"""

from __future__ import annotations

import json
import logging
import socket
from pathlib import Path
from typing import Any

import pytest

from broker.config import Options
from broker.tlsdoor import Way, way
from reactor.testing import memory_socketpair
from tests.support import tls_files
from tests.support.virtual_broker import QUIET, VirtualBroker, VirtualTls

SHUNNED = "TLS Handshake Failure"


def broker_with(folder: Path, **fields: Any) -> VirtualBroker:
    """A broker whose TLS block has these fields."""
    return VirtualBroker(tls=tls_files.block(folder, **fields))


def info(line: bytes) -> dict[str, Any]:
    assert line.startswith(b"INFO ")
    found: dict[str, Any] = json.loads(line[5:])
    return found


@pytest.mark.parametrize(
    ("expected", "fields", "optional"),
    [
        (Way.UPGRADE, {}, False),
        (Way.EITHER, {}, True),
        (Way.FIRST, {"first": True}, False),
        (Way.FIRST_OR, {"first": True, "fallback": 0.05}, False),
    ],
)
def test_the_options_say_how_clients_begin(
    expected: Way, fields: dict[str, Any], optional: bool, tmp_path: Path
) -> None:
    options = Options(tls=tls_files.block(tmp_path, **fields), allow_non_tls=optional)
    assert expected is way(options)


def test_without_a_block_there_is_no_tls() -> None:
    assert Way.PLAIN is way(Options())


# ------------------------------------------------------------------------------------- upgrade


def test_an_upgrade_begins_with_info_in_plain_and_goes_on_in_tls(tmp_path: Path) -> None:
    client = broker_with(tmp_path).accept()
    greeting = info(client.take())
    assert True is greeting["tls_required"]
    assert "tls_verify" not in greeting
    secure = VirtualTls(client, tls_files.client_context())
    secure.shake()
    assert b"PONG\r\n" == secure.ask(QUIET + b"PING\r\n")


def test_info_says_that_a_certificate_is_wanted(tmp_path: Path) -> None:
    greeting = info(broker_with(tmp_path, verify=True).accept().take())
    assert True is greeting["tls_verify"]


def test_plain_bytes_where_a_handshake_is_due_end_the_connection_without_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broker = broker_with(tmp_path)
    client = broker.accept()
    client.take()
    assert b"-ERR" not in client.ask(QUIET)
    assert client.ended
    assert [SHUNNED] == broker.reasons()
    assert "TLS handshake error: " in caplog.text


@pytest.mark.parametrize("said", [QUIET, b"\0" * 600, b""])
def test_who_answers_before_it_has_read_info_sees_it_all_the_same(
    tmp_path: Path, said: bytes
) -> None:
    broker = broker_with(tmp_path)
    ours, theirs = memory_socketpair(broker.reactor.demultiplexer)
    theirs.send(said)
    theirs.shutdown(socket.SHUT_WR)
    broker.server.admit(ours, ("127.0.0.1", 5000))
    broker.reactor.settle()
    assert True is info(theirs.recv(65536))["tls_required"]
    assert [SHUNNED] == broker.reasons()


def test_silence_where_a_handshake_is_due_ends_after_the_timeout(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broker = broker_with(tmp_path, timeout=0.5)
    client = broker.accept()
    client.take()
    broker.reactor.run_for(0.4)
    assert [] == broker.reasons()
    broker.reactor.run_for(0.2)
    assert client.ended
    assert [SHUNNED] == broker.reasons()
    assert "TLS handshake timeout" in caplog.text


def test_a_handshake_may_come_byte_by_byte(tmp_path: Path) -> None:
    client = broker_with(tmp_path).accept()
    client.take()
    secure = VirtualTls(client, tls_files.client_context())
    for _ in range(4):
        secure.session.handshake()
        for byte in secure.session.output():
            client.send(bytes([byte]))
        secure.session.feed(client.take())
    assert b"PONG\r\n" == secure.ask(QUIET + b"PING\r\n")


def test_the_time_to_log_in_begins_after_the_handshake(tmp_path: Path) -> None:
    broker = VirtualBroker(tls=tls_files.block(tmp_path), token="t", auth_timeout=1.0)
    client = broker.accept()
    client.take()
    broker.reactor.run_for(0.9)
    secure = VirtualTls(client, tls_files.client_context())
    secure.shake()
    broker.reactor.run_for(0.9)
    assert [] == broker.reasons()
    broker.reactor.run_for(0.2)
    assert b"-ERR 'Authentication Timeout'\r\n" == secure.ask()


def test_one_client_too_many_is_turned_away_in_plain(tmp_path: Path) -> None:
    broker = VirtualBroker(tls=tls_files.block(tmp_path), max_connections=1)
    broker.accept()
    client = broker.accept()
    assert client.take().endswith(b"-ERR 'maximum connections exceeded'\r\n")
    assert client.ended


def test_a_client_that_leaves_instead_of_shaking_hands_is_forgotten(tmp_path: Path) -> None:
    broker = broker_with(tmp_path)
    client = broker.accept()
    client.take()
    client.socket.close()
    broker.reactor.settle()
    assert [SHUNNED] == broker.reasons()
    assert [] == list(broker.server.opened())


def test_a_server_that_closes_during_handshakes_waits_for_none(tmp_path: Path) -> None:
    broker = broker_with(tmp_path)
    broker.accept()
    done: list[bool] = []
    broker.server.close(lambda: done.append(True))
    broker.reactor.run_for(3.0)
    assert [True] == done
    assert ["Server Shutdown"] == broker.reasons()


def test_more_handshakes_in_a_second_than_allowed_are_put_off(tmp_path: Path) -> None:
    broker = broker_with(tmp_path, connection_rate_limit=2)
    said = [broker.accept().take().partition(b"\r\n")[2] for _ in range(3)]
    throttled = b"-ERR 'Connection throttling is active. Please try again later.'\r\n"
    assert [b"", b"", throttled] == said
    assert ["Maximum Connections Exceeded"] == broker.reasons()
    broker.reactor.run_for(1.0)
    assert b"" == broker.accept().take().partition(b"\r\n")[2]


# --------------------------------------------------------------------------------- certificates


def test_the_monitor_is_told_of_tls_and_of_the_clients_certificate(tmp_path: Path) -> None:
    client = broker_with(tmp_path, verify=True).accept()
    client.take()
    VirtualTls(client, tls_files.client_context(certificate=tls_files.CLIENT)).shake()
    record = client.connection.info()
    assert "1.3" == record.tls_version
    assert record.tls_cipher.startswith("TLS_")
    assert [True] == [subject.startswith("CN=ann") for subject in record.tls_peer]


def test_authentication_is_told_the_names_in_the_certificate(tmp_path: Path) -> None:
    client = broker_with(tmp_path, verify=True).accept()
    client.take()
    VirtualTls(client, tls_files.client_context(certificate=tls_files.CLIENT)).shake()
    credentials = client.connection.credentials()
    assert ("ann@school.example", "ann.school.example") == credentials.names[:2]
    assert ("127.0.0.1", "STANDARD") == (credentials.ip, credentials.kind)


def test_a_client_without_a_certificate_is_not_let_in(tmp_path: Path) -> None:
    broker = broker_with(tmp_path, verify=True)
    client = broker.accept()
    client.take()
    secure = VirtualTls(client, tls_files.client_context())
    secure.shake()
    assert client.ended
    assert [SHUNNED] == broker.reasons()


def test_a_certificate_whose_key_is_not_pinned_is_not_let_in(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broker = broker_with(tmp_path, verify=True, pinned_certs=frozenset({"0" * 64}))
    client = broker.accept()
    client.take()
    VirtualTls(client, tls_files.client_context(certificate=tls_files.CLIENT)).shake()
    assert client.ended
    assert [SHUNNED] == broker.reasons()
    assert "certificate not pinned" in caplog.text


# ------------------------------------------------------------------------------------ TLS first


def test_where_tls_comes_first_nothing_is_said_in_plain(tmp_path: Path) -> None:
    client = broker_with(tmp_path, first=True).accept()
    assert b"" == client.take()
    secure = VirtualTls(client, tls_files.client_context())
    secure.shake()
    assert True is info(secure.ask())["tls_required"]
    assert b"PONG\r\n" == secure.ask(QUIET + b"PING\r\n")


def test_a_client_that_waits_for_info_where_tls_comes_first_is_cut_off(tmp_path: Path) -> None:
    broker = broker_with(tmp_path, first=True, timeout=1.0)
    client = broker.accept()
    broker.reactor.run_for(1.1)
    assert b"" == client.take()
    assert client.ended
    assert [SHUNNED] == broker.reasons()


def test_with_a_fallback_a_waiting_client_gets_info_after_the_delay(tmp_path: Path) -> None:
    broker = broker_with(tmp_path, first=True, fallback=0.05)
    client = broker.accept()
    broker.reactor.run_for(0.04)
    assert b"" == client.take()
    broker.reactor.run_for(0.02)
    assert True is info(client.take())["tls_required"]
    secure = VirtualTls(client, tls_files.client_context())
    secure.shake()
    assert b"PONG\r\n" == secure.ask(QUIET + b"PING\r\n")


def test_with_a_fallback_an_early_handshake_gets_info_inside(tmp_path: Path) -> None:
    broker = broker_with(tmp_path, first=True, fallback=0.05)
    secure = VirtualTls(broker.accept(), tls_files.client_context())
    secure.shake()
    assert True is info(secure.ask())["tls_required"]
    broker.reactor.run_for(1.0)
    assert b"PONG\r\n" == secure.ask(QUIET + b"PING\r\n")


def test_with_a_fallback_a_client_that_leaves_early_is_forgotten(tmp_path: Path) -> None:
    broker = broker_with(tmp_path, first=True, fallback=0.05)
    broker.accept().socket.close()
    broker.reactor.run_for(1.0)
    assert ["Client Closed"] == broker.reasons()


# --------------------------------------------------------------------------------------- either


def test_where_both_are_welcome_info_says_so(tmp_path: Path) -> None:
    broker = VirtualBroker(tls=tls_files.block(tmp_path), allow_non_tls=True)
    greeting = info(broker.accept().take())
    assert True is greeting["tls_available"]
    assert "tls_required" not in greeting


def test_where_both_are_welcome_the_first_byte_decides(tmp_path: Path) -> None:
    broker = VirtualBroker(tls=tls_files.block(tmp_path), allow_non_tls=True)
    plain, client = broker.accept(), broker.accept()
    plain.take()
    client.take()
    assert b"PONG\r\n" == plain.ask(QUIET + b"PING\r\n")
    secure = VirtualTls(client, tls_files.client_context())
    secure.shake()
    assert b"PONG\r\n" == secure.ask(QUIET + b"PING\r\n")
    assert ["", "1.3"] == [row.info().tls_version for row in broker.server.opened()]


def test_where_both_are_welcome_silence_is_bounded_by_the_time_to_log_in(tmp_path: Path) -> None:
    broker = VirtualBroker(
        tls=tls_files.block(tmp_path), allow_non_tls=True, token="t", auth_timeout=1.0
    )
    client = broker.accept()
    client.take()
    broker.reactor.run_for(1.1)
    assert b"-ERR 'Authentication Timeout'\r\n" == client.take()


@pytest.fixture(autouse=True)
def everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "broker")
