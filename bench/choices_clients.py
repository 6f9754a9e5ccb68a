"""Clients of `bench.choices`: who listens and who publishes, numbered, and what they promise.

Floor 7: `nats-py` beside brokers in this process; everything runs in one asyncio loop.
"""

from __future__ import annotations

import asyncio
import time

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg

from broker.mesh import Mesh

#: Seconds after which something that should have arrived is lost.
PATIENCE = 5.0


class BrokenPromiseError(Exception):
    """Something was measured that must not be; the text says what."""


def promise(kept: bool, what: str) -> None:
    """Raise `BrokenPromiseError` unless it was kept."""
    if not kept:
        raise BrokenPromiseError(what)


class Listener:
    """A client at one node that notes the numbers it hears, with the time of each."""

    def __init__(self) -> None:
        self.heard: dict[int, float] = {}
        self._news = asyncio.Event()

    async def listen(self, client: Client, subject: str) -> None:
        """Subscribe, and return when the node knows."""
        await client.subscribe(subject, cb=self.hear)
        await client.flush()

    async def hear(self, message: Msg) -> None:
        """Note a number."""
        self.heard[int(message.data)] = time.monotonic()
        self._news.set()

    async def until(self, number: int) -> None:
        """Wait until `number`, or a later one, was heard. Raises TimeoutError."""
        while not self.heard or max(self.heard) < number:
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), PATIENCE)


class Publisher:
    """Publishes 0, 1, 2 … on a subject, in the background."""

    def __init__(self, client: Client, subject: str, period: float) -> None:
        self._client = client
        self._subject = subject
        self._period = period
        self.sent: dict[int, float] = {}
        self._task = asyncio.create_task(self._publish())

    async def _publish(self) -> None:
        while True:
            self.sent[len(self.sent)] = time.monotonic()
            await self._client.publish(self._subject, b"%d" % (len(self.sent) - 1))
            await asyncio.sleep(self._period)

    async def stop(self) -> int:
        """Stop, and return the last number."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._client.flush()
        return len(self.sent) - 1


async def clients(nodes: Mesh) -> list[Client]:
    """Connect one client to each node, and to no other."""
    return [await nats.connect(node.url, allow_reconnect=False) for node in nodes]


async def leave(connected: list[Client]) -> None:
    """Close clients."""
    for client in connected:
        await client.close()


async def settled(connected: list[Client], subject: str) -> None:
    """Return when a subscription made now at any node is heard by all others, and so all before."""
    listeners = [Listener() for _ in connected]
    for listener, client in zip(listeners, connected, strict=True):
        await listener.listen(client, subject)
    for number, client in enumerate(connected):
        while any(not listener.heard or max(listener.heard) < number for listener in listeners):
            await client.publish(subject, b"%d" % number)
            await client.flush()
            await asyncio.sleep(0.005)
