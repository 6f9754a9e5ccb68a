"""Failover: three nodes of one cluster, of which one after the other dies, hangs, or is cut off.

Publishers, subscribers and requesters (`nats-py`, told of all nodes) go on meanwhile, and note what
happens to them. At the end a judge reads the notes: what was lost, came twice or in another order,
which requests were not answered, and who was not back in two seconds (`bench.failover_judge` says
what excuses what). Last, all nodes are asked what the clients of the others want, and all must know
the same. The seed gives the schedule; `--third real` makes the third node a real nats-server. Nodes
live in network namespaces where those may be made, else beside each other (`--network`).

Status 1 if anything happened that may not; the seed plays the schedule again.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import signal
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom
from typing import Any

from rich.table import Table

from bench import output
from bench.failover_clients import Crowd
from bench.failover_judge import (
    BACK,
    SETTLE,
    Fault,
    must_arrive,
    returns,
    schedule,
    violations,
)
from bench.failover_network import Namespaces, Network, Proxies, networks
from bench.failover_nodes import Node, NodeError, Nodes, our_node, real_node
from bench.machine import describe

NODES = 3

#: Seconds from the mending of a node until its clients come back to it.
REST = 1.0

#: Seconds for the last messages, and for all nodes to know the same.
LAST = 1.0
AGREE = 10.0

#: Violations that are printed; all are in the JSON.
PRINTED = 20


@dataclass
class Report:
    """What one run came to."""

    seed: int
    third: str
    network: str
    seconds: float
    faults: list[Fault]
    figures: dict[str, str]
    violations: list[str]


async def play(seed: int, third: str, seconds: float, network: Network, folder: Path) -> Report:
    """Play one run. Raises `NodeError` if a node cannot be started."""
    commands = [our_node(), our_node(), real_node() if third == "real" else our_node()]
    planned = schedule(seed, NODES, seconds)
    happened: list[Fault] = []
    async with Nodes(folder, commands, network) as nodes:
        crowd = Crowd([node.url for node in nodes.nodes])
        try:
            await crowd.come()
            for fault in planned:
                await asyncio.sleep(max(0.0, fault.begin - crowd.now()))
                begin = crowd.now()
                await nodes.begin(fault.kind, fault.nodes)
                # Noted before it is over, for whoever reads after an interruption.
                happened.append(dataclasses.replace(fault, begin=begin))
                await asyncio.sleep(max(0.0, fault.end - crowd.now()))
                await nodes.end(fault.kind, fault.nodes)
                happened[-1] = dataclasses.replace(happened[-1], end=crowd.now())
                await asyncio.sleep(REST)
                await crowd.return_home()
            await asyncio.sleep(max(SETTLE, seconds - crowd.now()))
            await crowd.rest()
            await asyncio.sleep(LAST)
            end = crowd.now()
            differences = await disagreements(nodes)
        finally:
            await crowd.go()
    found = violations(crowd.publishers, crowd.subscribers, crowd.requesters, happened, end)
    found += differences
    return Report(seed, third, network.name, end, happened, figures(crowd, happened, end), found)


async def disagreements(nodes: Nodes) -> list[str]:
    """Return where a node does not know what the clients of another want, when time is up."""
    loop = asyncio.get_running_loop()
    until = loop.time() + AGREE
    while True:
        found = []
        for here in nodes.nodes:
            wanted = await wanted_at(here)
            for there in nodes.nodes:
                if there is not here and (known := await known_at(there, here)) != wanted:
                    odd = sorted(known ^ wanted)
                    found.append(f"n{there.number} is wrong about n{here.number}: {odd}")
        if not found or loop.time() > until:
            return found
        await asyncio.sleep(0.2)


async def wanted_at(node: Node) -> set[str]:
    """Return what a node's clients have subscribed to."""
    page = await node.page("/connz?subs=1&limit=1024")
    return {name for row in page["connections"] for name in row.get("subscriptions_list") or ()}


async def known_at(node: Node, other: Node) -> set[str]:
    """Return what a node has been told by another that its clients want."""
    page = await node.page("/routez?subs=1")
    return {
        name
        for row in page["routes"]
        if row["remote_name"] == f"n{other.number}"
        for name in row.get("subscriptions_list") or ()
        if not name.startswith("$SYS.")
    }


