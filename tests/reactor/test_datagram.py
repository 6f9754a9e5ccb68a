"""Datagrams: whole messages, bounded queues, and errors that are news and not the end."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator, Sized
from pathlib import Path
from typing import Any

import pytest

from reactor import Reactor
from reactor.datagram import Datagram
from reactor.errors import LimitError, ReactorClosedError, RegistrationError
from reactor.trace import ErrorContext

DEADLINE = 10.0
ANY = ("127.0.0.1", 0)


@pytest.fixture
def reactor(backend: str) -> Iterator[Reactor]:
    with Reactor(backend=backend) as reactor:
        yield reactor


class Mail:
    """What arrived."""

    def __init__(self) -> None:
        self.data: list[bytes] = []
        self.senders: list[Any] = []

    def __call__(self, data: bytes, address: Any) -> None:
        self.data.append(data)
        self.senders.append(address)

    def __len__(self) -> int:
        return len(self.data)


class FullSocket(socket.socket):
    """A datagram socket for which the kernel has no room until `room` is true."""

    room = False

    def sendto(self, *args: Any) -> int:
        if not self.room:
            raise BlockingIOError(errno.EAGAIN, "no room")
        return super().sendto(*args)


def reached(reactor: Reactor, things: Sized, count: int) -> bool:
    return reactor.run_until(lambda: len(things) == count, DEADLINE)


def unused_port() -> int:
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(ANY)
        port: int = sock.getsockname()[1]
        return port


def test_datagrams_arrive_whole_with_their_sender(reactor: Reactor) -> None:
    mail = Mail()
    receiver = Datagram(reactor, mail, local=ANY)
    sender = Datagram(reactor, Mail(), local=ANY)
    for data in (b"one", b"", b"x" * 9000):
        assert sender.send(data, receiver.address)
    assert reached(reactor, mail, 3)
    assert mail.data == [b"one", b"", b"x" * 9000]
    assert mail.senders == [sender.address] * 3


def test_a_connected_socket_needs_no_address_and_hears_its_peer_only(reactor: Reactor) -> None:
    mail = Mail()
    server = Datagram(reactor, lambda data, peer: server.send(b"re: " + data, peer), local=ANY)
    client = Datagram(reactor, mail, remote=server.address)
    stranger = Datagram(reactor, Mail(), local=ANY)
    assert stranger.send(b"psst", client.address)
    assert client.send(b"hello")
    assert reached(reactor, mail, 1)
    assert mail.data == [b"re: hello"]


def test_ipv6_and_unix_sockets_carry_datagrams_too(reactor: Reactor, tmp_path: Path) -> None:
    path = str(tmp_path / "box")
    places: list[Any] = [path]
    if Path("/proc/net/if_inet6").exists():
        places.append(("::1", 0))
    for place in places:
        mail = Mail()
        receiver = Datagram(reactor, mail, local=place)
        sender = Datagram(reactor, Mail(), remote=_short(receiver.address))
        assert sender.send(b"hello")
        assert reached(reactor, mail, 1)
        receiver.close()
    assert not os.path.exists(path)


def _short(address: Any) -> Any:
    return address[:2] if isinstance(address, tuple) else address


def test_no_more_than_the_budget_is_received_in_a_turn(reactor: Reactor) -> None:
    mail = Mail()
    receiver = Datagram(reactor, mail, local=ANY, budget=3)
    sender = Datagram(reactor, Mail(), remote=receiver.address)
    for _ in range(7):
        sender.send(b"x")
    counts = []
    while len(mail) < 7:
        before = len(mail)
        assert reactor.run_once(DEADLINE)
        counts.append(len(mail) - before)
    assert counts == [3, 3, 1]


def test_a_callback_that_raises_costs_its_own_datagram_only(reactor: Reactor) -> None:
    reported: list[ErrorContext] = []
    reactor.on_error = reported.append
    mail = Mail()

    def on_datagram(data: bytes, address: Any) -> None:
        mail(data, address)
        if data == b"bad":
            raise ValueError("bad")

    receiver = Datagram(reactor, on_datagram, local=ANY)
    sender = Datagram(reactor, Mail(), remote=receiver.address)
    for data in (b"a", b"bad", b"b"):
        sender.send(data)
    assert reached(reactor, mail, 3)
    assert mail.data == [b"a", b"bad", b"b"]
    assert ["bad"] == [str(context.error) for context in reported]


def test_a_datagram_that_is_cut_off_is_counted_and_not_delivered(
    reactor: Reactor, caplog: pytest.LogCaptureFixture
) -> None:
    mail = Mail()
    receiver = Datagram(reactor, mail, local=ANY, max_size=4)
    sender = Datagram(reactor, Mail(), remote=receiver.address)
    for data in (b"12345", b"123456", b"1234"):
        sender.send(data)
    assert reached(reactor, mail, 1)
    assert mail.data == [b"1234"]
    assert (1, 2) == (receiver.stats().received, receiver.stats().truncated)
    assert len(caplog.records) == 1


def test_nobody_at_the_other_end_is_news_and_not_the_end(reactor: Reactor) -> None:
    errors: list[OSError] = []
    mail = Mail()
    port = unused_port()
    client = Datagram(reactor, mail, remote=("127.0.0.1", port), on_error=errors.append)
    assert client.send(b"anybody?")
    assert reached(reactor, errors, 1)
    assert isinstance(errors[0], ConnectionRefusedError)
    server = Datagram(
        reactor, lambda data, peer: server.send(data, peer), local=("127.0.0.1", port)
    )
    assert client.send(b"now?")
    assert reached(reactor, mail, 1)
    assert mail.data == [b"now?"]


def test_an_old_error_does_not_cost_the_datagram_that_finds_it(reactor: Reactor) -> None:
    mail = Mail()
    errors: list[OSError] = []
    port = unused_port()
    client = Datagram(reactor, Mail(), remote=("127.0.0.1", port), on_error=errors.append)
    assert client.send(b"lost")
    Datagram(reactor, mail, local=("127.0.0.1", port))
    assert client.send(b"found")  # the kernel reports the first one's error here
    assert errors == []  # and never from within `send`
    assert reactor.run_until(lambda: len(mail) == 1 and len(errors) == 1, DEADLINE)
    assert mail.data == [b"found"]
    assert client.stats().dropped == 0


def test_a_socket_stays_alive_however_often_nobody_is_at_the_other_end(reactor: Reactor) -> None:
    # The backends report such an error as a hang-up, which the reactor bears only so many times.
    mail = Mail()
    errors: list[OSError] = []
    port = unused_port()
    client = Datagram(reactor, mail, remote=("127.0.0.1", port), on_error=errors.append)
    for count in range(1, 301):
        client.send(b"anybody?")
        assert reached(reactor, errors, count)
    server = Datagram(
        reactor, lambda data, peer: server.send(data, peer), local=("127.0.0.1", port)
    )
    client.send(b"now?")
    assert reached(reactor, mail, 1)


def test_errors_without_a_callback_are_counted_and_logged_once(
    reactor: Reactor, caplog: pytest.LogCaptureFixture
) -> None:
    client = Datagram(reactor, Mail(), remote=("127.0.0.1", unused_port()))
    client.send(b"anybody?")
    assert reactor.run_until(lambda: client.stats().errors == 1, DEADLINE)
    client.send(b"still nobody?")
    assert reactor.run_until(lambda: client.stats().errors == 2, DEADLINE)
    assert len(caplog.records) == 1


def test_without_room_datagrams_wait_in_order_up_to_the_limit(reactor: Reactor) -> None:
    mail = Mail()
    receiver = Datagram(reactor, mail, local=ANY)
    full = FullSocket(socket.AF_INET, socket.SOCK_DGRAM)
    full.bind(ANY)
    sender = Datagram(reactor, Mail(), sock=full, send_limit=10)
    where = receiver.address
    results = [sender.send(data, where) for data in (b"1234", b"5678", b"too long", b"90", b"x")]
    assert results == [True, True, False, True, False]
    stats = sender.stats()
    assert (3, 10, 2, 0) == (stats.queued, stats.pending, stats.dropped, stats.sent)
    full.room = True
    assert reached(reactor, mail, 3)
    assert mail.data == [b"1234", b"5678", b"90"]
    stats = sender.stats()
    assert (0, 0, 3) == (stats.queued, stats.pending, stats.sent)
    assert reactor.run_once(0) == 0  # writability is not asked for any more


def test_a_kept_datagram_is_a_copy(reactor: Reactor) -> None:
    mail = Mail()
    receiver = Datagram(reactor, mail, local=ANY)
    full = FullSocket(socket.AF_INET, socket.SOCK_DGRAM)
    full.bind(ANY)
    sender = Datagram(reactor, Mail(), sock=full)
    data = bytearray(b"before")
    sender.send(data, receiver.address)
    data[:] = b"after!"
    full.room = True
    assert reached(reactor, mail, 1)
    assert mail.data == [b"before"]


def test_a_datagram_that_is_too_long_for_the_network_is_dropped_and_reported(
    reactor: Reactor,
) -> None:
    errors: list[OSError] = []
    sender = Datagram(reactor, Mail(), local=ANY, on_error=errors.append)
    assert not sender.send(b"x" * 70_000, ("127.0.0.1", 9))
    reactor.run_once(0)
    assert [errno.EMSGSIZE] == [error.errno for error in errors]
    assert sender.stats().dropped == 1


def test_a_paused_socket_receives_nothing_until_it_is_resumed(reactor: Reactor) -> None:
    mail = Mail()
    receiver = Datagram(reactor, mail, local=ANY)
    sender = Datagram(reactor, Mail(), remote=receiver.address)
    receiver.pause()
    sender.send(b"x")
    assert reactor.run_once(0) == 0
    receiver.resume()
    assert reached(reactor, mail, 1)


def test_after_close_nothing_is_received_even_if_the_callback_called_it(reactor: Reactor) -> None:
    mail = Mail()

    def on_datagram(data: bytes, address: Any) -> None:
        mail(data, address)
        receiver.close()

    receiver = Datagram(reactor, on_datagram, local=ANY)
    sender = Datagram(reactor, Mail(), remote=receiver.address)
    sender.send(b"1")
    sender.send(b"2")
    reactor.run_once(DEADLINE)
    assert mail.data == [b"1"]
    assert receiver.closed
    assert receiver.address is None
    assert not receiver.send(b"x", sender.address)
    assert receiver.stats().dropped == 1
    receiver.close()


def test_closing_the_reactor_closes_its_sockets_and_counts_what_was_queued(backend: str) -> None:
    full = FullSocket(socket.AF_INET, socket.SOCK_DGRAM)
    full.bind(ANY)
    with Reactor(backend=backend) as reactor:
        sender = Datagram(reactor, Mail(), sock=full)
        sender.send(b"x", ("127.0.0.1", 9))
    assert sender.closed
    assert sender.stats().dropped == 1


def test_a_name_is_refused_as_a_destination_because_looking_it_up_would_block(
    reactor: Reactor,
) -> None:
    sender = Datagram(reactor, Mail(), local=ANY)
    with pytest.raises(LimitError, match="'localhost' is not a literal address"):
        sender.send(b"x", ("localhost", 9))
    with pytest.raises(LimitError, match="'localhost' is not a literal address"):
        Datagram(reactor, Mail(), local=("localhost", 0))


def test_what_makes_no_sense_is_refused_with_the_mend(reactor: Reactor) -> None:
    with pytest.raises(LimitError, match="needs a local address"):
        Datagram(reactor, Mail())
    with pytest.raises(LimitError, match="max_size=0"):
        Datagram(reactor, Mail(), local=ANY, max_size=0)
    with pytest.raises(LimitError, match="give send"):
        Datagram(reactor, Mail(), local=ANY).send(b"x")
    with socket.socket() as stream, pytest.raises(RegistrationError, match="SOCK_DGRAM"):
        Datagram(reactor, Mail(), sock=stream)


def test_an_address_in_use_is_refused_by_name(reactor: Reactor) -> None:
    taken = Datagram(reactor, Mail(), local=ANY)
    port = taken.address[1]
    with pytest.raises(OSError, match=f"cannot use 127.0.0.1:{port} for datagrams: Address"):
        Datagram(reactor, Mail(), local=("127.0.0.1", port))


def test_a_remote_that_cannot_be_used_leaves_nothing(reactor: Reactor, tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    nowhere = str(tmp_path / "nowhere")
    with pytest.raises(OSError, match=f"cannot use unix:{nowhere} for datagrams: No such file"):
        Datagram(reactor, Mail(), local=str(tmp_path / "box"), remote=nowhere)
    assert list(tmp_path.iterdir()) == []
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_socket_that_cannot_be_registered_is_closed(backend: str) -> None:
    reactor = Reactor(backend=backend)
    reactor.close()
    sock = socket.socket(type=socket.SOCK_DGRAM)
    with pytest.raises(ReactorClosedError):
        Datagram(reactor, Mail(), sock=sock)
    assert sock.fileno() == -1


def test_after_close_on_error_is_not_called_either(reactor: Reactor) -> None:
    errors: list[OSError] = []
    sender = Datagram(reactor, Mail(), local=ANY, on_error=errors.append)
    sender.send(b"x" * 70_000, ("127.0.0.1", 9))
    sender.close()
    reactor.run_once(0)
    assert errors == []
    assert sender.stats().errors == 1


def test_a_long_queue_is_sent_over_several_turns(reactor: Reactor) -> None:
    mail = Mail()
    receiver = Datagram(reactor, mail, local=ANY)
    full = FullSocket(socket.AF_INET, socket.SOCK_DGRAM)
    full.bind(ANY)
    sender = Datagram(reactor, Mail(), sock=full, budget=2)
    for number in range(5):
        sender.send(b"%d" % number, receiver.address)
    reactor.run_once(0)
    assert sender.stats().queued == 5
    full.room = True
    left = []
    while sender.stats().queued:
        reactor.run_once(DEADLINE)
        left.append(sender.stats().queued)
    assert left == [3, 1, 0]
    assert reached(reactor, mail, 5)
    assert mail.data == [b"0", b"1", b"2", b"3", b"4"]
