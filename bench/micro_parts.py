"""What a loop does besides waiting: timers, deferred calls, wakeups from threads, idle turns.

Each part is a function that makes one loop do one kind of work and returns what one piece of it
cost. `measure` runs it over every loop that is here, a new loop for every round, in turns.
"""

from __future__ import annotations

import gc
import os
import statistics
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from bench import output
from bench.loop_face import Loop
from bench.loops import names, opened, too_many
from bench.machine import cores, pinned, raise_descriptor_limit
from bench.peers import PEERS, choose
from bench.record import Measurement
from bench.rounds import rounds_of

NANOSECONDS = "ns each"
MICROSECONDS = "us each"

#: Timers that wait while others are added and cancelled, as a server has them.
BACKGROUND = 1000

#: Seconds that no timer of a benchmark that is not to expire ever reaches.
FAR = 60.0


#: Seconds after which a wakeup is lost.
PATIENCE = 5.0


class StuckError(Exception):
    """A loop did not do what it was asked to."""


@dataclass(frozen=True)
class Work:
    """One kind of work: what it is called, how much of it, and the function that has it done.

    `run(loop, count)` returns the cost of one piece in `unit`. With a `point`, the loop watches so
    many handles meanwhile, none of which is ever ready.
    """

    part: str
    panel: str
    unit: str
    count: int
    run: Callable[[Loop, int], float]
    point: int | None = None
    axis: str = ""


# --- timers ---------------------------------------------------------------------------------------


def add_and_cancel(loop: Loop, count: int) -> float:
    """Set a timer and cancel it at once, a hundred in each turn; the turns are part of it."""
    for _ in range(BACKGROUND):
        loop.call_later(FAR, _nothing)
    call_later = loop.call_later
    left = count

    def some() -> None:
        nonlocal left
        for _ in range(100):
            call_later(FAR, _nothing).cancel()
        left -= 100
        if left > 0:
            loop.call_soon(some)
        else:
            loop.stop()

    return _time_to_run(loop, some) / count * 1e9


def renew(loop: Loop, count: int) -> float:
    """Set a new timeout and cancel the oldest of a thousand, as connections do at each message."""
    call_later = loop.call_later
    waiting = deque(call_later(FAR, _nothing) for _ in range(BACKGROUND))
    left = count

    def some() -> None:
        nonlocal left
        for _ in range(100):
            waiting.append(call_later(FAR, _nothing))
            waiting.popleft().cancel()
        left -= 100
        if left > 0:
            loop.call_soon(some)
        else:
            loop.stop()

    return _time_to_run(loop, some) / count * 1e9


def expire(loop: Loop, count: int) -> float:
    """Call timers that are all due: what taking out and calling one costs."""
    left = count

    def expired() -> None:
        nonlocal left
        left -= 1
        if not left:
            loop.stop()

    due = time.monotonic() + 0.002
    for _ in range(count):
        loop.call_later(0.001, expired)
    while time.monotonic() < due:
        pass
    return _time_to_run(loop, _nothing) / count * 1e9


# --- deferred calls -------------------------------------------------------------------------------


def chain(loop: Loop, count: int) -> float:
    """Defer a call that defers the next: one in each turn, so mostly what such a turn costs."""
    call_soon = loop.call_soon
    left = count

    def one() -> None:
        nonlocal left
        left -= 1
        if left:
            call_soon(one)
        else:
            loop.stop()

    return _time_to_run(loop, one) / count * 1e9


def batch(loop: Loop, count: int) -> float:
    """Defer a thousand calls in each turn: what one costs beside others."""
    call_soon = loop.call_soon
    left = count

    def thousand() -> None:
        nonlocal left
        left -= 1000
        for _ in range(999):
            call_soon(_nothing)
        call_soon(thousand if left > 0 else loop.stop)

    return _time_to_run(loop, thousand) / count * 1e9


# --- wakeups --------------------------------------------------------------------------------------


