"""A node of a cluster: the door for other nodes, and the dialling of those that we know of.

The idea: a *target* is an address at which another node should be, and there are two kinds. Those
of the configuration are dialled for ever, as somebody has said that they belong to us; those that
another node told us of are dialled until they seem to be gone for good. Who is at a target is known
when it has introduced itself; from then on the target rests for as long as there is a route to that
server, whichever side dialled it, and dials again when there is none.

Invariants: after `close` nothing is dialled and nobody let in; a target that leads to ourselves is
given up.

Deviation: nats-server gives up a node that it knows by hearsay as soon as the route to it is lost,
unless told otherwise, and leaves a hole in the mesh for good when both still live. We dial it ever
more slowly, about an hour long.

Neighbours: `broker.server` has one if its options say so; `broker.roster` decides, `broker.dialer`
dials, `broker.peerconn` connects. Loop thread only.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

from broker.blocks import ClusterBlock
from broker.clusterblock import RouteUrl
from broker.dialer import FIRST_WAIT, Dial, Dialer, dial_tcp
from broker.doors import address as shown
from broker.doors import explained
from broker.files import local_addresses
from broker.handshake import advertised
from broker.labels import told
from broker.logs import logger
from broker.peerconn import PeerConnection
from broker.peerinfo import PeerInfo
from broker.roster import Roster
from broker.route import RouteSession
from broker.snapshots import BrokerStats, RouteInfo
from reactor import Listener
from reactor.errors import DescriptorLimitError
from reactor.tls import TlsSession

if TYPE_CHECKING:
    import ssl

    from broker.server import Server
    from broker.tlscontext import ServerContext

__all__ = ["Cluster"]

#: How often a node that we know by hearsay is dialled before it is given up, at least: for about an
#: hour, as the waits grow to half a minute.
PATIENCE = 120

#: Seconds until then.
REDIAL_SOON = 0.0

#: Seconds more that one of two waits which lost each other. If both dial at the same time, each may
#: take its own connection for the first and close the other, and again, and again.
POLITENESS = 1.0


class _Target:
    """An address at which another node should be."""

    def __init__(self, url: str, explicit: bool, gossip_mode: int = 0) -> None:
        read = RouteUrl.read(url)
        if not read.port:
            raise ValueError("nobody is at port 0")
        self.host, self.port = read.host, read.port
        self.user, self.password = read.user, read.password
        self.explicit = explicit
        self.gossip_mode = gossip_mode
        self.server_id = ""  # who was there
        self.dialer: Dialer | None = None

    def __str__(self) -> str:
        return shown(self.host, self.port)


class Cluster:
    """One node.  Silent until `start`.  ``dial`` is how others are reached: simulations have a way
    of their own.
    """

    def __init__(
        self,
        server: Server,
        block: ClusterBlock,
        *,
        dial: Dial = dial_tcp,
        rng: Random | None = None,
    ) -> None:
        self.block = block
        self.port = block.port
        self.dial = dial
        #: Called when there is a route more or less.
        self.on_change: Callable[[], object] = _nothing
        self.roster = Roster(server.server_id, server.name, secrets.token_urlsafe(16), block, self)
        self._server = server
        self.rng = rng or Random()
        self._targets: list[_Target] = []
        self._of: dict[PeerConnection, _Target | None] = {}
        self._listener: Listener | None = None
        self._serving: ServerContext | None = None
        self._dialling: ssl.SSLContext | None = None
        # Gossip tells addresses; the certificate behind one may have the name of its cluster only.
        hosts = [_Target(url, explicit=True).host for url in block.routes]
        self._tls_name = next((host for host in hosts if not _is_address(host)), "")
        self._shake_time = block.tls.timeout if block.tls is not None else 0.0
        self._barred: set[str] = set()
        self._holds: dict[str, float] = {}
        self._closed = False
        server.switchboard.peering.tell(self.roster.interest)

    # --- beginning and end ----------------------------------------------------------------------

    def start(self) -> None:
        """Listen for other nodes, and dial those of the configuration.

        Raises:
            OSError: the address or port cannot be listened on, or a certificate not be read.
        """
        self.listen()
        self.solicit()

    def listen(self) -> None:
        """Listen for other nodes.  Raises as `start`."""
        block = self.block
        self._prepare_tls()
        logger.info("Cluster name is %s", self.roster.cluster)
        if self.roster.dynamic:
            logger.warning("Cluster name was dynamically generated, consider setting one")
        where = block.host, max(block.port, 0)
        try:
            self._listener = Listener(self._server.reactor, where, self.admit)
        except OSError as error:
            trouble = f"Error listening on router port: {shown(*where)}"
            raise explained(trouble, error) from error
        self.port = self._listener.port
        logger.info("Listening for route connections on %s", shown(block.host, self.port))

    def _prepare_tls(self) -> None:
        if self.block.tls is not None:
            from broker.tlscontext import client_context, server_context

            self._serving = server_context(self.block.tls, mutual=True)
            self._dialling = client_context(self.block.tls)

    def solicit(self) -> None:
        """Dial the nodes of the configuration."""
        for url in self.block.routes:
            self._aim(_Target(url, explicit=True))

    def close(self) -> None:
        """Let no more nodes in, and dial none.  The routes there are end with the server's other
        connections.  Idempotent.
        """
        self._closed = True
        if self._listener is not None:
            self._listener.close()
        for target in self._targets:
            if target.dialer is not None:
                target.dialer.close()

    # --- connections ----------------------------------------------------------------------------

    def admit(self, sock: Any, address: Any) -> None:
        """Serve a node that has dialled us."""
        tls = None
        if self._serving is not None:
            tls = TlsSession(self._serving, server_side=True, handshake_timeout=self._shake_time)
        self._connect(sock, address, None, tls)

    def _dialled(self, target: _Target, sock: Any) -> None:
        tls = None
        if self._dialling is not None:
            name = self._tls_name if _is_address(target.host) else target.host
            tls = TlsSession(
                self._dialling,
                server_side=False,
                server_hostname=name or target.host,
                handshake_timeout=self._shake_time,
            )
        self._connect(sock, (target.host, target.port), target, tls)

    def _connect(
        self, sock: Any, address: Any, target: _Target | None, tls: TlsSession | None
    ) -> None:
        server = self._server
        cid = server.next_number()

        def make_session(connection: PeerConnection) -> RouteSession:
            return RouteSession(
                cid,
                connection.ip,
                self.roster,
                plane=server.plane,
                switchboard=server.switchboard,
                limits=server.options,
                wire=connection,
                solicited=target is not None,
                explicit=target is not None and target.explicit,
                gossip_mode=0 if target is None else target.gossip_mode,
                user="" if target is None else target.user,
                password="" if target is None else target.password,
            )

        try:
            connection = PeerConnection(
                server,
                cid,
                sock,
                address,
                make_session,
                kind="Router",
                tag="rid",
                gone=self._gone,
                tls=tls,
                pins=self.block.tls.pinned_certs if self.block.tls is not None else frozenset(),
                patience=self.block.auth_timeout if target is None else None,
            )
        except DescriptorLimitError as error:
            logger.error("%s - rid:%d - cannot be served: %s", address[0], cid, error)
            sock.close()
            return
        self._of[connection] = target
        server.carry(connection)

    def _gone(self, connection: PeerConnection) -> None:
        """A route is over: dial again whoever is to be dialled and is not there."""
        target = self._of.pop(connection, None)
        session = connection.session
        assert isinstance(session, RouteSession)
        if self._closed:
            return
        self._server.reactor.call_soon(self.on_change)
        if target is not None and session.is_self:
            logger.info("Detected route to self, ignoring %s", target)
            self._drop(target)
            return
        server_id = session.remote.server_id if session.remote is not None else ""
        if target is not None and server_id:
            target.server_id = server_id
        for one in [*self._targets]:
            if one is target or (server_id and one.server_id == server_id):
                self._look_after(one, soon=session.renamed or not one.explicit)

    def _look_after(self, target: _Target, *, soon: bool) -> None:
        if target.server_id not in self.roster.routes and target.dialer is not None:
            wait = REDIAL_SOON if soon else FIRST_WAIT
            first = self.roster.server_id < target.server_id
            target.dialer.lost(wait if first or not target.server_id else wait + POLITENESS)

    def connections(self) -> list[PeerConnection]:
        """The routes, in the order in which they came.  O(routes)."""
        sessions = set(self.roster.routes.values())
        return [one for one in self._of if one.session in sessions]

    def counted(self, stats: BrokerStats) -> BrokerStats:
        """The same with what there is to count here.  O(1)."""
        nodes = len(self.roster.routes)
        return replace(
            stats, routes=nodes, remotes=nodes, cluster=self.roster.cluster, cluster_port=self.port
        )

    def infos(self) -> list[RouteInfo]:
        """A record of each, with what it wants.  O(subscriptions)."""
        return [self._info(one) for one in self.connections()]

    def _info(self, connection: PeerConnection) -> RouteInfo:
        session, link = connection.session, connection.link
        assert isinstance(session, RouteSession)
        assert session.remote is not None  # who has not said who it is has no route
        wall = self._server.wall
        wanted = self._server.switchboard.subscriptions(link)
        return RouteInfo(
            rid=connection.cid,
            remote_id=session.remote.server_id,
            remote_name=session.remote.server_name,
            solicited=session.solicited,
            configured=session.explicit,
            ip=connection.ip,
            port=connection.port,
            start=wall(connection.started),
            last_activity=wall(max(connection.started, session.last_activity)),
            rtt=session.rtt,
            pending_bytes=link.queued + connection.stream.pending,
            in_msgs=link.in_msgs,
            in_bytes=link.in_bytes,
            out_msgs=link.out_msgs,
            out_bytes=link.out_bytes,
            subscriptions=tuple(map(told, wanted)),
        )

    # --- dialling -------------------------------------------------------------------------------

    def _aim(self, target: _Target) -> None:
        block = self.block
        target.dialer = Dialer(
            self._server.reactor,
            (target.host, target.port),
            lambda sock: self._dialled(target, sock),
            failed=lambda number, error: self._failed(target, number, error),
            gave_up=lambda: self._drop(target),
            retries=None if target.explicit else max(block.connect_retries, PATIENCE),
            backoff=block.connect_backoff or not target.explicit,
            rng=self.rng,
            dial=lambda *arguments: self.dial(*arguments),
        )
        self._targets.append(target)
        target.dialer.start()

    def _failed(self, target: _Target, number: int, error: OSError) -> None:
        text = "Error trying to connect to route (attempt %d): %s"
        say = logger.error if number == 1 or number % 3600 == 0 else logger.debug
        say(text, number, error)

    def _drop(self, target: _Target) -> None:
        if target.dialer is not None:
            target.dialer.close()
        if target in self._targets:
            self._targets.remove(target)

    # --- as the roster's host -------------------------------------------------------------------

    def stir(self) -> None:
        """What is said now leaves at the turn's end."""
        self._server.before_input()

    def base_info(self) -> PeerInfo:
        """INFO of this server, as far as it is ours to know."""
        block, server = self.block, self._server
        host, port = advertised(block.advertise, block.host, self.port)
        return PeerInfo(
            go=server.info.go,
            host=host,
            port=port,
            ip=f"nats-route://{shown(host, port)}/" if block.advertise else "",
            max_payload=server.options.max_payload,
            connect_urls=() if block.no_advertise else _urls(server.info.host, server.info.port),
        )

    def all_urls(self, host: str, port: int) -> tuple[str, ...]:
        """What our clients are told, who know us at ``host`` and ``port``: as by nats-server,
        nothing before there was another node.
        """
        if not self.roster.advertising:
            return ()
        return (*_urls(host, port), *self.roster.connect_urls)

    def found(self, info: PeerInfo, gossip_mode: int) -> None:
        """Dial a node that we have been told of, unless it is among our targets."""
        try:
            target = _Target(info.ip, explicit=False, gossip_mode=gossip_mode)
        except ValueError as error:
            logger.error("Error parsing URL from INFO: %s", error)
            return
        if info.auth_required:
            target.user, target.password = self.block.user, self.block.password
        target.server_id = info.server_id
        for known in self._targets:
            same = (known.host, known.port) in ((target.host, target.port), (info.host, info.port))
            if same or known.server_id == info.server_id:
                return
        if not self._closed:
            self._aim(target)

    def urls_changed(self) -> None:
        """Tell clients where they can go."""
        self._server.tell_clients()

    # --- for tests ------------------------------------------------------------------------------

    def bars(self, session: RouteSession) -> bool:
        """Whether a test has cut us off from this server."""
        return session.remote is not None and session.remote.server_name in self._barred

    def entered(self, session: RouteSession) -> None:
        """Hold up what comes, if a test wants that."""
        for name, seconds in self._holds.items():
            self.delay(name, seconds)
        self._server.reactor.call_soon(self.on_change)  # when all that follows is done

    def cut(self, name: str) -> None:
        """End the route to the server of this name, and take none until `heal`."""
        self._barred.add(name)
        self.stir()
        for connection in self._named(name):
            connection.stream.abort()

    def heal(self, name: str) -> None:
        """Undo that, and dial at once."""
        self._barred.discard(name)
        for target in self._targets:
            if target.server_id not in self.roster.routes and target.dialer is not None:
                target.dialer.start()

    def delay(self, name: str, seconds: float) -> None:
        """Hand on what comes from the server of this name only after so many seconds."""
        self._holds[name] = seconds
        for connection in self._named(name):
            connection.hold = seconds

    def _named(self, name: str) -> list[PeerConnection]:
        return [
            connection
            for connection in self._of
            if isinstance(connection.session, RouteSession)
            and connection.session.remote is not None
            and connection.session.remote.server_name == name
        ]


def _nothing() -> None:
    """What is done when nobody wants to know."""


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _urls(host: str, port: int) -> tuple[str, ...]:
    """Where clients reach a server at ``host``, by all its addresses if that is a wildcard."""
    hosts = local_addresses(host)
    # What only this machine can reach is of no use to others, unless there is nothing else.
    return tuple(shown(one, port) for one in hosts[1:] or hosts)
