"""Options: everything a broker can be told, checked once, frozen for ever.

The idea: a broker that has started never asks again whether its settings make sense. Whoever builds
an ``Options`` (the command line, ``Broker(...)``, a test) gets either a value that is right as a
whole or an `OptionsError` that names the field, shows what it was given and says how to mend it.

The defaults are nats-server's, so that a client cannot tell the difference; they are listed in its
``server/const.go``. Where nats-server writes "no limit" as a negative number, ``0`` means it here,
and the command line translates.

Invariants: an instance is valid; nothing changes it. Derive another with ``options.replace(...)``.

Neighbours: `broker.cli` and `broker.embedded` build one; `broker.session`, `broker.server` and
`broker.monitor` read it; `broker.blocks` and `broker.permissions` are the records within it. Knows
neither sockets nor clocks.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from broker.blocks import (
    AccountBlock,
    IngressLimit,
    JwtBlock,
    MappingBlock,
    TlsBlock,
    UserBlock,
    WebsocketBlock,
)
from broker.permissions import Permissions

__all__ = ["Options", "OptionsError"]

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


@dataclass(frozen=True)
class Options:
    """One broker's settings. Sizes are bytes, times are seconds, ``None`` means "not set".

    Immutable, so it may be shared between threads. Building one costs a few microseconds.

    Raises:
        OptionsError: a value is of the wrong type, out of range, or contradicts another one.
    """

    # Where to listen. Ports: 0 or -1 take any free one; http_port None means no monitor.
    host: str = "0.0.0.0"
    port: int = 4222
    http_host: str | None = None
    http_port: int | None = None
    https_port: int | None = None
    http_base_path: str = ""
    websocket: WebsocketBlock | None = None
    backlog: int = 1024
    client_advertise: str | None = None

    # How connections are encrypted. allow_non_tls: plain ones are served as well.
    tls: TlsBlock | None = None
    allow_non_tls: bool = False

    # Who may come in: everybody, whoever knows a token, or one user with a password.
    user: str | None = None
    password: str | None = None
    token: str | None = None
    auth_timeout: float = 2.0

    # Or any of several users, in accounts that do not hear each other. no_auth_user is who a client
    # without credentials is; permissions are those of users that have none of their own.
    users: tuple[UserBlock, ...] = ()
    accounts: tuple[AccountBlock, ...] = ()
    system_account: str | None = None
    no_auth_user: str | None = None
    permissions: Permissions | None = None
    jwt: JwtBlock | None = None
    mappings: tuple[MappingBlock, ...] = ()

    # What one client may do. 0 subscriptions or connections: no limit.
    max_connections: int = 65_536
    max_control_line: int = 4096
    max_payload: int = 1024 * 1024
    max_pending: int = 64 * 1024 * 1024
    max_subscriptions: int = 0
    max_sub_tokens: int = 0
    write_deadline: float = 10.0
    ingress: IngressLimit | None = None

    # Whether a silent client is still there. The first PING comes early, to measure the round trip.
    ping_interval: float = 120.0
    ping_max: int = 2
    first_ping: float = 2.0

    # How we leave: clients are told, and after the grace sent away over the duration.
    lame_duck_duration: float = 120.0
    lame_duck_grace: float = 10.0

    # Who we are and what we tell.
    server_name: str | None = None
    debug: bool = False
    trace: bool = False
    max_traced: int = 0
    log_file: str | None = None
    logtime: bool = True
    logtime_utc: bool = False
    syslog: str | None = None
    pid_file: str | None = None
    ports_file_dir: str | None = None
    closed_ring: int = 10_000
    presence: bool = False

    # Where these settings were read from, and a digest of it that tells whether it has changed.
    config_file: str | None = None
    digest: str = ""

    # How it is done: none of these changes what a client sees.
    backend: str | None = None
    flow_capacity: int | None = None
    flow_evict_chance: float = 0.0

    def __post_init__(self) -> None:
        for field, check in _CHECKS.items():
            check(field, getattr(self, field))
        self._check_credentials()
        if self.max_payload > self.max_pending:
            # nats-server refuses this as well: such a message could never be delivered.
            raise OptionsError(
                "max_payload",
                f"{self.max_payload} is more than max_pending ({self.max_pending}), so the largest "
                "messages would cut off whoever receives them; lower it, or raise max_pending",
            )

    def replace(self, **changes: Any) -> Options:
        """A copy with some fields changed, checked as a whole. Raises `OptionsError` like the
        class.
        """
        return dataclasses.replace(self, **changes)

    @property
    def auth_required(self) -> bool:
        """Whether a client has to prove who it is before it may do anything."""
        return self.token is not None or self.user is not None

    def _check_credentials(self) -> None:
        if self.token is not None and (self.user is not None or self.password is not None):
            raise OptionsError(
                "token", "cannot be combined with a user or password; choose one way to log in"
            )
        if self.password is not None and self.user is None:
            raise OptionsError("password", "needs a user to belong to; set user as well")


def _refuse(field: str, value: object, wanted: str) -> OptionsError:
    return OptionsError(field, f"{value!r} is not usable; give {wanted}")


def _whole_number(field: str, value: object, low: int, high: int | None, wanted: str) -> None:
    # bool is an int to Python, yet port=True is surely a slip.
    if isinstance(value, bool) or not isinstance(value, int):
        raise _refuse(field, value, wanted)
    if value < low or (high is not None and value > high):
        raise _refuse(field, value, wanted)


def _port(field: str, value: object) -> None:
    wanted = f"a port from 1 to {MAX_PORT}, or 0 or {RANDOM_PORT} for any free one"
    _whole_number(field, value, RANDOM_PORT, MAX_PORT, wanted)


def _port_or_none(field: str, value: object) -> None:
    if value is not None:
        _port(field, value)


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


_CHECKS: dict[str, _Check] = {
    "host": _text,
    "port": _port,
    "http_host": _text_or_none,
    "http_port": _port_or_none,
    "https_port": _port_or_none,
    "http_base_path": _text_or_empty,
    "websocket": _record_or_none(WebsocketBlock),
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
    "presence": _flag,
    "config_file": _text_or_none,
    "digest": _text_or_empty,
    "backend": _text_or_none,
    "flow_capacity": _count_or_none,
    "flow_evict_chance": _chance,
}
