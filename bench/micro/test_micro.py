"""What the reactor's single operations cost, by backend: `make bench`, or

    python -m pytest bench/micro

Each benchmark does one operation and undoes it where it has to, so that nothing piles up; what the
undoing costs is in the figure, and in the name.
"""

# ruff: noqa: D103  # a test's name is a sentence, which a docstring would only repeat
from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from reactor import READ, WRITE, Reactor
from reactor.demux import available

pytest.importorskip("pytest_benchmark", reason="pip install pytest-benchmark")

#: What pytest-benchmark's fixture is: it calls a function often, and returns what that returned.
Benchmark = Callable[..., object]

FAR = 3600.0


@pytest.fixture(params=available())
def reactor(request: pytest.FixtureRequest) -> Iterator[Reactor]:
    with Reactor(backend=request.param) as made:
        yield made


@pytest.fixture
def descriptor() -> Iterator[int]:
    made = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    yield made
    os.close(made)


def nothing(*_: object) -> None:
    """What is called."""


def test_register_and_close_a_handle(
    benchmark: Benchmark, reactor: Reactor, descriptor: int
) -> None:
    benchmark(lambda: reactor.register(descriptor, READ, nothing).close())


def test_modify_a_handle_and_back(benchmark: Benchmark, reactor: Reactor, descriptor: int) -> None:
    handle = reactor.register(descriptor, READ, nothing)

    def back_and_forth() -> None:
        handle.modify(WRITE)
        handle.modify(READ)

    benchmark(back_and_forth)


def test_add_a_timer_and_cancel_it(benchmark: Benchmark, reactor: Reactor) -> None:
    benchmark(lambda: reactor.call_later(FAR, nothing).cancel())


def test_add_a_timer_beside_a_thousand_and_cancel_it(
    benchmark: Benchmark, reactor: Reactor
) -> None:
    for _ in range(1000):
        reactor.call_later(FAR, nothing)
    benchmark(lambda: reactor.call_later(FAR, nothing).cancel())


def test_defer_a_call_and_turn(benchmark: Benchmark, reactor: Reactor) -> None:
    def defer_and_turn() -> None:
        reactor.call_soon(nothing)
        reactor.run_once(0)

    benchmark(defer_and_turn)


def test_defer_a_hundred_calls_and_turn(benchmark: Benchmark, reactor: Reactor) -> None:
    def defer_and_turn() -> None:
        for _ in range(100):
            reactor.call_soon(nothing)
        reactor.run_once(0)

    benchmark(defer_and_turn)


def test_turn_with_nothing_ready(benchmark: Benchmark, reactor: Reactor, descriptor: int) -> None:
    reactor.register(descriptor, READ, nothing)
    benchmark(reactor.run_once, 0)


def test_dispatch_one_handler(benchmark: Benchmark, reactor: Reactor, descriptor: int) -> None:
    # Writable at every turn, so the turn is one wait and one call.
    reactor.register(descriptor, WRITE, nothing)
    benchmark(reactor.run_once, 0)
