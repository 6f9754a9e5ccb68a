"""The matrix that every case runs over: each demultiplexer, with each way a flow table may behave.

The idea: a flow is a cache entry, and a demultiplexer is a way to wait; neither may show on the
wire. So all of our brokers must give the same answers, and a broker whose flow table forgets
everything, or forgets at random, is the sharpest test of what it means to evict a flow.

A broker is started when the first case asks for its cell and its settings, and serves until the
tests are over: it is in-process, and starts in milliseconds.

Neighbours: tests.wire.conftest makes fixtures of this.
"""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

from broker import Broker
from tests.support.servers import RealServer, Settings

REAL = "real"
"""Stands for the real server where a demultiplexer's name stands for one of ours."""

_FLOW_TABLES: dict[str, dict[str, Any]] = {
    "normal": {},
    "none": {"flow_capacity": 0},
    "random": {"flow_evict_chance": 0.5},
}
"""Ways a flow table may behave, as settings of `Broker`."""


@dataclasses.dataclass(frozen=True)
class Cell:
    """One place in the matrix: the demultiplexer's name, and the flow table's behaviour."""

    backend: str
    flows: str

    def __str__(self) -> str:
        return f"{self.backend}-{self.flows}"


def matrix(backends: list[str]) -> list[Cell]:
    """All cells over `backends`."""
    return [Cell(backend, flows) for backend in backends for flows in _FLOW_TABLES]


class Brokers:
    """Our brokers, one for each cell and settings that were asked for. For one thread; ends them
    all on exit.
    """

    def __init__(self) -> None:
        self._running: dict[tuple[Cell, Settings], Broker] = {}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Brokers:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def port(self, cell: Cell, settings: Settings) -> int:
        """The port of the broker for this cell with these settings."""
        key = (cell, settings)
        if key not in self._running:
            self._running[key] = self._stack.enter_context(our_broker(cell, settings))
        return self._running[key].port


class RealServers:
    """Real servers, one for each settings that were asked for. For one thread; ends them all on
    exit.
    """

    def __init__(self) -> None:
        self._running: dict[Settings, RealServer] = {}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> RealServers:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def port(self, settings: Settings) -> int:
        """The port of the real server with these settings.

        Raises:
            RuntimeError: it is not installed; the message says how to install it.
        """
        if settings not in self._running:
            server = RealServer(settings)
            self._stack.enter_context(server)
            self._running[settings] = server
        return self._running[settings].port


def our_broker(cell: Cell, settings: Settings) -> Broker:
    """A broker for this cell, not yet started."""
    given = settings.given()
    text = given.pop("config", None)
    given |= {"port": 0, "backend": cell.backend, **_FLOW_TABLES[cell.flows]}
    if text is None:
        return Broker(**given)
    with tempfile.TemporaryDirectory(prefix="broker-") as folder:
        file = Path(folder) / "broker.conf"
        file.write_text(text, encoding="utf-8")
        return Broker(config=file, **given)
