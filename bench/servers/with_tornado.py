"""Tornado: an IOStream for each peer, on asyncio's loop."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import Any

from bench.servers import BACKLOG, HOST, tell

READ_SIZE = 64 * 1024


async def echo(stream: Any) -> None:
    """Serve one peer."""
    closed = import_module("tornado.iostream").StreamClosedError
    stream.set_nodelay(True)
    try:
        while True:
            await stream.write(await stream.read_bytes(READ_SIZE, partial=True))
    except closed:
        return


async def run(port: int) -> None:
    """Listen and serve."""
    netutil, tcpserver = import_module("tornado.netutil"), import_module("tornado.tcpserver")
    sockets = netutil.bind_sockets(port, HOST, backlog=BACKLOG)
    server = tcpserver.TCPServer()
    server.handle_stream = lambda stream, _address: echo(stream)
    server.add_sockets(sockets)
    tell(sockets[0].getsockname()[1])
    await asyncio.Event().wait()


def serve(name: str, port: int) -> None:
    """Serve until killed."""
    asyncio.run(run(port))
