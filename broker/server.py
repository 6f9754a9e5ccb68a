"""The server: a listener, the connections it accepts, and what they share.

The idea: one reactor, one data plane, one switchboard; every client is a `Connection` between them.
What this class adds is what concerns all of them: who may come in, when output leaves, who is too
slow, and an orderly end.

When output leaves: anything that may cause output calls `before_input`, which asks the reactor for
one flush at the end of the turn. That flush moves what each link has queued to its stream, and the
streams send it in the same phase. So whatever a turn produced for one connection goes out in one
write.

Who is too slow: the data plane counts what a link has queued, together with what its stream still
holds, and one that exceeds ``max_pending`` is closed in the same turn; one that takes nothing for
``write_deadline`` seconds is found by `broker.laggards`. Nobody else is ever made to wait for it.

Invariants: a connection is in `_open` until its session ends, and in `_streams` until its stream
ends; counters never go down; after `close` has called back, no descriptor of this server is left
open but the reactor's own.

Neighbours: `broker.embedded` and `broker.__main__` make one; `broker.monitor` shows it. Loop thread
only.
"""

from __future__ import annotations

import base64
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from broker import __version__
from broker.auth import make_authenticator
from broker.config import Options
from broker.connection import SLOW, Connection
from broker.doorman import Doorman
from broker.errors import Closed
from broker.flow import DEFAULT_CAPACITY, FlowTable
from broker.handshake import ServerInfo
from broker.hook import HookFunction
from broker.laggards import Laggards
from broker.link import Link
from broker.logs import logger
from broker.plane import choose_plane
from broker.snapshots import BrokerStats, ConnectionInfo
from broker.switchboard import Switchboard
from broker.workers import Workers
from reactor import Listener, Reactor, Timer
from reactor.errors import DescriptorLimitError
from reactor.sources import Flusher
from reactor.stream import SocketLike

if TYPE_CHECKING:
    from broker.connz import Row
    from broker.monitor import Monitor

__all__ = ["Server"]

#: Seconds that clients get to take what they are owed when the server closes.
CLOSE_GRACE = 2.0


