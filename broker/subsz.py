"""The monitor's ``/subsz``: how many subscriptions there are, what resolving them costs, and, asked
for, which ones.

Parameters, fields and texts are nats-server 2.15's. Where it describes the cache of its subject
tree, we describe the flow table, which does that work here: ``num_cache`` counts flows, a *match*
is one publish that was looked up, and the hit rate is the share that needed no resolving. A flow
that asks is a look-up that did not hit. The fan-outs are those of the flows there are: plain
deliveries and picks.

Counters are kept for the whole broker only: with ``acc=`` the page counts the subscriptions and
flows of that account, and the other numbers stay those of all.

Neighbours: `broker.monitorpages` calls this with what the server tells. No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from broker import queries
from broker.connz import Row, subscription_detail
from broker.flow import Flow
from broker.gotime import timestamp
from broker.link import Link, PlaneStats
from broker.snapshots import BrokerStats
from broker.subject import is_valid_publish, matches
from broker.switchboard import SwitchboardStats

__all__ = ["Routing", "SubszQuery", "subsz"]


@dataclass(frozen=True)
class SubszQuery:
    """What ``/subsz`` was asked for. ``test``: list only what a publish to that subject reaches."""

    subs: bool = False
    offset: int = 0
    limit: int = queries.DEFAULT_LIMIT
    account: str = ""
    test: str = ""

    @classmethod
    def read(cls, parameters: Mapping[str, str]) -> SubszQuery:
        """From the query string's names and values; raises `QueryError` as nats-server refuses."""
        query = cls(
            subs=queries.boolean(parameters, "subs"),
            offset=queries.offset(parameters),
            limit=queries.limit(parameters),
            account=parameters.get("acc", ""),
            test=parameters.get("test", ""),
        )
        if query.test and not is_valid_publish(query.test.encode()):
            raise queries.QueryError(
                f"invalid test subject, must be valid publish subject: {query.test}"
            )
        return query


@dataclass(frozen=True)
class Routing:
    """What a page says about resolving subjects, from those who do it. ``zones`` names the account
    of each zone; ``flows`` yields zone and flow, as the flow table does.
    """

    switchboard: SwitchboardStats
    plane: PlaneStats
    flows: Iterable[tuple[int, Flow[Link]]]
    zones: Mapping[int, str]

    def fanouts(self, account: str) -> list[int]:
        """The number of copies that each flow makes; of one account's flows, or (empty) of all."""
        return [
            len(flow.plain) + len(flow.picks) + len(flow.peers)
            for zone, flow in self.flows
            if account in ("", self.zones.get(zone))
        ]


def subsz(
    query: SubszQuery, stats: BrokerStats, routing: Routing, opened: Iterable[Row]
) -> dict[str, Any]:
    """The page of subscriptions.

    O(connections + flows), and O(subscriptions) where it lists them or counts one account's.
    """
    rows = list(_rows(query, opened)) if query.subs or query.account else []
    page = {
        "server_id": stats.server_id,
        "now": timestamp(stats.now),
        **_numbers(query, routing, len(rows)),
        "total": 0,
        "offset": query.offset,
        "limit": query.limit,
    }
    if query.subs:
        tested = [row for row in rows if _reached(query, row["subject"])]
        page["total"] = len(tested)
        shown = tested[query.offset : query.offset + query.limit]
        if shown:
            page["subscriptions_list"] = shown
    return page


def _numbers(query: SubszQuery, routing: Routing, listed: int) -> dict[str, Any]:
    known = not query.account or query.account in routing.zones.values()
    switchboard, plane = routing.switchboard, routing.plane
    fanouts = routing.fanouts(query.account)
    matched = plane.in_msgs if known else 0
    return {
        "num_subscriptions": listed if query.account else switchboard.subscriptions,
        "num_cache": len(fanouts),
        "num_inserts": switchboard.inserted if known else 0,
        "num_removes": switchboard.removed if known else 0,
        "num_matches": matched,
        "cache_hit_rate": 1 - plane.misses / matched if matched else 0,
        "max_fanout": max(fanouts, default=0),
        "avg_fanout": sum(fanouts) / len(fanouts) if fanouts else 0,
    }


def _rows(query: SubszQuery, opened: Iterable[Row]) -> Iterator[dict[str, Any]]:
    for row in opened:
        if query.account in ("", row.account):
            info = row.info(subscriptions=True)
            owner = {"account": info.account, "account_tag": info.account}
            for sub in info.subscription_list:
                yield owner | subscription_detail(info.cid, sub)


def _reached(query: SubszQuery, subject: str) -> bool:
    return not query.test or matches(subject.encode(), query.test.encode())
