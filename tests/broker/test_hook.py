"""A function of the embedding program decides who may come in."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest

from broker import Broker
from broker.errors import AUTHORIZATION_VIOLATION
from broker.handshake import ConnectOptions
from broker.hook import Hook
from broker.identity import Credentials, Identity
from tests.support.raw_client import RawClient

ANN = Credentials(ConnectOptions(user="ann", password="s3cret"), "nonce", "192.0.2.1")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Identity("A", "x"), Identity("A", "x")),
        ("A", Identity("A", "ann", shown="ann")),
        (True, Identity(user="ann", shown="ann")),
        (False, AUTHORIZATION_VIOLATION),
        (None, AUTHORIZATION_VIOLATION),
    ],
)
def test_what_the_function_says_holds(answer: Any, expected: Any) -> None:
    assert expected == Hook(lambda credentials: answer).authenticate(ANN)


def test_the_function_sees_everything_that_the_client_gave() -> None:
    seen: list[Credentials] = []
    Hook(seen.append).authenticate(ANN)
    assert [ANN] == seen


def test_a_connect_is_required_and_there_is_a_nonce_to_verify_with() -> None:
    hook = Hook(lambda credentials: True)
    assert (True, True, False) == (hook.required, hook.wants_nonce, hook.has_guest)


@pytest.mark.parametrize("blocks", [True, False])
def test_whether_it_may_wait_is_what_was_said(blocks: bool) -> None:
    assert blocks == Hook(lambda credentials: True, blocks).slow(ANN)


def test_a_function_that_fails_refuses_and_is_logged_without_secrets(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert AUTHORIZATION_VIOLATION == Hook(lambda credentials: 1 / 0).authenticate(ANN)  # type: ignore[arg-type,return-value]  # that it fails is the point
    assert "the auth function failed" in caplog.text
    assert "ZeroDivisionError" in caplog.text
    assert "s3cret" not in caplog.text


async def later(credentials: Credentials) -> bool:
    return True


class Later:
    async def __call__(self, credentials: Credentials) -> bool:
        return True


@pytest.mark.parametrize("answer", [1, b"A", {}, later(ANN)])
def test_an_answer_that_is_none_refuses_and_is_logged(
    answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert AUTHORIZATION_VIOLATION == Hook(lambda credentials: answer).authenticate(ANN)
    assert f"returned a {type(answer).__name__}" in caplog.text


@pytest.mark.parametrize("function", [later, Later()])
def test_an_async_function_is_refused_with_what_to_do(function: Any) -> None:
    with pytest.raises(TypeError, match="give an ordinary one"):
        Hook(function)


def test_what_is_no_function_is_refused() -> None:
    with pytest.raises(TypeError, match="cannot be called"):
        Hook("ann")  # type: ignore[arg-type]  # the point
    with pytest.raises(TypeError, match="cannot be called"):
        Broker(auth="ann")  # type: ignore[arg-type]  # the point


# --- in a broker

HELLO = b'CONNECT {"verbose":false,"user":"%s"}\r\n'


@pytest.mark.parametrize("blocks", [True, False])
def test_a_broker_asks_the_function(blocks: bool, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "broker")
    names: list[str] = []

    def decide(credentials: Credentials) -> bool:
        names.append(threading.current_thread().name)
        return credentials.connect.user == "ann"

    with (
        Broker(port=0, auth=decide, auth_blocks=blocks) as broker,
        RawClient(broker.port) as ann,
        RawClient(broker.port) as eve,
    ):
        # All in one write: what follows CONNECT waits for the answer, in order.
        ann.send(HELLO % b"ann" + b"SUB a 1\r\nPUB a 1\r\nx\r\nPING\r\n")
        eve.send(HELLO % b"eve" + b"PUB a 1\r\nx\r\nPING\r\n")
        assert [b"MSG a 1 1\r\nx\r\n", b"PONG\r\n"] == ann.read_to_pong()
        assert [b"-ERR 'Authorization Violation'\r\n"] == eve.read_to_end()
        assert ["ann"] == [row.user for row in broker.connections()]
        broker_thread = f"broker-{broker.port}"
    assert [not blocks] * 2 == [name == broker_thread for name in names]
    assert 'authentication error - User "eve"' in caplog.text


def test_while_the_function_waits_everybody_else_is_served() -> None:
    asked, go_on = threading.Event(), threading.Event()

    def decide(credentials: Credentials) -> bool:
        if credentials.connect.user == "slow":
            asked.set()
            go_on.wait(10)
        return True

    with (
        Broker(port=0, auth=decide) as broker,
        RawClient(broker.port) as slow,
        RawClient(broker.port) as quick,
    ):
        slow.send(HELLO % b"slow" + b"PING\r\n")
        assert asked.wait(10)
        assert [] == quick.ask(HELLO % b"quick")
        go_on.set()
        assert [b"PONG\r\n"] == slow.read_to_pong()


def test_a_broker_stops_while_the_function_waits() -> None:
    asked, go_on = threading.Event(), threading.Event()

    def decide(credentials: Credentials) -> bool:
        asked.set()
        return go_on.wait(10)

    with Broker(port=0, auth=decide) as broker:
        client = RawClient(broker.port)
        client.send(HELLO % b"ann")
        assert asked.wait(10)
    go_on.set()
    client.close()
