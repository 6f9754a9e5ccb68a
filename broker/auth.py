"""Who may come in: which authenticator the options ask for, and the three simple ones.

The idea: one small question with one answer (`broker.identity`), so that further kinds of
credentials are further classes with the same members and nothing else changes.  The simple kinds
are here: everybody, a token, one user with a password.  Tables of users, JWTs and functions have
modules of their own.

Invariants: secrets are compared in constant time and never shown, not even by `repr`; a refusal
does not say which part was wrong.

Neighbours: session asks, server chooses by `make_authenticator`; `broker.users` and
`broker.hook` are the other kinds.  No I/O.  Immutable, hence thread-safe; O(length of the
secrets), unless one is a bcrypt hash.
"""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from broker.blocks import (
    DEFAULT_ACCOUNT,
    SYSTEM_ACCOUNT,
    AccountBlock,
    IngressLimit,
    UserBlock,
)
from broker.config import Options, OptionsError
from broker.errors import AUTHORIZATION_VIOLATION
from broker.handshake import ConnectOptions
from broker.hook import Hook, HookFunction
from broker.identity import Answer, Authenticator, Credentials, Identity
from broker.nkeys import have_ed25519
from broker.passwords import have_bcrypt, is_bcrypt, same
from broker.permissions import FREE, Permissions
from broker.users import Users, all_users

if TYPE_CHECKING:
    from broker.jwtauth import JwtUsers

__all__ = [
    "DEFAULT_ACCOUNT",
    "REDACTED",
    "Anyone",
    "Authenticator",
    "Identity",
    "OneToken",
    "OneUser",
    "accounts_of",
    "accused",
    "issues_of",
    "label_of",
    "make_authenticator",
    "next_change_of",
]

#: What is shown of a token: it is all there is to know about its owner.
REDACTED = "[REDACTED]"


@dataclass(frozen=True)
class Anyone:
    """No credentials needed; any that are given are ignored."""

    permissions: Permissions = FREE
    ingress: IngressLimit | None = None
    required: bool = field(default=False, init=False)
    wants_nonce: bool = field(default=False, init=False)
    has_guest: bool = field(default=False, init=False)

    def slow(self, credentials: Credentials) -> bool:
        """Never."""
        return False

    def authenticate(self, credentials: Credentials) -> Answer:
        """Always an identity."""
        user = credentials.connect.user
        return Identity(user=user, permissions=self.permissions, shown=user, ingress=self.ingress)


@dataclass(frozen=True)
class OneToken:
    """A secret shared by all clients, in `auth_token`."""

    token: str = field(repr=False)
    permissions: Permissions = FREE
    ingress: IngressLimit | None = None
    required: bool = field(default=True, init=False)
    wants_nonce: bool = field(default=False, init=False)
    has_guest: bool = field(default=False, init=False)

    def slow(self, credentials: Credentials) -> bool:
        """Whether the token is kept as a bcrypt hash."""
        return is_bcrypt(self.token)

    def authenticate(self, credentials: Credentials) -> Answer:
        """An identity for whoever knows the token."""
        if not same(credentials.connect.auth_token, self.token):
            return AUTHORIZATION_VIOLATION
        return Identity(permissions=self.permissions, shown=REDACTED, ingress=self.ingress)


@dataclass(frozen=True)
class OneUser:
    """One name with a password."""

    user: str
    password: str = field(repr=False)
    permissions: Permissions = FREE
    ingress: IngressLimit | None = None
    required: bool = field(default=True, init=False)
    wants_nonce: bool = field(default=False, init=False)
    has_guest: bool = field(default=False, init=False)

    def slow(self, credentials: Credentials) -> bool:
        """Whether the password is kept as a bcrypt hash."""
        return is_bcrypt(self.password)

    def authenticate(self, credentials: Credentials) -> Answer:
        """An identity for whoever knows both; time does not tell which one was wrong."""
        connect = credentials.connect
        right = same(connect.user, self.user) & same(connect.password, self.password)
        if not right:
            return AUTHORIZATION_VIOLATION
        return Identity(
            user=self.user, permissions=self.permissions, shown=self.user, ingress=self.ingress
        )


