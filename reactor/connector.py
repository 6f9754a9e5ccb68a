"""Connecting: several addresses raced, one stream won.

The idea: a name has several addresses, and the first one may lead nowhere without saying so.
Waiting for the kernel to give up takes minutes. So the addresses are tried as RFC 8305 ("happy
eyeballs") says: IPv6 and IPv4 in turn, the next one as soon as one fails, or when it has kept us
waiting for a quarter of a second, without giving up those under way. The first that is through
wins, the others are closed.

**The special problem of the end of `connect`.** A non-blocking connect that is over makes the
socket writable, whether it succeeded or not; `SO_ERROR` tells. And a connect to a port of this
machine that nobody listens at may, by chance, be given that very port as its own, and be connected
to itself: the kernel calls that a success, we call it refused.

Invariants: exactly one of these happens: the handler gets a stream, or `on_error` is called, once,
with an error that names every address and why it failed, or the connector was cancelled. None of
them from within `connect` itself. Whatever happens, no socket of a lost race stays open.

Neighbours: `reactor.resolver` finds the addresses, `reactor.stream` is what comes out. Floor 3;
loop thread only.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final, Protocol

from reactor.errors import LimitError, RegistrationError
from reactor.events import WRITE
from reactor.resolver import (
    Address,
    Answer,
    Endpoint,
    Lookup,
    check_port,
    describe,
    literal_endpoints,
    resolve,
    unix_family,
)
from reactor.stream import Stream, StreamHandler
from reactor.tls import TlsSession

if TYPE_CHECKING:
    from reactor.handles import Handle
    from reactor.loop import Reactor
    from reactor.timers import Timer

#: Seconds until the next address is tried beside one that does not answer (RFC 8305, section 5).
ATTEMPT_DELAY: Final = 0.25

#: Seconds until a connector gives up, names and all addresses included.
TIMEOUT: Final = 30.0


class ConnectError(OSError):
    """No address could be connected to. Its text names each one, and why.

    `attempts` are the addresses and what became of them; `errno` is that of the last one, or None
    if there was none.
    """

    def __init__(self, text: str, attempts: Sequence[tuple[str, OSError]] = ()) -> None:
        super().__init__(attempts[-1][1].errno if attempts else None, text)
        self.attempts = tuple(attempts)

    def __str__(self) -> str:
        return str(self.strerror)


class ConnectTimeoutError(ConnectError, TimeoutError):
    """Time was up before any address was connected to."""


@dataclass(frozen=True)
class ConnectorStats:
    """What a connector has done: attempts begun, of which some failed and some are under way."""

    attempted: int
    failed: int
    racing: int


class Resolver(Protocol):
    """What finds the addresses of a name: `reactor.resolver.resolve`, or a program's own."""

    def __call__(self, reactor: Reactor, host: str, port: int, callback: Answer, /) -> Lookup:
        """Call `callback` once, in a later turn."""
        ...


