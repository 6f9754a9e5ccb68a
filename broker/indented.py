"""JSON for people to read, laid out as nats-server does it: an indent of two.

The idea: the same text as ``json.dumps(value, indent=2, ensure_ascii=False)``, in a third of the
time. The standard library lays out in generators, one inside the other for each level, and every
comma passes through all of them; here each piece goes to one list at once. A page of the monitor is
made on the broker's own loop, so its time is the clients' time.

Neighbours: `broker.monitorpages` alone. A pure function.
"""

from __future__ import annotations

from collections.abc import Callable
from json.encoder import encode_basestring as quoted  # in C, where there is C
from typing import Any

__all__ = ["indented"]

_WORDS = {True: "true", False: "false", None: "null"}


def indented(value: Any) -> str:
    """The text of a value made of dicts with str keys, lists, tuples, str, int, float, bool, None.

    Raises TypeError for anything else. O(its size); it recurses once for each level.
    """
    parts: list[str] = []
    _put(parts.append, value, "\n")
    return "".join(parts)


def _put(put: Callable[[str], object], value: Any, newline: str) -> None:
    kind = type(value)
    if kind is str:
        put(quoted(value))
    elif kind is int or kind is float:
        put(repr(value))
    elif value is None or kind is bool:
        put(_WORDS[value])
    elif kind is dict and value:
        deeper = newline + "  "
        before = "{" + deeper
        for key, member in value.items():
            put(before)
            put(quoted(key))
            put(": ")
            _put(put, member, deeper)
            before = "," + deeper
        put(newline + "}")
    elif (kind is list or kind is tuple) and value:
        deeper = newline + "  "
        before = "[" + deeper
        for member in value:
            put(before)
            _put(put, member, deeper)
            before = "," + deeper
        put(newline + "]")
    elif isinstance(value, dict | list | tuple) and not value:
        put("{}" if isinstance(value, dict) else "[]")
    else:
        raise TypeError(f"{value!r} is nothing that a page is made of")
