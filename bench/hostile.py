"""Hostile clients: what the others feel while a broker is attacked, and what it costs the broker.

For each attack a fresh broker process, well-behaved clients that publish and subscribe at an even
pace (`bench.hostile_witness`), and the attack, in a process of its own. First a window without the
attack, then one in which *another* broker is attacked, then one in which this one is: attacker,
broker and clients share the processors, and the second window shows what that alone does. Reported
are, and judged by the goals in brackets:

    p99         latency of the deliveries to the others: undisturbed, while another broker is
                attacked, and attacked [at most twice the larger of the two]
    delivered   of what was sent while the attack went on [all, in order]
    turn        the longest that our broker's loop took, in processor time: what no other process
                can lengthen, hence what to look at on a busy machine
    memory      of the broker: before, and at most meanwhile [grows by no more than the attack may]
    descriptors before, and when the attack is over [as many as before]
    log         how often the commonest line came [each limit is named, at most once a second]

With `--peer` the same is done to nats-server. Latencies depend on what else the machine does: with
`--rounds` each attack is made several times, and the median of the ratios counts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from bench.hostile_attacks import ATTACKS, Attack
from bench.hostile_server import PATIENCE, Observed, commands, observed, shapes
from bench.hostile_turns import is_ours, longest
from bench.hostile_witness import Window
from bench.machine import save
from bench.output import print_table

MIB = 1024 * 1024

#: How many times the undisturbed p99 the attacked one may be.
GOAL = 2.0

#: Seconds of each window: quick, or not.
WINDOW = {True: 1.0, False: 3.0}

#: Seconds of publishing before anything is measured.
WARM_UP = 0.5

#: Seconds that a broker has, after an attack, to let go of its descriptors.
CALM = 10.0

#: Seconds between two looks at the broker's memory.
LOOK = 0.05


class Worker:
    """A process spoken to in lines."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def tell(self, line: str) -> None:
        """Give an order."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def answer(self) -> str:
        """Wait for a line. Raises RuntimeError if the process ends instead."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} ended without an answer")
        return line.rstrip("\n")

    def end(self) -> None:
        """Close its pipes and wait for it; harmless when called again."""
        self._process.kill()
        self._process.communicate(timeout=PATIENCE)


@contextmanager
def working(module: str, *arguments: str) -> Iterator[Worker]:
    """Run a worker for the length of a block."""
    worker = Worker(module, *arguments)
    try:
        yield worker
    finally:
        worker.end()


@dataclass(frozen=True)
class Outcome:
    """What came of one attack on one broker. Memory in bytes, `turn` in milliseconds; `deeds` are
    the attack's own counts; `lines` are the log's during the attack, `commonest` the most frequent
    shape among them, `named` how many of them named the limit.
    """

    broker: str
    attack: str
    undisturbed: Window
    elsewhere: Window
    attacked: Window
    alive: bool
    memory_before: int
    memory_most: int
    memory_after: int
    descriptors_before: int
    descriptors_after: int
    seconds: float
    lines: int
    commonest: int
    commonest_line: str
    named: int
    turn: float
    deeds: dict[str, int]

    @property
    def ratio(self) -> float:
        """The attacked p99 in units of what it is without our broker being attacked."""
        return self.attacked.p99 / max(self.undisturbed.p99, self.elsewhere.p99)


def judge(attack: Attack, outcomes: Sequence[Outcome]) -> list[str]:
    """Return which goals were missed over all rounds, in words; nothing if none was."""
    complaints = []
    ratio = statistics.median(one.ratio for one in outcomes)
    if not ratio <= GOAL:  # so that what is not a number is missed, too
        complaints.append(f"p99 {ratio:.1f} times what it was without")
    for one in outcomes:
        complaints += _missed(attack, one)
    return list(dict.fromkeys(complaints))


def _missed(attack: Attack, one: Outcome) -> Iterator[str]:
    attacked = one.attacked
    if not one.alive:
        yield "the broker died"
    if attacked.delivered != attacked.expected:
        yield f"{attacked.expected - attacked.delivered} of {attacked.expected} not delivered"
    if attacked.disordered:
        yield f"{attacked.disordered} delivered out of order"
    grown = one.memory_most - one.memory_before
    if grown > attack.memory:
        yield f"memory grew by {grown / MIB:.0f} MiB ({attack.memory / MIB:.0f} allowed)"
    if one.descriptors_after > one.descriptors_before:
        yield f"{one.descriptors_after - one.descriptors_before} descriptors not let go"
    if one.commonest > one.seconds + 1:
        yield f"{one.commonest} log lines alike in {one.seconds:.0f} s"
    if attack.names and not one.named:
        yield f"no log line says {attack.names!r}"
    if attack.never and one.deeds.get(attack.never):
        yield f"{one.deeds[attack.never]} {attack.never}"


def measure(name: str, command: list[str], title: str, seconds: float) -> Outcome | None:
    """Make one attack on a fresh broker. None: the broker lacks the front that is attacked."""
    attack = ATTACKS[title]
    seconds = max(seconds, attack.least)
    with observed(command) as broker, observed(command) as other:
        ports = broker.ports()
        if attack.front not in ports:
            return None
        with working("bench.hostile_witness", str(ports["client"])) as witness:
            witness.answer()
            _window(witness, WARM_UP)
            undisturbed = _window(witness, seconds)
            with working("bench.hostile_attacks", title, json.dumps(other.ports())) as attacker:
                attacker.answer()
                elsewhere = _window(witness, seconds)
            other.end()
            _window(witness, WARM_UP)
            return _attacked(name, title, broker, witness, (undisturbed, elsewhere), seconds)


def _window(witness: Worker, seconds: float) -> Window:
    witness.tell(f"window {seconds}")
    return Window(**json.loads(witness.answer()))


