"""`python -m bench`: the whole suite of the reactor, or `python -m bench NAME` for one part.

python -m bench --quick
python -m bench ring --help
python -m bench bars
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

from bench import output

#: Parts that run by themselves: the module, and what it tells.
PARTS = {
    "ring": "libevent's ring: what one event costs, by backend and by number of descriptors",
    "timers": "setting, cancelling and calling timers",
    "deferred": "deferred calls, in a chain and in a batch",
    "wakeups": "waking a sleeping loop from another thread",
    "echo": "echo over TCP streams: work per second of a server's CPU time, many peers",
    "idle": "what a turn costs in which nothing is ready, by number of handles",
    "opcodes": "what Python does for one echoed message, counted in bytecodes",
    "bars": "the bars that this project sets itself, and whether each is reached",
    "failover": "a cluster whose nodes die, hang and are cut off: is anything lost?",
    "choices": "what a cluster does while a link is cut, and what its choices cost",
    "connections": "many connections to one broker: memory, heartbeats, deliveries",
    "hostile": "what well-behaved clients feel while a broker is attacked",
    "soak": "mixed load with churn, for as long as you like: does anything grow?",
    "fuzz": "mutated input to the parsers and what stands behind them: crashes, hangs, growth",
}

#: Those whose command line is in `bench.micro_main`.
MICRO = ("timers", "deferred", "wakeups", "idle")


def main() -> int:
    """Run the part named on the command line, or the suite."""
    arguments = sys.argv[1:]
    if arguments and not arguments[0].startswith("-"):
        return run_part(arguments[0], arguments[1:])
    return run_suite(arguments)


def run_part(name: str, arguments: list[str]) -> int:
    """Run one part. Returns its exit status, or 2 if there is none of that name."""
    if name not in PARTS:
        print(f"there is no part {name!r}; there are: {', '.join(PARTS)}", file=sys.stderr)
        return 2
    if name in MICRO:
        return int(import_module("bench.micro_main").main(name, arguments))
    return int(import_module(f"bench.{name}").main(arguments))


def run_suite(arguments: list[str]) -> int:
    """Run every part of the reactor's suite, one after the other, and show all of it at the end."""
    from bench import suite

    lines = "\n".join(f"  {name:12} {text}" for name, text in PARTS.items())
    parser = argparse.ArgumentParser(
        "python -m bench",
        description="Run the reactor's suite, or one part: python -m bench NAME [options].",
        epilog=f"parts:\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    output.add_options(parser)
    options = parser.parse_args(arguments)
    output.finish(suite.measure(options.quick, options.rounds), options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
