"""The page of subscriptions."""

from __future__ import annotations

from typing import Any

import pytest

from broker.flow import Delivery, Flow, Pick
from broker.link import Link, PlaneStats
from broker.pyplane import PythonPlane
from broker.queries import QueryError
from broker.snapshots import ConnectionInfo, SubscriptionInfo
from broker.subsz import Routing, SubszQuery, subsz
from broker.switchboard import SwitchboardStats
from tests.broker.test_varz import STATS

SWITCHBOARD = SwitchboardStats(
    subscriptions=4, links=2, inserted=7, removed=3, resolved=2, published=2, unheard=0
)
PLANE = PlaneStats(links=2, in_msgs=8, in_bytes=80, out_msgs=0, out_bytes=0, misses=2, dropped=0)
LINK = PythonPlane().open(1, 0)


def flow(pattern: bytes, plain: int, picks: int) -> Flow[Link]:
    def delivery() -> Delivery[Link]:
        return Delivery(LINK, b"1")

    members = tuple(Pick.of(b"q", (delivery(), delivery())) for _ in range(picks))
    return Flow(pattern, tuple(delivery() for _ in range(plain)), members, False)


ROUTING = Routing(
    SWITCHBOARD,
    PLANE,
    [(0, flow(b"a", 3, 1)), (0, flow(b"b", 0, 0)), (1, flow(b"c", 1, 0))],
    {0: "$G", 1: "A"},
)


def row(cid: int, account: str, *subs: SubscriptionInfo) -> ConnectionInfo:
    return ConnectionInfo(
        cid=cid,
        ip="::1",
        port=1,
        start=0.0,
        last_activity=0.0,
        account=account,
        subscription_list=subs,
    )


OPEN = [
    row(
        5,
        "$G",
        SubscriptionInfo("foo.*", "1", messages=2),
        SubscriptionInfo("foo.>", "2", queue="q", max=5),
        SubscriptionInfo("bar", "3"),
    ),
    row(6, "A", SubscriptionInfo("foo.*", "1")),
]


def page(**parameters: str) -> dict[str, Any]:
    return subsz(SubszQuery.read(parameters), STATS, ROUTING, OPEN)


def listed(**parameters: str) -> list[tuple[str, str]]:
    rows = page(subs="1", **parameters).get("subscriptions_list", [])
    return [(sub["account"], sub["subject"]) for sub in rows]


def test_the_page_has_nats_servers_fields_in_its_order() -> None:
    expected = {
        "server_id": "ID",
        "now": "2023-11-14T22:14:22.5Z",
        "num_subscriptions": 4,
        "num_cache": 3,
        "num_inserts": 7,
        "num_removes": 3,
        "num_matches": 8,
        "cache_hit_rate": 0.75,
        "max_fanout": 4,
        "avg_fanout": 5 / 3,
        "total": 0,
        "offset": 0,
        "limit": 1024,
    }
    assert list(expected.items()) == list(page().items())


def test_subscriptions_are_listed_only_when_asked_for() -> None:
    expected = {
        "account": "$G",
        "account_tag": "$G",
        "subject": "foo.>",
        "qgroup": "q",
        "sid": "2",
        "msgs": 0,
        "max": 5,
        "cid": 5,
    }
    found = page(subs="true")
    assert list(expected.items()) == list(found["subscriptions_list"][1].items())
    assert 4 == found["total"]


def test_a_test_subject_leaves_those_whom_a_publish_would_reach() -> None:
    assert [("$G", "foo.*"), ("$G", "foo.>"), ("A", "foo.*")] == listed(test="foo.a")
    assert [("$G", "foo.>")] == listed(test="foo.a.b")
    assert [] == listed(test="foo")


def test_without_a_list_a_test_subject_changes_nothing() -> None:
    assert page() == page(test="foo.a")


def test_rows_are_cut_by_offset_and_limit_and_the_total_is_of_all() -> None:
    assert [("$G", "foo.>")] == listed(offset="1", limit="1")
    assert 4 == page(subs="1", offset="1", limit="1")["total"]
    assert "subscriptions_list" not in page(subs="1", offset="9")


def test_an_account_filters_subscriptions_and_flows() -> None:
    assert [("A", "foo.*")] == listed(acc="A")
    found = page(acc="A")
    assert (1, 1, 1) == (found["num_subscriptions"], found["num_cache"], found["max_fanout"])


def test_an_unknown_account_has_nothing() -> None:
    found = page(acc="NOPE", subs="1")
    names = ("num_subscriptions", "num_cache", "num_inserts", "num_matches", "cache_hit_rate")
    assert [0, 0, 0, 0, 0] == [found[name] for name in names]


@pytest.mark.parametrize("subject", ["a..b", "foo.*", ">", ".", "a."])
def test_a_test_subject_must_be_one_to_publish_to(subject: str) -> None:
    with pytest.raises(QueryError) as caught:
        page(test=subject)
    expected = f"invalid test subject, must be valid publish subject: {subject}"
    assert expected == str(caught.value)
