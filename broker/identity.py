"""Credentials go in, an identity comes out: the one question of authentication and its answer.

The idea: whoever decides who may come in sees exactly one record, and says exactly one thing: an
`Identity` (which account, what it may do, how much of it), or the row of the table of errors with
which the client is sent away. Passwords, tokens, nkeys, JWTs, certificates and a function of an
embedding program are all *authenticators*, and the session cannot tell them apart.

Invariants: an authenticator keeps nothing about a client and reads no clock; the time is among the
credentials. Secrets are not shown by `repr`, and an identity holds none.

Neighbours: the session collects `Credentials` and asks; authentication answers; the switchboard
makes a zone of the account and the permissions. Imports records only; anybody may import it. The
records are immutable and therefore thread-safe.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from broker.blocks import DEFAULT_ACCOUNT, IngressLimit
from broker.errors import USER_EXPIRED, WireError
from broker.handshake import ConnectOptions
from broker.permissions import FREE, Permissions

__all__ = ["Answer", "Authenticator", "Credentials", "Identity"]


@dataclass(frozen=True)
class Credentials:
    """All that authentication may look at.

    ``nonce`` is what INFO asked the client to sign. ``kind`` is the way in which it came:
    ``STANDARD`` or ``WEBSOCKET``. ``names`` are those of a verified client certificate, in the
    order in which they are tried: e-mail addresses, DNS names, the subject as in RFC 2253. ``wall``
    is the time now, in seconds since the epoch.
    """

    connect: ConnectOptions = field(repr=False)
    nonce: str = ""
    ip: str = ""
    kind: str = "STANDARD"
    names: tuple[str, ...] = ()
    wall: float = 0.0


@dataclass(frozen=True)
class Identity:
    """Who a client is and what it may do.

    ``expires`` is when it must be gone, in seconds since the epoch (None: never), and ``farewell``
    what it is told then. ``shown`` is its user as the monitoring pages may show it, and so never a
    secret, not even a token. Limits that are 0 or None leave those of the server in force;
    ``max_subscriptions`` below 0 allows none at all. ``issuer``, ``title``, ``tags`` and
    ``account_name`` are what JWTs say further: who signed it, what the user is called, its labels,
    what the account is called. The monitoring pages show them.
    """

    account: str = DEFAULT_ACCOUNT
    user: str = ""
    permissions: Permissions = FREE
    expires: float | None = None
    shown: str = ""
    ingress: IngressLimit | None = None
    max_subscriptions: int = 0
    max_payload: int = 0
    farewell: WireError = USER_EXPIRED
    issuer: str = ""
    title: str = ""
    tags: tuple[str, ...] = ()
    account_name: str = ""


#: An identity, or how the client is refused.
Answer: TypeAlias = Identity | WireError


class Authenticator(Protocol):
    """Decides who may come in. Every implementation is thread-safe: `authenticate` may be called
    in a thread of a pool, for several clients at once.
    """

    @property
    def required(self) -> bool:
        """Whether CONNECT must be the first thing a client says, and INFO must say so.

        Not so where clients without credentials are let in as some user (``no_auth_user``).
        """

    @property
    def wants_nonce(self) -> bool:
        """Whether INFO must give the client something to sign."""

    @property
    def has_guest(self) -> bool:
        """Whether a client that says nothing of itself is let in as a certain user
        (``no_auth_user``), on its first operation if that is no CONNECT.

        The first INFO does not ask for credentials then, but the later ones do.
        """

    def slow(self, credentials: Credentials) -> bool:
        """Whether `authenticate` might block or compute for long with these, and so must not be
        called on the loop. O(1).
        """

    def authenticate(self, credentials: Credentials) -> Answer:
        """Who this is, or how it is refused. Does not say which part of the credentials was wrong.

        Never raises for what a client sent.
        """
