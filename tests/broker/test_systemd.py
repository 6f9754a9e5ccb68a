"""Telling systemd: a datagram to whoever is named, silence where nobody is."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.systemd import notify, reloading


@pytest.fixture
def manager() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(10)
        yield sock


def test_nobody_is_told_where_nobody_asked() -> None:
    assert not notify("READY=1", {})


@pytest.mark.parametrize("address", ["", "relative/path", "vsock:2:1234"])
def test_an_address_that_is_no_unix_socket_is_left_alone(address: str) -> None:
    assert not notify("READY=1", {"NOTIFY_SOCKET": address})


def test_whoever_is_named_by_a_path_is_told(tmp_path: Path, manager: socket.socket) -> None:
    path = str(tmp_path / "notify")
    manager.bind(path)
    assert notify("READY=1\nMAINPID=12", {"NOTIFY_SOCKET": path})
    assert b"READY=1\nMAINPID=12" == manager.recv(100)


def test_whoever_is_named_without_a_path_is_told(manager: socket.socket) -> None:
    manager.bind("")  # the kernel makes up a name
    name = "@" + manager.getsockname()[1:].decode("ascii")
    assert notify("STOPPING=1", {"NOTIFY_SOCKET": name})
    assert b"STOPPING=1" == manager.recv(100)


def test_a_manager_that_is_gone_is_no_error(tmp_path: Path) -> None:
    assert not notify("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "nobody")})


def test_a_reload_says_when_it_began() -> None:
    assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", reloading())
