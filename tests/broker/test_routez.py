"""``/routez``: the fields of the real server's page, and what a cluster fills them with."""

from __future__ import annotations

import pytest

from broker.queries import QueryError
from broker.routez import RoutezQuery, routez
from broker.sysservice import ACCOUNT_PAGES, ORDERS, PAGES
from tests.support.virtual_cluster import VirtualCluster

# As nats-server 2.15.1 shows a route to a node without pool and compression.
FIELDS = (
    *("rid", "remote_id", "remote_name", "did_solicit", "is_configured", "ip", "port", "start"),
    *("last_activity", "rtt", "uptime", "idle", "pending_size", "in_msgs", "out_msgs", "in_bytes"),
    *("out_bytes", "subscriptions", "compression"),
)

#: What a node listens to in the system account: the bare PING, and what it says by these names.
QUESTIONS = 1 + 2 * len(PAGES) + len(ORDERS) + len(ACCOUNT_PAGES)


def test_a_row_says_what_nats_server_says() -> None:
    cluster = VirtualCluster(3)
    cluster.form()
    client, publisher = cluster["C"].client(), cluster["B"].client()
    client.send(b"SUB a.* 1\r\nSUB b q 2\r\n")
    cluster.run(1.0)
    publisher.send(b"PUB a.b 2\r\nhi\r\n")
    cluster.run(1.0)
    server = cluster["B"].server
    page = routez(RoutezQuery(), server.stats(), server.routes())
    assert ("B", 2) == (page["server_name"], page["num_routes"])
    rows = {row["remote_name"]: row for row in page["routes"]}
    assert [FIELDS, FIELDS] == [tuple(row) for row in rows.values()]
    assert (True, True) == (rows["A"]["did_solicit"], rows["A"]["is_configured"])
    assert not rows["C"]["is_configured"]
    told = tuple(rows["C"][name] for name in ("out_msgs", "out_bytes", "subscriptions"))
    assert (1, 2, 2 + QUESTIONS) == told
    assert cluster["C"].server.server_id == rows["C"]["remote_id"]


def test_subscriptions_are_listed_where_they_are_asked_for() -> None:
    cluster = VirtualCluster(2)
    cluster.form()
    cluster["B"].client().send(b"SUB a 1\r\nSUB b q 2\r\n")
    cluster.run(1.0)
    server = cluster["A"].server
    listed = routez(RoutezQuery.read({"subs": "1"}), server.stats(), server.routes())
    names = listed["routes"][0]["subscriptions_list"]
    assert ["a", "b"] == [name for name in names if not name.startswith("$SYS.REQ.")]
    assert 2 + QUESTIONS == len(names)
    detailed = routez(RoutezQuery.read({"subs": "detail"}), server.stats(), server.routes())
    rows = detailed["routes"][0]["subscriptions_list_detail"]
    assert [("$G", "a", None), ("$G", "b", "q")] == [
        (row["account"], row["subject"], row.get("qgroup"))
        for row in rows
        if row["account"] != "$SYS"
    ]


def test_a_broker_that_stands_alone_has_no_routes() -> None:
    cluster = VirtualCluster(1)
    server = cluster["A"].server
    page = routez(RoutezQuery(), server.stats(), server.routes())
    assert (0, []) == (page["num_routes"], page["routes"])


def test_a_switch_is_true_or_false() -> None:
    with pytest.raises(QueryError):
        RoutezQuery.read({"subs": "x"})


def test_a_trace_names_the_nodes_that_a_message_goes_to() -> None:
    cluster = VirtualCluster(3)
    cluster.form()
    for name in "BC":
        cluster[name].client().send(b"SUB a.* 1\r\nSUB a.> 2\r\nSUB a.b q 3\r\n")
    cluster.run(1.0)
    found = cluster["A"].server.explain("$G", b"a.b")
    assert [2, 1, 0] == [len(found.peers), len(found.picks), len(found.plain)]
    assert {one.cid for one in found.peers} == {one.cid for one in found.picks[0]}
