"""Datagrams: UDP and Unix datagram sockets, whole messages in and out.

The idea: a datagram is sent whole, at once, or not at all, and it arrives whole, or not at all. So
there is nothing to join and nothing to flush later: `send` hands it to the kernel there and then,
and keeps it only if the kernel has no room. What is kept is bounded; when it is full the new
datagram is dropped, counted, and `send` says so. That is the honest thing to do: the network drops
as well, and a queue without a bound would turn a slow link into late messages and then into no
memory.

**The special problem of errors from elsewhere.** If nobody listens where a connected socket sends,
the other machine says so (ICMP), and the kernel hands that error to whatever is done with the
socket next, a send or a receive of something else. It is news about an earlier datagram and not
fatal: it goes to `on_error`, and what was interrupted by it is done all the same.

**The special problem of names.** Python's `sendto` looks up a host name, and blocks meanwhile. So
destinations are literal addresses here; `reactor.resolver` turns names into those.

Invariants: no more than the budget is received, or sent from the queue, in one turn; datagrams
leave in the order of `send`; one that was cut off because it is longer than `max_size` is counted
and not delivered, since half a message is worse than none; after `close()` no callback runs.

Neighbours: `reactor.resolver` knows addresses. Floor 3; loop thread only.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from reactor.budgets import DATAGRAM_BUDGET
from reactor.errors import LimitError, RegistrationError
from reactor.events import HANGUP, READ, WRITE
from reactor.resolver import (
    Address,
    Endpoint,
    check_port,
    describe,
    is_literal,
    literal_endpoints,
    unix_family,
)
from reactor.sockets import SocketFile

if TYPE_CHECKING:
    from reactor.loop import Reactor

#: More than the longest UDP datagram, so that none is cut off unless a program asks for less.
MAX_SIZE: Final = 64 * 1024

#: Bytes of datagrams that wait for the kernel to have room again.
SEND_LIMIT: Final = 256 * 1024

_log = logging.getLogger("reactor")


@dataclass(frozen=True)
class DatagramStats:
    """What a datagram socket has done since it was made, in datagrams; `pending` is in bytes.

    `dropped` found the queue full or the socket closed, `truncated` were longer than `max_size`,
    and `errors` were handed to `on_error`.
    """

    received: int
    sent: int
    queued: int
    pending: int
    dropped: int
    truncated: int
    errors: int


class Datagram:
    """A datagram socket. Loop thread only."""

    def __init__(
        self,
        reactor: Reactor,
        on_datagram: Callable[[bytes, Any], object],
        *,
        local: Address | None = None,
        remote: Address | None = None,
        sock: socket.socket | None = None,
        on_error: Callable[[OSError], object] | None = None,
        max_size: int = MAX_SIZE,
        send_limit: int = SEND_LIMIT,
        budget: int = DATAGRAM_BUDGET,
    ) -> None:
        """Call `on_datagram(data, address)` for each datagram that arrives.

        `local` is where to receive (port 0: any free one), `remote` the one peer to talk to; one of
        them, or both, or a `sock` that is set up already and becomes ours. Addresses are literal
        hosts with ports, or paths of Unix sockets. With a `remote`, datagrams of others are not
        received, and `send` needs no address.

        `on_error` is told of what the network reports and of what could not be sent; without it
        that is only counted and, once, logged. `max_size` is the longest datagram to receive,
        `send_limit` the bytes kept while the kernel has no room.

        Raises OSError naming the address if it cannot be used, `LimitError` for limits, ports or
        names that make no sense.
        """
        if max_size < 1 or send_limit < 0 or budget < 1:
            raise LimitError(
                f"max_size={max_size}, send_limit={send_limit}, budget={budget}:"
                " the first and the last must be at least 1, the other at least 0"
            )
        self._reactor = reactor
        self._on_datagram = on_datagram
        self._on_error = on_error
        self._send_limit = send_limit
        self._budget = budget
        # One buffer for all receives: each datagram is copied out of it at its own length.
        self._buffer = bytearray(max_size)
        self._view = memoryview(self._buffer)
        self._queue: deque[tuple[bytes, Any]] = deque()
        self._pending = 0
        self._received = self._sent = self._dropped = self._truncated = self._errors = 0
        self._path: SocketFile | None = None
        self._sock = sock if sock is not None else self._open(local, remote)
        self._connected = _is_connected(self._sock)
        try:
            self._sock.setblocking(False)
            name = f"datagrams at {describe(self._sock.getsockname())}"
            self._handle = reactor.register(self._sock, READ, self._on_ready, name=name)
        except BaseException:
            self._sock.close()
            raise
        self._handle.on_shutdown = lambda _force: self.close()

    @property
    def address(self) -> Any:
        """Where it receives, as `getsockname` says; None once closed."""
        return None if self.closed else self._sock.getsockname()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._sock.fileno() == -1

    def send(self, data: bytes | bytearray | memoryview, address: Address | None = None) -> bool:
        """Send one datagram, to `address` or else to the connected peer.

        True if the kernel took it, or it is kept until the kernel can; False if it was dropped and
        counted. Even True is no promise: the network makes none. Raises `LimitError` for a
        destination that is missing or is no literal address. Costs one system call.
        """
        if self.closed:
            self._dropped += 1
            return False
        self._check_destination(address)
        if not self._queue:
            outcome = self._send_now(data, address)
            if outcome is not None:
                return outcome
        if self._pending + len(data) > self._send_limit:
            self._dropped += 1
            return False
        if not self._queue:
            self._handle.modify(READ | WRITE)
        self._queue.append((bytes(data), address))  # a copy, as the caller may reuse its buffer
        self._pending += len(data)
        return True

    def pause(self) -> None:
        """Leave datagrams in the kernel's buffer, which drops what does not fit. O(1)."""
        self._handle.modify(self._handle.interest & ~READ)

    def resume(self) -> None:
        """Receive again after `pause`. O(1)."""
        self._handle.modify(self._handle.interest | READ)

    def close(self) -> None:
        """Close the socket; what is still queued is dropped and counted. Idempotent."""
        self._handle.close()
        if self._path is not None:
            self._path.remove()
            self._path = None
        self._sock.close()
        self._dropped += len(self._queue)
        self._queue.clear()
        self._pending = 0

    def stats(self) -> DatagramStats:
        """Return the counters. O(1)."""
        return DatagramStats(
            self._received,
            self._sent,
            len(self._queue),
            self._pending,
            self._dropped,
            self._truncated,
            self._errors,
        )

    def _on_ready(self, ready: int) -> None:
        if ready & WRITE:
            self._flush()
        if ready & ~WRITE:
            self._receive()
        if ready & HANGUP and not self.closed:
            # An error that was waiting, and has been taken by now. A socket of this kind has no
            # end, so it must not count as a hang-up about which nothing is done.
            self._handle.modify(self._handle.interest)

    def _receive(self) -> None:
        # Each datagram is counted and forgotten before its callback runs. So one that raises costs
        # itself only: the rest is still in the kernel, and the next turn comes for it.
        for _ in range(self._budget):
            if self.closed or not self._handle.interest & READ:
                break
            try:
                size, _, flags, address = self._sock.recvmsg_into([self._buffer])
            except BlockingIOError:
                break
            except OSError as error:
                self._failed(error)
                continue
            if flags & socket.MSG_TRUNC:
                self._cut_off(address)
            else:
                self._received += 1
                self._on_datagram(bytes(self._view[:size]), address)

    def _flush(self) -> None:
        for _ in range(self._budget):
            if not self._queue:
                break
            data, address = self._queue[0]
            outcome = self._send_now(data, address)
            if outcome is None:
                break
            self._queue.popleft()
            self._pending -= len(data)
        if not self._queue:
            self._handle.modify(self._handle.interest & ~WRITE)

    def _send_now(self, data: bytes | bytearray | memoryview, address: Any) -> bool | None:
        """Offer one datagram to the kernel. None if it has no room now."""
        try:
            self._offer(data, address)
        except BlockingIOError:
            return None
        except OSError as error:
            self._dropped += 1
            self._failed(error)
            return False
        self._sent += 1
        return True

    def _offer(self, data: bytes | bytearray | memoryview, address: Any) -> None:
        try:
            self._transmit(data, address)
        except ConnectionError as error:
            # What became of an earlier datagram. Having reported it, the kernel has forgotten it,
            # and has not sent this one yet.
            self._failed(error)
            self._transmit(data, address)

    def _transmit(self, data: bytes | bytearray | memoryview, address: Any) -> None:
        if address is None:
            self._sock.send(data)
        else:
            self._sock.sendto(data, address)

    def _check_destination(self, address: Address | None) -> None:
        if address is None:
            if not self._connected:
                raise LimitError("this socket has no remote peer; give send() an address")
        elif isinstance(address, tuple) and not is_literal(address[0]):
            raise LimitError(
                f"{address[0]!r} is not a literal address, and looking it up would block;"
                " use reactor.resolver first"
            )

    def _cut_off(self, address: Any) -> None:
        self._truncated += 1
        if self._truncated == 1:
            _log.warning(
                "a datagram from %s is longer than max_size=%d; such are dropped and counted",
                describe(address),
                len(self._buffer),
            )

    def _failed(self, error: OSError) -> None:
        self._errors += 1
        if self._on_error is not None:
            # Later, as this may be within a `send` of the very program that is to be told.
            self._reactor.call_soon(self._tell, error)
        elif self._errors == 1:
            _log.warning("datagram socket: %s (further errors are counted only)", error)

    def _tell(self, error: OSError) -> None:
        if self._on_error is not None and not self.closed:
            self._on_error(error)

    def _open(self, local: Address | None, remote: Address | None) -> socket.socket:
        here = None if local is None else _endpoint(local)
        there = None if remote is None else _endpoint(remote)
        either = here or there
        if either is None:
            raise LimitError("a datagram socket needs a local address, a remote one, or a socket")
        sock = socket.socket(either.family, socket.SOCK_DGRAM)
        try:
            if here is not None:
                _use(here, sock.bind)
                if isinstance(local, str):
                    self._path = SocketFile.of(local)
            if there is not None:
                _use(there, sock.connect)
        except BaseException:
            sock.close()
            if self._path is not None:
                self._path.remove()
            raise
        return sock


def _use(endpoint: Endpoint, use: Callable[[Any], None]) -> None:
    try:
        use(endpoint.sockaddr)
    except OSError as error:
        number = error.errno or errno.EINVAL
        why = os.strerror(number) if error.errno else str(error)
        raise OSError(number, f"cannot use {endpoint} for datagrams: {why}") from None


def _endpoint(address: Address) -> Endpoint:
    if isinstance(address, str):
        return Endpoint(unix_family(), address)
    host, port = address
    check_port(port)
    found = literal_endpoints(host, port, kind=socket.SOCK_DGRAM)
    if not found:
        raise LimitError(f"{host!r} is not a literal address; use reactor.resolver first")
    return found[0]


def _is_connected(sock: socket.socket) -> bool:
    if sock.type != socket.SOCK_DGRAM:
        raise RegistrationError(f"{sock!r} is not for datagrams; give one of type SOCK_DGRAM")
    try:
        sock.getpeername()
    except OSError:
        return False
    return True
