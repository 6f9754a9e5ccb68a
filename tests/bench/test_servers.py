"""Every echo server that is here sends back what it gets."""

from __future__ import annotations

import shutil
import socket

import pytest

pytest.importorskip("rich", reason="the benchmarks have an extra of their own: [bench]")

from bench.peers import PEERS
from bench.processes import MeasuringError, serving

MESSAGE = bytes(range(256)) * 1200


@pytest.mark.parametrize("name", PEERS)
def test_a_server_sends_back_all_it_gets_from_each_of_its_peers(name: str) -> None:
    if (reason := PEERS[name].missing()) is not None:
        pytest.skip(f"an optional peer: {reason}")
    with serving(name) as server:
        for _ in range(2):
            assert MESSAGE == echoed(server.port, MESSAGE)


@pytest.mark.skipif(shutil.which("cc") is None, reason="the server is in C, and there is no cc")
def test_a_server_in_c_tells_its_version() -> None:
    with serving("raw-c") as server:
        assert "epoll" == server.version


def test_a_server_that_does_not_start_says_why() -> None:
    with pytest.raises(MeasuringError, match="invalid choice"), serving("no-such-server"):
        pass


def test_whoever_is_missing_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert "apt-get install node" == PEERS["node"].missing()
    assert "needs Python 3.14 or later" == PEERS["zuvloop"].missing() or PEERS["zuvloop"].version()


def echoed(port: int, message: bytes) -> bytes:
    """Send a message, and return as many bytes as come back, while sending goes on."""
    received = bytearray()
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        sock.sendall(message[: len(message) // 2])
        sock.sendall(message[len(message) // 2 :])
        while len(received) < len(message) and (data := sock.recv(65536)):
            received += data
    return bytes(received)