def make_authenticator(
    options: Options, hook: HookFunction | None = None, *, blocks: bool = True
) -> Authenticator:
    """The authenticator that the options ask for.  A user without a password has an empty one.

    ``hook`` is a function that decides instead, and ``blocks`` whether it may wait.  Raises
    OptionsError for what contradicts itself or needs a library that is not installed, TypeError for
    a hook that is no function.
    """
    users = all_users(options.users, options.accounts)
    if hook is not None:
        _check_hook_alone(options, users)
        return Hook(hook, blocks)
    if options.jwt is not None:
        from broker.jwtauth import JwtUsers  # only where there is an operator

        _check_jwt(options, users)
        try:
            return JwtUsers(options.jwt, ingress=options.ingress)
        except ValueError as problem:
            raise OptionsError("jwt", str(problem)) from None
    _check_bcrypt(options, users)
    if not users:
        if options.no_auth_user is not None:
            raise _unknown_guest(options.no_auth_user)
        return _simple(options)
    return _many(options, users)


def accounts_of(
    options: Options, authenticator: Authenticator, wall: float
) -> tuple[AccountBlock, ...]:
    """The accounts that the options name, and those whose JWTs the authenticator of these options
    holds, as they are at that time; the global one, too, if anything is said of it. O(accounts).
    """
    users = _jwt_users(options, authenticator)
    blocks = options.accounts + (users.account_blocks(wall) if users is not None else ())
    return _with_default(options, blocks)


def next_change_of(options: Options, authenticator: Authenticator, wall: float) -> float | None:
    """When `accounts_of` will be others, in seconds since the epoch; None if never."""
    users = _jwt_users(options, authenticator)
    return users.next_change(wall) if users is not None else None


def issues_of(options: Options, authenticator: Authenticator) -> tuple[str, ...]:
    """Lines for the log about accounts that are there and let nobody in."""
    users = _jwt_users(options, authenticator)
    return users.issues if users is not None else ()


def _jwt_users(options: Options, authenticator: Authenticator) -> JwtUsers | None:
    if options.jwt is None:
        return None
    from broker.jwtauth import JwtUsers  # only where there is an operator

    return authenticator if isinstance(authenticator, JwtUsers) else None


def _with_default(options: Options, blocks: tuple[AccountBlock, ...]) -> tuple[AccountBlock, ...]:
    """With what the options say of the global account, which has no block in a file."""
    if not options.presence and not options.slow_consumer_notices:
        return blocks
    others = tuple(block for block in blocks if block.name != DEFAULT_ACCOUNT)
    given = next((block for block in blocks if block not in others), AccountBlock(DEFAULT_ACCOUNT))
    default = dataclasses.replace(
        given,
        presence=given.presence or options.presence,
        slow_consumer_notices=given.slow_consumer_notices or options.slow_consumer_notices,
    )
    return (default, *others)


def _simple(options: Options) -> Authenticator:
    permissions = options.permissions or FREE
    if options.token is not None:
        return OneToken(options.token, permissions, options.ingress)
    if options.user is not None:
        return OneUser(options.user, options.password or "", permissions, options.ingress)
    return Anyone(permissions, options.ingress)


