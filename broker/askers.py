"""Questions that anybody may ask, one account after another, so that nobody lives by asking.

The idea: a page about ten thousand connections takes a tenth of a second to write and a line to ask
for, and while it is written nobody is served. So after an answer that took long, what else comes
from the same account waits until the loop has had `SHARE` times as long for others; short answers
are given at once. What waits is bounded: beyond `MOST` questions of an account the next ones get no
answer, which the log says once each time.

Invariants: the questions of one account are answered in the order in which they came.

Neighbours: `broker.sysservice` hands in what comes from ordinary accounts. Loop thread only; O(1)
besides the answer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from broker.logs import logger
from broker.taps import Message
from reactor import Reactor

__all__ = ["CHEAP", "MOST", "SHARE", "Askers"]

#: Seconds that an answer may take without anybody having to wait for it: a turn's usual length.
CHEAP = 0.005

#: How many times as long as its answer took an account waits: it gets a twentieth of the time.
SHARE = 20.0

#: Questions of one account that may wait. Clients give up after a few seconds anyway.
MOST = 64


class Askers:
    """Lets ``serve`` answer. Loop thread only."""

    def __init__(self, reactor: Reactor, serve: Callable[[Message], object]) -> None:
        self._reactor = reactor
        self._serve = serve
        self._waiting: dict[str, deque[Message]] = {}

    def ask(self, message: Message) -> None:
        """Answer now, or when it is this account's turn; or not, if too many wait already."""
        queue = self._waiting.get(message.account)
        if queue is None:
            self._answer(message)
        elif len(queue) < MOST:
            queue.append(message)
            if len(queue) == MOST:
                logger.warning(
                    "account %s asks more than it gets answers for; the rest is ignored",
                    message.account,
                )

    def _answer(self, message: Message) -> None:
        clock = self._reactor.clock  # which goes on while a handler runs
        begun = clock.now()
        self._serve(message)
        took = clock.now() - begun
        if took > CHEAP:
            self._waiting[message.account] = deque()
            self._reactor.call_later(took * SHARE, self._go_on, message.account)

    def _go_on(self, account: str) -> None:
        queue = self._waiting.pop(account)
        while queue and account not in self._waiting:
            self._answer(queue.popleft())
        if queue:
            self._waiting[account].extend(queue)
