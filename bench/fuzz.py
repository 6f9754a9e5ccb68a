"""Fuzzing: mutated input to everything that reads what strangers write.

Each front (`bench.fuzz_fronts`) has a corpus of valid texts; mutations of these are fed to it,
whole and cut anywhere. Nothing may crash, hang for a second or grow, and what comes of a stream
must not depend on how it was cut. Reported are inputs a second.

An input is named by seed, front and number: `--seed 7 --front plane --only 4711` runs it again.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.table import Table

from bench.fuzz_fronts import FRONTS
from bench.fuzz_mutate import mutated, source
from bench.fuzz_parts import Front
from bench.hostile_server import resident_bytes
from bench.machine import save
from bench.output import print_table

#: Seconds that one input may take.
LONGEST = 1.0

#: Bytes by which the process may grow after the first tenth of the inputs.
GROWTH = 8 * 1024 * 1024

#: Failures after which a front is given up.
ENOUGH = 5


class HangError(Exception):
    """An input took too long."""


@dataclass(frozen=True)
class Failure:
    """What one input did."""

    front: str
    number: int
    error: str
    data: str


@dataclass(frozen=True)
class Report:
    """What came of one front: how many inputs in how many seconds, bytes grown, failures."""

    front: str
    inputs: int
    seconds: float
    grown: int
    failures: tuple[Failure, ...]

    @property
    def per_second(self) -> float:
        """Inputs a second."""
        return self.inputs / max(self.seconds, 1e-9)

    @property
    def good(self) -> bool:
        """Whether nothing crashed, hung or grew."""
        return not self.failures and self.grown <= GROWTH


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Raise `HangError` in the block if it takes longer. Main thread only."""

    def ring(number: int, frame: object) -> None:
        raise HangError(f"it took longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def attempt(name: str, front: Front, seed: int, number: int) -> Failure | None:
    """Run one input; return what went wrong, if anything did."""
    rng = source(seed, name, number)
    data = mutated(front.corpus, front.words, rng)
    try:
        with alarm(LONGEST):
            front.read(data, rng)
    except Exception as error:  # whatever it is: that is what is looked for
        return Failure(name, number, f"{type(error).__name__}: {error}", repr(data))
    return None


def fuzz(name: str, front: Front, seed: int, inputs: int) -> Report:
    """Run the inputs of one front, or until it has failed often enough."""
    failures = []
    begin = time.monotonic()
    base = resident_bytes(os.getpid())
    done = 0
    for number in range(inputs):
        done += 1
        if number == inputs // 10:
            base = resident_bytes(os.getpid())
        failure = attempt(name, front, seed, number)
        if failure is not None:
            failures.append(failure)
            if len(failures) == ENOUGH:
                break
    settled = resident_bytes(os.getpid())
    return Report(name, done, time.monotonic() - begin, settled - base, tuple(failures))


def show(reports: list[Report], seed: int) -> None:
    """Print the table, and every failure with the command that repeats it."""
    table = Table(title=f"fuzzing, seed {seed}")
    table.add_column("front")
    for column in ("inputs", "a second", "grown (KiB)", "failures", "verdict"):
        table.add_column(column, justify="right")
    for one in reports:
        cells = (f"{one.inputs:,}", f"{one.per_second:,.0f}", f"{one.grown / 1024:,.0f}")
        verdict = "good" if one.good else "NOT GOOD"
        table.add_row(one.front, *cells, str(len(one.failures)), verdict)
    print_table(table)
    for failure in (failure for one in reports for failure in one.failures):
        again = f"--seed {seed} --front {failure.front} --only {failure.number}"
        print(f"fuzz: {again}\n  {failure.data[:500]}\n  {failure.error[:1000]}")


def _search(names: list[str], seed: int, examples: int) -> int:
    """Let hypothesis look; status 1 if it found something."""
    from bench.fuzz_search import search  # hypothesis is a library for tests

    failed = 0
    for name in names:
        try:
            search(FRONTS[name], seed, examples // len(names))
        except Exception as error:  # whatever it is: that is what is looked for
            failed = 1
            print(f"fuzz: {name}: {type(error).__name__}: {error}", sep="\n  ")
        else:
            print(f"fuzz: {name}: {examples // len(names):,} inputs of hypothesis, good")
    return failed


def main(arguments: list[str]) -> int:
    """Parse the command line, fuzz, show; status 1 if anything went wrong."""
    parser = argparse.ArgumentParser(
        "python -m bench fuzz",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--inputs", type=int, default=1_000_000, help="over all fronts")
    parser.add_argument("--quick", action="store_true", help="20,000 inputs")
    parser.add_argument("--seed", type=int, default=1, help="other inputs for another number")
    parser.add_argument("--front", choices=FRONTS, action="append", help="only this one")
    parser.add_argument("--only", type=int, metavar="NUMBER", help="only this input of it")
    parser.add_argument(
        "--hypothesis", type=int, metavar="N", help="instead, N inputs that hypothesis makes up"
    )
    parser.add_argument("--json", type=Path, help="save the reports there")
    options = parser.parse_args(arguments)
    names = options.front or list(FRONTS)
    if options.only is not None:
        found = [attempt(name, FRONTS[name], options.seed, options.only) for name in names]
        print(*(failure or "good" for failure in found), sep="\n")
        return 1 if any(found) else 0
    if options.hypothesis is not None:
        return _search(names, options.seed, options.hypothesis)
    share = (20_000 if options.quick else options.inputs) // len(names)
    reports = [fuzz(name, FRONTS[name], options.seed, share) for name in names]
    show(reports, options.seed)
    if options.json:
        save(options.json, "fuzz", [asdict(one) for one in reports])
    return 0 if all(one.good for one in reports) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
