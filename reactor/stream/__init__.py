"""Streams: buffered, non-blocking byte streams over TCP, Unix sockets and TLS.

A `Stream` owns one connected socket. It reads what arrives and calls its handler; it takes what the
program writes, joins it, and hands it to the kernel once at the turn's end. It ends exactly once,
with a reason.

What it promises:

* *Reading.* At most `READ_MOST` a call and `READ_BUDGET` a turn. Data comes before the end of it,
  the end before `on_close`. While reading is paused nothing is read, and nothing is lost.
* *Writing.* `write` never blocks, fails or calls back. Bytes leave in order, all of them, or the
  reason says that they did not. Writability is asked for only after the kernel took less than it
  was offered. A write after the end is a counted no-op.
* *Back pressure.* `on_pause` and `on_resume` follow two water marks, edges only, in a later turn.
* *Ending.* `close` writes out what is queued first, `abort` does not. When writing fails, what the
  peer had sent before is still delivered, then the failure becomes the reason.
* *TLS* is worn, see `reactor.tls`: the same class, the same promises.

The hot path, per turn and stream, is one `recv`, one `on_data`, one `send`. That is why a read that
came back short is not repeated, and why no callback is set up for a write.

Memory: an idle stream takes about 1 KB, with its handle and all (980 bytes measured on Python 3.11,
1,300 once it has written); buffers are made when they are first needed.

Files of this package, in reading order: `_handler` (what a program writes), `_core` (state,
beginning and end), `_output`, `_input`, and this one (the public face, and putting on TLS).

Floor 3: stands on the loop. Not thread-safe: everything here is for the loop's thread; from others
use `reactor.call_threadsafe(stream.write, data)`. Every method is O(1) unless it says otherwise.
"""

from __future__ import annotations

import ssl

from reactor.errors import CloseKind, CloseReason, ReactorError
from reactor.stream._core import CLOSE_LINGER, CLOSED, CLOSING, OPEN, OPENING
from reactor.stream._handler import SocketLike, StreamHandler, StreamStats
from reactor.stream._input import Input
from reactor.tls import HANDSHAKE_TIMEOUT, TlsSession, close_reason

__all__ = ["CLOSE_LINGER", "SocketLike", "Stream", "StreamHandler", "StreamStats"]


class Stream(Input):
    """One connected byte stream. See the module's text for what it promises.

    `Stream(reactor, sock, handler, ...)`: `sock` is connected, and belongs to the stream from now
    on. The stream begins with `on_open`, in the next turn. `high_water` and `low_water` (default: a
    quarter of it) are marks of the output, in bytes; `idle_timeout` ends the stream when nothing
    moved either way for so many seconds; `tls` makes it a TLS stream; `read_limit` and
    `write_limit` bound bytes per second on the wire, and may be shared between streams.

    `handler` may be replaced at any time, as a protocol upgrade does.

    Raises `LimitError` for marks or a timeout that make no sense, and what `Reactor.register`
    raises.
    """

    __slots__ = ()

    handler: StreamHandler

    @property
    def above_high_water(self) -> bool:
        """Whether the output is above its high mark, or was and has not fallen to the low one."""
        return self._marks.above

    @property
    def closed(self) -> bool:
        """Whether it is closing or closed: of its handler, only `on_close` may still be called."""
        return self._state >= CLOSING

    @property
    def peer(self) -> str:
        """The other side's address, for people; known in `on_close`, too."""
        return self._learn_peer()

    @property
    def tls(self) -> TlsSession | None:
        """The TLS session that this stream wears, if it does."""
        return self._tls

    def stats(self) -> StreamStats:
        """Return counters and state as a frozen record."""
        return StreamStats(
            bytes_in=self._bytes_in,
            bytes_out=self._bytes_out - self._pushed,
            pending=self.pending,
            dropped=self._dropped,
            refused_writes=self._refused,
            reading=self._may_read(),
            above_high_water=self._marks.above,
            tls=self._tls.version() if self._tls is not None else "",
        )

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

    def __repr__(self) -> str:
        state = ("opening", "open", "closing", "closed")[self._state]
        return f"<Stream {state}, peer {self.peer}, {self.pending} bytes pending>"

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
        if self._state != OPEN or self._write_end or self._tls is not None:
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
        self._plain = False
        self._lane = None
        self._clear = False
        tls.carrying = self.pending > 0
        self._queue = None  # what is in it stays in `_wire`, and goes out as it is
        self._later(self._start_handshake)

    def _start_handshake(self) -> None:
        tls = self._tls
        if tls is not None and self._state < CLOSED:
            if self._state < CLOSING:
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
        if self._state < CLOSING:
            self._cancel_deadline()
        if self._state == OPENING:
            self._state = OPEN
            self.handler.on_open(self)
        elif self._state == OPEN:
            self.handler.on_secure(self)
        self._pump()
