"""Trio: a task for each peer."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from bench.servers import BACKLOG, HOST, tell

READ_SIZE = 64 * 1024


def serve(name: str, port: int) -> None:
    """Serve until killed."""
    trio: Any = import_module("trio")

    async def echo(stream: Any) -> None:
        try:
            async for data in stream:
                await stream.send_all(data)
        except trio.BrokenResourceError:
            return

    async def run() -> None:
        listeners = await trio.open_tcp_listeners(port, host=HOST, backlog=BACKLOG)
        tell(listeners[0].socket.getsockname()[1])
        await trio.serve_listeners(echo, listeners)

    trio.run(run)
