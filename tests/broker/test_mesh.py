"""Clusters in this process: `Broker.cluster`, and the faults that tests can have."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import NoRespondersError

from broker import Broker
from broker.blocks import ClusterBlock

PATIENCE = 10.0


async def answered(client: Client, subject: str) -> bytes:
    """The first answer that comes."""

    async def ask() -> bytes:
        while True:
            try:
                return (await client.request(subject, timeout=PATIENCE)).data
            except NoRespondersError:
                continue

    return await asyncio.wait_for(ask(), PATIENCE)


async def serve(client: Client, subject: str) -> None:
    async def answer(message: Msg) -> None:
        await message.respond(b"here")

    await client.subscribe(subject, cb=answer)
    await client.flush()


async def silent(client: Client, subject: str) -> None:
    """Return when nobody answers any more."""

    async def ask() -> None:
        while True:
            try:
                await client.request(subject, timeout=PATIENCE)
            except NoRespondersError:
                return

    await asyncio.wait_for(ask(), PATIENCE)


def test_three_brokers_are_one() -> None:
    async def play(urls: list[str]) -> None:
        one, other = await nats.connect(urls[0]), await nats.connect(urls[2])
        await serve(other, "ask")
        assert b"here" == await answered(one, "ask")
        assert 3 == len(one._server_info["connect_urls"])
        await one.close()
        await other.close()

    with Broker.cluster(3) as nodes:
        assert [{"n1", "n2"}, {"n0", "n2"}, {"n0", "n1"}] == [
            {route.remote_name for route in node.routes()} for node in nodes
        ]
        asyncio.run(play(nodes.urls))
    assert [False] * 3 == [node.running for node in nodes]


def test_a_link_can_be_cut_and_healed() -> None:
    with Broker.cluster(2) as nodes:

        async def play() -> None:
            one, other = await nats.connect(nodes[0].url), await nats.connect(nodes[1].url)
            await serve(other, "ask")
            assert b"here" == await answered(one, "ask")
            nodes.cut(0, 1)
            nodes.wait()
            await silent(one, "ask")
            nodes.heal(0, 1)
            assert b"here" == await answered(one, "ask")
            await one.close()
            await other.close()

        asyncio.run(play())


def test_a_link_can_be_slow() -> None:
    with Broker.cluster(2) as nodes:

        async def play() -> None:
            one, other = await nats.connect(nodes[0].url), await nats.connect(nodes[1].url)
            await serve(other, "ask")
            assert b"here" == await answered(one, "ask")
            nodes.delay(0, 1, 0.1)
            begun = time.monotonic()
            assert b"here" == await answered(one, "ask")
            assert 0.2 <= time.monotonic() - begun
            nodes.delay(0, 1, 0.0)
            await one.close()
            await other.close()

        asyncio.run(play())


def test_a_client_goes_on_at_another_node_and_a_node_comes_back_where_it_was() -> None:
    with Broker.cluster(3) as nodes:

        async def play() -> None:
            moved = asyncio.Event()

            async def reconnected() -> None:
                moved.set()

            client = await nats.connect(
                nodes[0].url, reconnected_cb=reconnected, reconnect_time_wait=0.01
            )
            await serve(client, "ask")
            before = nodes[0].url
            nodes[0].stop()
            await asyncio.wait_for(moved.wait(), PATIENCE)
            other = await nats.connect(nodes[2].url)
            assert b"here" == await answered(other, "ask")
            nodes[0].start()
            nodes.wait()
            assert before == nodes[0].url
            back = await nats.connect(nodes[0].url)
            assert b"here" == await answered(back, "ask")
            for one in (client, other, back):
                await one.close()

        asyncio.run(play())


def test_who_waits_in_vain_is_told() -> None:
    with Broker.cluster(2) as nodes:
        nodes.cut(0, 1)
        nodes._cut.clear()
        with pytest.raises(TimeoutError):
            nodes.wait(0.01)


@pytest.mark.parametrize(
    "settings", [{"port": 4222}, {"server_name": "x"}, {"cluster": ClusterBlock()}]
)
def test_what_each_node_must_have_of_its_own_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="cannot be the same"):
        Broker.cluster(2, **settings)
    with pytest.raises(ValueError, match="at least 1"):
        Broker.cluster(0)


def test_a_broker_that_is_no_node_has_no_cluster_port() -> None:
    with Broker(port=0) as broker:
        assert [] == broker.routes()
        with pytest.raises(RuntimeError, match="no node"):
            _ = broker.cluster_port
