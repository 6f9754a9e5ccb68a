"""The stream transport: a TCP or Unix connection of an asyncio program, on a handle of the reactor.

This is the hot path of `reactor.aio`, so it is our own and not asyncio's. The reactor calls the
transport for a ready socket, the transport receives once and calls the protocol: no asyncio handle
between them, no queue, no second turn. Where the backend receives in bulk (`Lane.receive`), the
bytes are there already; an end is then seen by receiving again, as it is by everybody, and only a
failure, which a socket tells once, is taken from the backend. `reactor.aio._sending` has the other
direction.

The meaning of everything is asyncio's: flow control by water marks (`_FlowControlMixin` is
inherited), half close, `connection_lost` exactly once and never from within a call of the
program's own, errors through the loop's exception handler, callbacks in the context in which the
transport was made. The private names are those by which asyncio's own `sendfile`, `start_tls` and
`Server` look for them.

`_deliver` is the protocol's `data_received`, bound once for each protocol; None for a
`BufferedProtocol`.

Floor 4: made by `reactor.aio._loop`. Loop thread only.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
import warnings
from asyncio import constants, trsock
from typing import TYPE_CHECKING, Any, Final

from reactor.aio._sending import Sender
from reactor.budgets import READ_SIZE
from reactor.events import READ, WRITE

if TYPE_CHECKING:
    from reactor.aio._loop import ReactorEventLoop

#: Since 3.13 a server keeps a list of its transports, before that only their number.
_SERVER_KNOWS_TRANSPORTS: Final = sys.version_info >= (3, 13)

_READ_FAILED: Final = "Fatal read error on socket transport"
_CALL_FAILED: Final = "Fatal error: protocol.%s() call failed."

_log = logging.getLogger("asyncio")


class StreamTransport(Sender):
    """An `asyncio.Transport` of a connected stream socket. All its methods are loop thread only.

    Costs: a message received is one system call and one call of the protocol; a write is one system
    call, or a place in the queue, O(1), behind what the kernel has not taken yet.
    """

    _start_tls_compatible = True
    _sendfile_compatible = constants._SendfileMode.TRY_NATIVE

    _extra: dict[str, Any]

    def __init__(
        self,
        loop: ReactorEventLoop,
        sock: socket.socket,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[None] | None = None,
        extra: dict[str, Any] | None = None,
        server: Any = None,
    ) -> None:
        super().__init__(loop, sock, extra)
        self._extra.update(_describe(sock, self._extra))
        self._server = server
        self._paused = False
        self._eof_received = False
        self._protocol_connected = True
        self.set_protocol(protocol)
        if server is not None:
            server._attach(*self._as_argument())
        loop._transports[self._sock_fd] = self
        _disable_nagle(sock)
        loop.call_soon(protocol.connection_made, self)
        # Reading starts, and the waiter is told, only when connection_made has been called.
        loop.call_soon(self._start_reading)
        if waiter is not None:
            loop.call_soon(_wake, waiter)

    # --- what a program asks ----------------------------------------------------------------------

    def __repr__(self) -> str:
        """Return what it is and how it stands, in asyncio's own form."""
        info = [type(self).__name__]
        if self._sock is None:
            info.append("closed")
        elif self._closing:
            info.append("closing")
        info.append(f"fd={self._sock_fd}")
        if self._watch is not None and not self._watch.closed:
            info.append("read=polling" if self._watch.interest & READ else "read=idle")
            state = "polling" if self._watch.interest & WRITE else "idle"
            info.append(f"write=<{state}, bufsize={self._buffer_size}>")
        return f"<{' '.join(info)}>"

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol."""
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand what is received from now on to `protocol`."""
        self._protocol: Any = protocol
        self._protocol_connected = True
        buffered = isinstance(protocol, asyncio.BufferedProtocol)
        self._deliver = None if buffered else getattr(protocol, "data_received", _deliver_to_nobody)

    def is_closing(self) -> bool:
        """Whether it is closed or on the way to it."""
        return self._closing

    def is_reading(self) -> bool:
        """Whether it receives, or will as soon as the connection is made."""
        return not self._closing and not self._paused

    def pause_reading(self) -> None:
        """Receive nothing until `resume_reading`. Idempotent."""
        if self._closing or self._paused:
            return
        self._paused = True
        self._read_on(False)
        if self._loop._debug:
            _log.debug("%r pauses reading", self)

    def resume_reading(self) -> None:
        """Receive again. Idempotent."""
        if self._closing or not self._paused:
            return
        self._paused = False
        self._read_on(True)
        if self._loop._debug:
            _log.debug("%r resumes reading", self)

    def close(self) -> None:
        """Receive nothing more, write out what is queued, and then close."""
        if self._closing:
            return
        self._closing = True
        self._read_on(False)
        if not self._buffer:
            self._end(None)

    def abort(self) -> None:
        """Close at once; what is queued is dropped."""
        self._force_close(None)

    def __del__(self, _warn: Any = warnings.warn) -> None:
        if self._sock is not None:
            _warn(f"unclosed transport {self!r}", ResourceWarning, source=self)
            self._unwatch()
            self._sock.close()
            if self._server is not None and _SERVER_KNOWS_TRANSPORTS:
                self._server._detach(self)

    # --- receiving --------------------------------------------------------------------------------

    def _on_ready(self, ready: int) -> None:
        """Receive and deliver; the reactor's to call, outside of the transport's context."""
        deliver = self._deliver
        if ready != READ or deliver is None:
            self._on_unusual(ready)
            return
        watch = self._watch
        assert watch is not None, "a transport that is not watched is never ready"
        data = watch.received
        if data is None:
            try:
                if watch.over is not None:
                    _raise_failure(watch.over)
                data = self._sock.recv(READ_SIZE)  # type: ignore[union-attr]  # open while watched
            except (BlockingIOError, InterruptedError):
                return
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                self._context.run(self._fatal_error, error, _READ_FAILED)
                return
            if not data:
                self._context.run(self._on_eof)
                return
        else:
            watch.received = None
        try:
            self._context.run(deliver, data)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._context.run(self._fatal_error, error, _CALL_FAILED % "data_received")

    def _on_unusual(self, ready: int) -> None:
        """Do what is less common: receive into a protocol's buffer, write, hear of a hang-up."""
        if ready & READ:
            if self._deliver is None:
                self._context.run(self._receive_into_protocol)
            else:
                self._on_ready(READ)
        if ready & WRITE and self._buffer:
            self._context.run(self._write_out)

    def _receive_into_protocol(self) -> None:
        protocol, watch = self._protocol, self._watch
        assert watch is not None, "a transport that is not watched is never ready"
        what = _CALL_FAILED % "get_buffer"
        try:
            if watch.received is not None:  # while another protocol was there
                data, watch.received = watch.received, None
                _copy_into_protocol(protocol, data)
                return
            buffer = protocol.get_buffer(-1)
            if not len(buffer):
                raise RuntimeError("get_buffer() returned an empty buffer")
            what = _READ_FAILED
            try:
                if watch.over is not None:
                    _raise_failure(watch.over)
                count = self._socket.recv_into(buffer)
            except (BlockingIOError, InterruptedError):
                return
            if count:
                what = _CALL_FAILED % "buffer_updated"
                protocol.buffer_updated(count)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._fatal_error(error, what)
            return
        if not count:
            self._on_eof()

    def _on_eof(self) -> None:
        if self._loop._debug:
            _log.debug("%r received EOF", self)
        self._eof_received = True
        try:
            keep_open = self._protocol.eof_received()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._fatal_error(error, _CALL_FAILED % "eof_received")
            return
        if keep_open:
            self._read_on(False)
        else:
            self.close()

    def _start_reading(self) -> None:
        if not self._closing and not self._paused:
            self._read_on(True)

    def _read_on(self, reading: bool) -> None:
        self._reading = reading and not self._eof_received
        self._update_watch()
        watch = self._watch
        if self._reading and watch is not None and watch.received is not None:
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        """Deliver what was received before reading was paused."""
        watch = self._watch
        if self._reading and watch is not None and watch.received is not None:
            self._on_ready(READ)

    # --- ending -----------------------------------------------------------------------------------

    def _fatal_error(self, error: BaseException, message: str) -> None:
        if isinstance(error, OSError):
            if self._loop._debug:
                _log.debug("%r: %s", self, message, exc_info=True)
        else:
            self._loop.call_exception_handler(
                {
                    "message": message,
                    "exception": error,
                    "transport": self,
                    "protocol": self._protocol,
                }
            )
        self._force_close(error)

    def _force_close(self, error: BaseException | None) -> None:
        if self._conn_lost:
            return
        self._buffer.clear()
        self._buffer_size = 0
        self._closing = True
        self._end(error)

    def _end(self, error: BaseException | None) -> None:
        self._reading = False
        self._out = None
        self._conn_lost += 1
        self._unwatch()
        self._loop.call_soon(self._call_connection_lost, error)

    def _call_connection_lost(self, error: BaseException | None) -> None:
        try:
            if self._protocol_connected:
                self._protocol.connection_lost(error)
        finally:
            self._let_go()

    def _let_go(self) -> None:
        if self._empty_waiter is not None and not self._empty_waiter.done():
            self._empty_waiter.set_exception(ConnectionError("Connection is closed by peer"))
        self._out = None
        self._socket.close()
        self._sock = None
        self._protocol = self._deliver = None
        server, self._server = self._server, None
        if server is not None:
            server._detach(*self._as_argument())

    # --- bookkeeping ------------------------------------------------------------------------------

    def _as_argument(self) -> tuple[StreamTransport, ...]:
        return (self,) if _SERVER_KNOWS_TRANSPORTS else ()


