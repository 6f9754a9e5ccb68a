"""What the broker says in the system account: events and answers as JSON-ready data.

The idea: a body is a function of records, and all of them stand in one file, side by side; none
knows who listens. A `Herald` adds what every body begins with: which server says it, when, and a
number that grows with everything it says. Fields, their names, order and types are nats-server
2.15's, because tools read them.

A few words of nats-server's that mislead: in an event about a client, ``sent`` is what the client
has sent and ``received`` what it got, but in `conns` and `statsz` they are what the *server* has
sent and received. The event of a failed login has the body of a disconnect.

Neighbours: `broker.sysservice` has the herald and emits events, `broker.sysdesk` answers. No I/O;
the clock is handed in. O(size of the text) unless it says otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from random import Random
from typing import Any

from broker.accountz import account_stat
from broker.blocks import DEFAULT_ACCOUNT
from broker.gotime import nanoseconds, timestamp
from broker.identity import Identity
from broker.permissions import FREE, Permissions, Rules
from broker.snapshots import AccountInfo, BrokerStats, ConnectionInfo
from broker.varz import ProcessUsage, by_kind

__all__ = ["Body", "Herald", "user_info"]

Body = dict[str, Any]

_TYPES = "io.nats.server.advisory.v1."
_ID_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_LENGTH = 22


class Herald:
    """Speaks for one server. ``now`` tells the wall-clock time. Not thread-safe."""

    def __init__(
        self,
        name: str,
        host: str,
        server_id: str,
        version: str,
        now: Callable[[], float],
        rng: Random,
    ) -> None:
        self.name = name
        self.host = host
        self._id = server_id
        self._version = version
        self._now = now
        self._rng = rng
        self._sequence = 0

    @staticmethod
    def encode(body: Body) -> bytes:
        """A body as it is sent."""
        text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
        return text.encode("utf-8", "replace")

    def stamp(self) -> Body:
        """Who says it, as which of its words, and when; also the whole body of a farewell."""
        self._sequence += 1
        return {
            "name": self.name,
            "host": self.host,
            "id": self._id,
            "ver": self._version,
            # What JetStream would set.
            "jetstream": False,
            "flags": 0,
            "seq": self._sequence,
            "time": timestamp(self._now()),
        }

    def idz(self) -> Body:
        """Who we are, and nothing else."""
        return {"name": self.name, "host": self.host, "id": self._id}

    # --- events ---------------------------------------------------------------------------------

    def connect(self, info: ConnectionInfo) -> Body:
        """A client was let in."""
        return self._typed("client_connect") | {"client": _client(info)}

    def disconnect(self, info: ConnectionInfo) -> Body:
        """A connection is over, or a login has failed."""
        return self._typed("client_disconnect") | {
            "client": _client(info),
            "sent": {"msgs": info.in_msgs, "bytes": info.in_bytes},
            "received": {"msgs": info.out_msgs, "bytes": info.out_bytes},
            "reason": info.reason,
        }

    def conns(self, info: AccountInfo) -> Body:
        """How many connections an account has."""
        return self._typed("account_connections") | account_stat(info)

    def _typed(self, kind: str) -> Body:
        return {
            "type": _TYPES + kind,
            "id": "".join(self._rng.choices(_ID_LETTERS, k=_ID_LENGTH)),
            "timestamp": timestamp(self._now()),
            "server": self.stamp(),
        }

    def statsz(
        self, stats: BrokerStats, usage: ProcessUsage, accounts: Iterable[AccountInfo]
    ) -> Body:
        """The server in numbers. O(accounts)."""
        sent = {"msgs": stats.out_msgs, "bytes": stats.out_bytes}
        received = {"msgs": stats.in_msgs, "bytes": stats.in_bytes}
        numbers: Body = {
            "start": timestamp(stats.start),
            "mem": usage.memory,
            "cores": usage.cores,
            "cpu": usage.cpu,
            "connections": stats.connections,
            "total_connections": stats.total_connections,
            "active_accounts": sum(info.connections > 0 for info in accounts),
            "subscriptions": stats.subscriptions,
            "sent": sent,
            "sent_to_clients": sent,
            "received": received,
            "received_from_clients": received,
            "slow_consumers": stats.slow_consumers,
        }
        if stats.slow_consumers:
            numbers["slow_consumer_stats"] = by_kind(stats.slow_consumers)
        if stats.stale_connections:
            numbers["stale_connections"] = stats.stale_connections
            numbers["stale_connection_stats"] = by_kind(stats.stale_connections)
        return {"server": self.stamp(), "statsz": numbers | {"active_servers": 1}}

    # --- answers --------------------------------------------------------------------------------

    def answer(self, data: Body | None = None) -> Body:
        """An answer; without ``data`` it says that what was asked for was done."""
        return {"server": self.stamp()} | ({} if data is None else {"data": data})

    def failure(self, code: int, text: str, *, asked: bool = False) -> Body:
        """An answer that says what is wrong; ``asked`` where data was asked for and could be."""
        error = {"error": {"code": code, "description": text}}
        return {"server": self.stamp()} | ({"data": None} if asked else {}) | error


def _client(info: ConnectionInfo) -> Body:
    ended = info.stop is not None
    account = info.account or DEFAULT_ACCOUNT  # where nats-server has those who are not in yet
    fields: Body = {
        "start": timestamp(info.start),
        "host": info.ip,
        "id": info.cid,
        "acc": account,
        "user": info.user,
        "name": info.name,
        "lang": info.lang,
        "ver": info.version,
        "rtt": nanoseconds(info.rtt) if ended else 0,
        "stop": "" if info.stop is None else timestamp(info.stop),
        "issuer_key": info.jwt_issuer,
        "name_tag": info.account_name or account,
        "tags": list(info.tags),
        "kind": info.kind,
        "client_type": info.type,
    }
    return {name: value for name, value in fields.items() if value}


def user_info(identity: Identity | None, now: float) -> Body:
    """Who somebody is and what it may do there; ``now`` is wall-clock time. O(permissions)."""
    if identity is None:
        return {"user": "", "account": ""}
    fields: Body = {
        "user": identity.shown,
        "account": identity.account,
        "account_name": identity.account_name or identity.account,
    }
    if identity.title:
        fields["user_name"] = identity.title
    if identity.permissions != FREE:
        fields["permissions"] = _permissions(identity.permissions)
    if identity.expires is not None:
        fields["expires"] = max(nanoseconds(identity.expires - now), 0)
    return fields


def _permissions(permissions: Permissions) -> Body:
    fields: Body = {
        "publish": _rules(permissions.publish),
        "subscribe": _rules(permissions.subscribe),
    }
    responses = permissions.responses
    if responses is not None:
        fields["responses"] = {"max": responses.max, "ttl": nanoseconds(responses.expires)}
    return fields


def _rules(rules: Rules) -> Body:
    lists = {"allow": rules.allow or (), "deny": rules.deny}
    return {
        name: [filter.decode("utf-8", "replace") for filter in filters]
        for name, filters in lists.items()
        if filters
    }
