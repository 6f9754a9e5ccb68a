"""The official Python client, nats-py, does on our broker what it does on nats-server."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import warnings
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

import nats
import nats.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from tests.clients.conftest import Server, StartServer
from tests.support.servers import Settings

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


def test_a_message_is_heard_with_its_subject_and_its_payload(server: Server) -> None:
    async def conversation() -> None:
        async with connected(server.url) as alice, connected(server.url) as bob:
            subscription = await bob.subscribe("class.1")
            await flushed(bob)
            await alice.publish("class.1", b"hello")
            (message,) = await received(subscription, 1)
            assert ("class.1", "", b"hello") == (message.subject, message.reply, message.data)

    run(conversation())


def test_many_messages_are_heard_in_order(server: Server) -> None:
    async def conversation() -> None:
        async with connected(server.url) as alice, connected(server.url) as bob:
            subscription = await bob.subscribe("n")
            await flushed(bob)
            for number in range(5000):
                await alice.publish("n", b"%d" % number)
            await flushed(alice)
            messages = await received(subscription, 5000)
            assert list(range(5000)) == [int(message.data) for message in messages]

    run(conversation())


def test_wildcards_hear_what_they_match_and_no_more(server: Server) -> None:
    async def conversation() -> None:
        async with connected(server.url) as client:
            star = await client.subscribe("*.teacher.heartbeat")
            rest = await client.subscribe("c1.>")
            for subject in ("c1.teacher.heartbeat", "c2.teacher.heartbeat", "c1.student"):
                await client.publish(subject, b"")
            await flushed(client)
            assert ["c1.teacher.heartbeat", "c2.teacher.heartbeat"] == [
                message.subject for message in await received(star, 2)
            ]
            assert ["c1.teacher.heartbeat", "c1.student"] == [
                message.subject for message in await received(rest, 2)
            ]
            assert (0, 0) == (star.pending_msgs, rest.pending_msgs)

    run(conversation())


def test_a_queue_group_shares_the_messages_and_loses_none(server: Server) -> None:
    async def conversation() -> None:
        async with connected(server.url) as alice, contextlib.AsyncExitStack() as stack:
            heard: list[tuple[int, int]] = []
            done = asyncio.Event()

            async def join(worker: int) -> None:
                async def work(message: Msg) -> None:
                    heard.append((worker, int(message.data)))
                    if len(heard) == 300:
                        done.set()

                client = await stack.enter_async_context(connected(server.url))
                await client.subscribe("job", queue="workers", cb=work)
                await flushed(client)

            for worker in range(3):
                await join(worker)
            for number in range(300):
                await alice.publish("job", b"%d" % number)
            await done.wait()
            await flushed(alice)
            assert list(range(300)) == sorted(number for _, number in heard)
            assert {0, 1, 2} == {worker for worker, _ in heard}

    run(conversation())


def test_a_request_gets_its_reply(server: Server) -> None:
    async def conversation() -> None:
        async with connected(server.url) as service, connected(server.url) as client:

            async def answer(message: Msg) -> None:
                await message.respond(message.data.upper())

            await service.subscribe("shout", cb=answer)
            await flushed(service)
            reply = await client.request("shout", b"hello", timeout=TIMEOUT)
            assert b"HELLO" == reply.data

    run(conversation())


def test_many_requests_at_once_get_each_its_own_reply(server: Server) -> None:
    async def conversation() -> None:
        async with connected(server.url) as service, connected(server.url) as client:

            async def answer(message: Msg) -> None:
                await message.respond(message.data)

            await service.subscribe("echo", cb=answer)
            await flushed(service)
            questions = [b"%d" % number for number in range(200)]
            replies = await asyncio.gather(
                *(client.request("echo", question, timeout=TIMEOUT) for question in questions)
            )
            assert questions == [reply.data for reply in replies]

    run(conversation())


def test_an_old_style_request_gets_its_reply(server: Server) -> None:
    async def conversation() -> None:
        async with connected(server.url) as client:

            async def answer(message: Msg) -> None:
                await message.respond(b"yes")

            await client.subscribe("question", cb=answer)
            reply = await client.request("question", b"", timeout=TIMEOUT, old_style=True)
            assert b"yes" == reply.data

    run(conversation())


def test_a_request_that_nobody_hears_fails_at_once(server: Server) -> None:
    async def conversation() -> None:
        async with connected(server.url) as client:
            with pytest.raises(nats.errors.NoRespondersError):
                await client.request("nobody", b"", timeout=TIMEOUT)

    run(conversation())


def test_headers_arrive(server: Server) -> None:
    async def conversation() -> None:
        async with connected(server.url) as client:
            subscription = await client.subscribe("h")
            await client.publish("h", b"x", headers={"Role": "teacher", "Class": "1"})
            await client.publish("h", b"", headers={"Empty": ""})
            full, empty = await received(subscription, 2)
            assert ({"Role": "teacher", "Class": "1"}, b"x") == (full.headers, full.data)
            assert ({"Empty": ""}, b"") == (empty.headers, empty.data)

    run(conversation())


def test_a_reply_may_have_headers(server: Server) -> None:
    async def conversation() -> None:
        async with connected(server.url) as client:

            async def answer(message: Msg) -> None:
                await client.publish(message.reply, b"", headers=message.headers)

            await client.subscribe("h", cb=answer)
            reply = await client.request("h", b"", timeout=TIMEOUT, headers={"Trace": "7"})
            assert {"Trace": "7"} == reply.headers

    run(conversation())


def test_a_limited_subscription_ends_after_its_messages(server: Server) -> None:
    async def conversation() -> None:
        async with connected(server.url) as client:
            heard: list[bytes] = []

            async def hear(message: Msg) -> None:
                heard.append(message.data)

            subscription = await client.subscribe("n", cb=hear)
            await subscription.unsubscribe(limit=2)
            for number in range(5):
                await client.publish("n", b"%d" % number)
            await client.drain()
            assert [b"0", b"1"] == heard

    run(conversation())


def test_an_unsubscribed_client_hears_no_more(server: Server) -> None:
    async def conversation() -> None:
        async with connected(server.url) as alice, connected(server.url) as bob:
            heard: list[bytes] = []

            async def hear(message: Msg) -> None:
                heard.append(message.data)

            subscription = await bob.subscribe("n", cb=hear)
            witness = await bob.subscribe("n")
            await flushed(bob)
            await alice.publish("n", b"1")
            await received(witness, 1)
            await subscription.unsubscribe()
            await flushed(bob)
            await alice.publish("n", b"2")
            await received(witness, 1)
            assert [b"1"] == heard

    run(conversation())


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


def test_a_client_without_echo_does_not_hear_itself(server: Server) -> None:
    async def conversation() -> None:
        async with connected(server.url, no_echo=True) as deaf, connected(server.url) as other:
            own = await deaf.subscribe("n")
            others = await other.subscribe("n")
            await flushed(other)
            await deaf.publish("n", b"mine")
            await received(others, 1)
            await other.publish("n", b"yours")
            (message,) = await received(own, 1)
            assert b"yours" == message.data

    run(conversation())


def test_a_verbose_and_pedantic_client_is_served(server: Server) -> None:
    async def conversation() -> None:
        async with connected(server.url, verbose=True, pedantic=True) as client:
            subscription = await client.subscribe("n")
            await client.publish("n", b"x")
            (message,) = await received(subscription, 1)
            assert b"x" == message.data

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
