"""What a request to the system account asks for: JSON in, the parameters of a page out.

The idea: `$SYS.REQ.SERVER.PING.CONNZ` with ``{"limit": 5}`` asks what ``/connz?limit=5`` asks. So
nothing here knows what a limit is: names and types are checked, as Go's decoder checks them, and
the rest becomes the parameters of a query string, which the pages read as ever.

What is not JSON, or has a value of the wrong type, is refused in the words of Go, which is what
tools show. Of all its words for syntax we have those for the common mistakes; the position is not
among them.

Besides options a request may name the servers that should answer: a `Selection`.

Source: nats-server's ``EventFilterOptions`` and its siblings. Neighbours: `broker.sysdesk` reads
every request with `read`. Pure functions, O(length of the text).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["BadOptions", "Request", "Selection", "read"]


class BadOptions(ValueError):  # noqa: N818 # the peer's mistake, which is answered
    """The payload cannot be read; the text is what the answer says."""


@dataclass(frozen=True)
class Selection:
    """Which servers are asked. Texts are parts of names, or whole ones if ``exact``."""

    name: str = ""
    cluster: str = ""
    host: str = ""
    exact: bool = False
    tags: tuple[str, ...] = ()
    domain: str = ""

    def fits(self, name: str, host: str) -> bool:
        """Whether a server is meant that has this name and host, and no cluster, tags or domain."""
        asked = ((self.name, name), (self.host, host), (self.cluster, ""))
        if self.exact:
            found = all(not wanted or wanted == given for wanted, given in asked)
        else:
            found = all(wanted in given for wanted, given in asked)
        return found and not self.tags and not self.domain


@dataclass(frozen=True)
class Request:
    """What was asked: of whom, the parameters for the page, and what only such a request has."""

    selection: Selection = field(default_factory=Selection)
    parameters: Mapping[str, str] = field(default_factory=dict)
    accounts: tuple[str, ...] = ()
    name: str = ""
    cid: int = 0


_Kind = tuple[str, Callable[[Any], bool]]


def _is_int(value: Any) -> bool:
    return type(value) is int and -(2**63) <= value < 2**63


def _is_natural(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**64


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


_TEXT: _Kind = ("string", lambda value: isinstance(value, str))
_FLAG: _Kind = ("bool", lambda value: isinstance(value, bool))
_INT: _Kind = ("int", _is_int)
_NATURAL: _Kind = ("uint64", _is_natural)
_TEXTS: _Kind = ("[]string", _is_texts)
_STATE: _Kind = ("server.ConnState", _is_int)
_DURATION: _Kind = ("time.Duration", _is_int)

_SELECTION: Mapping[str, _Kind] = {
    "server_name": _TEXT,
    "cluster": _TEXT,
    "host": _TEXT,
    "exact_match": _FLAG,
    "tags": _TEXTS,
    "domain": _TEXT,
}

#: Of each request: the name of its options in Go, and which there are besides the selection.
_OPTIONS: Mapping[str, tuple[str, Mapping[str, _Kind]]] = {
    "STATSZ": ("StatszEventOptions", {}),
    "VARZ": ("VarzEventOptions", {}),
    "SUBSZ": (
        "SubszEventOptions",
        {"offset": _INT, "limit": _INT, "subscriptions": _FLAG, "account": _TEXT, "test": _TEXT},
    ),
    "CONNZ": (
        "ConnzEventOptions",
        {
            "sort": _TEXT,
            "auth": _FLAG,
            "subscriptions": _FLAG,
            "subscriptions_detail": _FLAG,
            "offset": _INT,
            "limit": _INT,
            "cid": _NATURAL,
            "mqtt_client": _TEXT,
            "state": _STATE,
            "user": _TEXT,
            "acc": _TEXT,
            "filter_subject": _TEXT,
        },
    ),
    "ROUTEZ": ("RoutezEventOptions", {"subscriptions": _FLAG, "subscriptions_detail": _FLAG}),
    "GATEWAYZ": ("GatewayzEventOptions", {}),
    "LEAFZ": ("LeafzEventOptions", {"subscriptions": _FLAG, "account": _TEXT}),
    "ACCOUNTZ": ("AccountzEventOptions", {"account": _TEXT}),
    "JSZ": ("JszEventOptions", {}),
    "HEALTHZ": ("HealthzEventOptions", {}),
    "PROFILEZ": ("ProfilezEventOptions", {"name": _TEXT, "debug": _INT, "duration": _DURATION}),
    "IPQUEUESZ": ("IpqueueszEventOptions", {"all": _FLAG, "filter": _TEXT}),
    "RAFTZ": ("RaftzEventOptions", {"account": _TEXT, "group": _TEXT}),
    "INFO": ("AccInfoEventOptions", {}),
    "STATZ": ("AccountStatzEventOptions", {"accounts": _TEXTS, "include_unused": _FLAG}),
    "CONNS": ("accNumConnsReq", {"acc": _TEXT}),
    "KICK": ("KickClientReq", {"cid": _NATURAL}),
    "LDM": ("LDMClientReq", {"cid": _NATURAL}),
    "RELOAD": ("EventFilterOptions", {}),
}

#: How the pages call what requests call otherwise.
_NAMES = {"subscriptions": "subs", "account": "acc", "include_unused": "unused"}

_STATES = {0: "open", 1: "closed", 2: "all"}


def read(what: str, payload: bytes) -> Request:
    """The request for ``what``, one of the names that end subjects. No payload asks for everything.

    Raises:
        BadOptions: the payload is no JSON object, or a value is of the wrong type.
    """
    owner, own = _OPTIONS[what]
    given = _decode(payload, owner, {**_SELECTION, **own}) if payload else {}
    selection = Selection(
        given.pop("server_name", ""),
        given.pop("cluster", ""),
        given.pop("host", ""),
        given.pop("exact_match", False),
        tuple(given.pop("tags", ())),
        given.pop("domain", ""),
    )
    return Request(
        selection,
        parameters={_NAMES.get(name, name): text for name, text in _texts(given)},
        accounts=tuple(given.get("accounts", ())),
        name=given.get("name", ""),
        cid=given.get("cid", 0),
    )


def _texts(given: dict[str, Any]) -> list[tuple[str, str]]:
    """The values as a query string has them."""
    if given.pop("subscriptions_detail", False):
        given["subscriptions"] = "detail"
    if "state" in given:
        given["state"] = _STATES.get(given["state"], str(given["state"]))
    return [
        (name, str(value).lower() if isinstance(value, bool) else str(value))
        for name, value in given.items()
        if not isinstance(value, list)
    ]


# --- JSON as Go reads it --------------------------------------------------------------------------


class _Object(list[tuple[str, Any]]):
    """A JSON object as its pairs in order; a class of its own to tell it from an array."""


def _decode(payload: bytes, owner: str, kinds: Mapping[str, _Kind]) -> dict[str, Any]:
    text = payload.decode("utf-8", "replace")
    try:
        pairs = json.loads(text, object_pairs_hook=_Object, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise BadOptions(_said(error)) from None
    except (ValueError, RecursionError) as error:
        raise BadOptions(str(error)) from None
    if pairs is None:
        return {}
    if not isinstance(pairs, _Object):
        name = _kind_of(pairs)
        raise BadOptions(f"json: cannot unmarshal {name} into Go value of type server.{owner}")
    given: dict[str, Any] = {}
    for name, value in pairs:
        kind = kinds.get(name.lower())
        if kind is None or value is None:
            continue
        if not kind[1](value):
            raise BadOptions(
                f"json: cannot unmarshal {_described(value, kind)} into Go struct field"
                f" {owner}.{name.lower()} of type {kind[0]}"
            )
        given[name.lower()] = value
    return given


def _no_constant(name: str) -> Any:
    raise ValueError(f"invalid character '{name[0]}' looking for beginning of value")


def _kind_of(value: Any) -> str:
    if isinstance(value, _Object):
        return "object"
    names = {bool: "bool", str: "string", list: "array"}
    return names.get(type(value), "number")


def _described(value: Any, kind: _Kind) -> str:
    """What was found: a number in full where one was wanted, only not this one."""
    found = _kind_of(value)
    wants_number = kind in (_INT, _NATURAL, _STATE, _DURATION)
    return f"{found} {value}" if found == "number" and wants_number else found


#: What Python's decoder says, and what Go's says after naming the character.
_PLACES = {
    "Expecting value": "looking for beginning of value",
    "Expecting property name enclosed in double quotes": "looking for beginning of object key"
    " string",
    "Illegal trailing comma before end of object": "looking for beginning of object key string",
    "Illegal trailing comma before end of array": "looking for beginning of value",
    "Expecting ':' delimiter": "after object key",
    "Expecting ',' delimiter": "after object key:value pair",
    "Extra data": "after top-level value",
    "Invalid control character at": "in string literal",
}


def _said(error: json.JSONDecodeError) -> str:
    rest = error.doc[error.pos :].lstrip(" \t\r\n")
    if not rest or error.msg.startswith("Unterminated string"):
        return "unexpected end of JSON input"
    place = _PLACES.get(error.msg, "in string escape code")
    return f"invalid character {_quoted(rest[0])} {place}"


def _quoted(char: str) -> str:
    special = {"'": r"'\''", '"': "'\"'"}
    return special.get(char, repr(char))
