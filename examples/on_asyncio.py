"""asyncio on our demultiplexers: the same asyncio, another way of waiting.

python -m examples.on_asyncio [select | poll | epoll]
"""

from __future__ import annotations

import asyncio
import sys

from reactor import Selector


async def greet(selector: Selector) -> None:
    """Let an asyncio server and an asyncio client talk."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello, " + await reader.readline())
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"asyncio\n")
        print((await reader.read()).decode().rstrip(), "on", selector.features.name)
        writer.close()
        await writer.wait_closed()


def main(backend: str | None = None) -> None:
    """Run it on the backend named."""
    selector = Selector(backend)
    loop = asyncio.SelectorEventLoop(selector)
    try:
        loop.run_until_complete(greet(selector))
    finally:
        loop.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
