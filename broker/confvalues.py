"""Reading a configuration's single values, and walking a block by the schema.

The idea: whoever reads a block says which block it is and how its own kinds of value are read;
everything that all blocks have in common is here, once: names without regard to capitals, the word
for a mistyped one, keys that we refuse, values of the wrong type, and that one mistake does not
hide the next. A mistake becomes an entry of `Walk.errors` and the walk goes on.

Texts are nats-server's where it has any; what we add stands behind.

Neighbours: `broker.confread` and `broker.confaccounts` read blocks with it; `broker.schema` says
which keys there are. Pure; linear in the size of the tree. A `Walk` belongs to one reading.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from broker.blocks import UserBlock
from broker.conf import ConfError, Node
from broker.schema import Key, Kind, Status, keys_of
from broker.suggest import nearest

__all__ = [
    "Walk",
    "entries",
    "go_type",
    "items",
    "number_of_seconds",
    "seconds",
    "switch",
    "text",
    "texts",
]

#: Reads the value of one key; may raise `ConfError`.
Reader = Callable[[Node], Any]

#: The most that nats-server lets a size be.
_MAX_SIZE = (1 << 31) - 1

#: nats-server's words for a key that a block does not have.
_UNKNOWN = {
    "permissions": 'Unknown field "{}" parsing permissions',
    "responses": 'Unknown field "{}" parsing permissions',
    "rules": (
        'Unknown field name "{}" parsing subject permissions, '
        "only 'allow' or 'deny' are permitted"
    ),
    "limits": 'Unknown field "{}" parsing account limits',
    "msg_trace": 'Unknown field "{}" parsing account message trace map/struct',
    "target": 'Unknown field "{}" for mapping destination',
    "tls": 'error parsing tls config, unknown field "{}"',
    "leaf tls": 'error parsing tls config, unknown field "{}"',
}

#: nats-server's words for a key that is given twice by different names, where it has any.
_TWICE = {
    "response": "Duplicate response type definition",
    "threshold": "Duplicate response threshold detected",
}

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
_UNITS["h"] = 3600.0
_DURATION = re.compile(r"(?=[\d.]*\d)(\d*\.?\d*)([^\d.]*)")


class Walk:
    """One reading: what was wrong, what was odd, which node set which of `Options`' fields, and
    which groups of users there are, each with the place where to complain of it.
    """

    def __init__(self) -> None:
        self.users: list[tuple[Node, tuple[UserBlock, ...]]] = []
        self.errors: list[ConfError] = []
        self.warnings: list[str] = []
        self.places: dict[str, Node] = {}

    def attempt(self, read: Callable[..., Any], *arguments: Any) -> Any:
        """What `read` returns; None when it raises `ConfError`, which is noted."""
        try:
            return read(*arguments)
        except ConfError as error:
            self.errors.append(error)
            return None

    def warn(self, node: Node, problem: str) -> None:
        """Note what is odd about a value that is used all the same."""
        self.warnings.append(str(node.wrong(problem)))

    def block(
        self, node: Node, path: str, readers: Mapping[str, Reader] | None = None, wanted: str = ""
    ) -> dict[str, Any]:
        """The fields that a map sets. `readers` are for the keys, by their best names, whose kind
        of value only the caller can read; `wanted` is what to say if this is no map at all.

        Raises:
            ConfError: it is no map. Everything else that is wrong is noted.
        """
        fields: dict[str, Any] = {}
        said: dict[Key, str] = {}
        for name, value in entries(node, wanted or f"Expected {path or 'the file'} to be a map"):
            key = self._key(path, name, value)
            if key in said:
                words = _TWICE.get(key.names[0], f'"{name}" says again what "{said[key]}" says')
                self.errors.append(value.wrong(words))
            elif key is not None:
                said[key] = name
                self._set(fields, key, value, (readers or {}).get(key.names[0]))
        return fields

    def _set(self, fields: dict[str, Any], key: Key, node: Node, read: Reader | None) -> None:
        noted = len(self.errors)
        value = self.attempt(read, node) if read else self.attempt(self.scalar, key, node)
        if len(self.errors) > noted or not key.field:
            return
        names = key.field.split()
        for field, part in zip(names, value if len(names) > 1 else (value,), strict=True):
            fields[field] = part
            if not key.path or key.path == "authorization":
                self.places[field] = node

    def _key(self, path: str, name: str, node: Node) -> Key | None:
        """The key of that name if it is to be read; what is wrong with it is noted."""
        known = keys_of(path)
        key = known.get(name.lower())
        if key is None:
            # A key that serves as a variable may be called anything.
            if not node.used:
                served = [k.names[0] for k in known.values() if k.status is Status.SERVED]
                meant = nearest(name, served)
                words = _UNKNOWN.get(path, 'unknown field "{}"').format(name)
                suggestion = f'; did you mean "{meant}"?' if meant else ""
                self.errors.append(node.wrong(words + suggestion))
            return None
        if key.status is Status.REFUSED:
            self.errors.append(node.wrong(f'field "{name}" cannot be served: {key.help}'))
            return None
        return key

    def scalar(self, key: Key, node: Node) -> Any:
        """The value of a key that takes a single one."""
        if key.kind is Kind.DURATION:
            return self._duration(key.names[0], node)
        if key.kind is Kind.SIZE and integer(node) > _MAX_SIZE:
            raise node.wrong(f"{key.names[0]} value is too big, the most is {_MAX_SIZE}")
        return _SCALARS[key.kind](node)

    def _duration(self, name: str, node: Node) -> float:
        if isinstance(node.value, str):
            return seconds(node, f"error parsing {name}: ")
        # What an old configuration means by a number; "2m" without quotes is one as well.
        number = integer(node)
        words = f"{name} should be converted to a duration"
        self.warn(node, f'invalid use of field "{name}": {words}, as in {name}: "{number}s"')
        return float(number)


def entries(node: Node, wanted: str) -> list[tuple[str, Node]]:
    """A map's keys and values. `wanted` and what it is instead are told if it is no map."""
    if not isinstance(node.value, dict):
        raise node.wrong(f"{wanted}, got {go_type(node)}")
    return list(node.value.items())