def figures(crowd: Crowd, faults: list[Fault], end: float) -> dict[str, str]:
    """Return what there was to judge, and how long clients were away."""
    published = sum(len(one.sent) for one in crowd.publishers)
    heard = sum(len(one.heard) for one in crowd.subscribers)
    owed = sum(
        must_arrive(publisher, subscriber, at, faults)
        for publisher in crowd.publishers
        for at in publisher.sent
        for subscriber in crowd.subscribers
    )
    asked = [one for requester in crowd.requesters for one in requester.asked]
    failed = sum(answered is None for _, answered in asked)
    rows = {
        "published": f"{published:,}",
        "deliveries that nothing excused, all of them made": f"{owed:,}",
        "deliveries in all": f"{heard:,}",
        "requests, of which unanswered while a node was dying": f"{len(asked):,}, {failed}",
    }
    away: dict[str, list[float]] = defaultdict(list)
    for fault, _client, took in returns(crowd.everybody, faults, end):
        away[fault.kind].append(took)
    for kind, times in sorted(away.items()):
        rows[f"clients back after {kind}"] = (
            f"{len(times)}, {statistics.median(times):.2f} s, at most {max(times):.2f} s"
        )
    return rows


def show(report: Report) -> None:
    """Print what happened, the figures, and what may not have happened."""
    table = Table(
        title=f"failover: seed {report.seed}, third node {report.third}, {report.network}"
    )
    table.add_column("what")
    table.add_column("figure", justify="right")
    for number, fault in enumerate(report.faults):
        table.add_row("" if number else "faults", str(fault))
    table.add_section()
    for name, figure in report.figures.items():
        table.add_row(name, figure)
    output.print_table(table)
    for text in report.violations[:PRINTED]:
        print(f"bench: {text}", file=sys.stderr)
    if report.violations:
        print(
            f"bench: {len(report.violations)} violations; play it again with --seed {report.seed}",
            file=sys.stderr,
        )
    else:
        print(f"nothing was lost, doubled or reordered, and everybody was back in {BACK:g} s")


def main(arguments: list[str]) -> int:
    """Play a run, show it, and return 1 if anything happened that may not."""
    parser = argparse.ArgumentParser("python -m bench failover", description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=180.0, help="how long (default: 180)")
    parser.add_argument("--quick", action="store_true", help="the same as --seconds 30")
    parser.add_argument("--seed", type=int, help="which schedule (default: a new one, printed)")
    parser.add_argument("--third", choices=("ours", "real"), default="ours")
    here = networks()
    parser.add_argument(
        "--network",
        choices=(Namespaces.name, Proxies.name),
        default=next(iter(here)),
        help="what lies between the nodes (default: %(default)s, the best that can be had here)",
    )
    parser.add_argument("--json", type=Path, help="save faults, figures and violations there")
    options = parser.parse_args(arguments)
    seed = SystemRandom().randrange(10**6) if options.seed is None else options.seed
    seconds = 30.0 if options.quick else options.seconds
    if options.network not in here:
        parser.error(f"{options.network} cannot be made here; that takes `ip` and root's rights")
    network = here[options.network](NODES)
    print(f"bench: seed {seed}, {len(schedule(seed, NODES, seconds))} faults in {seconds:g} s")
    with tempfile.TemporaryDirectory() as folder, _ended_by_sigterm():
        try:
            report = asyncio.run(play(seed, options.third, seconds, network, Path(folder)))
        except NodeError as error:
            print(f"bench: {error}", file=sys.stderr)
            return 1
    show(report)
    if options.json:
        record = {"benchmark": "failover", "machine": describe(), **_as_dict(report)}
        options.json.write_text(json.dumps(record, indent=1) + "\n")
    return 1 if report.violations else 0


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Have SIGTERM raise SystemExit in this block: whoever ends us must not leave nodes behind."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _as_dict(report: Report) -> dict[str, Any]:
    faults = [str(fault) for fault in report.faults]
    return dataclasses.asdict(dataclasses.replace(report, faults=[])) | {"faults": faults}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
