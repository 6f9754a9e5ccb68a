"""The dashboard as it is served. What it does in a browser is asked in tests/browser."""

from __future__ import annotations

import base64
import hashlib
import re
import urllib.request
from collections.abc import Iterator

import pytest

from broker import Broker


@pytest.fixture(params=["", "/mon"])
def base(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where a broker's monitor is, with and without a base path."""
    with Broker(port=0, http_port=0, http_base_path=request.param) as broker:
        yield f"http://127.0.0.1:{broker.http_port}{request.param}"


def get(url: str) -> tuple[str, str]:
    """The body of a page, and its security policy."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        body: bytes = answer.read()
        return body.decode(), answer.headers.get("Content-Security-Policy", "")


@pytest.fixture
def dashboard(base: str) -> str:
    return get(f"{base}/dashboard")[0]


def test_the_first_page_leads_to_it(base: str) -> None:
    (link,) = re.findall(r'href="\./([^"]*dashboard)"', get(base)[0])
    assert "<h2" in get(f"{base.rpartition('/mon')[0] or base}/{link}")[0]


def test_nothing_in_it_comes_from_elsewhere(dashboard: str) -> None:
    elsewhere = r'https?://|<link(?! rel="icon" href="data:)|src=|@import|url\('
    assert [] == re.findall(elsewhere, dashboard)


def test_a_browser_runs_its_style_and_scripts_and_no_others(base: str) -> None:
    page, policy = get(f"{base}/dashboard")
    assert policy.startswith("default-src 'none'; ")
    for tag, number in (("script", 4), ("style", 1)):
        parts = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digests = (hashlib.sha256(part.encode()).digest() for part in parts)
        hashes = [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]
        assert number == len(parts)
        assert f"; {tag}-src {' '.join(hashes)};" in policy
    assert [] == re.findall(r'\sstyle="|\son[a-z]+="', page)  # such are never run


def test_what_clients_chose_is_never_taken_for_markup(dashboard: str) -> None:
    assert [] == re.findall(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", dashboard)


def test_every_page_that_it_asks_or_links_to_is_there(base: str, dashboard: str) -> None:
    targets = set(re.findall(r"[\"`]\./([a-z]+)", dashboard))
    assert {"varz", "connz", "topicsz", "flowz", "trace", "metrics"} <= targets
    for target in targets:
        query = "?subject=a" if target == "trace" else ""
        assert get(f"{base}/{target}{query}")[0]


def test_the_orders_that_it_offers_are_ours(base: str, dashboard: str) -> None:
    (select,) = re.findall(r'<select id="sort">(.*?)</select>', dashboard, re.DOTALL)
    orders = re.findall(r'<option value="(\w+)"', select)
    assert len(orders) == 9
    for order in orders:
        assert "connections" in get(f"{base}/connz?sort={order}")[0]


def test_it_is_made_for_light_dark_and_narrow_screens(dashboard: str) -> None:
    for wanted in ("width=device-width", "color-scheme: light dark", "max-width: 560px"):
        assert wanted in dashboard