def _many(options: Options, users: list[UserBlock]) -> Users:
    guest, websocket = options.no_auth_user, options.websocket
    if guest is None and _guards_only_the_system(options, users):
        guest = f"nats-{os.urandom(8).hex()}"
        users = [*users, UserBlock(guest, os.urandom(16).hex())]
    names = {user.nkey or user.user for user in users}
    guests = {}
    if websocket is not None and websocket.no_auth_user is not None:
        guests["WEBSOCKET"] = websocket.no_auth_user
    for name in filter(None, (guest, *guests.values())):
        if name not in names:
            raise _unknown_guest(name)
    if any(user.nkey for user in users) and not have_ed25519():
        raise _missing("users", "nkeys", "PyNaCl")
    mapped = set()
    if options.tls is not None and options.tls.verify_and_map:
        mapped.add("STANDARD")
    if websocket is not None and websocket.tls is not None and websocket.tls.verify_and_map:
        mapped.add("WEBSOCKET")
    return Users(
        users,
        guest,
        options.permissions,
        ingress=options.ingress,
        accounts=options.accounts,
        guests=guests,
        mapped=frozenset(mapped),
    )


def _guards_only_the_system(options: Options, users: list[UserBlock]) -> bool:
    """Whether users were made for the system account alone: then others need not log in, as before
    there were any. An ``authorization`` block that says anything says otherwise.
    """
    system = options.system_account or SYSTEM_ACCOUNT
    others = {user.account for user in users} | {account.name for account in options.accounts}
    alone = system != DEFAULT_ACCOUNT and others <= {system, DEFAULT_ACCOUNT}
    silent = options.auth_timeout == Options.auth_timeout and options.permissions is None
    return alone and silent and all(user.account == system for user in users)


# --- what contradicts itself --------------------------------------------------------------------


def _check_hook_alone(options: Options, users: list[UserBlock]) -> None:
    given = {
        "users": users,
        "user": options.user is not None,
        "token": options.token is not None,
        "no_auth_user": options.no_auth_user is not None,
        "jwt": options.jwt is not None,
    }
    for name, there in given.items():
        if there:
            raise OptionsError(
                name, "cannot be combined with an auth function, which decides alone; leave one out"
            )


def _check_jwt(options: Options, users: list[UserBlock]) -> None:
    if users or options.user is not None or options.token is not None:
        raise OptionsError(
            "jwt", "with an operator all users come from JWTs; leave out users, user and token"
        )
    if not have_ed25519():
        raise _missing("jwt", "JWTs", "PyNaCl")


def _check_bcrypt(options: Options, users: list[UserBlock]) -> None:
    hashed = [f'user "{user.user}" has' for user in users if is_bcrypt(user.password or "")]
    if is_bcrypt(options.password or ""):
        hashed.append(f'user "{options.user}" has')
    if is_bcrypt(options.token or ""):
        hashed.append("the token is")
    if hashed and not have_bcrypt():
        raise OptionsError(
            "users", f"{hashed[0]} a bcrypt hash; install reactor-broker[auth] to compare with it"
        )


def _missing(field: str, what: str, package: str) -> OptionsError:
    return OptionsError(field, f"{what} need {package}; install reactor-broker[auth]")


def _unknown_guest(name: str) -> OptionsError:
    return OptionsError(
        "no_auth_user",
        f'"{name}" not present as user or nkey in authorization block or account configuration',
    )


# --- how log lines call a client ------------------------------------------------------------------


def label_of(connect: ConnectOptions, identity: Identity | None) -> str:
    """The account and user that stand in front of log lines, as in ``A/user:ann``; empty for a
    client that has not said who it is.
    """
    if identity is None:
        return ""
    if connect.nkey:
        name = f"nkey:{connect.nkey}"
    elif connect.user:
        name = f"user:{connect.user}"
    elif connect.jwt and identity.user:
        name = f"jwt:{identity.user}"
    elif identity.user:  # the guest, or whom the certificate names
        name = f"user:{identity.user}"
    elif connect.auth_token:
        name = "token"
    else:
        return ""
    return f"{identity.account}/{name}"


def accused(connect: ConnectOptions) -> str:
    """Whom a refused client claimed to be, as in ``User "ann"``; empty if nobody.  No secret."""
    if connect.nkey:
        return f'Nkey "{connect.nkey}"'
    if connect.user:
        return f'User "{connect.user}"'
    return f'Token "{REDACTED}"' if connect.auth_token else ""
