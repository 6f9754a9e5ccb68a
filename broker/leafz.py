"""The page ``/leafz``, and what ``/varz`` says of leaf nodes: snapshots in, JSON-ready dicts out.

The idea: as for the other pages of nats-server, whose fields these are. `LeafInfo` is one link at
one moment, made by `broker.leafnodes`.

Pure. Neighbours: `broker.monitorpages` makes the page, `broker.varz` its part.

Source: ``server/monitor.go`` of nats-server 2.15.1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from broker.blocks import LeafBlock, RemoteBlock
from broker.gotime import duration, timestamp
from broker.leafchecks import LEAF_PORT
from broker.peerurl import PeerUrl
from broker.snapshots import BrokerStats

__all__ = ["LeafInfo", "leaf_options", "leafz"]


@dataclass(frozen=True)
class LeafInfo:
    """One leaf link. ``is_spoke``: the other side, ``name``, is the hub. ``rtt`` is in seconds;
    counters are from our point of view, as those of clients.
    """

    id: int
    name: str
    is_spoke: bool
    is_isolated: bool
    account: str
    ip: str
    port: int
    rtt: float
    in_msgs: int
    out_msgs: int
    in_bytes: int
    out_bytes: int
    subscriptions: tuple[str, ...]


def leafz(
    stats: BrokerStats, links: Iterable[LeafInfo], account: str = "", *, subjects: bool = False
) -> dict[str, Any]:
    """The page of all links, or of those of one account; with ``subjects`` also what they want."""
    shown = [_link(link, subjects) for link in links if account in ("", link.account)]
    return {
        "server_id": stats.server_id,
        "now": timestamp(stats.now),
        "leafnodes": len(shown),
        "leafs": shown,
    }


def _link(link: LeafInfo, subjects: bool) -> dict[str, Any]:
    fields = {
        "id": link.id,
        "name": link.name,
        "is_spoke": link.is_spoke,
        "is_isolated": link.is_isolated or None,
        "account": link.account,
        "ip": link.ip,
        "port": link.port,
        "rtt": duration(link.rtt),
        "in_msgs": link.in_msgs,
        "out_msgs": link.out_msgs,
        "in_bytes": link.in_bytes,
        "out_bytes": link.out_bytes,
        "subscriptions": len(link.subscriptions),
        "subscriptions_list": list(link.subscriptions) if subjects and link.subscriptions else None,
        "compression": "not supported",
    }
    return {name: value for name, value in fields.items() if value is not None}


def leaf_options(block: LeafBlock | None, port: int) -> dict[str, Any]:
    """What is configured, without secrets; ``port`` is where the door is."""
    if block is None:
        return {}
    fields: dict[str, Any] = {"remotes": [_remote(remote) for remote in block.remotes]}
    if block.port is not None:
        fields |= {"host": block.host, "port": port, "auth_timeout": block.auth_timeout}
    if block.tls is not None:
        verify = block.tls.verify or block.tls.verify_and_map
        fields |= {
            "tls_timeout": block.tls.timeout,
            "tls_required": True,
            "tls_verify": verify,
        }
    return {name: value for name, value in fields.items() if value}


def _remote(block: RemoteBlock) -> dict[str, Any]:
    denied = {"exports": block.deny_exports, "imports": block.deny_imports}
    deny = {
        name: [subject.decode("utf-8", "replace") for subject in subjects]
        for name, subjects in denied.items()
        if subjects
    }
    fields: dict[str, Any] = {
        "local_account": block.account,
        "tls_timeout": 0 if block.tls is None else block.tls.timeout,
        "urls": [str(PeerUrl.parse(url, LEAF_PORT)) for url in block.urls],
        "deny": deny,
    }
    return {name: value for name, value in fields.items() if value}
