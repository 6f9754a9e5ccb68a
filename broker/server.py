"""The server: the connections that come through its doors, and what they share.

The idea: one reactor, one data plane, one switchboard; every client is a `Connection` between them.
What this class adds is what concerns all of them: who may come in, when output leaves, who is too
slow, and new settings for everybody.

When output leaves: anything that may cause output calls `before_input`, which asks the reactor for
one flush at the end of the turn. That flush moves what each link has queued to its stream, and the
streams send it in the same phase. So whatever a turn produced for one connection goes out in one
write.

Who is too slow: the data plane counts what a link has queued, together with what its stream still
holds, and one that exceeds ``max_pending`` is closed in the same turn; one that takes nothing for
``write_deadline`` seconds is found by `broker.laggards`. Nobody else is ever made to wait for it.

Invariants: a connection is in the census until its session ends, and in `_streams` until its stream
ends; after `close` has called back, no descriptor of this server is left open but the reactor's
own.

Neighbours: `broker.embedded` and `broker.__main__` make one; `broker.doors` lets in,
`broker.census` counts, `broker.farewell`, `broker.lameduck` and `broker.reloading` do what their
names say, `broker.monitor` shows it all. Loop thread only.
"""

from __future__ import annotations

import base64
import dataclasses
import os
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from broker import __version__, codec, wills
from broker.accounts import Accounts
from broker.auth import accounts_of, issues_of, make_authenticator
from broker.census import Census
from broker.complaints import Complaints
from broker.config import Options
from broker.connection import Connection
from broker.doorman import Doorman
from broker.doors import Doors
from broker.errors import Closed
from broker.farewell import Farewell
from broker.flow import DEFAULT_CAPACITY, FlowTable
from broker.handshake import ServerInfo, advertised
from broker.hooks import Observers
from broker.identity import Authenticator
from broker.ingress import Meters
from broker.labels import introduction
from broker.laggards import Laggards
from broker.link import Link
from broker.logs import logger
from broker.plane import choose_plane
from broker.renewal import Renewal
from broker.reporter import Reporter
from broker.reserved import EVENTS
from broker.runqueue import RunQueue
from broker.snapshots import (
    AccountInfo,
    BrokerStats,
    ConnectionInfo,
    Explanation,
    RouteInfo,
)
from broker.switchboard import Switchboard
from broker.sysservice import SystemService
from broker.transport import Entrance
from broker.workers import Workers
from reactor import Reactor
from reactor.errors import DescriptorLimitError
from reactor.sources import Flusher
from reactor.stream import SocketLike

if TYPE_CHECKING:
    from broker.cluster import Cluster
    from broker.connz import Row
    from broker.lameduck import LameDuck
    from broker.leafnodes import Leafnodes
    from broker.leafz import LeafInfo
    from broker.peerconn import PeerConnection
    from broker.tlscontext import ServerContext
    from broker.topics import Topics

__all__ = ["Server"]


