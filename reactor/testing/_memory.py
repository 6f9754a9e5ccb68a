"""Stream sockets in memory: what the kernel does between two sockets, and what can go wrong.

The idea: each end holds the bytes that were sent to it and that it has not read; some of them may
still be travelling, if the sender has a latency. Everything that a socket tells, how much it takes,
what is ready, which error comes when, follows from the state of the two ends.

The model is a Linux `AF_UNIX` stream pair, and a test does random operations on both and compares.
So a peer that closes with bytes unread *resets* the connection: what it sent before can still be
read, then comes ECONNRESET once, then the end. One difference: the kernel counts its buffers in
packets and bookkeeping, an end counts bytes, exactly.

Invariants: bytes, ends and resets of one direction arrive in the order in which they were sent,
even if the latency is changed in between; an end never holds more than its capacity, whether the
bytes have arrived or not.

Neighbour: `_demultiplexer`, which knows these sockets as virtual files.
"""

from __future__ import annotations

import errno
import os
import socket
from collections import deque
from collections.abc import Callable, Iterable

from reactor.events import HANGUP, READ, WRITE
from reactor.testing._demultiplexer import ScriptedDemultiplexer

#: What a direction holds by default, in bytes.
CAPACITY = 64 * 1024

_ALL = READ | WRITE | HANGUP


def memory_socketpair(
    demultiplexer: ScriptedDemultiplexer, *, capacity: int = CAPACITY, latency: float = 0.0
) -> tuple[MemorySocket, MemorySocket]:
    """Return two connected `MemorySocket`, whose readiness `demultiplexer` reports.

    Each direction holds at most `capacity` bytes; what is sent arrives `latency` seconds later, on
    the demultiplexer's clock.
    """
    if capacity < 1 or latency < 0:
        raise ValueError(
            f"capacity must be at least 1 byte and latency at least 0 s, not"
            f" capacity={capacity!r}, latency={latency!r}"
        )
    one = MemorySocket(demultiplexer, capacity, latency)
    other = MemorySocket(demultiplexer, capacity, latency)
    one._peer, other._peer = other, one
    return one, other


