"""The bodies of events and answers: fields and order as recorded from nats-server 2.15.1."""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random

import pytest

from broker.events import Herald, user_info
from broker.identity import Identity
from broker.permissions import Permissions, Responses, Rules
from broker.snapshots import AccountInfo, BrokerStats, ConnectionInfo
from broker.varz import ProcessUsage

CLIENT = ConnectionInfo(
    cid=8,
    ip="127.0.0.1",
    port=40000,
    start=10.0,
    last_activity=11.0,
    rtt=0.000308,
    in_msgs=2,
    in_bytes=20,
    out_msgs=3,
    out_bytes=30,
    name="bb",
    lang="x",
    version="1",
    user="b",
    account="B",
)

STATS = BrokerStats(
    server_id="N1",
    server_name="us",
    version="2.15.1",
    host="127.0.0.1",
    port=4222,
    http_host="127.0.0.1",
    http_port=0,
    start=1.0,
    now=12.5,
    connections=2,
    total_connections=7,
    in_msgs=1,
    in_bytes=10,
    out_msgs=4,
    out_bytes=40,
    subscriptions=5,
    slow_consumers=0,
    stale_connections=0,
    flows=3,
)

ACCOUNT = AccountInfo("B", 1, 5, 4, 1, 10, 2, 20, 0)

STAMP = {
    "name": "us",
    "host": "127.0.0.1",
    "id": "N1",
    "ver": "2.15.1",
    "jetstream": False,
    "flags": 0,
    "seq": 1,
    "time": "1970-01-01T00:00:12.5Z",
}


@pytest.fixture
def herald() -> Herald:
    return Herald("us", "127.0.0.1", "N1", "2.15.1", lambda: 12.5, Random(1))


def test_everything_is_stamped_with_who_and_when_and_a_number_that_grows(herald: Herald) -> None:
    assert STAMP == herald.stamp()
    assert list(STAMP) == list(herald.stamp())
    assert 3 == herald.stamp()["seq"]
    assert {"name": "us", "host": "127.0.0.1", "id": "N1"} == herald.idz()


def test_a_connect_tells_of_the_client_and_not_of_what_it_did(herald: Herald) -> None:
    body = herald.connect(CLIENT)
    assert "io.nats.server.advisory.v1.client_connect" == body["type"]
    assert "1970-01-01T00:00:12.5Z" == body["timestamp"]
    assert (22, True) == (len(body["id"]), body["id"].isalnum())
    assert ["type", "id", "timestamp", "server", "client"] == list(body)
    assert {
        "start": "1970-01-01T00:00:10Z",
        "host": "127.0.0.1",
        "id": 8,
        "acc": "B",
        "user": "b",
        "name": "bb",
        "lang": "x",
        "ver": "1",
        "name_tag": "B",
        "kind": "Client",
        "client_type": "nats",
    } == body["client"]


def test_a_disconnect_tells_what_the_client_sent_and_got_and_why_it_ended(herald: Herald) -> None:
    body = herald.disconnect(replace(CLIENT, stop=12.0, reason="Client Closed"))
    assert "io.nats.server.advisory.v1.client_disconnect" == body["type"]
    assert (308000, "1970-01-01T00:00:12Z") == (body["client"]["rtt"], body["client"]["stop"])
    assert {"msgs": 2, "bytes": 20} == body["sent"]
    assert {"msgs": 3, "bytes": 30} == body["received"]
    assert "Client Closed" == body["reason"]
    client = "start host id acc user name lang ver rtt stop name_tag kind client_type"
    assert client.split() == list(body["client"])


def test_who_never_came_in_is_in_the_global_account_and_has_no_empty_fields(
    herald: Herald,
) -> None:
    stranger = ConnectionInfo(9, "::1", 1, 10.0, 10.0, stop=11.0, account="")
    client = herald.disconnect(stranger)["client"]
    assert ["start", "host", "id", "acc", "stop", "name_tag", "kind", "client_type"] == list(client)
    assert ("$G", "$G") == (client["acc"], client["name_tag"])


def test_conns_is_an_event_with_the_traffic_of_the_account(herald: Herald) -> None:
    body = herald.conns(ACCOUNT)
    assert [
        "type",
        "id",
        "timestamp",
        "server",
        "acc",
        "name",
        "conns",
        "leafnodes",
        "total_conns",
        "num_subscriptions",
        "sent",
        "received",
        "slow_consumers",
    ] == list(body)
    assert (1, 1) == (body["conns"], body["total_conns"])
    assert {"msgs": 2, "bytes": 20} == {name: body["sent"][name] for name in ("msgs", "bytes")}


def test_statsz_counts_for_the_server(herald: Herald) -> None:
    idle = AccountInfo("$G", 0, 0, 0, 0, 0, 0, 0, 0)
    body = herald.statsz(STATS, ProcessUsage(4096, 1.5, 2), [ACCOUNT, idle])
    assert {
        "start": "1970-01-01T00:00:01Z",
        "mem": 4096,
        "cores": 2,
        "cpu": 1.5,
        "connections": 2,
        "total_connections": 7,
        "active_accounts": 1,
        "subscriptions": 5,
        "sent": {"msgs": 4, "bytes": 40},
        "sent_to_clients": {"msgs": 4, "bytes": 40},
        "received": {"msgs": 1, "bytes": 10},
        "received_from_clients": {"msgs": 1, "bytes": 10},
        "slow_consumers": 0,
        "active_servers": 1,
    } == body["statsz"]


def test_statsz_speaks_of_slow_and_stale_clients_where_there_were_some(herald: Herald) -> None:
    stats = replace(STATS, slow_consumers=2, stale_connections=1)
    numbers = herald.statsz(stats, ProcessUsage(0, 0, 1), [])["statsz"]
    assert 2 == numbers["slow_consumer_stats"]["clients"]
    assert (1, 1) == (numbers["stale_connections"], numbers["stale_connection_stats"]["clients"])


def test_an_answer_has_data_an_error_or_neither(herald: Herald) -> None:
    assert ["server"] == list(herald.answer())
    assert {"a": 1} == herald.answer({"a": 1})["data"]
    error = {"code": 400, "description": "no"}
    assert ["server", "error"] == list(herald.failure(400, "no"))
    assert error == herald.failure(400, "no")["error"]
    asked = herald.failure(400, "no", asked=True)
    assert (["server", "data", "error"], None) == (list(asked), asked["data"])


def test_a_body_is_sent_without_blanks_and_survives_what_clients_call_themselves() -> None:
    assert '{"a":["ü","?"]}'.encode() == Herald.encode({"a": ["ü", "\udc80"]})
    assert json.loads(Herald.encode({"a": 1})) == {"a": 1}


def test_user_info_is_short_for_who_may_do_everything() -> None:
    identity = Identity(account="B", user="b", shown="b")
    assert {"user": "b", "account": "B", "account_name": "B"} == user_info(identity, 0.0)
    assert {"user": "", "account": ""} == user_info(None, 0.0)


def test_user_info_lists_permissions_and_how_long_they_last() -> None:
    permissions = Permissions(
        Rules((b"a.>",), (b"a.b",)), Rules((b"q w",)), Responses(max=3, expires=60.0)
    )
    identity = Identity("A", "u", permissions, expires=100.0, shown="u")
    assert {
        "user": "u",
        "account": "A",
        "account_name": "A",
        "permissions": {
            "publish": {"allow": ["a.>"], "deny": ["a.b"]},
            "subscribe": {"allow": ["q w"]},
            "responses": {"max": 3, "ttl": 60_000_000_000},
        },
        "expires": 40_000_000_000,
    } == user_info(identity, 60.0)