class Connector:
    """One connection in the making. Made by `connect`; loop thread only.

    Closing the reactor cancels it.
    """

    def __init__(
        self,
        reactor: Reactor,
        address: Address,
        on_socket: Callable[[socket.socket], object],
        on_error: Callable[[ConnectError], object] | None = None,
        *,
        timeout: float | None = TIMEOUT,
        attempt_delay: float = ATTEMPT_DELAY,
        source: Address | None = None,
        resolver: Resolver = resolve,
    ) -> None:
        """Begin. This one gives `on_socket` the connected, non-blocking socket; `connect` a stream.

        The arguments and errors are those of `connect`.
        """
        for name, seconds in (("timeout", timeout), ("attempt_delay", attempt_delay)):
            if seconds is not None and not seconds > 0:
                raise LimitError(f"{name} must be more than 0 s, not {seconds!r}")
        self._reactor = reactor
        self._address = address
        self._on_socket = on_socket
        self._on_error = on_error
        self._attempt_delay = attempt_delay
        self._source = None if source is None else _literal(source)
        self._waiting: list[Endpoint] = []
        self._racing: list[_Attempt] = []
        self._failures: list[tuple[str, OSError]] = []
        self._attempted = 0
        self._next: Timer | None = None
        self._lookup: Lookup | None = None
        self._limit: Timer | None = None
        self._over = False
        if isinstance(address, str):
            reactor.call_soon(self._resolved, [Endpoint(unix_family(), address)], None)
        else:
            self._lookup = resolver(reactor, *address, self._resolved)
        if timeout is not None:
            self._limit = reactor.call_later(timeout, self._timed_out, timeout)

    @property
    def done(self) -> bool:
        """Whether it is over: connected, failed or cancelled."""
        return self._over

    def cancel(self) -> bool:
        """Give up, and call nobody. False if it was over already; then nothing happens.

        A stream that was handed over is not ended by this. Costs O(attempts under way).
        """
        if self._over:
            return False
        self._finish()
        return True

    def stats(self) -> ConnectorStats:
        """Return the counters. O(1)."""
        return ConnectorStats(self._attempted, len(self._failures), len(self._racing))

    def _resolved(self, endpoints: Sequence[Endpoint], error: OSError | None) -> None:
        if self._over:
            return
        if error is not None:
            self._failures.append((describe(self._address), error))
        self._waiting = interleave(endpoints)
        self._try_next()

    def _try_next(self) -> None:
        """Begin the next attempt that can be begun, or give up if none is left nor under way."""
        self._stop_waiting()
        while self._waiting:
            attempt = _Attempt(self, self._waiting.pop(0))
            self._attempted += 1
            error = attempt.begin(self._reactor, self._source)
            if error is None:
                self._racing.append(attempt)
                if self._waiting:
                    self._next = self._reactor.call_later(self._attempt_delay, self._try_next)
                return
            self._failures.append((str(attempt.endpoint), error))
        if not self._racing:
            self._give_up(ConnectError(self._text(""), self._failures))

    def _ended(self, attempt: _Attempt, error: OSError | None) -> None:
        """Hear from an attempt that it is over; without an error it has won."""
        self._racing.remove(attempt)
        if error is None:
            sock = attempt.release()
            self._finish()
            self._hand_over(sock)
        else:
            attempt.close()
            self._failures.append((str(attempt.endpoint), error))
            self._try_next()

    def _hand_over(self, sock: socket.socket) -> None:
        try:
            self._on_socket(sock)
        except BaseException:
            sock.close()
            raise

    def _timed_out(self, timeout: float) -> None:
        late = [(str(attempt.endpoint), "no answer") for attempt in self._racing]
        late += [(str(endpoint), "not tried yet") for endpoint in self._waiting]
        if not late and not self._failures:
            late = [(describe(self._address), "the name was not looked up in time")]
        for where, why in late:
            self._failures.append((where, TimeoutError(errno.ETIMEDOUT, why)))
        self._give_up(ConnectTimeoutError(self._text(f" within {timeout:g} s"), self._failures))

    def _give_up(self, error: ConnectError) -> None:
        self._finish()
        if self._on_error is None:
            # Nobody asked to be told: it goes to the loop's own place for errors, and is not lost.
            raise error
        self._on_error(error)

    def _finish(self) -> None:
        """Stop everything that is under way."""
        self._over = True
        self._waiting = []
        self._stop_waiting()
        if self._limit is not None:
            self._limit.cancel()
        if self._lookup is not None:
            self._lookup.cancel()
        for attempt in self._racing:
            attempt.close()
        self._racing = []

    def _stop_waiting(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _text(self, limit: str) -> str:
        whole = describe(self._address)
        causes = [
            _cause(error) if where == whole else f"{where}: {_cause(error)}"
            for where, error in self._failures
        ]
        return f"cannot connect to {whole}{limit}: {'; '.join(causes) or 'it has no address'}"


def connect(
    reactor: Reactor,
    address: Address,
    handler: StreamHandler,
    *,
    on_error: Callable[[ConnectError], object] | None = None,
    timeout: float | None = TIMEOUT,
    attempt_delay: float = ATTEMPT_DELAY,
    source: Address | None = None,
    tls: ssl.SSLContext | None = None,
    server_hostname: str | None = None,
    resolver: Resolver = resolve,
    **stream_options: Any,
) -> Connector:
    """Connect, and make a `Stream` with this handler, whose `on_open` says that it is there.

    `address` is `(host, port)` or the path of a Unix socket. `on_error` is called with a
    `ConnectError` if it comes to nothing, or a `ConnectTimeoutError` after `timeout` seconds (None:
    never); without it the error goes to the reactor's `on_error`. `attempt_delay` is how long one
    address may keep the next one waiting. `source` is the literal address to connect from.

    With `tls` the stream speaks TLS as a client, and `server_hostname` is the name that the
    certificate must have, by default the host's. A handshake that fails ends the stream, with its
    reason, and is not `on_error`'s. `resolver` looks up names; `stream_options` go to the `Stream`.

    Raises `LimitError` for limits, ports or a source that make no sense, and for a TLS context
    that checks host names and has none. Costs a few system calls for each address tried.
    """
    session = None if tls is None else _tls_session(tls, address, server_hostname)

    def on_socket(sock: socket.socket) -> None:
        Stream(reactor, sock, handler, tls=session, **stream_options)

    return Connector(
        reactor,
        address,
        on_socket,
        on_error,
        timeout=timeout,
        attempt_delay=attempt_delay,
        source=source,
        resolver=resolver,
    )


def _tls_session(tls: ssl.SSLContext, address: Address, name: str | None) -> TlsSession:
    if name is None and not isinstance(address, str):
        name = address[0]
    if not name and tls.check_hostname:
        # Over memory buffers, OpenSSL would take a missing name for no wish to have it checked.
        raise LimitError(
            f"the TLS context checks host names, and {describe(address)} has none:"
            " give the one in the certificate as server_hostname"
        )
    return TlsSession(tls, server_side=False, server_hostname=name)


def interleave(endpoints: Iterable[Endpoint]) -> list[Endpoint]:
    """Return the endpoints with their families in turn (RFC 8305, section 4); order kept in each.

    The family of the first endpoint, which the system prefers, comes first. O(n).
    """
    families: dict[int, list[Endpoint]] = {}
    for endpoint in endpoints:
        families.setdefault(endpoint.family, []).append(endpoint)
    rounds = zip_longest(*families.values())
    return [endpoint for one_round in rounds for endpoint in one_round if endpoint is not None]


class _Attempt:
    """One socket on its way to one address."""

    def __init__(self, connector: Connector, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._connector = connector
        self._sock: socket.socket | None = None
        self._handle: Handle | None = None

    def begin(self, reactor: Reactor, source: Endpoint | None) -> OSError | None:
        """Set out; return what made that impossible, if anything did."""
        try:
            self._set_out(reactor, source)
        except OSError as error:
            self.close()
            return error
        except RegistrationError as error:
            self.close()
            return OSError(errno.EMFILE, str(error))
        return None

    def _set_out(self, reactor: Reactor, source: Endpoint | None) -> None:
        family, sockaddr = self.endpoint
        self._sock = sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setblocking(False)
        if isinstance(sockaddr, tuple):
            # Streams join small writes themselves, so the kernel need not wait for more.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if source is not None:
            if source.family != family:
                raise OSError(errno.EAFNOSUPPORT, f"not reachable from {source}, of another family")
            sock.bind(source.sockaddr)
        number = sock.connect_ex(sockaddr)
        if number not in (0, errno.EINPROGRESS):
            raise _error(number)
        # A socket that is connected at once is writable in the next turn, like any other.
        name = f"connecting to {self.endpoint}"
        self._handle = reactor.register(sock, WRITE, self._on_ready, name=name)
        self._handle.on_shutdown = lambda _force: self._connector.cancel()

    def _on_ready(self, _ready: int) -> None:
        self._connector._ended(self, self._outcome())

    def _outcome(self) -> OSError | None:
        assert self._sock is not None
        number = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            return _error(number)
        try:
            peer = self._sock.getpeername()
            to_itself = isinstance(peer, tuple) and peer == self._sock.getsockname()
        except OSError as error:
            return error  # connected, and reset before we looked
        return _error(errno.ECONNREFUSED) if to_itself else None

    def release(self) -> socket.socket:
        """Give the socket away."""
        sock, self._sock = self._sock, None
        assert sock is not None
        self.close()
        return sock

    def close(self) -> None:
        """Close what is open. Idempotent."""
        if self._handle is not None:
            self._handle.close()
        if self._sock is not None:
            self._sock.close()
            self._sock = None


def _error(number: int) -> OSError:
    if number == errno.EAGAIN:  # a Unix socket whose listener does not keep up
        return OSError(number, "its backlog is full")
    return OSError(number, os.strerror(number))


def _cause(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__


def _literal(source: Address) -> Endpoint:
    if isinstance(source, str):
        return Endpoint(unix_family(), source)
    check_port(source[1])
    found = literal_endpoints(*source)
    if not found:
        raise LimitError(f"source {source[0]!r} is not a literal address; give one of this machine")
    return found[0]
