"""asyncio's two kinds of protocol, on the standard loop and on those that replace it."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import cast

from bench.servers import BACKLOG, HOST, tell

#: Bytes of the one buffer that all buffered protocols read into.
BUFFER_SIZE = 256 * 1024


class Echo(asyncio.Protocol):
    """One peer."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)  # not all loops inherit from it

    def data_received(self, data: bytes) -> None:
        """Send it back."""
        self._transport.write(data)


class BufferedEcho(asyncio.BufferedProtocol):
    """One peer, read into a buffer that is shared by all: a loop reads one at a time."""

    shared = memoryview(bytearray(BUFFER_SIZE))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)  # not all loops inherit from it

    def get_buffer(self, sizehint: int) -> memoryview:
        """Give the loop the buffer."""
        return BufferedEcho.shared

    def buffer_updated(self, nbytes: int) -> None:
        """Send it back. A transport that keeps some of it keeps the buffer; the rest get anew."""
        transport = self._transport
        transport.write(BufferedEcho.shared[:nbytes])
        if transport.get_write_buffer_size():
            BufferedEcho.shared = memoryview(bytearray(BUFFER_SIZE))


def new_event_loop(name: str) -> asyncio.AbstractEventLoop:
    """Return the loop that is called `name`."""
    if name.startswith("asyncio"):
        return asyncio.new_event_loop()
    module = import_module("reactor.aio" if name == "reactor-aio" else name)
    loop: asyncio.AbstractEventLoop = module.new_event_loop()
    return loop


def serve(name: str, port: int) -> None:
    """Serve until killed."""
    loop = new_event_loop(name)
    asyncio.set_event_loop(loop)
    protocol = BufferedEcho if name == "asyncio-buffered" else Echo
    server = loop.run_until_complete(loop.create_server(protocol, HOST, port, backlog=BACKLOG))
    tell(server.sockets[0].getsockname()[1])
    loop.run_forever()
