"""Writing: bytes wait in a queue, and go to the kernel together at the turn's end.

`write` only queues, unless the write is large and nothing waits before it: that is sent at once.
At the turn's end the reactor fires the stream's flusher, and one system call takes everything that
was written in the turn, small writes joined. Where the backend has a fast lane, small writes go by
it instead, together with all other streams'. Only when the kernel took less than it was offered is
writability asked for, and then nothing is tried until it is reported.

With TLS there are two queues: plaintext as it was written, and ciphertext for the socket. A block
is encrypted when the socket has taken the one before, so small writes share a record, and what is
encrypted ahead is bounded.

Floor 3: the second layer of a stream, on `_core`. Used by this package only.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable
from typing import Final

from reactor.budgets import JOIN_LIMIT, READ_SIZE, WRITE_BUDGET
from reactor.buffers import SendQueue
from reactor.errors import CloseKind, CloseReason
from reactor.sources import Flusher
from reactor.stream._core import CLOSED, CLOSING, ENDED, ENDING, OPENING, SHUT, Core
from reactor.stream._handler import reason_for
from reactor.tls import TlsSession, close_reason

#: A broken connection is our error to see, never a signal's to announce.
NO_SIGNAL: Final = getattr(socket, "MSG_NOSIGNAL", 0)


class Output(Core):
    """A stream's write side."""

    __slots__ = ()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Queue `data` behind what is queued already. Never blocks.

        It is handed to the kernel at the turn's end, or at once if it is large. After `close`,
        `write_eof`, or the connection's end it does nothing but count. `bytes` are not copied,
        beyond what joining takes. Raises TypeError if `data` is not bytes-like.
        """
        if self._clear and type(data) is bytes and not self._pushed:
            size = len(data)
            if size > JOIN_LIMIT:
                self._send_large(data)
                return
            lane = self._lane
            if size and lane is not None:
                self._pushed = size
                self._bytes_out += size
                lane.riders.append(self)
                lane.chunks.append(data)
                if not lane.armed:
                    self._reactor.flush_later(lane)
                return
        self._write(data)

    def _write(self, data: bytes | bytearray | memoryview) -> None:
        """Write the unusual: something waits before it, or the buffer is of another kind."""
        if self._write_end:
            self._refused += 1
            return
        if self._clear and self._pushed and type(data) is bytes:
            lane, size = self._lane, len(data)
            assert lane is not None, "something was pushed"
            if self._pushed + size <= self._marks.high and lane.push(self, data):
                self._bytes_out += size
                return
        elif self._clear and not self._pushed and type(data) is not bytes:
            view = memoryview(data).cast("B")
            if len(view) > JOIN_LIMIT:
                self._send_large(view)
                return
        self._enqueue(data)

    def _send_large(self, data: bytes | memoryview) -> None:
        """Send a large write at once, while it is in the processor's cache; queue what is left.

        Waiting for the turn's end would gain nothing, as there is nothing to join it with, and a
        thousand of them would have driven one another out of the cache by then.
        """
        try:
            sent = self._sock.send(data, NO_SIGNAL)  # type: ignore[call-arg]  # a real socket
        except OSError:
            sent = 0  # it fails alike at the turn's end, where that is dealt with
        self._bytes_out += sent
        if sent < len(data):
            self._enqueue(memoryview(data)[sent:] if sent else data)

    def _enqueue(self, data: bytes | bytearray | memoryview) -> None:
        queue = self._queue
        if queue is None:
            queue = self._open_queue()
        self._clear = False
        size = queue.append(data)
        flusher = self._flusher
        if flusher is None:
            self._flush_later()
        elif not flusher.armed and not self._want_write:
            self._reactor.flush_later(flusher)
        if size > self._marks.high:
            self._update_marks()

    def writelines(self, chunks: Iterable[bytes | bytearray | memoryview]) -> None:
        """Queue all of `chunks`, in order; the same as, and cheaper than, writing one by one."""
        if self._write_end:
            self._refused += 1
            return
        queue = self._queue
        if queue is None:
            queue = self._open_queue()
        self._clear = False
        try:
            queue.extend(chunks)
        finally:
            if not self._want_write:
                self._flush_later()
            if queue.size > self._marks.high:
                self._update_marks()

    def write_eof(self) -> None:
        """End our direction once everything queued is out; reading goes on. Idempotent.

        Over TLS this says close_notify.
        """
        if not self._write_end:
            self._write_end = ENDING
            self._clear = False
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
        """Send what the turn has brought: the usual little in one call, without what more needs."""
        if self._want_write:
            return
        queue = self._queue
        if queue is None or not self._plain or not (data := queue.take_small()):
            self._send()
            return
        try:
            sent = self._sock.send(data, NO_SIGNAL)  # type: ignore[call-arg]  # a real socket
        except OSError:
            sent = 0
        self._bytes_out += sent
        if sent < len(data):
            queue.put_back(data, sent)
            self._send()  # it knows what to do about a full kernel and about a broken connection
        elif self._write_end:
            self._send()  # and how to end
        else:
            self._clear = True
        if self._marks.above:
            self._update_marks()

    def _send(self) -> None:
        """Hand the kernel what is queued. Input and output only: it is called by flushers."""
        if self._state == CLOSED:
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
        self._clear = self._plain and not (self._write_end or self._want_write or self._queue)
        if self._marks.above:
            self._update_marks()

    def _write_out(self) -> None:
        budget = WRITE_BUDGET
        while True:
            wire = self._wire if self._tls is None else self._encrypt(self._tls)
            if wire is None or not wire.size:
                if self._write_end == ENDING and not self.pending and self._end_writing():
                    continue
                return
            blocks = wire.peek_many(self._gather)
            if self._write_throttle is not None:
                allowed = self._write_throttle.allow(len(blocks[0]))
                if not allowed:
                    return
                blocks = [memoryview(blocks[0])[:allowed]]
            offered = len(blocks[0]) if len(blocks) == 1 else sum(map(len, blocks))
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
            if self._gather == 1:
                return sock.send(blocks[0])
            assert isinstance(sock, socket.socket)
            if len(blocks) == 1:
                return sock.send(blocks[0], NO_SIGNAL)
            return sock.sendmsg(blocks, (), NO_SIGNAL)
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
        self._write_end = SHUT
        if self._state == CLOSING or self._eof_told:
            self._finish(self._reason or CloseReason(CloseKind.EOF))
        elif tls is None:
            self._sock.shutdown(socket.SHUT_WR)
        return False

    def _encrypt(self, tls: TlsSession) -> SendQueue | None:
        """Return the queue for the socket, with ciphertext for one send if there is any to make."""
        wire, plain = self._wire, self._queue
        if wire is None or plain is None:
            return wire
        if not wire:
            tls.carrying = False
            if plain and tls.secure:
                data = plain.peek()
                if len(data) > READ_SIZE:
                    data = memoryview(data)[:READ_SIZE]
                plain.advance(tls.write(data))
                tls.carrying = True
        if tls.has_output:
            wire.append(tls.output())
        return wire

    def _on_write_error(self, reason: CloseReason) -> None:
        if self._state == CLOSING and self._reason is not None and not self._owes_output():
            reason = self._reason  # what is lost is our goodbye: that is no reason of its own
        self._stop_writing(reason)
        nothing_to_come = self._state == CLOSING or self._eof_told
        if nothing_to_come or (self._state == OPENING and self._tls is not None):
            self._finish(reason)
        else:
            self._later(self._go_on)

    def _owes_output(self) -> bool:
        """Whether there are bytes of the program's that the kernel has not taken."""
        return bool(self._queue) or (bool(self._wire) and (self._tls is None or self._tls.carrying))

    def _on_unsent(self, data: bytes, sent: int) -> None:
        """Take back what the fast lane could not get rid of. The lane's to call, not yours."""
        self._bytes_out -= len(data) - sent
        self._clear = False
        self._open_queue().put_back(data, sent)
        self._send()

    def _stop_writing(self, reason: CloseReason) -> None:
        self._reason = reason
        self._write_end = SHUT
        self._clear = False
        self._want_write = False
        self._dropped += self.pending
        self._queue = self._wire = None
        if self._pushed:
            lane = self._reactor.demultiplexer.lane  # ours no more, if it was pushed before TLS
            assert lane is not None, "something was pushed"
            self._bytes_out -= self._pushed
            lane.cancel(self)

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
        self._hold |= ENDED
        self._watch()

    def _update_marks(self) -> None:
        if self._marks.update(self.pending) is not None:
            self._later(self._tell_pressure)

    def _tell_pressure(self) -> None:
        # If it rose and fell since, there is nothing to tell.
        above = self._marks.above
        if above != self._told_above and self._state < CLOSING:
            self._told_above = above
            (self.handler.on_pause if above else self.handler.on_resume)(self)