class Server:
    """A broker on a reactor. Made silent; `start` makes it listen, `close` ends it for good.

    One reactor may carry several servers. What cannot be served is refused by `Options` already.
    ``options``, ``info``, ``tls`` and ``authenticator`` are what new connections get; only
    `broker.reloading` changes them. ``observer`` is told what happens to connections, and
    tells all who were added to it; ``make_authenticator`` says who may come in by which options;
    ``reread`` reads the configuration again and goes on with it, or raises.
    """

    def __init__(
        self,
        reactor: Reactor,
        options: Options,
        make_authenticator: Callable[[Options], Authenticator] = make_authenticator,
    ) -> None:
        self.make_authenticator = make_authenticator
        self.reactor = reactor
        self.options = options
        self.server_id = _make_id()
        self.name = options.server_name or self.server_id
        self.port = 0
        capacity = options.flow_capacity
        flows: FlowTable[Link] = FlowTable(
            DEFAULT_CAPACITY if capacity is None else capacity, options.flow_evict_chance
        )
        self.plane = choose_plane(
            flows,
            max_payload=options.max_payload,
            max_control_line=options.max_control_line,
            max_pending=options.max_pending,
        )
        self.census = Census(reactor, options.closed_ring)
        self.authenticator = make_authenticator(options)
        accounts = accounts_of(options, self.authenticator, self.wall(reactor.now()))
        self.switchboard = Switchboard(self.plane, Accounts(accounts, options.mappings))
        self.switchboard.describe = self._describe
        self.run_queue = RunQueue(reactor)
        self.switchboard.defer_by(self.run_queue.add)
        self.renewal = Renewal(self)
        self.topics: Topics | None = None  # the monitor's pages set it while somebody looks
        self.tls: ServerContext | None = None
        self.ingress = Meters(options.ingress)
        self.doorman = Doorman()
        self.workers = Workers(reactor)
        self.complaints = Complaints(reactor)
        self.observer = Observers()
        self.reread: Callable[[], object] = _no_file
        self._attentive = False
        self.cluster: Cluster | None = None
        self.info = self.make_info()
        system = SystemService(self)
        self.observer.add(system)
        self.switchboard.tracer.witness = Reporter(self, system)
        if options.cluster is not None:
            from broker.cluster import Cluster  # most brokers stand alone

            self.cluster = Cluster(self, options.cluster)

        self.leafnodes: Leafnodes | None = None
        if options.leafnodes is not None:
            from broker.leafnodes import Leafnodes

            self.leafnodes = Leafnodes(self, options.leafnodes)

        self._doors = Doors(reactor, self)
        self.run_queue.on_crowd = self._doors.hold
        self._streams: dict[int, Connection | PeerConnection] = {}
        self._cids = self._came = 0

        self._flusher = Flusher(self._flush)
        self._settler = Flusher(self._settle)
        self._flushed: list[Connection | PeerConnection] = []
        self._laggards = Laggards(reactor, options.write_deadline, self._cut_short)

        self._lame_duck: LameDuck | None = None
        self._farewell = Farewell(reactor, self)
        self.attend()

    # --- starting -------------------------------------------------------------------------------

    def announce(self) -> None:
        """Log who we are, as nats-server does before anything can go wrong."""
        logger.info("Starting reactor-broker")
        logger.info("  Version:  %s", __version__)
        logger.info("  Backend:  %s", self.reactor.demultiplexer.features.name)
        logger.debug("  Python:   %s", _python_version())
        logger.info("  Name:     %s", self.name)
        logger.info("  ID:       %s", self.server_id)
        options = self.options
        if options.config_file is not None:
            logger.info("Using configuration file: %s (%s)", options.config_file, options.digest)
        for issue in issues_of(options, self.authenticator):
            logger.warning("%s", issue)
        for complaint in self.switchboard.complaints:
            logger.error("%s", complaint)

    def start(self) -> None:
        """Listen for clients, and for the monitor's visitors if the options want that.

        Raises:
            OSError: an address or port cannot be listened on, or a certificate not be read; nothing
                is left open then.
            ValueError: a certificate and its key do not fit.
        """
        if self.options.tls is not None:
            from broker.tlscontext import server_context  # ssl is slow to import

            self.tls = server_context(self.options.tls)
        self._doors.open()
        self.port = self._doors.port
        self.info = self.make_info()
        try:
            if self.cluster is not None:
                self.cluster.start()
                self.info = self.make_info()
            if self.leafnodes is not None:
                self.leafnodes.start()
        except BaseException:
            self._doors.close()
            raise
        self.renewal.look()
        logger.info("Server is ready")

    def make_info(self) -> ServerInfo:
        """What new clients are told of us, by the present options."""
        options = self.options
        tls, optional = options.tls, options.allow_non_tls
        host, port = advertised(options.client_advertise or "", options.host, self.port)
        cluster = self.cluster
        return ServerInfo(
            server_id=self.server_id,
            server_name=self.name,
            host=host,
            port=port,
            max_payload=options.max_payload,
            go=f"python{_python_version()}",
            auth_required=self.authenticator.required,
            tls_required=tls is not None and not optional,
            tls_verify=tls is not None and (tls.verify or tls.verify_and_map),
            tls_available=tls is not None and optional,
            cluster="" if cluster is None else cluster.roster.cluster,
            cluster_dynamic=cluster is not None and cluster.roster.dynamic,
            connect_urls=() if cluster is None else cluster.all_urls(host, port),
        )

    def attend(self) -> None:
        """Tell clients of each other, if the present options want that anywhere. Idempotent."""
        accounts = self.switchboard.accounts()
        if self._attentive or not any(account.keeps(EVENTS) for account in accounts):
            return
        from broker.presence import Presence  # only where somebody wants it

        self._attentive = True
        self.observer.add(Presence(self))

    # --- connections ----------------------------------------------------------------------------

    def admit(self, sock: SocketLike | Entrance, address: Any) -> None:
        """Serve a connected socket, which is ours from now on; ``address`` is its peer's.

        The listener calls this. So may whoever has a socket that came another way: one end of a
        pair, or one in memory.
        """
        cid = self.next_number()
        self._came += 1
        limit = self.options.max_connections
        refused = 0 < limit <= len(self.census)
        try:
            connection = Connection(self, cid, sock, address, refused=refused)
        except DescriptorLimitError as error:
            # The fault of the backend that was chosen, not of this client, and no reason for a
            # traceback.
            logger.error("%s - cid:%d - cannot be served: %s", address[0], cid, error)
            sock.close()
            return
        self._streams[connection.cid] = connection
        if not refused:
            self.census.came(connection)

    def ended(self, connection: Connection, record: ConnectionInfo) -> None:
        """Count the end of a session, keep its record, and tell the observers."""
        self._laggards.forget(connection)
        self.census.went(connection, record)
        session = connection.session
        self.observer.ended(record, session.identity is not None)
        if session.options.will is not None and not self._farewell.begun:
            self.before_input()
            given, limit = session.options.will, self.options.max_payload
            text = wills.publish(self.switchboard, session.identity, given, limit, record.reason)
            if text:
                connection.complain(text)

    def next_number(self) -> int:
        """The number of the next connection, of whatever kind."""
        self._cids += 1
        return self._cids

    def carry(self, connection: PeerConnection) -> None:
        """Flush and close the connection of another server with those of clients, from now on."""
        self._streams[connection.cid] = connection

    def gone(self, connection: Connection | PeerConnection) -> None:
        """Forget a connection whose stream has ended."""
        self._streams.pop(connection.cid, None)
        self._farewell.gone()

    def cids(self) -> Sequence[int]:
        """The numbers of the open connections, in ascending order."""
        return [connection.cid for connection in self.census.connections()]

    def dismiss(self, cid: int, reason: Closed = Closed.SERVER_SHUTDOWN) -> bool:
        """Close a connection after what it is owed. Returns whether there was one."""
        connection = self.census.find(cid)
        if connection is None:
            return False
        self.before_input()
        connection.session.close(reason)
        return True

    def _describe(self, link: Link, share: bool) -> Mapping[str, object]:
        """What a service in another account is told of who asks: more where the asker shares it."""
        connection = self._streams.get(link.id)
        if not isinstance(connection, Connection):
            return {}
        return introduction(connection.info(), self.name, share)

    # --- output ---------------------------------------------------------------------------------

    def before_input(self) -> None:
        """See that backlogs are up to date, and that output is flushed at the turn's end."""
        self._laggards.look()
        self.reactor.flush_later(self._flusher)

    def _flush(self) -> None:
        """Give the streams what the links have queued; they send it in this same phase."""
        self._laggards.turn_over()
        plane, streams = self.plane, self._streams
        for link in plane.take_overflowed():
            connection = streams.get(link.id)
            if connection is not None:
                connection.overflow()
        flushed = self._flushed
        for link in plane.take_dirty():
            connection = streams.get(link.id)
            if connection is None:
                continue
            try:
                connection.push()
            except Exception:
                connection.fail()  # and go on: the others' output would never leave otherwise
            flushed.append(connection)
        if flushed:
            # Behind the streams in the same phase: it sees what the kernel left them.
            self.reactor.flush_later(self._settler)

    def _settle(self) -> None:
        """Note who did not get rid of everything."""
        flushed, self._flushed = self._flushed, []
        for connection in flushed:
            self._laggards.note(connection)

    def _cut_short(self, connection: Connection | PeerConnection) -> None:
        self.before_input()
        connection.session.close(Closed.SLOW_CONSUMER_DEADLINE)

    def set_write_deadline(self, seconds: float) -> None:
        """From now on, show out whoever takes nothing for so long. O(connections)."""
        self._laggards.close()
        self._laggards = Laggards(self.reactor, seconds, self._cut_short)
        for connection in self._streams.values():
            self._laggards.note(connection)

    # --- leaving --------------------------------------------------------------------------------

    def reload(self, options: Options) -> list[str]:
        """Go on with other settings; returns what to log about it. See `reloading.apply`."""
        from broker.reloading import apply

        return apply(self, options)

    def change_certificates(
        self, clients: ServerContext | None, websocket: ServerContext | None
    ) -> None:
        """Greet those who come from now on with other certificates."""
        self.tls = clients
        self._doors.change_certificates(websocket)

    @property
    def leaving(self) -> bool:
        """Whether it is in lame duck mode."""
        return self._lame_duck is not None

    def lame_duck(self, done: Callable[[], object]) -> None:
        """Let nobody in any more and send everybody away little by little; then call ``done``.

        How fast, the options say. Does nothing if that is under way already, or the server closes.
        """
        if self._farewell.begun or self._lame_duck is not None:
            return
        from broker.lameduck import LameDuck  # needed once in a broker's life, if at all

        options = self.options
        self._lame_duck = LameDuck(
            self.reactor, self, options.lame_duck_duration, options.lame_duck_grace, done
        )
        self.observer.lame_duck()
        self._lame_duck.begin()

    def tell_lame_duck(self, cid: int | None = None) -> int:
        """Send every client, or one, an INFO which says that we are about to leave, if it
        understands that; returns how many do.
        """
        self.before_input()
        told = dataclasses.replace(self.info, ldm=True, connect_urls=())
        count = 0
        for connection in self.census.connections():
            session = connection.session
            if cid not in (None, connection.cid):
                continue
            if session.identity is not None and session.options.protocol >= 1:
                count += 1
                entrance = connection.entrance
                info = told if entrance is None else entrance.info(told)
                line = info.json(connection.cid, connection.ip)
                self.plane.send(session.link, codec.info_line(line))
        if self.cluster is not None and cid is None:
            self.cluster.roster.tell_lame_duck()
        return count

    def tell_clients(self) -> None:
        """Tell everybody who wants to know where else they may go, as that has changed."""
        self.info = self.make_info()
        self.before_input()
        for connection in self.census.connections():
            entrance = connection.entrance
            connection.session.inform(self.info if entrance is None else entrance.info(self.info))

    def stop_listening(self) -> None:
        """Let no more clients in; the monitor stays. Idempotent."""
        self._doors.close_to_clients()

    def close(self, then: Callable[[], object] | None = None) -> None:
        """Stop listening, close every connection after what it is owed, then call ``then``, in a
        later turn; `broker.farewell` says how long that may take. May be called again.
        """
        self._farewell.begin(then)

    def shut(self) -> None:
        """Let nobody in any more, and begin nothing new; `close` is what to call."""
        if self._lame_duck is not None:
            self._lame_duck.cancel()
        self._doors.close()
        self.renewal.close()
        for peers in (self.cluster, self.leafnodes):
            if peers is not None:
                peers.close()
        self.observer.closing()

    def remaining(self) -> Collection[Connection | PeerConnection]:
        """The connections whose streams have not ended. O(1)."""
        return self._streams.values()

    def clients(self) -> Iterable[Connection]:
        """The connections of clients that are open. O(connections)."""
        return self.census.connections()

    def settled(self) -> None:
        """Wait for no answer any more; `close` is what to call."""
        self.workers.close()

    def finish(self) -> None:
        """Give back what is left when everybody has gone; `close` is what to call."""
        self._laggards.close()
        self.complaints.settle()
        self.workers.close()

    # --- insight --------------------------------------------------------------------------------

    @property
    def http_port(self) -> int | None:
        """The monitor's port, or None if there is no monitor."""
        return self._doors.http_port

    @property
    def websocket_port(self) -> int | None:
        """The port of the door for WebSockets, or None if there is none. Raises nothing."""
        return self._doors.websocket_port

    @property
    def urls(self) -> Mapping[str, Sequence[str]]:
        """Where it listens, as URLs: of kind ``nats``, ``monitoring`` and ``websocket``."""
        return self._doors.urls

    def wall(self, moment: float) -> float:
        """The wall-clock time of a moment on the reactor's clock, by the offset at our start."""
        return self.census.wall(moment)

    def opened(self) -> Iterable[Row]:
        """The open connections, in the order of their cids."""
        return self.census.opened()

    def closed(self) -> Iterable[Row]:
        """Records of the last connections that ended, the oldest first."""
        return self.census.closed()

    def accounts(self) -> Iterable[AccountInfo]:
        """The accounts in numbers, `$G` first. O(connections)."""
        return [account.info() for account in self.switchboard.accounts()]

    def routes(self) -> Iterable[RouteInfo]:
        """The routes to other nodes, with what these want. O(their subscriptions)."""
        return () if self.cluster is None else self.cluster.infos()

    def zones(self) -> Mapping[int, str]:
        """The account of each zone."""
        return self.switchboard.zones()

    def explain(self, account: str, subject: bytes) -> Explanation:
        """What would become of a message. Raises KeyError: there is no such account."""
        from broker import tracez  # only where somebody asks: start-up stays short

        return tracez.explain(self.switchboard, self.plane, account, subject)

    def leafs(self) -> Iterable[LeafInfo]:
        """The links to servers above and below us. O(links + what they want)."""
        return () if self.leafnodes is None else self.leafnodes.infos()

    def stats(self) -> BrokerStats:
        """The whole broker in numbers. O(connections)."""
        stats = self.census.stats(self, self._came)
        return stats if self.cluster is None else self.cluster.counted(stats)


def _no_file() -> None:
    raise ValueError("can only reload config when a file is provided using -c or --config")


def _make_id() -> str:
    """A name no other server has, in the form of nats-server's: N and 55 characters of base 32."""
    return "N" + base64.b32encode(os.urandom(35)).decode("ascii")[:55]


def _python_version() -> str:
    return ".".join(map(str, sys.version_info[:3]))
