"""Connecting: several addresses raced, one stream won.

The idea: a name has several addresses, and the first one may lead nowhere without saying so. Waiting
for the kernel to give up takes minutes. So the addresses are tried as RFC 8305 ("happy eyeballs")
says: IPv6 and IPv4 in turn, the next one as soon as one fails, or when it has kept us waiting for a
quarter of a second, without giving up those under way. The first that is through wins, the others
are closed.

**The special problem of the end of `connect`.** A non-blocking connect that is over makes the socket
writable, whether it succeeded or not; `SO_ERROR` tells. And a connect to a port of this machine that
nobody listens at may, by chance, be given that very port as its own, and be connected to itself: the
kernel calls that a success, we call it refused.

Invariants: exactly one of these happens: the handler gets a stream, or `on_error` is called, once,
with an error that names every address and why it failed, or the connector was cancelled. None of them
from within `connect` itself. Whatever happens, no socket of a lost race stays open.

Neighbours: `reactor.resolve` finds the addresses, `reactor.stream` is what comes out. Floor 3; loop
thread only.
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

from reactor.errors import LimitError
from reactor.events import WRITE
from reactor.resolve import (
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
from reactor.trace import ErrorContext

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

    `attempts` are the addresses and what became of them. `errno` is theirs if they agree, else that
    of the last one; None if there was no address to try.
    """

    def __init__(self, text: str, attempts: Sequence[tuple[str, OSError]] = ()) -> None:
        numbers = [error.errno for _, error in attempts if error.errno is not None]
        # Given both, OSError keeps the number; given the text alone, it has none.
        super().__init__(*([numbers[-1], text] if numbers else [text]))
        self.attempts = tuple(attempts)


class ConnectTimeoutError(ConnectError, TimeoutError):
    """Time was up before any address was connected to."""


@dataclass(frozen=True)
class ConnectorStats:
    """What a connector has done: attempts begun, of which some failed and some are under way."""

    attempted: int
    failed: int
    racing: int


class Resolver(Protocol):
    """What finds the addresses of a name; `reactor.resolve.resolve` unless a test has another."""

    def __call__(self, reactor: Reactor, host: str, port: int, callback: Answer, /) -> Lookup:
        """Call `callback` once, in a later turn."""
        ...


class Connector:
    """One connection in the making. Made by `connect`; loop thread only."""

    def __init__(
        self,
        reactor: Reactor,
        address: Address,
        on_socket: Callable[[socket.socket], object],
        on_error: Callable[[ConnectError], object] | None,
        *,
        timeout: float | None = TIMEOUT,
        attempt_delay: float = ATTEMPT_DELAY,
        source: Address | None = None,
        resolver: Resolver = resolve,
    ) -> None:
        """Begin. For a stream use `connect`; this gives the connected, non-blocking socket itself.

        Raises what `connect` raises.
        """
        for name, seconds in (("timeout", timeout), ("attempt_delay", attempt_delay)):
            if seconds is not None and not seconds > 0:
                raise LimitError(f"{name} must be more than 0 s, not {seconds!r}; None is no limit")
        self._reactor = reactor
        self._address = address
        self._on_socket = on_socket
        self._on_error = on_error
        self._attempt_delay = attempt_delay
        self._source = source
        self._queue: list[Endpoint] = []
        self._racing: list[_Attempt] = []
        self._failures: list[tuple[str, OSError]] = []
        self._attempted = 0
        self._timeout = timeout
        self._next: Timer | None = None
        self._lookup: Lookup | None = None
        self._over = False
        self._sources = _source_endpoints(source)
        if isinstance(address, str):
            endpoint = Endpoint(unix_family(), address)
            reactor.call_soon(self._resolved, [endpoint], None)
        else:
            check_port(address[1])
            self._lookup = resolver(reactor, address[0], address[1], self._resolved)
        self._limit = None if timeout is None else reactor.call_later(timeout, self._timed_out)

    @property
    def done(self) -> bool:
        """Whether it is over: connected, failed or cancelled."""
        return self._over

    def cancel(self) -> bool:
        """Give up, and call nobody. False if it was over already; then nothing happens. O(attempts).

        A stream that was handed over already is the handler's, and not ended by this.
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
            self._give_up(ConnectError(f"cannot connect to {self._where}: {error}"))
            return
        self._queue = interleave(endpoints)
        self._try_next()

    def _try_next(self) -> None:
        """Begin the next attempt; give up if there is none and none is under way."""
        self._stop_waiting()
        while self._queue and not self._over:
            endpoint = self._queue.pop(0)
            self._attempted += 1
            attempt = _Attempt(self, endpoint)
            error = attempt.begin(self._reactor, self._sources.get(endpoint.family), self._source)
            if error is None:
                self._racing.append(attempt)
                if self._queue:
                    self._next = self._reactor.call_later(self._attempt_delay, self._try_next)
                return
            self._failures.append((str(endpoint), error))
        if not self._racing and not self._over:
            self._give_up(ConnectError(self._text("no address could be reached"), self._failures))

    def _ended(self, attempt: _Attempt, error: OSError | None) -> None:
        """Hear from an attempt that it is over, and won if there is no error."""
        self._racing.remove(attempt)
        if error is None:
            sock = attempt.release()
            self._finish()
            self._deliver(sock)
        else:
            attempt.close()
            self._failures.append((str(attempt.endpoint), error))
            self._try_next()

    def _deliver(self, sock: socket.socket) -> None:
        try:
            self._on_socket(sock)
        except BaseException:
            sock.close()
            raise

    def _timed_out(self) -> None:
        limit = TimeoutError(errno.ETIMEDOUT, f"no answer within {self._timeout:g} s")
        self._failures += [(str(attempt.endpoint), limit) for attempt in self._racing]
        self._failures += [
            (str(endpoint), TimeoutError(errno.ETIMEDOUT, "not tried in time"))
            for endpoint in self._queue
        ]
        text = self._text(f"timed out after {self._timeout:g} s")
        self._give_up(ConnectTimeoutError(text, self._failures))

    def _give_up(self, error: ConnectError) -> None:
        self._finish()
        if self._on_error is None:
            # Nobody asked to be told, and it is not to be lost: the loop's own place for errors.
            raise error
        self._on_error(error)

    def _finish(self) -> None:
        """Stop everything that is under way."""
        self._over = True
        self._queue = []
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

    @property
    def _where(self) -> str:
        return describe(self._address)

    def _text(self, why: str) -> str:
        causes = [f"{where}: {_cause(error)}" for where, error in self._failures]
        return f"cannot connect to {self._where}: {'; '.join(causes) or why}"
