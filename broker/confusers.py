"""Reading users and what they may do from a configuration's tree.

The idea: each function takes the node of one block and returns its record, by the keys that
`broker.schema` lists. What is wrong within a block is noted in the `Walk`, so that all of it is
said at once; only a block that is no block at all raises.

Neighbours: `broker.confread` and `broker.confaccounts` call it. Pure and linear.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable

from broker.blocks import DEFAULT_ACCOUNT, IngressLimit, UserBlock
from broker.conf import Node
from broker.confvalues import Walk, go_type, number_of_seconds, seconds, shown, texts
from broker.permissions import Permissions, Responses, Rules
from broker.subject import is_valid_filter

__all__ = [
    "auth_timeout",
    "ingress",
    "is_subject",
    "permissions",
    "subjects",
    "users",
    "with_permissions",
]

#: Ways in which a user may come. The last five are nats-server's, and nobody comes by them here.
CONNECTION_TYPES = frozenset(
    ["STANDARD", "WEBSOCKET", "LEAFNODE", "LEAFNODE_WS", "MQTT", "MQTT_WS", "IN_PROCESS"]
)

_NKEY = re.compile(r"U[A-Z2-7]{55}")


def permissions(walk: Walk, node: Node) -> Permissions:
    """A ``permissions`` block."""
    if not isinstance(node.value, dict):
        raise node.wrong(f"Expected permissions to be a map/struct, got {shown(node)}")
    readers = {
        "publish": lambda value: _rules(walk, value, queues=False),
        "subscribe": lambda value: _rules(walk, value, queues=True),
        "allow_responses": lambda value: _responses(walk, value),
    }
    read = Permissions(**walk.block(node, "permissions", readers))
    if read.responses is None or read.publish.allow is not None:
        return read
    return dataclasses.replace(read, publish=dataclasses.replace(read.publish, allow=()))


def _rules(walk: Walk, node: Node, *, queues: bool) -> Rules:
    if isinstance(node.value, dict):
        readers = {
            "allow": lambda value: subjects(value, queues=queues),
            "deny": lambda value: subjects(value, queues=queues) or (),
        }
        return Rules(**walk.block(node, "rules", readers))
    return Rules(allow=subjects(node, queues=queues))


def subjects(node: Node, *, queues: bool) -> tuple[bytes, ...] | None:
    """One subject, or an array of them; `queues` says whether a group may stand behind one."""
    if not isinstance(node.value, (str, list)):
        raise node.wrong(
            "Expected subject permissions to be a subject, or array of subjects, "
            f"got {go_type(node)}"
        )
    found = texts(node, "Subject in permissions array cannot be cast to string: ")
    for subject in found:
        if not is_subject(subject):
            _check_queue(node, subject, queues=queues)
    if not found:
        return None  # an empty list is none at all, as with nats-server
    return tuple(" ".join(subject.split()).encode() for subject in found)


def _check_queue(node: Node, entry: str, *, queues: bool) -> None:
    parts = entry.split()
    if not queues or len(parts) != 2:
        raise node.wrong(f'subject "{entry}" is not a valid subject')
    if not is_subject(parts[0]):
        raise node.wrong(f'subject "{parts[0]}" is not a valid subject')
    if not is_subject(parts[1]):
        raise node.wrong(f'queue "{parts[1]}" is not a valid queue')


def is_subject(word: str) -> bool:
    """Whether it may stand where a subject is asked for, wildcards included."""
    return is_valid_filter(word.encode()) and not any(c.isspace() for c in word)


def _responses(walk: Walk, node: Node) -> Responses | None:
    if isinstance(node.value, bool):
        return Responses() if node.value else None
    if not isinstance(node.value, dict):
        raise node.wrong("error parsing response permissions, expected a boolean or a map")
    fields = walk.block(node, "responses", {"expires": _expires})
    # nats-server: 0 is the default.
    return Responses(**{name: value for name, value in fields.items() if value})


def _expires(node: Node) -> float:
    if not isinstance(node.value, str):
        raise node.wrong('error parsing expires, not a duration string; give one such as "2m"')
    return seconds(node, "error parsing expires: ")


def auth_timeout(walk: Walk, node: Node, block: str) -> float:
    """For how long somebody may not say who it is, as `block` has it."""
    given = number_of_seconds(node, f"error parsing {block} config, 'timeout' ")
    if given > 60:
        walk.warn(
            node,
            f'invalid use of field "timeout": timeout of {node.value} ({given:f} seconds) is '
            "high, consider keeping it under 60 seconds. possibly caused by unquoted duration; "
            "use '1m' instead of 1m, for example",
        )
    return given


def ingress(walk: Walk, node: Node) -> IngressLimit:
    """An ``ingress`` block."""
    return IngressLimit(**walk.block(node, "ingress"))


def users(walk: Walk, node: Node, account: str = DEFAULT_ACCOUNT) -> tuple[UserBlock, ...]:
    """An array of users; the mistakes of one do not hide those of the next."""
    if not isinstance(node.value, list):
        raise node.wrong(f"Expected users field to be an array, got {shown(node)}")
    read = [walk.attempt(_user, walk, value, account) for value in node.value]
    return tuple(user for user in read if user is not None)


def _user(walk: Walk, node: Node, account: str) -> UserBlock:
    if not isinstance(node.value, dict):
        raise node.wrong(f"Expected user entry to be a map/struct, got {shown(node)}")
    noted = len(walk.errors)
    readers = {
        "permissions": lambda value: permissions(walk, value),
        "allowed_connection_types": _connection_types,
        "ingress": lambda value: ingress(walk, value),
    }
    fields = {k: v for k, v in walk.block(node, "user", readers).items() if v is not None}
    user = UserBlock(account=account, **fields)
    last = list(node.value.values())[-1] if node.value else node
    if len(walk.errors) > noted:
        return user
    if not user.user and not user.nkey:
        raise last.wrong("User entry requires a user")
    if user.nkey and not _NKEY.fullmatch(user.nkey):
        raise last.wrong("Not a valid public nkey for a user")
    if user.nkey and (user.user or user.password):
        raise last.wrong("Nkey users do not take usernames or passwords")
    return user


def _connection_types(node: Node) -> frozenset[str]:
    given = [word.upper() for word in texts(node, "error parsing allowed connection types: ")]
    unknown = [word for word in given if word not in CONNECTION_TYPES]
    if unknown:
        words = " ".join(f'"{word}"' for word in unknown)
        raise node.wrong(f"invalid connection types [{words}]; there are STANDARD and WEBSOCKET")
    return frozenset(given)


def with_permissions(
    read: Iterable[UserBlock], default: Permissions | None
) -> tuple[UserBlock, ...]:
    """The users, with the default permissions where they have none of their own."""
    if default is None:
        return tuple(read)
    return tuple(
        user if user.permissions else dataclasses.replace(user, permissions=default)
        for user in read
    )
