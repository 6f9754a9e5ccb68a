"""Listeners in trouble: peers that gave up, no memory, no descriptors; never spinning."""

from __future__ import annotations

import errno
import json
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reactor import Reactor
from reactor.clock import ManualClock
from reactor.listener import REST, Listener
from tests.support.network import ANY, DEADLINE, Clients, Guests

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def reactor(backend: str) -> Iterator[Reactor]:
    with Reactor(backend=backend) as reactor:
        yield reactor


@pytest.fixture
def guests() -> Iterator[Guests]:
    guests = Guests()
    yield guests
    guests.close()


@pytest.fixture
def clients() -> Iterator[Clients]:
    clients = Clients()
    yield clients
    clients.close()


class TroubledSocket(socket.socket):
    """A listening socket whose next `accept` calls fail with these errors, in this order."""

    troubles: list[int]

    def accept(self) -> tuple[socket.socket, Any]:
        if self.troubles:
            number = self.troubles.pop(0)
            raise OSError(number, os.strerror(number))
        return super().accept()


def troubled(*troubles: int) -> TroubledSocket:
    sock = TroubledSocket(socket.AF_INET, socket.SOCK_STREAM)
    sock.bind(ANY)
    sock.troubles = list(troubles)
    return sock


def test_a_peer_that_gave_up_in_the_backlog_is_counted_and_the_next_one_served(
    reactor: Reactor, guests: Guests, clients: Clients
) -> None:
    listener = Listener(reactor, troubled(errno.ECONNABORTED, errno.EPROTO), guests, budget=(8, 8))
    clients.connect(listener.addresses[0])
    assert reactor.run_until(lambda: len(guests) == 1, DEADLINE)
    assert listener.stats().aborted == 2
    assert listener.stats().incidents == 0


@pytest.mark.parametrize("trouble", [errno.ENOBUFS, errno.ENOMEM, errno.EIO])
def test_without_memory_the_listener_rests_longer_each_time_and_then_goes_on(
    backend: str,
    guests: Guests,
    clients: Clients,
    caplog: pytest.LogCaptureFixture,
    trouble: int,
) -> None:
    clock = ManualClock()
    with Reactor(backend=backend, clock=clock) as reactor:
        listener = Listener(reactor, troubled(*[trouble] * 6), guests)
        clients.connect(listener.addresses[0])
        reactor.run_once(0)
        for rest in (0.1, 0.2, 0.4, 0.8, 1.0):
            clock.advance(rest - 0.01)
            assert reactor.run_once(0) == 0
            clock.advance(0.02)
            assert reactor.run_once(0) == 1  # the end of the rest
            assert reactor.run_once(0) == 1  # the next attempt, in vain
        clock.advance(REST[1])
        reactor.run_once(0)
        reactor.run_once(0)
        stats = listener.stats()
    assert len(guests) == 1
    assert (1, 6, 0) == (stats.incidents, stats.rests, stats.shed)
    (line,) = [record.getMessage() for record in caplog.records]
    assert os.strerror(trouble) in line


