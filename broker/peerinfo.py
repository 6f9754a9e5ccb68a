"""INFO and CONNECT as servers say them to each other.

The idea: the same two JSON texts as between server and client, with other fields; the same rules
for reading them (`broker.handshake`). Routes and leaf nodes use one record, of which each fills in
a part: what is not said has its default, and defaults are not written.

Both sides of a route say INFO; the side that dialled says CONNECT as well. On a leaf link the hub
says INFO and the leaf CONNECT.

Source: the structs `Info`, `connectInfo` and `leafConnectInfo` of nats-server 2.15, whose order of
fields is kept.

Neighbours: `broker.route` and the leaf sessions read and write them. Frozen records, pure.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from broker.handshake import (
    COMPATIBLE_VERSION,
    Check,
    JsonObject,
    decode,
    is_flag,
    is_int,
    is_natural,
    is_text,
    is_text_list,
)
from broker.permissions import Rules

__all__ = ["PeerConnect", "PeerInfo"]

_Self = TypeVar("_Self", bound="_Json")


def _is_rules(value: object) -> bool:
    """An object of two arrays, `allow` and `deny`."""
    if not isinstance(value, JsonObject):
        return False
    return all(
        name not in ("allow", "deny") or told is None or is_text_list(told) for name, told in value
    )


def _rules(value: JsonObject) -> Rules:
    told: dict[str, Any] = dict(value)
    allow, deny = told.get("allow"), told.get("deny")
    return Rules(
        None if not allow else tuple(_clean(text or "").encode() for text in allow),
        tuple(_clean(text or "").encode() for text in deny or ()),
    )


def _of_rules(rules: Rules) -> dict[str, list[str]]:
    told = {"allow": rules.allow or (), "deny": rules.deny}
    return {
        name: [subject.decode("utf-8", "replace") for subject in subjects]
        for name, subjects in told.items()
        if subjects
    }


def _clean(text: str) -> str:
    """Without lone surrogates, which JSON can spell and nobody can write on."""
    return text.encode("utf-8", "replace").decode()


class _Json:
    """A record that is written as JSON and read from it."""

    @classmethod
    def parse(cls: type[_Self], text: bytes) -> _Self:
        """Raises ProtocolError for what is no JSON object or has a field of the wrong type."""
        found = decode(text, _checks(cls), cls.__name__)
        for name, value in found.items():
            if isinstance(value, JsonObject):
                found[name] = _rules(value)
            elif isinstance(value, list):
                found[name] = tuple(_clean(item or "") for item in value)
            elif isinstance(value, str):
                found[name] = _clean(value)
        return cls(**found)

    def json(self) -> bytes:
        """The JSON text; what has its default is left out, unless it is always said."""
        told = {}
        for field in dataclasses.fields(self):  # type: ignore[arg-type]  # each class is one
            value = getattr(self, field.name)
            if value or field.metadata.get("always"):
                name = _WIRE.get(field.name, field.name)
                told[name] = _of_rules(value) if isinstance(value, Rules) else value
        return json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode()


#: Fields whose names on the wire are no names in Python, or misleading ones.
_WIRE = {"password": "pass", "imports": "import", "exports": "export"}


def _always(default: Any) -> Any:
    return dataclasses.field(default=default, metadata={"always": True})


@dataclass(frozen=True)
class PeerInfo(_Json):
    """INFO. `imports` and `exports` are what the sender takes and gives; `ip` is where to dial the
    server that it is about; `ln...` say which ways of speaking for leaf nodes are understood.
    """

    server_id: str = _always("")
    server_name: str = _always("")
    version: str = COMPATIBLE_VERSION
    proto: int = _always(1)
    git_commit: str = ""
    go: str = ""
    host: str = _always("")
    port: int = _always(0)
    headers: bool = False
    auth_required: bool = False
    tls_required: bool = False
    tls_verify: bool = False
    max_payload: int = 0
    ip: str = ""
    client_id: int = 0
    nonce: str = ""
    cluster: str = ""
    cluster_dynamic: bool = False
    connect_urls: tuple[str, ...] = ()
    ws_connect_urls: tuple[str, ...] = ()
    ldm: bool = False
    compression: str = ""
    connect_info: bool = False
    remote_account: str = ""
    imports: Rules | None = None
    exports: Rules | None = None
    lnoc: bool = False
    lnocu: bool = False
    ln: bool = False
    info_on_connect: bool = False
    route_pool_size: int = 0
    route_pool_idx: int = 0
    route_account: str = ""
    gossip_mode: int = 0
    leafnode_urls: tuple[str, ...] = ()


@dataclass(frozen=True)
class PeerConnect(_Json):
    """CONNECT. `lang` is there if it was a client that came to the wrong door; `name` is on a route
    the server's id.
    """

    echo: bool = False
    verbose: bool = False
    pedantic: bool = False
    version: str = ""
    nkey: str = ""
    jwt: str = ""
    sig: str = ""
    user: str = ""
    password: str = ""
    auth_token: str = ""
    tls_required: bool = False
    server_id: str = ""
    domain: str = ""
    name: str = ""
    is_hub: bool = False
    isolate: bool = False
    cluster: str = ""
    cluster_dynamic: bool = False
    headers: bool = False
    lnoc: bool = False
    lnocu: bool = False
    ln: bool = False
    compress_mode: str = ""
    remote_account: str = ""
    protocol: int = 0
    lang: str = ""
    gateway: str = ""


_KINDS: dict[str, Check] = {
    "str": is_text,
    "int": is_int,
    "bool": is_flag,
    "tuple[str, ...]": is_text_list,
    "Rules | None": _is_rules,
}


def _table(record: type) -> dict[str, tuple[str, Check]]:
    return {
        _WIRE.get(field.name, field.name): (field.name, _KINDS[str(field.type)])
        for field in dataclasses.fields(record)
    }


_TABLES: Mapping[type, Mapping[str, tuple[str, Check]]] = {
    PeerInfo: _table(PeerInfo) | {"client_id": ("client_id", is_natural)},
    PeerConnect: _table(PeerConnect),
}


def _checks(record: type) -> Mapping[str, tuple[str, Check]]:
    return _TABLES[record]
