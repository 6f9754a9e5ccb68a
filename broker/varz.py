"""The monitor's ``/varz`` and ``/healthz``, and the pages that say that something is not there
(``/routez``, ``/gatewayz``, ``/jsz``): snapshots in, JSON-ready dictionaries out.

The idea: everything about these pages that is not HTTP. The fields, their names and their order are
nats-server 2.15's, as recorded from the real one, because dashboards and test suites of NATS
clients read them. What only clusters, TLS or streams could fill is absent or empty, exactly as
there.

Neighbours: `broker.monitorpages` calls these; `broker.snapshots` has the records. No
I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broker.blocks import ClusterBlock, WebsocketBlock
from broker.clusterblock import RouteUrl
from broker.config import Options
from broker.gotime import nanoseconds, timestamp, uptime
from broker.leafz import leaf_options
from broker.snapshots import BrokerStats

__all__ = ["ProcessUsage", "by_kind", "gatewayz", "healthz", "jsz", "varz"]


@dataclass(frozen=True)
class ProcessUsage:
    """What the process costs: resident bytes, per cent of one core, cores of the machine."""

    memory: int
    cpu: float
    cores: int


def healthz() -> dict[str, Any]:
    """A broker that can answer is healthy: there is nothing here that could be half up."""
    return {"status": "ok"}


def gatewayz(stats: BrokerStats) -> dict[str, Any]:
    """There are no gateways."""
    return {**_when(stats), "outbound_gateways": {}, "inbound_gateways": {}}


def jsz(stats: BrokerStats) -> dict[str, Any]:
    """There are no streams: JetStream is disabled."""
    sizes = ("memory", "storage", "reserved_memory", "reserved_storage", "accounts", "ha_assets")
    counts = ("streams", "consumers", "messages", "bytes", "total")
    return {
        **dict.fromkeys(sizes, 0),
        "api": {"level": 0, "total": 0, "errors": 0},
        **_when(stats),
        "disabled": True,
        "config": {"max_memory": 0, "max_storage": 0},
        **dict.fromkeys(counts, 0),
    }


def _when(stats: BrokerStats) -> dict[str, Any]:
    return {"server_id": stats.server_id, "now": timestamp(stats.now)}


def varz(
    stats: BrokerStats, options: Options, requests: Mapping[str, int], usage: ProcessUsage
) -> dict[str, Any]:
    """The page of general numbers: who we are, the limits, what the process costs, the counters."""
    return {
        **_identity(stats, options),
        **_limits(stats, options),
        **_usage(stats, usage),
        **_counters(stats),
        "http_req_stats": dict(sorted(requests.items())),
        "config_load_time": timestamp(stats.start),
        "config_digest": options.digest,
        **({"system_account": options.system_account} if options.system_account else {}),
        "slow_consumer_stats": by_kind(stats.slow_consumers),
        "stale_connection_stats": by_kind(stats.stale_connections),
    }


def _identity(stats: BrokerStats, options: Options) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "server_id": stats.server_id,
        "server_name": stats.server_name,
        "version": stats.version,
        "proto": 1,
        "host": stats.host,
        "port": stats.port,
    }
    if options.auth_required:
        fields["auth_required"] = True
    if options.tls is not None:
        fields["tls_required"] = not options.allow_non_tls
        fields["tls_verify"] = options.tls.verify or options.tls.verify_and_map
    return {name: value for name, value in fields.items() if value is not False}


def _limits(stats: BrokerStats, options: Options) -> dict[str, Any]:
    fields: dict[str, Any] = {"max_connections": options.max_connections}
    if options.max_subscriptions:
        fields["max_subscriptions"] = options.max_subscriptions
    return fields | {
        "ping_interval": nanoseconds(options.ping_interval),
        "ping_max": options.ping_max,
        "http_host": stats.http_host,
        "http_port": stats.http_port,
        "http_base_path": options.http_base_path,
        "https_port": max(options.https_port or 0, 0),
        "auth_timeout": options.auth_timeout,
        "max_control_line": options.max_control_line,
        "max_payload": options.max_payload,
        "max_pending": options.max_pending,
        "cluster": _cluster(stats, options.cluster),
        "gateway": {},
        "leaf": leaf_options(options.leafnodes, stats.leaf_port),
        "mqtt": {},
        "websocket": _websocket(options.websocket, stats.websocket_port),
        "jetstream": {},
        **({} if options.tls is None else {"tls_timeout": options.tls.timeout}),
        "write_deadline": nanoseconds(options.write_deadline),
    }


def _cluster(stats: BrokerStats, block: ClusterBlock | None) -> dict[str, Any]:
    if block is None:
        return {}
    fields: dict[str, Any] = {
        "name": stats.cluster,
        "addr": block.host,
        "cluster_port": stats.cluster_port,
        "auth_timeout": block.auth_timeout,
        "urls": [_address(url) for url in block.routes],
        "tls_timeout": block.tls.timeout if block.tls is not None else 0,
        "tls_required": block.tls is not None,
        "tls_verify": block.tls is not None,
    }
    return {name: value for name, value in fields.items() if value}


def _address(url: str) -> str:
    read = RouteUrl.read(url)
    return f"{read.host}:{read.port}"


def _websocket(block: WebsocketBlock | None, port: int) -> dict[str, Any]:
    if block is None:
        return {}
    fields: dict[str, Any] = {
        "host": block.host,
        "port": port,
        "no_auth_user": block.no_auth_user,
        "handshake_timeout": nanoseconds(block.handshake_timeout),
        "no_tls": block.no_tls,
        "same_origin": block.same_origin,
        "allowed_origins": list(block.allowed_origins),
        "compression": block.compression,
    }
    return {name: value for name, value in fields.items() if value}


def _usage(stats: BrokerStats, usage: ProcessUsage) -> dict[str, Any]:
    return {
        "start": timestamp(stats.start),
        "now": timestamp(stats.now),
        "uptime": uptime(stats.now - stats.start),
        "mem": usage.memory,
        "cores": usage.cores,
        "cpu": usage.cpu,
    }


def _counters(stats: BrokerStats) -> dict[str, Any]:
    return {
        "connections": stats.connections,
        "total_connections": stats.total_connections,
        "routes": stats.routes,
        "remotes": stats.remotes,
        "leafnodes": stats.leafnodes,
        "in_msgs": stats.in_msgs,
        "in_bytes": stats.in_bytes,
        "in_client_msgs": stats.in_msgs,
        "in_client_bytes": stats.in_bytes,
        "out_msgs": stats.out_msgs,
        "out_bytes": stats.out_bytes,
        "out_client_msgs": stats.out_msgs,
        "out_client_bytes": stats.out_bytes,
        "slow_consumers": stats.slow_consumers,
        "stale_connections": stats.stale_connections,
        # We never make a publisher wait for a slow consumer.
        "stalled_clients": 0,
        "subscriptions": stats.subscriptions,
    }


def by_kind(clients: int) -> dict[str, int]:
    """A count of connections by what they connect; we have clients only."""
    return {"clients": clients, "routes": 0, "gateways": 0, "leafs": 0}
