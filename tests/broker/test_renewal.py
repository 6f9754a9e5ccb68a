"""What JWTs allow for a time ends when that is over, with nobody asking."""

from __future__ import annotations

import time
from typing import Any

from broker.blocks import JwtBlock
from tests.support import jwts
from tests.support.jwts import OPERATOR, UNLIMITED, Signer
from tests.support.virtual_broker import VirtualBroker, VirtualClient

EXPORTER = Signer("A", 40)
ANN = Signer("U", 41)


def _broker(**token: Any) -> VirtualBroker:
    export = {"subject": "s", "type": "stream", "token_req": True}
    exporter = {"limits": UNLIMITED, "exports": [export]}
    signed = jwts.activation("s", EXPORTER, **token)
    wanted = {"account": EXPORTER.key, "subject": "s", "type": "stream", "token": signed}
    operator = OPERATOR.vouch("operator", OPERATOR.key)
    preload = {
        EXPORTER.key: OPERATOR.vouch("account", EXPORTER.key, exporter),
        jwts.ACCOUNT.key: jwts.account({"imports": [wanted]}),
    }
    broker = VirtualBroker(jwt=JwtBlock((operator,), preload))
    broker.server.renewal.look()
    return broker


def _connect(broker: VirtualBroker, who: Signer, account: Signer) -> VirtualClient:
    bearer = {"subs": -1, "payload": -1, "bearer_token": True}
    client = broker.accept()
    client.take()
    client.send(jwts.hello(account.vouch("user", who.key, bearer)))
    return client


def _heard(broker: VirtualBroker) -> bytes:
    listener = _connect(broker, jwts.USER, jwts.ACCOUNT)
    listener.send(b"SUB s 1\r\n")
    _connect(broker, ANN, EXPORTER).send(b"PUB s 1\r\nx\r\n")
    return listener.ask(b"PING\r\n")


MESSAGE = b"MSG s 1 1\r\nx\r\n"


def test_an_import_begins_and_ends_with_its_token() -> None:
    now = int(time.time())
    broker = _broker(nbf=now + 100, exp=now + 200)
    assert b"PONG\r\n" == _heard(broker)
    broker.reactor.run_for(110)
    assert MESSAGE + b"PONG\r\n" == _heard(broker)
    broker.reactor.run_for(100)
    assert b"PONG\r\n" == _heard(broker)


def test_an_import_ends_for_a_subscription_that_is_there() -> None:
    broker = _broker(exp=int(time.time()) + 100)
    listener = _connect(broker, jwts.USER, jwts.ACCOUNT)
    listener.send(b"SUB s 1\r\n")
    speaker = _connect(broker, ANN, EXPORTER)
    speaker.send(b"PUB s 1\r\nx\r\n")
    assert MESSAGE == listener.take()
    broker.reactor.run_for(101)
    listener.take()
    speaker.send(b"PUB s 1\r\nx\r\n")
    assert b"PONG\r\n" == listener.ask(b"PING\r\n")


def test_a_token_without_an_end_needs_no_timer() -> None:
    broker = _broker()
    assert MESSAGE + b"PONG\r\n" == _heard(broker)
    broker.server.renewal.close()
    assert MESSAGE + b"PONG\r\n" == _heard(broker)
