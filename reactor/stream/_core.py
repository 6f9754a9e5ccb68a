"""What a stream is made of, how it begins, and how it ends.

`Core` holds a stream's whole state; the files beside this one add to it what is written
(`_output`), what is read (`_input`), and the public face with TLS (`__init__`). Each is a layer on
the one before, and all are one object: tens of thousands of streams should cost one object each.

Invariants:

* `_state` and `_write_end` only ever move forward.
* The socket is read while `_hold` has no bit, and during a TLS handshake.
* Whatever ends a stream comes through `_finish`, which acts once; `on_close` follows from it alone.
* A program's handler is called only from the loop: by the handle, or by a step given to `_later`.

Floor 3: stands on the loop. Used by this package only.
"""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final

from reactor.budgets import ALLOCATOR_LESSON, HIGH_WATER, JOIN_LIMIT, READ_BUDGET, READ_SIZE
from reactor.buffers import ReceiveBuffer, SendQueue, WaterMarks
from reactor.errors import CloseKind, CloseReason, LimitError
from reactor.events import READ, WRITE
from reactor.handles import Handle
from reactor.loop import Reactor
from reactor.ratelimit import Throttle, TokenBucket
from reactor.sources import Flusher
from reactor.stream._handler import SocketLike, StreamHandler, address_text
from reactor.timers import Timer
from reactor.tls import TlsSession

# Life: `_state` only ever moves down this list.
OPENING: Final = 0
OPEN: Final = 1
CLOSING: Final = 2
CLOSED: Final = 3

# Reasons not to read, as bits of `_hold`.
PAUSED: Final = 1  # by the program
THROTTLED: Final = 2  # by the rate limit
ENDED: Final = 4  # there is nothing more to come
DEAF: Final = 8  # closing: nobody listens any more
UNOPENED: Final = 16  # `on_open` comes first

#: In these, input that is in memory stays there until further notice.
MUTE: Final = PAUSED | DEAF | UNOPENED

# The write side: `_write_end` only ever moves down this list.
WRITABLE: Final = 0
ENDING: Final = 1  # ends when the queue is empty
SHUT: Final = 2

#: Buffers in one gathering send. The kernel takes 1024, but more than this is more than fits.
GATHER: Final = 16

#: Seconds that `close` waits for a peer that does not take what is queued for it.
CLOSE_LINGER: Final = 10.0

#: Who is called when nobody is called any more.
_NOBODY: Final = StreamHandler()

_lesson = bytes(ALLOCATOR_LESSON)  # for the whole process: see there
del _lesson

#: What `read_until` (separator and limit) or `read_exactly` (no separator, and the size) waits for.
Request = tuple[bytes | None, int, Callable[[bytes], object]]


