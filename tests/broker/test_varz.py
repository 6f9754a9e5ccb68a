"""The page of general numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from broker.blocks import AccountBlock, TlsBlock, WebsocketBlock
from broker.config import Options
from broker.snapshots import BrokerStats
from broker.varz import ProcessUsage, gatewayz, healthz, jsz, varz

STATS = BrokerStats(
    server_id="ID",
    server_name="NAME",
    version="0.1.0",
    host="127.0.0.1",
    port=4222,
    http_host="127.0.0.1",
    http_port=8222,
    start=1_700_000_000.0,
    now=1_700_000_062.5,
    connections=2,
    total_connections=4,
    in_msgs=10,
    in_bytes=100,
    out_msgs=20,
    out_bytes=200,
    subscriptions=3,
    slow_consumers=1,
    stale_connections=2,
    flows=8,
    websocket_port=8080,
)


def page(options: Options | None = None) -> dict[str, Any]:
    usage = ProcessUsage(memory=4096, cpu=1.5, cores=2)
    return varz(STATS, options or Options(), {"/varz": 2, "/": 1}, usage)


def test_counters_are_the_brokers() -> None:
    expected = {
        "connections": 2,
        "total_connections": 4,
        "in_msgs": 10,
        "in_bytes": 100,
        "in_client_msgs": 10,
        "in_client_bytes": 100,
        "out_msgs": 20,
        "out_bytes": 200,
        "out_client_msgs": 20,
        "out_client_bytes": 200,
        "slow_consumers": 1,
        "stale_connections": 2,
        "subscriptions": 3,
    }
    shown = page()
    assert expected == {name: shown[name] for name in expected}


def test_slow_and_stale_connections_are_split_by_kind() -> None:
    kinds = {"routes": 0, "gateways": 0, "leafs": 0}
    assert {"clients": 1, **kinds} == page()["slow_consumer_stats"]
    assert {"clients": 2, **kinds} == page()["stale_connection_stats"]


def test_what_is_configured_is_told_and_nothing_secret() -> None:
    shown = page(
        Options(
            password="hidden",
            user="u",
            tls=TlsBlock("cert", "key", verify=True),
            websocket=WebsocketBlock(host="h", port=-1, no_tls=True, token_cookie="c"),
            system_account="SYS",
            accounts=(AccountBlock("SYS"),),
            digest="sha256:00",
            http_base_path="/mon",
        )
    )
    expected = {
        "auth_required": True,
        "tls_required": True,
        "tls_verify": True,
        "tls_timeout": 2.0,
        "websocket": {
            "host": "h",
            "port": 8080,
            "handshake_timeout": 2_000_000_000,
            "no_tls": True,
        },
        "system_account": "SYS",
        "config_digest": "sha256:00",
        "http_base_path": "/mon",
    }
    assert expected == {name: shown[name] for name in expected}
    assert "hidden" not in str(shown)


def test_a_broker_that_serves_plain_clients_too_does_not_require_tls() -> None:
    shown = page(Options(tls=TlsBlock("cert", "key"), allow_non_tls=True))
    assert "tls_required" not in shown


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (gatewayz, {"outbound_gateways": {}, "inbound_gateways": {}}),
        (jsz, {"disabled": True, "streams": 0}),
    ],
)
def test_what_is_not_there_is_said_so(
    make: Callable[[BrokerStats], dict[str, Any]], expected: dict[str, Any]
) -> None:
    shown = make(STATS)
    assert expected == {name: shown[name] for name in expected}
    assert ("ID", "2023-11-14T22:14:22.5Z") == (shown["server_id"], shown["now"])


def test_limits_are_written_in_go_units() -> None:
    shown = page(Options(ping_interval=1.5, write_deadline=0.25))
    assert (1_500_000_000, 250_000_000) == (shown["ping_interval"], shown["write_deadline"])


def test_times_are_written_as_nats_server_does() -> None:
    shown = page()
    assert "2023-11-14T22:13:20Z" == shown["start"]
    assert "2023-11-14T22:14:22.5Z" == shown["now"]
    assert "1m2s" == shown["uptime"]


def test_authorization_is_mentioned_only_where_it_is_required() -> None:
    assert "auth_required" not in page()
    assert page(Options(token="t"))["auth_required"] is True


def test_credentials_never_appear() -> None:
    shown = repr(page(Options(user="lucy", password="s3cret")))
    assert "s3cret" not in shown


def test_requests_are_counted_by_path_in_order() -> None:
    assert [("/", 1), ("/varz", 2)] == list(page()["http_req_stats"].items())


def test_the_order_of_fields_starts_as_nats_servers_does() -> None:
    expected = ["server_id", "server_name", "version", "proto", "host", "port", "max_connections"]
    assert expected == list(page())[:7]


def test_health_is_ok() -> None:
    assert {"status": "ok"} == healthz()
