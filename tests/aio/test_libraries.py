"""Libraries in wide use, on our loop: each is made to do the usual, both as client and as server.

They are not ours to test; what is shown is that they find in our loop all that they look for.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import sys
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest

import reactor.aio

TIMEOUT = 30.0

#: More than one read or one write takes.
LARGE = bytes(range(256)) * 4096


def run(test: Coroutine[Any, Any, None]) -> None:
    async def main() -> None:
        await asyncio.wait_for(test, TIMEOUT)

    reactor.aio.run(main())


@contextlib.asynccontextmanager
async def serving(app: Any, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """An aiohttp application on a port of its own."""
    web = pytest.importorskip("aiohttp.web")
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def make_app() -> Any:
    web = pytest.importorskip("aiohttp.web")

    async def echo(request: Any) -> Any:
        return web.Response(body=await request.read())

    async def stream(request: Any) -> Any:
        response = web.StreamResponse()
        await response.prepare(request)
        for start in range(0, len(LARGE), 1 << 16):
            await response.write(LARGE[start : start + (1 << 16)])
        return response

    async def talk(request: Any) -> Any:
        channel = web.WebSocketResponse()
        await channel.prepare(request)
        async for message in channel:
            await channel.send_str(message.data.upper())
        return channel

    app = web.Application()
    app.router.add_post("/echo", echo)
    app.router.add_get("/stream", stream)
    app.router.add_get("/talk", talk)
    return app


def test_aiohttp_serves_and_asks() -> None:
    aiohttp = pytest.importorskip("aiohttp")

    async def test() -> None:
        async with serving(make_app()) as port, aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{port}"
            for body in (b"", b"hello", LARGE):
                async with session.post(f"{url}/echo", data=body) as answer:
                    assert body == await answer.read()
            async with session.get(f"{url}/stream") as answer:
                assert LARGE == await answer.read()
            async with session.ws_connect(f"{url}/talk") as channel:
                await channel.send_str("loud")
                assert "LOUD" == (await channel.receive()).data

    run(test())


def test_aiohttp_serves_and_asks_over_tls() -> None:
    aiohttp = pytest.importorskip("aiohttp")
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server_side)
    client_side = ssl.create_default_context()
    authority.configure_trust(client_side)

    async def test() -> None:
        async with (
            serving(make_app(), server_side) as port,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=client_side)) as session,
            session.post(f"https://127.0.0.1:{port}/echo", data=LARGE) as answer,
        ):
            assert LARGE == await answer.read()

    run(test())


def test_uvicorn_serves_an_application() -> None:
    uvicorn = pytest.importorskip("uvicorn")
    aiohttp = pytest.importorskip("aiohttp")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        body, more = b"", True
        while more:
            message = await receive()
            body += message["body"]
            more = message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    async def test() -> None:
        config = uvicorn.Config(app, port=0, log_level="error", lifespan="off", http="h11")
        server = uvicorn.Server(config)
        with server.capture_signals():
            serving = asyncio.create_task(server._serve())
            while not server.started:
                await asyncio.sleep(0.01)
            port = server.servers[0].sockets[0].getsockname()[1]
            async with aiohttp.ClientSession() as session:
                for body in (b"hello", LARGE):
                    async with session.post(f"http://127.0.0.1:{port}/", data=body) as answer:
                        assert body == await answer.read()
            server.should_exit = True
            await serving

    run(test())


def test_websockets_serves_and_connects() -> None:
    asyncio_client = pytest.importorskip("websockets.asyncio.client")
    asyncio_server = pytest.importorskip("websockets.asyncio.server")

    async def echo(connection: Any) -> None:
        async for message in connection:
            await connection.send(message)

    async def test() -> None:
        async with asyncio_server.serve(echo, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with asyncio_client.connect(f"ws://127.0.0.1:{port}") as connection:
                for message in ("text", b"bytes", LARGE[:500_000]):
                    await connection.send(message)
                    assert message == await connection.recv()

    run(test())


def test_nats_py_talks_to_a_broker() -> None:
    nats = pytest.importorskip("nats")
    # The broker that the project has, in a thread of its own.
    from broker import Broker

    async def test(url: str) -> None:
        client = await nats.connect(url)
        subscription = await client.subscribe("class.*")
        for number in range(500):
            await client.publish(f"class.{number}", b"%d" % number)
        await client.flush()
        received = [await subscription.next_msg(TIMEOUT) for _ in range(500)]
        assert list(range(500)) == [int(message.data) for message in received]

        async def answer(message: Any) -> None:
            await message.respond(message.data.upper())

        await client.subscribe("ask", cb=answer)
        assert b"LOUD" == (await client.request("ask", b"loud", timeout=TIMEOUT)).data
        await client.close()

    with Broker(port=0) as broker:
        run(test(broker.url))


@pytest.mark.skipif(
    sys.version_info < (3, 11), reason="StreamWriter.start_tls is new in Python 3.11"
)
def test_a_connection_turns_to_tls_in_the_middle() -> None:
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server_side)
    client_side = ssl.create_default_context()
    authority.configure_trust(client_side)

    async def test() -> None:
        served: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readline())
            await writer.drain()
            await start_tls(writer, server_side)
            writer.write(await reader.readexactly(len(LARGE)))
            await end(writer)
            served.set_result(None)

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"plain\n")
            assert b"plain\n" == await reader.readline()
            await start_tls(writer, client_side, server_hostname="localhost")
            writer.write(LARGE)
            assert LARGE == await reader.readexactly(len(LARGE))
            await end(writer)
            await served

    async def start_tls(writer: Any, context: ssl.SSLContext, **how: str) -> None:
        await writer.start_tls(context, **how)

    async def end(writer: asyncio.StreamWriter) -> None:
        await writer.drain()
        writer.close()
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            await writer.wait_closed()

    run(test())
