"""The keys of the blocks about other servers; the rest of `broker.schema`, whose words these are.

The idea: a broker that stands alone has none of these blocks, and whoever reads about one need not
see them.

Neighbours: `broker.schema` has these tables in its own. Immutable.
"""

from __future__ import annotations

from broker.schemakinds import Kind, Line, Reload

__all__ = ["PEER_BLOCKS", "PEER_REFUSED"]

_RESTART = Reload.RESTART

#: path -> the keys that we serve.
PEER_BLOCKS: dict[str, tuple[Line, ...]] = {
    "cluster": (
        ("name", Kind.TEXT, "name", _RESTART, "the cluster's name; all nodes have one"),
        ("listen", Kind.LISTEN, "host port", _RESTART, "where other nodes connect to"),
        ("port", Kind.PORT, "port", _RESTART, "the port of that; one must be given"),
        ("host net", Kind.TEXT, "host", _RESTART, "the address of that"),
        ("routes", Kind.TEXTS, "routes", _RESTART, "URLs of other nodes, to be dialled"),
        (
            "authorization",
            Kind.MAP,
            "user password auth_timeout",
            _RESTART,
            "what other nodes must say",
        ),
        ("tls", Kind.MAP, "tls", _RESTART, "encrypt; both sides show certificates"),
        (
            "permissions",
            Kind.MAP,
            "imports exports",
            _RESTART,
            "subjects that may come (import) and go (export)",
        ),
        (
            "advertise cluster_advertise",
            Kind.TEXT,
            "advertise",
            _RESTART,
            "host:port that other nodes are told to dial",
        ),
        ("no_advertise", Kind.SWITCH, "no_advertise", _RESTART, "tell clients of no other node"),
        (
            "connect_retries",
            Kind.LIMIT,
            "connect_retries",
            _RESTART,
            "for a node known by hearsay; at least 120 are made",
        ),
        ("connect_backoff", Kind.SWITCH, "connect_backoff", _RESTART, "dial ever more slowly"),
    ),
    "cluster authorization": (
        ("user username", Kind.TEXT, "user", _RESTART, "the name that other nodes must give"),
        ("password pass", Kind.SECRET, "password", _RESTART, "and the password"),
        ("timeout", Kind.SECONDS, "auth_timeout", _RESTART, "for them to introduce themselves"),
    ),
}

_ONE = "one connection carries all accounts, as nats-server agrees to"
_SAME = "the one at the top holds here as well"

#: path -> (names, why it is refused).
PEER_REFUSED: dict[str, tuple[tuple[str, str], ...]] = {
    "cluster": (
        ("pool_size", _ONE),
        ("accounts", _ONE),
        ("compression", "connections between nodes are not compressed, as nats-server agrees to"),
        ("ping_interval", _SAME),
        ("ping_max", _SAME),
        ("write_deadline", _SAME),
        ("write_timeout", "a node whose write blocks for write_deadline is always cut off"),
    ),
    "cluster authorization": (
        ("token", "Cluster authorization does not support tokens"),
        ("users", "Cluster authorization does not allow multiple users"),
        ("auth_callout auth_hook", "Cluster authorization does not support callouts"),
        ("default_permissions default_permission permissions", "they stand in cluster itself"),
        ("proxy_required", "it is not there yet"),
    ),
}
