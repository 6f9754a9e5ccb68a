"""The monitor's ``/connz``: which connections there are, as a pure function from snapshots to
JSON-ready data.

The query parameters, the texts that refuse them, the fields, their names and their order are
nats-server 2.15's, as recorded from the real one; what only clusters or TLS could fill is absent.

A page costs what it shows: in the order of cids (the default) only the rows of the page are turned
into records, every other order has to look at all of them once.

Neighbours: `broker.monitor` speaks HTTP and calls this; `broker.snapshots` has the records. No I/O,
no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from broker.gotime import duration, timestamp, uptime
from broker.snapshots import BrokerStats, ConnectionInfo, SubscriptionInfo

__all__ = ["ConnzQuery", "QueryError", "Row", "connz"]

#: Rows on a page unless the query says otherwise; nats-server's number.
DEFAULT_LIMIT = 1024

#: The account of clients that were given none, by nats-server's name for it.
GLOBAL_ACCOUNT = "$G"


class QueryError(ValueError):
    """A query parameter that cannot be read; the text is the body of the 400 response."""


class Row(Protocol):
    """Something that can describe itself as a connection: an open one, or the record of a closed
    one.
    """

    @property
    def cid(self) -> int:
        """The connection's number, unique in this broker."""

    def info(self, *, subscriptions: bool = False) -> ConnectionInfo:
        """A record of it as it is now, with its list of subscriptions if wanted."""


@dataclass(frozen=True)
class ConnzQuery:
    """What ``/connz`` was asked for."""

    state: str = "open"
    sort: str = "cid"
    offset: int = 0
    limit: int = DEFAULT_LIMIT
    subs: bool = False
    detail: bool = False
    auth: bool = False
    cid: int = 0

    @classmethod
    def read(cls, parameters: Mapping[str, str]) -> ConnzQuery:
        """From the query string's names and values; unknown names are ignored, empty values are not
        given.

        Raises:
            QueryError: a value is unusable, with nats-server's words.
        """
        given = {name: value for name, value in parameters.items() if value}
        subs = given.get("subs", "")
        detail = subs.lower() == "detail"
        query = cls(
            state=_state(given.get("state", "open")),
            sort=_sort(given.get("sort", "cid")),
            offset=max(0, _integer("offset", given.get("offset", "0"))),
            limit=_limit(given.get("limit", "0")),
            subs=bool(subs) and not detail and _boolean("subs", subs),
            detail=detail,
            auth=_boolean("auth", given.get("auth", "false")),
            cid=_cid(given.get("cid", "0")),
        )
        if query.sort in ("stop", "reason") and query.state != "closed":
            raise QueryError(f"sort by {query.sort} only valid on closed connections")
        return query


def _state(text: str) -> str:
    state = {"open": "open", "closed": "closed", "any": "all", "all": "all"}.get(text.lower())
    if state is None:
        raise QueryError(f"Error decoding state for {text}")
    return state


def _sort(text: str) -> str:
    if text not in _ORDERS:
        raise QueryError(f"invalid sorting option: {text}")
    return text


def _integer(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise QueryError(
            f"Error decoding int for '{name}': strconv.Atoi: parsing {_quote(text)}: invalid syntax"
        ) from None


def _limit(text: str) -> int:
    limit = _integer("limit", text)
    return limit if limit > 0 else DEFAULT_LIMIT


def _cid(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise QueryError(
            f"Error decoding uint64 for 'cid': strconv.ParseUint: parsing {_quote(text)}: "
            "invalid syntax"
        )
    return int(text)


def _boolean(name: str, text: str) -> bool:
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise QueryError(
        f"Error decoding boolean for '{name}': strconv.ParseBool: parsing {_quote(text)}: "
        "invalid syntax"
    )


def _quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


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
    """The page of connections. O(rows of the page) in cid order, O(all log all) in others."""
    rows: list[Row] = []
    if query.state != "closed":
        rows.extend(opened)
    if query.state != "open":
        rows.extend(closed)
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


def _page(query: ConnzQuery, rows: list[Row], now: float, limit: int) -> list[ConnectionInfo]:
    listed = query.subs or query.detail
    if query.cid:
        return [row.info(subscriptions=listed) for row in rows if row.cid == query.cid]
    chosen = slice(query.offset, query.offset + limit)
    if query.sort in ("cid", "start"):
        rows.sort(key=lambda row: row.cid)
        return [row.info(subscriptions=listed) for row in rows[chosen]]
    key, reverse = _ORDERS[query.sort]
    infos = [row.info(subscriptions=listed) for row in rows]
    infos.sort(key=lambda info: key(info, now), reverse=reverse)
    return infos[chosen]


def _connection(info: ConnectionInfo, query: ConnzQuery, now: float) -> dict[str, Any]:
    end = _end(info, now)
    fields: dict[str, Any] = {
        "cid": info.cid,
        "kind": "Client",
        "type": "nats",
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
    return fields | _optional(info, query)


def _optional(info: ConnectionInfo, query: ConnzQuery) -> dict[str, Any]:
    fields: dict[str, Any] = {
        name: text
        for name, text in (("name", info.name), ("lang", info.lang), ("version", info.version))
        if text
    }
    if query.auth and info.user:
        fields["authorized_user"] = info.user
    listed = info.subscription_list
    if query.detail and listed:
        fields["subscriptions_list_detail"] = [_subscription(info.cid, sub) for sub in listed]
    elif query.subs and listed:
        fields["subscriptions_list"] = [sub.subject for sub in listed]
    if query.auth:
        fields["name_tag"] = GLOBAL_ACCOUNT
    return fields


def _subscription(cid: int, sub: SubscriptionInfo) -> dict[str, Any]:
    fields: dict[str, Any] = {"subject": sub.subject}
    if sub.queue:
        fields["qgroup"] = sub.queue
    fields |= {"sid": sub.sid, "msgs": sub.messages}
    if sub.max:
        fields["max"] = sub.max
    return fields | {"cid": cid}
