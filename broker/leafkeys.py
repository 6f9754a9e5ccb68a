"""The keys of ``leafnodes``: where leaves come in, and the hubs that we connect to.

The idea: a part of the table of `broker.schema`, which joins it to the rest; see there. Names and
defaults are nats-server's. What concerns compression is refused if it asks for any: we offer none,
and a peer that would like some then does without, as nats-server's rules are.

Immutable, hence thread-safe. Neighbours: `broker.confleaf` reads by it.
"""

from __future__ import annotations

from broker.schemakinds import Kind, Line, Reload

__all__ = ["LEAF_BLOCKS", "LEAF_REFUSED"]

_RESTART = Reload.RESTART

LEAF_BLOCKS: dict[str, tuple[Line, ...]] = {
    "leafnodes": (
        ("listen", Kind.LISTEN, "host port", _RESTART, "where leaves connect to"),
        ("port", Kind.PORT, "port", _RESTART, "the port of that (usually 7422)"),
        ("host net", Kind.TEXT, "host", _RESTART, "the address of that"),
        ("advertise leafnode_advertise", Kind.TEXT, "advertise", _RESTART, "host:port told leaves"),
        ("authorization", Kind.MAP, "", _RESTART, "who may come in as a leaf"),
        ("tls", Kind.MAP, "tls", _RESTART, "encrypt connections of leaves"),
        ("remotes", Kind.ARRAY, "remotes", _RESTART, "the hubs that we connect to"),
        (
            "reconnect reconnect_delay reconnect_interval",
            Kind.DURATION,
            "reconnect",
            _RESTART,
            "until a hub is tried again",
        ),
        ("dial_timeout", Kind.DURATION, "dial_timeout", _RESTART, "for a hub to take a connection"),
        (
            "isolate isolate_leafnode_interest",
            Kind.SWITCH,
            "isolate",
            _RESTART,
            "tell leaves nothing of what other leaves subscribe to",
        ),
        ("compression", Kind.OTHER, "", _RESTART, "off, or accept, which is the same here"),
    ),
    "leaf authorization": (
        ("user username", Kind.TEXT, "user", _RESTART, "let in only this user"),
        ("password pass", Kind.SECRET, "password", _RESTART, "with this password, or its hash"),
        ("nkey", Kind.TEXT, "nkey", _RESTART, "let in only the owner of this public key"),
        ("account", Kind.TEXT, "account", _RESTART, "into this account"),
        ("timeout", Kind.SECONDS, "auth_timeout", _RESTART, "for a leaf to say who it is"),
        ("users", Kind.ARRAY, "users", _RESTART, "let in these users"),
    ),
    "leaf user": (
        ("user username", Kind.TEXT, "user", _RESTART, "the name"),
        ("password pass", Kind.SECRET, "password", _RESTART, "the password, or its bcrypt hash"),
        ("account", Kind.TEXT, "account", _RESTART, "the account it comes into"),
    ),
    "leaf remote": (
        ("urls url", Kind.TEXTS, "urls", _RESTART, "the hub's addresses, with user and password"),
        ("account local", Kind.TEXT, "account", _RESTART, "our account that is joined to it"),
        ("credentials creds", Kind.TEXT, "credentials", _RESTART, "a file with a JWT and its key"),
        ("nkey seed", Kind.SECRET, "nkey", _RESTART, "the seed of the key that we log in with"),
        ("tls", Kind.MAP, "tls", _RESTART, "encrypt"),
        ("hub", Kind.SWITCH, "hub", _RESTART, "be the hub, although it is we who connect"),
        (
            "deny_imports deny_import",
            Kind.SUBJECTS,
            "deny_imports",
            _RESTART,
            "subjects not taken from the hub",
        ),
        (
            "deny_exports deny_export",
            Kind.SUBJECTS,
            "deny_exports",
            _RESTART,
            "subjects not given to the hub",
        ),
        ("no_randomize dont_randomize", Kind.SWITCH, "no_randomize", _RESTART, "urls in order"),
        (
            "ignore_discovered_servers",
            Kind.SWITCH,
            "ignore_discovered",
            _RESTART,
            "only these urls, not those that the hub tells of",
        ),
        (
            "isolate isolate_leafnode_interest",
            Kind.SWITCH,
            "isolate",
            _RESTART,
            "tell the hub nothing of what our own leaves subscribe to",
        ),
        ("request_isolation", Kind.SWITCH, "request_isolation", _RESTART, "ask the hub for that"),
        ("first_info_timeout", Kind.DURATION, "first_info_timeout", _RESTART, "for its greeting"),
        ("dial_timeout", Kind.DURATION, "dial_timeout", _RESTART, "instead of that of leafnodes"),
        ("disabled", Kind.SWITCH, "disabled", _RESTART, "do not connect"),
        ("compression", Kind.OTHER, "", _RESTART, "off, or accept, which is the same here"),
    ),
    "leaf tls": (
        (
            "cert_file",
            Kind.TEXT,
            "cert_file",
            _RESTART,
            "our certificate, PEM, if one is asked for",
        ),
        ("key_file", Kind.TEXT, "key_file", _RESTART, "its private key, PEM"),
        ("ca_file", Kind.TEXT, "ca_file", _RESTART, "who vouches for the hub (the system's), PEM"),
        ("insecure", Kind.SWITCH, "insecure", _RESTART, "do not look at its certificate"),
        ("timeout", Kind.SECONDS, "timeout", _RESTART, "for the handshake"),
        ("handshake_first first immediate", Kind.SWITCH, "first", _RESTART, "before any INFO"),
        ("cipher_suites", Kind.TEXTS, "ciphers", _RESTART, "for TLS 1.2, by their names in RFCs"),
        ("min_version", Kind.CHOICE, "min_version", _RESTART, '"1.2" or "1.3"'),
        ("pinned_certs", Kind.TEXTS, "pinned_certs", _RESTART, "SHA-256 of the public keys taken"),
    ),
}

