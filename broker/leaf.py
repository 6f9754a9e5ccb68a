"""A leaf link: two servers that share one account, one of them above (the *hub*), one below (the
*leaf*).

The idea: to each other they are almost clients. Each tells what is wanted on its side (``LS+``), as
if it had subscribed to that, and gets those messages (``LMSG``). A tree of servers grows out of
such links, and unlike in a cluster messages go on from link to link. What keeps them from going
round:

* *No echo*: a message or an interest does not go back to the cluster of leaves that it is from
  (`broker.scope`).
* Downwards everything is told, upwards only what clients and leaves want: not what a hub or another
  node of our cluster wants.
* Every server has, for each account, a subject that nobody else can know, says that it wants it,
  and passes on those of others. Whoever is told its own has found a *loop*, ends the link, and
  leaves the other side alone for a while.

Which side is the hub is a matter of configuration, not of who dialled. Handshakes differ by who
dialled: `broker.leafaccepted`, `broker.leafdialled`. This file is what comes after them.

Source: ``server/leafnode.go`` of nats-server 2.15, whose texts and order of checks these are.

Neighbours: `broker.peer`; `broker.leafrules` says what may pass; `broker.leafnodes` makes sessions
and is their `LeafHome`. No sockets, no clock. One thread.
"""

from __future__ import annotations

from typing import Protocol

from broker import ops
from broker.accounts import Subscription
from broker.codec import err_line
from broker.config import Options
from broker.errors import Closed, WireError, publish_violation, subscription_violation
from broker.framing import interest_line
from broker.interest import InterestMap, Key
from broker.leafrules import LOOP, LeafRules, passes_always
from broker.peer import PeerSession, PeerWire
from broker.peerinfo import PeerInfo
from broker.plane import DataPlane
from broker.remotes import RemoteSubscription
from broker.scope import Kind, Scope
from broker.switchboard import Switchboard

__all__ = ["CLUSTER_WITH_BLANKS", "LONG_WAIT", "SAME_CLUSTER", "LeafHome", "LeafSession"]

#: Seconds for which a server is left alone to which a link would do harm.
LONG_WAIT = 30.0

SAME_CLUSTER = WireError(b"remote leafnode has same cluster name", Closed.CLUSTER_NAMES_IDENTICAL)
CLUSTER_WITH_BLANKS = WireError(b"cluster name cannot contain spaces", Closed.PROTOCOL_VIOLATION)
DUPLICATE = WireError(
    b"Duplicate Remote LeafNode Connection", Closed.DUPLICATE_REMOTE_LEAFNODE_CONNECTION
)
INVALID_SUBSCRIPTION = WireError(b"Invalid Subscription", None)


class LeafHome(Protocol):
    """What a leaf link asks of the server that has it."""

    server_id: str
    server_name: str

    @property
    def cluster(self) -> str:
        """The name of our cluster, empty if we are in none."""

    def info(self) -> PeerInfo:
        """INFO as we say it to whoever comes to us."""

    def loop_subject(self, account: str) -> bytes:
        """The subject by which we find out that an account is connected to itself."""

    def stir(self) -> None:
        """Something is said, not in answer to what was read."""

    def enter(self, session: LeafSession) -> None:
        """The other side is known and welcome."""

    def leave(self, session: LeafSession) -> None:
        """It is over."""


