"""The event loop: asyncio's own, with its waiting, its queues and its streams on a reactor.

asyncio implements far more than a loop: name look-ups, executors, servers, TLS, pipes, datagrams,
subprocesses, signals, exception handlers, debug mode. All that is inherited as it is. What is
replaced is what runs for every turn, every event and every message:

* **a turn** is the calls that asyncio queued, and then one turn of the reactor (`_run_once`);
* **descriptors** are handles of the reactor (`reactor.aio._watches`), called by it directly;
* **streams** are our own transports (`reactor.aio._transport`);
* **deferred calls and timers** are asyncio's handles made faster (`reactor.aio._handles`), timers
  in a heap of tuples, which compare without a call of Python;
* **waking from other threads** is the reactor's, which writes only when somebody sleeps.

The order within a turn: first the queue, as long as it is at that moment; then the wait, and what
the reactor calls after it (ready handles, its own timers and deferred calls); then the loop's due
timers go to the end of the queue. So what was queued before an event was found is called before the
event is told, as with asyncio; what a queued call queues waits for the next turn; and what an event
queues is called next, without another look at the kernel in between, which asyncio takes.

A program may use the same reactor beside asyncio: `loop.reactor`.

Neighbours: `reactor.loop.Reactor`, of which only what is public is used. Floor 4. Thread-safety is
asyncio's: `call_soon_threadsafe` from anywhere, the rest from the loop's thread.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import heapq
import itertools
import signal
import socket
import threading
from asyncio import sslproto
from collections.abc import Callable, Iterator
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final

from reactor.aio._debug import SlowCalls, log_if_slow
from reactor.aio._handles import LaterHandle, SoonHandle
from reactor.aio._transport import StreamTransport
from reactor.aio._watches import FileLike, SelectorView, Watch
from reactor.errors import ReactorClosedError
from reactor.events import READ, WRITE
from reactor.loop import Reactor
from reactor.trace import ErrorContext

if TYPE_CHECKING:
    from typing_extensions import TypeVarTuple, Unpack

    Ts = TypeVarTuple("Ts")

#: Dead timers that are not worth a compaction of the heap.
_FEW: Final = 64


class ReactorEventLoop(asyncio.SelectorEventLoop):
    """An asyncio event loop on a `Reactor`. Everything that asyncio documents holds for it.

    Made by `reactor.aio.new_event_loop`. A reactor that was handed in stays its owner's to close.
    """

    # asyncio's own, of which its stubs do not speak.
    _closed: bool
    _debug: bool
    _stopping: bool
    _thread_id: int | None
    _clock_resolution: float
    _current_handle: asyncio.Handle | None
    _csock: socket.socket
    _signal_handlers: dict[int, asyncio.Handle]
    _transports: Any
    _ready: collections.deque[asyncio.Handle]
    _scheduled: Any
    _timer_cancelled_count: int

    def __init__(self, reactor: Reactor | None = None) -> None:
        self.reactor = reactor or Reactor()
        self._owned = reactor is None
        self._watches: dict[int, Watch] = {}
        self._sequence = itertools.count()
        self._poked = False
        self._timed = False
        self._previous_on_error = self.reactor.on_error
        self.reactor.on_error = self._on_reactor_error
        #: The reactor's clock, so that a loop on a reactor with a manual clock is virtual too.
        self.time = self.reactor.clock.now  # type: ignore[method-assign]  # one call less for each timer
        super().__init__(SelectorView(self._watches, self._close_reactor))  # type: ignore[arg-type]  # all that is asked of it

    # --- turning ----------------------------------------------------------------------------------

    def run_forever(self) -> None:
        """Run until `stop`."""
        with self._signals_wake():
            super().run_forever()

    def _run_once(self) -> None:
        """Do one turn: what is queued, and then the reactor's."""
        stopping = self._stopping
        if self._ready:
            self._run_queue()
            if self._stopping and not stopping:
                return  # from within the queue: nothing more is to be waited for
        scheduled = self._scheduled
        while scheduled and scheduled[0][2]._cancelled:
            heapq.heappop(scheduled)[2]._scheduled = False
            self._timer_cancelled_count -= 1
        if self._ready or stopping:
            self.reactor.run_once(0)
        elif scheduled:
            self.reactor.run_once(max(scheduled[0][0] - self.time(), 0))
        else:
            self.reactor.run_once(None)
        if self._scheduled:  # another list than before, if it was compacted
            self._queue_due_timers(self._scheduled)

    def _run_queue(self) -> None:
        ready = self._ready
        if self._debug:
            self._run_queue_slowly(ready)
            return
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()

    def _run_queue_slowly(self, ready: collections.deque[asyncio.Handle]) -> None:
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle._cancelled:
                continue
            self._current_handle = handle
            try:
                with log_if_slow(self, handle):
                    handle._run()
            finally:
                self._current_handle = None

    def _queue_due_timers(self, scheduled: list[tuple[float, int, LaterHandle]]) -> None:
        end = self.reactor.now() + self._clock_resolution
        while scheduled and scheduled[0][0] < end:
            timer = heapq.heappop(scheduled)[2]
            timer._scheduled = False
            if timer._cancelled:
                self._timer_cancelled_count -= 1
            else:
                self._ready.append(timer)

    # --- queueing ---------------------------------------------------------------------------------

    def call_soon(
        self,
        callback: Callable[[Unpack[Ts]], object],
        *args: Unpack[Ts],
        context: Context | None = None,
    ) -> asyncio.Handle:
        """Call `callback(*args)` in the next turn. O(1)."""
        if self._debug or self._closed:
            handle = super().call_soon(callback, *args, context=context)
            _forget_our_frame(handle)
            return handle
        handle = SoonHandle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: Unpack[Ts],
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call `callback(*args)` in `delay` seconds. O(log n)."""
        if delay is None:
            raise TypeError("delay must not be None")
        timer = self.call_at(self.time() + delay, callback, *args, context=context)
        _forget_our_frame(timer)
        return timer

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: Unpack[Ts],
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call `callback(*args)` when the loop's clock has reached `when`. O(log n)."""
        if when is None:
            raise TypeError("when cannot be None")
        timer: Any
        if self._debug or self._closed:
            timer = self._check_timer(when, callback, args, context)
        else:
            timer = LaterHandle(when, callback, args, self, context)
        heapq.heappush(self._scheduled, (when, next(self._sequence), timer))
        return timer  # type: ignore[no-any-return]

    def _check_timer(self, when: float, callback: Any, args: Any, context: Any) -> Any:
        this: Any = self
        this._check_closed()
        this._check_thread()
        this._check_callback(callback, "call_at")
        timer: Any = asyncio.TimerHandle(when, callback, args, self, context)
        timer._scheduled = True
        if timer._source_traceback:
            del timer._source_traceback[-2:]
        return timer

    def _timer_handle_cancelled(self, handle: Any) -> None:
        """Count a dead timer, and compact the heap when more than half of it is dead."""
        if not handle._scheduled:
            return
        self._timer_cancelled_count += 1
        scheduled = self._scheduled
        if self._timer_cancelled_count > _FEW and self._timer_cancelled_count * 2 > len(scheduled):
            for _, _, timer in scheduled:
                timer._scheduled = not timer._cancelled
            self._scheduled = [entry for entry in scheduled if entry[2]._scheduled]
            heapq.heapify(self._scheduled)
            self._timer_cancelled_count = 0

    # --- waking -----------------------------------------------------------------------------------

    def _write_to_self(self) -> None:
        """Have the loop look at its queue; from any thread, after the queue was added to."""
        # One call is enough however many add: the flag is lowered before the queue is looked at.
        if self._poked:
            return
        self._poked = True
        try:
            self.reactor.call_threadsafe(self._on_poked)
        except ReactorClosedError:
            pass  # asyncio promises silence to a thread that comes too late

    def _on_poked(self) -> None:
        self._poked = False

    @contextlib.contextmanager
    def _signals_wake(self) -> Iterator[None]:
        """Have every signal end the loop's sleep: Ctrl-C cannot come between check and wait.

        A wakeup descriptor that somebody else has set is left alone.
        """
        if self.is_running() or threading.current_thread() is not threading.main_thread():
            yield
            return
        ours = self._csock.fileno() if not self._closed else -1
        previous = signal.set_wakeup_fd(ours, warn_on_full_buffer=False)
        if previous not in (-1, ours):
            signal.set_wakeup_fd(previous)
            yield
            return
        try:
            yield
        finally:
            if not self._signal_handlers:
                current = signal.set_wakeup_fd(-1)
                if current != ours:
                    signal.set_wakeup_fd(current)

    # --- descriptors ------------------------------------------------------------------------------

    def _add_reader(self, fd: FileLike, callback: Callable[..., object], *args: Any) -> Any:
        handle = self._make_io_handle(callback, args)
        self._watch(fd, READ).set_reader(handle)
        return handle

    def _add_writer(self, fd: FileLike, callback: Callable[..., object], *args: Any) -> Any:
        handle = self._make_io_handle(callback, args)
        self._watch(fd, WRITE).set_writer(handle)
        return handle

    def _remove_reader(self, fd: FileLike) -> bool:
        watch = self._find_watch(fd)
        return watch is not None and self._keep_or_drop(fd, watch, watch.set_reader(None))

    def _remove_writer(self, fd: FileLike) -> bool:
        watch = self._find_watch(fd)
        return watch is not None and self._keep_or_drop(fd, watch, watch.set_writer(None))

    def _make_io_handle(self, callback: Callable[..., object], args: Any) -> asyncio.Handle:
        this: Any = self
        this._check_closed()
        return asyncio.Handle(callback, args, self, None)

    def _watch(self, fileobj: FileLike, interest: int) -> Watch:
        fd = _number(fileobj)
        watch = self._watches.get(fd)
        if watch is None or watch.stale:
            watch = self._watches[fd] = Watch(self.reactor, fd, interest)
        return watch

    def _find_watch(self, fileobj: FileLike) -> Watch | None:
        if self._closed:
            return None
        return self._watches.get(_number(fileobj))

    def _keep_or_drop(self, fileobj: FileLike, watch: Watch, removed: bool) -> bool:
        if not watch.interest():
            del self._watches[_number(fileobj)]
        return removed

    # --- streams ----------------------------------------------------------------------------------

    def _make_socket_transport(
        self,
        sock: socket.socket,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[None] | None = None,
        *,
        extra: dict[str, Any] | None = None,
        server: Any = None,
    ) -> StreamTransport:
        self._ensure_fd_no_transport(sock)
        return StreamTransport(self, sock, protocol, waiter, extra, server)

    def _make_ssl_transport(
        self,
        rawsock: socket.socket,
        protocol: asyncio.BaseProtocol,
        sslcontext: Any,
        waiter: asyncio.Future[None] | None = None,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        extra: dict[str, Any] | None = None,
        server: Any = None,
        **timeouts: Any,
    ) -> asyncio.Transport:
        self._ensure_fd_no_transport(rawsock)
        make: Any = sslproto.SSLProtocol  # its arguments differ from version to version
        tls = make(self, protocol, sslcontext, waiter, server_side, server_hostname, **timeouts)
        StreamTransport(self, rawsock, tls, extra=extra, server=server)
        return tls._app_transport  # type: ignore[no-any-return]

    def _ensure_fd_no_transport(self, fd: Any) -> None:
        super()._ensure_fd_no_transport(fd)  # type: ignore[misc]  # not in the stubs

    # --- ending -----------------------------------------------------------------------------------

    def _close_reactor(self) -> None:
        self._time_calls(False)
        self.reactor.on_error = self._previous_on_error
        for watch in self._watches.values():
            watch.close()
        self._watches.clear()
        if self._owned:
            self.reactor.close()

    def set_debug(self, enabled: bool) -> None:
        """Switch asyncio's debug mode: checks, and warnings of what is slow."""
        super().set_debug(enabled)
        self._time_calls(enabled)

    def _time_calls(self, enabled: bool) -> None:
        # Only on a change: a reactor that was handed in may have an instrument of its owner's.
        if enabled != self._timed:
            self._timed = enabled
            self.reactor.set_instrument(SlowCalls(self) if enabled else None)

    def _on_reactor_error(self, context: ErrorContext) -> None:
        self.call_exception_handler(
            {"message": f"Exception in {context.source.describe()}", "exception": context.error}
        )


def _number(fileobj: FileLike) -> int:
    """Return a descriptor's number; ValueError if it has none, as with `selectors`."""
    if isinstance(fileobj, int):
        fd = fileobj
    else:
        try:
            fd = int(fileobj.fileno())
        except (AttributeError, TypeError, ValueError):
            raise ValueError(f"Invalid file object: {fileobj!r}") from None
    if fd < 0:
        raise ValueError(f"Invalid file descriptor: {fd}")
    return fd


def _forget_our_frame(handle: Any) -> None:
    """Let a debug traceback end at the program's own call, not in this file."""
    if handle._source_traceback:
        del handle._source_traceback[-1]
