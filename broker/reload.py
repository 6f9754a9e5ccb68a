"""What changes when a running broker is given other options, and what cannot.

The idea: a reload is a comparison of two values. `plan` says which settings differ, what each
difference needs (`broker.schema` knows that of every key), and which ones need a restart; one of
those refuses the whole reload, so that a broker never runs on half of a file. Nothing is done here:
`broker.reloading` does it, and logs the lines that the changes bring along.

Secrets are compared and never shown. What nests (users, accounts, TLS) is named, not printed.

Our deviation: we log what has changed and nothing else, where nats-server always lists users,
accounts and TLS.

Pure; a few microseconds for each field. Source of the texts: ``server/reload.go`` of nats-server.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from broker.blocks import JwtBlock, TlsBlock, WebsocketBlock
from broker.config import Options
from broker.gotime import duration
from broker.schema import KEYS, Key, Kind, Reload

__all__ = ["Change", "Plan", "plan"]

#: nats-server's names of settings in its refusals, where they are not ours with capitals.
_GO_NAMES = {
    "allow_non_tls": "AllowNonTLS",
    "closed_ring": "MaxClosedClients",
    "http_base_path": "HTTPBasePath",
    "http_host": "HTTPHost",
    "http_port": "HTTPPort",
    "https_port": "HTTPSPort",
    "jwt": "TrustedOperators",
}

#: nats-server's words for settings whose values it does not log.
_WORDS = {
    "user": "authorization username",
    "password": "authorization password",
    "token": "authorization token",
    "users": "authorization users",
    "permissions": "authorization default permissions",
}

_ANY_TLS = TlsBlock("", "")

#: Where the settings come from, not what they are.
_IGNORED = frozenset(["config_file", "digest"])


def _by_field() -> dict[str, Key]:
    keys: dict[str, Key] = {}
    for key in KEYS:
        for field in key.field.split() if key.path in ("", "authorization") else ():
            # A key that sets one field alone says more of it than one that sets two.
            if field not in keys or " " in keys[field].field:
                keys[field] = key
    return keys


_KEYS = _by_field()


@dataclass(frozen=True)
class Change:
    """One setting that differs: its key in the file, its field, both values, what it needs.

    The values may be secrets, so they are neither in its ``repr`` nor, unless harmless, in `line`.
    """

    key: str
    field: str
    old: Any = dataclasses.field(repr=False)
    new: Any = dataclasses.field(repr=False)
    how: Reload

    @property
    def line(self) -> str:
        """What the log says of it, with nats-server's words."""
        return f"Reloaded: {_shown(self)}"


@dataclass(frozen=True)
class Plan:
    """All that differs between two options. If anything is `refused`, nothing may be applied."""

    changes: tuple[Change, ...]
    refused: tuple[str, ...]

    def of(self, *fields: str) -> bool:
        """Whether one of these fields is among the changes."""
        return any(change.field in fields for change in self.changes)


def plan(old: Options, new: Options) -> Plan:
    """Compare the options that a broker runs with and those that it should."""
    changes = tuple(
        change
        for field in dataclasses.fields(Options)
        if field.name not in _IGNORED
        and (change := _change(field.name, getattr(old, field.name), getattr(new, field.name)))
    )
    return Plan(
        tuple(change for change in changes if change.how is not Reload.RESTART),
        tuple(_refusal(change) for change in changes if change.how is Reload.RESTART),
    )


def _change(field: str, old: Any, new: Any) -> Change | None:
    if old == new:
        return None
    key = _KEYS.get(field)
    how = key.reload if key is not None else Reload.RESTART
    if field == "websocket" and _without_tls(old) == _without_tls(new):
        how = Reload.ACT
    if field == "jwt" and _operators(old) == _operators(new):
        how = Reload.ACT
    return Change(key.names[0] if key is not None else field, field, old, new, how)


def _without_tls(block: WebsocketBlock | None) -> WebsocketBlock | None:
    """The block with its certificate blotted out; whether it has one still counts."""
    if block is None or block.tls is None:
        return block
    return dataclasses.replace(block, tls=_ANY_TLS)


def _operators(block: JwtBlock | None) -> tuple[str, ...]:
    return block.operators if block is not None else ()


def _refusal(change: Change) -> str:
    name = _GO_NAMES.get(change.field)
    name = name or "".join(word.capitalize() for word in change.field.split("_"))
    said = f"config reload not supported for {name}"
    if _plain(change.old) and _plain(change.new):
        old, new = (_value(change.field, value) for value in (change.old, change.new))
        return f"{said}: old={old}, new={new}"
    return f"{said}: restart the broker"


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, (str, int, float))


def _shown(change: Change) -> str:
    if change.field in _WORDS:
        return _WORDS[change.field]
    if change.field == "tls":
        return f"tls = {'enabled' if change.new is not None else 'disabled'}"
    if change.field == "auth_timeout":
        return f"authorization timeout = {change.new:g}"
    if _plain(change.old) and _plain(change.new):
        return f"{change.key} = {_value(change.field, change.new)}"
    return change.key


def _value(field: str, value: Any) -> str:
    """A plain value as Go prints it."""
    key = _KEYS.get(field)
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if key is not None and key.kind in (Kind.DURATION, Kind.SPAN):
        return duration(value)
    return str(value)
