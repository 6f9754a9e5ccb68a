"""What log lines, the monitor and authentication are told of a connection.

The idea: functions of a connection that change nothing, kept apart from it so that
`broker.connection` is only about what happens. The words are nats-server's, since people and tools
search logs for them.

Neighbours: `broker.connection`, `broker.server`, `broker.cluster`. Loop thread only; each costs
O(length of its text), `record` O(subscriptions) with their list.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from broker.auth import REDACTED, accused, label_of
from broker.codec import count_messages
from broker.errors import Closed
from broker.gotime import nanoseconds, timestamp
from broker.handshake import ConnectOptions
from broker.identity import Credentials, Identity
from broker.snapshots import ConnectionInfo, SubscriptionInfo
from broker.switchboard import Subscription
from broker.tlscontext import described, names, peers

if TYPE_CHECKING:
    from broker.connection import Connection

__all__ = ["credentials", "explained", "introduction", "label", "record", "told", "undelivered"]

#: How the monitor calls the kinds of connections.
_TYPES = {"STANDARD": "nats", "WEBSOCKET": "websocket"}


def label(connection: Connection) -> str:
    """Who this is, as nats-server's log lines begin: address, id, client, account and user."""
    session = connection.session
    options, identity = session.options, session.identity
    ip = connection.ip
    host = f"[{ip}]" if ":" in ip else ip
    number = "wid" if connection.kind == "WEBSOCKET" else "cid"
    parts = [f"{host}:{connection.port}", f"{number}:{connection.cid}"]
    version = options.version and f"v{options.version}"
    client = ":".join(filter(None, (version, options.lang, options.name)))
    if client:
        parts.append(f'"{client}"')
    if who := label_of(options, identity):
        parts.append(f'"{who}"')
    return " - ".join(parts)


def explained(connection: Connection, reason: Closed) -> tuple[int, str] | None:
    """What nats-server logs about an end, before the line that every end has: level and text."""
    failure = connection.link.failure
    options = connection.owner.options
    if reason is Closed.AUTHENTICATION_FAILURE:
        owner = connection.owner
        if owner.doorman.quiet(connection.ip, owner.wall(owner.reactor.now())):
            return None
        who = accused(connection.session.options)
        return logging.ERROR, "authentication error" + (f" - {who}" if who else "")
    if reason is Closed.STALE_CONNECTION:
        return logging.DEBUG, "Stale Client Connection - Closing"
    if reason is Closed.SLOW_CONSUMER_PENDING:
        limit = f"MaxPending of {options.max_pending} Exceeded"
        return logging.INFO, f"Slow Consumer Detected: {limit}"
    if reason is Closed.SLOW_CONSUMER_DEADLINE:
        limit = f"WriteDeadline of {options.write_deadline:g}s exceeded"
        waiting = f"with {connection.stream.pending} total bytes"
        return logging.INFO, f"Slow Consumer Detected: {limit} {waiting}."
    if failure is not None:
        name, detail = (failure.error.text or b"").decode(), str(failure)
        return logging.ERROR, f"{name}: {detail}" if name and name != detail else detail
    if reason in (Closed.SERVER_SHUTDOWN, Closed.KICKED):
        return None
    return logging.ERROR, reason.value


def credentials(connection: Connection) -> Credentials:
    """What is known of the client besides its CONNECT, whose defaults are within."""
    entrance, tls, owner = connection.entrance, connection.stream.tls, connection.owner
    return Credentials(
        connect=ConnectOptions() if entrance is None else entrance.defaults,
        ip=connection.ip,
        kind=connection.kind,
        names=names(tls.object) if tls is not None and tls.secure else (),
        wall=owner.wall(owner.reactor.now()),
    )


def introduction(info: ConnectionInfo, server: str, share: bool) -> dict[str, object]:
    """What a service in another account is told of who asks: more where the asker shares it."""
    told: dict[str, object] = {"rtt": nanoseconds(info.rtt)}
    if share:
        told |= {
            "start": timestamp(info.start),
            "host": info.ip,
            "id": info.cid,
            "user": info.user,
            "server": server,
            "kind": info.kind,
            "client_type": info.type,
        }
    return told


def _claimed(options: ConnectOptions) -> str:
    """Who a client says it is, without a secret; empty if it does not say."""
    return options.nkey or options.user or (options.auth_token and REDACTED)


def record(
    connection: Connection,
    count: int,
    listed: Iterable[Subscription] = (),
    **ending: Any,
) -> ConnectionInfo:
    """The connection as it is, or (with how it ended) as it was."""
    wall = connection.owner.wall
    session, link, stream = connection.session, connection.link, connection.stream
    tls = stream.tls
    version, cipher = described(tls.object) if tls is not None and tls.secure else ("", "")
    identity = session.identity or Identity(account="", shown=_claimed(session.options))
    return ConnectionInfo(
        cid=connection.cid,
        ip=connection.ip,
        port=connection.port,
        start=wall(connection.started),
        last_activity=wall(max(connection.started, session.last_activity)),
        rtt=session.rtt,
        pending_bytes=link.queued + stream.pending,
        in_msgs=link.in_msgs,
        out_msgs=link.out_msgs,
        in_bytes=link.in_bytes,
        out_bytes=link.out_bytes,
        subscriptions=count,
        name=session.options.name,
        lang=session.options.lang,
        version=session.options.version,
        user=identity.shown,
        account=identity.account,
        jwt_issuer=identity.issuer,
        tags=identity.tags,
        account_name=identity.account_name,
        nkey=session.options.nkey,
        subscription_list=tuple(map(told, listed)),
        type=_TYPES[connection.kind],
        tls_version=version,
        tls_cipher=cipher,
        tls_peer=peers(tls.object) if version and tls is not None else (),
        **ending,
    )


def undelivered(connection: Connection, queued: bytes) -> int:
    """How many messages a client does not get, of which `queued` has left its link for nowhere.

    Exact but for what the stream holds: there, nobody knows any more where a message ends, and it
    is taken to hold messages of the average size.
    """
    link, stats = connection.link, connection.stream.stats()
    waiting = count_messages(queued)
    held = connection.stream.pending
    share = held / (stats.bytes_out + held) if held else 0.0
    return link.dropped + waiting + round((link.out_msgs - waiting) * share)


def told(subscription: Subscription) -> SubscriptionInfo:
    """A subscription as the monitor shows it."""
    return SubscriptionInfo(
        subject=subscription.filter.decode("utf-8", "replace"),
        sid=subscription.sid.decode("utf-8", "replace"),
        queue=subscription.queue.decode("utf-8", "replace"),
        messages=subscription.msgs,
        max=subscription.limit,
        account=subscription.account.name,
    )
