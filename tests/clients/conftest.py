"""The servers that real clients are tried on: our broker in-process and as a process.

With `NATS_TEST_SERVER=real` in the environment the same tests run against the real nats-server
instead: so it is shown that they test what NATS does, and not what we do.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Protocol

import pytest

from broker import Broker
from tests.support.servers import OurServer, RealServer, Settings

_CHOICE = "NATS_TEST_SERVER"
_KINDS = {"ours": ["in-process", "process"], "real": ["real"]}


class Server(Protocol):
    """What a client test may do with a server: it is running, and may be stopped and started on the
    same port.
    """

    port: int

    @property
    def url(self) -> str:
        """Where clients connect to."""

    def start(self) -> None:
        """Start again after `stop`."""

    def stop(self) -> None:
        """End the server; all its connections close."""


StartServer = Callable[[Settings], Server]
"""Starts a server with settings; it is stopped at the test's end."""


class InProcess:
    """Our broker in this process, kept on one port when it is stopped and started."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._broker: Broker | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start, on the same port as before if there was one."""
        self._broker = Broker(port=self.port, **self._settings.given())
        self._broker.start()
        self.port = self._broker.port

    def stop(self) -> None:
        """Stop; harmless when stopped."""
        if self._broker is not None:
            self._broker.stop()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "start_server" in metafunc.fixturenames:
        metafunc.parametrize("start_server", _kinds(), indirect=True)


@pytest.fixture
def start_server(request: pytest.FixtureRequest) -> Iterator[StartServer]:
    kind: str = request.param
    with contextlib.ExitStack() as stack:

        def start(settings: Settings) -> Server:
            server = _make(kind, settings)
            stack.callback(server.stop)
            server.start()
            return server

        yield start


@pytest.fixture
def server(start_server: StartServer) -> Server:
    """A server with the default settings."""
    return start_server(Settings())


def _make(kind: str, settings: Settings) -> Server:
    if kind == "in-process":
        return InProcess(settings)
    return OurServer(settings) if kind == "process" else RealServer(settings)


def _kinds() -> list[str]:
    choice = os.environ.get(_CHOICE, "ours")
    if choice not in _KINDS:
        raise pytest.UsageError(f"{_CHOICE}={choice}: choose from {', '.join(_KINDS)}")
    return _KINDS[choice]
