"""The run queue: what clients have sent and a turn has no room for, done a piece at a time.

The idea: a read can hold thousands of operations, and a thousand clients may have sent such a read
each. Whoever has more to do than one piece queues here. In each turn pieces are done, whoever's
turn it is, until `SECONDS` have passed; so however many have how much to do, everybody else waits
for that long and for one piece, and never for the sum. That holds for clients that are gone, too,
whose last words were accepted and are still to be obeyed.

Whoever comes, and says his first words, is new work for which somebody waits who has been here
before. One such piece in a turn is done at once (`claim`), and the others queue. When very many do,
nobody else is let in until it is better: `on_crowd` is told.

Invariants: an owner queues its next piece when this one is done, hence its pieces stay in order and
others come between them; one piece is done in each turn at least, and `PIECES` at most, so that a
turn ends on a clock that stands still, too.

Neighbours: `broker.server` owns one, `broker.connection`, `broker.wstransport` and
`broker.leaving` queue there. Loop thread only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from reactor import Reactor

__all__ = ["CROWD", "PIECES", "SECONDS", "RunQueue"]

#: For how long pieces are begun in one turn. A turn that does nothing else costs a tenth of it.
SECONDS = 200e-6

#: Pieces in one turn.
PIECES = 8

#: So many waiting are a crowd, until half of them are done.
CROWD = 16


class RunQueue:
    """The queue; ``len`` says how many pieces wait. ``on_crowd`` is called with True when they have
    become very many, and with False afterwards.
    """

    def __init__(self, reactor: Reactor) -> None:
        self.on_crowd: Callable[[bool], object] = lambda crowded: None
        self._is_crowded = False
        self._reactor = reactor
        self._waiting: deque[Callable[[], object]] = deque()
        self._is_scheduled = False

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, piece: Callable[[], object]) -> None:
        """Call ``piece`` in a later turn, after those that wait already. O(1)."""
        self._waiting.append(piece)
        self._schedule()
        if len(self._waiting) > CROWD and not self._is_crowded:
            self._is_crowded = True
            self.on_crowd(True)

    def claim(self) -> bool:
        """Whether the caller may do a piece now, as nobody else has in this turn and none wait."""
        if self._is_scheduled:
            return False
        self._schedule()
        return True

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self._reactor.call_soon(self._work)

    def _work(self) -> None:
        waiting, clock = self._waiting, self._reactor.clock
        until = clock.now() + SECONDS
        try:
            for _ in range(PIECES):
                if not waiting:
                    break
                waiting.popleft()()
                if clock.now() >= until:
                    break
        finally:
            self._is_scheduled = False
            if waiting:
                self._schedule()
            if self._is_crowded and len(waiting) <= CROWD // 2:
                self._is_crowded = False
                self.on_crowd(False)
