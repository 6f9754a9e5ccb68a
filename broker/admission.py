"""Who a client is, and as whom it is let in: at its CONNECT, and again after a reload.

The idea: between a CONNECT and its answer lies whatever the authenticator needs, from a comparison
to a function that asks another server.  Here is decided whether that happens at once or in a
thread, and how long a refusal is held back; the session only hands over a callback.  An identity
that comes back is made good here as well: the link enters its account, and gets its limits and its
time.  When the settings of the broker change, the same question is asked again, and whoever may
stay is moved to where it belongs now.  `Wire` is what all this asks of the owner of the socket.

Invariants: of every question and of every refusal the callback is called at most once, perhaps
before the method returns; it is not called if the connection ends before.  What was collected last
is kept, as a reload may want to judge it again; `repr` does not show it.  Nothing is sent from
here: what the client must be told is returned.

Neighbours: each session has one; below, the switchboard and the plane.  Reads no clock: the time
comes with the wire's credentials.  One thread.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Protocol

from broker import wills
from broker.config import Options
from broker.doorman import Doorman
from broker.errors import (
    AUTHORIZATION_VIOLATION,
    USER_REVOKED,
    Closed,
    WireError,
    subscription_ended,
)
from broker.handshake import ConnectOptions, make_nonce
from broker.identity import Answer, Authenticator, Credentials, Identity
from broker.plane import DataPlane, Link
from broker.switchboard import Switchboard

__all__ = ["Admission", "Wire"]

# What a client can also give in cookies, before its CONNECT.
_COOKIES = ("jwt", "user", "password", "auth_token")


class Wire(Protocol):
    """What a session asks of the owner of its socket."""

    def close(self, reason: Closed) -> None:
        """Send what the link has queued, then close; call `on_closed` later, if at all."""

    def set_ping_timer(self, delay: float) -> None:
        """Call `on_ping_timer` in `delay` seconds, instead of whenever was asked for before."""

    def set_expiry_timer(self, delay: float | None) -> None:
        """Call `on_expiry_timer` in `delay` seconds, or (None) not at all, instead of before."""

    def credentials(self) -> Credentials:
        """What is known of the client besides its CONNECT: address, kind, names, and the time.

        Its ``connect`` holds what came another way (cookies), for where CONNECT leaves it out.
        """

    def consult(self, question: Callable[[], Answer], then: Callable[[Answer], None]) -> bool:
        """Ask the question in a thread, and call `then` with its answer on the loop; afterwards
        `resume`.  Until then nothing need be read.  False: too many questions wait already.
        """

    def delay(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call `callback` after so many seconds.  Until then nothing need be read."""

    def authenticated(self, identity: Identity) -> None:
        """The client was let in, or a reload has moved it to another account."""

    def complain(self, text: str) -> None:
        """Log a violation that the connection survives."""


