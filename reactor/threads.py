"""Blocking work in threads, with its result back on the loop.

The idea: what cannot be asked without waiting (a file, a name server, a database library, a long
computation in C) is done by a thread of a pool, and the loop is told when it is done. The threads
and the futures are `concurrent.futures`' own; this file adds the way home: `then` is called on the
loop's thread, in one of its turns, so it may touch streams and timers like any other handler.

Invariants: for each submitted call `then` runs exactly once, whether the call returned, raised or
was cancelled, and never from within `submit`; unless the loop is closed by then, which is counted
and logged, because a result that nobody can be told is a loss.

Neighbours: `reactor.loop.Reactor.call_threadsafe` is the only door back; `reactor.resolver` is the
first customer. Floor 3; anyone may use it.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from reactor.errors import LimitError, ReactorClosedError, ReactorError

if TYPE_CHECKING:
    from reactor.loop import Reactor

T = TypeVar("T")

#: Threads of a pool that was not told how many. Enough for work that waits; work that computes
#: shares one interpreter lock, and more threads would not make it faster.
DEFAULT_WORKERS: Final = 4

_log = logging.getLogger("reactor")
_pool_numbers = itertools.count(1)


@dataclass(frozen=True)
class ThreadPoolStats:
    """What a pool has done: calls handed in, calls ended, results that nobody could be told."""

    submitted: int
    finished: int
    dropped: int

    @property
    def pending(self) -> int:
        """Calls that wait for a thread or run in one."""
        return self.submitted - self.finished


class ThreadPool:
    """A few threads that work for a loop.

    `submit` may be called from any thread; `close` from the thread that made the pool. Threads
    start when they are first needed, and Python waits for them when the program ends: do not submit
    what may never return.
    """

    def __init__(
        self, reactor: Reactor, workers: int = DEFAULT_WORKERS, *, executor: Executor | None = None
    ) -> None:
        """Make a pool of at most `workers` threads, or one that borrows the threads of `executor`.

        A borrowed executor is not shut down by `close`, and may serve several loops. Raises
        `LimitError` if `workers` is less than 1.
        """
        if workers < 1:
            raise LimitError(f"a pool of {workers} threads does no work; give it at least 1")
        self._reactor = reactor
        self._borrowed = executor is not None
        self._executor = executor or ThreadPoolExecutor(
            workers, thread_name_prefix=f"reactor-pool-{next(_pool_numbers)}"
        )
        self._lock = threading.Lock()
        self._pending: set[Future[Any]] = set()
        self._closed = False
        self._submitted = 0
        self._finished = 0
        self._dropped = 0

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def submit(
        self,
        fn: Callable[..., T],
        /,
        *args: Any,
        then: Callable[[Future[T]], object] | None = None,
        **kwargs: Any,
    ) -> Future[T]:
        """Call `fn(*args, **kwargs)` in a thread, and afterwards `then(future)` on the loop.

        What `fn` raises is in the future: `future.result()` raises it again, so a `then` that takes
        the result cannot overlook it. Raises `ReactorError` if the pool is closed. Costs about
        20 us, and a wakeup of the loop when the work is done.
        """
        with self._lock:
            if self._closed:
                raise ReactorError(
                    "the thread pool is closed and takes no more work; submit before close()"
                )
            future = self._executor.submit(fn, *args, **kwargs)
            self._submitted += 1
            self._pending.add(future)
        # Outside the lock: a future that is done already calls back from within this very line.
        future.add_done_callback(lambda done: self._deliver(done, then))
        return future

    def close(self, *, cancel: bool = False, wait: bool = True) -> None:
        """Take no more work. Waits for what was submitted, so it blocks: not for within a handler.

        With `cancel`, what no thread has begun is dropped, and its `then` called with a cancelled
        future; what has begun runs to its end, as a thread cannot be stopped. With `wait=False` it
        returns at once and the threads end by themselves. Results still reach the loop in its next
        turns. Calling it again does no harm.
        """
        with self._lock:
            self._closed = True
            pending = list(self._pending)
        if cancel:
            for future in pending:
                future.cancel()
        if not self._borrowed:
            self._executor.shutdown(wait=wait)
        elif wait:
            for future in pending:
                if not future.cancelled():
                    future.exception()

    def stats(self) -> ThreadPoolStats:
        """Return the counters. Any thread; O(1)."""
        with self._lock:
            return ThreadPoolStats(self._submitted, self._finished, self._dropped)

    def _deliver(self, future: Future[T], then: Callable[[Future[T]], object] | None) -> None:
        # In the thread that did the work, or in the one that cancelled it.
        lost = False
        if then is not None:
            try:
                self._reactor.call_threadsafe(then, future)
            except ReactorClosedError:
                lost = True
        with self._lock:
            self._pending.discard(future)
            self._finished += 1
            self._dropped += lost
        if lost:
            _log.warning("a thread's result came after its reactor was closed and was dropped")
