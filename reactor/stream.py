"""Streams: buffered, non-blocking byte streams over TCP, Unix sockets and TLS.

A `Stream` owns one connected socket. It reads what arrives and calls its handler; it takes what the
program writes, joins it, and hands it to the kernel once at the turn's end. It ends exactly once,
with a reason.

What it promises (each sentence has its test):

* *Reading.* At most 64 KiB a call and `READ_BUDGET` a turn. Data comes before the end of it, the end
  before `on_close`. While reading is paused nothing is read, and nothing is lost.
* *Writing.* `write` never blocks, fails or calls back. Bytes leave in order, all of them, or the
  reason says that they did not. Writability is asked for only after the kernel took less than it
  was offered. A write after the end is a counted no-op.
* *Back pressure.* `on_pause` and `on_resume` follow two water marks, edges only, in a later turn.
* *Ending.* `close` writes out what is queued first, `abort` does not. When writing fails, what the
  peer had sent before is still delivered, then the failure becomes the reason.
* *TLS* is worn, see `reactor.tls`: the same class, the same promises.

The hot path, per turn and stream, is one `recv`, one `on_data`, one `send`. That is why a read which
came back short is not repeated, and why no callback is set up for a write.

Memory: about MEASURED bytes for an idle stream, its handle included; buffers are made when they are
first needed.

Floor 3: stands on the loop. Not thread-safe: everything here is for the loop's thread; from others
use `reactor.call_threadsafe(stream.write, data)`. Every method is O(1) unless it says otherwise.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterable
from typing import Final

from reactor.budgets import HIGH_WATER, READ_BUDGET, READ_SIZE, WRITE_BUDGET
from reactor.buffers import ReceiveBuffer, SendQueue, WaterMarks
from reactor.errors import CloseKind, CloseReason, LimitError, ReactorError
from reactor.events import READ, WRITE
from reactor.handles import Handle
from reactor.loop import Reactor
from reactor.ratelimit import Throttle, TokenBucket
from reactor.sources import Flusher
from reactor.streamhandler import (
    SocketLike,
    StreamHandler,
    StreamStats,
    address_text,
    reason_for,
)
from reactor.timers import Timer
from reactor.tls import HANDSHAKE_TIMEOUT, TlsSession, close_reason

__all__ = ["SocketLike", "Stream", "StreamHandler", "StreamStats"]

# Life: a stream only ever moves down this list.
_OPENING: Final = 0
_OPEN: Final = 1
_CLOSING: Final = 2
_CLOSED: Final = 3

# Reasons not to read, as bits of `_hold`: it reads while there is none.
_PAUSED: Final = 1  # by the program
_THROTTLED: Final = 2  # by the rate limit
_ENDED: Final = 4  # there is nothing more to come
_DEAF: Final = 8  # closing: nobody listens any more
_UNOPENED: Final = 16  # `on_open` comes first

# The write side: also moves down only.
_WRITABLE: Final = 0
_ENDING: Final = 1  # ends when the queue is empty
_SHUT: Final = 2

#: A broken connection is our error to see, never a signal's to announce.
_NO_SIGNAL: Final = getattr(socket, "MSG_NOSIGNAL", 0)

#: Buffers in one gathering send. The kernel takes 1024, but more than this is more than fits.
_GATHER: Final = 16

#: Seconds that `close` waits for a peer that does not take what is queued for it.
CLOSE_LINGER: Final = 10.0

#: In these, input stays where it is until further notice.
_MUTE: Final = _PAUSED | _DEAF | _UNOPENED

#: What `read_until` (separator and limit) or `read_exactly` (no separator, and the size) waits for.
_Request = tuple[bytes | None, int, Callable[[bytes], object]]


class Stream:
    """One connected byte stream. See the module's text for what it promises.

    `sock` is connected and belongs to the stream from now on. The stream begins with `on_open`, in
    the next turn. `high_water` and `low_water` (default: a quarter of it) are marks of the output,
    in bytes; `idle_timeout` ends the stream when nothing moved either way for so many seconds; `tls`
    makes it a TLS stream; `read_limit` and `write_limit` bound bytes per second on the wire, and may
    be shared between streams.

    `handler` may be replaced at any time, as a protocol upgrade does.

    Raises `LimitError` for marks or a timeout that make no sense, and what `Reactor.register` raises.
    """

    __slots__ = (
        "_bytes_in",
        "_bytes_out",
        "_deadline",
        "_dropped",
        "_eof_told",
        "_flusher",
        "_handle",
        "_hold",
        "_idle_timeout",
        "_idle_timer",
        "_inbox",
        "_is_kernel_socket",
        "_last_active",
        "_marks",
        "_peer",
        "_pumping",
        "_queue",
        "_reactor",
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
        self.handler = handler
        self._reactor = reactor
        self._sock = sock
        self._is_kernel_socket = isinstance(sock, socket.socket)
        if isinstance(sock, socket.socket) and sock.gettimeout() != 0:
            sock.setblocking(False)
        self._marks = WaterMarks(high_water, low_water)
        self._state = _OPENING
        self._hold = _UNOPENED
        self._write_end = _WRITABLE
        self._want_write = False
        self._eof_told = self._told_above = self._pumping = False
        # With TLS, `_queue` is plaintext that was written and `_wire` what the socket gets of it;
        # without, they are one. Made at the first write, as are all buffers: most streams are idle.
        self._queue: SendQueue | None = None
        self._wire: SendQueue | None = None
        self._flusher: Flusher | None = None
        self._inbox: ReceiveBuffer | None = None
        self._request: _Request | None = None
        # Why it will end, once that is known: it still has output to write, or input to deliver.
        self._reason: CloseReason | None = None
        self._tls = tls
        self._read_throttle = read_limit and Throttle(reactor, read_limit, self._unthrottle_reading)
        self._write_throttle = write_limit and Throttle(reactor, write_limit, self._send)
        self._idle_timeout = idle_timeout
        self._idle_timer: Timer | None = None
        # When the handshake, or a close that has output to write, must be done.
        self._deadline: Timer | None = None
        self._last_active = 0.0
        self._peer: str | None = None
        self._bytes_in = self._bytes_out = self._dropped = self._refused = 0
        handle = reactor.register(sock, READ, self._on_ready, owned=True, name="stream")
        handle.on_shutdown = self._on_shutdown
        self._handle: Handle | None = handle
        self._later(self._begin)

    # --- what a program asks -------------------------------------------------------------------

    @property
    def pending(self) -> int:
        """Bytes that were written here and that the kernel has not taken yet."""
        queue, wire = self._queue, self._wire
        size = 0 if queue is None else len(queue)
        return size if wire is None or wire is queue else size + len(wire)

    @property
    def above_high_water(self) -> bool:
        """Whether the output is above its high mark, or was and has not fallen to the low one."""
        return self._marks.above

    @property
    def closed(self) -> bool:
        """Whether it is closing or closed: of its handler, only `on_close` may still be called."""
        return self._state >= _CLOSING

    @property
    def peer(self) -> str:
        """The other side's address, for people; known in `on_close`, too."""
        if self._peer is None:
            try:
                self._peer = address_text(self._sock.getpeername())
            except OSError:
                self._peer = "disconnected"
        return self._peer

    @property
    def tls(self) -> TlsSession | None:
        """The TLS session that this stream wears, if it does."""
        return self._tls

    def stats(self) -> StreamStats:
        """Return counters and state as a frozen record."""
        return StreamStats(
            bytes_in=self._bytes_in,
            bytes_out=self._bytes_out,
            pending=self.pending,
            dropped=self._dropped,
            refused_writes=self._refused,
            reading=self._may_read(),
            above_high_water=self._marks.above,
            tls=self._tls.version() if self._tls is not None else "",
        )

    # --- writing -------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Queue `data` behind what is queued already. Never blocks.

        It is handed to the kernel at the turn's end. After `close`, `write_eof`, or the connection's
        end it does nothing but count. `bytes` are not copied, beyond what joining takes. Raises
        TypeError if `data` is not bytes-like.
        """
        if self._write_end:
            self._refused += 1
            return
        queue = self._queue
        if queue is None:
            queue = self._open_queue()
        queue.append(data)
        if not self._want_write:
            self._flush_later()
        if len(queue) > self._marks.high:
            self._update_marks()

    def writelines(self, chunks: Iterable[bytes | bytearray | memoryview]) -> None:
        """Queue all of `chunks`, in order; the same as, and cheaper than, writing one by one."""
        if self._write_end:
            self._refused += 1
            return
        queue = self._queue
        if queue is None:
            queue = self._open_queue()
        try:
            queue.extend(chunks)
        finally:
            if not self._want_write:
                self._flush_later()
            if len(queue) > self._marks.high:
                self._update_marks()

    def write_eof(self) -> None:
        """End our direction once everything queued is out; reading goes on. Idempotent.

        Over TLS this says close_notify.
        """
        if not self._write_end:
            self._write_end = _ENDING
            self._flush_later()

    def _open_queue(self) -> SendQueue:
        if self._queue is None:
            self._queue = SendQueue()
        if self._wire is None:
            self._wire = self._queue if self._tls is None else SendQueue()
        return self._queue

    def _flush_later(self) -> None:
        if self._flusher is None:
            self._flusher = Flusher(self._flush)
        self._reactor.flush_later(self._flusher)

    def _flush(self) -> None:
        if not self._want_write:
            self._send()

    def _send(self) -> None:
        """Hand the kernel what is queued. Input and output only: it is called by flushers."""
        if self._state == _CLOSED:
            return
        waited, self._want_write = self._want_write, False
        try:
            self._write_out()
        except ssl.SSLError as error:
            self._fail_tls(error)
            self._on_write_error(close_reason(error))
        except OSError as error:
            self._on_write_error(reason_for(error))
        if self._want_write != waited:
            self._watch()
        if self._marks.above:
            self._update_marks()

    def _write_out(self) -> None:
        budget = WRITE_BUDGET
        while True:
            wire = self._wire if self._tls is None else self._encrypt(self._tls)
            if not wire:
                if self._write_end == _ENDING and not self.pending and self._end_writing():
                    continue
                return
            blocks = wire.peek_many(_GATHER)
            if self._write_throttle is not None:
                allowed = self._write_throttle.allow(len(blocks[0]))
                if not allowed:
                    return
                blocks = [memoryview(blocks[0])[:allowed]]
            offered = sum(map(len, blocks))
            sent = self._transmit(blocks)
            wire.advance(sent)
            self._bytes_out += sent
            if self._idle_timeout is not None and sent:
                self._last_active = self._reactor.now()
            budget -= sent
            if sent < offered or budget <= 0:
                self._want_write = True
                return

    def _transmit(self, blocks: list[bytes | memoryview]) -> int:
        sock = self._sock
        try:
            if not self._is_kernel_socket:
                return sock.send(blocks[0])
            assert isinstance(sock, socket.socket)
            if len(blocks) == 1:
                return sock.send(blocks[0], _NO_SIGNAL)
            return sock.sendmsg(blocks, (), _NO_SIGNAL)
        except BlockingIOError:
            return 0

    def _end_writing(self) -> bool:
        """End our direction, now that the queue is empty. Return whether that made more to send."""
        tls = self._tls
        if tls is not None and tls.secure and not tls.closing:
            tls.end()
            if tls.pending:
                self._later(self._go_on)
            return True
        self._write_end = _SHUT
        if self._state == _CLOSING or self._eof_told:
            self._finish(self._reason or CloseReason(CloseKind.EOF))
        elif tls is None:
            self._sock.shutdown(socket.SHUT_WR)
        return False

    def _on_write_error(self, reason: CloseReason) -> None:
        self._stop_writing(reason)
        nothing_to_come = self._state == _CLOSING or self._eof_told
        if nothing_to_come or (self._state == _OPENING and self._tls is not None):
            self._finish(reason)
        else:
            self._later(self._go_on)

    def _stop_writing(self, reason: CloseReason) -> None:
        self._reason = reason
        self._write_end = _SHUT
        self._want_write = False
        self._dropped += self.pending
        self._queue = self._wire = None

    def _update_marks(self) -> None:
        if self._marks.update(self.pending) is not None:
            self._later(self._tell_pressure)

    def _tell_pressure(self) -> None:
        # If it rose and fell since, there is nothing to tell.
        above = self._marks.above
        if above != self._told_above and self._state < _CLOSING:
            self._told_above = above
            (self.handler.on_pause if above else self.handler.on_resume)(self)

    # --- reading -------------------------------------------------------------------------------

    def pause_reading(self) -> None:
        """Read nothing, and deliver nothing, until `resume_reading`. Idempotent; from anywhere."""
        self._hold |= _PAUSED
        self._watch()

    def resume_reading(self) -> None:
        """Undo `pause_reading`. What waits is delivered in a later turn. Idempotent."""
        if self._hold & _PAUSED:
            self._hold &= ~_PAUSED
            self._watch()
            self._later(self._go_on)

    def read_until(
        self, separator: bytes, callback: Callable[[bytes], object], *, limit: int = READ_SIZE
    ) -> None:
        """Call `callback` with everything up to and including the next `separator`, once.

        Until then `on_data` is not called; what follows the separator goes to the next request, or
        to `on_data` if there is none when the callback returns. If the separator does not end within
        `limit` bytes the stream is closed with `OVERFLOW`. If the peer ends before it, what there
        is goes to `on_data`, and then comes `on_eof`. Linear in the bytes, however they arrive.

        Raises `ReactorError` if a request is waiting already, `LimitError` for a limit that the
        separator alone does not fit.
        """
        if not 0 < len(separator) <= limit:
            raise LimitError(f"a separator needs 1 to {limit} (the limit) bytes, not {separator!r}")
        self._ask((separator, limit, callback))

    def read_exactly(self, size: int, callback: Callable[[bytes], object]) -> None:
        """Call `callback` with the next `size` bytes, once. Otherwise like `read_until`."""
        if size < 0:
            raise LimitError(f"cannot read {size} bytes")
        self._ask((None, size, callback))

    def _ask(self, request: _Request) -> None:
        if self._request is not None:
            raise ReactorError(
                f"{self!r} is waiting for a read_until or read_exactly already; ask in its callback"
            )
        if self._state >= _CLOSING:
            return
        self._request = request
        if self._inbox is None:
            self._inbox = ReceiveBuffer()
        if not self._pumping:
            self._later(self._go_on)

    def _on_ready(self, ready: int) -> None:
        try:
            if self._hold & _UNOPENED:
                self._begin()
            if ready & ~WRITE and (not self._hold or self._may_read()):
                self._receive()
            if self._want_write and ready & ~READ:
                self._send()
        except BaseException as error:
            self._on_raised(error)
            raise

    def _receive(self) -> None:
        """Read from the socket: once if little comes, up to the budget if much does."""
        budget = READ_BUDGET
        throttle = self._read_throttle
        while True:
            size = READ_SIZE if throttle is None else throttle.allow(READ_SIZE)
            if not size:
                self._hold |= _THROTTLED
                self._watch()
                return
            try:
                data = self._sock.recv(size)
            except BlockingIOError:
                data = None
            except OSError as error:
                self._on_input_end(reason_for(error))
                return
            if throttle is not None:
                throttle.put_back(size - len(data or b""))
            if not data:
                # Of a broken connection, what was there is all that comes.
                if data is not None or self._reason is not None:
                    self._on_input_end(None)
                return
            self._bytes_in += len(data)
            if self._idle_timeout is not None:
                self._last_active = self._reactor.now()
            if self._tls is None and self._inbox is None:
                self.handler.on_data(self, data)
            else:
                self._take_in(data)
            budget -= len(data)
            if len(data) < size or self._hold or budget <= 0:
                return

    def _take_in(self, data: bytes) -> None:
        if self._tls is None:
            assert self._inbox is not None
            self._inbox.feed(data)
        else:
            self._tls.feed(data)
            if not self._tls.secure:
                self._shake()
                return
        self._pump()

    def _on_input_end(self, reason: CloseReason | None) -> None:
        self._hold |= _ENDED
        if self._tls is not None and not self._tls.secure:
            detail = "the peer ended the connection during the TLS handshake"
            reason = CloseReason(CloseKind.TLS, reason and reason.error, detail)
            self._finish(self._reason or reason)
            return
        if reason is not None and self._reason is None:
            self._stop_writing(reason)
        self._watch()
        self._pump()

    def _go_on(self) -> None:
        """Deliver what is here already: in memory, and of a broken connection in the kernel, too."""
        self._pump()
        if self._reason is not None and self._state == _OPEN and not self._hold:
            self._receive()
            self._later(self._go_on)

    def _pump(self) -> None:
        if not self._pumping and self._state < _CLOSED:
            self._pumping = True
            try:
                self._deliver()
            finally:
                self._pumping = False

    def _deliver(self) -> None:
        """Deliver the input that is in memory, then its end; stop where the program says so."""
        while not self._hold & _MUTE:
            request = self._request
            if request is not None and self._satisfy(request):
                continue
            data = self._next_input()
            if data and request is None:
                self.handler.on_data(self, data)
            elif data:
                assert self._inbox is not None
                self._inbox.feed(data)
            elif not self._hold & _ENDED:
                return
            elif request is None:
                self._tell_end()
                return
            else:
                # It will not be satisfied any more: what there is of it goes the ordinary way.
                self._request = None

    def _satisfy(self, request: _Request) -> bool:
        separator, limit, callback = request
        inbox = self._inbox
        assert inbox is not None
        size = limit if separator is None else inbox.find(separator, limit)
        if size < 0 or size > len(inbox):
            if separator is None or len(inbox) < limit:
                return False
            detail = f"no {separator!r} within {limit} bytes"
            self._close_with(CloseReason(CloseKind.OVERFLOW, detail=detail))
            return True
        self._request = None
        callback(inbox.take(size))
        return True

    def _next_input(self) -> bytes:
        """Return what follows in memory: buffered bytes if nobody waits for them, then TLS's."""
        if self._request is None and self._inbox is not None:
            if data := self._inbox.take(READ_SIZE):
                return data
            self._inbox = None
        tls = self._tls
        if tls is None or not tls.secure:
            return b""
        try:
            data = tls.read()
        except ssl.SSLError as error:
            self._fail_tls(error)
            return b""
        if tls.ended and not tls.pending and not self._hold & _ENDED:
            self._hold |= _ENDED
            self._watch()
        if tls.has_output:
            self._flush_later()
        return data

    def _tell_end(self) -> None:
        if self._reason is None and self._tls is not None and not self._tls.ended:
            detail = "truncated: the peer ended the connection without close_notify"
            self._reason = CloseReason(CloseKind.TLS, detail=detail)
        if self._reason is not None:
            self._finish(self._reason)
        elif not self._eof_told:
            self._eof_told = True
            self.handler.on_eof(self)
            if self._write_end == _SHUT:
                self._finish(CloseReason(CloseKind.EOF))

    # --- TLS -----------------------------------------------------------------------------------

    def start_tls(
        self,
        context: ssl.SSLContext,
        *,
        server_side: bool,
        server_hostname: str | None = None,
        handshake_timeout: float = HANDSHAKE_TIMEOUT,
        received: bytes = b"",
    ) -> None:
        """Go on in TLS from here; `on_secure` says when its handshake is done.

        What was written before goes out in plain, what is written from now on is encrypted. Bytes
        that a `read_until` or `read_exactly` has left over belong to TLS already; `received` is for
        those which `on_data` was given beyond the point of upgrade.

        Raises `ReactorError` if this stream is not open both ways or has TLS already, ValueError if
        the context checks host names and none is given.
        """
        if self._state != _OPEN or self._write_end or self._tls is not None:
            raise ReactorError(
                f"{self!r} cannot start TLS: it must be open, both ways, without TLS"
            )
        tls = TlsSession(
            context,
            server_side=server_side,
            server_hostname=server_hostname,
            handshake_timeout=handshake_timeout,
        )
        if self._inbox is not None:
            tls.feed(self._inbox.take(len(self._inbox)))
        tls.feed(received)
        self._tls = tls
        self._queue = None  # what is in it stays in `_wire`, and goes out as it is
        self._later(self._start_handshake)

    def _start_handshake(self) -> None:
        tls = self._tls
        if tls is not None and self._state < _CLOSED:
            if self._state < _CLOSING:
                self._set_deadline(tls.handshake_timeout, "the TLS handshake")
            self._watch()
            self._shake()

    def _shake(self) -> None:
        tls = self._tls
        assert tls is not None
        try:
            done = tls.handshake()
        except ssl.SSLError as error:
            self._fail_tls(error)
            self._finish(close_reason(error))
            return
        self._open_queue()
        self._flush_later()
        if done:
            self._watch()
            self._on_secure()

    def _on_secure(self) -> None:
        if self._state < _CLOSING:
            self._cancel_deadline()
        if self._state == _OPENING:
            self._state = _OPEN
            self.handler.on_open(self)
        elif self._state == _OPEN:
            self.handler.on_secure(self)
        self._pump()

    def _encrypt(self, tls: TlsSession) -> SendQueue | None:
        """Return the queue for the socket, with ciphertext for one send if there is any to make."""
        wire, plain = self._wire, self._queue
        if wire is None or plain is None:
            return wire
        if not wire and plain and tls.secure:
            data = plain.peek()
            if len(data) > READ_SIZE:
                data = memoryview(data)[:READ_SIZE]
            plain.advance(tls.write(data))
        if tls.has_output:
            wire.append(tls.output())
        return wire

    def _fail_tls(self, error: ssl.SSLError) -> None:
        """Note why TLS failed, and tell the peer, if the kernel takes the alert at once."""
        assert self._tls is not None
        alert = self._tls.output()
        if alert and not self._wire:
            try:
                self._transmit([alert])
            except OSError:
                pass  # it is gone; the reason is what counts
        self._stop_writing(close_reason(error))
        self._hold |= _ENDED
        self._watch()

    # --- the end -------------------------------------------------------------------------------

    def close(self, *, linger: float = CLOSE_LINGER) -> None:
        """Write out what is queued, for at most `linger` seconds, then close. Idempotent.

        Nothing is read or delivered any more. The reason is `EOF` if the peer had ended its side
        before, else `LOCAL`.
        """
        kind = CloseKind.EOF if self._eof_told else CloseKind.LOCAL
        self._close_with(CloseReason(kind), linger)

    def abort(self, reason: CloseReason | None = None) -> None:
        """Close now; what is queued is dropped, and counted. Idempotent. O(bytes queued)."""
        self._finish(reason or CloseReason(CloseKind.LOCAL, detail="aborted"))

    def _close_with(self, reason: CloseReason, linger: float = CLOSE_LINGER) -> None:
        if self._state >= _CLOSING:
            return
        self._state = _CLOSING
        self._reason = reason
        self._hold |= _DEAF
        self._request = self._inbox = None
        says_goodbye = self._tls is not None and self._tls.secure
        if self._write_end == _SHUT or not (self.pending or says_goodbye):
            self._finish(reason)
            return
        self._write_end = _ENDING
        self._set_deadline(linger, "writing out what was queued before close()")
        self._watch()
        if not self._want_write:
            self._flush_later()

    def _finish(self, reason: CloseReason) -> None:
        """End everything now, and have `on_close` called in the closing phase."""
        if self._state == _CLOSED:
            return
        if self._state == _CLOSING and not self._hold & _ENDED:
            self._discard_input()
        self._stop_writing(reason)
        self._state = _CLOSED
        self._hold |= _DEAF | _ENDED
        self._request = self._inbox = None
        _ = self.peer  # the last chance to learn it
        self._cancel_deadline()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        for throttle in (self._read_throttle, self._write_throttle):
            if throttle is not None:
                throttle.cancel()
        self._release()
        self._reactor.on_closing(self._tell_close, reason)

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
        # Closing a TCP socket that has unread input resets the connection, and a reset may overtake
        # what we have just written. So a peer that is still talking is heard out, within the budget.
        try:
            for _ in range(READ_BUDGET // READ_SIZE):
                if len(self._sock.recv(READ_SIZE)) < READ_SIZE:
                    return
        except OSError:
            pass  # nothing there, or nobody

    def _tell_close(self, reason: CloseReason) -> None:
        self.handler.on_close(self, reason)

    def _on_shutdown(self, force: bool) -> None:
        reason = CloseReason(CloseKind.SHUTDOWN)
        if force:
            self._finish(reason)
        else:
            self._close_with(reason)

    # --- the beginning, time, and odds and ends ------------------------------------------------

    def _begin(self) -> None:
        if not self._hold & _UNOPENED or self._state == _CLOSED:
            return
        self._hold &= ~_UNOPENED
        if self._idle_timeout is not None:
            self._last_active = self._reactor.now()
            self._idle_timer = self._reactor.call_later(self._idle_timeout, self._check_idle)
        if self._tls is not None:
            self._start_handshake()
        elif self._state == _OPENING:
            self._state = _OPEN
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

    def _unthrottle_reading(self) -> None:
        self._hold &= ~_THROTTLED
        self._watch()
        if self._reason is not None:
            self._later(self._go_on)

    def _may_read(self) -> bool:
        hold = self._hold
        if self._tls is not None and not self._tls.secure:
            # A handshake is nobody's data: it goes on while the program has paused or closed.
            hold &= ~(_PAUSED | _DEAF)
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

    def __repr__(self) -> str:
        state = ("opening", "open", "closing", "closed")[self._state]
        return f"<Stream {state}, peer {self.peer}, {self.pending} bytes pending>"
