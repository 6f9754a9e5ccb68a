"""The table of pages, whatever it is asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.monitorpages import HTML, JSON, Pages, base_path
from tests.support.virtual_broker import VirtualBroker

NAMES = [
    "varz", "connz", "accountz", "accstatz", "subsz", "subscriptionsz", "routez", "leafz",
    "gatewayz", "jsz", "healthz", "metrics", "flowz", "trace", "topicsz", "dashboard", "",
]  # fmt: skip
KEYS = ["sort", "state", "limit", "offset", "cid", "subs", "auth", "acc", "user", "test", "subject"]
VALUES = [
    "",
    "1",
    "0",
    "-1",
    "x",
    "detail",
    "closed",
    "all",
    "$G",
    "a.b",
    "a..b",
    "*",
    "\ud7ff",
    "é",
]


@pytest.fixture
def broker() -> Iterator[VirtualBroker]:
    made = VirtualBroker()
    client = made.connect()
    client.ask(b"SUB a.* 1\r\nSUB a.> q 2\r\nSUB \xff 3\r\nUNSUB 2 4\r\nPUB a.b 0\r\n\r\n")
    yield made


@pytest.fixture
def pages(broker: VirtualBroker) -> Pages:
    return Pages(broker.server, broker.reactor.now)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(NAMES) | st.text(max_size=8),
    query=st.dictionaries(
        st.sampled_from(KEYS),
        st.sampled_from(VALUES) | st.integers().map(str) | st.text(max_size=8),
        max_size=4,
    ),
)
def test_whatever_is_asked_for_there_is_an_answer_and_it_is_not_our_mistake(
    pages: Pages, name: str, query: dict[str, str]
) -> None:
    page = pages.answer(f"/{quote(name)}?{urlencode(query)}")
    assert page.status in (200, 400, 404)
    if page.content_type == JSON:
        json.loads(page.body)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=30))
def test_a_target_may_be_any_text(pages: Pages, target: str) -> None:
    assert pages.answer(target).status in (200, 400, 404)


def test_every_page_is_linked_from_the_first_and_every_link_leads_to_a_page(pages: Pages) -> None:
    first = pages.answer("/")
    assert HTML == first.content_type
    links = re.findall(r'href="\.(/[^"]+)"', first.body.decode())
    assert [200] * len(links) == [pages.answer(link).status for link in links]
    linked = {link.partition("?")[0].lstrip("/") for link in links}
    assert set(NAMES) - {"", "subscriptionsz"} == linked


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", ""), ("/", ""), ("mon", "/mon"), ("/mon/", "/mon"), ("a//b/", "/a/b")],
)
def test_a_base_path_begins_with_a_slash_and_ends_without(text: str, expected: str) -> None:
    assert expected == base_path(text)


def test_of_a_parameter_given_twice_the_first_counts(pages: Pages) -> None:
    assert 1 == json.loads(pages.answer("/connz?limit=1&limit=2").body)["limit"]


def test_with_a_longer_base_path_links_begin_at_its_last_part(broker: VirtualBroker) -> None:
    broker.server.options = broker.server.options.replace(http_base_path="/a/b")
    pages = Pages(broker.server, broker.reactor.now)
    assert b'href="./b/varz"' in pages.answer("/a/b").body
    assert 200 == pages.answer("/a/b/varz").status
    assert [404, 404] == [pages.answer(target).status for target in ("/b/varz", "/a/b/")]
