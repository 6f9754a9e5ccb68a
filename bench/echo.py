"""Echo over TCP streams: how much work a server does in a second of CPU time.

The load is C, in a process and on a core of its own: every connection sends a message, waits for
its echo, and sends the next. The server is a process of its own on another core. In each round
every server is measured once, in turns, so that whatever the machine does meanwhile is done to all
of them; compared are the medians of the rounds. The main figure is *echoes per second of server CPU
time*. It does not depend on the load as long as that keeps up, as the rate on the wall does; where
the load was the bottleneck, the table says so.

`python -m bench echo --list` names the servers. Those that are not here are left out, with a line
that says what to install.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from bench import output
from bench.machine import raise_descriptor_limit
from bench.peers import OURS, PEERS, choose
from bench.processes import Load, MeasuringError, Server, load, serving
from bench.record import Measurement
from bench.rounds import open_all, rounds_of
from reactor.demux import BACKENDS

SIZES = (64, 1024, 10 * 1024, 100 * 1024)
CONNECTIONS = (1, 10, 100, 1000)
UNIT = "echoes per server CPU second"
PART = "echo"

#: What `--quick` measures: our two best, and enough others to see who is where.
QUICK_SUBJECTS = (
    *(OURS + name for name in tuple(BACKENDS)[:2]),
    "raw-c",
    "bare-epoll",
    "asyncio",
    "uvloop",
)


@dataclass(frozen=True)
class Plan:
    """What to measure, and for how long: seconds of each window and of the warm-up before it."""

    subjects: tuple[str, ...] = tuple(PEERS)
    sizes: tuple[int, ...] = SIZES
    connections: tuple[int, ...] = CONNECTIONS
    rounds: int = 5
    seconds: float = 0.8
    warmup: float = 0.2


QUICK = Plan(QUICK_SUBJECTS, (1024, 10 * 1024), (1, 100), rounds=3, seconds=0.3, warmup=0.1)


def measure(plan: Plan) -> list[Measurement]:
    """Measure every server that is here at every size and number of connections."""
    subjects, absent = choose(plan.subjects)
    output.tell_absent(absent)
    raise_descriptor_limit(max(plan.connections) + 100)
    points = list(product(plan.sizes, plan.connections))
    measured: list[Measurement] = []
    for size, connections in output.progress(points, PART):
        measured += measure_point(subjects, size, connections, plan)
    return measured


def measure_point(
    subjects: Sequence[str], size: int, connections: int, plan: Plan
) -> list[Measurement]:
    """Measure `subjects` at one point, in turns. One that fails is left out, and it is told why."""

    def one_round(server: Server) -> Load:
        return load(server, size, connections, plan.seconds, plan.warmup)

    with open_all(subjects, serving, MeasuringError) as servers:
        results = rounds_of(servers, one_round, plan.rounds, MeasuringError)
        return [
            _measurement(servers[name], size, connections, loads) for name, loads in results.items()
        ]


def size_text(size: int) -> str:
    """Return a message size as people write it."""
    return f"{size} B" if size < 1024 else f"{size // 1024} KiB"


def _measurement(server: Server, size: int, connections: int, loads: Sequence[Load]) -> Measurement:
    def middle(values: Iterable[float]) -> float:
        return statistics.median(values)

    return Measurement(
        part=PART,
        panel=f"{size_text(size)} messages",
        point=connections,
        axis="connections",
        subject=server.name,
        unit=UNIT,
        higher_is_better=True,
        figures=tuple(one.per_cpu_second for one in loads),
        extra={
            "per second": middle(one.per_second for one in loads),
            "p50 us": middle(one.p50 for one in loads),
            "p90 us": middle(one.p90 for one in loads),
            "p99 us": middle(one.p99 for one in loads),
            "max us": middle(one.max for one in loads),
            "server busy %": 100 * middle(one.server_busy for one in loads),
            "load busy %": 100 * middle(one.load_busy for one in loads),
            "load-bound rounds": sum(one.load_was_the_bottleneck for one in loads),
        },
        version=server.version or PEERS[server.name].version(),
    )


def main(arguments: list[str]) -> int:
    """Parse the command line, measure, show, and save what was asked for."""
    parser = argparse.ArgumentParser("python -m bench echo", description=__doc__.split("\n")[0])
    parser.add_argument("-s", "--sizes", type=int, nargs="+", help="bytes of a message")
    parser.add_argument("-c", "--connections", type=int, nargs="+")
    parser.add_argument("-p", "--peers", nargs="+", choices=PEERS, metavar="NAME")
    parser.add_argument("--seconds", type=float, help="of each window")
    parser.add_argument("--list", action="store_true", help="list the servers and what they need")
    output.add_options(parser)
    options = parser.parse_args(arguments)
    if options.list:
        for peer in PEERS.values():
            print(f"{peer.name:18} {peer.what}; {peer.missing() or 'is here'}")
        return 0
    base = QUICK if options.quick else Plan()
    plan = Plan(
        subjects=tuple(options.peers or base.subjects),
        sizes=tuple(options.sizes or base.sizes),
        connections=tuple(options.connections or base.connections),
        rounds=options.rounds or base.rounds,
        seconds=options.seconds or base.seconds,
        warmup=base.warmup,
    )
    output.finish(measure(plan), options)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
