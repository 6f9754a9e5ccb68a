"""The ring: libevent's classic benchmark of an event loop (`test/bench.c`), on our backends.

`n` socket pairs stand in a ring. A byte is written to `a` of them, spread evenly; whoever is
readable reads its byte and writes one to its neighbour, until `w` bytes have been passed on. So
`a` descriptors are active at any time out of `n` that are watched, and a + w bytes are read in all.
What is measured is the time from the first look at the loop to the last byte read, divided by the
bytes: what one event costs. The loop is never allowed to sleep.

One run: register all, one empty pass, write, **start the clock**, turn until all is read, **stop**.
As in libevent's the clock excludes registration; `total` includes it, as libev's variant does.
Unlike the original every watcher is removed after each run, so no run profits from an earlier one;
the first run is reported apart, and so is the number of passes, which tells how many events a wait
brought. With `--timers` each descriptor has a timeout as well, set anew at every read.

Methods: our backends by name; `bare-epoll`, a dictionary of callbacks on `select.epoll`, which is
the least that Python can do; `asyncio`, the standard loop's `add_reader`.
"""

from __future__ import annotations

import argparse
import asyncio
import select
import socket
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from bench.machine import raise_descriptor_limit, save
from bench.ring_report import Cell, draw, progress, show
from reactor import READ, Reactor
from reactor.demux import available, features

RUNS = 25

#: libev's published sweep, as far as the descriptor limit of a usual machine goes.
SWEEP_PAIRS = (100, 200, 300, 400, 500, 750, 1000, 2000, 3000, 4000, 5000, 6000, 7500, 9000)
SWEEP_ACTIVE = (1, 100, 1000)

#: Seconds that every descriptor's timeout lies ahead: never reached, as in libev's variant.
TIMEOUT = 10.0

Pair = tuple[socket.socket, socket.socket]


class Callback(Protocol):
    """What is called at each event; `ready` is there for loops that say what happened."""

    def __call__(self, ready: int = READ, /) -> None:
        """Read a byte, pass one on."""


class Subject(Protocol):
    """A loop under measurement."""

    def watch(self, sock: socket.socket, callback: Callback) -> None:
        """Call `callback` whenever `sock` is readable."""

    def turn(self) -> None:
        """One pass that does not sleep."""

    def close(self) -> None:
        """Remove every watcher."""


class Ours:
    """A reactor of ours on a given backend."""

    def __init__(self, backend: str, timers: bool) -> None:
        self._reactor = Reactor(backend=backend)
        self._timers = timers

    def watch(self, sock: socket.socket, callback: Callback) -> None:
        """Register a handle, and with timers a timeout that every event sets anew."""
        if not self._timers:
            self._reactor.register(sock, READ, callback)
            return
        call_later = self._reactor.call_later
        timer = call_later(TIMEOUT, _expired)

        def handler(ready: int) -> None:
            nonlocal timer
            timer.cancel()
            timer = call_later(TIMEOUT, _expired)
            callback()

        self._reactor.register(sock, READ, handler)

    def turn(self) -> None:
        """One turn."""
        self._reactor.run_once(0)

    def close(self) -> None:
        """Close the reactor."""
        self._reactor.close()


class BareEpoll:
    """The least that Python can do: a dictionary on `select.epoll`. It has no timers to set."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callback] = {}

    def watch(self, sock: socket.socket, callback: Callback) -> None:
        """Register."""
        self._epoll.register(sock.fileno(), select.EPOLLIN)
        self._callbacks[sock.fileno()] = callback

    def turn(self) -> None:
        """One wait, and the callbacks."""
        callbacks = self._callbacks
        for fd, _ in self._epoll.poll(0):
            callbacks[fd]()

    def close(self) -> None:
        """Close the set."""
        self._epoll.close()


class Asyncio:
    """The standard library's loop."""

    def __init__(self, timers: bool) -> None:
        self._loop = asyncio.new_event_loop()
        self._timers = timers
        self._socks: list[socket.socket] = []

    def watch(self, sock: socket.socket, callback: Callback) -> None:
        """Add a reader, and with timers a timeout that every event sets anew."""
        self._socks.append(sock)
        if not self._timers:
            self._loop.add_reader(sock, callback)
            return
        call_later = self._loop.call_later
        timer = call_later(TIMEOUT, _expired)

        def reader() -> None:
            nonlocal timer
            timer.cancel()
            timer = call_later(TIMEOUT, _expired)
            callback()

        self._loop.add_reader(sock, reader)

    def turn(self) -> None:
        """One pass: a stop that is scheduled first makes `run_forever` do exactly one."""
        self._loop.stop()
        self._loop.run_forever()

    def close(self) -> None:
        """Remove all readers and close."""
        for sock in self._socks:
            self._loop.remove_reader(sock)
        self._loop.close()


def _expired() -> None:
    raise AssertionError("a timeout of the benchmark was reached: this machine is stuck")


def methods(timers: bool) -> dict[str, Callable[[], Subject]]:
    """Return what can be measured here, by name, best backend first."""
    ours: dict[str, Callable[[], Subject]] = {
        name: (lambda name=name: Ours(name, timers))  # type: ignore[misc]  # a lambda's default
        for name in available()
    }
    peers: dict[str, Callable[[], Subject]] = {"asyncio": lambda: Asyncio(timers)}
    if not timers:
        peers["bare-epoll"] = BareEpoll
    return ours | peers


