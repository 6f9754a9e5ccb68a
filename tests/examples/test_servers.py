"""The examples that listen: each is started, talked to, and ended with Ctrl-C."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import BinaryIO

import pytest

from tests.examples.program import LIMIT, Program


@pytest.fixture(params=["select", "poll", "epoll"])
def environment(request: pytest.FixtureRequest) -> dict[str, str]:
    """Each backend is chosen from outside, without the program knowing."""
    return {"REACTOR_BACKEND": request.param}


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=LIMIT)


@pytest.fixture
def plain_echo() -> Iterator[int]:
    """A server that has nothing of ours: sends everything back, also after the end of input."""

    def serve() -> None:
        peer, _ = listener.accept()
        with peer:
            received = b"".join(iter(lambda: peer.recv(1 << 16), b""))
            peer.sendall(received)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(LIMIT)
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(LIMIT)


def test_the_echo_server_sends_back_what_it_gets(environment: dict[str, str]) -> None:
    data = bytes(range(256)) * 4096  # more than all buffers on the way
    with Program("echo", **environment) as echo, connect(echo.port()) as peer:
        sender = threading.Thread(target=peer.sendall, args=(data,))
        sender.start()
        received = b""
        while len(received) < len(data):
            received += peer.recv(1 << 16)
        sender.join(LIMIT)

        peer.shutdown(socket.SHUT_WR)
        assert b"" == peer.recv(1)

        assert data == received
        assert "closed by the peer" in echo.line()
        assert "" == echo.interrupt()


def test_the_chat_room_tells_a_line_to_everybody_else(environment: dict[str, str]) -> None:
    def join(port: int) -> tuple[socket.socket, BinaryIO]:
        peer = connect(port)
        lines = peer.makefile("rb")
        assert b"welcome\n" == lines.readline()
        return peer, lines

    with Program("chat", **environment) as chat:
        port = chat.port()
        ann, ann_hears = join(port)
        ben, ben_hears = join(port)
        with ann, ann_hears, ben, ben_hears:
            assert ann_hears.readline().endswith(b"is here\n")

            ben.sendall("grüß dich\n".encode())

            name = f"127.0.0.1:{ben.getsockname()[1]}"
            assert f"{name}: grüß dich\n" == ann_hears.readline().decode()
            ben.shutdown(socket.SHUT_WR)
            assert f"{name} has left: closed by the peer\n" == ann_hears.readline().decode()
        chat.interrupt()


def test_the_proxy_passes_both_directions_and_both_ends_on(
    environment: dict[str, str], plain_echo: int
) -> None:
    data = b"0123456789abcdef" * 65536
    with Program("proxy", "127.0.0.1", str(plain_echo), **environment) as proxy:
        with connect(proxy.port()) as peer:
            peer.sendall(data)
            peer.shutdown(socket.SHUT_WR)

            assert data == b"".join(iter(lambda: peer.recv(1 << 16), b""))
        assert "" == proxy.interrupt()


def test_the_proxy_turns_a_peer_away_when_the_server_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    with Program("proxy", "127.0.0.1", str(port)) as proxy, connect(proxy.port()) as peer:
        assert b"" == peer.recv(1)
        proxy.interrupt()


def test_the_datagram_server_answers_in_upper_case(environment: dict[str, str]) -> None:
    with (
        Program("udp", **environment) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer,
    ):
        peer.settimeout(LIMIT)
        peer.connect(("127.0.0.1", server.port()))
        peer.send(b"hello")

        assert b"HELLO" == peer.recv(100)
        server.interrupt()
