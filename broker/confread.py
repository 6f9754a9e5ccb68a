"""From a configuration's tree to the fields of `Options`.

The idea: what each key takes stands in `broker.schema`; this file reads the blocks that are only
at the top (``authorization``, ``websocket``, ``ingress``, the JWT keys), joins what several of them
set together, and finds what contradicts itself across blocks. Everything that is
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

from broker.blocks import JwtBlock, UserBlock, WebsocketBlock
from broker.conf import ConfError, Node
from broker.confaccounts import accounts, mappings
from broker.confcluster import cluster
from broker.config import LOCAL_SYSLOG
from broker.confleaf import leafnodes
from broker.conftls import tls
from broker.confusers import auth_timeout, ingress, permissions, users, with_permissions
from broker.confvalues import Walk, entries, go_type, number_of_seconds, seconds, text, texts

__all__ = ["Reading", "read", "reading"]

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
        "leafnodes": lambda node: leafnodes(walk, node),
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
        "timeout": lambda value: auth_timeout(walk, value, "authorization"),
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


# ---------------------------------------------------------------- WebSocket


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