@dataclass(frozen=True)
class Run:
    """One run: seconds in the loop, seconds with registration, passes, bytes read."""

    loop: float
    total: float
    passes: int
    events: int


@contextmanager
def ring_of(pairs: int) -> Iterator[list[Pair]]:
    """Open `pairs` non-blocking socket pairs. Raises OSError if the descriptors do not suffice."""
    ring: list[Pair] = []
    try:
        for _ in range(pairs):
            ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            ring.append(ends)
            for end in ends:
                end.setblocking(False)
        yield ring
    finally:
        for ends in ring:
            for end in ends:
                end.close()


def run_once(make: Callable[[], Subject], ring: list[Pair], active: int, writes: int) -> Run:
    """Do one run and measure it."""
    subject = make()
    pairs = len(ring)
    read = fired = 0

    def reader(index: int) -> Callback:
        receive, send = ring[index][0].recv, ring[(index + 1) % pairs][1].send

        def callback(ready: int = READ, /) -> None:
            nonlocal read, fired, writes
            receive(1)
            read += 1
            if writes:
                writes -= 1
                fired += 1
                send(b"e")

        return callback

    begin = time.perf_counter()
    for index in range(pairs):
        subject.watch(ring[index][0], reader(index))
    subject.turn()
    for index in range(active):
        ring[index * (pairs // active)][1].send(b"e")
    fired = active
    passes = 0
    start = time.perf_counter()
    while read < fired:
        subject.turn()
        passes += 1
    end = time.perf_counter()
    subject.close()
    return Run(loop=end - start, total=end - begin, passes=passes, events=read)


def measure(
    names: Iterable[str], pairs: int, active: int, writes: int, runs: int, timers: bool
) -> list[Cell]:
    """Measure the named methods in turns on one ring, `runs` times each."""
    makers = methods(timers)
    chosen = [name for name in names if name in makers and not beyond(name, pairs)]
    with ring_of(pairs) as ring:
        results: dict[str, list[Run]] = {name: [] for name in chosen}
        for _ in range(runs):
            for name in chosen:
                results[name].append(run_once(makers[name], ring, active, writes))
    return [_cell(name, pairs, active, timers, results[name]) for name in chosen]


def beyond(name: str, pairs: int) -> bool:
    """Whether `pairs` pairs have descriptors that this backend cannot watch."""
    limit = features(name).descriptor_limit if name in available() else None
    return limit is not None and 2 * pairs + 16 >= limit


def _cell(name: str, pairs: int, active: int, timers: bool, runs: list[Run]) -> Cell:
    first, steady = runs[0], runs[1:] or runs
    per_event = [run.loop / run.events * 1e6 for run in steady]
    return Cell(
        method=name,
        pairs=pairs,
        active=active,
        timers=timers,
        runs=len(runs),
        events=first.events,
        passes=int(statistics.median(run.passes for run in steady)),
        first=first.loop / first.events * 1e6,
        best=min(per_event),
        median=statistics.median(per_event),
        total=statistics.median(run.total / run.events * 1e6 for run in steady),
    )


def sweep(options: argparse.Namespace) -> list[Cell]:
    """Measure every combination that was asked for, showing progress."""
    jobs = [
        (pairs, active)
        for active in options.active
        for pairs in options.pairs
        if active <= pairs and 2 * pairs + 50 <= options.limit
    ]
    cells: list[Cell] = []
    for pairs, active in progress(jobs):
        writes = options.writes or pairs
        cells += measure(options.method, pairs, active, writes, options.runs, options.timers)
    return cells


def main(arguments: list[str]) -> int:
    """Parse the command line, measure, show, and save what was asked for."""
    options = _parse(arguments)
    if options.list:
        print(*methods(options.timers), sep="\n")
        return 0
    unknown = sorted(set(options.method) - set(methods(False)))
    if unknown:
        print(f"-m {unknown[0]}: no such method; see -l for those there are", file=sys.stderr)
        return 2
    options.limit = raise_descriptor_limit(2 * max(options.pairs) + 50)
    cells = sweep(options)
    show(cells)
    if options.json:
        save(options.json, "ring", [asdict(cell) for cell in cells])
    if options.plot:
        draw(cells, options.plot)
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m bench ring", description=__doc__.split("\n")[0])
    parser.add_argument("-n", "--pairs", type=int, nargs="+", default=[100])
    parser.add_argument("-a", "--active", type=int, nargs="+", default=[1])
    parser.add_argument("-w", "--writes", type=int, help="bytes passed on (default: n)")
    parser.add_argument("-m", "--method", nargs="+", default=list(methods(False)))
    parser.add_argument("-l", "--list", action="store_true", help="list the methods")
    parser.add_argument("-t", "--timers", action="store_true", help="a timeout per descriptor")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--sweep", action="store_true", help="libev's published range of n and a")
    parser.add_argument("--json", type=Path, help="save the figures there")
    parser.add_argument("--plot", type=Path, help="save the chart there (.png or .svg)")
    options = parser.parse_args(arguments)
    if options.sweep:
        options.pairs, options.active = SWEEP_PAIRS, SWEEP_ACTIVE
    if min(*options.pairs, *options.active, options.runs) < 1:
        parser.error("-n, -a and --runs take numbers from 1 on")
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
