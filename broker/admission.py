"""As whom a client is let in: at its CONNECT, and again after a reload.

The idea: an identity that `broker.inquiry` has found is made good here: the link enters its
account, and gets its limits and its time.  When the settings of the broker change, the same
question is asked again, and whoever may stay is moved to where it belongs now.

Invariants: nothing is sent from here: what the client must be told is returned.

Neighbours: each session has one; below, the switchboard and the plane.  One thread.
"""

from __future__ import annotations

from collections.abc import Callable

from broker import wills
from broker.config import Options
from broker.doorman import Doorman
from broker.errors import AUTHORIZATION_VIOLATION, WireError, subscription_ended
from broker.identity import Answer, Authenticator, Identity
from broker.inquiry import Inquiry, Wire
from broker.plane import DataPlane, Link
from broker.switchboard import Switchboard

__all__ = ["Admission"]


class Admission(Inquiry):
    """How one client is let in.  `identity` is who it is, None before it proved that."""

    __slots__ = ("_limits", "_link", "_plane", "_switchboard", "identity")

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
        super().__init__(client_ip, authenticator=authenticator, wire=wire, doorman=doorman)
        self.identity: Identity | None = None
        self._link = link
        self._plane = plane
        self._switchboard = switchboard
        self._limits = limits

    def ask_again(self, then: Callable[[Answer], None]) -> None:
        """Ask about a client that was let in, or may still have to say who it is; of others
        nothing is asked.
        """
        if self.identity is not None or self.required:
            super().ask_again(then)

    def let_in(self, identity: Identity) -> list[WireError]:
        """Makes `identity` that of the client, and its link a member of the account, unless
        something keeps it out; returns what the client must be told.
        """
        left = self.left(identity)
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
        self._wire.set_expiry_timer(self.left(identity))

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


def _least(*limits: int) -> int:
    """The strictest of some limits, of which 0 is none at all."""
    return min(filter(None, limits), default=0)
