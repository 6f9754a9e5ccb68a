"""The page of connections, compared with what nats-server showed."""

from __future__ import annotations

from typing import Any

import pytest

from broker.connz import ConnzQuery, QueryError, connz
from broker.snapshots import BrokerStats, ConnectionInfo, SubscriptionInfo

NOW = 1_700_000_100.0


def stats() -> BrokerStats:
    return BrokerStats(
        server_id="ID",
        server_name="NAME",
        version="0.1.0",
        host="127.0.0.1",
        port=4222,
        http_host="127.0.0.1",
        http_port=8222,
        start=NOW - 100,
        now=NOW,
        connections=2,
        total_connections=4,
        in_msgs=1,
        in_bytes=2,
        out_msgs=3,
        out_bytes=4,
        subscriptions=5,
        slow_consumers=6,
        stale_connections=7,
        flows=8,
    )


def info(cid: int, **fields: Any) -> ConnectionInfo:
    known: dict[str, Any] = {"start": NOW - 10 * cid, "last_activity": NOW - cid}
    return ConnectionInfo(cid=cid, ip="127.0.0.1", port=5000 + cid, **(known | fields))


OPEN = [
    info(1, subscriptions=1, pending_bytes=5, out_msgs=3, in_msgs=1, rtt=0.1),
    info(2, subscriptions=3, pending_bytes=9, out_msgs=1, in_msgs=2, rtt=0.3),
    info(5, subscriptions=2, pending_bytes=7, out_msgs=2, in_msgs=3, rtt=0.2),
]
CLOSED = [
    info(4, stop=NOW - 3, reason="Client Closed"),
    info(3, stop=NOW - 2, reason="Authentication Failure"),
]


def page(**parameters: str) -> dict[str, Any]:
    return connz(ConnzQuery.read(parameters), stats(), OPEN, CLOSED)


def cids(**parameters: str) -> list[int]:
    return [row["cid"] for row in page(**parameters)["connections"]]


def only(row: ConnectionInfo, **parameters: str) -> dict[str, Any]:
    fields: dict[str, Any] = connz(ConnzQuery.read(parameters), stats(), [row], [])["connections"][
        0
    ]
    return fields


def test_the_page_has_nats_servers_fields_in_its_order() -> None:
    expected = ["server_id", "now", "num_connections", "total", "offset", "limit", "connections"]
    assert expected == list(page())


def test_an_open_connection_has_nats_servers_fields_in_its_order() -> None:
    row = info(7, name="bob", lang="python", version="2", rtt=0.000_258)
    expected = {
        "cid": 7,
        "kind": "Client",
        "type": "nats",
        "ip": "127.0.0.1",
        "port": 5007,
        "start": "2023-11-14T22:13:50Z",
        "last_activity": "2023-11-14T22:14:53Z",
        "rtt": "258µs",
        "uptime": "1m10s",
        "idle": "7s",
        "pending_bytes": 0,
        "in_msgs": 0,
        "out_msgs": 0,
        "in_bytes": 0,
        "out_bytes": 0,
        "subscriptions": 0,
        "name": "bob",
        "lang": "python",
        "version": "2",
    }
    assert list(expected.items()) == list(only(row).items())


def test_a_closed_connection_tells_when_and_why_and_its_clock_has_stopped() -> None:
    (row,) = page(state="closed", cid="4")["connections"]
    assert "2023-11-14T22:14:57Z" == row["stop"]
    assert "Client Closed" == row["reason"]
    assert "37s" == row["uptime"]
    assert "1s" == row["idle"]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("", [1, 2, 5]),
        ("open", [1, 2, 5]),
        ("OPEN", [1, 2, 5]),
        ("closed", [3, 4]),
        ("all", [1, 2, 3, 4, 5]),
        ("any", [1, 2, 3, 4, 5]),
    ],
)
def test_a_state_selects_connections(state: str, expected: list[int]) -> None:
    assert expected == cids(state=state)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("cid", [1, 2, 5]),
        ("start", [1, 2, 5]),
        ("subs", [2, 5, 1]),
        ("pending", [2, 5, 1]),
        ("msgs_to", [1, 5, 2]),
        ("msgs_from", [5, 2, 1]),
        ("bytes_to", [1, 2, 5]),
        ("bytes_from", [1, 2, 5]),
        ("last", [1, 2, 5]),
        ("idle", [5, 2, 1]),
        ("uptime", [1, 2, 5]),
        ("rtt", [2, 5, 1]),
    ],
)
def test_orders_are_those_of_nats_server(order: str, expected: list[int]) -> None:
    assert expected == cids(sort=order)


@pytest.mark.parametrize(("order", "expected"), [("stop", [3, 4]), ("reason", [3, 4])])
def test_closed_connections_have_two_more_orders(order: str, expected: list[int]) -> None:
    assert expected == cids(state="closed", sort=order)


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"limit": "2"}, [1, 2]),
        ({"limit": "2", "offset": "1"}, [2, 5]),
        ({"offset": "9"}, []),
        ({"offset": "-1"}, [1, 2, 5]),
        ({"limit": "0"}, [1, 2, 5]),
        ({"limit": "1", "sort": "subs"}, [2]),
        ({"cid": "2"}, [2]),
        ({"cid": "3"}, []),
        ({"cid": "3", "state": "all"}, [3]),
        ({"cid": "99"}, []),
    ],
)
def test_a_page_is_cut_by_offset_limit_and_cid(
    parameters: dict[str, str], expected: list[int]
) -> None:
    assert expected == cids(**parameters)


