"""The monitor's ``/flowz``: the flow table as it is, oldest flow first. A page of ours; nats-server
has nothing of the kind.

The idea: whoever wonders why a message goes where it goes, or why publishing has become slow, looks
at the table that the data plane forwards by. A row says which subjects it answers for
(``pattern``), in which account, how many copies it makes (``plain`` deliveries and one for each of
``picks``, which lists the sizes of the queue groups), and whether it *asks*: then each message goes
through the switchboard, as it does where a subscription has a limit. With ``detail=1`` a row lists
who gets the copies, and how many messages each has had by that subscription, under whatever
subject.

Look-ups are not counted by flow, to keep them fast, so the page cannot tell the busy from the idle:
``/topicsz`` does, by samples.

Neighbours: `broker.monitorpages` calls this; `broker.flow` is what it shows. No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from broker import queries
from broker.flow import Delivery, Flow, FlowTableStats
from broker.gotime import timestamp
from broker.link import Link
from broker.snapshots import BrokerStats

__all__ = ["FlowzQuery", "flowz"]


@dataclass(frozen=True)
class FlowzQuery:
    """What ``/flowz`` was asked for."""

    offset: int = 0
    limit: int = queries.DEFAULT_LIMIT
    account: str = ""
    detail: bool = False

    @classmethod
    def read(cls, parameters: Mapping[str, str]) -> FlowzQuery:
        """From the query string's names and values. Raises `QueryError`."""
        return cls(
            offset=queries.offset(parameters),
            limit=queries.limit(parameters),
            account=parameters.get("acc", ""),
            detail=queries.boolean(parameters, "detail"),
        )


def flowz(
    query: FlowzQuery,
    stats: BrokerStats,
    table: FlowTableStats,
    flows: Iterable[tuple[int, Flow[Link]]],
    zones: Mapping[int, str],
) -> dict[str, Any]:
    """The page of flows. O(flows up to the page's end), O(flows) for one account."""
    total = table.flows
    if query.account:
        flows = [(zone, flow) for zone, flow in flows if zones.get(zone) == query.account]
        total = len(flows)
    shown = islice(flows, query.offset, query.offset + query.limit)
    return {
        "server_id": stats.server_id,
        "now": timestamp(stats.now),
        "capacity": table.capacity,
        "num_flows": table.flows,
        "masks": table.masks,
        "installed": table.installed,
        "evicted": table.evicted,
        "displaced": table.displaced,
        "total": total,
        "offset": query.offset,
        "limit": query.limit,
        "flows": [_row(zone, flow, zones, query.detail) for zone, flow in shown],
    }


def _row(zone: int, flow: Flow[Link], zones: Mapping[int, str], detail: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "zone": zone,
        "account": zones.get(zone, ""),
        "pattern": flow.pattern.decode("utf-8", "replace"),
        "asks": flow.ask,
        "copies": len(flow.plain) + len(flow.picks) + len(flow.peers),
        "plain": len(flow.plain),
        "picks": [len(pick) for pick in flow.picks],
        "peers": len(flow.peers),
    }
    if detail:
        row["plain_list"] = [_delivery(delivery) for delivery in flow.plain]
        row["peers_list"] = [_delivery(delivery) for delivery in flow.peers]
        row["picks_list"] = [[_delivery(member) for member in pick] for pick in flow.picks]
    return row


def _delivery(delivery: Delivery[Link]) -> dict[str, Any]:
    return {
        "cid": delivery.link.id,
        "sid": delivery.sid.decode("utf-8", "replace"),
        "msgs": delivery.msgs,
    }
