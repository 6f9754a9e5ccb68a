"""Opening listening sockets: families, free ports, and the files of Unix sockets."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reactor import Reactor, sockets
from reactor.errors import LimitError, RegistrationError
from reactor.listener import Listener
from tests.support.network import ANY, DEADLINE, Clients, Guests

#: Of a network that is set aside for documentation (RFC 5737), so that no machine should have it.
NOT_OURS = "203.0.113.77"


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
    with pytest.raises(OSError, match=f"{NOT_OURS}:0: .*; choose an address of this machine"):
        Listener(reactor, (NOT_OURS, 0), guests)


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
    name_server(monkeypatch, NOT_OURS, "127.0.0.1")
    listener = Listener(reactor, ("app", 0), guests)
    assert [address[0] for address in listener.addresses] == ["127.0.0.1"]
    name_server(monkeypatch, NOT_OURS, NOT_OURS)
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
