"""nats-py clients hear of one another, and of what one of them had left to be said."""

from __future__ import annotations

import json

import nats.errors
import pytest
from nats.aio.client import Client

from broker import Broker
from tests.clients.nats_py import connected, received, run


class Mortal(Client):
    """A client with a last will: nats-py has no option for it, so it goes into the line itself."""

    will: object = None

    def _connect_command(self) -> bytes:
        verb, _, text = super()._connect_command().partition(b" ")
        return verb + b" " + json.dumps(json.loads(text) | {"will": self.will}).encode() + b"\r\n"


async def _come_and_go(url: str) -> None:
    async with connected(url, name="watcher") as watcher:
        events = await watcher.subscribe("$EVENT.>")
        lost = await watcher.subscribe("student.*.gone")
        await watcher.flush()
        async with connected(url, name="peer"):
            (message,) = await received(events, 1)
            assert ("$EVENT.CONNECT", "peer") == (message.subject, json.loads(message.data)["name"])
        (message,) = await received(events, 1)
        assert "$EVENT.DISCONNECT" == message.subject
        assert "Client Closed" == json.loads(message.data)["reason"]

        mortal = Mortal()
        mortal.will = {"subject": "student.7.gone", "payload": "lost", "headers": {"Why": "will"}}
        await mortal.connect(url, allow_reconnect=False)
        assert mortal._transport is not None
        mortal._transport.write(b"NONSENSE\r\n")
        (message,) = await received(lost, 1)
        assert ("student.7.gone", b"lost") == (message.subject, message.data)
        assert {"Why": "will"} == message.headers
        await mortal.close()


def test_clients_hear_of_one_another_and_of_a_last_will() -> None:
    with Broker(port=0, presence=True) as broker:
        run(_come_and_go(broker.url))


async def _forge(url: str) -> None:
    told: list[Exception] = []

    async def note(error: Exception) -> None:
        told.append(error)

    async with connected(url, error_cb=note) as liar:
        await liar.publish("$EVENT.CONNECT", b"{}")
        with pytest.raises(nats.errors.Error):
            await liar.request("$EVENT.CONNECT", b"{}", timeout=0.05)
    assert told
    assert all("permissions violation" in str(error).lower() for error in told)


def test_a_client_cannot_publish_what_the_broker_says() -> None:
    with Broker(port=0, presence=True) as broker:
        run(_forge(broker.url))
