"""The wire suite's servers: our brokers over the matrix, and the real server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reactor.demux import available
from tests.wire.cells import REAL, Brokers, Cell, RealServers, matrix


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "cell" in metafunc.fixturenames:
        metafunc.parametrize("cell", matrix(_backends(metafunc.config)), ids=str)
    if "start" in metafunc.fixturenames:
        metafunc.parametrize("start", [*_backends(metafunc.config), REAL], indirect=True)


@pytest.fixture(scope="session")
def brokers() -> Iterator[Brokers]:
    with Brokers() as brokers:
        yield brokers


@pytest.fixture(scope="session")
def real_servers() -> Iterator[RealServers]:
    with RealServers() as servers:
        yield servers


@pytest.fixture(scope="session")
def any_cell(pytestconfig: pytest.Config) -> Cell:
    """One cell, for tests that need no matrix: the best demultiplexer, or the first that was asked
    for.
    """
    return matrix(_backends(pytestconfig))[0]


def _backends(config: pytest.Config) -> list[str]:
    chosen: list[str] = config.getoption("--backend") or available()
    return chosen
