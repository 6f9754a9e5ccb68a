"""Reading: what arrives goes to the handler, or to whoever asked for a line or a number of bytes.

The plain case is one `recv` and one `on_data`. Everything else passes through one pump, `_deliver`,
which hands over what is in memory: bytes that nobody was ready for, plaintext that waits inside the
TLS session, and last the end of it all. The pump runs whenever something may have changed, stops
where the program pauses, and is never entered twice.

A stream whose writing failed is read to the bottom of the kernel's buffer, and ends then.

Floor 3: the third layer of a stream, on `_output`. Used by this package only.
"""

from __future__ import annotations

import ssl
from abc import abstractmethod
from collections.abc import Callable

from reactor.budgets import READ_BUDGET, READ_MOST, READ_SIZE, RECEIVE_FIRST
from reactor.buffers import ReceiveBuffer
from reactor.errors import CloseKind, CloseReason, LimitError, ReactorError
from reactor.events import READ, WRITE
from reactor.handles import Handle
from reactor.stream._core import (
    CLOSED,
    CLOSING,
    ENDED,
    MUTE,
    OPEN,
    PAUSED,
    SHUT,
    THROTTLED,
    UNOPENED,
    Request,
)
from reactor.stream._handler import reason_for
from reactor.stream._output import Output


class Input(Output):
    """A stream's read side."""

    __slots__ = ()

    def pause_reading(self) -> None:
        """Read nothing, and deliver nothing, until `resume_reading`. Idempotent; from anywhere."""
        self._hold |= PAUSED
        self._watch()

    def resume_reading(self) -> None:
        """Undo `pause_reading`. What waits is delivered in a later turn. Idempotent."""
        if self._hold & PAUSED:
            self._hold &= ~PAUSED
            self._watch()
            in_kernel = self._inbox is None and self._tls is None and self._reason is None
            handle = self._handle
            if handle is not None and handle.received is not None:
                in_kernel = False
            if not in_kernel or self._hold & ENDED:
                self._later(self._go_on)

    def read_until(
        self, separator: bytes, callback: Callable[[bytes], object], *, limit: int = READ_SIZE
    ) -> None:
        """Call `callback` with everything up to and including the next `separator`, once.

        Until then `on_data` is not called; what follows the separator goes to the next request,
        or to `on_data` if there is none when the callback returns. If the separator does not end
        within `limit` bytes the stream is closed with `OVERFLOW`. If the peer ends before it, what
        there is goes to `on_data`, and then comes `on_eof`. Linear in the bytes, however they
        arrive.

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

    def _ask(self, request: Request) -> None:
        if self._request is not None:
            raise ReactorError(
                f"{self!r} is waiting for a read_until or read_exactly already; ask in its callback"
            )
        if self._state >= CLOSING:
            return
        self._request = request
        if self._inbox is None:
            self._inbox = ReceiveBuffer()
        if not self._pumping:
            self._later(self._go_on)

    def _on_ready(self, ready: int) -> None:
        try:
            handle: Handle = self._handle  # type: ignore[assignment]  # a closed one is never ready
            # The usual event: something to read, for the handler alone, and nothing else to do.
            if (
                ready == READ
                and self._plain
                and not self._hold
                and self._inbox is None
                and handle.over is None
            ):
                data = handle.received
                if data is None:
                    self._receive_plain()
                    return
                if len(data) < RECEIVE_FIRST:
                    handle.received = None
                    self._bytes_in += len(data)
                    self.handler.on_data(self, data)
                    return
            if self._hold & UNOPENED:
                self._begin()
            if ready & ~WRITE and (not self._hold or self._may_read()):
                self._receive()
            if self._want_write and ready & ~READ:
                self._send()
        except BaseException as error:
            self._on_raised(error)
            raise

    def _receive_plain(self) -> None:
        """Read once from a plain stream; leave it to `_receive` to go on if that was not all."""
        size = self._read_size
        try:
            data = self._sock.recv(size)
        except BlockingIOError:
            # Of a broken connection, what was there is all that comes.
            if self._reason is not None:
                self._on_input_end(None)
            return
        except OSError as error:
            self._on_input_end(reason_for(error))
            return
        if not data:
            self._on_input_end(None)
            return
        self._bytes_in += len(data)
        self.handler.on_data(self, data)
        if len(data) == size:
            self._read_size = READ_MOST
            if not self._hold and size < READ_BUDGET:
                self._receive(READ_BUDGET - size)
        elif size > READ_SIZE and len(data) < READ_SIZE // 4:
            self._read_size = READ_SIZE

    def _receive(self, budget: int = READ_BUDGET) -> None:
        """Read from the socket: once if little comes, up to the budget if much does."""
        handle = self._handle
        assert handle is not None, "a closed stream is never ready"
        waiting = handle.received is not None or handle.over is not None
        if waiting and not self._take_received(handle):
            return
        throttle = self._read_throttle
        while True:
            size = min(self._read_size, budget) if throttle is None else throttle.allow(READ_SIZE)
            if not size:
                self._hold |= THROTTLED
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
            if len(data) < size:
                if len(data) < READ_SIZE // 4:
                    self._read_size = READ_SIZE
                return
            self._read_size = READ_MOST
            if self._hold or budget <= 0:
                return

    def _take_received(self, handle: Handle) -> bool:
        """Take what the demultiplexer has received for us, and then the end of it.

        Return whether there is likely to be more: it receives powers of two.
        """
        data, handle.received = handle.received, None
        if data:
            self._bytes_in += len(data)
            if self._idle_timeout is not None:
                self._last_active = self._reactor.now()
            if self._tls is None and self._inbox is None:
                self.handler.on_data(self, data)
            else:
                self._take_in(data)
        over = handle.over
        if over is not None and not self._hold & ~PAUSED:
            handle.over = None
            self._on_input_end(None if isinstance(over, EOFError) else reason_for(over))
        if data is None or len(data) < RECEIVE_FIRST or self._hold:
            return False
        return len(data) & (len(data) - 1) == 0

    def _unthrottle_reading(self) -> None:
        self._hold &= ~THROTTLED
        self._watch()
        if self._reason is not None:
            self._later(self._go_on)

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
        self._hold |= ENDED
        if self._tls is not None and not self._tls.secure:
            detail = "the peer ended the connection during the TLS handshake"
            reason = CloseReason(CloseKind.TLS, None if reason is None else reason.error, detail)
            self._finish(reason)
            return
        if reason is not None and self._reason is None:
            self._stop_writing(reason)
        self._watch()
        self._pump()

    def _go_on(self) -> None:
        """Deliver what is in memory already, and of a broken connection what the kernel has."""
        handle = self._handle
        if handle is not None and handle.received is not None and self._may_read():
            self._take_received(handle)
        self._pump()
        if self._reason is not None and self._state == OPEN and not self._hold:
            self._receive()
            self._later(self._go_on)

    def _pump(self) -> None:
        if not self._pumping and self._state < CLOSED:
            self._pumping = True
            try:
                self._deliver()
            finally:
                self._pumping = False

    def _deliver(self) -> None:
        """Deliver the input that is in memory, then its end; stop where the program says so."""
        while not self._hold & MUTE:
            request = self._request
            if request is not None and self._satisfy(request):
                continue
            data = self._next_input()
            if data and request is None:
                self.handler.on_data(self, data)
            elif data:
                assert self._inbox is not None
                self._inbox.feed(data)
            elif not self._hold & ENDED:
                return
            elif request is None:
                self._tell_end()
                return
            else:
                # It will not be satisfied any more: what there is of it goes the ordinary way.
                self._request = None

    def _satisfy(self, request: Request) -> bool:
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
        if tls.ended and not tls.pending and not self._hold & ENDED:
            self._hold |= ENDED
            self._watch()
        if tls.has_output or self._queue:
            # An answer of TLS's own, or output that had to wait for what was just read.
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
            if self._write_end == SHUT:
                self._finish(CloseReason(CloseKind.EOF))

    # --- what the layer above adds ---------------------------------------------------------------

    @abstractmethod
    def _shake(self) -> None:
        """Go on with the TLS handshake."""
