"""The demultiplexers' contract, checked on every backend that works here."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator

import pytest

from reactor import demux
from reactor.budgets import MAX_WAIT
from reactor.demux import Demultiplexer
from reactor.demux._masks import milliseconds
from reactor.errors import (
    DescriptorLimitError,
    RegistrationError,
    UnknownBackendError,
    UnsupportedError,
)
from reactor.events import HANGUP, READ, WRITE, names


@pytest.fixture
def waiter(backend: str) -> Iterator[Demultiplexer]:
    demultiplexer = demux.open_demultiplexer(backend)
    yield demultiplexer
    demultiplexer.close()


Pair = tuple[socket.socket, socket.socket]


def test_nothing_is_ready_when_nothing_is_registered(waiter: Demultiplexer) -> None:
    assert waiter.wait(0) == []


def test_readable_means_read(waiter: Demultiplexer, pair: Pair) -> None:
    ours, peer = pair
    waiter.register(ours.fileno(), READ, 7)
    assert waiter.wait(0) == []
    peer.send(b"x")
    assert waiter.wait(1) == [(7, READ)]


def test_writable_means_write(waiter: Demultiplexer, pair: Pair) -> None:
    waiter.register(pair[0].fileno(), WRITE, 8)
    assert waiter.wait(1) == [(8, WRITE)]


def test_both_are_reported_together(waiter: Demultiplexer, pair: Pair) -> None:
    ours, peer = pair
    peer.send(b"x")
    waiter.register(ours.fileno(), READ | WRITE, 9)
    assert waiter.wait(1) == [(9, READ | WRITE)]


def test_what_is_ready_is_reported_until_it_is_dealt_with(
    waiter: Demultiplexer, pair: Pair
) -> None:
    ours, peer = pair
    peer.send(b"x")
    waiter.register(ours.fileno(), READ, 1)
    assert [waiter.wait(0) for _ in range(3)] == [[(1, READ)]] * 3
    ours.recv(1)
    assert waiter.wait(0) == []


def test_modify_changes_the_interest_and_the_token(waiter: Demultiplexer, pair: Pair) -> None:
    ours, peer = pair
    peer.send(b"x")
    waiter.register(ours.fileno(), WRITE, 1)
    waiter.modify(ours.fileno(), READ, 2)
    assert waiter.wait(1) == [(2, READ)]


def test_a_token_may_be_any_object(waiter: Demultiplexer, pair: Pair) -> None:
    token = object()
    waiter.register(pair[0].fileno(), WRITE, token)
    assert waiter.wait(1) == [(token, WRITE)]


def test_an_interest_of_nothing_reports_nothing_not_even_a_hangup(
    waiter: Demultiplexer, pair: Pair
) -> None:
    ours, peer = pair
    waiter.register(ours.fileno(), READ, 1)
    waiter.modify(ours.fileno(), 0, 1)
    peer.close()
    assert waiter.wait(0) == []
    waiter.modify(ours.fileno(), READ, 1)
    [(token, ready)] = waiter.wait(1)
    assert (token, ready & READ) == (1, READ)


def test_a_descriptor_can_be_registered_for_nothing_at_first(
    waiter: Demultiplexer, pair: Pair
) -> None:
    waiter.register(pair[0].fileno(), 0, 1)
    assert waiter.wait(0) == []
    waiter.modify(pair[0].fileno(), WRITE, 1)
    assert waiter.wait(1) == [(1, WRITE)]


@pytest.mark.parametrize("interest", [READ, WRITE])
def test_a_hangup_wakes_whichever_side_is_registered(
    waiter: Demultiplexer, pair: Pair, interest: int
) -> None:
    ours, peer = pair
    waiter.register(ours.fileno(), interest, 1)
    peer.close()
    [(token, ready)] = waiter.wait(1)
    assert (token, ready & interest) == (1, interest)


def test_hangup_alone_tells_of_a_peer_that_has_finished_sending(
    waiter: Demultiplexer, pair: Pair
) -> None:
    ours, peer = pair
    if not waiter.features.early_close:
        with pytest.raises(UnsupportedError, match="poll"):
            waiter.register(ours.fileno(), HANGUP, 1)
        return
    waiter.register(ours.fileno(), HANGUP, 1)
    peer.send(b"unread")
    assert waiter.wait(0) == []
    peer.shutdown(socket.SHUT_WR)
    assert waiter.wait(1) == [(1, HANGUP)]


def test_registering_twice_is_refused(waiter: Demultiplexer, pair: Pair) -> None:
    waiter.register(pair[0].fileno(), READ, 1)
    with pytest.raises(RegistrationError, match="already registered"):
        waiter.register(pair[0].fileno(), READ, 2)


def test_modifying_the_unregistered_is_refused(waiter: Demultiplexer, pair: Pair) -> None:
    with pytest.raises(RegistrationError, match="not registered"):
        waiter.modify(pair[0].fileno(), READ, 1)


@pytest.mark.parametrize("interest", [0, READ])
def test_registering_a_closed_descriptor_is_refused(waiter: Demultiplexer, interest: int) -> None:
    end, other = socket.socketpair()
    fd = end.fileno()
    end.close()
    with pytest.raises(RegistrationError):
        waiter.register(fd, interest, 1)
    other.close()


def test_unregistering_is_forgiving(waiter: Demultiplexer) -> None:
    ours, peer = socket.socketpair()
    fd = ours.fileno()
    waiter.unregister(fd)
    waiter.register(fd, READ, 1)
    ours.close()
    waiter.unregister(fd)
    waiter.unregister(fd)
    peer.close()
    assert waiter.stats().registered == 0


def test_a_descriptor_closed_while_registered_costs_the_others_nothing(
    waiter: Demultiplexer, pair: Pair
) -> None:
    doomed, other = socket.socketpair()
    waiter.register(doomed.fileno(), READ, 1)
    waiter.register(pair[0].fileno(), WRITE, 2)
    doomed.close()
    assert waiter.wait(0.01) == [(2, WRITE)]
    assert waiter.wait(0.01) == [(2, WRITE)]
    other.close()


def test_every_ready_descriptor_is_reported_however_many(waiter: Demultiplexer) -> None:
    limit = waiter.features.descriptor_limit
    count = 400 if limit else 3000
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 10_000), hard))
    with contextlib.ExitStack() as stack:
        for token in range(count):
            ours, peer = socket.socketpair()
            stack.enter_context(ours)
            stack.enter_context(peer)
            waiter.register(ours.fileno(), WRITE, token)
        assert sorted(waiter.wait(1)) == [(token, WRITE) for token in range(count)]


@pytest.mark.parametrize("count", [255, 256, 257])
def test_as_many_as_fit_the_first_buffer_exactly_are_reported_and_then_fewer(
    waiter: Demultiplexer, count: int
) -> None:
    with contextlib.ExitStack() as stack:
        fds = []
        for token in range(count):
            ours, peer = socket.socketpair()
            stack.enter_context(ours)
            stack.enter_context(peer)
            fds.append(ours.fileno())
            waiter.register(ours.fileno(), WRITE, token)
        assert sorted(waiter.wait(1)) == [(token, WRITE) for token in range(count)]
        for fd in fds[1:]:
            waiter.modify(fd, 0, fd)
        assert waiter.wait(1) == [(0, WRITE)]
        for token, fd in enumerate(fds):
            waiter.modify(fd, WRITE, token)
        assert sorted(waiter.wait(1)) == [(token, WRITE) for token in range(count)]


def test_a_descriptor_beyond_the_limit_is_refused_with_the_mend(
    waiter: Demultiplexer, pair: Pair
) -> None:
    limit = waiter.features.descriptor_limit
    if limit is None:
        high = os.dup2(pair[0].fileno(), 2000, inheritable=False)
        waiter.register(high, WRITE, 1)
        assert waiter.wait(1) == [(1, WRITE)]
        waiter.unregister(high)
    else:
        high = os.dup2(pair[0].fileno(), limit, inheritable=False)
        with pytest.raises(DescriptorLimitError, match="backend='epoll'"):
            waiter.register(high, WRITE, 1)
    os.close(high)


def test_a_regular_file_is_always_ready(waiter: Demultiplexer) -> None:
    with tempfile.TemporaryFile() as file:
        waiter.register(file.fileno(), READ | WRITE, 1)
        assert waiter.wait(None) == [(1, READ | WRITE)]
        waiter.modify(file.fileno(), READ, 2)
        assert waiter.wait(None) == [(2, READ)]
        waiter.modify(file.fileno(), 0, 3)
        assert waiter.wait(0) == []


def test_a_wait_never_ends_before_its_timeout(waiter: Demultiplexer) -> None:
    for timeout in (0.0001, 0.0011, 0.0049):
        start = time.monotonic()
        waiter.wait(timeout)
        assert time.monotonic() - start >= timeout


def test_an_interrupted_wait_goes_on(waiter: Demultiplexer, pair: Pair) -> None:
    arrived: list[int] = []
    previous = signal.signal(signal.SIGALRM, lambda number, _frame: arrived.append(number))
    waiter.register(pair[0].fileno(), READ, 1)
    try:
        start = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        assert waiter.wait(0.05) == []
        assert time.monotonic() - start >= 0.05
        assert arrived == [signal.SIGALRM]
    finally:
        signal.signal(signal.SIGALRM, previous)


def test_a_wait_without_timeout_ends_when_something_happens(
    waiter: Demultiplexer, pair: Pair
) -> None:
    ours, peer = pair
    waiter.register(ours.fileno(), READ, 1)
    sender = threading.Timer(0.01, peer.send, [b"x"])
    sender.start()
    assert waiter.wait(None) == [(1, READ)]
    sender.join()


def test_stats_count_waits_and_events(waiter: Demultiplexer, pair: Pair) -> None:
    waiter.register(pair[0].fileno(), WRITE, 1)
    waiter.wait(0)
    waiter.wait(0)
    stats = waiter.stats()
    assert (stats.backend, stats.registered, stats.waits, stats.events) == (
        waiter.features.name,
        1,
        2,
        2,
    )


def test_closing_twice_is_harmless(waiter: Demultiplexer) -> None:
    waiter.close()
    waiter.close()
    assert waiter.closed


def test_a_pollable_backend_can_be_watched_by_another(waiter: Demultiplexer, pair: Pair) -> None:
    ours, peer = pair
    if not waiter.features.pollable:
        with pytest.raises(UnsupportedError, match="backend='epoll'"):
            waiter.fileno()
        return
    host = demux.open_demultiplexer("select")
    waiter.register(ours.fileno(), READ, 1)
    host.register(waiter.fileno(), READ, 2)
    assert host.wait(0) == []
    peer.send(b"x")
    assert host.wait(1) == [(2, READ)]
    host.close()


def test_the_best_backend_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REACTOR_BACKEND", raising=False)
    chosen = demux.open_demultiplexer()
    assert chosen.features.name == demux.available()[0]
    chosen.close()


def test_the_environment_forces_a_backend(monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    monkeypatch.setenv("REACTOR_BACKEND", backend)
    forced = demux.open_demultiplexer()
    assert forced.features.name == backend
    forced.close()


def test_an_unknown_backend_is_named_with_the_ones_that_exist(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(UnknownBackendError, match=r"backend='kqeue'.*io_uring, poll, select"):
        demux.open_demultiplexer("kqeue")
    monkeypatch.setenv("REACTOR_BACKEND", "fast")
    with pytest.raises(UnknownBackendError, match="REACTOR_BACKEND='fast'"):
        demux.open_demultiplexer()


def test_a_backend_that_does_not_work_is_passed_over_unless_it_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken() -> Demultiplexer:
        raise OSError("not implemented")

    monkeypatch.delenv("REACTOR_BACKEND", raising=False)
    for name in ("epoll_c", "epoll", "io_uring"):
        monkeypatch.setitem(demux.BACKENDS, name, broken)
    assert demux.available() == ["poll", "select"]
    chosen = demux.open_demultiplexer()
    assert chosen.features.name == "poll"
    chosen.close()
    with pytest.raises(UnknownBackendError, match="does not work on this machine"):
        demux.open_demultiplexer("epoll")


@pytest.mark.parametrize(
    ("timeout", "expected"),
    [
        (None, -1),
        (-1.0, 0),
        (0, 0),
        (1e-9, 1),
        (0.001, 1),
        (0.0010001, 2),
        (1e9, int(MAX_WAIT * 1000)),
    ],
)
def test_milliseconds_are_rounded_up_and_capped(timeout: float | None, expected: int) -> None:
    assert milliseconds(timeout) == expected


@pytest.mark.parametrize(
    ("mask", "expected"),
    [(0, "nothing"), (READ, "READ"), (READ | WRITE | HANGUP, "READ|WRITE|HANGUP")],
)
def test_a_mask_can_be_said_in_words(mask: int, expected: str) -> None:
    assert names(mask) == expected


def test_features_tell_the_backends_apart() -> None:
    limits = {name: demux.features(name).descriptor_limit for name in demux.available()}
    for name in ("epoll_c", "io_uring"):
        limits.pop(name, None)  # only where the C was built, and the kernel allows it
    assert limits == {"epoll": None, "poll": None, "select": 1024}


def test_a_host_does_not_lose_sight_of_a_set_that_was_built_anew(pair: Pair) -> None:
    inner, host = demux.open_demultiplexer("epoll"), demux.open_demultiplexer("epoll")
    ours, peer = socket.socketpair()
    host.register(inner.fileno(), READ, 1)
    inner.register(ours.fileno(), READ, 1)
    ghost = os.dup(ours.fileno())
    number = ours.fileno()
    peer.send(b"x")
    ours.close()
    inner.unregister(number)
    assert inner.wait(0) == []
    assert inner.stats().rebuilds == 1
    assert host.wait(0) == []
    inner.register(pair[0].fileno(), WRITE, 2)
    assert host.wait(1) == [(1, READ)]
    inner.close()
    host.close()
    os.close(ghost)
    peer.close()


def test_a_backend_says_when_something_is_always_ready(waiter: Demultiplexer) -> None:
    with tempfile.TemporaryFile() as file:
        waiter.register(file.fileno(), READ, 1)
        assert waiter.always_ready is waiter.features.name.startswith("epoll")
        waiter.unregister(file.fileno())
        assert waiter.always_ready is False
