"""The two JSON texts of the handshake: INFO, which we write, and CONNECT, which we read.

The idea: JSON is judged here, once, as nats-server's decoder judges it, and the session sees only
typed records. That decoder (Go's `encoding/json`) matches names in any case, lets the last of
several equal names win, takes `null` for "not given", refuses a value of the wrong type (`1.0` is
no integer), and ignores names it does not know.  Anything it refuses closes the connection without
a word, so that is what happens here.

Neighbours: session uses both directions, server makes the `ServerInfo`.  Pure functions on frozen
records, safe in any thread; each costs O(length of the text).
"""

from __future__ import annotations

import base64
import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from broker.errors import (
    AUTHORIZATION_VIOLATION,
    BAD_ARGUMENTS,
    BAD_CLIENT_PROTOCOL,
    NO_RESPONDERS_NEEDS_HEADERS,
    ProtocolError,
    WireError,
)

__all__ = [
    "COMPATIBLE_VERSION",
    "ConnectOptions",
    "ServerInfo",
    "advertised",
    "check_info",
    "make_nonce",
    "misfit",
    "parse_connect",
]

# What INFO says under `version`.  Clients compare it, as a semantic version, to know what a server
# can do, so it names the nats-server whose behaviour we reproduce and are tested against.  Who we
# really are stands in `git_commit` and `go`, which clients print at most.
COMPATIBLE_VERSION = "2.15.1"

_NONCE_SIZE = 11


@dataclass(frozen=True)
class ServerInfo:
    """What INFO tells of the server.  `go` is what it was built with, hence the Python version."""

    server_id: str
    server_name: str
    host: str
    port: int
    max_payload: int
    version: str = COMPATIBLE_VERSION
    git_commit: str = ""
    go: str = ""
    auth_required: bool = False
    tls_required: bool = False
    tls_verify: bool = False
    tls_available: bool = False
    connect_urls: tuple[str, ...] = ()
    ldm: bool = False
    cluster: str = ""
    cluster_dynamic: bool = False

    def json(
        self,
        client_id: int,
        client_ip: str,
        account: str = "",
        *,
        nonce: str = "",
        auth_required: bool | None = None,
        max_payload: int = 0,
        is_system: bool = False,
    ) -> bytes:
        """The JSON of one client's INFO, in nats-server's order of fields and without the empty
        ones.

        `account` is given in the second INFO only, which follows a client's first PING, with
        `is_system` if it is the system's; `nonce` in the first only.  `auth_required` and
        `max_payload`, where given, hold instead of what every client is told.
        """
        required = self.auth_required if auth_required is None else auth_required
        fields: dict[str, object] = {
            "server_id": self.server_id,
            "server_name": self.server_name,
            "version": self.version,
            "proto": 1,
            "git_commit": self.git_commit,
            "go": self.go,
            "host": self.host,
            "port": self.port,
            "headers": True,
            "auth_required": required,
            "tls_required": self.tls_required,
            "tls_verify": self.tls_verify,
            "tls_available": self.tls_available,
            "max_payload": max_payload or self.max_payload,
            "client_id": client_id,
            "client_ip": client_ip,
            "nonce": nonce,
            "cluster": self.cluster,
            "cluster_dynamic": self.cluster_dynamic,
            "connect_urls": self.connect_urls,
            "ldm": self.ldm,
            "connect_info": bool(account),
            "remote_account": account,
            "acc_is_sys": is_system,
        }
        present = {name: value for name, value in fields.items() if value}
        return json.dumps(present, separators=(",", ":"), ensure_ascii=False).encode()


@dataclass(frozen=True)
class ConnectOptions:
    """What CONNECT asks for; the defaults are those of a client that has not said CONNECT."""

    verbose: bool = True
    pedantic: bool = True
    tls_required: bool = False
    auth_token: str = ""
    user: str = ""
    password: str = ""
    nkey: str = ""
    jwt: str = ""
    sig: str = ""
    name: str = ""
    lang: str = ""
    version: str = ""
    protocol: int = 0
    account: str = ""
    new_account: bool = False
    echo: bool = True
    headers: bool = False
    no_responders: bool = False
    will: object = dataclasses.field(default=None, hash=False)  # see `broker.wills`


def make_nonce() -> str:
    """Something new for a client to sign: 11 random bytes in base64url, as nats-server's."""
    return base64.urlsafe_b64encode(os.urandom(_NONCE_SIZE)).decode().rstrip("=")


def advertised(address: str, host: str, port: int) -> tuple[str, int]:
    """The host and port that INFO gives, for ``client_advertise`` as ``address`` ("host" or
    "host:port"); what it leaves out, or all if it is empty, is where the server listens.

    Raises ValueError for a port that is no number.
    """
    name, colon, number = address.rpartition(":")
    if not colon or address.endswith("]"):
        return address.strip("[]") or host, port
    return name.strip("[]") or host, int(number)


def is_text(value: object) -> bool:
    """A text."""
    return isinstance(value, str)


