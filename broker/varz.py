"""The monitor's ``/varz`` and ``/healthz``: snapshots in, JSON-ready dictionaries out.

The idea: everything about these pages that is not HTTP. The fields, their names and their order are
nats-server 2.15's, as recorded from the real one, because dashboards and test suites of NATS
clients read them. What only clusters, TLS or streams could fill is absent or empty, exactly as
there.

Neighbours: `broker.monitor` speaks HTTP and calls these; `broker.snapshots` has the records. No
I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broker.config import Options
from broker.gotime import nanoseconds, timestamp, uptime
from broker.snapshots import BrokerStats

__all__ = ["ProcessUsage", "healthz", "varz"]


@dataclass(frozen=True)
class ProcessUsage:
    """What the process costs: resident bytes, per cent of one core, cores of the machine."""

    memory: int
    cpu: float
    cores: int


def healthz() -> dict[str, Any]:
    """A broker that can answer is healthy: there is nothing here that could be half up."""
    return {"status": "ok"}


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
        "config_digest": "",
        "slow_consumer_stats": _by_kind(stats.slow_consumers),
        "stale_connection_stats": _by_kind(stats.stale_connections),
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
    return fields


def _limits(stats: BrokerStats, options: Options) -> dict[str, Any]:
    fields: dict[str, Any] = {"max_connections": options.max_connections}
    if options.max_subscriptions:
        fields["max_subscriptions"] = options.max_subscriptions
    return fields | {
        "ping_interval": nanoseconds(options.ping_interval),
        "ping_max": options.ping_max,
        "http_host": stats.http_host,
        "http_port": stats.http_port,
        "http_base_path": "",
        "https_port": 0,
        "auth_timeout": options.auth_timeout,
        "max_control_line": options.max_control_line,
        "max_payload": options.max_payload,
        "max_pending": options.max_pending,
        "cluster": {},
        "gateway": {},
        "leaf": {},
        "mqtt": {},
        "websocket": {},
        "jetstream": {},
        "write_deadline": nanoseconds(options.write_deadline),
    }


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
        "routes": 0,
        "remotes": 0,
        "leafnodes": 0,
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


def _by_kind(clients: int) -> dict[str, int]:
    return {"clients": clients, "routes": 0, "gateways": 0, "leafs": 0}