def test_trouble_after_a_quiet_time_is_a_new_incident_with_a_line_of_its_own(
    guests: Guests, clients: Clients, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock()
    with Reactor(clock=clock) as reactor:
        sock = troubled(errno.ENOBUFS)
        listener = Listener(reactor, sock, guests)
        clients.connect(listener.addresses[0], 2)
        for trouble in (errno.ENOBUFS, errno.ENOBUFS):
            reactor.run_once(0)
            clock.advance(60.0)
            reactor.run_once(0)
            reactor.run_once(0)
            sock.troubles.append(trouble)
        assert listener.stats().incidents == 2
    assert len(caplog.records) == 2


def test_after_a_success_the_next_rest_is_a_short_one_again(
    guests: Guests, clients: Clients
) -> None:
    clock = ManualClock()
    with Reactor(clock=clock) as reactor:
        sock = troubled(errno.ENOBUFS, errno.ENOBUFS)
        listener = Listener(reactor, sock, guests)
        clients.connect(listener.addresses[0])
        while not len(guests):
            reactor.run_once(0)
            clock.advance(REST[1])
        sock.troubles.append(errno.ENOBUFS)
        clients.connect(listener.addresses[0])
        reactor.run_once(0)
        clock.advance(REST[0])
        reactor.run_once(0)
        assert reactor.run_once(0) == 1
        assert len(guests) == 2


def test_pausing_a_listener_that_rests_keeps_it_paused_after_the_rest(
    guests: Guests, clients: Clients
) -> None:
    clock = ManualClock()
    with Reactor(clock=clock) as reactor:
        listener = Listener(reactor, troubled(errno.ENOMEM), guests)
        clients.connect(listener.addresses[0])
        reactor.run_once(0)
        listener.pause()
        clock.advance(5.0)
        reactor.run_once(0)
        reactor.run_once(0)
        assert len(guests) == 0
        listener.resume()
        reactor.run_once(0)
        assert len(guests) == 1


def test_closing_a_listener_that_rests_leaves_no_timer(clients: Clients, guests: Guests) -> None:
    with Reactor(clock=ManualClock()) as reactor:
        listener = Listener(reactor, troubled(errno.ENOMEM), guests)
        clients.connect(listener.addresses[0])
        reactor.run_once(0)
        listener.close()
        assert reactor.next_deadline() is None


#: Runs out of descriptors with three peers in the backlog, then has some again.
OUT_OF_DESCRIPTORS = """
import json, logging, os, resource, socket, sys
from reactor import Reactor
from reactor.listener import Listener

class Lines(logging.Handler):
    lines = []
    def emit(self, record):
        self.lines.append(record.getMessage())

logging.getLogger("reactor").addHandler(Lines())
guests = []
with Reactor(backend=sys.argv[1]) as reactor:
    listener = Listener(reactor, ("127.0.0.1", 0), lambda sock, peer: guests.append(sock))
    clients = [socket.create_connection(listener.addresses[0], 10) for _ in range(3)]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    fillers = []
    try:
        while True:
            fillers.append(os.dup(0))
    except OSError:
        pass
    turns = 0
    while reactor.run_once(0.2) and turns < 100:
        turns += 1
    turned_away = [client.recv(1) == b"" for client in clients]
    for filler in fillers:
        os.close(filler)
    late = socket.create_connection(listener.addresses[0], 10)
    served = reactor.run_until(lambda: len(guests) == 1, 10)
    stats = listener.stats()
    result = dict(turns=turns, turned_away=turned_away, served=served, shed=stats.shed,
                  incidents=stats.incidents, rests=stats.rests, lines=Lines.lines)
    print(json.dumps(result))
    for sock in [*clients, late, *guests]:
        sock.close()
"""


def test_out_of_descriptors_peers_are_turned_away_without_spinning_and_later_served(
    backend: str,
) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", OUT_OF_DESCRIPTORS, backend],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    result = json.loads(done.stdout)
    assert [True, True, True] == result["turned_away"]
    assert result["served"]
    assert (3, 1, 0) == (result["shed"], result["incidents"], result["rests"])
    assert result["turns"] <= 3
    (line,) = result["lines"]
    assert "Too many open files" in line


def test_when_even_the_reserve_is_taken_the_listener_rests(
    guests: Guests, clients: Clients, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock()
    with Reactor(clock=clock) as reactor:
        # The second failure is that of the accept with the reserve descriptor.
        listener = Listener(reactor, troubled(errno.EMFILE, errno.EMFILE), guests)
        clients.connect(listener.addresses[0])
        reactor.run_once(0)
        stats = listener.stats()
        assert (1, 1, 0) == (stats.incidents, stats.rests, stats.shed)
        assert reactor.run_once(0) == 0
        clock.advance(REST[0])
        reactor.run_once(0)
        reactor.run_once(0)
    assert len(guests) == 1
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1


def test_a_reserve_that_was_lost_is_taken_again_as_soon_as_it_can_be(
    guests: Guests, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    clock = ManualClock()
    with Reactor(clock=clock) as reactor:
        listener = Listener(reactor, troubled(*[errno.EMFILE] * 4), guests)
        clients.connect(listener.addresses[0])
        before = len(os.listdir("/proc/self/fd"))
        with monkeypatch.context() as patch:
            patch.setattr(os, "open", fail)
            for _ in range(3):  # in vain with the reserve, and twice without one
                reactor.run_once(0)
                clock.advance(REST[1])
                reactor.run_once(0)
        assert len(os.listdir("/proc/self/fd")) == before - 1
        for _ in range(3):
            clock.advance(REST[1])
            reactor.run_once(0)
        stats = listener.stats()
        assert (1, 3, 0, 1) == (stats.incidents, stats.rests, stats.shed, stats.accepted)
        clock.advance(REST[1])
        reactor.run_once(0)
