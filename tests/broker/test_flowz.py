"""The page of flows."""

from __future__ import annotations

from typing import Any

from broker.flow import Delivery, Flow, FlowTable, Pick
from broker.flowz import FlowzQuery, flowz
from broker.link import Link
from broker.pyplane import PythonPlane
from tests.broker.test_varz import STATS

LINK = PythonPlane().open(5, 0)


def delivery(sid: bytes) -> Delivery[Link]:
    made = Delivery(LINK, sid)
    made.msgs = 3
    return made


def table() -> FlowTable[Link]:
    flows: FlowTable[Link] = FlowTable(8)
    flows.install(
        0,
        Flow(b"a.*", (delivery(b"1"),), (Pick.of(b"q", (delivery(b"2"), delivery(b"3"))),), False),
    )
    flows.install(0, Flow(b"b", (), (), True))
    flows.install(1, Flow(b"c", (), (), False))
    return flows


def page(**parameters: str) -> dict[str, Any]:
    flows = table()
    query = FlowzQuery.read(parameters)
    return flowz(query, STATS, flows.stats(), flows, {0: "$G", 1: "A"})


def patterns(**parameters: str) -> list[str]:
    return [row["pattern"] for row in page(**parameters)["flows"]]


def test_a_row_says_what_a_flow_does() -> None:
    expected = {
        "zone": 0,
        "account": "$G",
        "pattern": "a.*",
        "asks": False,
        "copies": 2,
        "plain": 1,
        "picks": [2],
        "peers": 0,
    }
    assert expected == page()["flows"][0]


def test_the_table_tells_its_size_and_its_history() -> None:
    names = ("capacity", "num_flows", "installed", "evicted", "displaced", "total")
    found = page()
    assert [8, 3, 3, 0, 0, 3] == [found[name] for name in names]


def test_flows_that_ask_are_marked() -> None:
    assert [False, True, False] == [row["asks"] for row in page()["flows"]]


def test_rows_are_cut_by_offset_and_limit_the_oldest_first() -> None:
    assert ["a.*", "b", "c"] == patterns()
    assert ["b"] == patterns(offset="1", limit="1")
    assert [] == patterns(offset="9")


def test_an_account_filters() -> None:
    assert ["c"] == patterns(acc="A")
    assert 1 == page(acc="A")["total"]
    assert [] == patterns(acc="NOPE")


def test_recipients_are_listed_when_asked_for() -> None:
    row = page(detail="1")["flows"][0]
    assert [{"cid": 5, "sid": "1", "msgs": 3}] == row["plain_list"]
    assert [["2", "3"]] == [[member["sid"] for member in pick] for pick in row["picks_list"]]
    assert "plain_list" not in page()["flows"][0]
