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

Methods: our backends, as `reactor-NAME`; `bare-epoll`, a dictionary of callbacks on `select.epoll`,
which is the least that Python can do; `add_reader` of asyncio and of the loops that replace it;
and the same ring on libevent, in C (`load/ring_libevent.c`), run in turns with the others.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from bench import native, output
from bench.bare_loop import BareEpoll
from bench.loop_face import Callback, Loop, Watching
from bench.loops import make as make_loop
from bench.loops import names, too_many
from bench.machine import cores, pinned, raise_descriptor_limit
from bench.peers import OURS, PEERS, choose
from bench.record import Measurement
from bench.ring_report import Cell, show
from reactor import READ
from reactor.demux import BACKENDS

RUNS = 25

#: libev's published sweep, as far as the descriptor limit of a usual machine goes.
SWEEP_PAIRS = (100, 200, 300, 400, 500, 750, 1000, 2000, 3000, 4000, 5000, 6000, 7500, 9000)
SWEEP_ACTIVE = (1, 100, 1000)

#: What the suite measures; and what it measures when it is to be quick.
SUITE = ((100, 1000, 9000), (1, 100, 1000), RUNS)
QUICK = ((100, 1000), (1, 100), 7)

#: Seconds that every descriptor's timeout lies ahead: never reached, as in libev's variant.
TIMEOUT = 10.0

#: libevent itself, in C.
LIBEVENT = "libevent"

#: rloop waits again while callbacks are queued, so one byte is reported twice: the ring breaks.
UNFIT = ("rloop",)

Pair = tuple[socket.socket, socket.socket]


class WithTimers:
    """A loop whose watchers have a timeout each as well, which every event sets anew."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self.turned = loop.turned
        self.turn: Callable[[], object] = loop.turn
        self.run: Callable[[], object] = loop.run
        self.stop: Callable[[], object] = loop.stop
        self.close: Callable[[], object] = loop.close

    def watch(self, fileobj: int | socket.socket, callback: Callback) -> None:
        """Watch, and set the timeout."""
        call_later = self._loop.call_later
        timer = call_later(TIMEOUT, _expired)

        def on_readable(ready: int = READ, /) -> None:
            nonlocal timer
            timer.cancel()
            timer = call_later(TIMEOUT, _expired)
            callback()

        self._loop.watch(fileobj, on_readable)


def _expired() -> None:
    raise AssertionError("a timeout of the benchmark was reached: this machine is stuck")


def _nothing() -> None:
    """The end of a run is seen by whoever turns the loop."""


def methods() -> list[str]:
    """Return what can be measured, if it is here; ours first."""
    return [*(name for name in names() if name not in UNFIT), LIBEVENT]


def make(name: str, timers: bool) -> Watching:
    """Return a new loop for one run."""
    if timers:
        return WithTimers(make_loop(name))
    return BareEpoll() if name == "bare-epoll" else make_loop(name)


@dataclass(frozen=True)
class Run:
    """One run: seconds in the loop, seconds with registration, passes, bytes read.

    The passes of a loop that turns by itself are not known, and 0 here.
    """

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


def run_once(subject: Watching, ring: list[Pair], active: int, writes: int) -> Run:
    """Do one run and measure it."""
    pairs = len(ring)
    read = fired = passes = 0
    finished = _nothing if subject.turned else subject.stop

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
            elif read == fired:
                finished()

        return callback

    begin = time.perf_counter()
    for index in range(pairs):
        subject.watch(ring[index][0], reader(index))
    subject.turn()
    for index in range(active):
        ring[index * (pairs // active)][1].send(b"e")
    fired = active
    start = time.perf_counter()
    if not subject.turned:
        subject.run()
    while read < fired:
        subject.turn()
        passes += 1
    end = time.perf_counter()
    subject.close()
    return Run(loop=end - start, total=end - begin, passes=passes, events=read)


class InC:
    """The ring in C, in a process of its own that does a run whenever it is told to."""

    def __init__(self, pairs: int, active: int, writes: int, timers: bool) -> None:
        numbers = (pairs, active, writes, int(timers))
        self._process = subprocess.Popen(
            [str(native.build("ring_libevent")), *map(str, numbers)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run_once(self) -> Run:
        """Have one run done. Raises OSError if the process has ended."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        words = self._process.stdout.readline().split()
        if len(words) != 4:
            raise OSError("ring_libevent has ended; see its message above")
        loop, total, passes, events = map(int, words)
        return Run(loop=loop / 1e9, total=total / 1e9, passes=passes, events=events)

    def close(self) -> None:
        """End it."""
        self._process.communicate()


