"""What log lines, the monitor and authentication are told of a connection.

The idea: functions of a connection that change nothing, kept apart from it so that
`broker.connection` is only about what happens. The words are nats-server's, since people and tools
search logs for them.

Neighbours: `broker.connection` and `broker.cluster`. Loop thread only; each costs O(length of its
text), `record` O(subscriptions) with their list.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from broker.auth import accused, label_of
from broker.errors import Closed
from broker.handshake import ConnectOptions
from broker.identity import Credentials
from broker.snapshots import ConnectionInfo, SubscriptionInfo
from broker.switchboard import Subscription
from broker.tlscontext import described, names, peers

if TYPE_CHECKING:
    from broker.connection import Connection

__all__ = ["credentials", "explained", "label", "record", "told"]

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
        return logging.ERROR, str(failure)
    if reason is Closed.SERVER_SHUTDOWN:
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
        user="" if session.identity is None else session.identity.shown,
        account="" if session.identity is None else session.identity.account,
        nkey=session.options.nkey,
        subscription_list=tuple(map(told, listed)),
        type=_TYPES[connection.kind],
        tls_version=version,
        tls_cipher=cipher,
        tls_peer=peers(tls.object) if version and tls is not None else (),
        **ending,
    )


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
