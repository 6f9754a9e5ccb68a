"""An echo server written for asyncio, on our loop. Only the last line knows of it.

    python -m examples.aio_echo [PORT]
    nc 127.0.0.1 PORT

`loop.reactor` is the reactor underneath, for whoever wants both in one thread.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress

import reactor.aio


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send everything back; wait where the peer does not read."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def serve(port: int) -> None:
    """Serve until cancelled."""
    server = await asyncio.start_server(echo, "127.0.0.1", port)
    print(f"listening on 127.0.0.1 port {server.sockets[0].getsockname()[1]}", flush=True)
    async with server:
        await server.serve_forever()


def main(port: int = 0) -> None:
    """Serve until Ctrl-C."""
    with suppress(KeyboardInterrupt):
        reactor.aio.run(serve(port))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
