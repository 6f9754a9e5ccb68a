"""Whether one setting's value makes sense by itself: the checks that `broker.config` runs.

The idea: a table from field to check, so that a field without one is noticed by a test. A check
returns nothing or raises `OptionsError`, which names the field, shows the value (unless it may be a
secret) and says how to mend it. What several fields say together is `broker.config`'s.

Accounts are one value that speaks of itself in many places, so `crossing_problems` is here too.

Pure; a few microseconds for the whole table. Neighbours: `broker.config`, and
`broker.confaccounts`, which knows the places where to say it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import zip_longest

from broker.blocks import (
    AccountBlock,
    ClusterBlock,
    Export,
    Import,
    IngressLimit,
    JwtBlock,
    LeafBlock,
    MappingBlock,
    TlsBlock,
    UserBlock,
    WebsocketBlock,
)
from broker.permissions import Permissions
from broker.subject import STAR, TAIL, collides

__all__ = ["CHECKS", "OptionsError", "crossing_problems", "port"]

_Check = Callable[[str, object], None]

#: The highest port number TCP has.
MAX_PORT = 65_535

#: A port number that asks for any free port; ``0`` is understood as well.
RANDOM_PORT = -1


class OptionsError(ValueError):
    """A setting that cannot be served. ``field`` names it; the text says how to mend it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


def _refuse(field: str, value: object, wanted: str) -> OptionsError:
    return OptionsError(field, f"{value!r} is not usable; give {wanted}")


def _whole_number(field: str, value: object, low: int, high: int | None, wanted: str) -> None:
    # bool is an int to Python, yet port=True is surely a slip.
    if isinstance(value, bool) or not isinstance(value, int):
        raise _refuse(field, value, wanted)
    if value < low or (high is not None and value > high):
        raise _refuse(field, value, wanted)


def port(field: str, value: object) -> None:
    """Refuse what is no port."""
    wanted = f"a port from 1 to {MAX_PORT}, or 0 or {RANDOM_PORT} for any free one"
    _whole_number(field, value, RANDOM_PORT, MAX_PORT, wanted)


def _port_or_none(field: str, value: object) -> None:
    if value is not None:
        port(field, value)


def _count(field: str, value: object) -> None:
    _whole_number(field, value, 1, None, "a whole number of at least 1")


def _count_or_unlimited(field: str, value: object) -> None:
    _whole_number(field, value, 0, None, "a whole number of at least 0 (0 means no limit)")


def _count_or_none(field: str, value: object) -> None:
    if value is not None:
        _whole_number(field, value, 0, None, "a whole number of at least 0, or None")


def _seconds(field: str, value: object) -> None:
    wanted = "a number of seconds greater than 0"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _refuse(field, value, wanted)
    if not (math.isfinite(value) and value > 0):
        raise _refuse(field, value, wanted)


def _span(field: str, value: object) -> None:
    wanted = "a number of seconds of at least 0"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _refuse(field, value, wanted)
    if not (math.isfinite(value) and value >= 0):
        raise _refuse(field, value, wanted)


def _chance(field: str, value: object) -> None:
    wanted = "a probability from 0.0 to 1.0"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _refuse(field, value, wanted)
    if not 0.0 <= value <= 1.0:
        raise _refuse(field, value, wanted)


def _flag(field: str, value: object) -> None:
    if not isinstance(value, bool):
        raise _refuse(field, value, "True or False")


def _text(field: str, value: object) -> None:
    if not isinstance(value, str) or not value:
        raise _refuse(field, value, "a text that is not empty")


def _text_or_empty(field: str, value: object) -> None:
    if not isinstance(value, str):
        raise _refuse(field, value, "a text")


def _text_or_none(field: str, value: object) -> None:
    if value is not None:
        _text(field, value)


def _secret_or_none(field: str, value: object) -> None:
    # An empty password is odd but legal. The value itself must not reach an error message or a log.
    if value is not None and not isinstance(value, str):
        raise OptionsError(field, f"must be a text, not {type(value).__name__}")


def _name_or_none(field: str, value: object) -> None:
    _text_or_none(field, value)
    # nats-server refuses blanks too: the name is a token of subjects such as $SYS.SERVER.<name>.
    if isinstance(value, str) and any(c.isspace() for c in value):
        raise _refuse(field, value, "a name without blanks")


def _record_or_none(kind: type) -> _Check:
    def check(field: str, value: object) -> None:
        # Not the value itself: there may be a secret within.
        if value is not None and not isinstance(value, kind):
            raise OptionsError(
                field, f"must be a {kind.__name__} or None, not {type(value).__name__}"
            )

    return check


def _records(kind: type) -> _Check:
    wanted = f"a tuple of {kind.__name__}"

    def check(field: str, value: object) -> None:
        if not isinstance(value, tuple):
            raise OptionsError(field, f"must be {wanted}, not {type(value).__name__}")
        for item in value:
            if not isinstance(item, kind):
                raise OptionsError(field, f"must be {wanted}; one is {type(item).__name__}")

    return check


