"""The files by which others find a broker: whole or not there, and gone when it is."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from broker.files import local_addresses, remove_pid, remove_ports, write_pid, write_ports


def test_a_pid_file_holds_the_number_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    write_pid(str(path))
    assert str(os.getpid()) == path.read_text()
    assert [path] == list(tmp_path.iterdir())


def test_a_pid_file_that_was_there_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.write_text("a longer text than any number")
    write_pid(str(path), 12)
    assert "12" == path.read_text()


def test_a_link_to_a_pid_file_stays_a_link(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "pid")
    write_pid(str(link), 12)
    assert link.is_symlink()
    assert "12" == (tmp_path / "pid").read_text()


def test_what_is_no_file_is_written_to_and_not_replaced() -> None:
    write_pid(os.devnull)
    assert not os.path.isfile(os.devnull)


def test_a_pid_file_that_cannot_be_written_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "no" / "pid"
    with pytest.raises(OSError, match=r"^Could not write pidfile: No such file .*pid$"):
        write_pid(str(path))


def test_a_pid_file_is_removed_while_it_is_ours(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    write_pid(str(path), 12)
    remove_pid(str(path), 13)
    assert path.exists()
    remove_pid(str(path), 12)
    assert not path.exists()
    remove_pid(str(path), 12)


@pytest.mark.parametrize("text", ["", "twelve", "\udc80"])
def test_a_file_that_holds_no_number_is_not_ours(tmp_path: Path, text: str) -> None:
    path = tmp_path / "pid"
    path.write_text(text, errors="surrogateescape")
    remove_pid(str(path), 12)
    assert path.exists()


def test_a_ports_file_has_the_name_and_the_form_that_launchers_look_for(tmp_path: Path) -> None:
    ports = {"nats": ["nats://127.0.0.1:4222"], "monitoring": [], "websocket": ["ws://[::1]:80"]}
    path = write_ports(str(tmp_path), 12, ports)
    assert str(tmp_path / "nats-server_12.ports") == path
    expected = {"nats": ["nats://127.0.0.1:4222"], "websocket": ["ws://[::1]:80"]}
    assert expected == json.loads(Path(path).read_text())
    assert 1 == len(list(tmp_path.iterdir()))


def test_a_ports_file_that_cannot_be_written_is_explained(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Error writing ports file"):
        write_ports(str(tmp_path / "no"), 12, {})


def test_a_ports_file_that_somebody_else_removed_is_a_complaint(tmp_path: Path) -> None:
    complaints: list[str] = []
    path = write_ports(str(tmp_path), 12, {})
    remove_ports(path, complaints.append)
    assert [] == complaints
    remove_ports(path, complaints.append)
    assert [True] == [text.startswith("Error cleaning up ports file") for text in complaints]


def test_the_wildcard_is_reached_at_every_interface_and_any_other_host_at_itself() -> None:
    assert ["10.0.0.1"] == local_addresses("10.0.0.1")
    assert ["::1"] == local_addresses("::")
    everywhere = local_addresses("0.0.0.0")
    assert "127.0.0.1" == everywhere[0]
    assert len(everywhere) == len(set(everywhere))
    for address in everywhere:
        socket.inet_aton(address)
