"""The sending half of a stream transport: what the kernel does not take at once waits here.

A write goes straight to the socket while `_out` is the socket, which it is while nothing stands
between the two. What the kernel does not take is queued, `_out` becomes None, and the handle asks
for writability until the queue is gone. asyncio's own `sendfile` borrows the socket from here.

Flow control by water marks is asyncio's (`_FlowControlMixin`).

Floor 4: `reactor.aio._transport` adds receiving and ending. Loop thread only.
"""

from __future__ import annotations

import asyncio
import collections
import contextvars
import itertools
import logging
import socket
from abc import ABC, abstractmethod
from asyncio import constants, transports
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from reactor.events import READ, WRITE
from reactor.handles import Handle

if TYPE_CHECKING:
    from reactor.aio._loop import ReactorEventLoop

#: Buffers handed to one sendmsg; Linux takes 1,024.
_MOST_BUFFERS: Final = 1024

_WRITE_FAILED: Final = "Fatal write error on socket transport"

_log = logging.getLogger("asyncio")


class Sender(transports._FlowControlMixin, ABC):
    """What `StreamTransport` writes with.

    Costs: a write is one system call, or a place in the queue, O(1), behind what waits already.
    """

    _sock: socket.socket | None = None
    _loop: ReactorEventLoop

    def __init__(
        self, loop: ReactorEventLoop, sock: socket.socket, extra: dict[str, Any] | None
    ) -> None:
        super().__init__(extra, loop)
        # What every message touches comes first: attributes lie in memory in this order, and with
        # many connections what counts is how much of each must be fetched.
        self._sock = sock
        self._out: socket.socket | None = sock
        self._deliver: Callable[[bytes], object] | None = None
        self._context = contextvars.copy_context()
        self._sock_fd = sock.fileno()
        self._watch: Handle | None = None
        #: What the last handle had received, and nobody has been given.
        self._left: tuple[bytes | None, OSError | EOFError | None] = (None, None)
        self._buffer: collections.deque[memoryview] = collections.deque()
        self._buffer_size = 0
        self._reading = False
        self._closing = False
        self._eof = False
        self._conn_lost = 0
        self._empty_waiter: asyncio.Future[None] | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send `data`, now as far as the kernel takes it, the rest when it can. Does not block."""
        out = self._out
        if out is None or not data:
            self._write_later(data)
            return
        try:
            sent = out.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except (SystemExit, KeyboardInterrupt):
            raise
        except TypeError:
            self._write_later(data)
            return
        except BaseException as error:
            self._fatal_error(error, _WRITE_FAILED)
            return
        if sent != len(data):
            self._queue(_copy(data)[sent:])

    def write_eof(self) -> None:
        """Tell the peer that nothing more will be written, when the queue is written out."""
        if self._closing or self._eof:
            return
        self._eof = True
        self._out = None
        if not self._buffer:
            self._socket.shutdown(socket.SHUT_WR)

    def can_write_eof(self) -> bool:
        """Return True: streams of the system can be closed by halves."""
        return True

    def get_write_buffer_size(self) -> int:
        """Return how many bytes the kernel has not taken yet."""
        return self._buffer_size

    # --- queueing ---------------------------------------------------------------------------------

    def _write_later(self, data: bytes | bytearray | memoryview) -> None:
        """Queue, refuse or ignore what cannot be sent now."""
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(
                f"data argument must be a bytes-like object, not {type(data).__name__!r}"
            )
        if self._eof:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._empty_waiter is not None:
            raise RuntimeError("unable to write; sendfile is in progress")
        if not data:
            return
        if self._conn_lost:
            if self._conn_lost >= constants.LOG_THRESHOLD_FOR_CONNLOST_WRITES:
                _log.warning("socket.send() raised exception.")
            self._conn_lost += 1
        else:
            self._queue(_copy(data))

    def _queue(self, data: memoryview) -> None:
        if not data:
            return
        self._out = None
        self._buffer.append(data)
        self._buffer_size += len(data)
        self._update_watch()
        self._maybe_pause_protocol()  # type: ignore[attr-defined]  # not in the stubs

    def _write_out(self) -> None:
        buffer = self._buffer
        try:
            if len(buffer) == 1:
                sent = self._socket.send(buffer[0])
            else:
                sent = self._socket.sendmsg(itertools.islice(buffer, _MOST_BUFFERS))
        except (BlockingIOError, InterruptedError):
            return
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            waiter = self._empty_waiter
            self._fatal_error(error, _WRITE_FAILED)
            if waiter is not None and not waiter.done():
                waiter.set_exception(error)
            return
        self._buffer_size -= sent
        _drop(buffer, sent)
        self._maybe_resume_protocol()  # type: ignore[attr-defined]  # not in the stubs
        if not buffer:
            self._on_written_out()

    def _reopen(self) -> None:
        """Let writes go straight to the socket again, if nothing else stands in their way."""
        if not (self._buffer or self._eof or self._conn_lost or self._empty_waiter):
            self._out = self._sock

    def _on_written_out(self) -> None:
        self._update_watch()
        if self._empty_waiter is not None:
            self._release_to_sendfile(self._empty_waiter)
        if self._closing:
            self._unwatch()
            self._call_connection_lost(None)
        elif self._eof:
            self._socket.shutdown(socket.SHUT_WR)
        else:
            self._reopen()

    # --- lent to sendfile, which asyncio implements -----------------------------------------------

    def _make_empty_waiter(self) -> asyncio.Future[None]:
        if self._empty_waiter is not None:
            raise RuntimeError("Empty waiter is already set")
        self._empty_waiter = self._loop.create_future()
        self._out = None
        if not self._buffer:
            self._release_to_sendfile(self._empty_waiter)
        return self._empty_waiter

    def _release_to_sendfile(self, waiter: asyncio.Future[None]) -> None:
        # It watches the socket itself, and a descriptor has one handle at a time.
        self._unwatch()
        if not waiter.done():
            waiter.set_result(None)

    def _reset_empty_waiter(self) -> None:
        self._empty_waiter = None
        self._reopen()
        if not self._closing:
            self._update_watch()

    # --- bookkeeping ------------------------------------------------------------------------------

    @property
    def _socket(self) -> socket.socket:
        assert self._sock is not None, "nothing is asked of a transport after its end"
        return self._sock

    def _update_watch(self) -> None:
        interest = (READ if self._reading else 0) | (WRITE if self._buffer else 0)
        if self._watch is not None:
            self._watch.modify(interest)
        elif interest:
            reactor = self._loop.reactor
            self._watch = watch = reactor.register(
                self._socket, interest, self._on_ready, name="asyncio transport"
            )
            watch.received, watch.over = self._left
            lane = reactor.demultiplexer.lane
            if lane is not None and self._deliver is not None:
                lane.receive(self._sock_fd)

    def _unwatch(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            self._left = watch.received, watch.over
            watch.close()

    # --- what the layer above adds ----------------------------------------------------------------

    @abstractmethod
    def _on_ready(self, ready: int) -> object:
        """Do what the handle is ready for."""

    @abstractmethod
    def _fatal_error(self, error: BaseException, message: str) -> None:
        """End the connection because of an error."""

    @abstractmethod
    def _call_connection_lost(self, error: BaseException | None) -> None:
        """Tell the protocol, and let go of everything."""


def _copy(data: bytes | bytearray | memoryview) -> memoryview:
    """Return the bytes of `data`, safe from changes: a program may reuse its buffer at once."""
    return memoryview(data if isinstance(data, bytes) else bytes(data))


def _drop(buffer: collections.deque[memoryview], count: int) -> None:
    """Take the first `count` bytes from the buffers."""
    while count:
        head = buffer.popleft()
        if len(head) > count:
            buffer.appendleft(head[count:])
            return
        count -= len(head)