class MemorySocket:
    """One end of a connection in memory; made by `memory_socketpair`, in pairs.

    It has the methods that a stream needs of a non-blocking `socket.socket`, with the same results
    and the same errors. A test moves the other end by hand, or hands it to a second stream.

    Faults, to be set at any time: `send_limit` and `recv_limit` (bytes taken or given by one call,
    for short writes and reads), `latency`, `fail_send` and `fail_recv` (the next call raises), and
    `reset` (the connection breaks).
    """

    family = socket.AF_UNIX
    type = socket.SOCK_STREAM
    proto = 0

    def __init__(self, demultiplexer: ScriptedDemultiplexer, capacity: int, latency: float) -> None:
        #: Most bytes that one `send` takes; None for as many as there is room for.
        self.send_limit: int | None = None
        #: Most bytes that one `recv` gives; None for as many as were asked for.
        self.recv_limit: int | None = None
        #: Seconds until what is sent here arrives there.
        self.latency = latency
        self._peer: MemorySocket = self
        self._demultiplexer = demultiplexer
        self._capacity = capacity
        self._arrived = bytearray()
        self._travelling = 0  # bytes on their way to us
        self._last_arrival = 0.0  # when the last thing that we sent arrives
        self._receiving = True  # the peer may send more, and we want it
        self._sending = True
        self._error = 0  # raised by the next call that meets it, once
        self._broken = False
        self._failures: dict[str, deque[OSError]] = {"send": deque(), "recv": deque()}
        self._fd = demultiplexer.open(self)
        self._name = ("memory", self._fd)

    # --- a socket's methods ---------------------------------------------------------------------

    def fileno(self) -> int:
        """Return the virtual descriptor, or -1 once closed."""
        return self._fd

    def recv(self, size: int) -> bytes:
        """Take at most `size` bytes that have arrived; ``b""`` at the end.

        Raises `BlockingIOError` if nothing has arrived, `ConnectionResetError` once after a reset.
        """
        self._check("recv")
        if self._arrived:
            given = bytes(self._arrived[: _least(size, self.recv_limit)])
            del self._arrived[: len(given)]
            return given
        self._raise_error()
        if self._receiving:
            raise _os_error(errno.EAGAIN)
        return b""

    def recv_into(self, buffer: bytearray | memoryview, size: int = 0) -> int:
        """Like `recv`, into `buffer`; return how many bytes."""
        view = memoryview(buffer)
        given = self.recv(size or len(view))
        view[: len(given)] = given
        return len(given)

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Take as many bytes as there is room for, and return how many.

        Raises `BlockingIOError` if there is no room, `BrokenPipeError` if nobody will read it.
        """
        self._check("send")
        if not self._sending:
            raise _os_error(errno.EPIPE)
        self._raise_error()
        taken = bytes(data[: _least(self._room(), self.send_limit)])
        if len(data) and not taken:
            raise _os_error(errno.EAGAIN)
        peer = self._peer
        peer._travelling += len(taken)
        self._travel(lambda: peer._arrive(taken))
        return len(taken)

    def sendmsg(self, buffers: Iterable[bytes | bytearray | memoryview]) -> int:
        """Send several buffers as if they were one."""
        return self.send(b"".join(buffers))

    def shutdown(self, how: int) -> None:
        """End one direction or both (`SHUT_RD`, `SHUT_WR`, `SHUT_RDWR`)."""
        self._check_open()
        if how in (socket.SHUT_RD, socket.SHUT_RDWR):
            self._receiving = False
            self._travel(self._peer._stop_sending)
        if how in (socket.SHUT_WR, socket.SHUT_RDWR):
            self._sending = False
            self._travel(self._peer._stop_receiving)

    def close(self) -> None:
        """Close. The peer reads what was sent, then the end.

        If bytes are unread here, the peer gets ECONNRESET before the end. Idempotent.
        """
        self._close(broken=bool(self._arrived or self._travelling))

    def reset(self) -> None:
        """Close abruptly: the peer reads what was sent, then gets ECONNRESET."""
        self._close(broken=True)

    def getsockname(self) -> tuple[str, int]:
        """Return ``("memory", number)``, the number being the descriptor that it had at first."""
        return self._name

    def getpeername(self) -> tuple[str, int]:
        """Return the other end's name."""
        self._check_open()
        return self._peer._name

    def setblocking(self, flag: bool) -> None:
        """Accept False; there is nobody to block for, so True is a ValueError."""
        if flag:
            raise ValueError(
                "a MemorySocket is always non-blocking: nothing happens while one waits"
            )

    # --- a test's methods -----------------------------------------------------------------------

    def fail_send(self, error: OSError) -> None:
        """Have the next `send` raise `error`; WRITE is ready until then."""
        self._failures["send"].append(error)

    def fail_recv(self, error: OSError) -> None:
        """Have the next `recv` raise `error`; READ is ready until then."""
        self._failures["recv"].append(error)

    def unread(self) -> int:
        """Return how many bytes have arrived and were not read: what FIONREAD tells of a socket."""
        return len(self._arrived)

    # --- a virtual file's method ----------------------------------------------------------------

    def readiness(self, interest: int) -> int:
        """See `VirtualFile`."""
        if self._error or not (self._receiving or self._sending):
            return _ALL
        ready = 0
        if self._arrived or not self._receiving or self._failures["recv"]:
            ready = READ
        if self._room() or self._failures["send"]:
            ready |= WRITE
        if not self._receiving:
            ready |= HANGUP
        return ready & interest

    # --- how it works ---------------------------------------------------------------------------

    def _room(self) -> int:
        peer = self._peer
        return peer._capacity - len(peer._arrived) - peer._travelling

    def _check_open(self) -> None:
        if self._fd < 0:
            raise _os_error(errno.EBADF)

    def _check(self, call: str) -> None:
        self._check_open()
        if self._failures[call]:
            raise self._failures[call].popleft()

    def _raise_error(self) -> None:
        error, self._error = self._error, 0
        if error:
            raise _os_error(error)

    def _travel(self, arrive: Callable[[], None]) -> None:
        """Have something of ours arrive there after the latency, and after all that went before."""
        now = self._demultiplexer.clock.now()
        self._last_arrival = max(self._last_arrival, now + self.latency)
        if self._last_arrival <= now:
            arrive()
        else:
            self._demultiplexer.at(self._last_arrival, arrive)

    def _arrive(self, data: bytes) -> None:
        self._travelling -= len(data)
        if self._fd >= 0:
            self._arrived += data
        else:
            # It was sent before its sender could know that we had closed.
            self._travel(self._peer._break)

    def _stop_sending(self) -> None:
        self._sending = False

    def _stop_receiving(self) -> None:
        self._receiving = False

    def _break(self) -> None:
        if not self._broken:
            self._broken = True
            self._error = errno.ECONNRESET
        self._sending = self._receiving = False

    def _hear_of_close(self) -> None:
        self._sending = self._receiving = False

    def _close(self, *, broken: bool) -> None:
        if self._fd < 0:
            return
        self._demultiplexer.release(self._fd)
        self._fd = -1
        self._arrived.clear()
        self._travel(self._peer._break if broken else self._peer._hear_of_close)


def _least(size: int, limit: int | None) -> int:
    return size if limit is None else min(size, limit)


def _os_error(number: int) -> OSError:
    # OSError picks the right subclass by its number, as the socket module does.
    return OSError(number, os.strerror(number))
