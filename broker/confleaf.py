"""Reading ``leafnodes`` from a configuration's tree.

The idea: as in `broker.confusers`, a function for each block, by the keys of `broker.leafkeys`.
Whether the accounts that are named exist is asked where `Options` are made.

Neighbours: `broker.confread` calls `leafnodes`. Pure: files are not opened here. Linear.

Source: ``server/opts.go`` and ``server/leafnode.go`` of nats-server 2.15.1, whose texts and places
are followed, except that a URL with a mistake in it is not repeated with its password.
"""

from __future__ import annotations

import re
from typing import Any

from broker.blocks import LeafBlock, RemoteBlock, RemoteTls, UserBlock
from broker.conf import Node
from broker.conftls import cipher_suites, min_version, pinned_certs, tls
from broker.confusers import auth_timeout, subjects
from broker.confvalues import Walk, items, number_of_seconds, shown, texts
from broker.leafchecks import LEAF_PORT
from broker.nkeys import USER
from broker.peerurl import PeerUrl, redacted
from broker.seeds import is_seed

__all__ = ["leafnodes"]

_NKEY = re.compile(r"U[A-Z2-7]{55}")


def leafnodes(walk: Walk, node: Node) -> LeafBlock:
    """A ``leafnodes`` block."""
    login: dict[str, Any] = {}
    readers = {
        "authorization": lambda value: login.update(_authorization(walk, value)),
        "remotes": lambda value: _remotes(walk, value),
        "tls": lambda value: tls(walk, value),
        "compression": _compression,
    }
    noted = len(walk.errors)
    wanted = "Expected map to define a leafnode"
    fields = walk.block(node, "leafnodes", readers, wanted)
    if len(walk.errors) > noted:
        raise walk.errors.pop()
    if not fields.get("port") and not fields.get("remotes"):
        raise node.wrong(
            "leafnodes needs a port, or remotes, or it connects nobody; "
            f"{LEAF_PORT} is the usual port"
        )
    return LeafBlock(**_given({**fields, **login}))


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _compression(node: Node) -> None:
    """Refuse to be asked for what we do not do."""
    modes = ("off", "accept", "disabled", "not supported", "not_supported")
    word = node.value.lower() if isinstance(node.value, str) else node.value
    if word is not False and word not in modes:
        raise node.wrong("compression is not there yet; leave it out, or say off")


# ---------------------------------------------------------------- who may come in


def _authorization(walk: Walk, node: Node) -> dict[str, Any]:
    readers = {
        "users": lambda value: _users(walk, value),
        "timeout": lambda value: auth_timeout(walk, value, "leafnode authorization"),
        "nkey": _public_key,
    }
    fields = walk.block(node, "leaf authorization", readers)
    if fields.get("users"):
        if fields.get("user"):
            raise node.wrong("can not have a single user/pass and a users array")
        if fields.get("nkey"):
            raise node.wrong("can not have a single nkey and a users array")
        _check_once(node, fields["users"])
    if fields.get("auth_timeout") == 0:
        del fields["auth_timeout"]  # nats-server: 0 is the default
    return fields


def _public_key(node: Node) -> str:
    if not isinstance(node.value, str) or not _NKEY.fullmatch(node.value):
        raise node.wrong("Not a valid public nkey for leafnode authorization")
    return node.value


def _check_once(node: Node, users: tuple[UserBlock, ...]) -> None:
    seen: set[str] = set()
    for user in users:
        if user.user in seen:
            raise node.wrong(f'duplicate user "{user.user}" detected in leafnode authorization')
        seen.add(user.user)


def _users(walk: Walk, node: Node) -> tuple[UserBlock, ...]:
    if not isinstance(node.value, list):
        raise node.wrong(f"Expected users field to be an array, got {shown(node)}")
    read = [walk.attempt(_user, walk, value) for value in node.value]
    return tuple(user for user in read if user is not None)


def _user(walk: Walk, node: Node) -> UserBlock:
    if not isinstance(node.value, dict):
        raise node.wrong(f"Expected user entry to be a map/struct, got {shown(node)}")
    return UserBlock(**_given(walk.block(node, "leaf user")))


# ---------------------------------------------------------------- hubs


def _remotes(walk: Walk, node: Node) -> tuple[RemoteBlock, ...]:
    remotes: dict[RemoteBlock, RemoteBlock] = {}
    for value in items(node, "Expected remotes field to be an array"):
        block = walk.attempt(_remote, walk, value)
        if block is None:
            continue
        # As with nats-server, other settings do not make another remote of it.
        key = RemoteBlock(block.urls, block.account, block.credentials, block.nkey)
        if key in remotes:
            walk.errors.append(value.wrong(f"duplicate remote {_shown(block)}"))
        remotes[key] = block
    return tuple(remotes.values())


def _remote(walk: Walk, node: Node) -> RemoteBlock:
    if not isinstance(node.value, dict):
        raise node.wrong(f"Expected remote leafnode entry to be a map/struct, got {shown(node)}")
    readers = {
        "urls": lambda value: _urls(walk, value),
        "nkey": _seed,
        "tls": lambda value: _tls(walk, value),
        "deny_imports": lambda value: subjects(value, queues=False) or (),
        "deny_exports": lambda value: subjects(value, queues=False) or (),
        "compression": _compression,
    }
    noted = len(walk.errors)
    fields = _given(walk.block(node, "leaf remote", readers))
    if len(walk.errors) > noted:
        raise walk.errors.pop()
    if not fields.get("urls"):
        raise node.wrong("a remote needs urls, or there is nothing to connect to")
    if fields.get("nkey") and fields.get("credentials"):
        raise node.wrong("Remote leafnode can not have both creds and nkey defined")
    return RemoteBlock(**fields)


def _shown(block: RemoteBlock) -> str:
    """A remote as an error may name it."""
    urls = " ".join(redacted(url) for url in block.urls)
    optional = ', nkey="[REDACTED]"' if block.nkey else ""
    if block.credentials:
        optional = f', credentials="{block.credentials}"'
    return f'urls=[{urls}], account="{block.account}"{optional}'


def _urls(walk: Walk, node: Node) -> tuple[str, ...]:
    if not isinstance(node.value, (str, list)):
        raise node.wrong(
            f"Expected remote leafnode url to be an array or string, got {shown(node)}"
        )
    found: dict[str, None] = {}
    for text in texts(node, "error parsing leafnode url: "):
        try:
            PeerUrl.parse(text, LEAF_PORT)
        except ValueError as problem:
            raise node.wrong(str(problem)) from None
        if text in found:
            walk.warn(node, f'invalid use of field "{text}": Duplicate leafnode entry detected')
        found[text] = None
    return tuple(found)


def _seed(node: Node) -> str:
    if not isinstance(node.value, str) or not is_seed(node.value, USER):
        raise node.wrong("Remote leafnode nkey is not a valid seed: [REDACTED]")
    return node.value


def _tls(walk: Walk, node: Node) -> RemoteTls:
    readers = {
        "timeout": lambda value: number_of_seconds(value, "error parsing tls config, 'timeout' "),
        "cipher_suites": cipher_suites,
        "min_version": min_version,
        "pinned_certs": pinned_certs,
    }
    noted = len(walk.errors)
    fields = _given(walk.block(node, "leaf tls", readers))
    if len(walk.errors) > noted:
        raise walk.errors.pop()
    given, missing = "cert_file", "key_file"
    if fields.get(missing) and not fields.get(given):
        given, missing = missing, given
    if fields.get(given) and not fields.get(missing):
        raise node.wrong(f"missing '{missing}' in TLS configuration")
    return RemoteTls(**fields)
