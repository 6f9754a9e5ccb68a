"""Testing a program that waits, without waiting: an hour of heartbeats over a bad line.

    python -m examples.virtual_time

The program under test is `Heart` and `Monitor`: the one beats every ten seconds, the other declares
it lost after thirty seconds of silence. The reactor is the real one, on a clock and on sockets that
the test turns by hand, see `reactor.testing`.
"""

from __future__ import annotations

from reactor import Reactor, Stream, StreamHandler, Timer
from reactor.testing import make_reactor, memory_socketpair


class Heart(StreamHandler):
    """Beats every ten seconds."""

    def __init__(self, reactor: Reactor) -> None:
        self.reactor = reactor

    def on_open(self, stream: Stream) -> None:
        """Begin."""
        self.reactor.call_every(10.0, stream.write, b"beat\n")


class Monitor(StreamHandler):
    """Notices when the other side has been silent for too long."""

    def __init__(self, reactor: Reactor) -> None:
        self.reactor = reactor
        self.beats = 0
        self.lost_at: float | None = None
        self.patience = self.wait()

    def wait(self) -> Timer:
        """Begin a new thirty seconds."""
        return self.reactor.call_later(30.0, self.give_up)

    def on_data(self, stream: Stream, data: bytes) -> None:
        """It lives."""
        self.beats += data.count(b"\n")
        self.patience.cancel()
        self.patience = self.wait()

    def give_up(self) -> None:
        """It does not, as far as we can tell."""
        self.lost_at = self.reactor.now()


def main() -> None:
    """Let an hour pass, cut the line, and see when it is noticed."""
    with make_reactor() as reactor:
        near, far = memory_socketpair(reactor.demultiplexer, latency=0.05)
        monitor = Monitor(reactor)
        Stream(reactor, near, Heart(reactor))
        Stream(reactor, far, monitor)

        reactor.run_for(3600)
        print(f"after {reactor.now():g} s: {monitor.beats} beats, lost at {monitor.lost_at}")

        near.latency = 1e9  # what is sent from now on will not arrive
        reactor.run_for(60)
        print(f"after {reactor.now():g} s: {monitor.beats} beats, lost at {monitor.lost_at:g}")


if __name__ == "__main__":
    main()