_NO_JETSTREAM = "there is no JetStream yet; messages are not stored"
_NO_WEBSOCKET = "leaves are not connected by WebSocket"
_NOT_YET = "it is not there yet"

#: path -> (names, why it is refused).
LEAF_REFUSED: dict[str, tuple[tuple[str, str], ...]] = {
    "leafnodes": (
        ("no_advertise", "this is for clusters of hubs, whose addresses are not told yet"),
        ("min_version minimum_version", _NOT_YET),
        ("write_deadline", "write_deadline at the top holds for leaves as well"),
        ("write_timeout", "a leaf whose write blocks for write_deadline is always cut off"),
    ),
    "leaf authorization": (("proxy_required", _NOT_YET),),
    "leaf user": (("proxy_required", _NOT_YET),),
    "leaf remote": (
        ("ws_compress ws_compression websocket_compress websocket_compression", _NO_WEBSOCKET),
        ("ws_no_masking websocket_no_masking", _NO_WEBSOCKET),
        ("proxy", _NO_WEBSOCKET),
        ("jetstream_cluster_migrate js_cluster_migrate", _NO_JETSTREAM),
    ),
    "leaf tls": (
        ("verify", "the hub's certificate is always looked at, unless insecure"),
        ("verify_and_map", "this is for those who are connected to"),
        ("connection_rate_limit", "this is for those who are connected to"),
        ("verify_cert_and_check_known_urls", "this is for those who are connected to"),
        ("curve_preferences", "Python cannot choose several"),
        ("allow_insecure_cipher_suites", "insecure suites are not served"),
        ("certs certificates", "give one pair, as cert_file and key_file"),
        (
            "cert_store cert_match_by cert_match ca_certs_match cert_match_skip_invalid",
            "they are for the store of Windows",
        ),
        ("ocsp_peer", _NOT_YET),
    ),
}
