"""Questions that take long, asked in threads: passwords kept as bcrypt hashes, functions that wait.

The idea: the loop serves everybody, so nobody's login may hold it up. A question goes to one of a
few threads, its answer comes back on the loop. There is a bound on how many may wait: beyond it the
broker would only be busy with clients that gave up long ago.

Invariants: every question that was taken is answered once, on the loop's thread, in a later turn,
unless the broker ends first; one that raises is answered by a refusal. No thread exists before the
first question.

Neighbours: `broker.server` owns one, `broker.connection` asks. Loop thread only.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING

from broker.errors import AUTHORIZATION_VIOLATION
from broker.identity import Answer
from broker.logs import logger

if TYPE_CHECKING:
    from reactor import Reactor
    from reactor.threads import ThreadPool

__all__ = ["MOST_WAITING", "Workers"]

#: Questions that wait or are being answered, at most.
MOST_WAITING = 256


class Workers:
    """A few threads for questions about who may come in."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._pool: ThreadPool | None = None
        self._waiting = 0
        self._closed = False

    def consult(self, question: Callable[[], Answer], then: Callable[[Answer], None]) -> bool:
        """Ask in a thread, and call ``then`` with the answer; False, and nothing is asked, if too
        many wait already, or after `close`. O(1).
        """
        if self._closed or self._waiting >= MOST_WAITING:
            return False
        if self._pool is None:
            from reactor.threads import ThreadPool  # most brokers never need a thread

            self._pool = ThreadPool(self._reactor)
        self._waiting += 1

        def answered(future: Future[Answer]) -> None:
            self._waiting -= 1
            then(_answer_of(future))

        self._pool.submit(question, then=answered)
        return True

    def close(self) -> None:
        """Answer no more: what waits is cancelled, what runs is not waited for."""
        self._closed = True
        if self._pool is not None:
            self._pool.close(cancel=True, wait=False)


def _answer_of(future: Future[Answer]) -> Answer:
    if future.cancelled():
        return AUTHORIZATION_VIOLATION
    error = future.exception()
    if error is not None:
        logger.error("a login could not be judged, and is refused", exc_info=error)
        return AUTHORIZATION_VIOLATION
    return future.result()
