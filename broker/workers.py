"""Questions that may take long, asked of a thread, with the answer back on the loop.

The idea: whether a password fits a bcrypt hash takes a tenth of a second to find out, and a program
that embeds a broker may want to ask its database. On the loop everybody would wait for that. So the
question goes to a small pool of threads and its answer comes home as a call on the loop.

Invariants: no thread exists before the first question; at most ``bound`` questions wait or run, and
one more is turned away at once, because a crowd that the pool cannot keep up with would otherwise
only wait until its authentication time is over; each question that was taken is answered exactly
once, unless `close` came first, after which none is; a question that raises is our mistake, logged,
and answered by a refusal, because whoever is in doubt stays outside. `close` never waits: what a
thread has begun runs to its end and is thrown away.

Neighbours: `broker.server` owns one; connections ask through it. Loop thread only; the questions
run in others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from broker.errors import AUTHORIZATION_VIOLATION
from broker.logs import logger
from reactor import Reactor

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

    from broker.identity import Answer
    from reactor.threads import ThreadPool

__all__ = ["Workers"]

#: Threads. bcrypt gives the interpreter's lock back, so several do help.
THREADS = 4

#: Questions that may wait or run.
BOUND = 256


class Workers:
    """Asks questions in threads. ``executor`` is for tests and for who has threads already."""

    def __init__(
        self,
        reactor: Reactor,
        *,
        threads: int = THREADS,
        bound: int = BOUND,
        executor: Executor | None = None,
    ) -> None:
        self._reactor = reactor
        self._threads = threads
        self._bound = bound
        self._executor = executor
        self._pool: ThreadPool | None = None
        self._open = 0
        self._closed = False

    @property
    def pending(self) -> int:
        """Questions that wait or run."""
        return self._open

    def consult(self, question: Callable[[], Answer], then: Callable[[Answer], object]) -> bool:
        """Have ``question()`` called in a thread, then ``then(answer)`` on the loop.

        Returns False, and asks nobody, if too many wait already or the workers are closed.
        """
        if self._closed or self._open >= self._bound:
            return False
        if self._pool is None:
            from reactor.threads import ThreadPool  # most brokers never need a thread

            self._pool = ThreadPool(self._reactor, self._threads, executor=self._executor)
        self._open += 1
        self._pool.submit(question, then=lambda future: self._come_home(future, then))
        return True

    def close(self) -> None:
        """Answer nobody any more, and let the threads end. Does not wait. Idempotent."""
        self._closed = True
        if self._pool is not None:
            self._pool.close(cancel=True, wait=False)

    def _come_home(self, future: Future[Answer], then: Callable[[Answer], object]) -> None:
        self._open -= 1
        if self._closed or future.cancelled():
            return
        error = future.exception()
        if error is not None:
            logger.error("an authenticator failed, and so nobody is let in by it", exc_info=error)
        then(AUTHORIZATION_VIOLATION if error is not None else future.result())