def items(node: Node, wanted: str) -> list[Node]:
    """An array's values, or the words that this is none."""
    if not isinstance(node.value, list):
        raise node.wrong(f"{wanted}, got {go_type(node)}")
    return node.value


def go_type(node: Node) -> str:
    """A value's type as nats-server names it."""
    names = {
        bool: "bool",
        int: "int64",
        float: "float64",
        str: "string",
        dict: "map[string]interface {}",
    }
    return names.get(type(node.value), "[]interface {}")


def shown(node: Node) -> str:
    """A value as an error may show it: texts are not repeated, one may be a password."""
    return str(node.value).lower() if isinstance(node.value, (bool, int, float)) else go_type(node)


def _typed(node: Node, wanted: str) -> ConfError:
    return node.wrong(f"expected {wanted}, got {go_type(node)}")


def text(node: Node) -> str:
    """A text."""
    if not isinstance(node.value, str):
        raise _typed(node, "a text (put it in quotes)")
    return node.value


def _text_or_none(node: Node) -> str | None:
    return text(node) or None


def _name(node: Node) -> str | None:
    if " " in text(node):
        raise node.wrong("server name cannot contain spaces")
    return text(node) or None


def switch(node: Node) -> bool:
    """True or false."""
    if not isinstance(node.value, bool):
        raise _typed(node, "true or false, without quotes")
    return node.value


def integer(node: Node) -> int:
    """A whole number."""
    if isinstance(node.value, bool) or not isinstance(node.value, int):
        raise _typed(node, "a whole number, without quotes")
    return node.value


def _limit(node: Node) -> int:
    return max(0, integer(node))


def _connections(node: Node) -> int:
    if integer(node) < 1:
        raise node.wrong("max_connections below 1 would let nobody in")
    return integer(node)


def _tokens(node: Node) -> int:
    if integer(node) > 255:
        raise node.wrong("max_sub_tokens value is too big, the most is 255")
    if integer(node) <= 0:
        raise node.wrong("max_sub_tokens value can not be negative, or 0")
    return integer(node)


