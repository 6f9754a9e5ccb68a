"""Listeners: accepting fairly, surviving want of descriptors, and the files of Unix sockets."""

from __future__ import annotations

import errno
import json
import logging
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reactor import Reactor, sockets
from reactor.clock import ManualClock
from reactor.errors import LimitError, RegistrationError
from reactor.listener import REST, Listener, listen
from reactor.stream import Stream, StreamHandler
from reactor.trace import ErrorContext

DEADLINE = 10.0
ANY = ("127.0.0.1", 0)
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def reactor(backend: str) -> Iterator[Reactor]:
    with Reactor(backend=backend) as reactor:
        yield reactor


class Guests:
    """Whoever was accepted, kept so that their sockets are closed at the end."""

    def __init__(self) -> None:
        self.sockets: list[socket.socket] = []
        self.peers: list[Any] = []

    def __call__(self, sock: socket.socket, peer: Any) -> None:
        self.sockets.append(sock)
        self.peers.append(peer)

    def __len__(self) -> int:
        return len(self.sockets)

    def close(self) -> None:
        for sock in self.sockets:
            sock.close()


@pytest.fixture
def guests() -> Iterator[Guests]:
    guests = Guests()
    yield guests
    guests.close()


class Clients:
    """Connections to a listener, kept so that they are closed at the end."""

    def __init__(self) -> None:
        self.sockets: list[socket.socket] = []

    def connect(self, address: Any, count: int = 1) -> None:
        for _ in range(count):
            family = _family(address)
            sock = socket.socket(family, socket.SOCK_STREAM)
            self.sockets.append(sock)
            sock.settimeout(DEADLINE)
            sock.connect(address)

    def close(self) -> None:
        for sock in self.sockets:
            sock.close()


@pytest.fixture
def clients() -> Iterator[Clients]:
    clients = Clients()
    yield clients
    clients.close()


def _family(address: Any) -> int:
    if not isinstance(address, tuple):
        return socket.AF_UNIX
    return socket.AF_INET6 if ":" in address[0] else socket.AF_INET


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


# Addresses.


def test_a_port_in_use_is_refused_with_its_address_and_the_mend(
    reactor: Reactor, guests: Guests
) -> None:
    port = Listener(reactor, ANY, guests).port
    with pytest.raises(OSError, match=f"127.0.0.1:{port}: Address already in use; .*another") as e:
        Listener(reactor, ("127.0.0.1", port), guests)
    assert e.value.errno == errno.EADDRINUSE


def test_an_address_that_is_not_ours_is_refused_with_the_mend(
    reactor: Reactor, guests: Guests
) -> None:
    # 192.0.2.0/24 is set aside for documentation (RFC 5737), so no machine has it.
    with pytest.raises(OSError, match=r"192\.0\.2\.1:0: .*; choose an address of this machine"):
        Listener(reactor, ("192.0.2.1", 0), guests)


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_does_not_exist_is_refused(port: int) -> None:
    with Reactor() as reactor, pytest.raises(LimitError, match=f"port {port} does not exist"):
        Listener(reactor, ("127.0.0.1", port), lambda sock, _peer: sock.close())


def test_a_refused_address_leaves_no_handle_behind(reactor: Reactor, guests: Guests) -> None:
    port = Listener(reactor, ANY, guests).port
    handles = reactor.stats().handles
    with pytest.raises(OSError, match="in use"):
        Listener(reactor, ("127.0.0.1", port), guests)
    assert handles == reactor.stats().handles


def test_reuse_port_lets_two_listeners_share_one(
    reactor: Reactor, guests: Guests, clients: Clients
) -> None:
    first = Listener(reactor, ANY, guests, reuse_port=True)
    second = Listener(reactor, ("127.0.0.1", first.port), guests, reuse_port=True)
    clients.connect(first.addresses[0], 8)
    assert reactor.run_until(lambda: len(guests) == 8, DEADLINE)
    assert first.stats().accepted + second.stats().accepted == 8


def test_a_bound_socket_is_taken_over_and_closed(
    reactor: Reactor, guests: Guests, clients: Clients
) -> None:
    sock = socket.socket()
    sock.bind(ANY)
    listener = Listener(reactor, sock, guests)
    clients.connect(sock.getsockname())
    assert reactor.run_until(lambda: len(guests) == 1, DEADLINE)
    listener.close()
    assert sock.fileno() == -1


def test_a_socket_that_cannot_listen_is_refused() -> None:
    refused = pytest.raises(RegistrationError, match="SOCK_STREAM")
    with Reactor() as reactor, socket.socket(type=socket.SOCK_DGRAM) as sock, refused:
        Listener(reactor, sock, lambda sock, _peer: sock.close())


def test_every_address_of_a_name_gets_the_same_port(
    reactor: Reactor, guests: Guests, clients: Clients
) -> None:
    listener = Listener(reactor, ("localhost", 0), guests)
    assert {listener.port} == {address[1] for address in listener.addresses}
    for address in listener.addresses:
        clients.connect(address[:2])
    assert reactor.run_until(lambda: len(guests) == len(listener.addresses), DEADLINE)


def test_a_name_that_nobody_knows_is_refused_by_name() -> None:
    with Reactor() as reactor, pytest.raises(OSError, match=r"cannot look up 'no such host'"):
        Listener(reactor, ("no such host", 0), lambda sock, _peer: sock.close())


needs_ipv6 = pytest.mark.skipif(
    not Path("/proc/net/if_inet6").exists(), reason="this machine has no IPv6"
)


