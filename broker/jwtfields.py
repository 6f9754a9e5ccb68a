"""What stands in the claims of a JWT, field by field, each of the type that it must have.

The idea: claims are JSON that somebody else wrote. Nothing is read from them but through one of
these functions, so whoever reads has the type that it asked for or an error that names the field;
and a field that is absent and one that is ``null`` are the same, as in the library of NATS.

Invariants: every function raises nothing but ValueError, in words.

Neighbours: `broker.jwt` reads whole tokens with it, the other ``jwt`` modules what is particular to
a kind. Pure functions, O(1) or O(entries), thread-safe.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

__all__ = ["Fields", "entry", "flag", "items", "number", "part", "text", "texts"]

#: An object of JSON, as `json` makes it.
Fields: TypeAlias = Mapping[str, Any]


def text(found: Fields, key: str) -> str:
    """A text; the empty one where there is none."""
    value = found.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{key!r} is no text")
    return value


def number(found: Fields, key: str, absent: int) -> int:
    """A whole number of 64 bits."""
    value = found.get(key)
    if value is None:
        return absent
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) >> 63:
        raise ValueError(f"{key!r} is no whole number of 64 bits")
    return value


def flag(found: Fields, key: str) -> bool:
    """Yes or no; no where nothing is said."""
    value = found.get(key)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise ValueError(f"{key!r} is neither true nor false")
    return value


def items(found: Fields, key: str) -> list[Any]:
    """A list of anything."""
    value = found.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise ValueError(f"{key!r} is no list")
    return value


def texts(found: Fields, key: str) -> list[str]:
    """A list of texts."""
    values = items(found, key)
    if not all(isinstance(value, str) for value in values):
        raise ValueError(f"{key!r} is no list of texts")
    return values


def part(found: Fields, key: str) -> Fields:
    """An object within the object; an empty one where there is none."""
    value = found.get(key)
    return {} if value is None else entry(value)


def entry(value: object) -> Fields:
    """One entry of a list, which must be an object."""
    if not isinstance(value, dict):
        raise ValueError("a list or text stands where a JSON object belongs")
    return value
