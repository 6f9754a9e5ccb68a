"""Reading ``tls`` blocks from a configuration's tree.

The idea: as in `broker.confusers`, a function for each block; the single values are public, for the
blocks of connections that we make hold some of the same keys.

Neighbours: `broker.confread` and `broker.confleaf` call it. Pure: the files that a block names are
opened by whoever uses it. Linear.

Source: ``server/opts.go`` of nats-server 2.15.1, whose texts are followed.
"""

from __future__ import annotations

import re

from broker.blocks import TlsBlock
from broker.conf import ConfError, Node
from broker.confvalues import Walk, go_type, number_of_seconds, seconds, shown, texts

__all__ = ["cipher_suites", "min_version", "pinned_certs", "tls"]

#: How long ``handshake_first: auto`` waits for a handshake, in seconds.
AUTO_FALLBACK = 0.05


def tls(walk: Walk, node: Node) -> TlsBlock:
    """A ``tls`` block. Whether its files can be read is asked later."""
    readers = {
        "verify": lambda value: _tls_switch(value, "verify"),
        "verify_and_map": lambda value: _tls_switch(value, "verify_and_map"),
        "timeout": lambda value: number_of_seconds(value, "error parsing tls config, 'timeout' "),
        "handshake_first": _handshake_first,
        "cipher_suites": cipher_suites,
        "min_version": min_version,
        "connection_rate_limit": _rate_limit,
        "pinned_certs": pinned_certs,
    }
    noted = len(walk.errors)
    fields = walk.block(node, "tls", readers)
    if len(walk.errors) > noted:
        raise walk.errors.pop()
    for needed in ("cert_file", "key_file"):
        if not fields.get(needed):
            raise node.wrong(f"missing '{needed}' in TLS configuration")
    first, fallback = fields.pop("first", (False, None))
    fields["verify"] = fields.get("verify", False) or fields.get("verify_and_map", False)
    return TlsBlock(first=first, fallback=fallback, **fields)


def _tls_switch(node: Node, name: str) -> bool:
    if not isinstance(node.value, bool):
        raise node.wrong(f"error parsing tls config, expected '{name}' to be a boolean")
    return node.value


def _handshake_first(node: Node) -> tuple[bool, float | None]:
    """Whether the handshake comes first, and how long one is waited for (None: for ever)."""
    if isinstance(node.value, bool):
        return node.value, None
    name = 'field "handshake_first"'
    if not isinstance(node.value, str):
        raise node.wrong(f"{name} should be a boolean or a string, got {go_type(node)}")
    word = node.value.lower()
    if word in ("true", "on", "false", "off"):
        return word in ("true", "on"), None
    if word in ("auto", "auto_fallback"):
        return True, AUTO_FALLBACK
    try:
        return True, seconds(node)
    except ConfError:
        raise node.wrong(
            f'{name}\'s value "{node.value}" is invalid; give true, false, auto or a duration'
        ) from None


def cipher_suites(node: Node) -> tuple[str, ...]:
    """OpenSSL's names of the suites given by the names that TLS's RFCs have for them."""
    if not isinstance(node.value, list) or not node.value:
        raise node.wrong("error parsing tls config, 'cipher_suites' cannot be empty")
    texts(node, "error parsing tls config, 'cipher_suites': ")
    for item in node.value:
        if item.value not in _SUITES:
            raise item.wrong(f"unrecognized cipher {item.value}")
    # A suite of TLS 1.3 has no place in the list: those cannot be chosen, in Go as here.
    return tuple(name for item in node.value if (name := _SUITES[str(item.value)]))


_SUITES = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_AES_128_GCM_SHA256": "",
    "TLS_AES_256_GCM_SHA384": "",
    "TLS_CHACHA20_POLY1305_SHA256": "",
}


def min_version(node: Node) -> str:
    """The oldest version that will do: ``1.2`` or ``1.3``."""
    if not isinstance(node.value, str):
        raise node.wrong(f"error parsing tls config: 'min_version' wrong type: {shown(node)}")
    word = node.value.lower().removeprefix("tls").strip().removeprefix("v")
    if word in ("1.2", "1.3"):
        return word
    if word in ("1.0", "1.1"):
        raise node.wrong(f"error parsing tls config: unsupported TLS version: TLS {word}")
    raise node.wrong(f"error parsing tls config: unknown version: {node.value}")


def _rate_limit(node: Node) -> int:
    if isinstance(node.value, bool) or not isinstance(node.value, int):
        raise node.wrong("error parsing tls config, 'connection_rate_limit' wrong type")
    return max(0, node.value)


def pinned_certs(node: Node) -> frozenset[str]:
    """Hashes of public keys, in lower case."""
    wanted = "hex-encoded sha256 of DER encoded SubjectPublicKeyInfo"
    if not isinstance(node.value, list):
        raise node.wrong(
            f"error parsing tls config, expected 'pinned_certs' to be a list of {wanted}"
        )
    texts(node, "error parsing tls config, 'pinned_certs': ")
    for item in node.value:
        if not re.fullmatch(r"[A-Fa-f0-9]{64}", str(item.value)):
            raise item.wrong(
                "error parsing tls config, 'pinned_certs' key "
                f"{str(item.value).lower()} does not look like {wanted}"
            )
    return frozenset(str(item.value).lower() for item in node.value)