def _attacked(
    name: str,
    title: str,
    broker: Observed,
    witness: Worker,
    before_it: tuple[Window, Window],
    seconds: float,
) -> Outcome:
    said = len(broker.log())
    before = broker.memory(), broker.descriptors()
    begin = time.monotonic()
    with working("bench.hostile_attacks", title, json.dumps(broker.ports())) as attacker:
        attacker.answer()
        witness.tell(f"window {seconds}")
        most = _watch(broker, seconds)
        window = Window(**json.loads(witness.answer()))
        attacker.tell("enough")
        deeds = json.loads(attacker.answer())
    lasted = time.monotonic() - begin
    after = _settled(broker, before[1])
    lines = [line for line in broker.log()[said:] if not is_ours(line)]
    ((line, count),) = shapes(lines).most_common(1) or [("", 0)]
    limit = ATTACKS[title].names.lower()
    return Outcome(
        broker=name,
        attack=title,
        undisturbed=before_it[0],
        elsewhere=before_it[1],
        attacked=window,
        alive=broker.alive,
        memory_before=before[0],
        memory_most=max(most, broker.memory()),
        memory_after=broker.memory(),
        descriptors_before=before[1],
        descriptors_after=after,
        seconds=lasted,
        lines=len(lines),
        commonest=count,
        commonest_line=line,
        named=sum(limit in line.lower() for line in lines) if limit else 0,
        turn=longest(broker.log()),
        deeds=deeds,
    )


def _watch(broker: Observed, seconds: float) -> int:
    """Return the most memory that the broker had in this time."""
    deadline = time.monotonic() + seconds
    most = 0
    while time.monotonic() < deadline:
        most = max(most, broker.memory())
        time.sleep(LOOK)
    return most


def _settled(broker: Observed, wanted: int) -> int:
    """Return how many descriptors are left when there are as few as before, or time is up."""
    deadline = time.monotonic() + CALM
    while (left := broker.descriptors()) > wanted and time.monotonic() < deadline:
        time.sleep(LOOK)
    return left


def show(name: str, outcomes: dict[str, list[Outcome]]) -> int:
    """Print one broker's table; return how many attacks missed a goal."""
    table = Table(title=f"hostile clients: {name}", caption="last round; the ratio is the median")
    table.add_column("attack", no_wrap=True)
    columns = (
        *("p99 before", "elsewhere", "p99 then", "ratio", "turn"),
        *("delivered", "MiB before/most", "fds", "lines"),
    )
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("verdict")
    failed = 0
    for title, rounds in outcomes.items():
        missed = judge(ATTACKS[title], rounds)
        failed += bool(missed)
        table.add_row(title, *_cells(rounds), "; ".join(missed) or "good")
    print_table(table)
    return failed


def _cells(rounds: list[Outcome]) -> Iterator[str]:
    one = rounds[-1]
    yield f"{one.undisturbed.p99:.2f} ms"
    yield f"{one.elsewhere.p99:.2f} ms"
    yield f"{one.attacked.p99:.2f} ms"
    yield f"{statistics.median(each.ratio for each in rounds):.2f}"
    yield f"{max(each.turn for each in rounds):.1f} ms"
    yield f"{one.attacked.delivered:,}/{one.attacked.expected:,}"
    yield f"{one.memory_before / MIB:.0f}/{one.memory_most / MIB:.0f}"
    yield f"{one.descriptors_before}/{one.descriptors_after}"
    yield f"{one.commonest:,}"


def record(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Return the outcomes as plain data, the goals missed beside each."""
    return [
        asdict(one) | {"ratio": one.ratio, "missed": judge(ATTACKS[one.attack], [one])}
        for one in outcomes
    ]


def main(arguments: list[str]) -> int:
    """Parse the command line, attack, show; status 1 if our broker missed a goal."""
    listed = "\n".join(f"  {name:14} {attack.text}" for name, attack in ATTACKS.items())
    parser = argparse.ArgumentParser(
        "python -m bench hostile",
        description=__doc__,
        epilog=f"attacks:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("attacks", nargs="*", metavar="ATTACK", help="only these (all)")
    parser.add_argument("--quick", action="store_true", help="windows of a second")
    parser.add_argument("--rounds", type=int, default=1, help="how often each attack is made")
    parser.add_argument("--backend", help="what our broker waits by")
    parser.add_argument("--peer", action="store_true", help="attack nats-server as well")
    parser.add_argument("--json", type=Path, help="save the figures there")
    options = parser.parse_args(arguments)
    unknown = set(options.attacks) - set(ATTACKS)
    if unknown:
        parser.error(f"no attack is called {', '.join(sorted(unknown))}; see --help")
    titles = options.attacks or list(ATTACKS)
    measured: list[Outcome] = []
    failed = 0
    with commands(options.backend, peer=options.peer) as attacked:
        for name, command in attacked.items():
            outcomes = attack_all(name, command, titles, options)
            measured += [one for rounds in outcomes.values() for one in rounds]
            missed = show(name, outcomes)
            failed += missed if name == "ours" else 0
    if options.json:
        save(options.json, "hostile", record(measured))
    return 1 if failed else 0


def attack_all(
    name: str, command: list[str], titles: Sequence[str], options: argparse.Namespace
) -> dict[str, list[Outcome]]:
    """Make every attack on one broker, round after round."""
    outcomes: dict[str, list[Outcome]] = {title: [] for title in titles}
    for _ in range(options.rounds):
        for title in list(outcomes):
            print(f"{name}: {title}", file=sys.stderr)
            one = measure(name, command, title, WINDOW[options.quick])
            if one is None:
                print(f"left out {title}: {name} has no such front", file=sys.stderr)
                del outcomes[title]
            else:
                outcomes[title].append(one)
    return outcomes


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