def _describe(sock: socket.socket, known: dict[str, Any]) -> dict[str, Any]:
    """Return what `get_extra_info` tells of a socket."""
    extra: dict[str, Any] = {"socket": trsock.TransportSocket(sock)}
    for name, ask in (("sockname", sock.getsockname), ("peername", sock.getpeername)):
        if name not in known or name == "sockname":
            try:
                extra[name] = ask()
            except OSError:
                extra[name] = None
    return extra


def _disable_nagle(sock: socket.socket) -> None:
    if sock.family in (socket.AF_INET, socket.AF_INET6) and sock.type == socket.SOCK_STREAM:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _raise_failure(over: OSError | EOFError) -> None:
    """Raise what a backend was told when it received; an end is told again to whoever asks."""
    if isinstance(over, OSError):
        raise over


def _copy_into_protocol(protocol: Any, data: bytes) -> None:
    """Hand bytes to a `BufferedProtocol`, as many at a time as its buffers take."""
    rest = memoryview(data)
    while rest:
        buffer = protocol.get_buffer(len(rest))
        count = min(len(buffer), len(rest))
        if not count:
            raise RuntimeError("get_buffer() returned an empty buffer")
        memoryview(buffer)[:count] = rest[:count]
        protocol.buffer_updated(count)
        rest = rest[count:]


def _deliver_to_nobody(data: bytes) -> None:
    raise TypeError(f"{len(data)} bytes arrived, and the protocol has no data_received()")