class Admission:
    """How one client is let in.  Not thread-safe.

    `identity` is who it is, None before it proved that.  `nonce` is what INFO gives it to sign, if
    anything; `required` and `has_guest` are the authenticator's, by which it entered.
    """

    __slots__ = (
        "_authenticator",
        "_client_ip",
        "_credentials",
        "_doorman",
        "_limits",
        "_link",
        "_plane",
        "_switchboard",
        "_wire",
        "has_guest",
        "identity",
        "nonce",
        "required",
    )

    def __init__(
        self,
        link: Link,
        client_ip: str,
        *,
        plane: DataPlane,
        switchboard: Switchboard,
        authenticator: Authenticator,
        limits: Options,
        wire: Wire,
        doorman: Doorman | None,
    ) -> None:
        self.identity: Identity | None = None
        self.required = authenticator.required
        self.has_guest = authenticator.has_guest
        self.nonce = make_nonce() if authenticator.wants_nonce else ""
        self._authenticator = authenticator
        self._link = link
        self._plane = plane
        self._switchboard = switchboard
        self._limits = limits
        self._wire = wire
        self._doorman = doorman
        self._client_ip = client_ip
        self._credentials = Credentials(ConnectOptions())

    # --- asking

    def collect(self, options: ConnectOptions) -> ConnectOptions:
        """Notes all that authentication may look at; returns the options with what they left out
        and came by cookie.
        """
        known = self._wire.credentials()
        cookies = {name: getattr(known.connect, name) for name in _COOKIES}
        missing = {name: text for name, text in cookies.items() if text}
        if missing:
            missing = {name: text for name, text in missing.items() if not getattr(options, name)}
            options = dataclasses.replace(options, **missing)
        self._credentials = dataclasses.replace(known, connect=options, nonce=self.nonce)
        return options

    def judge(self) -> Answer:
        """The answer, at once, for what is never slow."""
        return self._authenticator.authenticate(self._credentials)

    def ask(self, then: Callable[[Answer], None]) -> None:
        """Calls `then` with the answer: at once, or when a thread has found it."""
        self._put(lambda answer: then(_to_a_stranger(answer)))

    def ask_again(self, then: Callable[[Answer], None]) -> None:
        """As `ask`, of a client that was let in, or may still have to say who it is; of others
        nothing is asked.
        """
        if self.identity is not None or self.required:
            self._credentials = dataclasses.replace(
                self._credentials, wall=self._wire.credentials().wall
            )
            self._put(then)

    def _put(self, then: Callable[[Answer], None]) -> None:
        if not self._authenticator.slow(self._credentials):
            then(self.judge())
            return
        question = partial(self._authenticator.authenticate, self._credentials)
        if not self._wire.consult(question, then):
            then(AUTHORIZATION_VIOLATION)

    def refuse(self, then: Callable[[], None]) -> None:
        """Calls `then`: at once, or after a while if this address has failed often."""
        doorman = self._doorman
        wall = self._credentials.wall
        delay = doorman.failed(self._client_ip, wall) if doorman is not None else 0.0
        if delay:
            self._wire.delay(delay, then)
        else:
            then()

    # --- letting in

    def let_in(self, identity: Identity) -> list[WireError]:
        """Makes `identity` that of the client, and its link a member of the account, unless
        something keeps it out; returns what the client must be told.
        """
        left = self._left(identity)
        if left is not None and left <= 0:
            return [identity.farewell]
        full = self._switchboard.refusal(self._link, identity.account)
        if full is not None:
            return [full]
        try:
            zone = self._switchboard.enter(self._link, identity.account, identity.permissions)
        except ValueError as error:  # only a function of somebody's can say what is no subject
            self._wire.complain(f"refused, as its permissions make no sense: {error}")
            return [AUTHORIZATION_VIOLATION]
        options = self._credentials.connect
        most = _least(identity.max_payload, self._limits.max_payload)
        unwilling = wills.refusal(self._switchboard, identity, options.will, most)
        if unwilling is not None and unwilling.fatal:
            return [unwilling]
        self._link.configure(
            zone=zone,
            verbose=options.verbose,
            pedantic=options.pedantic,
            echo=options.echo,
            headers=options.headers,
            no_responders=options.no_responders,
        )
        self._become(identity)
        self._wire.authenticated(identity)
        return [] if unwilling is None else [unwilling]

    def stay(self, answer: Answer) -> list[WireError]:
        """Takes over what the authenticator says now of a client that is in; returns what the
        client must be told.
        """
        if isinstance(answer, WireError):
            return [answer]
        before = self.identity
        ended = self._switchboard.move(self._link, answer.account, answer.permissions)
        self._become(answer)
        if before is not None and before.account != answer.account:
            self._wire.authenticated(answer)
        return [subscription_ended(one.filter, one.sid) for one in ended]

    def _become(self, identity: Identity) -> None:
        self.identity = identity
        self._plane.set_limits(self._link, max_payload=self.max_payload())
        self._wire.set_expiry_timer(self._left(identity))

    def _left(self, identity: Identity) -> float | None:
        """The seconds until an identity ends that was just given; None: it does not."""
        return None if identity.expires is None else identity.expires - self._credentials.wall

    # --- limits

    def reload(self, limits: Options, authenticator: Authenticator) -> None:
        """Goes on with other limits at once, and with another authenticator from the next question
        on.
        """
        self._limits = limits
        self.required = authenticator.required
        self._authenticator = authenticator

    def max_payload(self) -> int:
        """How large a message may be; 0: as large as it likes."""
        own = self.identity.max_payload if self.identity is not None else 0
        return _least(own, self._limits.max_payload)

    def may_subscribe(self) -> bool:
        """Whether the client may have one more subscription."""
        own = self.identity.max_subscriptions if self.identity is not None else 0
        most = _least(own, self._limits.max_subscriptions)
        return not most or self._switchboard.count(self._link) < most


def _to_a_stranger(answer: Answer) -> Answer:
    """An answer as it is given at a login, which says no more than that it failed."""
    return AUTHORIZATION_VIOLATION if answer is USER_REVOKED else answer


def _least(*limits: int) -> int:
    """The strictest of some limits, of which 0 is none at all."""
    return min(filter(None, limits), default=0)
