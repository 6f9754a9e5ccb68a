"""A reactor in virtual time: the real one, on a scripted demultiplexer and a manual clock.

Neighbours: `_demultiplexer` and `_memory`. Floor 3, with them.
"""

from __future__ import annotations

import random
from typing import Final

from reactor.clock import ManualClock
from reactor.errors import ReactorError
from reactor.loop import Reactor
from reactor.testing._demultiplexer import ScriptedDemultiplexer

#: Turns within one moment of virtual time after which something is taken to go round in circles.
PATIENCE: Final = 10_000


class NeverSettlesError(ReactorError):
    """The loop turns and turns, and time does not pass: somebody ignores what is ready."""


class VirtualReactor(Reactor):
    """A `Reactor` whose time passes only when it waits, and then at once.

    Everything that a reactor has works as ever, with one difference: `run`, and `run_once` without
    a timeout, raise `WouldSleepForeverError` when nothing can happen any more.
    """

    clock: ManualClock
    demultiplexer: ScriptedDemultiplexer

    def __init__(self, *, debug: bool = False, rng: random.Random | None = None) -> None:
        clock = ManualClock()
        demultiplexer = ScriptedDemultiplexer(clock, rng=rng)
        super().__init__(demultiplexer=demultiplexer, clock=clock, debug=debug)

    def __enter__(self) -> VirtualReactor:
        """Return this reactor; it is closed at the end of the block."""
        return self

    def run_for(self, seconds: float) -> None:
        """Let `seconds` of virtual time pass: all that happens up to and at their end has happened.

        Raises `NeverSettlesError` if time stops passing.
        """
        end = self.clock.now() + seconds
        turns = 0
        while (now := self.clock.now()) < end:
            self.run_once(end - now)
            turns = 0 if self.clock.now() > now else self._count(turns)
        self.settle()

    def settle(self) -> None:
        """Turn until nothing is left to do at this moment; no time passes.

        Raises `NeverSettlesError` if there is always more.
        """
        turns = 0
        while self.run_once(0) or self._is_due():
            turns = self._count(turns)

    def _is_due(self) -> bool:
        deadline = self.next_deadline()
        return deadline is not None and deadline <= self.clock.now()

    def _count(self, turns: int) -> int:
        if turns >= PATIENCE:
            raise NeverSettlesError(
                f"{PATIENCE} turns at {self.clock.now():g} s and still no end;"
                f" {self.explain_last_wakeup()}: does its handler deal with it?"
            )
        return turns + 1


def make_reactor(*, debug: bool = False, rng: random.Random | None = None) -> VirtualReactor:
    """Return a reactor in virtual time, which begins at 0 s.

    `debug` is the reactor's own; `rng` shuffles what is ready at the same moment, see
    `ScriptedDemultiplexer`.
    """
    return VirtualReactor(debug=debug, rng=rng)
