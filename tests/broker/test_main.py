"""The program: a process of its own, its log lines, files, reloads and exit statuses."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import broker as broker_package
from broker import __version__, files
from broker.__main__ import Process
from broker.cli import Request
from broker.config import Options
from broker.logs import configure
from reactor.demux import available
from reactor.testing import make_reactor
from tests.support.programs import DEADLINE, ROOT, run, running, wait_for
from tests.support.raw_client import RawClient


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
        wait_for(lambda: path.exists() and "Server is ready" in path.read_text())
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


# --------------------------------------------------------------------------------------- files


def test_the_ports_file_says_where_it_listens_and_goes_when_it_goes(tmp_path: Path) -> None:
    with running("-p", "-1", "-m", "-1", "--ports_file_dir", str(tmp_path)) as program:
        monitor = program.read_until(r"Starting http monitor on 127\.0\.0\.1:(\d+)")[1]
        port = program.port()
        path = tmp_path / f"nats-server_{program.process.pid}.ports"
        wait_for(path.exists)
        expected = {
            "monitoring": [f"http://127.0.0.1:{monitor}"],
            "nats": [f"nats://127.0.0.1:{port}"],
        }
        assert expected == json.loads(path.read_text())
        program.end(signal.SIGTERM)
    assert [] == list(tmp_path.iterdir())


def test_a_pid_file_that_another_broker_took_over_is_left_to_it(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    with running("-p", "-1", "-P", str(path)) as program:
        program.read_until("Server is ready")
        path.write_text("1")
        program.end(signal.SIGTERM)
    assert "1" == path.read_text()


# ------------------------------------------------------------------------------------- reloads


class Reloaded:
    """The program in this process, with a file that the test has read for it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
        self.next: Options | Exception = Options(**settings)
        conffile = ModuleType("broker.conffile")
        conffile.load = self.load  # type: ignore[attr-defined] # a module made by hand
        monkeypatch.setitem(sys.modules, "broker.conffile", conffile)
        monkeypatch.setattr(broker_package, "conffile", conffile, raising=False)
        self.reactor = make_reactor()
        self.log = configure()
        request = Request({}, config="broker.conf")
        self.process = Process(self.reactor, request, Options(**settings), self.log)

    def load(self, path: str, flags: dict[str, Any], warn: object) -> Options:
        assert ("broker.conf", {}) == (path, flags)
        if isinstance(self.next, Exception):
            raise self.next
        return self.next


@pytest.fixture
def reload(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., list[str]]]:
    made: list[Reloaded] = []

    def reload(before: dict[str, Any], after: Options | Exception) -> list[str]:
        if not made:
            made.append(Reloaded(monkeypatch, **before))
        made[0].next = after
        made[0].process.reload()
        return [line.partition("] ")[2][27:] for line in capsys.readouterr().err.splitlines()]

    yield reload
    for one in made:
        one.process._remove_files()
        one.process.log.close()
        one.reactor.close()


def test_a_reload_logs_each_change_and_then_the_digest(
    reload: Callable[..., list[str]],
) -> None:
    after = Options(port=0, max_payload=1000, debug=True, digest="sha256:12")
    expected = [
        "[INF] Reloaded: max_payload = 1000",
        "[INF] Reloaded: debug = true",
        "[INF] Reloaded server configuration (sha256:12)",
    ]
    assert expected == reload({"port": 0}, after)


@pytest.mark.parametrize(
    "error", [ValueError("f.conf:1:1: unknown field"), FileNotFoundError("no such file")]
)
def test_a_configuration_that_cannot_be_read_leaves_everything_as_it_was(
    reload: Callable[..., list[str]], error: Exception
) -> None:
    expected = [f"[ERR] Failed to reload server configuration: {error}"]
    assert expected == reload({"port": 0}, error)


def test_a_reload_moves_the_files_and_the_log(
    reload: Callable[..., list[str]], tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    files.write_pid(str(first))
    folder, log = tmp_path / "ports", tmp_path / "log"
    folder.mkdir()
    reload({"port": 0}, Options(port=0, pid_file=str(first), ports_file_dir=str(folder)))
    assert first.exists()
    assert [f"nats-server_{os.getpid()}.ports"] == [path.name for path in folder.iterdir()]
    assert [] == reload({}, Options(port=0, pid_file=str(second), log_file=str(log)))
    assert (False, True) == (first.exists(), second.exists())
    assert [] == list(folder.iterdir())
    assert "Reloaded server configuration" in log.read_text()


def test_a_log_or_a_pid_file_that_cannot_be_had_does_not_stop_a_reload(
    reload: Callable[..., list[str]], tmp_path: Path
) -> None:
    nowhere = str(tmp_path / "no" / "file")
    lines = reload({"port": 0}, Options(port=0, pid_file=nowhere, log_file=nowhere, max_payload=9))
    assert lines[0].startswith("[ERR] Going on with the old log: ")
    assert lines[1].startswith("[ERR] Could not write pidfile: ")
    assert "[INF] Reloaded: max_payload = 9" in lines


# ------------------------------------------------------------------------------------- start-up

#: Modules that a plain start has no use for, each of which would cost it milliseconds.
NOT_AT_START = [
    *("asyncio", "bcrypt", "difflib", "email", "h11", "http", "logging.handlers"),
    *("multiprocessing", "nacl", "subprocess", "urllib.parse", "wsproto"),
    *("broker.conf", "broker.lameduck", "broker.monitor", "broker.reloading", "broker.websocket"),
    *("broker.events", "broker.monitorpages", "broker.sysdesk"),
]


def test_a_plain_start_imports_nothing_that_it_does_not_use() -> None:
    program = (
        "import signal, sys\n"
        "from broker.server import Server\n"
        "from broker.__main__ import main\n"
        "start = Server.start\n"
        "def started(self):\n"
        "    start(self)\n"
        "    print(*sys.modules)\n"
        "    signal.raise_signal(signal.SIGTERM)\n"
        "Server.start = started\n"
        "sys.exit(main(['-a', '127.0.0.1', '-p', '-1']))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-S", "-c", program],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert 0 == ended.returncode, ended.stderr
    loaded = ended.stdout.split()
    assert "broker.server" in loaded
    assert [] == [name for name in NOT_AT_START if name in loaded]
