"""Connections: nats-py logs in, learns the limits, drains, and comes back after a restart.

As on nats-server.
"""

from __future__ import annotations

import asyncio
import gc
import warnings
from typing import Any

import nats
import nats.errors
import pytest
from nats.aio.msg import Msg

from tests.clients.conftest import Server, StartServer
from tests.clients.nats_py import TIMEOUT, connected, flushed, received, run
from tests.support.servers import Settings


def test_a_draining_subscription_hears_what_was_sent_before(server: Server) -> None:
    async def conversation() -> None:
        async with connected(server.url) as alice, connected(server.url) as bob:
            heard: list[int] = []

            async def hear(message: Msg) -> None:
                heard.append(int(message.data))

            subscription: Any = await bob.subscribe("n", cb=hear)
            await flushed(bob)
            for number in range(100):
                await alice.publish("n", b"%d" % number)
            await flushed(alice)
            await subscription.drain()
            await alice.publish("n", b"100")
            await flushed(alice)
            await flushed(bob)
            assert list(range(100)) == heard

    run(conversation())


def test_a_draining_connection_finishes_its_work_and_closes(server: Server) -> None:
    async def conversation() -> None:
        async with connected(server.url) as alice, connected(server.url) as bob:

            async def answer(message: Msg) -> None:
                await asyncio.sleep(0)
                await message.respond(message.data)

            await bob.subscribe("svc", cb=answer)
            await flushed(bob)
            inbox = alice.new_inbox()
            replies = await alice.subscribe(inbox)
            for number in range(50):
                await alice.publish("svc", b"%d" % number, reply=inbox)
            await flushed(alice)
            await bob.drain()
            assert bob.is_closed
            assert list(range(50)) == [int(message.data) for message in await received(replies, 50)]
            with pytest.raises(nats.errors.NoRespondersError):
                await alice.request("svc", b"", timeout=TIMEOUT)

    run(conversation())


def test_a_client_knows_the_largest_payload_and_the_server_takes_it(
    start_server: StartServer,
) -> None:
    server = start_server(Settings())

    async def conversation() -> None:
        async with connected(server.url) as client:
            assert 1024 * 1024 == client.max_payload
            subscription = await client.subscribe("big")
            largest = bytes(range(256)) * 4096
            await client.publish("big", largest)
            (message,) = await received(subscription, 1)
            assert largest == message.data
            with pytest.raises(nats.errors.MaxPayloadError):
                await client.publish("big", largest + b"x")

    run(conversation())


def test_a_user_with_the_right_password_comes_in(start_server: StartServer) -> None:
    server = start_server(Settings(user="ann", password="secret"))

    async def conversation() -> None:
        async with connected(server.url, user="ann", password="secret") as client:
            await flushed(client)
            assert client.is_connected

    run(conversation())


def test_a_password_in_the_url_is_as_good(start_server: StartServer) -> None:
    server = start_server(Settings(user="ann", password="secret"))

    async def conversation() -> None:
        async with connected(f"nats://ann:secret@127.0.0.1:{server.port}") as client:
            await flushed(client)
            assert client.is_connected

    run(conversation())


def test_a_wrong_password_is_refused(start_server: StartServer) -> None:
    server = start_server(Settings(user="ann", password="secret"))
    assert "'Authorization Violation'" in _refusal(server, user="ann", password="wrong")


def test_no_password_is_refused(start_server: StartServer) -> None:
    server = start_server(Settings(user="ann", password="secret"))
    assert "'Authorization Violation'" in _refusal(server)


def test_a_client_with_the_token_comes_in(start_server: StartServer) -> None:
    server = start_server(Settings(token="s3cr3t"))

    async def conversation() -> None:
        async with connected(server.url, token="s3cr3t") as client:
            await flushed(client)
            assert client.is_connected

    run(conversation())


def test_a_wrong_token_is_refused(start_server: StartServer) -> None:
    server = start_server(Settings(token="s3cr3t"))
    assert "'Authorization Violation'" in _refusal(server, token="wrong")


def test_a_client_reconnects_to_a_restarted_server_and_hears_again(server: Server) -> None:
    async def conversation() -> None:
        lost, found = asyncio.Event(), asyncio.Event()

        async def on_lost() -> None:
            lost.set()

        async def on_found() -> None:
            found.set()

        async with connected(
            server.url,
            disconnected_cb=on_lost,
            reconnected_cb=on_found,
            error_cb=_ignored,
            reconnect_time_wait=0.05,
            max_reconnect_attempts=-1,
        ) as client:
            subscription = await client.subscribe("n.*")
            await flushed(client)
            await asyncio.to_thread(server.stop)
            await lost.wait()
            await asyncio.to_thread(server.start)
            await found.wait()
            await client.publish("n.1", b"again")
            (message,) = await received(subscription, 1)
            assert b"again" == message.data
            assert 1 == client.stats["reconnects"]

    run(conversation())


def test_what_a_client_publishes_while_the_server_is_away_is_sent_later(server: Server) -> None:
    async def conversation() -> None:
        lost = asyncio.Event()

        async def on_lost() -> None:
            lost.set()

        async with connected(
            server.url,
            disconnected_cb=on_lost,
            error_cb=_ignored,
            reconnect_time_wait=0.05,
            max_reconnect_attempts=-1,
        ) as client:
            subscription = await client.subscribe("n")
            await flushed(client)
            await asyncio.to_thread(server.stop)
            await lost.wait()
            await client.publish("n", b"kept")
            await asyncio.to_thread(server.start)
            (message,) = await received(subscription, 1)
            assert b"kept" == message.data

    run(conversation())


def test_a_client_learns_who_it_is_and_where(server: Server) -> None:
    async def conversation() -> None:
        async with connected(server.url) as client, connected(server.url) as other:
            assert client.client_id != other.client_id
            assert client.connected_url is not None
            assert server.port == client.connected_url.port
            assert client.connected_server_version.major >= 2

    run(conversation())


async def _ignored(error: Exception) -> None:
    """While a server is away, a client complains; that is what the test is about."""


def _refusal(server: Server, **credentials: str) -> str:
    """What a client is told that is not let in."""

    async def conversation() -> str:
        errors: list[str] = []

        async def on_error(error: Exception) -> None:
            errors.append(str(error))

        with pytest.raises(Exception):  # noqa: B017  (which one it is depends on the client's version)
            await nats.connect(server.url, error_cb=on_error, allow_reconnect=False, **credentials)
        return " ".join(errors)

    answer = run(conversation())
    with warnings.catch_warnings():
        # A client that was refused leaves its socket to the garbage collector; let it find it here.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    return answer
