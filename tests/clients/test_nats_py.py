"""Messages: the official Python client, nats-py, does on our broker what it does on nats-server."""

from __future__ import annotations

import asyncio
import contextlib

import nats.errors
import pytest
from nats.aio.msg import Msg

from tests.clients.conftest import Server
from tests.clients.nats_py import TIMEOUT, connected, flushed, received, run


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