#: The check of every field of `Options`.
CHECKS: dict[str, _Check] = {
    "host": _text,
    "port": port,
    "http_host": _text_or_none,
    "http_port": _port_or_none,
    "https_port": _port_or_none,
    "http_base_path": _text_or_empty,
    "websocket": _record_or_none(WebsocketBlock),
    "leafnodes": _record_or_none(LeafBlock),
    "cluster": _record_or_none(ClusterBlock),
    "backlog": _count,
    "client_advertise": _text_or_none,
    "tls": _record_or_none(TlsBlock),
    "allow_non_tls": _flag,
    "user": _text_or_none,
    "password": _secret_or_none,
    "token": _secret_or_none,
    "auth_timeout": _seconds,
    "users": _records(UserBlock),
    "accounts": _records(AccountBlock),
    "system_account": _text_or_none,
    "no_auth_user": _text_or_none,
    "permissions": _record_or_none(Permissions),
    "jwt": _record_or_none(JwtBlock),
    "mappings": _records(MappingBlock),
    "presence": _flag,
    "slow_consumer_notices": _flag,
    "max_connections": _count_or_unlimited,
    "max_control_line": _count,
    "max_payload": _count,
    "max_pending": _count,
    "max_subscriptions": _count_or_unlimited,
    "max_sub_tokens": _count_or_unlimited,
    "write_deadline": _seconds,
    "ingress": _record_or_none(IngressLimit),
    "ping_interval": _seconds,
    "ping_max": _count,
    "first_ping": _seconds,
    "lame_duck_duration": _span,
    "lame_duck_grace": _span,
    "server_name": _name_or_none,
    "debug": _flag,
    "trace": _flag,
    "max_traced": _count_or_unlimited,
    "log_file": _text_or_none,
    "logtime": _flag,
    "logtime_utc": _flag,
    "syslog": _text_or_none,
    "pid_file": _text_or_none,
    "ports_file_dir": _text_or_none,
    "closed_ring": _count_or_unlimited,
    "config_file": _text_or_none,
    "digest": _text_or_empty,
    "backend": _text_or_none,
    "flow_capacity": _count_or_none,
    "flow_evict_chance": _chance,
}


# ---------------------------------------------------------------- what accounts say of each other


def crossing_problems(blocks: Iterable[AccountBlock]) -> Iterator[str]:
    """What is wrong with exports and imports, in nats-server's words: an account that is not there,
    an import that no export allows, or one that leads back home.

    Cost: each import looks through the exports of one account, and may lead through all others.
    """
    accounts = {block.name: block for block in blocks}
    for block in accounts.values():
        for export in block.exports:
            missing = [name for name in export.accounts or () if name not in accounts]
            for name in missing:
                kind = "service" if export.service else "stream"
                yield f'"{name}" account not defined for {kind} export'
    for block in accounts.values():
        for wanted in block.imports:
            problem = _import_problem(block, wanted, accounts)
            if problem is not None:
                yield problem


def _import_problem(
    block: AccountBlock, wanted: Import, blocks: Mapping[str, AccountBlock]
) -> str | None:
    kind = "service" if wanted.service else "stream"
    exporter = blocks.get(wanted.account)
    if exporter is None:
        return f'"{wanted.account}" account not defined for {kind} import'
    here = (wanted.to or wanted.subject) if wanted.service else wanted.subject
    adding = f'Error adding {kind} import "{here.decode()}": '
    if not any(_allows(export, wanted, block.name) for export in exporter.exports):
        return f"{adding}{kind} import not authorized"
    if _leads_home(block.name, wanted, blocks):
        return f"{adding}import forms a cycle"
    return None


def _allows(export: Export, wanted: Import, name: str) -> bool:
    if export.service != wanted.service:
        return False
    if export.accounts is not None and name not in export.accounts:
        return False
    return _covers(export.subject, wanted.subject)


def _covers(wide: bytes, narrow: bytes) -> bool:
    """Whether every subject that the filter `narrow` matches is matched by `wide` as well."""
    for outer, inner in zip_longest(wide.split(b"."), narrow.split(b".")):
        if outer is None or inner is None:
            return False
        if outer == TAIL:
            return True
        if inner == TAIL or outer not in (STAR, inner):
            return False
    return True


def _known_as(block: Import) -> bytes:
    """The subject by which the importing account knows what it imports."""
    return block.prefix + b"." + block.subject if block.prefix else block.to or block.subject


def _leads_home(home: str, wanted: Import, blocks: Mapping[str, AccountBlock]) -> bool:
    """Whether what is imported comes, through the imports of others, from `home` itself."""
    seen: set[Import] = set()
    open_ends = [wanted]
    while open_ends:
        link = open_ends.pop()
        for onward in blocks[link.account].imports if link.account in blocks else ():
            if onward.service != link.service or onward in seen or link.account == home:
                continue
            if collides(_known_as(onward), link.subject):
                if onward.account == home:
                    return True
                seen.add(onward)
                open_ends.append(onward)
    return False
