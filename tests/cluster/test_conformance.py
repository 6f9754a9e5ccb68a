"""One cluster, whoever its nodes are: every message counted once.

The same tests over nodes of ours and real nats-servers in every mixture, whoever dials whom.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import NoRespondersError

from tests.cluster.nodes import PATIENCE, Mesh

# The first is dialled by the others.
TOPOLOGIES = ["ooo", "oor", "roo", "orr", "rro"]


@pytest.fixture(scope="module", params=TOPOLOGIES)
def mesh(request: pytest.FixtureRequest) -> Iterator[Mesh]:
    with Mesh(request.param) as mesh:
        yield mesh


@asynccontextmanager
async def clients(mesh: Mesh, user: str = "a") -> AsyncIterator[list[Client]]:
    """A client of each node."""
    async with AsyncExitStack() as stack:
        found = []
        for number in range(len(mesh.nodes)):
            client = await nats.connect(mesh.url(number, user), allow_reconnect=False)
            stack.push_async_callback(client.close)
            found.append(client)
        yield found


async def settled(members: list[Client]) -> None:
    """Return when every node knows what the clients of all others want.

    Interest goes from node to node in order, so who knows of the last one knows of all before.
    """

    async def answer(message: Msg) -> None:
        await message.respond(b"")

    for number, member in enumerate(members):
        probe = f"probe.{number}.{id(member)}"
        await member.subscribe(probe, cb=answer)
        await member.flush()
        for other in members:
            await known(other, probe)


async def known(client: Client, subject: str) -> None:
    """Return when a request of this client finds somebody."""

    async def ask() -> None:
        while True:
            try:
                await client.request(subject, timeout=PATIENCE)
                return
            except NoRespondersError:
                continue

    await asyncio.wait_for(ask(), PATIENCE)


async def all_arrived(client: Client, others: list[Client]) -> None:
    """Return when what ``others`` published before has come to ``client``.

    Routes keep the order, so what each publishes last comes last.
    """
    last = f"last.{id(client)}.{id(asyncio.current_task())}"
    left = asyncio.Semaphore(0)

    async def come(message: Msg) -> None:
        left.release()

    subscription = await client.subscribe(last, cb=come)
    await client.flush()
    for other in others:
        await told(other, last, left)
    await subscription.unsubscribe()


async def told(client: Client, subject: str, came: asyncio.Semaphore) -> None:
    """Publish until it comes: the first may be sent before anybody knows of the wish."""

    async def publish() -> None:
        while True:
            await client.publish(subject)
            await client.flush()
            try:
                await asyncio.wait_for(came.acquire(), 0.2)
                return
            except asyncio.TimeoutError:
                continue

    await asyncio.wait_for(publish(), PATIENCE)


def counting(heard: Counter[bytes]) -> Callable[[Msg], Awaitable[None]]:
    async def count(message: Msg) -> None:
        heard[message.data] += 1

    return count


def test_every_subscriber_hears_each_message_once(mesh: Mesh) -> None:
    async def play() -> None:
        async with clients(mesh) as members:
            heard: list[Counter[bytes]] = [Counter() for _ in members]
            for member, count in zip(members, heard, strict=True):
                await member.subscribe("x.*", cb=counting(count))
                await member.subscribe("x.>", cb=counting(count))
            await settled(members)
            expected: Counter[bytes] = Counter()
            for number, member in enumerate(members):
                for message in range(50):
                    data = b"%d-%d" % (number, message)
                    headers = {"Number": str(message)} if message % 2 else None
                    await member.publish("x.1", data, headers=headers)
                    expected[data] += 2
            for member, count in zip(members, heard, strict=True):
                await all_arrived(member, members)
                assert expected == count

    asyncio.run(play())


def test_headers_arrive_as_they_were(mesh: Mesh) -> None:
    async def play() -> None:
        async with clients(mesh) as members:
            subscription = await members[-1].subscribe("headers")
            await settled(members)
            for member in members:
                await member.publish("headers", b"body", headers={"Key": "a: b", "Other": "c"})
                message = await subscription.next_msg(PATIENCE)
                assert (b"body", {"Key": "a: b", "Other": "c"}) == (message.data, message.headers)

    asyncio.run(play())


def test_a_queue_group_gets_each_message_once_and_every_node_its_share(mesh: Mesh) -> None:
    async def play() -> None:
        async with clients(mesh) as members:
            heard: list[Counter[bytes]] = [Counter() for _ in members]
            for number, (member, count) in enumerate(zip(members, heard, strict=True)):
                for _ in range(number + 1):  # groups of different size
                    await member.subscribe("work.*", queue="q", cb=counting(count))
            await settled(members)
            expected: Counter[bytes] = Counter()
            for number, member in enumerate(members):
                for message in range(200):
                    data = b"%d-%d" % (number, message)
                    await member.publish("work.1", data)
                    expected[data] += 1
            for member in members:
                await all_arrived(member, members)
            assert expected == sum(heard, Counter())
            # Of 600, members have 1, 2 and 3 parts of 6.
            shares = [count.total() for count in heard]
            assert [True, True, True] == [
                50 * part < share < 150 * part for part, share in enumerate(shares, 1)
            ]

    asyncio.run(play())


def test_a_group_with_members_on_one_node_is_served_from_all(mesh: Mesh) -> None:
    async def play() -> None:
        async with clients(mesh) as members:
            heard: Counter[bytes] = Counter()
            await members[1].subscribe("one.>", queue="q", cb=counting(heard))
            await members[1].subscribe("one.*", queue="q", cb=counting(heard))
            await members[1].subscribe("one.a", queue="r", cb=counting(heard))
            await settled(members)
            for number, member in enumerate(members):
                await member.publish("one.a", b"%d" % number)
            await all_arrived(members[1], members)
            assert {b"0": 2, b"1": 2, b"2": 2} == heard

    asyncio.run(play())


def test_requests_find_their_responder_and_are_told_if_there_is_none(mesh: Mesh) -> None:
    async def play() -> None:
        async with clients(mesh) as members:
            for number, member in enumerate(members):

                async def answer(message: Msg, number: int = number) -> None:
                    await message.respond(b"%d %s" % (number, message.data))

                await member.subscribe(f"ask.{number}", cb=answer)
                await member.subscribe("ask.any", queue="q", cb=answer)
            await settled(members)
            for asker in members:
                for number in range(len(members)):
                    reply = await asker.request(f"ask.{number}", b"?", timeout=PATIENCE)
                    assert b"%d ?" % number == reply.data
                assert b"?" in (await asker.request("ask.any", b"?", timeout=PATIENCE)).data
                with pytest.raises(NoRespondersError):
                    await asker.request("ask.nobody", b"?", timeout=PATIENCE)

    asyncio.run(play())


def test_large_messages_arrive_whole(mesh: Mesh) -> None:
    async def play() -> None:
        async with clients(mesh) as members:
            subscription = await members[0].subscribe("large")
            await settled(members)
            for size in (0, 1, 65_535, 1024 * 1024):
                payload = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
                for member in members:
                    await member.publish("large", payload)
                    message = await subscription.next_msg(PATIENCE)
                    assert payload == message.data

    asyncio.run(play())


def test_a_storm_of_subscriptions_leaves_exact_interest(mesh: Mesh) -> None:
    async def play() -> None:
        async with clients(mesh) as members:
            heard: Counter[bytes] = Counter()
            kept = []
            for number in range(600):
                subscription = await members[0].subscribe(f"storm.{number}", cb=counting(heard))
                kept.append(subscription)
            for subscription in kept[::2]:
                await subscription.unsubscribe()
            await settled(members)
            for member in members[1:]:
                for number in range(600):
                    await member.publish(f"storm.{number}", b"%d" % number)
            await all_arrived(members[0], members[1:])
            assert {b"%d" % number: 2 for number in range(1, 600, 2)} == heard
            with pytest.raises(NoRespondersError):
                await members[1].request("storm.0", timeout=PATIENCE)

    asyncio.run(play())


def test_accounts_do_not_hear_each_other(mesh: Mesh) -> None:
    async def play() -> None:
        async with clients(mesh, "a") as ours, clients(mesh, "b") as theirs:
            heard_a: Counter[bytes] = Counter()
            heard_b: Counter[bytes] = Counter()
            await ours[0].subscribe("shared", cb=counting(heard_a))
            await theirs[1].subscribe("shared", cb=counting(heard_b))
            await settled(ours)
            await settled(theirs)
            for member in ours:
                await member.publish("shared", b"a")
            for member in theirs:
                await member.publish("shared", b"b")
            await all_arrived(ours[0], ours)
            await all_arrived(theirs[1], theirs)
            assert ({b"a": 3}, {b"b": 3}) == (heard_a, heard_b)

    asyncio.run(play())


def test_what_an_account_imports_comes_from_every_node_once(mesh: Mesh) -> None:
    async def play() -> None:
        async with clients(mesh, "a") as exporters, clients(mesh, "b") as importers:
            heard: list[Counter[bytes]] = [Counter() for _ in importers]
            for member, count in zip(importers, heard, strict=True):
                await member.subscribe("out.*", cb=counting(count))
            await settled(importers)
            await settled(exporters)
            for number, member in enumerate(exporters):
                await member.publish("out.a", b"%d" % number)
            # What B hears of A comes by A's interest, behind which this stands.
            for member in importers:
                await shared(member, exporters)
            expected = {b"%d" % number: 1 for number in range(len(exporters))}
            assert [expected] * 3 == heard

    asyncio.run(play())


async def shared(importer: Client, exporters: list[Client]) -> None:
    """Return when what each exporter published before has come to the importer."""
    subject = f"out.last.{id(importer)}"
    came = asyncio.Semaphore(0)

    async def come(message: Msg) -> None:
        came.release()

    await importer.subscribe(subject, cb=come)
    await importer.flush()
    for exporter in exporters:
        await told(exporter, subject, came)


def test_a_service_of_another_account_is_asked_across_nodes(mesh: Mesh) -> None:
    async def play() -> None:
        async with clients(mesh, "a") as servers, clients(mesh, "b") as askers:

            async def answer(message: Msg) -> None:
                await message.respond(b"yes")

            await servers[1].subscribe("svc", cb=answer)
            await settled(servers)
            for asker in askers:
                assert b"yes" == (await asker.request("svc", timeout=PATIENCE)).data

    asyncio.run(play())
