"""The well-behaved clients of `bench.hostile`: they publish and subscribe, and see how it goes.

One publisher sends numbered, time-stamped messages at an even pace; every subscriber must receive
all of them in order. Nobody here waits for anybody: when the broker stalls, the publisher's clock
goes on, so that a stall of a second shows in all messages of that second and not in one.

Spoken to in lines on standard input, answers in lines on standard output:

    (start)            -> ready            all are connected and subscribed
    window SECONDS     -> {"sent": ...}    what came of SECONDS of publishing, as JSON
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from bench.hostile_client import Client, say
from reactor import READ, CloseReason, Reactor, Timer

#: Messages a second, and who receives each of them.
RATE = 200
SUBSCRIBERS = 4
#: Seconds that messages may be under way after the last was sent, before they count as lost.
GRACE = 5.0


@dataclass(frozen=True)
class Window:
    """What came of one window: counts of deliveries, latencies in milliseconds."""

    sent: int
    expected: int
    delivered: int
    disordered: int
    p50: float
    p99: float
    max: float


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the value that `share` of the sorted values do not exceed; infinite if none."""
    if not ordered:
        return math.inf
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


class Tally:
    """The deliveries of one window. A number must be one more than the last of its subscriber."""

    def __init__(self, first: int, subscribers: int = SUBSCRIBERS) -> None:
        self.sent = 0
        self.delivered = 0
        self.disordered = 0
        self.latencies: list[float] = []
        self._first = first
        self._next = [first] * subscribers

    def note(self, subscriber: int, number: int, latency: float) -> None:
        """One delivery; what was sent before this window is of no concern."""
        if number < self._first:
            return
        self.disordered += number != self._next[subscriber]
        self._next[subscriber] = number + 1
        self.delivered += 1
        self.latencies.append(latency)

    @property
    def complete(self) -> bool:
        """Whether everything that was sent has come everywhere."""
        return self.delivered >= self.sent * len(self._next)

    def window(self) -> Window:
        """Return the figures."""
        ordered = sorted(self.latencies)
        return Window(
            sent=self.sent,
            expected=self.sent * len(self._next),
            delivered=self.delivered,
            disordered=self.disordered,
            p50=percentile(ordered, 0.50),
            p99=percentile(ordered, 0.99),
            max=ordered[-1] if ordered else math.inf,
        )


class Crew:
    """All well-behaved clients of this process."""

    def __init__(self, reactor: Reactor, port: int) -> None:
        self._reactor = reactor
        self._number = 0
        self._tally = Tally(0)
        self._timer: Timer | None = None
        self._until = 0.0
        self._awaited = SUBSCRIBERS
        for index in range(SUBSCRIBERS):
            Subscriber(self, index).join(reactor, port)
        self._publisher = Witness().join(reactor, port)

    def subscribed(self) -> None:
        """One more subscriber is ready."""
        self._awaited -= 1
        if not self._awaited:
            say("ready")

    def deliver(self, subscriber: int, number: int, sent: int) -> None:
        """A message came."""
        self._tally.note(subscriber, number, (time.monotonic_ns() - sent) / 1e6)

    def order(self, line: str) -> None:
        """Do as told."""
        word, seconds = line.split()
        assert word == "window", line
        self._tally = Tally(self._number)
        self._until = time.monotonic() + float(seconds)
        self._timer = self._reactor.call_every(1 / RATE, self._beat)

    def _beat(self) -> None:
        now = time.monotonic()
        if now < self._until:
            stamp = b"%d %d" % (self._number, time.monotonic_ns())
            line = b"PUB witness.%d %d\r\n%b\r\n" % (self._number % 10, len(stamp), stamp)
            self._publisher.say(line)
            self._number += 1
            self._tally.sent += 1
        elif self._tally.complete or now > self._until + GRACE:
            assert self._timer is not None  # it is what calls us
            self._timer.cancel()
            say(json.dumps(asdict(self._tally.window())))


class Witness(Client):
    """A client that is not to be cut off."""

    def left(self, reason: CloseReason) -> None:
        """Tell why; the tally will show what was missed."""
        print(f"witness: disconnected: {reason}", file=sys.stderr)


class Subscriber(Witness):
    """Who must receive all of it."""

    def __init__(self, crew: Crew, index: int) -> None:
        super().__init__()
        self._crew = crew
        self._index = index

    def greeting(self) -> bytes:
        """Subscribe, and hear when that is done."""
        return b"SUB witness.* 1\r\nPING\r\n"

    def line(self, line: bytes) -> None:
        """A payload begins with a digit, as nothing else does."""
        if line[:1].isdigit():
            number, sent = line.split()
            self._crew.deliver(self._index, int(number), int(sent))
        elif line == b"PONG":
            self._crew.subscribed()


def main(port: int) -> None:
    """Connect all, then do as told until standard input ends."""
    with Reactor() as reactor:
        crew = Crew(reactor, port)

        def on_order(ready: int) -> None:
            line = sys.stdin.readline()
            if line:
                crew.order(line)
            else:
                reactor.stop()

        reactor.register(sys.stdin, READ, on_order)
        reactor.run()


if __name__ == "__main__":
    main(int(sys.argv[1]))