class Core(ABC):
    """A stream's state, its beginning and its end. The constructor is documented by `Stream`."""

    __slots__ = (
        "_bytes_in",
        "_bytes_out",
        "_clear",
        "_deadline",
        "_dropped",
        "_eof_told",
        "_fd",
        "_flusher",
        "_gather",
        "_handle",
        "_hold",
        "_idle_timeout",
        "_idle_timer",
        "_inbox",
        "_lane",
        "_last_active",
        "_marks",
        "_peer",
        "_plain",
        "_pumping",
        "_pushed",
        "_queue",
        "_reactor",
        "_read_size",
        "_read_throttle",
        "_reason",
        "_refused",
        "_request",
        "_sock",
        "_state",
        "_tls",
        "_told_above",
        "_want_write",
        "_wire",
        "_write_end",
        "_write_throttle",
        "handler",
    )

    def __init__(
        self,
        reactor: Reactor,
        sock: SocketLike,
        handler: StreamHandler,
        *,
        high_water: int = HIGH_WATER,
        low_water: int | None = None,
        idle_timeout: float | None = None,
        tls: TlsSession | None = None,
        read_limit: TokenBucket | None = None,
        write_limit: TokenBucket | None = None,
    ) -> None:
        if idle_timeout is not None and not idle_timeout > 0:
            raise LimitError(
                f"an idle timeout must be more than 0 s, not {idle_timeout!r}; or None"
            )
        # A `StreamHandler`; it is `Stream` that says so, since its methods take a `Stream`.
        self.handler: Any = handler
        self._reactor = reactor
        self._sock = sock
        self._gather = 1
        if isinstance(sock, socket.socket):
            self._gather = GATHER
            if sock.gettimeout() != 0:
                sock.setblocking(False)
        self._marks = WaterMarks(high_water, low_water)
        self._state = OPENING
        self._hold = UNOPENED
        self._write_end = WRITABLE
        self._want_write = False
        self._eof_told = self._told_above = self._pumping = False
        # With TLS, `_queue` is plaintext that was written and `_wire` what the socket gets of it;
        # without, they are one. Made at the first write, as are all buffers: most streams are idle.
        self._queue: SendQueue | None = None
        self._wire: SendQueue | None = None
        self._flusher: Flusher | None = None
        self._inbox: ReceiveBuffer | None = None
        self._request: Request | None = None
        # Why it will end, once that is known: it still has output to write, or input to deliver.
        self._reason: CloseReason | None = None
        self._tls = tls
        self._read_size = READ_SIZE
        self._read_throttle: Throttle | None = None
        self._write_throttle: Throttle | None = None
        if read_limit is not None:
            self._read_throttle = Throttle(reactor, read_limit, self._unthrottle_reading)
        if write_limit is not None:
            self._write_throttle = Throttle(reactor, write_limit, self._send)
        self._idle_timeout = idle_timeout
        # Whether bytes go to a real socket, and come from it, as they are and at any time.
        limited = read_limit is not None or write_limit is not None or idle_timeout is not None
        self._plain = self._gather > 1 and tls is None and not limited
        # The backend's fast lane, if it has one, and how many bytes are on it in this turn.
        roomy = self._plain and self._marks.high >= JOIN_LIMIT  # no first write can cross the mark
        self._lane = reactor.demultiplexer.lane if roomy else None
        self._pushed = 0
        # Whether a write of a plain stream has nothing to stand behind but what is on the lane.
        self._clear = self._plain
        self._idle_timer: Timer | None = None
        # When the handshake, or a close that has output to write, must be done.
        self._deadline: Timer | None = None
        self._last_active = 0.0
        self._peer: str | None = None
        self._bytes_in = self._bytes_out = self._dropped = self._refused = 0
        handle = reactor.register(sock, READ, self._on_ready, owned=True, name="stream")
        handle.on_shutdown = self._on_shutdown
        self._fd = handle.fd
        if self._lane is not None:
            self._lane.receive(handle.fd)
        self._handle: Handle | None = handle
        self._later(self._begin)

    @property
    def pending(self) -> int:
        """Bytes that were written here and that the kernel has not taken yet."""
        queue, wire = self._queue, self._wire
        size = self._pushed if queue is None else self._pushed + queue.size
        return size if wire is None or wire is queue else size + wire.size

    def _begin(self) -> None:
        if not self._hold & UNOPENED or self._state == CLOSED:
            return
        self._hold &= ~UNOPENED
        if self._idle_timeout is not None:
            self._last_active = self._reactor.now()
            self._idle_timer = self._reactor.call_later(self._idle_timeout, self._check_idle)
        if self._tls is not None:
            self._start_handshake()
        elif self._state == OPENING:
            self._state = OPEN
            self.handler.on_open(self)
        self._watch()

    def _check_idle(self) -> None:
        # Moving bytes only notes the time: the timer is set again here, once a timeout, and not on
        # every read.
        assert self._idle_timeout is not None
        due = self._last_active + self._idle_timeout
        if self._reactor.now() >= due:
            detail = f"nothing moved for {self._idle_timeout:g} s"
            self._finish(CloseReason(CloseKind.IDLE, detail=detail))
        else:
            self._idle_timer = self._reactor.call_at(due, self._check_idle)

    def _set_deadline(self, seconds: float, what: str) -> None:
        self._cancel_deadline()
        self._deadline = self._reactor.call_later(seconds, self._on_deadline, seconds, what)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _on_deadline(self, seconds: float, what: str) -> None:
        detail = f"{what} took longer than {seconds:g} s"
        self._finish(CloseReason(CloseKind.TIMEOUT, detail=detail))

    def _may_read(self) -> bool:
        hold = self._hold
        if self._tls is not None and not self._tls.secure:
            # A handshake is nobody's data: it goes on while the program has paused or closed.
            hold &= ~(PAUSED | DEAF)
        return not hold

    def _watch(self) -> None:
        if self._handle is not None:
            reading = READ if self._may_read() else 0
            self._handle.modify(reading | WRITE if self._want_write else reading)

    def _later(self, step: Callable[[], None]) -> None:
        self._reactor.call_soon(self._run, step)

    def _run(self, step: Callable[[], None]) -> None:
        try:
            step()
        except BaseException as error:
            self._on_raised(error)
            raise

    def _on_raised(self, error: BaseException) -> None:
        """Deal with what a handler let out; the caller raises it on, to the reactor."""
        if isinstance(error, Exception):
            detail = f"its handler raised {type(error).__name__}: {error}"
            self._finish(CloseReason(CloseKind.ERROR, error, detail))
        else:
            self._later(self._go_on)  # Ctrl-C or SystemExit: what is in memory is still to come

    def _finish(self, reason: CloseReason) -> None:
        """End everything now, and have `on_close` called in the closing phase."""
        if self._state == CLOSED:
            return
        if self._state == CLOSING and not self._hold & ENDED:
            self._discard_input()
        self._stop_writing(reason)
        self._state = CLOSED
        self._hold |= DEAF | ENDED
        self._request = self._inbox = None
        self._learn_peer()  # the last chance
        self._cancel_deadline()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        for throttle in (self._read_throttle, self._write_throttle):
            if throttle is not None:
                throttle.cancel()
        self._release()
        self._reactor.on_closing(self._tell_close, reason)

    def _learn_peer(self) -> str:
        if self._peer is None:
            try:
                self._peer = address_text(self._sock.getpeername())
            except OSError:
                self._peer = "disconnected"
        return self._peer

    def _release(self) -> None:
        # Both hold methods of this stream. Without them it is freed when its last user lets go of
        # it, and need not wait for the cycle collector.
        if self._flusher is not None:
            self._flusher.armed = 0
            self._flusher = None
        if self._handle is not None:
            self._handle.on_shutdown = None
            self._handle.close()
            self._handle = None

    def _discard_input(self) -> None:
        # Closing a TCP socket with unread input resets the connection, and a reset may overtake
        # what we have just written. So a peer that is still talking is heard out, within the
        # budget.
        try:
            for _ in range(READ_BUDGET // READ_SIZE):
                if len(self._sock.recv(READ_SIZE)) < READ_SIZE:
                    return
        except OSError:
            pass  # nothing there, or nobody

    def _tell_close(self, reason: CloseReason) -> None:
        try:
            self.handler.on_close(self, reason)
        finally:
            # A handler knows its stream, as a rule, and the reason may be an exception whose
            # traceback does: let go of both, for the same end as in `_release`.
            self.handler = _NOBODY
            self._reason = None

    def _on_shutdown(self, force: bool) -> None:
        reason = CloseReason(CloseKind.SHUTDOWN)
        if force:
            self._finish(reason)
        else:
            self._close_with(reason)

    def _close_with(self, reason: CloseReason, linger: float = CLOSE_LINGER) -> None:
        if self._state >= CLOSING:
            return
        self._state = CLOSING
        self._reason = reason
        self._hold |= DEAF
        self._request = self._inbox = None
        says_goodbye = self._tls is not None and self._tls.secure
        if self._write_end == SHUT or not (self.pending or says_goodbye):
            self._finish(reason)
            return
        self._write_end = ENDING
        self._clear = False
        self._set_deadline(linger, "writing out what was queued before close()")
        self._watch()
        if not self._want_write:
            self._flush_later()

    # --- what the layers above add ---------------------------------------------------------------

    @abstractmethod
    def _on_ready(self, ready: int) -> None:
        """Read and write what the handle is ready for."""

    @abstractmethod
    def _go_on(self) -> None:
        """Deliver what is here already."""

    @abstractmethod
    def _unthrottle_reading(self) -> None:
        """Read again: there are tokens."""

    @abstractmethod
    def _send(self) -> None:
        """Hand the kernel what is queued."""

    @abstractmethod
    def _flush_later(self) -> None:
        """Have what is queued sent at the turn's end."""

    @abstractmethod
    def _stop_writing(self, reason: CloseReason) -> None:
        """Drop what is queued: it cannot be sent any more."""

    @abstractmethod
    def _start_handshake(self) -> None:
        """Begin TLS."""
