"""The page of leaf links and what ``/varz`` says of them: nats-server's fields, and no secrets."""

from __future__ import annotations

import dataclasses

from broker.blocks import LeafBlock, RemoteBlock, RemoteTls, TlsBlock
from broker.leafz import LeafInfo, leaf_options, leafz
from tests.broker.test_seeds import SEED
from tests.broker.test_varz import STATS

LINK = LeafInfo(
    id=5,
    name="L",
    is_spoke=False,
    is_isolated=False,
    account="$G",
    ip="127.0.0.1",
    port=45528,
    rtt=0.000258,
    in_msgs=1,
    out_msgs=2,
    in_bytes=3,
    out_bytes=4,
    subscriptions=("foo", "bar.*"),
)


def test_a_link_has_the_fields_of_nats_server() -> None:
    shown = leafz(STATS, [LINK])
    assert ("ID", 1) == (shown["server_id"], shown["leafnodes"])
    assert [
        {
            "id": 5,
            "name": "L",
            "is_spoke": False,
            "account": "$G",
            "ip": "127.0.0.1",
            "port": 45528,
            "rtt": "258µs",
            "in_msgs": 1,
            "out_msgs": 2,
            "in_bytes": 3,
            "out_bytes": 4,
            "subscriptions": 2,
            "compression": "not supported",
        }
    ] == shown["leafs"]


def test_what_is_wanted_is_listed_where_it_is_asked_for() -> None:
    link = leafz(STATS, [LINK], subjects=True)["leafs"][0]
    assert ["foo", "bar.*"] == link["subscriptions_list"]


def test_isolation_is_told_only_where_there_is_any() -> None:
    assert "is_isolated" not in leafz(STATS, [LINK])["leafs"][0]
    isolated = dataclasses.replace(LINK, is_isolated=True)
    assert leafz(STATS, [isolated])["leafs"][0]["is_isolated"] is True


def test_links_of_one_account() -> None:
    other = dataclasses.replace(LINK, account="A", id=6)
    assert [6] == [link["id"] for link in leafz(STATS, [LINK, other], "A")["leafs"]]
    assert 0 == leafz(STATS, [LINK], "nobody")["leafnodes"]


def test_without_leaf_nodes_nothing_is_configured() -> None:
    assert {} == leaf_options(None, 0)
    assert {"leafnodes": 0, "leafs": []} == {
        name: leafz(STATS, [])[name] for name in ("leafnodes", "leafs")
    }


def test_what_is_configured_is_told_without_secrets() -> None:
    block = LeafBlock(
        host="h",
        port=-1,
        user="u",
        password="secret",
        tls=TlsBlock("c", "k", verify=True),
        remotes=(
            RemoteBlock(
                ("nats-leaf://u:secret@hub:7500", "other"),
                account="A",
                nkey=SEED,
                tls=RemoteTls(timeout=3.0),
                deny_imports=(b"a.>",),
                deny_exports=(b"b",),
            ),
        ),
    )
    shown = leaf_options(block, 7422)
    assert {
        "remotes": [
            {
                "local_account": "A",
                "tls_timeout": 3.0,
                "urls": ["hub:7500", "other:7422"],
                "deny": {"exports": ["b"], "imports": ["a.>"]},
            }
        ],
        "host": "h",
        "port": 7422,
        "auth_timeout": 2.0,
        "tls_timeout": 2.0,
        "tls_required": True,
        "tls_verify": True,
    } == shown
    assert "secret" not in str(shown)
    assert SEED not in str(shown)
