"""What the tests of nats-py share: to run a conversation, connect, flush and receive.

Used by test_nats_py.py and test_nats_py_connections.py.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg

T = TypeVar("T")

TIMEOUT = 20.0
"""Seconds for a whole conversation: it takes a few milliseconds, and a test must not hang."""


def run(conversation: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(conversation, TIMEOUT))


@contextlib.asynccontextmanager
async def connected(url: str, **options: Any) -> AsyncIterator[Client]:
    client = await nats.connect(url, **options)
    try:
        yield client
    finally:
        await client.close()


async def flushed(client: Client) -> None:
    """The server has dealt with all that `client` wrote."""
    # The client's PING overtakes what it has pending; the second one then comes after it.
    await client.flush()
    await client.flush()


async def received(subscription: Any, count: int) -> list[Msg]:
    """The next `count` messages of a subscription."""
    return [await subscription.next_msg(timeout=TIMEOUT) for _ in range(count)]
