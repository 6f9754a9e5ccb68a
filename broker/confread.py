"""From a configuration's tree to the fields of `Options`.

The idea: what each key takes stands in `broker.schema`; this file reads the blocks that are only
at the top (``authorization``, ``tls``, ``websocket``, ``ingress``, the JWT keys), joins what
several of them set together, and finds what contradicts itself across blocks. Everything that is
wrong is said at once, in the order of the file, each by its place.

nats-server says some things without refusing the file, except when it only checks it (``-t``):
those are `Reading.warnings`.

Neighbours: `broker.conffile` reads the file and builds the `Options`, which check the values. Pure:
files named in a configuration (certificates, operator JWTs) are not opened here. Linear.

Source: ``server/opts.go`` of nats-server 2.15.1, whose texts and positions are followed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broker.blocks import JwtBlock, TlsBlock, UserBlock, WebsocketBlock
from broker.conf import ConfError, Node
from broker.confaccounts import accounts, mappings
from broker.confcluster import cluster
from broker.config import LOCAL_SYSLOG
from broker.confusers import ingress, permissions, users, with_permissions
from broker.confvalues import (
    Walk,
    entries,
    go_type,
    number_of_seconds,
    seconds,
    shown,
    text,
    texts,
)

__all__ = ["Reading", "read", "reading"]

#: How long ``handshake_first: auto`` waits for a handshake, in seconds.
AUTO_FALLBACK = 0.05

#: The shortest ``lame_duck_duration`` of a file.
MIN_LAME_DUCK = 30.0

_ACCOUNT_KEY = re.compile(r"A[A-Z2-7]{55}")
_JWT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+")


@dataclass(frozen=True)
class Reading:
    """What a configuration says: fields of `Options`, which node set each, and what is odd."""

    fields: Mapping[str, Any]
    places: Mapping[str, Node]
    warnings: tuple[str, ...]


def read(root: Node) -> dict[str, Any]:
    """The fields of `Options` that a configuration sets.

    Raises:
        ConfError: something is wrong with it. The text has a line for each mistake.
    """
    return dict(reading(root).fields)


def reading(root: Node) -> Reading:
    """The same, with places and warnings. Raises `ConfError` like `read`."""
    walk = Walk()
    login: dict[str, Any] = {}
    fields = walk.block(root, "", _readers(walk, login))
    fields.update(login)
    _join_users(walk, fields)
    _join_jwt(walk, fields)
    if not root.value:
        walk.warnings.append(f"{root.file}: config has no values or is empty")
    if walk.errors:
        raise _all(walk.errors)
    return Reading(fields, walk.places, tuple(walk.warnings))


def _all(errors: list[ConfError]) -> ConfError:
    """One error that says them all, at the place of the first."""
    errors = sorted(errors, key=lambda error: error.line)
    first = errors[0]
    joined = ConfError(first.file, first.line, first.column, first.problem)
    joined.args = ("\n".join(map(str, errors)),)
    return joined


def _readers(walk: Walk, login: dict[str, Any]) -> dict[str, Any]:
    return {
        "authorization": lambda node: login.update(_authorization(walk, node)),
        "accounts": lambda node: accounts(walk, node),
        "mappings": lambda node: mappings(walk, node),
        "ingress": lambda node: ingress(walk, node),
        "tls": lambda node: tls(walk, node),
        "websocket": lambda node: _websocket(walk, node),
        "cluster": lambda node: cluster(walk, node, tls),
        "lame_duck_duration": _lame_duck_duration,
        "lame_duck_grace_period": _lame_duck_grace,
        "syslog": lambda node: LOCAL_SYSLOG if _is_on(node) else None,
        "operator": lambda node: texts(node, "error parsing operators: "),
        "resolver": lambda node: _resolver(walk, node),
        "system_account": _system_account,
        "resolver_preload": lambda node: _preload(walk, node),
    }


def _is_on(node: Node) -> bool:
    if not isinstance(node.value, bool):
        raise node.wrong(f"expected true or false, without quotes, got {go_type(node)}")
    return node.value


# ---------------------------------------------------------------- who may come in


def _authorization(walk: Walk, node: Node) -> dict[str, Any]:
    readers = {
        "users": lambda value: users(walk, value),
        "default_permissions": lambda value: permissions(walk, value),
        "timeout": lambda value: _auth_timeout(walk, value),
    }
    fields = walk.block(node, "authorization", readers)
    given = {"user", "password"} & {name for name in fields if fields[name]}
    if given and fields.get("token"):
        raise node.wrong("Cannot have a user/pass and token")
    if "users" in fields:
        if fields.get("user"):
            raise node.wrong("Can not have a single user/pass and a users array")
        if fields.get("token"):
            raise node.wrong("Can not have a token and a users array")
        fields["users"] = with_permissions(fields["users"], fields.get("permissions"))
        walk.users.append((node, fields["users"]))
    walk.places["authorization"] = node
    return fields


def _auth_timeout(walk: Walk, node: Node) -> float:
    timeout = number_of_seconds(node, "error parsing authorization config, 'timeout' ")
    if timeout > 60:
        walk.warn(
            node,
            f'invalid use of field "timeout": timeout of {node.value} ({timeout:f} seconds) is '
            "high, consider keeping it under 60 seconds. possibly caused by unquoted duration; "
            "use '1m' instead of 1m, for example",
        )
    return timeout


def _join_users(walk: Walk, fields: Mapping[str, Any]) -> None:
    """Users are told apart by name alone, whichever blocks they stand in. Of two blocks that
    contradict each other the later one is told, where nats-server picks one by chance.
    """
    seen: set[str] = set()
    groups = sorted(walk.users, key=lambda group: _order(group[0]))
    for node, group in groups:
        walk.attempt(_twice, node, group, seen)
    for single, words in (("user", "a single user/pass"), ("token", "a token")):
        if fields.get(single) and seen:
            login, first = walk.places["authorization"], groups[0][0]
            later = max(login, first, key=_order)
            tail = "a users array" if later is login else "accounts"
            walk.errors.append(later.wrong(f"Can not have {words} and {tail}"))


def _order(node: Node) -> tuple[int, int]:
    return node.line, node.column


def _twice(node: Node, given: tuple[UserBlock, ...], seen: set[str]) -> None:
    """Refuse a user or key that is among `seen` already; the others join it."""
    for user in given:
        name = user.nkey or user.user
        if name in seen:
            raise node.wrong(f'Duplicate {"nkey" if user.nkey else "user"} "{name}" detected')
        seen.add(name)


# ---------------------------------------------------------------- TLS and WebSocket


def tls(walk: Walk, node: Node) -> TlsBlock:
    """A ``tls`` block. Whether its files can be read is asked later."""
    readers = {
        "verify": lambda value: _tls_switch(value, "verify"),
        "verify_and_map": lambda value: _tls_switch(value, "verify_and_map"),
        "timeout": lambda value: number_of_seconds(value, "error parsing tls config, 'timeout' "),
        "handshake_first": _handshake_first,
        "cipher_suites": _cipher_suites,
        "min_version": _min_version,
        "connection_rate_limit": _rate_limit,
        "pinned_certs": _pinned_certs,
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


def _cipher_suites(node: Node) -> tuple[str, ...]:
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


def _min_version(node: Node) -> str:
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


def _pinned_certs(node: Node) -> frozenset[str]:
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


def _websocket(walk: Walk, node: Node) -> WebsocketBlock:
    readers = {
        "tls": lambda value: tls(walk, value),
        "allowed_origins": lambda value: texts(value, "error parsing allowed origins: "),
        "handshake_timeout": lambda value: number_of_seconds(
            value, "error parsing handshake timeout: "
        ),
    }
    noted = len(walk.errors)
    fields = walk.block(node, "websocket", readers, "Expected websocket to be a map")
    if len(walk.errors) > noted:
        raise walk.errors.pop()
    if "port" not in fields:
        raise node.wrong("websocket needs a port, or it serves nobody; 443 is the usual one")
    return WebsocketBlock(**{name: value for name, value in fields.items() if value is not None})


# ---------------------------------------------------------------- spans, and JWTs


def _lame_duck_duration(node: Node) -> float:
    duration = seconds(node, "error parsing lame_duck_duration: ")
    if duration < MIN_LAME_DUCK:
        raise node.wrong(
            f"invalid lame_duck_duration of {node.value}, minimum is {MIN_LAME_DUCK:.0f} seconds"
        )
    return duration


def _lame_duck_grace(node: Node) -> float:
    grace = seconds(node, "error parsing lame_duck_grace_period: ")
    if grace < 0:
        raise node.wrong("invalid lame_duck_grace_period, needs to be positive")
    return grace


def _system_account(node: Node) -> str:
    if not isinstance(node.value, str):
        raise node.wrong("system account name must be a string")
    return node.value


def _resolver(walk: Walk, node: Node) -> None:
    walk.places["resolver"] = node
    if isinstance(node.value, str) and node.value.strip().upper() in ("MEM", "MEMORY"):
        return
    raise node.wrong(
        "error parsing account resolver, should be MEM; account JWTs come from resolver_preload "
        "only, not from a URL or a directory"
    )


def _preload(walk: Walk, node: Node) -> None:
    walk.places["preload"] = node
    for key, value in entries(node, "preload should be a map of account_public_key:account_jwt"):
        if not isinstance(value.value, str):
            walk.errors.append(value.wrong("preload map value should be a string JWT"))
        elif not _ACCOUNT_KEY.fullmatch(key) or not _JWT.fullmatch(value.value):
            walk.errors.append(value.wrong("invalid account JWT"))


def _join_jwt(walk: Walk, fields: dict[str, Any]) -> None:
    """The operators and the accounts that they vouch for make one block."""
    operators = fields.pop("jwt", ())
    node = walk.places.get("preload")
    if walk.errors:
        return
    preload = {key: text(value) for key, value in entries(node, "")} if node is not None else {}
    if operators and "resolver" not in walk.places:
        problem = "operators require an account resolver to be configured; add resolver: MEMORY"
        walk.errors.append(walk.places["jwt"].wrong(problem))
    elif operators:
        fields["jwt"] = JwtBlock(operators=operators, preload=preload)
    elif node is not None:
        walk.errors.append(node.wrong("resolver_preload needs an operator who vouches for it"))
