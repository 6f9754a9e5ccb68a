"""Who is in the system account asks all nodes of a cluster at once, or one from any other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import nats
import pytest
from nats.aio.client import Client

from tests.cluster.nodes import PATIENCE, Mesh

#: "o" is ours, "r" a real nats-server; the first is dialled by the others.
TOPOLOGIES = ["oo", "or", "ro", "oor"]

WAIT = 0.3
"""Seconds in which nothing more comes."""


@pytest.fixture(scope="module", params=TOPOLOGIES)
def mesh(request: pytest.FixtureRequest) -> Iterator[Mesh]:
    with Mesh(request.param) as mesh:
        yield mesh


def asking(mesh: Mesh, number: int, question: Callable[[Client], Awaitable[None]]) -> None:
    """Have a client of a node's system account ask something."""

    async def main() -> None:
        client = await nats.connect(mesh.url(number, "sys"), allow_reconnect=False)
        try:
            await question(client)
        finally:
            await client.close()

    asyncio.run(main())


async def answers(client: Client, subject: str, count: int, body: bytes = b"") -> list[Any]:
    """Ask until `count` have answered, and no further one has."""
    inbox = await client.subscribe(client.new_inbox())
    end = asyncio.get_running_loop().time() + PATIENCE
    while True:
        await client.publish(subject, body, reply=inbox.subject)
        found: list[Any] = []
        try:
            while len(found) <= count:
                found.append(json.loads((await inbox.next_msg(timeout=WAIT)).data))
        except nats.errors.TimeoutError:
            pass
        # A node may not know yet that somebody waits for its answer.
        if len(found) == count or asyncio.get_running_loop().time() > end:
            await inbox.unsubscribe()
            return found


@pytest.mark.parametrize("subject", ["$SYS.REQ.SERVER.PING", "$SYS.REQ.SERVER.PING.VARZ"])
def test_every_node_answers_a_ping_once_whoever_is_asked(mesh: Mesh, subject: str) -> None:
    names = [f"n{number}{kind}" for number, kind in enumerate(mesh.kinds)]

    async def question(client: Client) -> None:
        heard = await answers(client, subject, len(names))
        assert names == sorted(answer["server"]["name"] for answer in heard)

    for number in range(len(names)):
        asking(mesh, number, question)


def test_a_node_is_asked_for_its_pages_at_any_other(mesh: Mesh) -> None:
    async def question(client: Client) -> None:
        everybody = await answers(client, "$SYS.REQ.SERVER.PING.IDZ", len(mesh.nodes))
        for known in everybody:
            [page] = await answers(client, f"$SYS.REQ.SERVER.{known['id']}.VARZ", 1)
            assert known["name"] == page["data"]["server_name"]

    for number in range(len(mesh.nodes)):
        asking(mesh, number, question)


def test_every_node_tells_of_its_share_of_an_account(mesh: Mesh) -> None:
    async def question(client: Client) -> None:
        guests = [
            await nats.connect(mesh.url(number, "a"), allow_reconnect=False)
            for number in range(len(mesh.nodes))
        ]
        pages = await answers(client, "$SYS.REQ.ACCOUNT.A.CONNZ", len(mesh.nodes))
        assert [1] * len(mesh.nodes) == [page["data"]["num_connections"] for page in pages]
        for guest in guests:
            await guest.close()

    asking(mesh, 0, question)
