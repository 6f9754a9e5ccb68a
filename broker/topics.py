"""Top subjects: which subjects are published to most, estimated from samples.

The idea: counting by subject in the data plane would cost every message something, and nobody looks
most of the time. So, as with the wiretap, there is a tap beside the wire, and only while somebody
asks: of the bytes that connections read, some reads are looked at, and what is found counts for the
others. How many are left out follows the load, so that about `READS_PER_SECOND` are looked at each
second; a quiet broker is counted whole.

Three things make the numbers estimates: which reads are sampled is chance; a read may begin within
a payload, and then a line in it that looks like a PUB counts as one; and the memory is bounded. For
the last, the counters are those of Misra and Gries (*Finding repeated elements*, 1982), pruned in
batches: where there are more than twice `KEPT` subjects, the count of the first that has to go is
taken from all. So a subject's count is too low by at most the sum of all counts divided by `KEPT`,
and a subject with more than that is never lost.

Counts fade: a message counts half after `HALF_LIFE` seconds. A rate is the faded count by the time
that it stands for, hence reacts within that time and does not flicker.

Invariants: never more than twice `KEPT` counters; the tap ends itself `IDLE` seconds after the last
question.

Neighbours: `broker.connection` feeds it what clients send, `broker.monitorpages` makes it and asks.
No I/O; it is told the time. One thread.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from broker.gotime import timestamp
from broker.snapshots import BrokerStats

__all__ = ["HALF_LIFE", "IDLE", "KEPT", "Topic", "Topics", "topicsz"]

#: Subjects that are sure to be kept.
KEPT = 512

#: Seconds after which a message counts half.
HALF_LIFE = 5.0

#: Seconds without a question after which nothing is counted any more.
IDLE = 60.0

#: Reads that are looked at each second, about: ten thousand messages, which cost 1 % of a core.
READS_PER_SECOND = 200

#: Messages looked at in one read; what is behind them counts as what is before.
MESSAGES_PER_READ = 50

#: Where a line with one of the two verbs begins: at the start of the read, or after a line feed.
_VERB = re.compile(rb"(?<![^\n])h?pub[ \t]", re.IGNORECASE)

#: Bytes of a control line; whatever is longer is none.
_LINE = 4096 + 16


@dataclass(frozen=True)
class Topic:
    """A subject with its estimated rates: messages and bytes of payload per second."""

    subject: str
    msgs: float
    bytes: float


class Topics:
    """The counters. ``stop`` is called when nobody has asked for `IDLE` seconds; feed no more then.

    Times are seconds of one clock that never goes back. Not thread-safe.
    """

    def __init__(
        self, now: float, stop: Callable[[], object], rng: random.Random | None = None
    ) -> None:
        self._stop = stop
        self._rng = rng or random.Random()
        self._counts: dict[bytes, list[float]] = {}  # messages and bytes
        self._began = self._asked = self._ticked = self._faded = now
        self._reads = 0
        self._stride = 1

    def __len__(self) -> int:
        """How many subjects have a counter."""
        return len(self._counts)

    @property
    def stride(self) -> int:
        """How many reads one that is looked at stands for at present."""
        return self._stride

    def feed(self, data: bytes, now: float) -> None:
        """Take notice of what a client sent; O(1) for most reads under load, else O(bytes)."""
        self._reads += 1
        if now - self._ticked >= 1.0:
            self._tick(now)
        if self._stride == 1 or self._rng.random() * self._stride < 1.0:
            self._count(data)

    def top(self, number: int, now: float) -> list[Topic]:
        """The busiest subjects, the busiest first. O(counters log counters)."""
        self._asked = now
        self._tick(now)
        elapsed = now - self._began
        # What a steady rate of 1 would have left behind by now.
        unit = HALF_LIFE / math.log(2) * (1 - 0.5 ** (elapsed / HALF_LIFE))
        if unit <= 0:
            return []
        busiest = sorted(self._counts.items(), key=lambda item: item[1][0], reverse=True)
        return [
            Topic(subject.decode("utf-8", "replace"), msgs / unit, size / unit)
            for subject, (msgs, size) in busiest[:number]
        ]

    def _tick(self, now: float) -> None:
        """Let counts fade, and choose how many reads to leave out."""
        fade = 0.5 ** ((now - self._faded) / HALF_LIFE)
        self._faded = now
        for count in self._counts.values():
            count[0] *= fade
            count[1] *= fade
        elapsed = now - self._ticked
        if elapsed >= 1.0:
            self._stride = max(1, round(self._reads / elapsed / READS_PER_SECOND))
            self._reads = 0
            self._ticked = now
        if now - self._asked > IDLE:
            self._stop()

    def _count(self, data: bytes) -> None:
        found, end = _publishes(data)
        weight = self._stride * (len(data) / end if found and end < len(data) else 1.0)
        for subject, size in found:
            count = self._counts.get(subject)
            if count is None:
                if len(self._counts) >= 2 * KEPT:
                    self._prune()
                count = self._counts[subject] = [0.0, 0.0]
            count[0] += weight
            count[1] += weight * size

    def _prune(self) -> None:
        ordered = sorted(count[0] for count in self._counts.values())
        toll = ordered[-KEPT - 1]
        kept: dict[bytes, list[float]] = {}
        for subject, (msgs, size) in self._counts.items():
            if msgs > toll:
                kept[subject] = [msgs - toll, size * (msgs - toll) / msgs]
        self._counts = kept


def topicsz(topics: Topics, number: int, now: float, stats: BrokerStats) -> dict[str, Any]:
    """The monitor's ``/topicsz``. ``sampled``: one in so many reads is looked at."""
    return {
        "server_id": stats.server_id,
        "now": timestamp(stats.now),
        "estimated": True,
        "sampled": topics.stride,
        "half_life": HALF_LIFE,
        "topics": [
            {
                "subject": topic.subject,
                "msgs_per_second": round(topic.msgs, 3),
                "bytes_per_second": round(topic.bytes, 1),
            }
            for topic in topics.top(number, now)
        ],
    }


def _publishes(data: bytes) -> tuple[list[tuple[bytes, int]], int]:
    """Subject and size of the publishes that begin in ``data``, and where looking ended."""
    found: list[tuple[bytes, int]] = []
    position = 0
    for _ in range(MESSAGES_PER_READ):
        verb = _VERB.search(data, position)
        if verb is None:
            return found, len(data)
        end = data.find(b"\n", verb.end(), verb.end() + _LINE)
        words = data[verb.end() : end].split() if end >= 0 else []
        position = verb.end()
        if 2 <= len(words) <= 4 and words[-1].isdigit() and len(words[-1]) <= 9:
            size = int(words[-1])
            found.append((words[0], size))
            position = end + 1 + size + 2
    return found, min(position, len(data))
