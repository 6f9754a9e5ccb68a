"""WebSocket: the official Python client, nats-py, comes in by ws:// and wss://."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nats.errors
import pytest

from broker import Broker
from broker.blocks import WebsocketBlock
from tests.clients.nats_py import connected, flushed, received, run
from tests.support import tls_files

# nats-py calls aiohttp in a way that aiohttp would rather not be called, and does not close its
# session where it was refused or has reconnected.
pytestmark = [
    pytest.mark.filterwarnings("ignore:parameter 'timeout' of type:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

LARGE = bytes(range(256)) * 2000


@pytest.fixture(autouse=True)
def what_nats_py_leaves_behind_is_collected_here() -> Iterator[None]:
    """And not in a later test, where warnings are errors."""
    yield
    gc.collect()


async def _converse(url: str, **options: Any) -> None:
    """Send many small messages and a large one to ourselves."""
    async with connected(url, allow_reconnect=False, **options) as client:
        subscription = await client.subscribe("a.*")
        for number in range(1000):
            await client.publish("a.1", b"%d" % number)
        await client.publish("a.2", LARGE, headers={"kind": "large"})
        await flushed(client)
        *small, large = await received(subscription, 1001)
        assert [b"%d" % number for number in range(1000)] == [one.data for one in small]
        assert (LARGE, {"kind": "large"}) == (large.data, large.headers)


@pytest.mark.parametrize("compression", [False, True])
def test_a_client_talks_through_a_websocket(compression: bool) -> None:
    block = WebsocketBlock(port=0, no_tls=True, compression=compression)
    with Broker(port=0, websocket=block) as broker:
        assert broker.ws_url.startswith("ws://")
        run(_converse(broker.ws_url))
        (record,) = broker.connections(closed=True)
        assert ("websocket", "Client Closed") == (record.type, record.reason)


def test_a_client_talks_through_an_encrypted_websocket(tmp_path: Path) -> None:
    block = WebsocketBlock(port=0, tls=tls_files.block(tmp_path))
    with Broker(port=0, websocket=block) as broker:
        assert broker.ws_url.startswith("wss://")
        run(_converse(broker.ws_url, tls=tls_files.client_context()))
        (record,) = broker.connections(closed=True)
        assert "1.3" == record.tls_version


def test_a_plain_client_hears_one_behind_a_websocket() -> None:
    async def conversation(broker: Broker) -> None:
        async with connected(broker.url) as plain, connected(broker.ws_url) as web:
            subscription = await plain.subscribe("class.1")
            await flushed(plain)
            await web.publish("class.1", b"hello")
            (message,) = await received(subscription, 1)
            assert b"hello" == message.data

    with Broker(port=0, websocket=WebsocketBlock(port=0, no_tls=True)) as broker:
        run(conversation(broker))


def test_requests_are_answered_through_websockets() -> None:
    async def conversation(url: str) -> None:
        async with connected(url) as alice, connected(url) as bob:

            async def answer(message: Any) -> None:
                await message.respond(message.data.upper())

            await bob.subscribe("up", cb=answer)
            await flushed(bob)
            answers = await asyncio.gather(
                *(alice.request("up", b"x%d" % number, timeout=5) for number in range(50))
            )
            assert [b"X%d" % number for number in range(50)] == [one.data for one in answers]

    with Broker(port=0, websocket=WebsocketBlock(port=0, no_tls=True)) as broker:
        run(conversation(broker.ws_url))


def test_the_right_token_opens_a_websocket_and_a_wrong_one_does_not() -> None:
    async def ignore(error: Exception) -> None:
        """nats-py would log it."""

    block = WebsocketBlock(port=0, no_tls=True)
    with Broker(port=0, token="secret", websocket=block) as broker:
        run(_converse(broker.ws_url, token="secret"))
        with pytest.raises(nats.errors.Error):
            run(_converse(broker.ws_url, token="wrong", error_cb=ignore))


def test_a_client_comes_back_through_the_websocket_when_the_broker_does() -> None:
    async def ignore(error: Exception) -> None:
        """nats-py would log it."""

    async def conversation(first: Broker) -> None:
        back = asyncio.Event()

        async def reconnected() -> None:
            back.set()

        async with connected(
            first.ws_url,
            reconnected_cb=reconnected,
            error_cb=ignore,
            reconnect_time_wait=0.05,
            max_reconnect_attempts=-1,
        ) as client:
            subscription = await client.subscribe("a")
            await flushed(client)
            port = int(first.ws_url.rpartition(":")[2])
            first.stop()
            block = WebsocketBlock(port=port, no_tls=True)
            with Broker(port=0, websocket=block):
                await back.wait()
                await client.publish("a", b"again")
                (message,) = await received(subscription, 1)
                assert b"again" == message.data

    broker = Broker(port=0, websocket=WebsocketBlock(port=0, no_tls=True))
    broker.start()
    run(conversation(broker))