def _count(node: Node) -> int | None:
    # nats-server: 0 is the default.
    return integer(node) or None


def _monitor_port(node: Node) -> int | None:
    return integer(node) or None


def _listen(node: Node) -> tuple[str, int]:
    if isinstance(node.value, int) and not isinstance(node.value, bool):
        return "0.0.0.0", node.value
    if not isinstance(node.value, str):
        raise node.wrong(f"expected port or host:port, got {go_type(node)}")
    host, colon, port = node.value.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or (":" in host and not bracketed):
        raise node.wrong(f'could not parse address string "{node.value}", as in "127.0.0.1:4222"')
    try:
        number = int(port)
    except ValueError:
        raise node.wrong(f'could not parse port "{port}"') from None
    return host.strip("[]") or "0.0.0.0", number


def _monitor_listen(node: Node) -> tuple[str | None, int | None]:
    host, port = _listen(node)
    return (host if isinstance(node.value, str) else None), port or None


def number_of_seconds(node: Node, problem: str) -> float:
    """Seconds as a number, or as a duration in quotes; ``problem`` begins what is said of the
    rest.
    """
    if isinstance(node.value, (int, float)) and not isinstance(node.value, bool):
        return float(node.value)
    if isinstance(node.value, str):
        return seconds(node, problem)
    raise node.wrong(f"{problem}wrong type")


def seconds(node: Node, problem: str = "") -> float:
    """A duration as Go writes one (``1h2m3.5s``), in seconds; `problem` begins an error."""
    word = text(node)
    rest = word[1:] if word[:1] in ("+", "-") else word
    if rest == "0":
        return 0.0
    total = 0.0
    quoted = f'"{word}"'
    invalid = node.wrong(f"{problem}time: invalid duration {quoted}; give one such as 2m30s")
    if not rest:
        raise invalid
    while rest:
        found = _DURATION.match(rest)
        if found is None:
            raise invalid
        if not found[2]:
            raise node.wrong(f"{problem}time: missing unit in duration {quoted}")
        if found[2] not in _UNITS:
            raise node.wrong(f'{problem}time: unknown unit "{found[2]}" in duration {quoted}')
        total += float(found[1]) * _UNITS[found[2]]
        rest = rest[found.end() :]
    return -total if word[0] == "-" else total


def _seconds_or_number(node: Node) -> float:
    if isinstance(node.value, (int, float)) and not isinstance(node.value, bool):
        return float(node.value)
    if isinstance(node.value, str):
        return seconds(node)
    raise _typed(node, "seconds, or a duration")


def _rate(node: Node) -> float:
    if isinstance(node.value, bool) or not isinstance(node.value, (int, float)) or node.value < 0:
        raise node.wrong(f"expected a number of at least 0, got {shown(node)}")
    return float(node.value)


def texts(node: Node, problem: str = "expected a text or an array of texts: ") -> tuple[str, ...]:
    """One text, or an array of them; `problem` begins an error."""
    if isinstance(node.value, str):
        return (node.value,)
    if not isinstance(node.value, list):
        raise node.wrong(f"{problem}unsupported type {go_type(node)}")
    for item in node.value:
        if not isinstance(item.value, str):
            raise item.wrong(f"{problem}unsupported type in array {go_type(item)}")
    return tuple(str(item.value) for item in node.value)


_SCALARS: dict[Kind, Reader] = {
    Kind.TEXT: _text_or_none,
    Kind.NAME: _name,
    Kind.SECRET: text,
    Kind.SWITCH: switch,
    Kind.INTEGER: integer,
    Kind.LIMIT: _limit,
    Kind.CONNECTIONS: _connections,
    Kind.TOKENS: _tokens,
    Kind.SIZE: integer,
    Kind.COUNT: _count,
    Kind.PORT: integer,
    Kind.MONITOR_PORT: _monitor_port,
    Kind.LISTEN: _listen,
    Kind.MONITOR_LISTEN: _monitor_listen,
    Kind.SPAN: seconds,
    Kind.SECONDS: _seconds_or_number,
    Kind.RATE: _rate,
    Kind.TEXTS: texts,
}
