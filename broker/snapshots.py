"""What a broker looked like at one moment, as frozen records that may leave its thread.

The idea: connections and counters live on the reactor's thread and change all the time; whoever
asks (the monitor's pages, ``Broker.stats()``, a test) gets a copy that never changes and refers to
nothing alive.

Times are seconds: wall-clock times since the epoch, spans as plain seconds. Texts that clients
chose (names, subjects) are decoded as UTF-8 with replacement characters, for people to read; do not
compare them byte by byte.

Neighbours: `broker.server` makes them, `broker.varz` and `broker.connz` turn them into JSON,
`broker.embedded` hands them out. Imports the records of `broker.blocks` and nothing else of ours.
All records are immutable and therefore thread-safe.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from broker.blocks import DEFAULT_ACCOUNT, Export, Import, MappingBlock

__all__ = [
    "AccountInfo",
    "BrokerStats",
    "ConnectionInfo",
    "Explanation",
    "Recipient",
    "SubscriptionInfo",
]


@dataclass(frozen=True)
class SubscriptionInfo:
    """One subscription of one connection. ``max`` is 0 unless the client set a limit with UNSUB."""

    subject: str
    sid: str
    queue: str = ""
    messages: int = 0
    max: int = 0
    account: str = DEFAULT_ACCOUNT


@dataclass(frozen=True)
class RouteInfo:
    """A route to another node. ``solicited``: it was we who dialled; ``configured``: because the
    configuration says so. Messages and bytes as in `ConnectionInfo`.
    """

    rid: int
    remote_id: str
    remote_name: str
    solicited: bool
    configured: bool
    ip: str
    port: int
    start: float
    last_activity: float
    rtt: float
    pending_bytes: int
    in_msgs: int
    in_bytes: int
    out_msgs: int
    out_bytes: int
    subscriptions: tuple[SubscriptionInfo, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class ConnectionInfo:
    """One client connection, open or closed (then ``stop`` and ``reason`` say when and why).

    Messages and bytes count from the broker's point of view: ``in`` was published by the client,
    ``out`` was delivered to it. Bytes are payload and headers, without protocol lines.
    ``subscription_list`` is filled only where it was asked for, and never for closed connections.

    ``kind`` and ``type`` say what is connected and by which protocol, in the words of nats-server's
    pages. The ``tls`` fields are empty without TLS; ``tls_peer`` are the subjects of the
    certificates that the client showed. ``nkey`` is public, ``jwt_issuer`` the key that signed the
    user's JWT, ``tags`` stand in it, and ``account_name`` in that of its account.
    """

    cid: int
    ip: str
    port: int
    start: float
    last_activity: float
    rtt: float = 0.0
    pending_bytes: int = 0
    in_msgs: int = 0
    out_msgs: int = 0
    in_bytes: int = 0
    out_bytes: int = 0
    subscriptions: int = 0
    name: str = ""
    lang: str = ""
    version: str = ""
    user: str = ""
    stop: float | None = None
    reason: str = ""
    subscription_list: tuple[SubscriptionInfo, ...] = field(default=(), repr=False)
    account: str = DEFAULT_ACCOUNT
    kind: str = "Client"
    type: str = "nats"
    tls_version: str = ""
    tls_cipher: str = ""
    tls_peer: tuple[str, ...] = ()
    jwt_issuer: str = ""
    tags: tuple[str, ...] = ()
    account_name: str = ""
    nkey: str = ""

    def info(self, *, subscriptions: bool = False) -> ConnectionInfo:
        """Itself: so that open connections and records of closed ones can be asked alike."""
        return self


@dataclass(frozen=True)
class AccountInfo:
    """One account in numbers, and what it shares with others as it was configured.

    ``connections`` (of clients), ``leafnodes`` and ``subscriptions`` are those of the moment, the
    others totals since the start. Messages and bytes count as in `ConnectionInfo`. ``title`` is
    what an account by JWT calls itself.
    """

    name: str
    connections: int
    total_connections: int
    subscriptions: int
    in_msgs: int
    in_bytes: int
    out_msgs: int
    out_bytes: int
    slow_consumers: int
    exports: tuple[Export, ...] = ()
    imports: tuple[Import, ...] = ()
    mappings: tuple[MappingBlock, ...] = ()
    title: str = ""
    leafnodes: int = 0


@dataclass(frozen=True)
class BrokerStats:
    """The whole broker in numbers. Counters are totals since the start, including closed
    connections. ``routes`` are connections to ``remotes`` other nodes of ``cluster``.
    """

    server_id: str
    server_name: str
    version: str
    host: str
    port: int
    http_host: str
    http_port: int
    start: float
    now: float
    connections: int
    total_connections: int
    in_msgs: int
    in_bytes: int
    out_msgs: int
    out_bytes: int
    subscriptions: int
    slow_consumers: int
    stale_connections: int
    flows: int
    websocket_port: int = 0
    leafnodes: int = 0
    leaf_port: int = 0
    routes: int = 0
    remotes: int = 0
    cluster: str = ""
    cluster_port: int = 0


@dataclass(frozen=True)
class Recipient:
    """A subscription that a message would reach, or might as the member of a queue group.

    ``messages`` and ``max`` as in `SubscriptionInfo`.
    """

    cid: int
    sid: str
    filter: str
    queue: str = ""
    messages: int = 0
    max: int = 0


@dataclass(frozen=True)
class Explanation:
    """What would become of a message published in ``account``, and by which flow.

    ``subject`` is what a mapping makes of ``published``, if there is one. Each of ``plain`` gets a
    copy, each of ``peers`` (other servers) a line, and one of each of ``picks``, which are never
    empty. ``pattern`` is empty where the answer
    holds for this subject alone and is not kept; ``installed`` says whether the flow is in the
    table. ``withheld`` match and may not be given it; ``crossings`` say in words what it meets
    besides.
    """

    account: str
    published: str
    subject: str
    zone: int
    pattern: str
    installed: bool
    asks: bool
    plain: tuple[Recipient, ...] = ()
    picks: tuple[tuple[Recipient, ...], ...] = ()
    peers: tuple[Recipient, ...] = ()
    withheld: tuple[Recipient, ...] = ()
    crossings: tuple[str, ...] = ()

    def cids(self) -> set[int]:
        """The connections that it speaks of."""
        members = (member for pick in self.picks for member in pick)
        return {recipient.cid for recipient in (*self.plain, *members, *self.withheld)}
