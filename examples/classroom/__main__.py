"""Run a lesson: brokers, people, faults; then say whether everybody agreed."""

from __future__ import annotations

import argparse
import gc
import resource
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from random import Random

from examples.classroom.classroom import Classroom
from examples.classroom.faults import Fault, schedule
from examples.classroom.nodes import Node, make_nodes
from examples.classroom.teacher import PATIENCE
from reactor import Reactor

#: Seconds a node may take until it serves, on a busy machine.
READY_WITHIN = 30.0

#: Descriptors beside those of the students.
SPARE = 200


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="python -m examples.classroom", description=__doc__)
    parser.add_argument("--students", type=int, default=5000)
    parser.add_argument("--nodes", type=int, default=3, help="brokers; several are one cluster")
    parser.add_argument("--seconds", type=float, default=100.0, help="length of the lesson")
    parser.add_argument("--heartbeat", type=float, default=2.0, help="seconds between heartbeats")
    parser.add_argument("--seed", type=int, default=1, help="who comes when, and what breaks when")
    parser.add_argument("--page", action="store_true", help="show it live in a browser")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw it; needs matplotlib")
    asked = parser.parse_args(argv)
    for name in ("students", "nodes", "seconds", "heartbeat"):
        if getattr(asked, name) <= 0:
            parser.error(f"--{name} must be more than 0")
    if asked.page and find_spec("wsproto") is None:
        parser.error("--page needs WebSockets: install reactor-broker[websocket]")
    if asked.plot and find_spec("matplotlib") is None:
        parser.error("--plot needs matplotlib: install reactor-broker[bench]")
    return asked


def allow_descriptors(wanted: int) -> None:
    """Raise our limit, which the nodes inherit; SystemExit if that is not allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        sys.exit(f"{wanted} open connections are needed, and {hard} allowed: see ulimit -Hn")
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def processor_seconds(whose: int) -> float:
    """What this process has used so far, or its children that have ended."""
    used = resource.getrusage(whose)
    return used.ru_utime + used.ru_stime


class Run:
    """One lesson over nodes of its own."""

    def __init__(self, reactor: Reactor, asked: argparse.Namespace, folder: Path) -> None:
        self._reactor = reactor
        self._asked = asked
        self.nodes = make_nodes(reactor, asked.nodes, folder, websocket=asked.page)
        self.faults = schedule(
            Random(f"faults {asked.seed}"), asked.nodes, asked.seconds, asked.heartbeat
        )
        self.classroom = Classroom(
            reactor,
            [node.seed for node in self.nodes],
            students=asked.students,
            heartbeat=asked.heartbeat,
            seconds=asked.seconds,
            seed=asked.seed,
            nodes=lambda: [node.state for node in self.nodes],
        )
        self._was_up = False
        for node in self.nodes:
            node.on_change = self._on_node

    def _on_node(self) -> None:
        is_up = any(node.state == "up" for node in self.nodes)
        if is_up != self._was_up:
            self._was_up = is_up
            self.classroom.agreement.possible(is_up)

    def play(self) -> None:
        """Start the nodes, hold the lesson, break what the schedule says."""
        for node in self.nodes:
            node.start()
        if not self._reactor.run_until(
            lambda: all(node.state == "up" for node in self.nodes), READY_WITHIN
        ):
            logs = "\n".join(f"{node.name} is {node.state}: {node.said}" for node in self.nodes)
            sys.exit(f"the nodes were not ready within {READY_WITHIN:g} s\n{logs}")
        if self._asked.page:
            from examples.classroom.page import Page  # h11 is there, as the broker needs it

            page = Page(self._reactor, [node.websocket_port for node in self.nodes])
            print(f"live at {page.url}", flush=True)
        for fault in self.faults:
            self._reactor.call_later(fault.begin, self._break, self.nodes[fault.node], fault)
        self.classroom.begin()
        self._reactor.call_later(self._asked.seconds, self._reactor.stop)
        self._reactor.run()

    def _break(self, node: Node, fault: Fault) -> None:
        print(fault, flush=True)
        kill = fault.kind == "kill"
        (node.kill if kill else node.freeze)()
        mend = node.start if kill else node.thaw
        self._reactor.call_later(fault.end - fault.begin, mend)

    def end(self) -> None:
        """End the nodes, whatever state they are in."""
        for node in self.nodes:
            node.kill()
        self._reactor.run_until(lambda: all(node.state == "dead" for node in self.nodes), 5.0)


def main(argv: Sequence[str] | None = None) -> int:
    """Hold a lesson; 0 if everybody agreed with the teacher in time, 1 if not."""
    asked = arguments(argv)
    allow_descriptors(asked.students + SPARE)
    # Who is here stays for the whole lesson: to look through all of them for garbage, again and
    # again, would stop everybody and find nothing.
    gc.set_threshold(50_000, 20, 50)
    with tempfile.TemporaryDirectory(prefix="classroom-") as folder, Reactor() as reactor:
        run = Run(reactor, asked, Path(folder))
        try:
            run.play()
        finally:
            run.end()
    agreement = run.classroom.agreement
    rows = [
        ("nodes", str(asked.nodes)),
        ("faults", str(len(run.faults))),
        *run.classroom.table(),
        ("processor seconds, classroom", f"{processor_seconds(resource.RUSAGE_SELF):.1f}"),
        ("processor seconds, nodes", f"{processor_seconds(resource.RUSAGE_CHILDREN):.1f}"),
    ]
    for name, value in rows:
        print(f"{name:<30} {value:>12}")
    if asked.plot:
        from examples.classroom.plot import draw  # matplotlib is slow to import

        draw(agreement.samples, run.faults, asked.plot)
    verdict = "held" if agreement.held else "did NOT hold"
    print(f"agreement within {PATIENCE} heartbeats {verdict}")
    return 0 if agreement.held else 1


if __name__ == "__main__":
    sys.exit(main())
