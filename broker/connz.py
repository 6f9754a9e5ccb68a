"""The monitor's ``/connz``: which connections there are, as a pure function from snapshots to
JSON-ready data.

The query parameters, the texts that refuse them, the fields, their names and their order are
nats-server 2.15's, as recorded from the real one; what only clusters could fill is absent. Three
things are ours: an account that does not exist has an empty list of connections, not a null;
``state=closed`` does not list the subscriptions that a connection had; and ``filter_subject``,
which nats-server knows in requests to the system account only, is served over HTTP as well.

A page costs what it shows: in the order of cids (the default) only the rows of the page are turned
into records; every other order, and every filter but that by account, has to look at all of them
once.

Neighbours: `broker.monitor` speaks HTTP and calls this; `broker.snapshots` has the records. No I/O,
no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from broker import queries
from broker.blocks import DEFAULT_ACCOUNT
from broker.gotime import duration, timestamp, uptime
from broker.queries import QueryError
from broker.snapshots import BrokerStats, ConnectionInfo, SubscriptionInfo
from broker.subject import collides

__all__ = ["ConnzQuery", "QueryError", "Row", "connz", "subscription_detail"]


class Row(Protocol):
    """Something that can describe itself as a connection: an open one, or the record of a closed
    one.
    """

    @property
    def cid(self) -> int:
        """The connection's number, unique in this broker."""

    @property
    def account(self) -> str:
        """The name of its account; cheap, so that many can be passed over."""

    def info(self, *, subscriptions: bool = False) -> ConnectionInfo:
        """A record of it as it is now, with its list of subscriptions if wanted."""


@dataclass(frozen=True)
class ConnzQuery:
    """What ``/connz`` was asked for. ``account``, ``user`` and ``mqtt_client`` filter unless empty;
    ``cid`` does unless 0, and then finds one connection whatever its user is. ``subject``, of one
    account only, finds open connections that have a subscription in common with it.
    """

    state: str = "open"
    sort: str = "cid"
    offset: int = 0
    limit: int = queries.DEFAULT_LIMIT
    subs: bool = False
    detail: bool = False
    auth: bool = False
    cid: int = 0
    account: str = ""
    user: str = ""
    mqtt_client: str = ""
    subject: str = ""

    @classmethod
    def read(cls, parameters: Mapping[str, str]) -> ConnzQuery:
        """From the query string's names and values; unknown names are ignored, empty values are not
        given.

        Raises:
            QueryError: a value is unusable, with nats-server's words; the first in its order.
        """
        auth = queries.boolean(parameters, "auth")
        detail = parameters.get("subs", "").lower() == "detail"
        query = cls(
            auth=auth,
            detail=detail,
            subs=not detail and queries.boolean(parameters, "subs"),
            offset=queries.offset(parameters),
            limit=queries.limit(parameters),
            cid=queries.unsigned(parameters, "cid"),
            state=_state(parameters.get("state", "")),
            sort=_sort(parameters.get("sort", "")),
            account=parameters.get("acc", ""),
            user=parameters.get("user", ""),
            mqtt_client=parameters.get("mqtt_client", ""),
            subject=_unless_all(parameters.get("filter_subject", "")),
        )
        if query.sort in ("stop", "reason") and query.state != "closed":
            raise QueryError(f"sort by {query.sort} only valid on closed connections")
        if query.subject and not query.account:
            raise QueryError("filter by subject only valid with account filtering")
        return query

    @property
    def listed(self) -> bool:
        """Whether subscriptions are to be listed, in whatever form."""
        return self.subs or self.detail

    @property
    def picky(self) -> bool:
        """Whether some connections are to be left out."""
        return bool(self.account or self.user or self.mqtt_client)


def _unless_all(filter: str) -> str:
    return "" if filter == ">" else filter


def _state(text: str) -> str:
    known = {"": "open", "open": "open", "closed": "closed", "any": "all", "all": "all"}
    state = known.get(text.lower())
    if state is None:
        raise QueryError(f"Error decoding state for {text}")
    return state


def _sort(text: str) -> str:
    if text and text not in _ORDERS:
        raise QueryError(f"invalid sorting option: {text}")
    return text or "cid"


# ------------------------------------------------------------------------------------------------
# orders

_Key = Callable[[ConnectionInfo, float], Any]

#: Sort option: its key, and whether the largest comes first. As nats-server has them.
_ORDERS: dict[str, tuple[_Key, bool]] = {
    "cid": (lambda info, now: info.cid, False),
    "start": (lambda info, now: info.cid, False),
    "subs": (lambda info, now: info.subscriptions, True),
    "pending": (lambda info, now: info.pending_bytes, True),
    "msgs_to": (lambda info, now: info.out_msgs, True),
    "msgs_from": (lambda info, now: info.in_msgs, True),
    "bytes_to": (lambda info, now: info.out_bytes, True),
    "bytes_from": (lambda info, now: info.in_bytes, True),
    "last": (lambda info, now: info.last_activity, True),
    "idle": (lambda info, now: now - info.last_activity, True),
    "uptime": (lambda info, now: _end(info, now) - info.start, False),
    "stop": (lambda info, now: info.stop or 0.0, True),
    "reason": (lambda info, now: info.reason, False),
    "rtt": (lambda info, now: info.rtt, True),
}


