"""Who is in our cluster: the routes there are, what they are told, and what our clients are told.

The idea: every node is connected to every other, because a message makes one hop only. Nobody has
to list them all: whoever is joined by a new node tells the others of it (*gossip*), and they dial
it. Two nodes may dial each other at the same time; the second connection is closed by whoever sees
that it is the second, and the first serves both.

How far gossip goes is nats-server's: a node that was dialled because of gossip says so in its INFO
(`DISABLED`), as everybody has been told by then; unless it was also dialled by configuration
(`OVERRIDE`), since then those who told each other may know of different nodes.

A cluster without a configured name takes one: of two names the configured one wins, else the
larger.

Clients are told where else they can go: ``connect_urls`` of all nodes, counted, as two nodes may
give the same.

Invariants: one route for each server id; the interest map has all that is wanted here but by
routes, and every route in here has been told all of it.

Neighbours: `broker.route` sessions enter and leave; `broker.cluster` is the host. One thread.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from hmac import compare_digest
from typing import Protocol

from broker.accounts import Subscription
from broker.blocks import ClusterBlock
from broker.errors import Closed
from broker.interest import InterestMap
from broker.ops import Interest
from broker.peerinfo import PeerConnect, PeerInfo
from broker.permissions import Rules, SubscribeGate
from broker.route import RouteRules, RouteSession
from broker.scope import Kind

__all__ = ["Roster"]

#: Values of `gossip_mode`.
DEFAULT, DISABLED, OVERRIDE = 0, 1, 2


class Host(Protocol):
    """What the roster asks of the cluster."""

    def stir(self) -> None:
        """Something is about to be said; it must leave at the turn's end."""

    def base_info(self) -> PeerInfo:
        """INFO of this server, as far as it is the host's to know."""

    def found(self, info: PeerInfo, gossip_mode: int) -> None:
        """There is a server to which we have no route."""

    def urls_changed(self) -> None:
        """Clients can go to other places than before; or our cluster has another name."""

    def bars(self, session: RouteSession) -> bool:
        """Whether a test has cut us off from this server."""

    def entered(self, session: RouteSession) -> None:
        """There is a route to this server from now on."""


