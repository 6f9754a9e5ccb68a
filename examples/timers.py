"""Timers and deferred calls: what runs when.

python -m examples.timers
"""

from __future__ import annotations

from reactor import Reactor


def main() -> None:
    """Run for a tenth of a second."""
    with Reactor() as reactor:
        ticks = reactor.call_every(0.02, lambda: print("tick", ticks.fired))
        alarm = reactor.call_later(0.09, print, "never: it is cancelled in time")
        reactor.call_later(0.05, print, "once, between the second tick and the third")

        def in_time() -> None:
            alarm.cancel()
            ticks.cancel()
            # In the next turn, not in this one; and after it, the end of `run`.
            reactor.call_soon(print, "soon")
            reactor.call_soon(reactor.stop)
            print("stopping")

        reactor.call_later(0.07, in_time)
        reactor.run()


if __name__ == "__main__":
    main()
