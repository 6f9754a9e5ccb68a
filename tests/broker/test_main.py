"""The program: a process of its own, its log lines, signals, files and exit statuses."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker import __version__
from reactor.demux import available
from tests.support.raw_client import RawClient

DEADLINE = 20.0
ROOT = Path(__file__).resolve().parents[2]


class Program:
    """``python -m broker`` with its log so far."""

    def __init__(self, *flags: str) -> None:
        command = [sys.executable, "-W", "error", "-m", "broker", "-a", "127.0.0.1", *flags]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.lines: list[str] = []

    def read_until(self, pattern: str) -> re.Match[str]:
        """The first line from here on that has the pattern; the program's end fails the test."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"it ended without a line that has {pattern!r}: {self.lines}")

    def port(self) -> int:
        return int(self.read_until(r"Listening for client connections on 127\.0\.0\.1:(\d+)")[1])

    def end(self, number: signal.Signals) -> tuple[int, list[str]]:
        """Send a signal; the exit status, and the texts of the lines that followed."""
        self.process.send_signal(number)
        _, rest = self.process.communicate(timeout=DEADLINE)
        return self.process.returncode, [line.partition("] ")[2][27:] for line in rest.splitlines()]


@contextlib.contextmanager
def running(*flags: str) -> Iterator[Program]:
    program = Program(*flags)
    try:
        yield program
    finally:
        program.process.kill()
        program.process.communicate(timeout=DEADLINE)


