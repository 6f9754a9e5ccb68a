"""Who somebody is: the question at a CONNECT, and what comes between it and its answer.

The idea: between a CONNECT and its answer lies whatever the authenticator needs, from a comparison
to a function that asks another server.  Here is decided whether that happens at once or in a
thread, and how long a refusal is held back; whoever asks only hands over a callback.  `Wire` is
what that takes of the owner of the socket.

Invariants: of every question and of every refusal the callback is called at most once, perhaps
before the method returns; it is not called if the connection ends before.  What was collected last
is kept, as a reload may want to judge it again; `repr` does not show it.

Neighbours: `broker.admission` lets clients in by it, `broker.leafaccepted` other servers.  Reads no
clock: the time comes with the wire's credentials.  One thread.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Protocol

from broker.doorman import Doorman
from broker.errors import AUTHORIZATION_VIOLATION, USER_REVOKED, Closed
from broker.handshake import ConnectOptions, make_nonce
from broker.identity import Answer, Authenticator, Credentials, Identity

__all__ = ["Inquiry", "Wire"]

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


class Inquiry:
    """How one peer is asked who it is.  Not thread-safe.

    `nonce` is what INFO gives it to sign, if anything; `required` and `has_guest` are the
    authenticator's, by which it entered.
    """

    __slots__ = (
        "_authenticator",
        "_credentials",
        "_doorman",
        "_ip",
        "_wire",
        "has_guest",
        "nonce",
        "required",
    )

    def __init__(
        self, ip: str, *, authenticator: Authenticator, wire: Wire, doorman: Doorman | None
    ) -> None:
        self.required = authenticator.required
        self.has_guest = authenticator.has_guest
        self.nonce = make_nonce() if authenticator.wants_nonce else ""
        self._authenticator = authenticator
        self._wire = wire
        self._doorman = doorman
        self._ip = ip
        self._credentials = Credentials(ConnectOptions())

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
        """As `ask`, by the present time, and with the whole truth for an answer."""
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
        delay = doorman.failed(self._ip, wall) if doorman is not None else 0.0
        if delay:
            self._wire.delay(delay, then)
        else:
            then()

    def left(self, identity: Identity) -> float | None:
        """The seconds until an identity ends that was just given; None: it does not."""
        return None if identity.expires is None else identity.expires - self._credentials.wall


def _to_a_stranger(answer: Answer) -> Answer:
    """An answer as it is given at a login, which says no more than that it failed."""
    return AUTHORIZATION_VIOLATION if answer is USER_REVOKED else answer
