"""The clients of `bench.failover`: `nats-py`, told of all nodes, each starting at its own.

They note what happens to them (`bench.failover_judge` has the records) and otherwise do what any
client does. Settings are those of somebody in a hurry: a node that hangs is left after two PINGs
without an answer, and the next one is tried at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from nats.aio.client import Client as Nats
from nats.aio.msg import Msg
from nats.errors import Error

from bench.failover_judge import Client, Publisher, Requester, Stay, Subscriber

#: Seconds between two messages of a publisher, and two requests of a requester.
PERIOD = 0.02
ASK_PERIOD = 0.05

#: Seconds that a requester waits.
REQUEST_TIMEOUT = 1.0

_SETTINGS: dict[str, Any] = {
    "dont_randomize": True,
    "max_reconnect_attempts": -1,
    "reconnect_time_wait": 0.05,
    "connect_timeout": 0.5,
    "ping_interval": 0.4,
    "max_outstanding_pings": 2,
}


class Member:
    """One client, whose home is a node: its record, its connection, and how that is set up."""

    def __init__(
        self, record: Client, home: int, begin: Callable[[Nats], Awaitable[None]] | None = None
    ) -> None:
        self.record = record
        self.home = home
        self.begin = begin
        self.connection = Nats()

    @property
    def is_away(self) -> bool:
        """Whether it is connected, and not at home."""
        return self.connection.is_connected and self.record.stays[-1].node != self.home


class Crowd:
    """All clients of a run. `urls` are those of the nodes, in their order."""

    def __init__(self, urls: list[str]) -> None:
        self._urls = urls
        self._ports = {int(url.rsplit(":", 1)[1]): number for number, url in enumerate(urls)}
        self._begin = time.monotonic()
        self._members: list[Member] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.publishers: list[Publisher] = []
        self.subscribers: list[Subscriber] = []
        self.requesters: list[Requester] = []
        self.responders: list[Client] = []

    @property
    def everybody(self) -> list[Client]:
        """All of them."""
        return [member.record for member in self._members]

    def now(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._begin

    async def come(self) -> None:
        """At each node: two subscribers, a responder, a requester and a publisher."""
        for number in range(len(self._urls)):
            for which in "ab":
                await self._subscribe(number, Subscriber(f"sub{number}{which}"))
            await self._respond(number, Client(f"responder{number}"))
        for number in range(len(self._urls)):
            await self._publish(number, Publisher(f"pub{number}"))
            await self._request(number, Requester(f"requester{number}"))

    async def return_home(self) -> None:
        """Have whoever is at another node leave that, and connect to its own."""
        for member in self._members:
            if member.is_away:
                member.record.stays[-1].end = self.now()
                member.record.stays[-1].willingly = True
                await member.connection.close()
                await self._connect(member)

    async def rest(self) -> None:
        """Publish and ask no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def go(self) -> None:
        """End all connections."""
        await self.rest()
        for member in self._members:
            with suppress(Error, asyncio.TimeoutError):
                await member.connection.close()

    # --- each kind

    async def _join(self, member: Member) -> None:
        self._members.append(member)
        await self._connect(member)

    async def _connect(self, member: Member) -> None:
        connection, stays = Nats(), member.record.stays

        async def arrived() -> None:
            url = connection.connected_url
            assert url is not None and url.port, "it has just been connected"
            stays.append(Stay(self._ports[url.port], self.now()))

        async def left() -> None:
            if connection is member.connection:
                stays[-1].end = min(stays[-1].end, self.now())

        await connection.connect(
            servers=self._urls[member.home :] + self._urls[: member.home],
            name=member.record.name,
            disconnected_cb=left,
            reconnected_cb=arrived,
            error_cb=_ignore,
            **_SETTINGS,
        )
        await arrived()
        member.connection = connection
        if member.begin is not None:
            await member.begin(connection)
            await connection.flush()

    async def _subscribe(self, home: int, subscriber: Subscriber) -> None:
        self.subscribers.append(subscriber)

        async def hear(message: Msg) -> None:
            who = message.subject.removeprefix("data.")
            subscriber.heard.append((who, int(message.data), self.now()))

        async def begin(connection: Nats) -> None:
            await connection.subscribe("data.*", cb=hear)

        await self._join(Member(subscriber, home, begin))

    async def _respond(self, home: int, responder: Client) -> None:
        self.responders.append(responder)

        async def answer(message: Msg) -> None:
            await message.respond(b"")

        async def begin(connection: Nats) -> None:
            await connection.subscribe("svc", queue="responders", cb=answer)

        await self._join(Member(responder, home, begin))

    async def _publish(self, home: int, publisher: Publisher) -> None:
        self.publishers.append(publisher)
        member = Member(publisher, home)
        await self._join(member)

        async def one() -> None:
            at = self.now()
            number = b"%d" % len(publisher.sent)
            await member.connection.publish(f"data.{publisher.name}", number)
            publisher.sent.append(at)

        self._keep_on(member, one, PERIOD)

    async def _request(self, home: int, requester: Requester) -> None:
        self.requesters.append(requester)
        member = Member(requester, home)
        await self._join(member)

        async def one() -> None:
            asked, answered = self.now(), None
            with suppress(Error, asyncio.TimeoutError):
                await member.connection.request("svc", timeout=REQUEST_TIMEOUT)
                answered = self.now()
            requester.asked.append((asked, answered))

        self._keep_on(member, one, ASK_PERIOD)

    def _keep_on(self, member: Member, work: Callable[[], Awaitable[None]], period: float) -> None:
        async def keep_on() -> None:
            while True:
                if member.connection.is_connected:
                    with suppress(Error):  # it was lost, or left, meanwhile
                        await work()
                await asyncio.sleep(period)

        self._tasks.append(asyncio.create_task(keep_on()))


async def _ignore(_error: Exception) -> None:
    """What goes wrong shows in the records."""