def wakeups(loop: Loop, count: int) -> float:
    """Wake a loop that sleeps from another thread: median time from the call to the callback."""
    took: list[int] = []
    heard = threading.Event()
    called = 0

    def hear() -> None:
        took.append(time.perf_counter_ns() - called)
        heard.set()

    def call_again_and_again() -> None:
        nonlocal called
        for _ in range(count):
            heard.clear()
            time.sleep(0.0003)  # time for the loop to fall asleep: that is what is to be measured
            called = time.perf_counter_ns()
            loop.call_threadsafe(hear)
            if not heard.wait(PATIENCE):
                break
        loop.call_threadsafe(loop.stop)

    thread = threading.Thread(target=call_again_and_again)
    thread.start()
    loop.run()
    thread.join()
    if len(took) < count:
        raise StuckError(f"wakeup {len(took) + 1} of {count} did not arrive in {PATIENCE:g} s")
    return statistics.median(took) / 1e3


# --- idle turns -----------------------------------------------------------------------------------


def idle_turns(loop: Loop, count: int) -> float:
    """Turn a loop that has a timer waiting, and as many handles as `measure_work` gave it.

    By a chain of deferred calls where turning it pass by pass has a cost of its own.
    """
    loop.call_later(FAR, _nothing)
    if not loop.turned:
        return chain(loop, count) / 1e3
    turn = loop.turn
    begin = time.perf_counter()
    for _ in range(count):
        turn()
    return (time.perf_counter() - begin) / count * 1e6


@contextmanager
def _silent_descriptors(count: int) -> Iterator[list[int]]:
    descriptors: list[int] = []
    try:
        for _ in range(count):
            descriptors.append(os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK))
        yield descriptors
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


# --- measuring ------------------------------------------------------------------------------------

#: Handles registered in the idle loop.
IDLE_HANDLES = (10, 100, 1000, 10_000)

WORKS = {
    "timers": (
        Work("timers", "add and cancel", NANOSECONDS, 10_000, add_and_cancel),
        Work("timers", "renew the oldest of 1,000", NANOSECONDS, 10_000, renew),
        Work("timers", "expire", NANOSECONDS, 5_000, expire),
    ),
    "deferred": (
        Work("deferred", "chain (one in a turn)", NANOSECONDS, 10_000, chain),
        Work("deferred", "batch (1,000 in a turn)", NANOSECONDS, 50_000, batch),
    ),
    "wakeups": (Work("wakeups", "from another thread", MICROSECONDS, 300, wakeups),),
    "idle": tuple(
        Work("idle", "a turn, one timer waiting", MICROSECONDS, 500, idle_turns, n, "handles")
        for n in IDLE_HANDLES
    ),
}


def measure(
    part: str, rounds: int, subjects: Sequence[str] = (), works: Sequence[Work] = ()
) -> list[Measurement]:
    """Measure one part over all loops that are here, or over those named."""
    here, absent = choose(subjects or names())
    output.tell_absent(absent)
    core, _ = cores()
    measured: list[Measurement] = []
    for work in output.progress(works or WORKS[part], part):
        # Both threads of a wakeup on one core would measure the scheduler.
        with pinned(None if part == "wakeups" else core):
            measured += measure_work(work, here, rounds)
    return measured


def measure_work(work: Work, subjects: Sequence[str], rounds: int) -> list[Measurement]:
    """Measure one kind of work over loops that are here."""
    handles = work.point or 0
    descriptors = handles + 50
    if raise_descriptor_limit(descriptors) < descriptors:
        print(f"bench: left out {handles} handles: ulimit -n allows no more", file=sys.stderr)
        return []

    def one_round(name: str) -> float:
        with _silent_descriptors(handles) as silent, opened(name) as loop:
            for descriptor in silent:
                loop.watch(descriptor, _nothing_ready)
            _time_to_run(loop, loop.stop)  # some tell the kernel of them only now
            gc.collect()
            return work.run(loop, work.count)

    able = {name: name for name in subjects if not too_many(name, descriptors)}
    return [
        Measurement(
            part=work.part,
            panel=work.panel,
            point=work.point,
            axis=work.axis,
            subject=name,
            unit=work.unit,
            higher_is_better=False,
            figures=tuple(figures),
            version=PEERS[name].version(),
        )
        for name, figures in rounds_of(able, one_round, rounds, StuckError).items()
    ]


def _time_to_run(loop: Loop, first: Callable[[], object]) -> float:
    """Return the seconds from deferring `first` to the end of `run`."""
    begin = time.perf_counter()
    loop.call_soon(first)
    loop.run()
    return time.perf_counter() - begin


def _nothing() -> None:
    """What a benchmark's timer or deferred call does."""


def _nothing_ready(_ready: int = 0, /) -> None:
    raise AssertionError("a descriptor that nobody writes to was ready")
