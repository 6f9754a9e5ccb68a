"""The dashboard's console: the page as a client that publishes, subscribes and requests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from playwright.sync_api import Locator, Page, expect

from broker import Broker
from broker.blocks import UserBlock, WebsocketBlock
from broker.permissions import Permissions, Rules
from tests.browser.classroom import Background
from tests.browser.conftest import Visit
from tests.support import tls_files

DOOR = WebsocketBlock(port=0, no_tls=True)


@pytest.fixture
def broker() -> Iterator[Broker]:
    with Broker(port=0, http_port=0, websocket=DOOR, server_name="board-1") as running:
        yield running


@pytest.fixture
def other(others: Background, broker: Broker) -> Iterator[Client]:
    """nats-py, by TCP."""
    client = others.run(nats.connect(broker.url))
    yield client
    others.run(client.close())


def come(page: Page, broker: Broker, scheme: str = "http") -> None:
    """Open the console, ready to be used."""
    page.goto(f"{scheme}://127.0.0.1:{broker.http_port}/dashboard#console")
    expect(page.locator("#desk")).to_be_visible()


def connect(page: Page) -> None:
    page.get_by_role("button", name="Connect").click()
    expect(line(page)).to_contain_text("Connected as client")


def line(page: Page) -> Locator:
    """What the console says of its connection."""
    return page.locator("#line")


def subscribe(page: Page, subject: str, queue: str = "") -> None:
    page.fill("#s-subject", subject)
    page.fill("#s-queue", queue)
    page.locator("#subscribe").get_by_role("button").click()


def send(page: Page, how: str, subject: str, payload: str = "") -> None:
    page.fill("#p-subject", subject)
    page.fill("#payload", payload)
    page.get_by_role("button", name=how).click()


def entry(page: Page, text: str | re.Pattern[str]) -> Locator:
    """The messages that are shown and have this text."""
    return page.locator("#log li", has_text=text)


def flushed(page: Page) -> None:
    """All that the page sent has been dealt with by the broker."""
    send(page, "Request", "nobody.there")
    expect(entry(page, "nobody.there").locator(".kind").first).to_have_text("no answer")


# --------------------------------------------------------------------------------- conversations


def test_without_a_door_for_browsers_it_says_how_to_make_one(page: Page) -> None:
    with Broker(port=0, http_port=0) as broker:
        page.goto(f"http://127.0.0.1:{broker.http_port}/dashboard#console")
        expect(page.locator("#doorless")).to_contain_text("websocket { listen:")
        expect(page.locator("#desk")).to_be_hidden()


def test_it_hears_what_it_publishes_and_what_others_do(
    page: Page, broker: Broker, other: Client, others: Background
) -> None:
    come(page, broker)
    subscribe(page, "room.*")
    expect(line(page)).to_have_text("Connected as client 2 of board-1.")
    send(page, "Publish", "room.1", "你好, all")
    heard = entry(page, "room.1").filter(has_text="heard")
    expect(heard).to_contain_text("你好, all")
    expect(heard).to_contain_text("11 B")

    async def publish() -> None:
        await other.publish("room.2", b'{"page": 7}', headers={"From": "ann"}, reply="room.3")
        await other.flush()

    others.run(publish())
    heard = entry(page, "room.2")
    for part in ('{"page": 7}', "From: ann", "reply to room.3"):
        expect(heard).to_contain_text(part)
    chip = page.locator("#subscribed li")
    expect(chip).to_contain_text("room.*")
    expect(chip.locator(".number")).to_have_text("2")
    chip.get_by_role("button", name="Unsubscribe from room.*").click()
    expect(chip).to_have_count(0)
    others.run(publish())
    flushed(page)
    expect(entry(page, "room.2")).to_have_count(1)


def test_others_hear_it(page: Page, broker: Broker, other: Client, others: Background) -> None:
    async def hear() -> Msg:
        subscription = await other.subscribe("room.>")
        await other.flush()
        ready.append(True)
        return await subscription.next_msg(timeout=15)

    ready: list[bool] = []
    come(page, broker)
    connect(page)
    message = others.start(hear())
    others.run(other.flush())
    send(page, "Publish", "room.a.b", "two\nlines")
    assert ("room.a.b", b"two\nlines") == (message.result(15).subject, message.result(15).data)


def test_it_asks_and_is_answered_and_is_told_that_nobody_listens(
    page: Page, broker: Broker, other: Client, others: Background
) -> None:
    async def serve() -> None:
        async def answer(message: Msg) -> None:
            await message.respond(message.data.upper())

        await other.subscribe("up", cb=answer)
        await other.flush()

    others.run(serve())
    come(page, broker)
    send(page, "Request", "up", "hello")
    expect(entry(page, re.compile(r"answer after [\d.]+ ms"))).to_contain_text("HELLO")
    send(page, "Request", "down", "hello")
    expect(entry(page, "no answer")).to_contain_text("nobody listens there")
    expect(page.locator("#counted")).to_have_text("4")
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#log li")).to_have_count(0)
    expect(page.locator("#silence")).to_be_visible()


def test_in_a_queue_group_it_gets_its_share(page: Page, broker: Broker) -> None:
    come(page, broker)
    subscribe(page, "jobs", "workers")
    expect(page.locator("#subscribed")).to_contain_text("jobs (workers)")
    subscribe(page, "jobs", "workers")
    expect(page.locator("#subscribed li")).to_have_count(2)
    send(page, "Publish", "jobs", "one")
    flushed(page)
    expect(entry(page, "heard")).to_have_count(1)


# ---------------------------------------------------------------------------------------- bounds


def test_it_keeps_the_last_messages_and_the_beginning_of_long_ones(
    page: Page, broker: Broker, other: Client, others: Background
) -> None:
    async def flood() -> None:
        for number in range(1200):
            await other.publish("n", b"%d" % number)
        await other.publish("n", b"long " * 100_000)
        await other.publish("n", bytes(range(256)) * 100)
        await other.flush()

    come(page, broker)
    subscribe(page, "n")
    flushed(page)
    others.run(flood())
    expect(page.locator("#counted")).to_have_text("the last 500 of 1.2 k")
    entries = page.locator("#log li")
    expect(entries).to_have_count(500)
    expect(entries.nth(0)).to_contain_text("25 KiB")
    assert re.search(r"00 01 02 .* fe ff …$", entries.nth(0).inner_text())
    expect(entries.nth(1)).to_contain_text("488 KiB")
    assert len(entries.nth(1).inner_text()) < 4200
    expect(entries.nth(2)).to_contain_text("1199")


def test_held_it_stands_still_and_goes_on_with_what_came_meanwhile(
    page: Page, broker: Broker
) -> None:
    come(page, broker)
    send(page, "Publish", "a", "first")
    expect(entry(page, "first")).to_be_visible()
    page.get_by_role("button", name="Hold").click()
    send(page, "Publish", "a", "second")
    page.get_by_role("button", name="Go on").click()
    expect(entry(page, "second")).to_be_visible()
    assert ["second", "first"] == page.locator("#log li pre").all_inner_texts()


def test_what_others_wrote_is_text_and_nothing_else(
    page: Page, broker: Broker, other: Client, others: Background
) -> None:
    evil = "<img/src=x/onerror=oh()>"

    async def publish() -> None:
        await other.publish(f"a.{evil}", evil.encode(), headers={"X": evil}, reply=evil)
        await other.flush()

    come(page, broker)
    subscribe(page, "a.>")
    flushed(page)
    others.run(publish())
    heard = entry(page, f"a.{evil}")
    expect(heard).to_contain_text(f"reply to {evil}")
    expect(heard).to_contain_text(f"X: {evil}")
    assert 0 == page.locator("img").count()


# --------------------------------------------------------------------------------------- refusals


def test_what_is_no_subject_is_refused_at_the_field(page: Page, broker: Broker) -> None:
    come(page, broker)
    for subject in ("", "a b", "a..b", "a.*", ">", ".a"):
        send(page, "Publish", subject)
        problem = page.locator("#p-subject").evaluate("field => field.validationMessage")
        assert problem.startswith("words between dots"), subject
    subscribe(page, "a b")
    expect(page.locator("#subscribed li")).to_have_count(0)
    expect(line(page)).to_have_text("Not connected.")


def test_who_must_log_in_is_told_so_and_can(page: Page) -> None:
    with Broker(port=0, http_port=0, websocket=DOOR, user="ann", password="secret") as broker:
        come(page, broker)
        page.get_by_role("button", name="Connect").click()
        expect(line(page)).to_have_text("Not connected: Authorization Violation")
        expect(page.locator("#password")).to_be_visible()
        page.fill("#user", "ann")
        page.fill("#password", "secret")
        connect(page)
        page.get_by_role("button", name="Disconnect").click()
        expect(line(page)).to_have_text("Not connected.")
    assert "password" == page.locator("#password").get_attribute("type")


def test_a_token_logs_in(page: Page) -> None:
    with Broker(port=0, http_port=0, websocket=DOOR, token="secret") as broker:
        come(page, broker)
        page.get_by_text("Log in").click()
        page.fill("#token", "secret")
        connect(page)


def test_what_is_not_permitted_is_an_error_in_the_list_and_the_connection_stays(page: Page) -> None:
    only = Permissions(publish=Rules(allow=(b"mine",)), subscribe=Rules(deny=(b"secret.>",)))
    ann = UserBlock("ann", "x", permissions=only)
    with Broker(port=0, http_port=0, websocket=DOOR, users=(ann,)) as broker:
        come(page, broker)
        page.get_by_text("Log in").click()
        page.fill("#user", "ann")
        page.fill("#password", "x")
        subscribe(page, "secret.x")
        send(page, "Publish", "yours")
        expect(entry(page, 'Permissions Violation for Subscription to "secret.x"')).to_be_visible()
        expect(entry(page, 'Permissions Violation for Publish to "yours"')).to_be_visible()
        expect(line(page)).to_contain_text("Connected as client")


def test_a_payload_that_is_too_large_is_not_sent(page: Page) -> None:
    with Broker(port=0, http_port=0, websocket=DOOR, max_payload=10) as broker:
        come(page, broker)
        send(page, "Publish", "a", "eleven long")
        expect(entry(page, "not sent")).to_contain_text("11 B: the broker takes 10 B at most")
        expect(line(page)).to_contain_text("Connected as client")


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        (WebsocketBlock(port=0, no_tls=True, same_origin=True), "of its own origin only"),
        (
            WebsocketBlock(port=0, no_tls=True, allowed_origins=("https://school.example",)),
            "does not list http://127.0.0.1",
        ),
    ],
)
def test_where_its_origin_is_refused_it_says_which_key_does_so(
    visit: Visit, block: WebsocketBlock, reason: str
) -> None:
    with Broker(port=0, http_port=0, websocket=block) as broker:
        come(visit.page, broker)
        visit.page.get_by_role("button", name="Connect").click()
        expect(line(visit.page)).to_contain_text(reason)
    visit.forgive("Unexpected response code: 403")


def test_other_addresses_can_be_typed_and_mistakes_in_them_are_said(
    visit: Visit, broker: Broker
) -> None:
    page = visit.page
    come(page, broker)
    right = page.input_value("#address")
    assert right == broker.ws_url
    page.fill("#address", "nowhere at all")
    page.get_by_role("button", name="Connect").click()
    expect(line(page)).to_contain_text("that is no address")
    page.fill("#address", broker.url.replace("nats:", "ws:"))
    page.get_by_role("button", name="Connect").click()
    expect(line(page)).to_contain_text("is the address right")
    visit.forgive("WebSocket connection to")
    page.fill("#address", right)
    connect(page)


@pytest.mark.parametrize(("scheme", "port"), [("http", "http_port"), ("https", "https_port")])
def test_it_talks_through_tls(page: Page, tmp_path: Path, scheme: str, port: str) -> None:
    tls = tls_files.block(tmp_path)
    block = WebsocketBlock(port=0, tls=tls, compression=True)
    monitor: dict[str, Any] = {port: 0}
    with Broker(port=0, tls=tls, websocket=block, **monitor) as broker:
        come(page, broker, scheme)
        subscribe(page, "a")
        send(page, "Publish", "a", "hidden " * 50)
        expect(entry(page, "heard")).to_contain_text("hidden hidden")
        (client,) = broker.connections()
        assert ("websocket", "dashboard console") == (client.type, client.name)


def test_its_subscriptions_outlive_the_broker(page: Page, others: Background) -> None:
    with Broker(port=0, http_port=0, websocket=DOOR) as broker:
        come(page, broker)
        subscribe(page, "a.*")
        flushed(page)
        port, http_port = int(broker.ws_url.rpartition(":")[2]), broker.http_port
    expect(line(page)).to_contain_text("Not connected: ")
    block = WebsocketBlock(port=port, no_tls=True)
    with Broker(port=0, http_port=http_port, websocket=block):
        connect(page)
        send(page, "Publish", "a.b", "again")
        expect(entry(page, "heard")).to_contain_text("again")
