"""A route: the session of another server of our cluster.

The idea: both sides say who they are (INFO), the one that dialled also that it may (CONNECT), and
from then on each tells what it wants, and sends what the other wants. Whether the other side may
stay, and who is told of it, is for the `Roster` to say, which knows all routes.

    who dialled:   CONNECT, INFO         who was dialled:   INFO
    both, when the other's INFO is fine:   RS+ for all that is wanted here, a PING a second later

No pool of connections and no compression: INFO does not offer them, and nats-server then does
without.

An INFO about a server that is not the other side is *gossip*: that server is in the cluster, and
we are to dial it.

Source: ``server/route.go`` of nats-server 2.15, whose texts and order of checks these are.

Neighbours: `broker.roster`, `broker.peer`; `broker.cluster` makes one for each connection. One
thread.
"""

from __future__ import annotations

from typing import Protocol

from broker import errors, ops
from broker.codec import CRLF, info_line
from broker.config import Options
from broker.errors import Closed, ProtocolError, WireError
from broker.framing import interest_line
from broker.peer import PeerSession, PeerWire
from broker.peerinfo import PeerConnect, PeerInfo
from broker.permissions import SubscribeGate
from broker.plane import DataPlane
from broker.scope import Kind
from broker.switchboard import Switchboard

__all__ = ["RouteRules", "RouteSession", "Rolls"]

INVALID_SUBSCRIPTION = WireError(b"Invalid Subscription", None)
WRONG_PORT = WireError(b"attempted to connect to route port", Closed.WRONG_PORT)


class RouteRules:
    """What a route may carry: interest in what we send out, and in what we let in (None: all)."""

    def __init__(self, imports: SubscribeGate | None, exports: SubscribeGate | None) -> None:
        self._imports = imports
        self._exports = exports

    def takes(self, subject: bytes) -> bool:
        """Whether we want such messages from other servers."""
        return self._imports is None or self._imports.may(subject, b"")

    def gives(self, subject: bytes) -> bool:
        """Whether others may want such messages from us."""
        return self._exports is None or self._exports.may(subject, b"")


class Rolls(Protocol):
    """What a route asks of the roster."""

    server_id: str
    server_name: str
    cluster: str
    rules: RouteRules

    def info(self, gossip_mode: int) -> PeerInfo:
        """INFO as we say it."""

    def connect(self, user: str, password: str) -> PeerConnect:
        """CONNECT as we say it."""

    def welcomes(self, user: str, password: str) -> bool:
        """Whether a server with these credentials may come."""

    def settle_name(self, cluster: str, dynamic: bool, server_id: str) -> bool:
        """Whether a server of a cluster of that name is one of ours; may change our name."""

    def enter(self, session: RouteSession) -> bool:
        """The other side is known; False if it is connected already."""

    def leave(self, session: RouteSession) -> None:
        """It is gone."""

    def hear(self, info: PeerInfo, session: RouteSession) -> None:
        """Gossip: there is another server."""

    def lame_duck(self, session: RouteSession) -> None:
        """The other side takes no more clients."""