def _end(info: ConnectionInfo, now: float) -> float:
    return now if info.stop is None else info.stop


# -------------------------------------------------------------------------------------------------
# pages


def connz(
    query: ConnzQuery, stats: BrokerStats, opened: Iterable[Row], closed: Iterable[Row]
) -> dict[str, Any]:
    """The page of connections. O(rows of the page) in cid order without a filter, else O(all log
    all).
    """
    rows: list[Row] = []
    if query.state != "closed":
        rows.extend(opened)
    if query.state != "open":
        rows.extend(closed)
    if query.account:
        rows = [row for row in rows if row.account == query.account]
    if query.subject:
        rows = [row for row in rows if _listens(row, query.subject)]
    limit = 1 if query.cid else query.limit
    page = _page(query, rows, stats.now, limit)
    return {
        "server_id": stats.server_id,
        "now": timestamp(stats.now),
        "num_connections": len(page),
        "total": len(rows),
        "offset": query.offset,
        "limit": limit,
        "connections": [_connection(info, query, stats.now) for info in page],
    }


def _listens(row: Row, subject: str) -> bool:
    subscriptions = row.info(subscriptions=True).subscription_list
    return any(collides(subject.encode(), one.subject.encode()) for one in subscriptions)


def _page(query: ConnzQuery, rows: list[Row], now: float, limit: int) -> list[ConnectionInfo]:
    if query.cid:
        rows = [row for row in rows if row.cid == query.cid]
    elif query.picky:
        rows = [row for row in rows if _wanted(query, row.info())]
    chosen = slice(query.offset, query.offset + limit)
    if query.sort in ("cid", "start"):
        rows.sort(key=lambda row: row.cid)
    else:
        key, reverse = _ORDERS[query.sort]
        rows.sort(key=lambda row: key(row.info(), now), reverse=reverse)
    return [row.info(subscriptions=query.listed) for row in rows[chosen]]


def _wanted(query: ConnzQuery, info: ConnectionInfo) -> bool:
    # We serve no MQTT, so nobody has the client id that was asked for.
    return not query.mqtt_client and query.user in ("", info.user)


def _connection(info: ConnectionInfo, query: ConnzQuery, now: float) -> dict[str, Any]:
    end = _end(info, now)
    fields: dict[str, Any] = {
        "cid": info.cid,
        "kind": info.kind,
        "type": info.type,
        "ip": info.ip,
        "port": info.port,
        "start": timestamp(info.start),
        "last_activity": timestamp(info.last_activity),
    }
    if info.stop is not None:
        fields |= {"stop": timestamp(info.stop), "reason": info.reason}
    fields |= {
        "rtt": duration(info.rtt),
        "uptime": uptime(end - info.start),
        "idle": uptime(end - info.last_activity),
        "pending_bytes": info.pending_bytes,
        "in_msgs": info.in_msgs,
        "out_msgs": info.out_msgs,
        "in_bytes": info.in_bytes,
        "out_bytes": info.out_bytes,
        "subscriptions": info.subscriptions,
    }
    return fields | _given(_texts(info)) | _given(_optional(info, query))


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    """Without what is empty, as Go's ``omitempty``."""
    return {name: value for name, value in fields.items() if value}


def _texts(info: ConnectionInfo) -> dict[str, Any]:
    return {
        "name": info.name,
        "lang": info.lang,
        "version": info.version,
        "tls_version": info.tls_version,
        "tls_cipher_suite": info.tls_cipher,
    }


def _optional(info: ConnectionInfo, query: ConnzQuery) -> dict[str, Any]:
    """What is shown to those who asked for it: who this is, and what it has subscribed to."""
    fields: dict[str, Any] = {}
    special = "" if info.account == DEFAULT_ACCOUNT else info.account
    if query.auth:
        fields["tls_peer_certs"] = [{"subject": subject} for subject in info.tls_peer]
        fields["authorized_user"] = info.user
        fields["account"] = special
    if query.detail:
        fields["subscriptions_list_detail"] = [
            subscription_detail(info.cid, sub) for sub in info.subscription_list
        ]
    elif query.subs:
        fields["subscriptions_list"] = [sub.subject for sub in info.subscription_list]
    if query.auth:
        fields["issuer_key"] = info.jwt_issuer
        # Of the closed ones nats-server shows no tag for the global account.
        account = info.account if info.stop is None else special
        fields["name_tag"] = info.account_name or account
        fields["tags"] = list(info.tags)
    return fields


def subscription_detail(cid: int, sub: SubscriptionInfo) -> dict[str, Any]:
    """A subscription with all that is known of it, as ``/connz`` and ``/subsz`` list it."""
    fields: dict[str, Any] = {"subject": sub.subject}
    if sub.queue:
        fields["qgroup"] = sub.queue
    fields |= {"sid": sub.sid, "msgs": sub.messages}
    if sub.max:
        fields["max"] = sub.max
    return fields | {"cid": cid}
