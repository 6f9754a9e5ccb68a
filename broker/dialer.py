"""Keeping a connection to one address: dial, wait, dial again.

The idea: two servers are to be connected whenever both are there, whichever was there first, so one
of them tries until it succeeds and begins anew when the connection is lost. Waits have jitter, so
that servers which lost each other at the same moment do not go on doing the same thing at the same
moment; with ``backoff`` they double up to `LONGEST_WAIT`, so that an address at which nobody has
been for an hour is not bothered every second.

Invariants: at most one attempt or one wait is under way; after `close` nothing happens any more;
``on_socket`` gets each socket once, and owns it.

Source: the waits are nats-server's (``server/route.go``).

Neighbours: `broker.cluster` and the leaf nodes have dialers; `reactor.connector` dials, unless a
simulation does (`Dial`). Loop thread only.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from random import Random
from typing import Any, Protocol

from reactor import Reactor, Timer
from reactor.connector import ConnectError, Connector

__all__ = ["DIAL_TIMEOUT", "LONGEST_WAIT", "Dial", "Dialer", "dial_tcp"]

#: Seconds for one attempt.
DIAL_TIMEOUT = 1.0

#: Seconds between two attempts, at first and at most.
FIRST_WAIT = 1.0
LONGEST_WAIT = 30.0

#: Seconds, of which a random part is added to each wait.
JITTER = 0.1


class Attempt(Protocol):
    """An attempt under way."""

    def cancel(self) -> object:
        """Give up, and call nobody."""


class Dial(Protocol):
    """How one address is dialled: `dial_tcp`, or a simulation's own way."""

    def __call__(
        self,
        reactor: Reactor,
        address: tuple[str, int],
        on_socket: Callable[[Any], object],
        on_error: Callable[[OSError], object],
        /,
    ) -> Attempt:
        """Begin; call one of the two, once, in a later turn."""
        ...


def dial_tcp(
    reactor: Reactor,
    address: tuple[str, int],
    on_socket: Callable[[socket.socket], object],
    on_error: Callable[[ConnectError], object],
    *,
    timeout: float = DIAL_TIMEOUT,
) -> Connector:
    """Dial by TCP, for at most ``timeout`` seconds."""
    return Connector(reactor, address, on_socket, on_error, timeout=timeout)


class Dialer:
    """Keeps trying one address. Silent until `start`; `lost` begins anew.

    ``retries`` is how many times it dials again after a failure before it calls ``gave_up`` (None:
    for ever), ``wait`` for how long it waits before, at first. ``failed`` is told of
    each failure, with its number.
    """

    def __init__(
        self,
        reactor: Reactor,
        address: tuple[str, int],
        on_socket: Callable[[Any], object],
        *,
        failed: Callable[[int, OSError], object],
        gave_up: Callable[[], object] | None = None,
        retries: int | None = None,
        wait: float = FIRST_WAIT,
        backoff: bool = False,
        rng: Random | None = None,
        dial: Dial = dial_tcp,
    ) -> None:
        self.address = address
        self._reactor = reactor
        self._on_socket = on_socket
        self._failed = failed
        self._gave_up = gave_up
        self._retries = retries
        self._backoff = backoff
        self._rng = rng or Random()
        self._dial = dial
        self._attempt: Attempt | None = None
        self._timer: Timer | None = None
        self._failures = 0
        self._first_wait = self._wait = wait
        self._closed = False

    @property
    def busy(self) -> bool:
        """Whether it dials, or waits to."""
        return self._attempt is not None or self._timer is not None

    @property
    def closed(self) -> bool:
        """Whether it has been told to give up."""
        return self._closed

    def start(self) -> None:
        """Dial now, unless it does so already."""
        if self._closed or self._attempt is not None:
            return
        self._stop_waiting()
        self._attempt = self._dial(self._reactor, self.address, self._connected, self._refused)

    def lost(self, wait: float = FIRST_WAIT) -> None:
        """The connection that it had made is gone: dial again after ``wait`` seconds and jitter."""
        if self._closed or self.busy:
            return
        self._failures, self._wait = 0, self._first_wait
        self._later(wait)

    def close(self) -> None:
        """Give up for good. Idempotent; a socket that was handed over is not touched."""
        self._closed = True
        self._stop_waiting()
        if self._attempt is not None:
            self._attempt.cancel()
            self._attempt = None

    def _connected(self, sock: Any) -> None:
        self._attempt = None
        self._on_socket(sock)

    def _refused(self, error: OSError) -> None:
        self._attempt = None
        self._failures += 1
        self._failed(self._failures, error)
        if self._closed:
            return
        if self._retries is not None and self._failures > self._retries:
            self.close()
            if self._gave_up is not None:
                self._gave_up()
            return
        self._later(self._wait)
        if self._backoff:
            self._wait = min(self._wait * 2, LONGEST_WAIT)

    def _later(self, wait: float) -> None:
        delay = wait + self._rng.random() * JITTER
        self._timer = self._reactor.call_later(delay, self._again)

    def _again(self) -> None:
        self._timer = None
        self.start()

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
