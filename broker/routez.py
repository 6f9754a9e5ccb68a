"""The monitor's ``/routez``: the other nodes of the cluster, as a pure function of records.

Source: the fields, their order and their texts are nats-server's.

Neighbours: `broker.monitorpages` asks the server for the records. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from broker import queries
from broker.gotime import duration, timestamp, uptime
from broker.snapshots import BrokerStats, RouteInfo, SubscriptionInfo

__all__ = ["RoutezQuery", "routez"]


@dataclass(frozen=True)
class RoutezQuery:
    """What ``/routez`` was asked for: subscriptions by subject, or all that is known of them."""

    subs: bool = False
    detail: bool = False

    @classmethod
    def read(cls, parameters: Mapping[str, str]) -> RoutezQuery:
        """From the query string. Raises QueryError for a switch that is neither."""
        detail = parameters.get("subs", "").lower() == "detail"
        return cls(not detail and queries.boolean(parameters, "subs"), detail)


def routez(query: RoutezQuery, stats: BrokerStats, routes: Iterable[RouteInfo]) -> dict[str, Any]:
    """The page. O(routes), or O(subscriptions) with their lists."""
    rows = [_row(query, info, stats.now) for info in routes]
    return {
        "server_id": stats.server_id,
        "server_name": stats.server_name,
        "now": timestamp(stats.now),
        "num_routes": len(rows),
        "routes": rows,
    }


def _row(query: RoutezQuery, info: RouteInfo, now: float) -> dict[str, Any]:
    row: dict[str, Any] = {
        "rid": info.rid,
        "remote_id": info.remote_id,
        "remote_name": info.remote_name,
        "did_solicit": info.solicited,
        "is_configured": info.configured,
        "ip": info.ip,
        "port": info.port,
        "start": timestamp(info.start),
        "last_activity": timestamp(info.last_activity),
        "rtt": duration(info.rtt),
        "uptime": uptime(now - info.start),
        "idle": uptime(now - info.last_activity),
        "pending_size": info.pending_bytes,
        "in_msgs": info.in_msgs,
        "out_msgs": info.out_msgs,
        "in_bytes": info.in_bytes,
        "out_bytes": info.out_bytes,
        "subscriptions": len(info.subscriptions),
    }
    if query.subs:
        row["subscriptions_list"] = [one.subject for one in info.subscriptions]
    elif query.detail:
        row["subscriptions_list_detail"] = [_detail(info, one) for one in info.subscriptions]
    return row | {"compression": "not supported"}


def _detail(info: RouteInfo, one: SubscriptionInfo) -> dict[str, Any]:
    fields: dict[str, Any] = {"account": one.account, "subject": one.subject}
    if one.queue:
        fields["qgroup"] = one.queue
    return fields | {"sid": one.sid, "msgs": one.messages, "cid": info.rid}
