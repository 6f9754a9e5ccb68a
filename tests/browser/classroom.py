"""Something to look at: a class of clients that talk all the time, in a thread of its own.

Playwright runs a loop of its own in the thread of the tests, so whatever speaks through nats-py
does it here.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg

T = TypeVar("T")

DEADLINE = 20.0


class Background:
    """A thread with an event loop. ``run`` waits for a coroutine there."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def start(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Begin something and go on."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Do something and wait for its end."""
        return self.start(coroutine).result(DEADLINE)

    def stop(self) -> None:
        """End the loop and the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@contextlib.contextmanager
def background() -> Iterator[Background]:
    """A thread with an event loop for as long as it is needed."""
    thread = Background()
    try:
        yield thread
    finally:
        thread.stop()


@contextlib.contextmanager
def lesson(url: str) -> Iterator[None]:
    """A teacher, an assistant and some students who talk until the end of the block."""
    with background() as thread:
        talk = thread.start(_lesson(url))
        try:
            yield
        finally:
            talk.cancel()
            thread.run(asyncio.sleep(0.05))  # so that what was cancelled has said goodbye


async def _lesson(url: str) -> None:
    async with contextlib.AsyncExitStack() as stack:

        async def comer(name: str) -> Client:
            client = await nats.connect(url, name=name, allow_reconnect=False)
            stack.push_async_callback(client.close)
            return client

        async def ignore(message: Msg) -> None:
            """Heard; that is all."""

        async def answer(message: Msg) -> None:
            await message.respond(b'{"page": 12, "slide": "reactor"}')

        teacher, assistant = await comer("teacher Wang"), await comer("assistant")
        students = [await comer(f"student {number:02}") for number in range(1, 9)]
        await teacher.subscribe("*.student.heartbeat", cb=ignore)
        await teacher.subscribe("class7.state", cb=answer)
        for helper in (teacher, assistant):
            await helper.subscribe("class7.hands", "helpers", cb=ignore)
        for student in students:
            await student.subscribe("class7.board.>", cb=ignore)
        for turn in range(10**9):
            strokes = 30 + round(20 * math.sin(turn / 60) + 9 * math.sin(turn / 11))
            for stroke in range(strokes):
                await teacher.publish(
                    f"class7.board.{'draw' if stroke % 5 else 'erase'}", b"x" * 48
                )
            for number, student in enumerate(students, 1):
                if (turn + number) % 4 == 0:
                    await student.publish(f"s{number:02}.student.heartbeat", b'{"page":12}')
            await students[turn % 8].publish("class7.hands", b"up")
            if turn % 5 == 0:
                await students[turn % 8].request("class7.state", timeout=DEADLINE)
            await asyncio.sleep(0.1)