@needs_ipv6
def test_an_ipv6_listener_leaves_the_ipv4_port_alone_unless_asked(
    reactor: Reactor, guests: Guests, clients: Clients
) -> None:
    six = Listener(reactor, ("::1", 0), guests)
    clients.connect(("::1", six.port))
    assert reactor.run_until(lambda: len(guests) == 1, DEADLINE)
    four = Listener(reactor, ("0.0.0.0", 0), guests)
    both = Listener(reactor, ("::", 0), guests, v6only=False)
    clients.connect(("127.0.0.1", both.port))
    assert reactor.run_until(lambda: len(guests) == 2, DEADLINE)
    assert guests.peers[1][0] == "::ffff:127.0.0.1"
    Listener(reactor, ("::", four.port), guests)


def name_server(monkeypatch: pytest.MonkeyPatch, *hosts: str) -> None:
    """Let every name have these addresses."""
    rows = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 0)) for host in hosts]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: rows)


def test_an_address_of_a_name_that_this_machine_has_not_is_left_out(
    reactor: Reactor, guests: Guests, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_server(monkeypatch, "192.0.2.1", "127.0.0.1")
    listener = Listener(reactor, ("app", 0), guests)
    assert [address[0] for address in listener.addresses] == ["127.0.0.1"]
    name_server(monkeypatch, "192.0.2.1", "192.0.2.2")
    with pytest.raises(OSError, match="choose an address of this machine"):
        Listener(reactor, ("app", 0), guests)


def test_a_free_port_is_free_at_every_address_of_the_name(
    reactor: Reactor, guests: Guests, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound: list[Any] = []
    really_bind = sockets._bind

    def bind(family: int, sockaddr: Any, *options: bool) -> socket.socket:
        bound.append(sockaddr)
        if len(bound) == 2:  # the port that the first address chose is taken at the second
            raise OSError(errno.EADDRINUSE, "taken")
        return really_bind(family, sockaddr, *options)

    name_server(monkeypatch, "127.0.0.1", "127.0.0.2")
    monkeypatch.setattr(sockets, "_bind", bind)
    listener = Listener(reactor, ("app", 0), guests)
    assert [host for host, _ in bound] == ["127.0.0.1", "127.0.0.2"] * 2
    assert [address[0] for address in listener.addresses] == ["127.0.0.1", "127.0.0.2"]
    assert {address[1] for address in listener.addresses} == {listener.port}


def test_a_listener_that_cannot_be_registered_leaves_nothing(
    guests: Guests, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **options: Any) -> Any:
        raise RegistrationError("not here")

    with Reactor() as reactor:
        before = len(os.listdir("/proc/self/fd"))
        monkeypatch.setattr(reactor, "register", refuse)
        with pytest.raises(RegistrationError, match="not here"):
            Listener(reactor, str(tmp_path / "door"), guests)
        assert len(os.listdir("/proc/self/fd")) == before
    assert list(tmp_path.iterdir()) == []


# Unix sockets.


def test_a_path_is_listened_at_and_removed_on_close(
    reactor: Reactor, guests: Guests, clients: Clients, tmp_path: Path
) -> None:
    path = tmp_path / "door"
    listener = Listener(reactor, str(path), guests)
    clients.connect(str(path))
    assert reactor.run_until(lambda: len(guests) == 1, DEADLINE)
    assert listener.port == 0
    listener.close()
    assert not path.exists()


def test_a_path_that_a_dead_program_left_is_taken_over(
    reactor: Reactor, guests: Guests, clients: Clients, tmp_path: Path
) -> None:
    path = str(tmp_path / "door")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
        dead.listen()
    assert stat.S_ISSOCK(os.stat(path).st_mode)
    Listener(reactor, path, guests)
    clients.connect(path)
    assert reactor.run_until(lambda: len(guests) == 1, DEADLINE)


@pytest.mark.parametrize("waiting", [0, 1])
def test_a_path_of_a_living_listener_is_refused_even_if_its_backlog_is_full(
    reactor: Reactor, guests: Guests, clients: Clients, tmp_path: Path, waiting: int
) -> None:
    path = str(tmp_path / "door")
    with socket.socket(socket.AF_UNIX) as living:
        living.bind(path)
        living.listen(0)
        clients.connect(path, waiting)
        with pytest.raises(OSError, match=f"unix:{path}: Address already in use"):
            Listener(reactor, path, guests)
    assert stat.S_ISSOCK(os.stat(path).st_mode)


def test_a_file_that_is_no_socket_is_never_removed(
    reactor: Reactor, guests: Guests, tmp_path: Path
) -> None:
    path = tmp_path / "letters"
    path.write_text("dear")
    with pytest.raises(OSError, match="Address already in use"):
        Listener(reactor, str(path), guests)
    assert path.read_text() == "dear"


def test_a_socket_file_that_took_the_place_of_ours_is_not_removed_on_close(
    reactor: Reactor, guests: Guests, tmp_path: Path
) -> None:
    path = tmp_path / "door"
    listener = Listener(reactor, str(path), guests)
    kept = tmp_path / "kept"
    path.rename(kept)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        listener.close()
        assert path.exists()


def test_a_path_in_a_folder_that_does_not_exist_says_so(
    reactor: Reactor, guests: Guests, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError, match="No such file or directory; make the folder"):
        Listener(reactor, str(tmp_path / "nowhere" / "door"), guests)


def test_a_path_that_is_too_long_says_so(reactor: Reactor, guests: Guests) -> None:
    with pytest.raises(OSError, match="path too long"):
        Listener(reactor, "/tmp/" + "x" * 200, guests)


def test_an_abstract_path_needs_no_file(reactor: Reactor, guests: Guests, clients: Clients) -> None:
    path = f"\0reactor-test-{os.getpid()}-{reactor.stats().backend}"
    Listener(reactor, path, guests)
    clients.connect(path)
    assert reactor.run_until(lambda: len(guests) == 1, DEADLINE)


# Trouble.


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
