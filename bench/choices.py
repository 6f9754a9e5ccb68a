"""What a cluster does while it is cut: the choices of `docs/choices.md`, each measured.

Three brokers of ours in this process, `nats-py` as client, links that are cut and healed. Each
measurement is a function that returns rows of `(question, figure)`; what it promises is in its
docstring, and `main` ends with status 1 if one of those promises was broken. Times are on the wall,
of a process that holds clients and brokers both: they say what order of magnitude to expect.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

from rich.table import Table

from bench import output
from bench.choices_clients import (
    PATIENCE,
    BrokenPromiseError,
    Listener,
    Publisher,
    clients,
    leave,
    promise,
    settled,
)
from bench.machine import describe
from broker import Broker
from broker.blocks import ClusterBlock
from broker.mesh import Mesh
from broker.transform import compile as compile_transform

Row = tuple[str, str]

#: Seconds between two messages of a publisher, and between two heartbeats.
PERIOD = 0.005
HEARTBEAT = 0.2


async def availability() -> list[Row]:
    """Of a partition's two sides both go on. What passes between them meanwhile is lost for good.

    Promised: a node serves its own clients, and every node it still reaches, with nothing missing;
    nothing reaches the other side over a third node (one hop); nothing is delivered late.
    """
    with Broker.cluster(3) as nodes:
        connected = await clients(nodes)
        listeners = [Listener() for _ in nodes]
        for listener, client in zip(listeners, connected, strict=True):
            await listener.listen(client, "news")
        await settled(connected, "settle.a")
        publisher = Publisher(connected[0], "news", PERIOD)
        await asyncio.sleep(0.3)
        before_cut = time.monotonic()
        await asyncio.to_thread(nodes.cut, 0, 1)
        cut = time.monotonic()
        await asyncio.sleep(1.0)
        heal = time.monotonic()
        await asyncio.to_thread(nodes.heal, 0, 1)
        whole = time.monotonic()
        await asyncio.sleep(0.5)
        last = await publisher.stop()
        for listener in listeners:
            await listener.until(last)
        await leave(connected)
    during = [n for n, at in publisher.sent.items() if cut < at < heal]
    after = [n for n, at in publisher.sent.items() if at > whole + 0.1]
    here, there, third = (set(listener.heard) for listener in listeners)
    everything = set(publisher.sent)
    promise(everything == here, "the publisher's own node missed something")
    promise(everything == third, "a node that was never cut off missed something")
    promise(not there & set(during), "something went over a third node, or came late")
    promise(set(after) <= there, "something was missing after the link was healed")
    missed = len(everything - there)
    first = min(n for n in there if publisher.sent[n] > before_cut + 0.5)
    again = listeners[1].heard[first] - heal
    return [
        ("published while the link between n0 and n1 was cut (1 s)", f"{len(during)}"),
        ("heard at n0, and at n2, which reaches both", "all, all"),
        ("of these heard at n1, then or later", "none"),
        ("missed at n1 in all", f"{missed}"),
        ("from the healing to the first message at n1", milliseconds([again])),
    ]


async def eventual_consistency(cuts: int) -> list[Row]:
    """State that travels whole in each heartbeat is right again one heartbeat after the healing.

    Promised: within the time of reconnecting and one heartbeat, each time.
    """
    ages: list[float] = []
    with Broker.cluster(3) as nodes:
        connected = await clients(nodes)
        student = Listener()
        await student.listen(connected[1], "t1.teacher.heartbeat")
        await settled(connected, "settle.b")
        teacher = Publisher(connected[0], "t1.teacher.heartbeat", HEARTBEAT)
        for number in range(cuts):
            await asyncio.sleep(HEARTBEAT * (1 + Random(number).random()))  # at any moment of one
            await asyncio.to_thread(nodes.cut, 0, 1)
            await asyncio.sleep(2.5 * HEARTBEAT)
            await asyncio.to_thread(nodes.heal, 0, 1)
            whole = time.monotonic()
            await student.until(len(teacher.sent))  # the next that is said
            ages.append(time.monotonic() - whole)
        await teacher.stop()
        await leave(connected)
    promise(max(ages) < 2 * HEARTBEAT, f"stale for {max(ages):.2f} s after the link was whole")
    return [
        (f"heartbeat {HEARTBEAT} s: stale after the link was whole again", milliseconds(ages)),
        ("the longest, in heartbeats", f"{max(ages) / HEARTBEAT:.2f}"),
    ]


async def read_your_writes(count: int) -> list[Row]:
    """A client sees what it publishes itself; another node's client, once interest got there.

    Promised: SUB and PUB on one connection miss nothing. Between two nodes the first message may be
    missed, though the subscriber was told that its node knows (PONG), and soon none is any more.
    """
    own, waits, missed = Listener(), [], 0
    with Broker.cluster(3) as nodes:
        connected = await clients(nodes)
        for number in range(count):
            await connected[0].subscribe(f"own.{number}", cb=own.hear)
            await connected[0].publish(f"own.{number}", b"%d" % number)
        await connected[0].flush()
        await own.until(count - 1)
        for number in range(count):
            listener = Listener()
            await listener.listen(connected[1], f"far.{number}")
            told = time.monotonic()
            sent = 0
            while not listener.heard:
                promise(time.monotonic() < told + PATIENCE, "interest never arrived")
                await connected[0].publish(f"far.{number}", b"%d" % sent)
                await connected[0].flush()
                sent += 1
                await asyncio.sleep(0)
            missed += min(listener.heard) > 0
            waits.append(max(listener.heard.values()) - told)
        await leave(connected)
    promise(len(own.heard) == count, "a client missed what it had published itself")
    return [
        (f"SUB, then PUB on the same connection: heard, of {count}", f"{len(own.heard)}"),
        (f"SUB and PONG at n1, then PUB at n0: first message missed, of {count}", f"{missed}"),
        ("from the PONG at n1 to a message from n0", milliseconds(waits)),
    ]


async def gossip(joins: int) -> list[Row]:
    """A node that knows one member is soon connected to all.

    Promised: within the dial timeout, each time.
    """
    took: list[float] = []
    with Broker.cluster(3) as nodes:
        for number in range(joins):
            route = f"nats-route://127.0.0.1:{nodes[2].cluster_port}"
            block = ClusterBlock("test", "127.0.0.1", 0, (route,))
            begin = time.monotonic()
            with Broker(port=0, server_name=f"new{number}", cluster=block) as newcomer:
                while len(newcomer.routes()) < len(nodes):
                    promise(time.monotonic() < begin + PATIENCE, "the mesh stayed incomplete")
                    await asyncio.sleep(0.002)
                took.append(time.monotonic() - begin)
            while any(len(node.routes()) > len(nodes) - 1 for node in nodes):
                await asyncio.sleep(0.01)
    return [
        ("a newcomer that knows one of three: start until connected to all", milliseconds(took))
    ]


async def one_hop(subscribers: int, messages: int) -> list[Row]:
    """A message goes to each node once, however many want it there.

    Promised: exactly once.
    """
    with Broker.cluster(3) as nodes:
        connected = await clients(nodes)
        listeners = [Listener() for _ in range(subscribers)]
        for listener in listeners:
            await listener.listen(connected[1], "crowd")
        await settled(connected, "settle.c")
        before = routed(nodes)
        for number in range(messages):
            await connected[0].publish("crowd", b"%d" % number)
        for listener in listeners:
            await listener.until(messages - 1)
        crossed = routed(nodes) - before
        await leave(connected)
    promise(crossed == messages, f"{messages} messages crossed routes {crossed} times")
    return [
        (
            f"{messages} messages at n0 for {subscribers} subscribers at n1: over routes",
            f"{crossed}",
        ),
        (
            "routes of a mesh of 3, 5, 10, 50 nodes",
            ", ".join(f"{n * (n - 1) // 2}" for n in (3, 5, 10, 50)),
        ),
    ]


async def placement(keys: int) -> list[Row]:
    """`partition(n, 1)` always sends a key to the same of n workers, and shares them out evenly.

    Promised: the same answer each time. Not promised: that few keys move when n changes.
    """
    names = [b"orders.%d" % Random(number).getrandbits(48) for number in range(keys)]
    places = {n: [worker_of(name, n) for name in names] for n in (8, 9)}
    promise(places[8] == [worker_of(name, 8) for name in names], "a key has two places")
    shares = [places[8].count(worker) for worker in set(places[8])]
    moved = sum(one != other for one, other in zip(places[8], places[9], strict=True))
    return [
        (f"{keys:,} keys over 8 workers: fewest and most", f"{min(shares)}, {max(shares)}"),
        ("of these, at another worker when there are 9", f"{100 * moved / keys:.0f} %"),
    ]


def worker_of(subject: bytes, workers: int) -> bytes:
    """Return the worker that a mapping with `partition` would choose."""
    mapping = compile_transform(b"orders.*", b"work.{{partition(%d,1)}}.{{wildcard(1)}}" % workers)
    return mapping.apply(subject, Random(0)).split(b".")[1]


def routed(nodes: Mesh) -> int:
    """Return how many messages n0 has sent to other nodes, but for those about the nodes."""
    return sum(route.out_msgs for route in nodes[0].routes())


def milliseconds(seconds: list[float]) -> str:
    """Return a duration, or of several the median and the longest."""
    middle, most = (1e3 * value for value in (statistics.median(seconds), max(seconds)))
    return f"{middle:.1f} ms" if len(seconds) == 1 else f"{middle:.1f} ms, at most {most:.1f} ms"


def choices(quick: bool) -> dict[str, Callable[[], Awaitable[list[Row]]]]:
    """Return every choice with its measurement."""
    few = 3 if quick else 15
    return {
        "availability, not agreement": availability,
        "eventual consistency by heartbeat": lambda: eventual_consistency(few),
        "reading one's own writes": lambda: read_your_writes(20 if quick else 200),
        "gossip": lambda: gossip(few),
        "one hop": lambda: one_hop(20, 200),
        "placement by partition": lambda: placement(2_000 if quick else 20_000),
    }


def main(arguments: list[str]) -> int:
    """Measure all of them, print a table, and return 1 if a promise was broken."""
    parser = argparse.ArgumentParser("python -m bench choices", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    parser.add_argument("--json", type=Path, help="save the figures there")
    options = parser.parse_args(arguments)
    table = Table(title="a cluster's choices, measured")
    for column in ("choice", "measured", "figure"):
        table.add_column(column)
    figures: dict[str, list[Row]] = {}
    broken: list[str] = []
    for name, measure in output.progress(list(choices(options.quick).items()), "choices"):
        try:
            figures[name] = asyncio.run(_once(measure))
        except (BrokenPromiseError, TimeoutError) as error:
            figures[name] = []
            broken.append(f"{name}: {str(error) or 'a message did not arrive'}")
        for index, (question, figure) in enumerate(figures[name]):
            table.add_row("" if index else name, question, figure)
        table.add_section()
    output.print_table(table)
    for line in broken:
        print(f"bench: promise broken: {line}", file=sys.stderr)
    if options.json:
        record = {"benchmark": "choices", "machine": describe(), "figures": figures}
        options.json.write_text(json.dumps(record | {"broken": broken}, indent=1) + "\n")
    return 1 if broken else 0


async def _once(measure: Callable[[], Awaitable[list[Row]]]) -> list[Row]:
    return await measure()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