class RouteSession(PeerSession):
    """One other server of our cluster. ``remote`` is its INFO, None before it came.

    ``explicit``: we were told by our configuration to dial it, ``gossip_mode``: or by whom else.
    ``is_self``: it turned out to be ourselves. ``renamed``: it was closed because our cluster has
    taken another name, and only has to be told so. ``user`` and ``password`` are what we say to it.
    """

    kind = Kind.ROUTE

    def __init__(
        self,
        link_id: int,
        ip: str,
        rolls: Rolls,
        *,
        plane: DataPlane,
        switchboard: Switchboard,
        limits: Options,
        wire: PeerWire,
        solicited: bool,
        explicit: bool = False,
        gossip_mode: int = 0,
        user: str = "",
        password: str = "",
    ) -> None:
        super().__init__(
            link_id,
            plane=plane,
            switchboard=switchboard,
            limits=limits,
            wire=wire,
            solicited=solicited,
        )
        self.ip = ip
        self.explicit = explicit
        self.gossip_mode = gossip_mode
        self.remote: PeerInfo | None = None
        self.is_self = self.renamed = False
        self._rolls = rolls
        self._login = user, password

    # --- what the roster calls

    def tell(self, *interests: ops.Interest) -> None:
        """Tell the other side what is wanted here, as far as it may be.  O(interests)."""
        takes, origins = self._rolls.rules.takes, self.link.origins
        self._say(
            b"".join(
                interest_line(Kind.ROUTE, one, origins=origins)
                for one in interests
                if takes(one.subject)
            )
        )

    def say_info(self, info: PeerInfo) -> None:
        """Tell the other side of ourselves, or of somebody else."""
        self._say(info_line(info.json()))

    # --- as a peer's session

    def _begin(self, now: float) -> None:
        if self.solicited:
            self._say(b"CONNECT " + self._rolls.connect(*self._login).json() + CRLF)
        self.say_info(self._rolls.info(self.gossip_mode))

    def _connect(self, op: ops.Connect, now: float) -> None:
        try:
            connect = PeerConnect.parse(op.json)
        except ProtocolError as failure:
            self._report(failure.error, str(failure))
            return
        error = self._refusal(connect)
        if error is not None:
            self._report(error)
            return
        self._unlock(headers=connect.headers)
        self.link.origins = connect.lnoc

    def _refusal(self, connect: PeerConnect) -> WireError | None:
        if not self._rolls.welcomes(connect.user, connect.password):
            return errors.AUTHORIZATION_VIOLATION
        if connect.lang:
            return WRONG_PORT
        if not self._rolls.settle_name(connect.cluster, connect.cluster_dynamic, connect.name):
            return WireError(
                b'Rejecting connection, cluster name "%s" does not match "%s"'
                % (connect.cluster.encode(), self._rolls.cluster.encode()),
                Closed.CLUSTER_NAME_CONFLICT,
            )
        return None

    def _info(self, op: ops.Info, now: float) -> None:
        try:
            info = PeerInfo.parse(op.json)
        except ProtocolError as failure:
            self._report(failure.error, str(failure))
            return
        if self.remote is None:
            self._introduce(info)
        elif info.server_id != self.remote.server_id:
            self._rolls.hear(info, self)
        elif info.ldm:
            self._rolls.lame_duck(self)

    def _introduce(self, info: PeerInfo) -> None:
        rolls = self._rolls
        if info.server_id == rolls.server_id:
            self.is_self = True
            self.close(Closed.DUPLICATE_ROUTE)
        elif not info.server_id:
            self._report(errors.BAD_ARGUMENTS, "INFO of a server without an id")
        elif info.cluster and not self._is_of_ours(info):
            self._wire.complain(
                f'its cluster name "{info.cluster}" does not match "{rolls.cluster}"'
            )
            self.close(Closed.CLUSTER_NAME_CONFLICT)
        elif not self.solicited and info.server_name == rolls.server_name:
            self._wire.complain(f'Remote server has a duplicate name: "{info.server_name}"')
            self.close(Closed.DUPLICATE_SERVER_NAME)
        else:
            self.remote = info
            self.link.headers = self.link.parser.headers = info.headers
            self.link.origins = info.lnoc
            self._join(info)

    def _is_of_ours(self, info: PeerInfo) -> bool:
        if self._rolls.settle_name(info.cluster, info.cluster_dynamic, info.server_id):
            return True
        # Whoever we dial reads our name in CONNECT, and takes it unless its own was configured.
        return self.solicited and info.cluster_dynamic

    def _join(self, info: PeerInfo) -> None:
        self._ready()
        if self._rolls.enter(self):
            self._wire.note(f'Registering remote route "{info.server_id}"')
        else:
            self._wire.note(f'Detected duplicate remote route "{info.server_id}"')
            self.close(Closed.DUPLICATE_ROUTE)

    def _learn(self, op: ops.Interest, now: float) -> None:
        if op.weight and not self._rolls.rules.gives(op.subject):
            shown = op.subject.decode("utf-8", "backslashreplace")
            self._wire.note(f'Can not export "{shown}", ignoring remote subscription request')
            return
        error = self._switchboard.peering.learn(self.link, op)
        if error is not None:
            self._report(INVALID_SUBSCRIPTION)

    def _departed(self) -> None:
        self._rolls.leave(self)
