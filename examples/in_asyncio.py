"""A reactor inside an asyncio program: one thread, two loops, neither knows the other.

    python -m examples.in_asyncio

The echo server runs on the reactor, its client is asyncio's. The attachment needs three methods of
the reactor, and asyncio's `add_reader` and `call_later`; see `reactor.embed`.
"""

from __future__ import annotations

import asyncio

from examples.echo import Echo
from reactor import Reactor, attach_to_asyncio, listen


async def main() -> None:
    """Serve on the one, ask on the other."""
    with Reactor() as reactor:
        attachment = attach_to_asyncio(reactor)
        listener = listen(reactor, ("127.0.0.1", 0), Echo)

        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(b"hello from asyncio\n")
        print((await reader.readline()).decode(), end="")
        writer.close()
        await writer.wait_closed()

        attachment.close()


if __name__ == "__main__":
    asyncio.run(main())
