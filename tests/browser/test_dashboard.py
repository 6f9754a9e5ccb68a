"""The dashboard in a browser: opened, clicked through and read, in both themes, on a phone."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Literal

import pytest
from playwright.sync_api import Page, Response, expect

from broker import Broker
from broker.blocks import (
    AccountBlock,
    ClusterBlock,
    LeafBlock,
    RemoteBlock,
    UserBlock,
    WebsocketBlock,
)
from tests.browser import chromium, npm
from tests.browser.conftest import Visit
from tests.support.raw_client import RawClient

TABS = ["Overview", "Connections", "Flows", "Console"]
QUIET = b'CONNECT {"verbose":false}\r\n'
EVIL = "<img src=x onerror=oh()>"


@pytest.fixture
def broker() -> Iterator[Broker]:
    with Broker(port=0, http_port=0, server_name="board-1") as running:
        yield running


@pytest.fixture
def desk(broker: Broker) -> Iterator[RawClient]:
    """A client called desk, who hears room.* and does not hear itself."""
    with RawClient(broker.port) as client:
        client.ask(b'CONNECT {"verbose":false,"name":"desk","echo":false}\r\nSUB room.* 1\r\n')
        yield client


def url(broker: Broker, tab: str = "overview") -> str:
    return f"http://127.0.0.1:{broker.http_port}/dashboard#{tab}"


def tile(page: Page, name: str) -> str:
    """All that one tile says."""
    return page.locator(".tile", has_text=name).inner_text()


def rows(page: Page, table: str) -> list[list[str]]:
    """The texts of a table, row by row, without what is hidden."""
    lines = page.locator(f"#{table} tbody tr").all()
    return [line.locator("td:visible").all_inner_texts() for line in lines]


def again(page: Page) -> None:
    """Have the page look at once, as it does when its window comes to the front."""
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def _in_order(order: str) -> Callable[[Response], bool]:
    return lambda answer: f"sort={order}" in answer.url


def test_its_figures_are_live(visit: Visit, broker: Broker, desk: RawClient) -> None:
    page = visit.page
    page.goto(url(broker))
    expect(page).to_have_title("board-1 · reactor-broker")
    expect(page.locator("#said")).to_have_text("live")
    expect(page.locator("#server")).to_have_text("board-1")
    assert ["connections", "1", "1 since the start"] == tile(page, "connections").split("\n")
    assert "0 in all" in tile(page, "messages in")
    expect(page.locator("#topics")).to_contain_text("Nothing has been published")
    with RawClient(broker.port) as other:
        other.ask(QUIET + b"PUB room.7 5\r\nhello\r\n" * 300)
        expect(page.locator(".tile", has_text="messages in")).to_contain_text("300 in all")
        expect(page.locator(".tile", has_text="messages out")).to_contain_text("300 in all")
        assert re.search(r"[1-9][\d.]* /s", tile(page, "messages in"))
        again(page)
        expect(page.locator("#p-in")).to_have_attribute("d", re.compile("M.*L"))
        expect(page.locator("#topics")).to_contain_text("room.7")
        assert "2" == tile(page, "connections").split("\n")[1]
    again(page)
    expect(page.locator(".tile", has_text="connections").locator("b")).to_have_text("1")
    assert {f"127.0.0.1:{broker.http_port}"} == visit.hosts


def test_its_tabs_are_reached_by_mouse_keyboard_and_address(page: Page, broker: Broker) -> None:
    page.goto(url(broker, "flows"))
    panels = page.locator("[role=tabpanel]:visible")
    expect(panels).to_have_id("panel-flows")
    for name in TABS:
        page.get_by_role("tab", name=name).click()
        expect(panels).to_have_id(f"panel-{name.lower()}")
        assert page.url.endswith(f"#{name.lower()}")
        expect(page.get_by_role("tab", selected=True)).to_have_text(name)
    for key, name in (
        ("ArrowRight", "Overview"),
        ("ArrowLeft", "Console"),
        ("Home", "Overview"),
        ("ArrowRight", "Connections"),
        ("End", "Console"),
    ):
        page.keyboard.press(key)
        expect(page.get_by_role("tab", name=name)).to_be_focused()
        expect(panels).to_have_id(f"panel-{name.lower()}")


def test_connections_come_in_every_order_that_is_offered(
    visit: Visit, broker: Broker, desk: RawClient
) -> None:
    page = visit.page
    with RawClient(broker.port) as busy:
        busy.ask(b'CONNECT {"verbose":false,"name":"busy"}\r\n' + b"PUB room.1 2\r\nhi\r\n" * 9)
        page.goto(url(broker, "connections"))
        orders = page.locator("#sort option").evaluate_all("all => all.map(o => o.value)")
        for order in orders:
            with page.expect_response(_in_order(order)):
                page.select_option("#sort", order)
        for order, first in (("msgs_from", "busy"), ("msgs_to", "desk"), ("subs", "desk")):
            page.select_option("#sort", order)
            expect(page.locator("#connections tbody tr").first).to_contain_text(first)
        busy.ask(b"PUB other 2\r\nhi\r\n" * 90)
        pace = page.locator("#connections tr", has_text="busy").locator("td").nth(5)
        expect(pace).to_have_text(re.compile("^[1-9]"))
        header = page.locator("#connections th").all_inner_texts()
        by_name = {row[1]: dict(zip(header, row, strict=True)) for row in rows(page, "connections")}
    assert ("99", "0", "0") == tuple(
        by_name["busy"][name] for name in ("sent in all", "received in all", "subs")
    )
    assert ("0", "9", "1", "0 B") == tuple(
        by_name["desk"][name] for name in ("sent in all", "received in all", "subs", "waiting")
    )


def test_of_many_the_first_are_shown_and_the_others_counted(page: Page, broker: Broker) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(27):
            stack.enter_context(RawClient(broker.port))
        page.goto(url(broker, "connections"))
        expect(page.locator("#connections tbody tr")).to_have_count(25)
        again(page)
        expect(page.locator("#connections p")).to_have_text("and 2 more")


def test_a_connection_shows_what_it_is_subscribed_to(
    page: Page, broker: Broker, desk: RawClient
) -> None:
    desk.ask(b"SUB jobs workers 2\r\n")
    page.goto(url(broker, "connections"))
    page.get_by_role("button", name="desk").click()
    expect(page.locator("#h-one")).to_have_text("desk (1) is subscribed to")
    expect(page.locator("#subscriptions tbody tr")).to_have_count(2)
    assert [["room.*", "", "0"], ["jobs", "workers", "0"]] == rows(page, "subscriptions")
    page.locator("#one-close").click()
    expect(page.locator("#one")).to_be_hidden()


def test_flows_show_what_is_forwarded_and_tracing_who_would_get_it(
    visit: Visit, broker: Broker, desk: RawClient
) -> None:
    page = visit.page
    desk.ask(b"SUB jobs workers 2\r\nPUB room.1 0\r\n\r\nPUB jobs 0\r\n\r\nPUB other 0\r\n\r\n")
    page.goto(url(broker, "flows"))
    expect(page.locator("#flows tbody tr")).to_have_count(3)
    assert ["room.*", "$G", "1", "", ""] in rows(page, "flows")
    assert ["jobs", "$G", "1", "1", ""] in rows(page, "flows")
    expect(page.locator("#table")).to_contain_text("3 of at most")
    for subject, got in (("room.9", ["desk (1)", "room.*", ""]), ("nowhere", None)):
        page.fill("#subject", subject)
        page.get_by_role("button", name="Trace").click()
        expect(page.locator("#traced")).to_contain_text("desk" if got else "Nobody")
        if got:
            assert got == rows(page, "got")[0][:3]
    page.fill("#subject", "a.*")
    page.keyboard.press("Enter")
    expect(page.locator("#traced .bad")).to_contain_text("invalid subject")
    visit.forgive("status of 400")


def test_where_there_are_accounts_one_is_chosen(visit: Visit) -> None:
    names = ("ann", "bob")
    accounts = tuple(AccountBlock(name, users=(UserBlock(name, "x"),)) for name in names)
    with Broker(port=0, http_port=0, accounts=accounts) as broker, RawClient(broker.port) as bob:
        bob.ask(b'CONNECT {"verbose":false,"user":"bob","pass":"x","name":"b"}\r\nSUB a 1\r\n')
        bob.ask(b"PUB a 0\r\n\r\n")
        page = visit.page
        page.goto(url(broker, "flows"))
        page.select_option("#account", "bob")
        expect(page.locator("#flows td").first).to_have_text("a")
        page.fill("#subject", "a")
        page.keyboard.press("Enter")
        expect(page.locator("#got")).to_contain_text("b (1)")
        page.select_option("#account", "ann")
        expect(page.locator("#flows")).to_contain_text("Empty")
        page.get_by_role("tab", name="Connections").click()
        expect(page.locator("#connections td").nth(2)).to_have_text("bob/bob")


def test_who_does_not_read_is_shown_behind_and_then_cut_off(page: Page) -> None:
    with (
        Broker(port=0, http_port=0, max_pending=40_000_000) as broker,
        RawClient(broker.port) as deaf,
        RawClient(broker.port) as loud,
    ):
        deaf.ask(b'CONNECT {"verbose":false,"name":"deaf"}\r\nSUB a 1\r\n')
        page.goto(url(broker))
        expect(page.locator("#behind")).to_contain_text("Nobody")
        large = b"PUB a 1000000\r\n" + b"x" * 1_000_000 + b"\r\n"
        loud.ask(QUIET + large * 20)  # more than the kernel holds, less than the limit
        again(page)
        expect(page.locator("#behind")).to_contain_text(re.compile(r"deaf \(1\)\s*[\d.]+ MiB"))
        loud.ask(large * 30)
        again(page)
        expect(page.locator("#slow")).to_contain_text("too much was waiting")
        expect(page.locator("#slow")).to_contain_text("deaf (1)")
        expect(page.locator(".tile.bad")).to_contain_text("slow consumers")


def test_paused_it_asks_for_nothing_until_it_goes_on(visit: Visit, broker: Broker) -> None:
    page = visit.page
    page.clock.install()
    page.goto(url(broker))
    expect(page.locator("#said")).to_have_text("live")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#said")).to_have_text("paused")
    before = len(visit.asked)
    page.clock.run_for(20_000)
    assert before == len(visit.asked)
    page.get_by_role("button", name="Go on").click()
    expect(page.locator("#said")).to_have_text("live")
    assert len(visit.asked) > before


def test_the_plot_shows_messages_or_bytes_now_or_under_the_pointer(
    page: Page, broker: Broker, desk: RawClient
) -> None:
    page.goto(url(broker))
    expect(page.locator("#said")).to_have_text("live")
    again(page)
    expect(page.locator("#p-in")).to_have_attribute("d", re.compile("M"))
    page.get_by_role("button", name="bytes/s").click()
    expect(page.locator("#by-bytes")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#r-in")).to_have_text("0 B")
    page.get_by_role("button", name="messages/s").click()
    expect(page.locator("#r-in")).to_have_text("0")
    page.locator("#plot").hover()
    expect(page.locator("#r-when")).to_contain_text("ago")
    page.locator("h1").hover()
    expect(page.locator("#r-when")).to_be_empty()


def test_colours_follow_the_system_unless_somebody_chose(page: Page, broker: Broker) -> None:
    def is_dark() -> bool:
        red = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]")
        return int(red) < 128

    page.goto(url(broker))
    seen = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        seen.append(is_dark())
    page.select_option("#theme", "light")
    seen.append(is_dark())
    page.reload()
    expect(page.locator("#said")).to_have_text("live")
    seen.append(is_dark())
    page.select_option("#theme", "")
    seen.append(is_dark())
    assert [False, True, False, False, True] == seen


def test_on_a_phone_nothing_needs_scrolling_sideways(page: Page) -> None:
    long = "a-rather-long-token." * 6 + "end"
    block = WebsocketBlock(port=0, no_tls=True)
    with Broker(port=0, http_port=0, websocket=block) as broker, RawClient(broker.port) as one:
        name = b"no-spaces-in-this-name" * 8
        one.ask(b'CONNECT {"verbose":false,"name":"%b"}\r\nSUB %b 1\r\n' % (name, long.encode()))
        one.ask(b"PUB %b 2\r\nhi\r\n" % long.encode())
        width, height = chromium.WIDTHS["phone"]
        page.set_viewport_size({"width": width, "height": height})
        page.goto(url(broker))
        for tab in TABS:
            page.get_by_role("tab", name=tab).click()
            _use(page, tab, subject=long, payload=long * 9, client="no-spaces")
            assert width == page.evaluate("document.documentElement.scrollWidth"), tab


@pytest.mark.parametrize(("scheme", "rules"), [("light", []), ("dark", ["color-contrast"])])
def test_those_who_see_hear_or_move_differently_can_use_it(
    page: Page, scheme: Literal["light", "dark"], rules: list[str]
) -> None:
    axe = npm.axe()
    block = WebsocketBlock(port=0, no_tls=True)
    with Broker(port=0, http_port=0, websocket=block) as broker, RawClient(broker.port) as one:
        one.ask(b'CONNECT {"verbose":false,"name":"desk"}\r\nSUB room.1 1\r\n')
        one.ask(b"PUB room.1 2\r\nhi\r\n")
        page.emulate_media(color_scheme=scheme)
        page.goto(url(broker))
        page.evaluate(axe)
        for tab in TABS:
            page.get_by_role("tab", name=tab).click()
            _use(page, tab, subject="room.1", payload="hello", client="desk")
            found = page.evaluate("only => axe.run(only.length ? {runOnly: only} : {})", rules)
            assert len(found["passes"]) > 0
            assert [] == [
                (wrong["help"], [node["html"] for node in wrong["nodes"]])
                for wrong in found["violations"]
            ], tab


def _use(page: Page, tab: str, *, subject: str, payload: str, client: str) -> None:
    """Have a tab show all that it can."""
    if tab == "Connections":
        page.get_by_role("button", name=client).click()
        expect(page.locator("#subscriptions")).to_contain_text(subject)
    elif tab == "Flows":
        page.fill("#subject", subject)
        page.keyboard.press("Enter")
        expect(page.locator("#got")).to_contain_text(client)
        expect(page.locator("#flows")).to_contain_text(subject)
    elif tab == "Console":
        page.get_by_text("Log in").click()
        page.fill("#s-subject", subject)
        page.keyboard.press("Enter")
        expect(page.locator("#subscribed li")).to_have_count(1)
        page.fill("#p-subject", subject)
        page.fill("#payload", payload)
        page.get_by_role("button", name="Publish").click()
        expect(page.locator("#log li")).to_have_count(2)


def test_what_clients_chose_is_text_and_nothing_else(page: Page, broker: Broker) -> None:
    with RawClient(broker.port) as one:
        one.ask(b'CONNECT {"verbose":false,"name":"%b"}\r\nSUB <b>.* 1\r\n' % EVIL.encode())
        page.goto(url(broker))
        expect(page.locator("#said")).to_have_text("live")
        one.ask(b"PUB <b>.<script> 0\r\n\r\n")
        again(page)
        expect(page.locator("#topics")).to_contain_text("<b>.<script>")
        page.get_by_role("tab", name="Flows").click()
        expect(page.locator("#flows")).to_contain_text("<b>.*")
        page.fill("#subject", "<b>.<i>")
        page.keyboard.press("Enter")
        expect(page.locator("#got")).to_contain_text(EVIL)
        page.get_by_role("tab", name="Connections").click()
        page.get_by_role("button", name=EVIL).click()
        expect(page.locator("#h-one")).to_contain_text(EVIL)
        expect(page.locator("#subscriptions")).to_contain_text("<b>.*")
    assert 0 == page.locator("img, td b, td i, td script").count()


def test_it_says_when_the_broker_is_gone_and_goes_on_when_it_is_back(page: Page) -> None:
    with Broker(port=0, http_port=0, server_name="first") as broker:
        page.goto(url(broker))
        expect(page.locator("#said")).to_have_text("live")
        port = broker.http_port
    again(page)
    expect(page.locator("#said")).to_contain_text("no answer for")
    with Broker(port=0, http_port=port, server_name="second"):
        again(page)
        expect(page.locator("#said")).to_have_text("live")
        expect(page.locator("#server")).to_have_text("second")


def test_it_shows_the_other_servers_of_a_cluster_and_below_it(visit: Visit) -> None:
    def node(name: str, *routes: str) -> Broker:
        block = ClusterBlock("class", "127.0.0.1", 0, routes)
        door = LeafBlock("127.0.0.1", -1)
        return Broker(port=0, http_port=0, server_name=name, cluster=block, leafnodes=door)

    page = visit.page
    with node("n0") as first:
        page.goto(url(first))
        expect(page.locator("#servers")).to_contain_text("No other node is connected.")
        hub = RemoteBlock((f"nats-leaf://127.0.0.1:{first.stats().leaf_port}",))
        leaf = Broker(port=0, server_name="below", leafnodes=LeafBlock(remotes=(hub,)))
        with node("n1", f"nats-route://127.0.0.1:{first.cluster_port}"), leaf:
            expect(page.locator("#mesh-name")).to_have_text("1 connected, of cluster class")
            expect(page.locator("#servers tbody tr")).to_have_count(2)
            shown = [row[:2] for row in rows(page, "servers")]
            assert [["n1", "a node"], ["below", "a leaf"]] == shown
        expect(page.locator("#servers")).to_contain_text("No other node is connected.")


def test_a_broker_that_stands_alone_shows_no_other_servers(visit: Visit, broker: Broker) -> None:
    visit.page.goto(url(broker))
    expect(visit.page.locator("#said")).to_have_text("live")
    expect(visit.page.locator("#mesh")).to_be_hidden()