class Roster:
    """One node's view of its cluster.  Not thread-safe."""

    def __init__(
        self, server_id: str, server_name: str, cluster: str, block: ClusterBlock, host: Host
    ) -> None:
        """``cluster`` is the name to begin with if the block has none."""
        self.server_id = server_id
        self.server_name = server_name
        self.cluster = block.name or cluster
        self.dynamic = not block.name
        self.rules = RouteRules(_gate(block.imports), _gate(block.exports))
        self.routes: dict[str, RouteSession] = {}
        self.interest = InterestMap(None, _is_ours, self._broadcast, origins=True)
        self.advertising = False  # clients are told of nodes, as there was one
        self._block = block
        self._host = host
        self._urls: Counter[str] = Counter()
        self._given: dict[RouteSession, tuple[str, ...]] = {}

    @property
    def connect_urls(self) -> tuple[str, ...]:
        """Where clients can go, beside here."""
        return tuple(self._urls)

    # --- what a session asks

    def info(self, gossip_mode: int) -> PeerInfo:
        """INFO as we say it."""
        return replace(
            self._host.base_info(),
            server_id=self.server_id,
            server_name=self.server_name,
            headers=True,
            cluster=self.cluster,
            cluster_dynamic=self.dynamic,
            auth_required=bool(self._block.user),
            tls_required=self._block.tls is not None,
            lnoc=True,
            lnocu=True,
            ln=True,
            gossip_mode=gossip_mode,
        )

    def connect(self, user: str, password: str) -> PeerConnect:
        """CONNECT as we say it."""
        return PeerConnect(
            echo=True,
            user=user,
            password=password,
            tls_required=self._block.tls is not None,
            name=self.server_id,
            cluster=self.cluster,
            cluster_dynamic=self.dynamic,
            headers=True,
            lnoc=True,
            lnocu=True,
            ln=True,
        )

    def welcomes(self, user: str, password: str) -> bool:
        """Whether a server with these credentials may come."""
        block = self._block
        if not block.user:
            return True
        same = compare_digest(block.password.encode(), password.encode())
        return same and compare_digest(block.user.encode(), user.encode())

    def settle_name(self, cluster: str, dynamic: bool, server_id: str) -> bool:
        """Whether a server of a cluster of that name is one of ours; may change our name."""
        if cluster == self.cluster:
            return True
        if not self.dynamic or (dynamic and self.cluster >= cluster):
            return False
        self.cluster, self.dynamic = cluster, dynamic
        for session in [*self.routes.values()]:
            if session.remote is not None and session.remote.server_id != server_id:
                session.renamed = True
                session.close(Closed.CLUSTER_NAME_CONFLICT)
        self._host.urls_changed()
        return True

    def enter(self, session: RouteSession) -> bool:
        """The other side is known; False if it is connected already, or must not be."""
        remote = session.remote
        assert remote is not None  # it is introduced before it enters
        if remote.server_id in self.routes or self._host.bars(session):
            return False
        self._host.stir()
        self.routes[remote.server_id] = session
        self._host.entered(session)
        self._gossip(session, remote)
        session.tell(*self.interest)
        if remote.connect_urls and not self._block.no_advertise:
            self.advertising = True
            self._given[session] = remote.connect_urls
            self._urls.update(remote.connect_urls)
            self._host.urls_changed()
        return True

    def leave(self, session: RouteSession) -> None:
        """It is gone.  Does nothing if it was none of ours."""
        remote = session.remote
        if remote is not None and self.routes.get(remote.server_id) is session:
            del self.routes[remote.server_id]
            self._forget_urls(session)

    def hear(self, info: PeerInfo, session: RouteSession) -> None:
        """Gossip: there is another server."""
        known = info.server_id in ("", self.server_id) or info.server_id in self.routes
        if info.ip and not known:
            self._host.found(info, info.gossip_mode)

    def lame_duck(self, session: RouteSession) -> None:
        """The other side takes no more clients."""
        self._forget_urls(session)

    # --- what the host asks

    def tell_lame_duck(self) -> None:
        """Tell all others that we take no more clients."""
        self._host.stir()
        for session in self.routes.values():
            session.say_info(replace(self.info(DEFAULT), ldm=True))

    # --- how it is done

    def _broadcast(self, interest: Interest) -> None:
        if self.routes:
            self._host.stir()
            for session in self.routes.values():
                session.tell(interest)

    def _gossip(self, session: RouteSession, remote: PeerInfo) -> None:
        by_gossip = session.solicited and not session.explicit
        if (by_gossip and session.gossip_mode != OVERRIDE) or remote.gossip_mode == DISABLED:
            return
        host = f"[{session.ip}]" if ":" in session.ip else session.ip
        told = replace(remote, ip=remote.ip or f"nats-route://{host}:{remote.port}/", nonce="")
        for other in self.routes.values():
            if other is not session:
                mode = DEFAULT
                if session.explicit if session.solicited else other.explicit:
                    mode = OVERRIDE
                elif not session.solicited:
                    mode = DISABLED
                other.say_info(replace(told, gossip_mode=mode))

    def _forget_urls(self, session: RouteSession) -> None:
        given = self._given.pop(session, ())
        if given:
            self._urls -= Counter(given)
            self._host.urls_changed()


def _is_ours(subscription: Subscription) -> bool:
    """Whether other nodes are told of it: what a route told us, they are told by that one."""
    return subscription.link.kind not in (Kind.ROUTE, Kind.HUB)


def _gate(rules: Rules | None) -> SubscribeGate | None:
    return None if rules is None else SubscribeGate(rules)
