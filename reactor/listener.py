"""Listeners: doors at which peers arrive.

The idea: a readable listening socket means that somebody waits in its backlog. How many are taken
in one turn adapts: one at first, so that a quiet door costs no `accept` that finds nobody; twice as
many as before whenever the backlog had more, up to the budget.

**The special problem of accept when no descriptor is left.** The waiting peer stays in the backlog,
the socket stays readable, and a level-triggered loop would spin on a call that cannot succeed. So
each listener keeps one descriptor in reserve. When the process runs out, it is given back, a few
waiting peers are accepted with it and closed, which tells them at once, and it is taken again. If
even that fails the listener rests for 100 ms, then 200, up to a second, and tries again. One log
line tells of each incident, not one per peer.

Invariants: sockets are non-blocking and closed on exec; an accepted socket is either handed to
`on_accept` or closed; what goes wrong with one peer costs that peer only; after `close()` returns
`on_accept` is not called again, even if it was called from within it.

Neighbours: `reactor.sockets` opens the doors; `reactor.stream` is what most callers make of an
accepted socket, and `listen` does so for them. Floor 3; anyone may call.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from reactor.budgets import ACCEPT_BUDGET
from reactor.errors import LimitError
from reactor.events import READ
from reactor.resolver import Address, describe
from reactor.sockets import SocketFile, open_listening
from reactor.stream import Stream, StreamHandler
from reactor.tls import TlsSession
from reactor.trace import ErrorContext

if TYPE_CHECKING:
    from reactor.handles import Handle
    from reactor.loop import Reactor
    from reactor.timers import Timer

#: Peers turned away in one turn with the reserve descriptor.
SHED_BUDGET: Final = 16

#: Seconds of rest when nobody could even be turned away; doubled up to the second number.
REST: Final = (0.1, 1.0)

#: Seconds without trouble after which the next trouble is a new incident, with its own log line.
INCIDENT_QUIET: Final = 10.0

#: The process or the system is out of something. Only the first two are descriptors.
_NO_DESCRIPTORS: Final = frozenset({errno.EMFILE, errno.ENFILE})

#: The peer was gone, or its network was, before it was accepted; Linux reports that here, see
#: accept(2). The next one in the backlog may be well.
_TRANSIENT: Final = frozenset(
    {
        errno.ECONNABORTED,
        errno.ECONNRESET,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ENOPROTOOPT,
        errno.EPERM,
        errno.EPROTO,
        errno.ETIMEDOUT,
    }
)

_log = logging.getLogger("reactor")

#: What `on_accept` is called with: the socket, non-blocking and now the callee's, and its peer.
OnAccept = Callable[[socket.socket, Any], object]


@dataclass(frozen=True)
class ListenerStats:
    """What a listener has done since it was made, in peers unless it says otherwise.

    `accepted` were handed to `on_accept`, of which `failed` were closed because it raised;
    `aborted` were gone before they could be accepted; `shed` were turned away for want of
    descriptors. `incidents` counts times when the process was out of something, `rests` how often
    accepting was put off for that, and `budget` is the number that the next turn may take.
    """

    accepted: int
    failed: int
    aborted: int
    shed: int
    incidents: int
    rests: int
    budget: int


class Listener:
    """Accepts peers at one address, or at every address of one name. Loop thread only."""

    def __init__(
        self,
        reactor: Reactor,
        address: Address | socket.socket,
        on_accept: OnAccept,
        *,
        backlog: int = 128,
        reuse_port: bool = False,
        v6only: bool = True,
        no_delay: bool = True,
        budget: tuple[int, int] = ACCEPT_BUDGET,
    ) -> None:
        """Listen at once, and call `on_accept(socket, peer address)` for each peer.

        `address` is `(host, port)`, where port 0 takes any free one and an empty host is every
        address of this machine; or the path of a Unix socket; or a socket that is bound already and
        becomes the listener's. A path left behind by a program that is gone is taken over, one that
        is in use is not. A host name is looked up here and now, which may block; a literal never.

        `backlog` is the number of peers the kernel keeps waiting. `reuse_port` lets several
        listeners, in this process or others, share the port. `v6only=False` makes an IPv6 listener
        take IPv4 peers as well. `no_delay` turns off Nagle's algorithm for every accepted TCP peer:
        streams join small writes themselves.

        What `on_accept` raises goes to the reactor's `on_error`, and its socket is closed.

        Raises OSError naming the address and the mend if it cannot be listened at, `LimitError` for
        a port or budget that makes no sense, `UnsupportedError` where the platform lacks a feature.
        """
        low, high = budget
        if not 1 <= low <= high:
            raise LimitError(f"an accept budget of {budget} is not (at least 1, no less than that)")
        self._reactor = reactor
        self._on_accept = on_accept
        self._least, self._most = low, high
        self._budget = low
        self._accepted = self._failed = self._aborted = self._shed = 0
        self._incidents = self._rests = 0
        self._incident_over = float("-inf")
        self._rest = REST[0]
        self._rest_timer: Timer | None = None
        self._reserve: int | None = None
        self._closed = self._paused = False
        self._path: SocketFile | None = None
        self._sockets = open_listening(address, backlog, reuse_port, v6only, no_delay)
        self._handles: list[Handle] = []
        try:
            if isinstance(address, str):
                self._path = SocketFile.of(address)
            self._take_reserve()
            for sock in self._sockets:
                name = f"listener at {describe(sock.getsockname())}"
                handle = reactor.register(sock, READ, partial(self._serve, sock), name=name)
                handle.on_shutdown = self._shut_down
                self._handles.append(handle)
        except BaseException:
            self.close()
            raise

    @property
    def addresses(self) -> tuple[Any, ...]:
        """Where it listens, as `getsockname` says, one for each socket; empty once closed."""
        return tuple(sock.getsockname() for sock in self._sockets)

    @property
    def port(self) -> int:
        """The port, which is the same at all addresses; 0 for a Unix socket or once closed."""
        address = self.addresses[0] if self._sockets else None
        return int(address[1]) if isinstance(address, tuple) else 0

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def pause(self) -> None:
        """Leave peers waiting in the backlog until `resume`. O(1); idempotent."""
        self._paused = True
        self._rewatch()

    def resume(self) -> None:
        """Accept again after `pause`. O(1); idempotent."""
        self._paused = False
        self._rewatch()

    def close(self) -> None:
        """Stop listening now: the port is free, peers in the backlog are reset, a path is removed.

        Connections that were accepted are not touched. Idempotent; legal within `on_accept`.
        """
        self._closed = True
        self._stop_resting()
        self._give_reserve()
        for handle in self._handles:
            handle.close()
        if self._path is not None:
            self._path.remove()
            self._path = None
        for sock in self._sockets:
            sock.close()
        self._handles, self._sockets = [], []

    def stats(self) -> ListenerStats:
        """Return the counters. O(1)."""
        return ListenerStats(
            self._accepted,
            self._failed,
            self._aborted,
            self._shed,
            self._incidents,
            self._rests,
            self._budget,
        )

    def _shut_down(self, _force: bool) -> None:
        self.close()

    # Accepting.

    @property
    def _watching(self) -> bool:
        return not (self._closed or self._paused or self._rest_timer is not None)

    def _serve(self, sock: socket.socket, _ready: int) -> None:
        taken, budget = 0, self._budget
        # Asked anew for each peer: `on_accept` may pause or close this listener.
        while taken < budget and self._watching:
            try:
                peer, address = sock.accept()
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno not in _TRANSIENT:
                    self._exhausted(sock, error)
                    break
                self._aborted += 1
            else:
                self._welcome(peer, address)
            taken += 1
        # A full budget says that there may be more; anything less that this many were too many.
        self._budget = (
            min(budget * 2, self._most) if taken == budget else max(budget // 2, self._least)
        )

    def _welcome(self, peer: socket.socket, address: Any) -> None:
        self._accepted += 1
        self._rest = REST[0]
        try:
            peer.setblocking(False)
            self._on_accept(peer, address)
        except Exception as error:
            self._failed += 1
            peer.close()
            # Reported and not raised, so that it does not cost the others in the backlog a turn.
            self._reactor.report(ErrorContext(error, self._handles[0], READ))
        except BaseException:
            peer.close()
            raise

    # Out of descriptors, or of memory.

    def _exhausted(self, sock: socket.socket, error: OSError) -> None:
        now = self._reactor.now()
        if now >= self._incident_over:
            self._incidents += 1
            where = describe(sock.getsockname())
            _log.warning("cannot accept at %s: %s; peers are turned away or wait", where, error)
        self._incident_over = now + INCIDENT_QUIET
        if error.errno not in _NO_DESCRIPTORS or not self._turn_away(sock):
            self._rest_a_while()

    def _turn_away(self, sock: socket.socket) -> bool:
        """Accept and close a few peers with the reserve descriptor. False if that did not help."""
        if self._reserve is None:
            return False
        self._give_reserve()
        before = self._shed
        try:
            for _ in range(SHED_BUDGET):
                sock.accept()[0].close()
                self._shed += 1
        except OSError:
            # Nobody is left, or another thread was quicker to take the descriptor.
            pass
        self._take_reserve()
        return self._shed > before and self._reserve is not None

    def _rest_a_while(self) -> None:
        self._rests += 1
        self._rest_timer = self._reactor.call_later(self._rest, self._rested)
        self._rest = min(self._rest * 2, REST[1])
        self._rewatch()

    def _rested(self) -> None:
        self._rest_timer = None
        if self._reserve is None:
            self._take_reserve()
        self._rewatch()

    def _stop_resting(self) -> None:
        if self._rest_timer is not None:
            self._rest_timer.cancel()
            self._rest_timer = None

    def _rewatch(self) -> None:
        for handle in self._handles:
            if self._watching:
                handle.resume()
            else:
                handle.pause()

    def _take_reserve(self) -> None:
        with suppress(OSError):
            self._reserve = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def _give_reserve(self) -> None:
        if self._reserve is not None:
            os.close(self._reserve)
            self._reserve = None


def listen(
    reactor: Reactor,
    address: Address | socket.socket,
    make_handler: Callable[[], StreamHandler],
    *,
    tls: ssl.SSLContext | None = None,
    backlog: int = 128,
    reuse_port: bool = False,
    v6only: bool = True,
    budget: tuple[int, int] = ACCEPT_BUDGET,
    **stream_options: Any,
) -> Listener:
    """Listen, and make a `Stream` with a handler of its own for each peer.

    With `tls`, each stream speaks TLS as a server with that context. The other options are
    `Listener`'s, and so are the errors raised; `stream_options` go to every `Stream`. Loop thread
    only.
    """

    def on_accept(sock: socket.socket, _peer: Any) -> None:
        # The handler first: if making it fails there is only a socket to close, no stream.
        handler = make_handler()
        session = None if tls is None else TlsSession(tls, server_side=True)
        Stream(reactor, sock, handler, tls=session, **stream_options)

    return Listener(
        reactor,
        address,
        on_accept,
        backlog=backlog,
        reuse_port=reuse_port,
        v6only=v6only,
        budget=budget,
    )