def test_the_total_counts_what_the_page_leaves_out() -> None:
    short = page(limit="1", state="all")
    assert (1, 5, 0, 1) == tuple(
        short[name] for name in ("num_connections", "total", "offset", "limit")
    )


SUBSCRIBED = info(
    6,
    subscriptions=2,
    user="me",
    subscription_list=(
        SubscriptionInfo(subject="foo.*", sid="1", messages=4),
        SubscriptionInfo(subject="bar", sid="2", queue="q", messages=1, max=9),
    ),
)


@pytest.mark.parametrize("value", ["1", "true", "T"])
def test_subscriptions_are_listed_by_subject(value: str) -> None:
    assert ["foo.*", "bar"] == only(SUBSCRIBED, subs=value)["subscriptions_list"]


def test_subscriptions_are_listed_in_detail() -> None:
    expected = [
        {"subject": "foo.*", "sid": "1", "msgs": 4, "cid": 6},
        {"subject": "bar", "qgroup": "q", "sid": "2", "msgs": 1, "max": 9, "cid": 6},
    ]
    assert expected == only(SUBSCRIBED, subs="detail")["subscriptions_list_detail"]


def test_tls_and_the_kind_of_client_are_told() -> None:
    row = info(7, type="websocket", tls_version="1.3", tls_cipher="AES", tls_peer=("CN=x",))
    shown = only(row, auth="1")
    names = ("type", "tls_version", "tls_cipher_suite", "tls_peer_certs")
    assert ["websocket", "1.3", "AES", [{"subject": "CN=x"}]] == [shown[name] for name in names]
    assert "tls_peer_certs" not in only(row)


MIXED = [info(1, user="u", account="A"), info(2, user="v", account="A"), info(3, user="u")]
ENDED = [info(4, user="u", account="A", stop=NOW, reason="Client Closed")]


@pytest.mark.parametrize(
    ("parameters", "expected", "total"),
    [
        ({"acc": "A"}, [1, 2], 2),
        ({"acc": "A", "state": "all"}, [1, 2, 4], 3),
        ({"acc": "NOPE"}, [], 0),
        ({"user": "u"}, [1, 3], 3),
        ({"user": "u", "acc": "A"}, [1], 2),
        ({"user": "u", "sort": "subs", "offset": "1"}, [3], 3),
        ({"user": "v", "cid": "1"}, [1], 3),
        ({"mqtt_client": "x"}, [], 3),
    ],
)
def test_an_account_and_a_user_filter(
    parameters: dict[str, str], expected: list[int], total: int
) -> None:
    found = connz(ConnzQuery.read(parameters), stats(), MIXED, ENDED)
    assert (expected, total) == ([row["cid"] for row in found["connections"]], found["total"])


def test_accounts_are_shown_when_users_are_unless_it_is_everybodys() -> None:
    assert ("A", "A") == tuple(only(MIXED[0], auth="1")[name] for name in ("account", "name_tag"))
    assert "account" not in only(MIXED[2], auth="1")
    assert "account" not in only(MIXED[0])


def test_of_a_closed_connection_everybodys_account_is_not_shown() -> None:
    (row,) = page(state="closed", cid="4", auth="1")["connections"]
    assert "name_tag" not in row


def test_users_are_shown_only_when_asked_for() -> None:
    assert "authorized_user" not in only(SUBSCRIBED)
    shown = only(SUBSCRIBED, auth="1")
    assert ("me", "$G") == (shown["authorized_user"], shown["name_tag"])


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"state": "bogus"}, "Error decoding state for bogus"),
        ({"sort": "bogus"}, "invalid sorting option: bogus"),
        ({"sort": "stop"}, "sort by stop only valid on closed connections"),
        ({"sort": "reason", "state": "all"}, "sort by reason only valid on closed connections"),
        (
            {"limit": "x"},
            "Error decoding int for 'limit': strconv.Atoi: parsing \"x\": invalid syntax",
        ),
        (
            {"offset": "1.5"},
            "Error decoding int for 'offset': strconv.Atoi: parsing \"1.5\": invalid syntax",
        ),
        (
            {"cid": "-1"},
            "Error decoding uint64 for 'cid': strconv.ParseUint: parsing \"-1\": invalid syntax",
        ),
        (
            {"subs": "zz"},
            "Error decoding boolean for 'subs': strconv.ParseBool: parsing \"zz\": invalid syntax",
        ),
        (
            {"auth": '"'},
            'Error decoding boolean for \'auth\': strconv.ParseBool: parsing "\\"": invalid syntax',
        ),
    ],
)
def test_an_unusable_parameter_is_refused_in_nats_servers_words(
    parameters: dict[str, str], expected: str
) -> None:
    with pytest.raises(QueryError) as caught:
        ConnzQuery.read(parameters)
    assert expected == str(caught.value)


def test_unknown_parameters_are_ignored() -> None:
    assert ConnzQuery() == ConnzQuery.read({"callback": "x"})


def test_a_page_in_cid_order_makes_records_of_its_own_rows_only() -> None:
    asked: list[int] = []

    class Recorder:
        account = "$G"

        def __init__(self, cid: int) -> None:
            self.cid = cid

        def info(self, *, subscriptions: bool = False) -> ConnectionInfo:
            asked.append(self.cid)
            return info(self.cid)

    rows = [Recorder(cid) for cid in range(1, 100)]
    connz(ConnzQuery.read({"limit": "2", "offset": "3"}), stats(), rows, [])
    assert [4, 5] == asked