def measure(
    chosen: Sequence[str], pairs: int, active: int, writes: int, runs: int, timers: bool
) -> list[Cell]:
    """Measure the named methods, which are here, in turns on one ring, `runs` times each."""
    able = [name for name in chosen if not too_many(name, 2 * pairs + 50)]
    results: dict[str, list[Run]] = {name: [] for name in able}
    in_c = InC(pairs, active, writes, timers) if LIBEVENT in able else None
    with ring_of(pairs) as ring:
        for _ in range(runs):
            for name in able:
                if in_c is not None and name == LIBEVENT:
                    run = in_c.run_once()
                else:
                    run = run_once(make(name, timers), ring, active, writes)
                results[name].append(run)
    if in_c is not None:
        in_c.close()
    return [_cell(name, pairs, active, timers, results[name]) for name in able]


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
        steady=tuple(per_event),
    )


def sweep(options: argparse.Namespace) -> list[Cell]:
    """Measure every combination that was asked for, showing progress."""
    jobs = [
        (pairs, active)
        for active in options.active
        for pairs in options.pairs
        if active <= pairs and 2 * pairs + 50 <= options.limit
    ]
    here, absent = choose(options.method)
    output.tell_absent(absent)
    cells: list[Cell] = []
    core, _ = cores()
    with pinned(core):
        for pairs, active in output.progress(jobs, "ring"):
            writes = options.writes or pairs
            cells += measure(here, pairs, active, writes, options.runs, options.timers)
    return cells


def for_suite(
    pairs: Sequence[int], active: Sequence[int], runs: int, subjects: Sequence[str] = ()
) -> list[Measurement]:
    """Measure as a part of the suite."""
    wanted = argparse.Namespace(pairs=pairs, active=active, runs=runs, timers=False, writes=None)
    wanted.method = list(subjects or methods())
    wanted.limit = raise_descriptor_limit(2 * max(pairs) + 50)
    return [as_measurement(cell) for cell in sweep(wanted)]


def as_measurement(cell: Cell) -> Measurement:
    """Say the same in the words that all parts share."""
    return Measurement(
        part="ring",
        panel=f"{cell.active:,} active",
        point=cell.pairs,
        axis="pairs",
        subject=cell.method,
        unit="us per event",
        higher_is_better=False,
        figures=cell.steady,
        extra={"first": cell.first, "best": cell.best, "total": cell.total, "passes": cell.passes},
        version=PEERS[cell.method].version(),
    )


def main(arguments: list[str]) -> int:
    """Parse the command line, measure, show, and save what was asked for."""
    options = _parse(arguments)
    if options.list:
        print(*methods(), sep="\n")
        return 0
    options.method = [OURS + name if name in BACKENDS else name for name in options.method]
    unknown = sorted(set(options.method) - set(methods()))
    if unknown:
        print(f"-m {unknown[0]}: no such method; see -l for those there are", file=sys.stderr)
        return 2
    options.limit = raise_descriptor_limit(2 * max(options.pairs) + 50)
    cells = sweep(options)
    show(cells)
    output.save_files([as_measurement(cell) for cell in cells], options)
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m bench ring", description=__doc__.split("\n")[0])
    parser.add_argument("-n", "--pairs", type=int, nargs="+", default=[100])
    parser.add_argument("-a", "--active", type=int, nargs="+", default=[1])
    parser.add_argument("-w", "--writes", type=int, help="bytes passed on (default: n)")
    parser.add_argument("-m", "--method", nargs="+", default=methods())
    parser.add_argument("-l", "--list", action="store_true", help="list the methods")
    parser.add_argument("-t", "--timers", action="store_true", help="a timeout per descriptor")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--sweep", action="store_true", help="libev's published range of n and a")
    output.add_file_options(parser)
    options = parser.parse_args(arguments)
    if options.sweep:
        options.pairs, options.active = SWEEP_PAIRS, SWEEP_ACTIVE
    if min(*options.pairs, *options.active, options.runs) < 1:
        parser.error("-n, -a and --runs take numbers from 1 on")
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
