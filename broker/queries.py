"""Query strings of the monitor's pages: values out, or a refusal in nats-server's words.

The idea: nats-server is written in Go, so what it says of an unusable parameter is what Go's
``strconv`` says; tools and tests look for these texts. An empty value counts as not given, as
there.

Neighbours: the pages with parameters read them with these functions; `broker.monitor` answers a
`QueryError` with status 400. Pure functions, O(length of the value).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["DEFAULT_LIMIT", "QueryError", "boolean", "integer", "limit", "offset", "unsigned"]

#: Rows on a page unless the query says otherwise; nats-server's number.
DEFAULT_LIMIT = 1024

_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})


class QueryError(ValueError):
    """A query parameter that cannot be read; the text is the body of the 400 response."""


def boolean(parameters: Mapping[str, str], name: str) -> bool:
    """A switch, off if not given. Raises `QueryError`."""
    text = parameters.get(name, "")
    if text in _TRUE:
        return True
    if not text or text in _FALSE:
        return False
    raise _refusal("boolean", name, "ParseBool", text, "invalid syntax")


def integer(parameters: Mapping[str, str], name: str) -> int:
    """A whole number of 64 bits, 0 if not given. Raises `QueryError`."""
    text = parameters.get(name, "")
    if not text:
        return 0
    if not _INTEGER.fullmatch(text):
        raise _refusal("int", name, "Atoi", text, "invalid syntax")
    number = _small(text)
    if number is None or not -(1 << 63) <= number < 1 << 63:
        raise _refusal("int", name, "Atoi", text, "value out of range")
    return number


def unsigned(parameters: Mapping[str, str], name: str) -> int:
    """A whole number of 64 bits without a sign, 0 if not given. Raises `QueryError`."""
    text = parameters.get(name, "")
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()):
        raise _refusal("uint64", name, "ParseUint", text, "invalid syntax")
    number = _small(text)
    if number is None or number >= 1 << 64:
        raise _refusal("uint64", name, "ParseUint", text, "value out of range")
    return number


def _small(text: str) -> int | None:
    """The number, unless its digits alone say that it has more than 64 bits: converting an endless
    row of them takes a time that grows with its square, and Python may refuse it.
    """
    return int(text) if len(text.lstrip("+-").lstrip("0")) <= 20 else None


def offset(parameters: Mapping[str, str]) -> int:
    """How many rows to leave out, 0 if negative. Raises `QueryError`."""
    return max(0, integer(parameters, "offset"))


def limit(parameters: Mapping[str, str]) -> int:
    """How many rows to show, `DEFAULT_LIMIT` if not positive. Raises `QueryError`."""
    number = integer(parameters, "limit")
    return number if number > 0 else DEFAULT_LIMIT


def _refusal(kind: str, name: str, function: str, text: str, trouble: str) -> QueryError:
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return QueryError(
        f"Error decoding {kind} for '{name}': strconv.{function}: parsing \"{quoted}\": {trouble}"
    )
