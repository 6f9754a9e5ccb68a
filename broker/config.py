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
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from broker.blocks import (
    DEFAULT_ACCOUNT,
    AccountBlock,
    ClusterBlock,
    IngressLimit,
    JwtBlock,
    LeafBlock,
    MappingBlock,
    TlsBlock,
    UserBlock,
    WebsocketBlock,
)
from broker.checks import CHECKS, OptionsError, crossing_problems, port
from broker.clusterblock import problem_of
from broker.gotime import duration
from broker.leafchecks import check_leafnodes
from broker.permissions import Permissions

__all__ = ["LOCAL_SYSLOG", "ConfigError", "Options", "OptionsError"]

#: Where this machine's own syslog listens; anything else in ``syslog`` is another's address.
LOCAL_SYSLOG = "/dev/log"


class ConfigError(ValueError):
    """A configuration file that cannot be served. The text, a line for each mistake, is for people
    and complete: it names file, line and column wherever there are any.
    """


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
    leafnodes: LeafBlock | None = None
    cluster: ClusterBlock | None = None
    backlog: int = 1024
    client_advertise: str | None = None

    # How connections are encrypted. allow_non_tls: plain ones are served as well.
    tls: TlsBlock | None = None
    allow_non_tls: bool = False

    # Who may come in: everybody, whoever knows a token, or one user with a password.
    user: str | None = None
    password: str | None = dataclasses.field(default=None, repr=False)
    token: str | None = dataclasses.field(default=None, repr=False)
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

    # What clients in no account of their own may hear of each other; an account has its own.
    presence: bool = False
    slow_consumer_notices: bool = False

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

    # Where these settings were read from, and a digest of it that tells whether it has changed.
    config_file: str | None = None
    digest: str = ""

    # How it is done: none of these changes what a client sees.
    backend: str | None = None
    flow_capacity: int | None = None
    flow_evict_chance: float = 0.0

    def __post_init__(self) -> None:
        for field, check in CHECKS.items():
            check(field, getattr(self, field))
        self._check_credentials()
        self._check_users()
        self._check_sizes()
        self._check_doors()
        if self.cluster is not None:
            port("cluster", self.cluster.port)
            if problem := problem_of(self.cluster):
                raise OptionsError("cluster", problem)
        if self.leafnodes is not None:
            check_leafnodes(self.leafnodes, self._account_names())

    def replace(self, **changes: Any) -> Options:
        """A copy with some fields changed, checked as a whole. Raises `OptionsError` like the
        class.
        """
        return dataclasses.replace(self, **changes)

    @property
    def auth_required(self) -> bool:
        """Whether a client has to prove who it is before it may do anything."""
        ways = (self.token, self.user, self.jwt)
        some = any(way is not None for way in ways) or next(self.every_user(), None) is not None
        return some and self.no_auth_user is None

    def every_user(self) -> Iterator[UserBlock]:
        """All users, of whatever account."""
        yield from self.users
        for account in self.accounts:
            yield from account.users

    def _account_names(self) -> set[str] | None:
        """The accounts that there are; None: only the JWTs tell."""
        if self.jwt is not None:
            return None
        system = self.system_account or "$SYS"
        return {DEFAULT_ACCOUNT, system} | {account.name for account in self.accounts}

    def _check_credentials(self) -> None:
        if self.token is not None and (self.user is not None or self.password is not None):
            raise OptionsError(
                "token", "cannot be combined with a user or password; choose one way to log in"
            )
        if self.password is not None and self.user is None:
            raise OptionsError("password", "needs a user to belong to; set user as well")
        for field in ("user", "token"):
            if getattr(self, field) is not None and next(self.every_user(), None) is not None:
                raise OptionsError(
                    field, "cannot be combined with several users; make it one of these"
                )
        if self.jwt is not None and next(self.every_user(), None) is not None:
            raise OptionsError("users", "operators do not allow users to be configured directly")
        if self.jwt is not None and self.accounts:
            raise OptionsError(
                "accounts", "operators do not allow Accounts to be configured directly"
            )

    def _check_users(self) -> None:
        names = [user.nkey or user.user for user in self.every_user()]
        if "" in names:
            raise OptionsError("users", "User entry requires a user, or an nkey")
        _check_once("users", "user", names)
        _check_once("accounts", "account", [account.name for account in self.accounts])
        for problem in crossing_problems(self.accounts):
            raise OptionsError("accounts", problem)
        self._check_no_auth_user("no_auth_user", self.no_auth_user, names)
        if self.websocket is not None:
            self._check_no_auth_user("websocket", self.websocket.no_auth_user, names)
        if self.system_account is not None and self.jwt is None:
            known = {"$SYS", "$G"} | {account.name for account in self.accounts}
            if self.system_account not in known:
                raise OptionsError(
                    "system_account",
                    f'there is no account "{self.system_account}"; add it to accounts',
                )

    def _check_no_auth_user(self, field: str, name: str | None, names: list[str]) -> None:
        if name is None or name in names:
            return
        shown = f'no_auth_user: "{name}"'
        if self.jwt is not None:
            raise OptionsError(field, "no_auth_user not compatible with Trusted Operator")
        if not names:
            raise OptionsError(field, f"{shown} present, but users/nkeys are not defined")
        raise OptionsError(
            field,
            f"{shown} not present as user or nkey in authorization block or account configuration",
        )

    def _check_sizes(self) -> None:
        if self.max_payload > self.max_pending:
            # nats-server refuses this as well: such a message could never be delivered.
            raise OptionsError(
                "max_payload",
                f"{self.max_payload} is more than max_pending ({self.max_pending}), so the largest "
                "messages would cut off whoever receives them; lower it, or raise max_pending",
            )
        if 0 < self.lame_duck_duration <= self.lame_duck_grace:
            grace, whole = duration(self.lame_duck_grace), duration(self.lame_duck_duration)
            raise OptionsError(
                "lame_duck_grace",
                f"lame duck grace period ({grace}) should be strictly lower than lame duck "
                f"duration ({whole})",
            )

    def _check_doors(self) -> None:
        if self.https_port is not None and self.http_port is not None:
            raise OptionsError(
                "https_port",
                f"Can't specify both HTTP ({self.http_port}) and HTTPs ({self.https_port}) ports",
            )
        if self.https_port is not None and self.tls is None:
            raise OptionsError("https_port", "needs a certificate; set tls as well")
        if self.websocket is None:
            return
        port("websocket", self.websocket.port)
        if self.websocket.tls is None and not self.websocket.no_tls:
            raise OptionsError(
                "websocket", "websocket requires TLS configuration; set tls, or no_tls: true"
            )
        for origin in self.websocket.allowed_origins:
            if not origin.lower().startswith(("http://", "https://")):
                raise OptionsError(
                    "websocket",
                    f'unable to parse allowed origin "{origin}": allowed origins must be absolute '
                    "URLs with http or https scheme",
                )
        if self.websocket.jwt_cookie and self.jwt is None:
            raise OptionsError(
                "websocket",
                "trusted operators or trusted keys configuration is required for JWT "
                f'authentication via cookie "{self.websocket.jwt_cookie}"',
            )


def _check_once(field: str, what: str, names: list[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise OptionsError(field, f'Duplicate {what} "{twice[0]}" detected')
