"""Every key that a configuration may hold, as one table: what it takes, sets and means.

The idea: a key is said once. `broker.confread` reads by this table, its "unknown field" and "did
you mean" come from it, `broker.reload` asks it what a change needs, and the tables of
docs/configuration.md are compared with it. Defaults are not here: they are those of `Options` and
of the blocks, from which `rows` takes them.

A *path* names a kind of block, not a place: ``user`` are the entries of ``users`` in whichever
account. The empty path is the file itself.

A key of nats-server that we do not serve is here as well, with the reason: it is refused by name,
because a setting that is ignored is worse than one that is refused. A few do nothing here because
what they ask for is always so; they are accepted (`Status.MOOT`).

Names are nats-server's, and matched without regard to capitals, as there. Ours alone: ``ingress``,
``backend``, ``first_ping``, ``presence``, ``slow_consumer_notices``.

Immutable, hence thread-safe. Looking up a block's keys is O(1) after the first time.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from broker.blocks import (
    AccountBlock,
    ClusterBlock,
    Export,
    Import,
    IngressLimit,
    LeafBlock,
    RemoteBlock,
    RemoteTls,
    TlsBlock,
    WebsocketBlock,
)
from broker.config import Options
from broker.gotime import duration
from broker.leafkeys import LEAF_BLOCKS, LEAF_REFUSED
from broker.permissions import Responses
from broker.schemakinds import Kind, Line, Reload, Status
from broker.schemapeers import PEER_BLOCKS, PEER_REFUSED

__all__ = ["KEYS", "Key", "Kind", "Reload", "Row", "Status", "keys_of", "rows"]


@dataclass(frozen=True)
class Key:
    """One key: the block it may stand in, its names (the best one first), what it takes, the field
    it sets, what a change of it needs, and what it means (of one refused: why).
    """

    path: str
    names: tuple[str, ...]
    kind: Kind
    field: str
    reload: Reload
    help: str
    status: Status = Status.SERVED


@dataclass(frozen=True)
class Row:
    """A line of the guide: `default` is as a file writes it, and empty where there is none."""

    key: Key
    default: str


_LIVE, _ACT, _RESTART = Reload.LIVE, Reload.ACT, Reload.RESTART

_TOP: tuple[Line, ...] = (
    ("listen", Kind.LISTEN, "host port", _RESTART, "where clients connect to"),
    ("port", Kind.PORT, "port", _RESTART, "the port of that"),
    ("host net", Kind.TEXT, "host", _RESTART, "the address of that"),
    ("client_advertise", Kind.TEXT, "client_advertise", _LIVE, "host:port that INFO tells clients"),
    ("server_name", Kind.NAME, "server_name", _RESTART, "the server's name (its id)"),
    ("tls", Kind.MAP, "tls", _ACT, "encrypt client connections"),
    ("allow_non_tls", Kind.SWITCH, "allow_non_tls", _RESTART, "serve plain connections as well"),
    ("websocket ws", Kind.MAP, "websocket", _RESTART, "a second door, for browsers"),
    ("cluster", Kind.MAP, "cluster", _RESTART, "be a node of a cluster"),
    ("leafnodes leaf", Kind.MAP, "leafnodes", _RESTART, "leaves below us, hubs above us"),
    ("authorization", Kind.MAP, "", _ACT, "who may come in"),
    ("accounts", Kind.NAMED_MAPS, "accounts", _ACT, "users who do not hear those of others"),
    ("no_auth_user", Kind.TEXT, "no_auth_user", _ACT, "who a client without credentials is"),
    ("system_account system", Kind.TEXT, "system_account", _RESTART, "the account of $SYS"),
    ("mappings maps", Kind.OTHER, "mappings", _ACT, "which subjects become others"),
    ("presence", Kind.SWITCH, "presence", _ACT, "tell clients who comes and goes (ours)"),
    (
        "slow_consumer_notices",
        Kind.SWITCH,
        "slow_consumer_notices",
        _ACT,
        "tell clients who was too slow (ours)",
    ),
    (
        "operator operators roots root root_operators root_operator",
        Kind.TEXTS,
        "jwt",
        _RESTART,
        "JWTs, or files of them, of those who vouch for accounts",
    ),
    (
        "resolver account_resolver accounts_resolver",
        Kind.CHOICE,
        "",
        _RESTART,
        "where account JWTs are: MEMORY, which is resolver_preload",
    ),
    ("resolver_preload", Kind.OTHER, "", _ACT, "account JWTs by the public keys of the accounts"),
    ("max_connections max_conn", Kind.CONNECTIONS, "max_connections", _LIVE, "clients at a time"),
    ("max_control_line", Kind.SIZE, "max_control_line", _LIVE, "bytes of a protocol line"),
    ("max_payload", Kind.SIZE, "max_payload", _LIVE, "bytes of a message"),
    ("max_pending", Kind.SIZE, "max_pending", _LIVE, "unsent bytes that end a slow client"),
    ("max_subscriptions max_subs", Kind.LIMIT, "max_subscriptions", _LIVE, "of one client"),
    (
        "max_sub_tokens max_subscription_tokens",
        Kind.TOKENS,
        "max_sub_tokens",
        _RESTART,
        "tokens that a subscription's subject may have",
    ),
    ("ingress", Kind.MAP, "ingress", _LIVE, "how fast one user may publish (ours)"),
    ("ping_interval", Kind.DURATION, "ping_interval", _LIVE, "between PINGs to a silent client"),
    ("ping_max", Kind.COUNT, "ping_max", _LIVE, "PINGs without an answer that end it"),
    ("first_ping", Kind.DURATION, "first_ping", _LIVE, "until the first PING (ours)"),
    ("write_deadline", Kind.DURATION, "write_deadline", _LIVE, "a blocked write's time"),
    ("lame_duck_duration", Kind.SPAN, "lame_duck_duration", _LIVE, "to send clients away in"),
    ("lame_duck_grace_period", Kind.SPAN, "lame_duck_grace", _LIVE, "before the first of them"),
    ("http_port monitor_port", Kind.MONITOR_PORT, "http_port", _RESTART, "monitoring"),
    ("http", Kind.MONITOR_LISTEN, "http_host http_port", _RESTART, "the same with an address"),
    ("https_port", Kind.MONITOR_PORT, "https_port", _RESTART, "monitoring with TLS"),
    ("https", Kind.MONITOR_LISTEN, "http_host https_port", _RESTART, "the same with an address"),
    ("http_base_path", Kind.TEXT, "http_base_path", _RESTART, "put before the monitor's pages"),
    ("debug", Kind.SWITCH, "debug", _ACT, "log what happens to each connection"),
    ("trace", Kind.SWITCH, "trace", _ACT, "log every protocol line"),
    ("max_traced_msg_len", Kind.LIMIT, "max_traced", _LIVE, "bytes of a message in traces"),
    ("logtime", Kind.SWITCH, "logtime", _ACT, "begin log lines with the time"),
    ("logtime_utc", Kind.SWITCH, "logtime_utc", _ACT, "in UTC"),
    ("log_file logfile", Kind.TEXT, "log_file", _ACT, "append log lines to this file"),
    ("syslog", Kind.SWITCH, "syslog", _ACT, "log to this machine's syslog"),
    ("remote_syslog", Kind.TEXT, "syslog", _ACT, "log to that of another: udp://host:514"),
    ("pid_file pidfile", Kind.TEXT, "pid_file", _ACT, "write the process id to this file"),
    ("ports_file_dir", Kind.TEXT, "ports_file_dir", _ACT, "write the ports to a file in here"),
    ("max_closed_clients", Kind.INTEGER, "closed_ring", _RESTART, "ended ones that /connz shows"),
    ("backend", Kind.TEXT, "backend", _RESTART, "wait by select, poll or epoll (ours)"),
)

_BLOCKS: dict[str, tuple[Line, ...]] = {
    "authorization": (
        ("user username", Kind.TEXT, "user", _ACT, "let in only this user"),
        ("password pass", Kind.SECRET, "password", _ACT, "with this password, or its bcrypt hash"),
        ("token", Kind.SECRET, "token", _ACT, "let in only who knows this token, or its hash"),
        ("timeout", Kind.SECONDS, "auth_timeout", _LIVE, "for a client to say who it is"),
        ("users", Kind.ARRAY, "users", _ACT, "let in these users"),
        (
            "default_permissions default_permission permissions",
            Kind.MAP,
            "permissions",
            _ACT,
            "of users that have none of their own",
        ),
    ),
    "user": (
        ("user username", Kind.TEXT, "user", _ACT, "the name"),
        ("password pass", Kind.SECRET, "password", _ACT, "the password, or its bcrypt hash"),
        ("nkey", Kind.TEXT, "nkey", _ACT, "the public key, instead of these two"),
        ("permissions permission authorization", Kind.MAP, "permissions", _ACT, "what it may do"),
        (
            "allowed_connection_types connection_types clients",
            Kind.TEXTS,
            "connection_types",
            _ACT,
            "how it may come: STANDARD, WEBSOCKET",
        ),
        ("ingress", Kind.MAP, "ingress", _ACT, "how fast it may publish (ours)"),
    ),
    "permissions": (
        ("publish pub import", Kind.OTHER, "publish", _ACT, "subjects it may publish to"),
        ("subscribe sub export", Kind.OTHER, "subscribe", _ACT, "subjects it may subscribe to"),
        (
            "allow_responses publish_allow_responses",
            Kind.OTHER,
            "responses",
            _ACT,
            "whether it may answer requests: true, or a map",
        ),
    ),
    "rules": (
        ("allow", Kind.SUBJECTS, "allow", _ACT, "these only"),
        ("deny", Kind.SUBJECTS, "deny", _ACT, "all but these"),
    ),
    "responses": (
        ("max max_msgs max_messages max_responses", Kind.INTEGER, "max", _ACT, "for each request"),
        ("expires expiration ttl", Kind.SPAN, "expires", _ACT, "since the request"),
    ),
    "account": (
        ("users", Kind.ARRAY, "users", _ACT, "whose account it is"),
        ("exports", Kind.ARRAY, "exports", _ACT, "what it offers to others"),
        ("imports", Kind.ARRAY, "imports", _ACT, "what it takes from others"),
        ("mappings maps", Kind.OTHER, "mappings", _ACT, "which subjects become others"),
        ("default_permissions", Kind.MAP, "default_permissions", _ACT, "of users without any"),
        ("limits", Kind.MAP, "", _ACT, "how much of everything"),
        ("presence", Kind.SWITCH, "presence", _ACT, "tell clients who comes and goes (ours)"),
        (
            "slow_consumer_notices",
            Kind.SWITCH,
            "slow_consumer_notices",
            _ACT,
            "tell clients who was too slow (ours)",
        ),
        (
            "msg_trace trace_dest",
            Kind.OTHER,
            "",
            _ACT,
            "where messages with a sampled traceparent are traced: a subject, or a map",
        ),
    ),
    "msg_trace": (
        ("dest", Kind.TEXT, "trace_destination", _ACT, "the subject to which it is reported"),
        ("sampling", Kind.OTHER, "trace_sampling", _ACT, "of how many in a hundred, as in 40%"),
    ),
    "limits": (
        ("max_connections max_conn", Kind.LIMIT, "max_connections", _ACT, "of all its users"),
        ("max_subscriptions max_subs", Kind.LIMIT, "max_subscriptions", _ACT, "of all its users"),
        ("max_payload max_pay", Kind.LIMIT, "max_payload", _ACT, "bytes of a message"),
    ),
    "export": (
        ("stream", Kind.TEXT, "subject", _ACT, "the subject others may hear"),
        ("service", Kind.TEXT, "subject", _ACT, "the subject others may send requests to"),
        ("accounts", Kind.TEXTS, "accounts", _ACT, "who may import it (all)"),
        ("response response_type", Kind.CHOICE, "response", _ACT, "single, stream or chunked"),
        (
            "threshold response_threshold response_max_time response_time",
            Kind.SPAN,
            "threshold",
            _ACT,
            "how long a service's answer is waited for",
        ),
        ("allow_trace", Kind.SWITCH, "allow_trace", _ACT, "tell who traces who got a request"),
    ),
    "import": (
        ("stream", Kind.MAP, "", _ACT, "the account and subject of a stream"),
        ("service", Kind.MAP, "", _ACT, "the account and subject of a service"),
        ("to", Kind.TEXT, "to", _ACT, "its subject here"),
        ("prefix", Kind.TEXT, "prefix", _ACT, "what is put before a stream's subject"),
        ("share", Kind.SWITCH, "share", _ACT, "tell the service who asks"),
        ("allow_trace", Kind.SWITCH, "allow_trace", _ACT, "tell who traces who gets a stream"),
    ),
    "source": (
        ("account", Kind.TEXT, "account", _ACT, "who exports it"),
        ("subject", Kind.TEXT, "subject", _ACT, "by which name"),
    ),
    "target": (
        ("destination dest", Kind.TEXT, "subject", _ACT, "where to"),
        ("weight", Kind.OTHER, "weight", _ACT, "for how many in a hundred, as in 40%"),
    ),
    "tls": (
        ("cert_file", Kind.TEXT, "cert_file", _ACT, "our certificate, PEM"),
        ("key_file", Kind.TEXT, "key_file", _ACT, "its private key, PEM"),
        ("ca_file", Kind.TEXT, "ca_file", _ACT, "who vouches for clients' certificates, PEM"),
        ("verify", Kind.SWITCH, "verify", _ACT, "ask clients for a certificate"),
        ("verify_and_map", Kind.SWITCH, "verify_and_map", _ACT, "and take the user from it"),
        ("timeout", Kind.SECONDS, "timeout", _ACT, "for the handshake"),
        (
            "handshake_first first immediate",
            Kind.CHOICE,
            "first",
            _ACT,
            "begin with the handshake, not INFO: true, false, auto or how long to wait for one",
        ),
        ("cipher_suites", Kind.TEXTS, "ciphers", _ACT, "for TLS 1.2, by their names in its RFCs"),
        ("min_version", Kind.CHOICE, "min_version", _ACT, '"1.2" or "1.3"'),
        ("connection_rate_limit", Kind.INTEGER, "connection_rate_limit", _ACT, "a second; 0: none"),
        ("pinned_certs", Kind.TEXTS, "pinned_certs", _ACT, "SHA-256 of the public keys let in"),
    ),
    "websocket": (
        ("listen", Kind.LISTEN, "host port", _RESTART, "where browsers connect to"),
        ("port", Kind.PORT, "port", _RESTART, "the port of that; one must be given"),
        ("host net", Kind.TEXT, "host", _RESTART, "the address of that (the clients' one)"),
        ("no_tls", Kind.SWITCH, "no_tls", _RESTART, "do without TLS"),
        ("tls", Kind.MAP, "tls", _ACT, "encrypt"),
        ("compression compress", Kind.SWITCH, "compression", _RESTART, "if the browser likes"),
        ("same_origin", Kind.SWITCH, "same_origin", _RESTART, "only pages from our own address"),
        (
            "allowed_origins allowed_origin allow_origins allow_origin origins origin",
            Kind.TEXTS,
            "allowed_origins",
            _RESTART,
            "only pages from these addresses",
        ),
        ("handshake_timeout", Kind.SECONDS, "handshake_timeout", _RESTART, "for the HTTP part"),
        ("jwt_cookie", Kind.TEXT, "jwt_cookie", _RESTART, "a cookie that holds the JWT"),
        ("user_cookie", Kind.TEXT, "user_cookie", _RESTART, "a cookie that holds the user"),
        ("pass_cookie", Kind.TEXT, "pass_cookie", _RESTART, "a cookie that holds the password"),
        ("token_cookie", Kind.TEXT, "token_cookie", _RESTART, "a cookie that holds the token"),
        ("no_auth_user", Kind.TEXT, "no_auth_user", _RESTART, "no_auth_user for this door"),
    ),
    "ingress": (
        ("bytes", Kind.RATE, "bytes", _LIVE, "a second; 0: no limit"),
        ("messages msgs", Kind.RATE, "messages", _LIVE, "a second; 0: no limit"),
        ("burst", Kind.SECONDS, "burst", _LIVE, "for how long it may be faster"),
    ),
    **PEER_BLOCKS,
    **LEAF_BLOCKS,
}

_NO_JETSTREAM = "there is no JetStream yet; messages are not stored"
_NOT_YET = "it is not there yet"

#: path -> (names, why it is refused).
_REFUSED: dict[str, tuple[tuple[str, str], ...]] = {
    "": (
        ("gateway", "there are no super-clusters; one cluster can be told of many nodes"),
        ("jetstream", _NO_JETSTREAM),
        ("store_dir storedir", _NO_JETSTREAM),
        ("default_js_domain", _NO_JETSTREAM),
        ("mqtt", "MQTT is not spoken here"),
        ("trusted trusted_keys", "name the operator itself, in operator"),
        ("resolver_tls resolver_pinned_accounts", "account JWTs come from resolver_preload only"),
        ("default_sentinel", _NOT_YET),
        ("trace_verbose trace_headers", "trace shows all that there is to show"),
        ("logfile_size_limit log_size_limit logfile_max_num log_max_num", "logrotate does it"),
        ("prof_port prof_block_rate", "use a profiler for Python"),
        ("no_system_account no_system no_sys_acc", "leave system_account out instead"),
        ("no_header_support", "clients may always send headers"),
        ("write_timeout", "a client whose write blocks for write_deadline is always cut off"),
        ("proxy_protocol proxies", _NOT_YET),
        ("ocsp ocsp_cache", _NOT_YET),
        ("server_tags server_metadata feature_flags", _NOT_YET),
    ),
    "authorization": (
        ("auth_callout auth_hook", "embed the broker and give it a function: Broker(auth=...)"),
        ("proxy_required", _NOT_YET),
    ),
    "user": (("proxy_required", _NOT_YET),),
    "account": (
        ("nkey", "an account that has a key comes by operator and resolver_preload"),
        ("jetstream", _NO_JETSTREAM),
    ),
    "limits": (("max_leafnodes max_leafs", "leaf nodes are not counted yet"),),
    "export": (
        ("latency", _NOT_YET),
        ("account_token_position", _NOT_YET),
    ),
    "target": (("cluster", _NOT_YET),),
    "tls": (
        ("insecure", "it is for connections that we make, as in the remotes of leafnodes"),
        ("verify_cert_and_check_known_urls", _NOT_YET),
        ("curve_preferences", "Python cannot choose several"),
        ("allow_insecure_cipher_suites", "insecure suites are not served"),
        ("certs certificates", "give one pair, as cert_file and key_file"),
        (
            "cert_store cert_match_by cert_match ca_certs_match cert_match_skip_invalid",
            "they are for the store of Windows",
        ),
        ("ocsp_peer", _NOT_YET),
    ),
    "websocket": (
        ("authorization authentication", "authorization holds for this door as well"),
        ("advertise", _NOT_YET),
        ("headers", _NOT_YET),
        ("ping_interval", "ping_interval at the top holds for this door as well"),
    ),
    **PEER_REFUSED,
    **LEAF_REFUSED,
}

_MOOT: tuple[tuple[str, Kind, str], ...] = (
    ("no_fast_producer_stall", Kind.SWITCH, "producers are never stalled here"),
    ("disable_sublist_cache no_sublist_cache", Kind.SWITCH, "the flow table changes no result"),
    ("connect_error_reports", Kind.INTEGER, "the first failure is reported, then one in 3600"),
    ("reconnect_error_reports", Kind.INTEGER, "the first failure is reported, then one in 3600"),
)


def _table() -> Iterator[Key]:
    for path, lines in {"": _TOP, **_BLOCKS}.items():
        for names, kind, field, reload, text in lines:
            yield Key(path, tuple(names.split()), kind, field, reload, text)
    for names, kind, text in _MOOT:
        yield Key("", tuple(names.split()), kind, "", _LIVE, text, Status.MOOT)
    for path, refused in _REFUSED.items():
        for names, why in refused:
            split = tuple(names.split())
            yield Key(path, split, Kind.OTHER, "", _RESTART, why, Status.REFUSED)


#: All of them, block by block.
KEYS: tuple[Key, ...] = tuple(_table())

#: The records that blocks become, for the defaults.
_RECORDS: dict[str, type] = {
    "": Options,
    "authorization": Options,
    "cluster": ClusterBlock,
    "cluster authorization": ClusterBlock,
    "account": AccountBlock,
    "export": Export,
    "import": Import,
    "ingress": IngressLimit,
    "leafnodes": LeafBlock,
    "leaf remote": RemoteBlock,
    "leaf tls": RemoteTls,
    "limits": AccountBlock,
    "msg_trace": AccountBlock,
    "responses": Responses,
    "tls": TlsBlock,
    "websocket": WebsocketBlock,
}


#: What has a default in Python and must be given in a file: a door that nobody asked for is none.
_GIVEN = frozenset(
    key for key in KEYS if key.path in ("websocket", "cluster") and key.field == "port"
)


@functools.cache
def keys_of(path: str) -> Mapping[str, Key]:
    """The keys of one kind of block, by each of their names."""
    return {name: key for key in KEYS if key.path == path for name in key.names}


def rows() -> Iterator[Row]:
    """Every key with its default, in the order of the table."""
    for key in KEYS:
        yield Row(key, _default(key))


def _default(key: Key) -> str:
    record: Any = _RECORDS.get(key.path)
    if record is None or not key.field or " " in key.field or key in _GIVEN:
        return ""
    found = next((f for f in dataclasses.fields(record) if f.name == key.field), None)
    if found is None or found.default in (None, "", b"", (), frozenset(), dataclasses.MISSING):
        return ""
    value = found.default
    if isinstance(value, bool):
        return str(value).lower()
    if key.kind in (Kind.DURATION, Kind.SPAN, Kind.SECONDS):
        return duration(value)
    return str(value)
