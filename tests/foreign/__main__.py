"""Run a foreign suite by hand: ``python -m tests.foreign SUITE [--backend NAME]``."""

from __future__ import annotations

import argparse
import sys

from reactor.demux import available
from tests.foreign.run import run
from tests.foreign.suites import SUITES, Plan


def main() -> int:
    """Run it; exit status 0 if all tests passed, 1 if not, 2 if the suite is not here."""
    arguments = _parse()
    status = 0
    for backend in arguments.backend or available():
        plan = Plan(arguments.suite, backend, arguments.source)
        outcome = run(plan, limit=arguments.limit)
        print(f"{plan.suite} on {backend}: {outcome}", flush=True)
        if outcome.missing:
            return 2
        if not outcome.ok:
            status = 1
            print(*outcome.failed, sep="\n")
        if arguments.verbose or not outcome.run:
            print(outcome.output)
    return status


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.foreign", description=__doc__)
    parser.add_argument("suite", choices=SUITES)
    parser.add_argument(
        "--backend",
        action="append",
        choices=[*available(), "own"],
        help="a demultiplexer of ours, or 'own' for the suite's own loop (default: all of ours)",
    )
    parser.add_argument("--source", default="", help="a copy of the suite's repository (uvloop)")
    parser.add_argument("--limit", type=float, default=600.0, help="seconds for each run")
    parser.add_argument("--verbose", action="store_true", help="show all that the suite says")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