class Server:
    """A broker on a reactor. Made silent; `start` makes it listen, `close` ends it for good.

    One reactor may carry several servers. What cannot be served is refused by `Options` already.
    """

    def __init__(
        self,
        reactor: Reactor,
        options: Options,
        *,
        auth: HookFunction | None = None,
        auth_blocks: bool = True,
    ) -> None:
        """``auth`` decides who may come in, instead of the options; ``auth_blocks`` is whether it
        may wait, and so is called in a thread.
        """
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
        self.switchboard = Switchboard(self.plane)
        self.authenticator = make_authenticator(options, auth, blocks=auth_blocks)
        self.doorman = Doorman()
        self.workers = Workers(reactor)
        self.info = self._make_info()

        self._listener: Listener | None = None
        self._monitor: Monitor | None = None
        self._open: dict[int, Connection] = {}
        self._streams: dict[int, Connection] = {}
        self._closed: deque[ConnectionInfo] = deque(maxlen=options.closed_ring)
        self._cids = 0
        self._slow = self._stale = 0
        self._clock_offset = time.time() - reactor.clock.now()
        self._started = self.wall(reactor.clock.now())

        self._flusher = Flusher(self._flush)
        self._settler = Flusher(self._settle)
        self._flushed: list[Connection] = []
        self._laggards = Laggards(reactor, options.write_deadline, self._cut_short)

        self._closing = False
        self._when_closed: list[Callable[[], object]] = []
        self._grace: Timer | None = None

    # --- starting -------------------------------------------------------------------------------

    def announce(self) -> None:
        """Log who we are, as nats-server does before anything can go wrong."""
        logger.info("Starting reactor-broker")
        logger.info("  Version:  %s", __version__)
        logger.info("  Backend:  %s", self.reactor.demultiplexer.features.name)
        logger.debug("  Python:   %s", _python_version())
        logger.info("  Name:     %s", self.name)
        logger.info("  ID:       %s", self.server_id)

    def start(self) -> None:
        """Listen for clients, and for the monitor's visitors if the options want that.

        Raises:
            OSError: an address or port cannot be listened on; nothing is left open then.
        """
        options = self.options
        try:
            if options.http_port is not None:
                self._monitor = self._start_monitor()
            self._listener = self._listen()
        except BaseException:
            if self._monitor is not None:
                self._monitor.close()
            raise
        self.port = self._listener.port
        self.info = self._make_info()
        logger.info("Listening for client connections on %s", _address(options.host, self.port))
        logger.info("Server is ready")

    def _listen(self) -> Listener:
        options = self.options
        port = max(options.port, 0)  # -1 asks for any free port, as 0 does
        try:
            return Listener(self.reactor, (options.host, port), self.admit, backlog=options.backlog)
        except OSError as error:
            where = _address(options.host, port)
            raise _explained(f"Error listening on port: {where}", error) from error

    def _start_monitor(self) -> Monitor:
        from broker.monitor import Monitor  # h11 and friends take longer to import than to use

        try:
            monitor = Monitor(self.reactor, self)
        except OSError as error:
            trouble = "Can't start monitoring: can't listen to the monitor port"
            raise _explained(trouble, error) from error
        logger.info("Starting http monitor on %s", _address(monitor.host, monitor.port))
        return monitor

    def _make_info(self) -> ServerInfo:
        return ServerInfo(
            server_id=self.server_id,
            server_name=self.name,
            host=self.options.host,
            port=self.port,
            max_payload=self.options.max_payload,
            go=f"python{_python_version()}",
            auth_required=self.authenticator.required,
        )

    # --- connections ----------------------------------------------------------------------------

    def admit(self, sock: SocketLike, address: Any) -> None:
        """Serve a connected socket, which is ours from now on; ``address`` is its peer's.

        The listener calls this. So may whoever has a socket that came another way: one end of a
        pair, or one in memory.
        """
        self._cids += 1
        limit = self.options.max_connections
        refused = 0 < limit <= len(self._open)
        try:
            connection = Connection(self, self._cids, sock, address, refused=refused)
        except DescriptorLimitError as error:
            # The fault of the backend that was chosen, not of this client, and no reason for a
            # traceback.
            logger.error("%s - cid:%d - cannot be served: %s", address[0], self._cids, error)
            sock.close()
            return
        self._streams[connection.cid] = connection
        if not refused:
            self._open[connection.cid] = connection

    def ended(self, connection: Connection, reason: str, record: ConnectionInfo) -> None:
        """Count the end of a session and keep its record."""
        self._open.pop(connection.cid, None)
        self._laggards.forget(connection)
        self._closed.append(record)
        if reason == Closed.STALE_CONNECTION.value:
            self._stale += 1
        elif reason in _SLOW_REASONS:
            self._slow += 1

    def gone(self, connection: Connection) -> None:
        """Forget a connection whose stream has ended."""
        self._streams.pop(connection.cid, None)
        if self._closing and not self._streams:
            self._finish_closing()

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

    def _cut_short(self, connection: Connection) -> None:
        self.before_input()
        connection.session.close(Closed.SLOW_CONSUMER_DEADLINE)

    # --- ending ---------------------------------------------------------------------------------

    def close(self, then: Callable[[], object] | None = None) -> None:
        """Stop listening, close every connection after what it is owed, then call ``then``.

        Clients that do not take what they are owed are cut off after `CLOSE_GRACE` seconds. May be
        called again: every ``then`` is called, in a later turn.
        """
        if then is not None:
            self._when_closed.append(then)
        if self._closing:
            if self._grace is None:
                self._finish_closing()
            return
        self._closing = True
        self.workers.close()
        if self._listener is not None:
            self._listener.close()
        if self._monitor is not None:
            self._monitor.close()
        self._grace = self.reactor.call_later(CLOSE_GRACE, self._cut_off)
        for connection in tuple(self._streams.values()):
            connection.session.close(Closed.SERVER_SHUTDOWN)
        if not self._streams:
            self._finish_closing()

    def _cut_off(self) -> None:
        for connection in tuple(self._streams.values()):
            logger.warning("%s - did not take what it was owed; cut off", connection.label())
            connection.stream.abort()

    def _finish_closing(self) -> None:
        self._laggards.close()
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None
        waiting, self._when_closed = self._when_closed, []
        for then in waiting:
            self.reactor.call_soon(then)

    # --- insight --------------------------------------------------------------------------------

    @property
    def http_port(self) -> int | None:
        """The monitor's port, or None if there is no monitor."""
        return None if self._monitor is None else self._monitor.port

    def wall(self, moment: float) -> float:
        """The wall-clock time of a moment on the reactor's clock, by the offset at our start."""
        return moment + self._clock_offset

    def opened(self) -> Iterable[Row]:
        """The open connections, in the order of their cids."""
        return self._open.values()

    def closed(self) -> Iterable[Row]:
        """Records of the last connections that ended, the oldest first."""
        return self._closed

    def stats(self) -> BrokerStats:
        """The whole broker in numbers. O(connections)."""
        counted = self.plane.stats()
        return BrokerStats(
            server_id=self.server_id,
            server_name=self.name,
            version=self.info.version,
            host=self.options.host,
            port=self.port,
            http_host=self._monitor.host if self._monitor is not None else self.options.host,
            http_port=self.http_port or 0,
            start=self._started,
            now=self.wall(self.reactor.clock.now()),
            connections=len(self._open),
            total_connections=self._cids,
            in_msgs=counted.in_msgs,
            in_bytes=counted.in_bytes,
            out_msgs=counted.out_msgs,
            out_bytes=counted.out_bytes,
            subscriptions=len(self.switchboard),
            slow_consumers=self._slow,
            stale_connections=self._stale,
            flows=len(self.plane.flows),
        )


_SLOW_REASONS = frozenset(reason.value for reason in SLOW)


def _make_id() -> str:
    """A name no other server has, in the form of nats-server's: N and 55 characters of base 32."""
    return "N" + base64.b32encode(os.urandom(35)).decode("ascii")[:55]


def _python_version() -> str:
    return ".".join(map(str, sys.version_info[:3]))


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _explained(trouble: str, error: OSError) -> OSError:
    """The same error with what we were about to do in front of it, and its number kept."""
    explained = type(error)(f'{trouble}, "{error.strerror or error}"')
    explained.errno = error.errno
    return explained
