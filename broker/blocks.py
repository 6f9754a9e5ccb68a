"""The blocks of the configuration: users, accounts, TLS, WebSocket, each as a frozen record.

The idea: whatever nests in a configuration is a record within `Options`, and what is flat stays a
field of `Options` itself. So a program that embeds a broker writes the same things as a file does
(``Broker(users=(UserBlock("ann", "secret"),))``), and a reload compares two values.

Invariants: these are records and nothing else. That a value makes sense (that a certificate
exists, that weights do not exceed 100, that two accounts agree) is checked where `Options` is built
or where a file is read, because only there it is known how to name the place that is wrong. Secrets
are not shown by `repr`.

Units: times are seconds, sizes bytes, and 0 means "no limit" unless a field says otherwise.
Subjects are bytes, as on the wire; names are texts.

Source: the configuration of nats-server 2.15, whose names and defaults these are.

Neighbours: `broker.config` has fields of these types; authentication, switchboard, TLS, WebSocket
and monitor read their own. Imports `broker.permissions` only; anybody may import it. Immutable,
hence thread-safe.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from broker.permissions import Permissions, Rules

__all__ = [
    "DEFAULT_ACCOUNT",
    "SYSTEM_ACCOUNT",
    "AccountBlock",
    "ClusterBlock",
    "Export",
    "Import",
    "IngressLimit",
    "JwtBlock",
    "LeafBlock",
    "MappingBlock",
    "RemoteBlock",
    "RemoteTls",
    "Target",
    "TlsBlock",
    "UserBlock",
    "WebsocketBlock",
]

# nats-server's name for the account of clients that have none of their own; clients see it in INFO.
DEFAULT_ACCOUNT = "$G"

#: The system account where the configuration names no other.
SYSTEM_ACCOUNT = "$SYS"


@dataclass(frozen=True)
class IngressLimit:
    """How fast a client may publish: bytes and messages per second (0: as fast as it likes).

    ``burst`` is for how many seconds' worth it may go faster.
    """

    bytes: float = 0
    messages: float = 0
    burst: float = 1.0


@dataclass(frozen=True)
class UserBlock:
    """One user: by name and password (in clear or as a bcrypt hash), or by its public nkey.

    ``connection_types`` are the ways in which the user may come (``STANDARD``, ``WEBSOCKET``);
    empty means any. Without ``permissions`` those of the account hold, or none.
    """

    user: str = ""
    password: str | None = field(default=None, repr=False)
    nkey: str = ""
    permissions: Permissions | None = None
    connection_types: frozenset[str] = frozenset()
    ingress: IngressLimit | None = None
    account: str = DEFAULT_ACCOUNT


@dataclass(frozen=True)
class TlsBlock:
    """How connections are encrypted, and what is asked of a client's certificate.

    ``verify`` asks for a certificate that ``ca_file`` vouches for; ``verify_and_map`` also takes
    the user from it. ``first`` begins with the handshake instead of INFO, and ``fallback`` is for
    how many seconds such a listener waits for one before it greets in plain (None: for ever).
    ``pinned_certs`` are SHA-256 hashes of public keys, in lower-case hex; if there are any, no
    other certificate will do. ``connection_rate_limit`` counts handshakes per second.
    """

    cert_file: str
    key_file: str
    ca_file: str | None = None
    verify: bool = False
    verify_and_map: bool = False
    timeout: float = 2.0
    first: bool = False
    fallback: float | None = None
    ciphers: tuple[str, ...] = ()
    min_version: str = "1.2"
    connection_rate_limit: int = 0
    pinned_certs: frozenset[str] = frozenset()


@dataclass(frozen=True)
class WebsocketBlock:
    """A second door, for browsers. ``host`` None is the address of the first.

    Without ``no_tls`` it needs ``tls``. ``same_origin`` and ``allowed_origins`` say which pages may
    open a connection. The ``..._cookie`` fields name the cookies from which a missing credential is
    taken, and are empty where none is.
    """

    host: str | None = None
    port: int = 443
    no_tls: bool = False
    tls: TlsBlock | None = None
    compression: bool = False
    same_origin: bool = False
    allowed_origins: tuple[str, ...] = ()
    handshake_timeout: float = 2.0
    jwt_cookie: str = ""
    user_cookie: str = ""
    pass_cookie: str = ""
    token_cookie: str = ""
    no_auth_user: str | None = None


@dataclass(frozen=True)
class Export:
    """What an account offers to others: a service to ask, or a stream to hear.

    ``accounts`` may import it (None: all). With ``token`` only an import may that is ``activated``;
    with a ``position``, counted from 1, only one that names its own account in that token of the
    subject. Of a service, ``response`` is ``single``, ``stream`` or ``chunked``, and ``threshold``
    for how many seconds an answer is waited for; with ``allow_trace`` importers who trace a request
    learn who got it.
    """

    subject: bytes
    service: bool
    accounts: tuple[str, ...] | None = None
    response: str = "single"
    threshold: float = 120.0
    token: bool = False
    position: int = 0
    allow_trace: bool = False


@dataclass(frozen=True)
class Import:
    """What an account takes from ``account``: its export of ``subject``.

    ``to`` is the subject by which it is known here, ``prefix`` (of a stream) what is put before it;
    at most one of them is given. ``share`` tells the service who asks; ``allow_trace`` (of a
    stream) tells those who trace a message that they publish who got it here. ``activated`` is that
    the exporter has signed for it, where it must.
    """

    account: str
    subject: bytes
    service: bool
    to: bytes = b""
    prefix: bytes = b""
    share: bool = False
    activated: bool = False
    allow_trace: bool = False


@dataclass(frozen=True)
class Target:
    """Where a mapping leads, and for how many messages in a hundred."""

    subject: bytes
    weight: int = 100


@dataclass(frozen=True)
class MappingBlock:
    """A rule by which published subjects become others: what matches ``source`` goes to one of
    ``targets``, and to where it was going anyway in the cases that their weights leave over.
    """

    source: bytes
    targets: tuple[Target, ...]


@dataclass(frozen=True)
class AccountBlock:
    """One account: its users, what it shares with others, and its limits.

    With ``presence`` its clients may hear who comes and goes, with ``slow_consumer_notices`` who
    was too slow; see `broker.presence`. ``trace_destination`` is where `traceparent` headers have
    messages reported, ``trace_sampling`` of how many in a hundred; see `broker.msgtrace`.
    ``max_subscriptions`` below 0 allows none at all. ``title`` is what an account
    by JWT calls itself, as its name is a key.
    """

    name: str
    users: tuple[UserBlock, ...] = ()
    exports: tuple[Export, ...] = ()
    imports: tuple[Import, ...] = ()
    mappings: tuple[MappingBlock, ...] = ()
    default_permissions: Permissions | None = None
    max_connections: int = 0
    max_subscriptions: int = 0
    max_payload: int = 0
    title: str = ""
    presence: bool = False
    slow_consumer_notices: bool = False
    trace_destination: bytes = b""
    trace_sampling: int = 100


@dataclass(frozen=True)
class JwtBlock:
    """Decentralized authentication: the operators' JWTs as text, and the accounts' by public key.

    Not hashable if ``preload`` is a dict; whoever fills it in must not change it afterwards.
    """

    operators: tuple[str, ...]
    preload: Mapping[str, str]


@dataclass(frozen=True)
class RemoteTls:
    """How a connection that we make is encrypted, and what is asked of the other's certificate.

    ``ca_file`` None: the authorities that the system trusts. ``cert_file`` and ``key_file`` are
    shown if we are asked for a certificate. ``insecure`` takes any certificate. ``first`` begins
    with the handshake; the other side must want that as well. For the rest see `TlsBlock`.
    """

    ca_file: str | None = None
    cert_file: str = ""
    key_file: str = ""
    insecure: bool = False
    timeout: float = 2.0
    first: bool = False
    ciphers: tuple[str, ...] = ()
    min_version: str = "1.2"
    pinned_certs: frozenset[str] = frozenset()


@dataclass(frozen=True)
class RemoteBlock:
    """A hub that we connect to, one of our accounts to one of its.

    ``urls`` are tried in turn, in random order unless ``no_randomize``; they may hold a user and a
    password. Or we log in by the seed ``nkey``, or with a file of ``credentials``. With ``hub`` the
    other side is our leaf, although it is we who connect. ``isolate`` tells it nothing of what our
    own leaves subscribe to, ``request_isolation`` asks it for the same. ``dial_timeout`` None: that
    of `LeafBlock`. ``disabled``: do not connect.
    """

    urls: tuple[str, ...] = field(repr=False)
    account: str = DEFAULT_ACCOUNT
    credentials: str = ""
    nkey: str = field(default="", repr=False)
    tls: RemoteTls | None = None
    hub: bool = False
    deny_imports: tuple[bytes, ...] = ()
    deny_exports: tuple[bytes, ...] = ()
    no_randomize: bool = False
    ignore_discovered: bool = False
    isolate: bool = False
    request_isolation: bool = False
    first_info_timeout: float = 1.0
    dial_timeout: float | None = None
    disabled: bool = False


@dataclass(frozen=True)
class LeafBlock:
    """Leaf nodes: a door for those below us, if there is a ``port`` (-1: any free one), and the
    hubs above us, ``remotes``.

    Who may come in as a leaf: one ``user``, the owner of one ``nkey``, or any of ``users``, each
    into its account; if none of these is given, whoever may come in as a client. ``advertise`` is
    the address that leaves are told of us. ``reconnect`` is for how long a hub that is gone is left
    alone. ``isolate`` tells leaves nothing of what other leaves subscribe to.
    """

    host: str | None = None
    port: int | None = None
    advertise: str | None = None
    user: str = ""
    password: str = field(default="", repr=False)
    nkey: str = ""
    account: str = DEFAULT_ACCOUNT
    users: tuple[UserBlock, ...] = ()
    auth_timeout: float = 2.0
    tls: TlsBlock | None = None
    remotes: tuple[RemoteBlock, ...] = ()
    reconnect: float = 1.0
    dial_timeout: float = 1.0
    isolate: bool = False


@dataclass(frozen=True)
class ClusterBlock:
    """Being a node of a cluster. ``name`` empty takes that of the others.

    ``routes`` are the URLs of other nodes to dial, as ``nats-route://user:password@host:port``; the
    rest is found by asking them. ``user`` and ``password`` are what others must say, ``imports``
    and ``exports`` which subjects may come from and go to them. With ``tls`` both sides show a
    certificate. ``advertise`` is the address that other nodes are told to dial; with
    ``no_advertise`` clients are not told of other nodes. A node known by hearsay is dialled
    ``connect_retries`` times more after a failure, at least 120 times, and ever more slowly; with
    ``connect_backoff`` so are those of ``routes``.
    """

    name: str = ""
    host: str = "0.0.0.0"
    port: int = 6222
    routes: tuple[str, ...] = field(default=(), repr=False)
    user: str = ""
    password: str = field(default="", repr=False)
    auth_timeout: float = 2.0
    imports: Rules | None = None
    exports: Rules | None = None
    tls: TlsBlock | None = None
    advertise: str = ""
    no_advertise: bool = False
    connect_retries: int = 0
    connect_backoff: bool = False
