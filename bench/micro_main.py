"""The command line of the parts that need no connection: timers, deferred, wakeups, idle."""

from __future__ import annotations

import argparse

from bench import output
from bench.loops import names
from bench.micro_parts import measure

#: Rounds of a full run and of a quick one.
ROUNDS = (15, 5)


def main(part: str, arguments: list[str]) -> int:
    """Parse the command line, measure, show, and save what was asked for."""
    parser = argparse.ArgumentParser(f"python -m bench {part}")
    parser.add_argument("-p", "--peers", nargs="+", choices=names(), metavar="NAME")
    output.add_options(parser)
    options = parser.parse_args(arguments)
    rounds = options.rounds or ROUNDS[options.quick]
    output.finish(measure(part, rounds, options.peers or ()), options)
    return 0
