"""Listeners: accepting fairly, surviving want of descriptors."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reactor import Reactor
from reactor.errors import LimitError
from reactor.listener import Listener, listen
from reactor.stream import Stream, StreamHandler
from reactor.trace import ErrorContext
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


# Accepting.


def test_each_peer_is_accepted_with_its_address(
    reactor: Reactor, guests: Guests, clients: Clients
) -> None:
    listener = Listener(reactor, ANY, guests)
    clients.connect(listener.addresses[0], 3)
    assert reactor.run_until(lambda: len(guests) == 3, DEADLINE)
    assert [sock.getsockname() for sock in clients.sockets] == guests.peers
    assert listener.stats().accepted == 3


def test_port_0_takes_a_free_port_and_tells_which(reactor: Reactor, guests: Guests) -> None:
    listener = Listener(reactor, ANY, guests)
    assert listener.port == listener.addresses[0][1] != 0


def test_accepted_sockets_do_not_block_are_not_inherited_and_send_at_once(
    reactor: Reactor, guests: Guests, clients: Clients
) -> None:
    listener = Listener(reactor, ANY, guests)
    clients.connect(listener.addresses[0])
    assert reactor.run_until(lambda: len(guests) == 1, DEADLINE)
    (sock,) = guests.sockets
    assert not sock.get_inheritable()
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    with pytest.raises(BlockingIOError):
        sock.recv(1)


def test_the_budget_doubles_while_the_backlog_fills_it_and_halves_after(
    reactor: Reactor, guests: Guests, clients: Clients
) -> None:
    listener = Listener(reactor, ANY, guests, budget=(1, 4))
    clients.connect(listener.addresses[0], 12)
    accepted = []
    budgets = []
    while len(guests) < 12:
        before = len(guests)
        assert reactor.run_once(DEADLINE)
        accepted.append(len(guests) - before)
        budgets.append(listener.stats().budget)
    assert accepted == [1, 2, 4, 4, 1]
    assert budgets == [2, 4, 4, 4, 2]


def test_a_busy_door_does_not_keep_another_one_waiting(
    reactor: Reactor, guests: Guests, clients: Clients
) -> None:
    quiet = Guests()
    busy_door = Listener(reactor, ANY, guests, budget=(2, 2))
    quiet_door = Listener(reactor, ANY, quiet)
    clients.connect(busy_door.addresses[0], 20)
    clients.connect(quiet_door.addresses[0])
    assert reactor.run_until(lambda: len(quiet) == 1, DEADLINE)
    quiet.close()
    assert len(guests) <= 4


@pytest.mark.parametrize("budget", [(0, 4), (8, 4)])
def test_a_budget_that_makes_no_sense_is_refused(budget: tuple[int, int]) -> None:
    with Reactor() as reactor, pytest.raises(LimitError, match="accept budget"):
        Listener(reactor, ANY, lambda sock, _peer: sock.close(), budget=budget)


def test_what_on_accept_raises_costs_that_connection_only(
    reactor: Reactor, guests: Guests, clients: Clients
) -> None:
    reported: list[ErrorContext] = []
    reactor.on_error = reported.append

    def on_accept(sock: socket.socket, peer: Any) -> None:
        if not reported:
            raise ValueError("not this one")
        guests(sock, peer)

    listener = Listener(reactor, ANY, on_accept, budget=(8, 8))
    clients.connect(listener.addresses[0], 3)
    assert reactor.run_once(DEADLINE)
    assert ["not this one"] == [str(context.error) for context in reported]
    assert len(guests) == 2
    assert clients.sockets[0].recv(1) == b""
    stats = listener.stats()
    assert (3, 1) == (stats.accepted, stats.failed)


def test_an_interrupt_in_on_accept_closes_the_connection_and_goes_on_up(
    reactor: Reactor, clients: Clients
) -> None:
    def on_accept(_sock: socket.socket, _peer: Any) -> None:
        raise KeyboardInterrupt

    listener = Listener(reactor, ANY, on_accept)
    clients.connect(listener.addresses[0])
    with pytest.raises(KeyboardInterrupt):
        reactor.run_once(DEADLINE)
    assert clients.sockets[0].recv(1) == b""


def test_a_paused_listener_leaves_peers_in_the_backlog(
    reactor: Reactor, guests: Guests, clients: Clients
) -> None:
    listener = Listener(reactor, ANY, guests)
    listener.pause()
    clients.connect(listener.addresses[0])
    assert reactor.run_once(0) == 0
    listener.resume()
    assert reactor.run_until(lambda: len(guests) == 1, DEADLINE)


def test_a_listener_that_pauses_itself_takes_nobody_more_in_that_turn(
    reactor: Reactor, guests: Guests, clients: Clients
) -> None:
    def on_accept(sock: socket.socket, peer: Any) -> None:
        guests(sock, peer)
        listener.pause()

    listener = Listener(reactor, ANY, on_accept, budget=(8, 8))
    clients.connect(listener.addresses[0], 3)
    reactor.run_once(DEADLINE)
    assert len(guests) == 1


def test_after_close_nobody_is_accepted_even_if_on_accept_called_it(
    reactor: Reactor, guests: Guests, clients: Clients
) -> None:
    def on_accept(sock: socket.socket, peer: Any) -> None:
        guests(sock, peer)
        listener.close()

    listener = Listener(reactor, ANY, on_accept, budget=(8, 8))
    clients.connect(listener.addresses[0], 3)
    reactor.run_once(DEADLINE)
    reactor.run_once(0)
    assert len(guests) == 1
    assert listener.closed
    assert listener.port == 0
    assert reactor.stats().handles == 0


def test_a_closed_listener_frees_its_port_at_once(reactor: Reactor, guests: Guests) -> None:
    first = Listener(reactor, ANY, guests)
    port = first.port
    first.close()
    first.close()
    assert Listener(reactor, ("127.0.0.1", port), guests).port == port


def test_closing_the_reactor_closes_its_listeners(backend: str, guests: Guests) -> None:
    with Reactor(backend=backend) as reactor:
        listener = Listener(reactor, ANY, guests)
    assert listener.closed


def test_listeners_leave_no_descriptor_behind(
    reactor: Reactor, guests: Guests, clients: Clients, tmp_path: Path
) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = descriptors()
    for address in (ANY, str(tmp_path / "door"), ("localhost", 0)):
        Listener(reactor, address, guests).close()
    assert descriptors() == before


# Making streams.


class Greeter(StreamHandler):
    """Says hello and goodbye."""

    def on_open(self, stream: Stream) -> None:
        stream.write(b"hello")
        stream.close()


def test_listen_makes_a_stream_with_a_handler_of_its_own_for_each_peer(
    reactor: Reactor, clients: Clients
) -> None:
    handlers: list[Greeter] = []

    def make_handler() -> Greeter:
        handlers.append(Greeter())
        return handlers[-1]

    listener = listen(reactor, ANY, make_handler)
    clients.connect(listener.addresses[0], 2)
    assert reactor.run_until(lambda: reactor.stats().handles == 1 and len(handlers) == 2, DEADLINE)
    assert [b"hello", b"hello"] == [sock.recv(100) for sock in clients.sockets]


def test_a_handler_that_cannot_be_made_costs_its_peer_only(
    reactor: Reactor, clients: Clients
) -> None:
    reported: list[ErrorContext] = []
    reactor.on_error = reported.append

    def make_handler() -> StreamHandler:
        if not reported:
            raise ValueError("no handler today")
        return Greeter()

    listener = listen(reactor, ANY, make_handler)
    clients.connect(listener.addresses[0], 2)
    assert reactor.run_until(lambda: listener.stats().accepted == 2, DEADLINE)
    reactor.run_once(0)
    assert clients.sockets[0].recv(1) == b""
    assert clients.sockets[1].recv(5) == b"hello"