def is_flag(value: object) -> bool:
    """True or false."""
    return isinstance(value, bool)


def is_int(value: object) -> bool:
    """A whole number of 64 bits."""
    # bool is an int to Python, and Go's int has 64 bits.
    return type(value) is int and -(2**63) <= value < 2**63


def is_natural(value: object) -> bool:
    """A whole number of 64 bits, from 0 on."""
    return type(value) is int and 0 <= value < 2**64


def is_text_list(value: object) -> bool:
    """An array of texts."""
    # JSON's null within a list of texts is the empty text to Go.
    return (
        isinstance(value, list)
        and not isinstance(value, JsonObject)
        and all(item is None or isinstance(item, str) for item in value)
    )


#: Whether a value has the type that its field must have.
Check = Callable[[object], bool]

# Name on the wire -> (field of ConnectOptions, the type it must have).
_CONNECT_FIELDS: Mapping[str, tuple[str, Check]] = {
    "verbose": ("verbose", is_flag),
    "pedantic": ("pedantic", is_flag),
    "tls_required": ("tls_required", is_flag),
    "auth_token": ("auth_token", is_text),
    "user": ("user", is_text),
    "pass": ("password", is_text),
    "nkey": ("nkey", is_text),
    "jwt": ("jwt", is_text),
    "sig": ("sig", is_text),
    "name": ("name", is_text),
    "lang": ("lang", is_text),
    "version": ("version", is_text),
    "protocol": ("protocol", is_int),
    "account": ("account", is_text),
    "new_account": ("new_account", is_flag),
    "echo": ("echo", is_flag),
    "headers": ("headers", is_flag),
    "no_responders": ("no_responders", is_flag),
    "will": ("will", lambda value: True),  # judged where somebody heeds it
}

_INFO_FIELDS: Mapping[str, tuple[str, Check]] = {
    name: (name, check)
    for check, names in (
        (
            is_text,
            "server_id server_name version git_commit go host ip client_ip nonce cluster domain",
        ),
        (is_int, "proto port max_payload"),
        (is_natural, "client_id"),
        (
            is_flag,
            "headers auth_required tls_required tls_verify tls_available jetstream "
            "cluster_dynamic ldm connect_info acc_is_sys",
        ),
        (is_text_list, "connect_urls ws_connect_urls"),
    )
    for name in names.split()
}


class JsonObject(list[tuple[str, object]]):
    """A JSON object as its pairs in order; a class of its own to tell it from an array."""


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


def decode(text: bytes, fields: Mapping[str, tuple[str, Check]], what: str) -> dict[str, object]:
    """The fields that a JSON object has of those known, by the names that `fields` gives them.

    Raises ProtocolError for what is no JSON object or has a field of the wrong type.  O(length).
    """
    try:
        # Go replaces bytes that are not UTF-8 and goes on.
        pairs = json.loads(
            text.decode("utf-8", "replace"),
            object_pairs_hook=JsonObject,
            parse_constant=_refuse_constant,
        )
    except (ValueError, RecursionError) as error:
        raise ProtocolError(BAD_ARGUMENTS, f"{what}: {error}") from None
    if pairs is None:
        return {}
    if not isinstance(pairs, JsonObject):
        raise ProtocolError(BAD_ARGUMENTS, f"{what}: not a JSON object")
    found: dict[str, object] = {}
    for name, value in pairs:
        field, check = fields.get(name.lower(), ("", None))
        if check is None or value is None:
            continue
        if not check(value):
            raise ProtocolError(BAD_ARGUMENTS, f"{what}: {name} has the wrong type")
        found[field] = value
    return found


def parse_connect(text: bytes, earlier: ConnectOptions) -> ConnectOptions:
    """The options of a CONNECT; what it leaves out stays as it was `earlier`.

    Raises ProtocolError for what is no JSON object or has a field of the wrong type.
    """
    found = decode(text, _CONNECT_FIELDS, "CONNECT")
    if "will" in found:
        found["will"] = _plain(found["will"])
    return replace(earlier, **found)  # type: ignore[arg-type]  # checked field by field above


def _plain(value: object, depth: int = 2) -> object:
    """Objects as dictionaries, in the outer levels: nobody looks for any further in."""
    if depth and isinstance(value, JsonObject):
        return {name: _plain(item, depth - 1) for name, item in value}
    return value


def misfit(options: ConnectOptions) -> WireError | None:
    """What is wrong with a CONNECT besides its credentials, in nats-server's order."""
    if options.account or options.new_account:
        return AUTHORIZATION_VIOLATION
    if options.protocol not in (0, 1):
        return BAD_CLIENT_PROTOCOL
    if options.no_responders and not options.headers:
        return NO_RESPONDERS_NEEDS_HEADERS
    return None


def check_info(text: bytes) -> None:
    """Raises ProtocolError if a client's INFO, which means nothing, is not even well formed."""
    decode(text, _INFO_FIELDS, "INFO")
