"""Signals to the program, its lame duck mode, and what it tells whoever started it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.programs import DEADLINE, run, running, wait_for
from tests.support.raw_client import RawClient

PROTOCOL_1 = b'CONNECT {"verbose":false,"protocol":1}\r\n'


@pytest.mark.parametrize(
    ("number", "name"),
    [(signal.SIGINT, "interrupt"), (signal.SIGTERM, "terminated"), (signal.SIGQUIT, "quit")],
)
def test_a_signal_ends_it_in_good_order(number: signal.Signals, name: str) -> None:
    with running("-p", "-1") as program, RawClient(program.port()) as client:
        client.ask(b'CONNECT {"verbose":false}\r\nSUB a 1\r\n')
        status, lines = program.end(number)
        assert 0 == status
        ends = [f'Trapped "{name}" signal', "Initiating Shutdown...", "Server Exiting.."]
        assert ends == [line[6:] for line in lines[-3:]]
        assert [] == client.read_to_end()


def test_a_signal_that_reloads_needs_a_file_and_harms_nobody_without_one() -> None:
    with running("-p", "-1") as program, RawClient(program.port()) as client:
        client.ask(b'CONNECT {"verbose":false}\r\n')
        program.process.send_signal(signal.SIGHUP)
        program.read_until('Trapped "hangup" signal')
        program.read_until(
            r"\[ERR\] Failed to reload server configuration: can only reload config when a file is "
            "provided using -c or --config"
        )
        assert [] == client.ask(b"")


def test_a_log_file_that_was_moved_is_opened_anew_on_demand(tmp_path: Path) -> None:
    path, old = tmp_path / "log", tmp_path / "log.1"
    ready = tmp_path / "pid"
    with running("-p", "-1", "-l", str(path), "-P", str(ready)) as program:
        wait_for(lambda: path.exists() and "Server is ready" in path.read_text())
        path.rename(old)
        program.process.send_signal(signal.SIGUSR1)
        wait_for(lambda: path.exists() and "File log re-opened" in path.read_text())
        program.process.send_signal(signal.SIGTERM)
        program.process.communicate(timeout=DEADLINE)
    assert old.read_text().splitlines()[-1].endswith("Server is ready")
    assert path.read_text().splitlines()[-1].endswith("Server Exiting..")


def test_without_clients_lame_duck_mode_ends_it_at_once() -> None:
    with running("-p", "-1") as program:
        program.read_until("Server is ready")
        status, lines = program.end(signal.SIGUSR2)
    assert 0 == status
    expected = [
        'Trapped "user defined signal 2" signal',
        "Entering lame duck mode, stop accepting new clients",
        "Initiating Shutdown...",
        "Server Exiting..",
    ]
    assert expected == [line[6:] for line in lines]


def test_a_lame_duck_tells_its_clients_takes_no_new_ones_and_heeds_an_interrupt_only() -> None:
    with running("-p", "-1") as program:
        port = program.port()
        with RawClient(port) as client:
            assert [] == client.ask(PROTOCOL_1)
            program.process.send_signal(signal.SIGUSR2)
            # The first of these is the one that follows the first PING.
            assert b'"ldm":true' in client.read_frames(2)[1]
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port))
            program.process.send_signal(signal.SIGTERM)
            program.read_until('Trapped "terminated" signal')
            assert [] == client.ask(b"")
            status, lines = program.end(signal.SIGINT)
    assert (0, "Server Exiting..") == (status, lines[-1][6:])


@pytest.mark.parametrize(
    ("command", "status"), [("quit", 0), ("term", 0), ("stop", -signal.SIGKILL), ("ldm", 0)]
)
def test_a_running_broker_can_be_told_by_another_call(
    tmp_path: Path, command: str, status: int
) -> None:
    path = tmp_path / "pid"
    with running("-p", "-1", "-P", str(path)) as program:
        program.read_until("Server is ready")
        told = run("--signal", f"{command}={path}")
        assert (0, "", "") == (told.returncode, told.stdout, told.stderr)
        program.process.communicate(timeout=DEADLINE)
        assert status == program.process.returncode


def test_a_broker_that_is_not_there_cannot_be_told() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait(DEADLINE)
    told = run("--signal", f"ldm={gone.pid}")
    expected = f'reactor-broker: signal "ldm" {gone.pid}: no such process\n'
    assert (1, expected) == (told.returncode, told.stderr)


def test_whoever_started_it_as_a_service_is_told_how_it_is(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(DEADLINE)
        manager.bind(str(tmp_path / "notify"))
        with running("-p", "-1", environ={"NOTIFY_SOCKET": str(tmp_path / "notify")}) as program:
            expected = f"READY=1\nMAINPID={program.process.pid}"
            assert expected == manager.recv(1000).decode()
            program.process.send_signal(signal.SIGHUP)
            assert manager.recv(1000).startswith(b"RELOADING=1\n")
            assert b"READY=1" == manager.recv(1000)
            program.process.send_signal(signal.SIGTERM)
            assert b"STOPPING=1" == manager.recv(1000)
