"""What goes wrong, and when: a schedule that follows from the seed alone.

One node at a time, since a cluster promises to bear the loss of one; and never so soon after
another that nobody could have recovered.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from examples.classroom.nodes import letter

#: Heartbeats before the first fault, and from the end of one to the next; after the last, at least.
CALM = 8


@dataclass(frozen=True)
class Fault:
    """Node `node` breaks at `begin` and is mended at `end`, in seconds from the start."""

    begin: float
    end: float
    node: int
    kind: str

    def __str__(self) -> str:
        verb = {"kill": "killed", "freeze": "frozen"}[self.kind]
        return f"node {letter(self.node)} {verb} at {self.begin:.1f} s, mended at {self.end:.1f} s"


def schedule(rng: Random, nodes: int, seconds: float, heartbeat: float) -> list[Fault]:
    """The faults of a run. Each kind in turn, the node and the length by chance."""
    faults: list[Fault] = []
    begin = CALM * heartbeat
    while True:
        end = begin + rng.uniform(2, 5) * heartbeat
        if end + CALM * heartbeat > seconds:
            return faults
        kind = ("kill", "freeze")[len(faults) % 2]
        faults.append(Fault(begin, end, rng.randrange(nodes), kind))
        begin = end + rng.uniform(CALM, 1.5 * CALM) * heartbeat
