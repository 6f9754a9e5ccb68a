"""Decentralised logins: nats-py brings a JWT and signs the nonce with the seed in its hands."""

from __future__ import annotations

import base64
import gc
import warnings

import nats.errors
import pytest
from nats.aio.client import Client

from broker import Broker
from tests.clients.nats_py import connected, flushed, received, run
from tests.support import jwts


def _signature(nonce: str) -> bytes:
    text = jwts.USER.sign(nonce.encode())
    return base64.b64encode(base64.urlsafe_b64decode(text + "=="))


def _jwt(token: str) -> bytearray:
    return bytearray(token.encode())


async def _converse(url: str, token: str) -> None:
    options = {"user_jwt_cb": lambda: _jwt(token), "signature_cb": _signature}
    async with connected(url, allow_reconnect=False, **options) as client:
        subscription = await client.subscribe("a")
        await client.publish("a", b"hello")
        await flushed(client)
        (message,) = await received(subscription, 1)
        assert b"hello" == message.data


def test_a_user_of_a_preloaded_account_talks() -> None:
    with Broker(port=0, jwt=jwts.block()) as broker:
        run(_converse(broker.url, jwts.user()))
        (record,) = broker.connections(closed=True)
        assert (jwts.ACCOUNT.key, jwts.USER.key) == (record.account, record.user)


async def _refused(url: str, token: str) -> None:
    with pytest.raises(nats.errors.Error, match="Authorization Violation"):
        await Client().connect(
            url,
            allow_reconnect=False,
            error_cb=_ignore,
            user_jwt_cb=lambda: _jwt(token),
            signature_cb=_signature,
        )


async def _ignore(error: Exception) -> None:
    """nats-py would log it."""


def test_a_user_of_another_account_does_not() -> None:
    with Broker(port=0, jwt=jwts.block()) as broker:
        run(_refused(broker.url, jwts.user(by=jwts.Signer("A", 9))))
    with warnings.catch_warnings():
        # A client that was refused leaves its socket to the garbage collector; let it find it here.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
