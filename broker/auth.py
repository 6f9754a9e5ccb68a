"""Who may come in: an authenticator turns the credentials of a CONNECT into an identity, or
refuses.

The idea: one small question with one answer, so that further kinds of credentials are further
classes with the same two members and nothing else changes.  Three kinds exist: everybody, a token,
one user with a password.

Invariants: secrets are compared in constant time and never shown, not even by `repr`; a refusal
does not say which part was wrong.

Neighbours: session asks, server chooses by `make_authenticator`.  No I/O.  Immutable, hence
thread-safe; O(length of the secrets).
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import Protocol

from broker.blocks import DEFAULT_ACCOUNT
from broker.config import Options
from broker.handshake import ConnectOptions
from broker.identity import Identity

__all__ = [
    "DEFAULT_ACCOUNT",
    "Anyone",
    "Authenticator",
    "Identity",
    "OneToken",
    "OneUser",
    "make_authenticator",
]


class Authenticator(Protocol):
    """Decides who may come in."""

    @property
    def required(self) -> bool:
        """Whether CONNECT must be the first thing a client says, and INFO must say so."""

    def authenticate(self, connect: ConnectOptions) -> Identity | None:
        """The identity that `connect` proves, or None: an authorization violation."""


def _same(given: str, expected: str) -> bool:
    # surrogatepass: JSON can name half a surrogate pair, which has no UTF-8, and must be no
    # exception here.
    return hmac.compare_digest(
        given.encode("utf-8", "surrogatepass"), expected.encode("utf-8", "surrogatepass")
    )


@dataclass(frozen=True)
class Anyone:
    """No credentials needed; any that are given are ignored."""

    required: bool = field(default=False, init=False)

    def authenticate(self, connect: ConnectOptions) -> Identity | None:
        """Always an identity."""
        return Identity(user=connect.user)


@dataclass(frozen=True)
class OneToken:
    """A secret shared by all clients, in `auth_token`."""

    token: str = field(repr=False)
    required: bool = field(default=True, init=False)

    def authenticate(self, connect: ConnectOptions) -> Identity | None:
        """An identity for whoever knows the token."""
        return Identity() if _same(connect.auth_token, self.token) else None


@dataclass(frozen=True)
class OneUser:
    """One name with a password."""

    user: str
    password: str = field(repr=False)
    required: bool = field(default=True, init=False)

    def authenticate(self, connect: ConnectOptions) -> Identity | None:
        """An identity for whoever knows both; time does not tell which one was wrong."""
        right = _same(connect.user, self.user) & _same(connect.password, self.password)
        return Identity(user=self.user) if right else None


def make_authenticator(options: Options) -> Authenticator:
    """The authenticator that the options ask for.  A user without a password has an empty one."""
    if options.token is not None:
        return OneToken(options.token)
    if options.user is not None:
        return OneUser(options.user, options.password or "")
    return Anyone()