class LeafSession(PeerSession):
    """One leaf link.

    Once it `is_ready`: ``account`` is ours, ``remote_account`` theirs as far as they told,
    ``remote_name`` the other server; ``spoke`` says that the other side is the hub, ``isolated``
    that it is not told what leaves want. ``retry_after`` are the seconds for which to leave the
    other side alone after the end, 0 for as long as usual.
    """

    kind = Kind.LEAF

    def __init__(
        self,
        link_id: int,
        home: LeafHome,
        *,
        plane: DataPlane,
        switchboard: Switchboard,
        limits: Options,
        wire: PeerWire,
        solicited: bool,
        isolated: bool,
    ) -> None:
        super().__init__(
            link_id,
            plane=plane,
            switchboard=switchboard,
            limits=limits,
            wire=wire,
            solicited=solicited,
        )
        self.account = ""
        self.remote_account = ""
        self.remote_name = ""
        self.spoke = False
        self.isolated = isolated
        self.retry_after = 0.0
        self._home = home
        self._rules = LeafRules()
        self._interest_map: InterestMap | None = None
        self._silent = False

    # --- what the home calls

    def replace(self) -> None:
        """End it, because the same server has come again."""
        self._report(DUPLICATE)

    def same_as(self, other: LeafSession) -> bool:
        """Whether both are links of one server's account to one of ours."""
        return (
            bool(other.remote_name)
            and bool(other.remote_account)
            and self.remote_name == other.remote_name
            and self.link.origin == other.link.origin
            and self.account == other.account
            and self.remote_account == other.remote_account
        )

    # --- from the handshake on

    def _settle(self, rules: LeafRules, *, cluster: str, headers: bool) -> None:
        """The other side, of that cluster, is in our `account` from now on."""
        link = self.link
        link.kind = Kind.HUB if self.spoke else Kind.LEAF
        link.origin = cluster.encode()
        scope = Scope(routes=not self.spoke, avoid=link.origin)
        zone = self._switchboard.enter(link, self.account, rules.permissions, scope)
        link.configure(zone=zone, verbose=False, pedantic=False, echo=False, headers=headers)
        self._rules = rules
        self._switchboard.peering.restrict(link, rules.gate)
        self._home.enter(self)
        self._ready()
        self._tell_all()

    def _departed(self) -> None:
        if self._interest_map is not None:
            self._switchboard.peering.untell(self._interest_map)
        self._home.leave(self)

    # --- what they are told

    def _tell_all(self) -> None:
        """Say what is wanted here, and go on to say what changes."""
        account = self._switchboard.account(self.account)
        assert account is not None  # we are in it
        self._silent = True  # while it is filled
        told = InterestMap(account, self._wants, self._tell)
        self._switchboard.peering.tell(told)
        for subject in (self._home.loop_subject(self.account), *account.crossed):
            told.declare(Key(self.account, b"", subject, b""), 1)
        self._silent = False
        self._interest_map = told
        for interest in told:
            self._tell(interest)

    def _tell(self, interest: ops.Interest) -> None:
        if self._silent or self.closed is not None:
            return
        if self._rules.asks(interest.subject):
            self._home.stir()  # it may be the end of a client that changes what is wanted
            self._say(interest_line(Kind.LEAF, interest))

    def _wants(self, subscription: Subscription) -> bool:
        """Whether the other side is to know of it."""
        link = subscription.link
        if link is self.link:
            return False
        if isinstance(subscription, RemoteSubscription):
            if subscription.origin and subscription.origin == self.link.origin:
                return False
            if subscription.filter.startswith(LOOP):
                return True
        if self.isolated and link.kind in (Kind.LEAF, Kind.HUB):
            return False
        return not (self.spoke and link.kind in (Kind.ROUTE, Kind.HUB))

    # --- what they want

    def _learn(self, op: ops.Interest, now: float) -> None:
        if op.weight and op.subject == self._home.loop_subject(self.account):
            self._end_loop()
        elif op.weight and self._rules.refuses(op.subject):
            self._refuse(subscription_violation(op.subject), "Subscription", op.subject)
        elif (error := self._switchboard.peering.learn(self.link, op)) is not None:
            self._wire.complain(f"Could not insert subscription: {_shown(op.subject)}")
            self._say(err_line(INVALID_SUBSCRIPTION if error.closed is None else error))

    # --- what they send

    def _publish(self, publish: ops.Publish, now: float) -> None:
        if not passes_always(publish.subject):
            judged = self._switchboard.judge(self.link, publish, now)
            if isinstance(judged, WireError):
                self._reject(publish.subject)
                return
            publish = judged
        self._switchboard.peering.arrive(self.link, publish, now)

    def _reject(self, subject: bytes) -> None:
        gate = self._switchboard.place(self.link).gate
        if gate is None or gate.look(subject)[0]:
            # What only a broker may say to its own clients; the other one does not know that we do.
            self._wire.note(f"{_shown(subject)} is not taken from other servers")
        else:
            self._refuse(publish_violation(subject), "Publish", subject)

    def _refuse(self, error: WireError, action: str, subject: bytes) -> None:
        """The other side did what it may not. A leaf should have known, as we told it; from a hub
        we just do not take it.
        """
        if self.spoke:
            return
        self.retry_after = LONG_WAIT
        why = f"{action} Violation on {_shown(subject)} - Check other side configuration"
        self._report(WireError(error.text, Closed.PROTOCOL_VIOLATION), why)

    # --- what goes wrong

    def _end_loop(self) -> None:
        """We were told what only we say."""
        self.retry_after = LONG_WAIT
        text = (
            f'Loop detected for leafnode account="{self.account}". '
            f"Delaying attempt to reconnect for {LONG_WAIT:.0f}s"
        )
        self._report(WireError(text.encode(), Closed.PROTOCOL_VIOLATION))

    def _err(self, op: ops.Err, now: float) -> None:
        """They complain of us. Unlike on a route that is not the end by itself."""
        text = op.text.decode("utf-8", "backslashreplace")
        self._wire.complain(f"Leafnode Error {text}")
        if "Loop detected" in text:
            self.retry_after = LONG_WAIT
            self.close(Closed.PROTOCOL_VIOLATION)
        elif (SAME_CLUSTER.text or b"").decode() in text:
            self.retry_after = LONG_WAIT


def _shown(subject: bytes) -> str:
    return f'"{subject.decode("utf-8", "backslashreplace")}"'