def run(*flags: str) -> subprocess.CompletedProcess[str]:
    """The program to its end, which these flags bring about."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "broker", *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )


@contextlib.contextmanager
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_it_says_what_it_does_in_nats_servers_words() -> None:
    with running("-p", "-1", "-n", "nova", "-m", "-1") as program:
        program.read_until("Server is ready")
        shape = r"\[\d+\] \d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{6} \[INF\] "
        assert all(re.match(shape, line) for line in program.lines)
        texts = [re.sub(shape, "", line) for line in program.lines]
    patterns = [
        "Starting reactor-broker",
        f"  Version:  {re.escape(__version__)}",
        r"  Backend:  (epoll_c|epoll|poll|select)",
        "  Name:     nova",
        "  ID:       N[A-Z2-7]{55}",
        r"Starting http monitor on 127\.0\.0\.1:\d+",
        r"Listening for client connections on 127\.0\.0\.1:\d+",
        "Server is ready",
    ]
    assert len(patterns) == len(texts)
    assert all(map(re.fullmatch, patterns, texts))


@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGINT, "interrupt"), (signal.SIGTERM, "terminated")]
)
def test_a_signal_ends_it_in_good_order(number: signal.Signals, name: str) -> None:
    with running("-p", "-1") as program, RawClient(program.port()) as client:
        client.ask(b'CONNECT {"verbose":false}\r\nSUB a 1\r\n')
        status, lines = program.end(number)
        assert 0 == status
        ends = [f'Trapped "{name}" signal', "Initiating Shutdown...", "Server Exiting.."]
        assert ends == [line[6:] for line in lines[-3:]]
        assert [] == client.read_to_end()


def test_clients_get_what_they_are_owed_when_it_ends() -> None:
    with running("-p", "-1") as program, RawClient(program.port()) as client:
        client.ask(b'CONNECT {"verbose":false}\r\nSUB a 1\r\n')
        with RawClient(client._socket.getpeername()[1]) as publisher:
            publisher.ask(b'CONNECT {"verbose":false}\r\n' + b"PUB a 1\r\nx\r\n" * 1000)
        program.end(signal.SIGTERM)
        assert [b"MSG a 1 1\r\nx\r\n"] * 1000 == client.read_to_end()


def test_a_port_in_use_is_a_fatal_line_and_status_1() -> None:
    with taken_port() as port:
        ended = run("-a", "127.0.0.1", "-p", str(port))
    assert 1 == ended.returncode
    assert f"[FTL] Error listening on port: 127.0.0.1:{port}" in ended.stderr
    assert "in use" in ended.stderr.splitlines()[-1]


def test_a_monitor_port_in_use_is_a_fatal_line_and_status_1() -> None:
    with taken_port() as port:
        ended = run("-a", "127.0.0.1", "-p", "-1", "-m", str(port))
    assert 1 == ended.returncode
    assert "[FTL] Can't start monitoring" in ended.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--prot", "1"], "reactor-broker: there is no flag --prot; did you mean --port?\n"),
        (
            ["-p", "abc"],
            "reactor-broker: -p cannot be 'abc': it takes a whole number\n",
        ),
        (
            ["--backend", "kqueue"],
            "reactor-broker: --backend cannot be 'kqueue':"
            f" choose one of {', '.join(available())}\n",
        ),
    ],
)
def test_a_broken_flag_is_one_line_and_status_2(flags: list[str], text: str) -> None:
    ended = run(*flags)
    assert (2, "", text) == (ended.returncode, ended.stdout, ended.stderr)


def test_a_backend_forced_by_the_environment_that_does_not_exist_is_status_2(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REACTOR_BACKEND", "kqueue")
    ended = run("-p", "-1")
    assert 2 == ended.returncode
    assert "REACTOR_BACKEND='kqueue'" in ended.stderr


def test_the_version_goes_to_standard_output() -> None:
    ended = run("--version")
    expected = (0, f"reactor-broker: v{__version__}\n", "")
    assert expected == (ended.returncode, ended.stdout, ended.stderr)


def test_help_goes_to_standard_output() -> None:
    ended = run("-h")
    assert (0, "") == (ended.returncode, ended.stderr)
    assert ended.stdout.startswith("Usage: reactor-broker [flags]\n")


def test_the_pid_file_holds_its_number_and_goes_when_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "broker.pid"
    with running("-p", "-1", "-P", str(path)) as program:
        program.read_until("Server is ready")
        assert str(program.process.pid) == path.read_text()
        program.end(signal.SIGTERM)
    assert not path.exists()


def test_a_pid_file_that_cannot_be_written_is_a_fatal_line_and_status_1(tmp_path: Path) -> None:
    ended = run("-a", "127.0.0.1", "-p", "-1", "-P", str(tmp_path / "no" / "pid"))
    assert 1 == ended.returncode
    assert "[FTL] Could not write pidfile" in ended.stderr.splitlines()[-1]


def test_a_log_file_takes_the_lines(tmp_path: Path) -> None:
    path = tmp_path / "broker.log"
    with running("-p", "-1", "-l", str(path)) as program:
        end = time.monotonic() + DEADLINE
        while not (path.exists() and "Server is ready" in path.read_text()):
            assert time.monotonic() < end, "the log file does not say that the server is ready"
            os.sched_yield()
        program.process.send_signal(signal.SIGTERM)
        out, err = program.process.communicate(timeout=DEADLINE)
    assert ("", "") == (out, err)
    assert path.read_text().splitlines()[-1].endswith("[INF] Server Exiting..")


def test_a_log_file_that_cannot_be_opened_is_one_line_and_status_1(tmp_path: Path) -> None:
    ended = run("-p", "-1", "-l", str(tmp_path / "no" / "log"))
    assert 1 == ended.returncode
    assert ended.stderr.startswith("reactor-broker: cannot open the log file: ")
    assert 1 == len(ended.stderr.splitlines())


def test_traces_and_debug_lines_are_written_on_demand() -> None:
    with running("-p", "-1", "-DV") as program, RawClient(program.port()) as client:
        client.ask(b'CONNECT {"verbose":false,"pass":"secret"}\r\nSUB foo 1\r\n')
        program.read_until(r"\[DBG\] 127\.0\.0\.1:\d+ - cid:1 - Client connection created")
        program.read_until(r'\[TRC\] .* - <<- \[CONNECT .*"pass":"\[REDACTED\]"')
        program.read_until(r"\[TRC\] .* - <<- \[SUB foo 1\]")
        program.read_until(r"\[TRC\] .* - ->> \[PONG\]")


def test_the_monitor_answers() -> None:
    with running("-p", "-1", "-m", "-1") as program:
        port = program.read_until(r"Starting http monitor on 127\.0\.0\.1:(\d+)")[1]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10) as answer:
            assert b'{"status":"ok"}' == answer.read()


def test_every_backend_can_be_chosen(backend: str) -> None:
    with running("-p", "-1", "--backend", backend) as program:
        assert backend == program.read_until(r"  Backend:  (\w+)")[1]
        with RawClient(program.port()) as client:
            assert [] == client.ask(b'CONNECT {"verbose":false}\r\n')
