"""What every test may use: the matrix of demultiplexers.

A test (or fixture) that asks for `backend` runs once for each demultiplexer that works on this
machine. `pytest --backend poll` narrows the matrix, and may be given several times. A module whose
tests need a matrix of their own parametrises them, and is left alone.

Warnings are errors, and every test has a time limit: both are set in pyproject.toml.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

# A machine that has other work to do makes nothing wrong: only the time limit of a test counts.
settings.register_profile("ours", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ours")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--backend",
        action="append",
        default=[],
        metavar="NAME",
        help="run the tests of the demultiplexer matrix over NAME only (repeatable)",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "backend" in metafunc.fixturenames and not _has_its_own_matrix(metafunc):
        metafunc.parametrize("backend", _chosen(metafunc.config), indirect=True)


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> str:
    """The name of one demultiplexer that works here."""
    name: str = request.param
    return name


def _has_its_own_matrix(metafunc: pytest.Metafunc) -> bool:
    marks = metafunc.definition.iter_markers("parametrize")
    return hasattr(metafunc.module, "backend") or any(
        "backend" in str(mark.args[0]) for mark in marks
    )


def _chosen(config: pytest.Config) -> list[str]:
    # Imported here and not above, so that a defect in the reactor fails the tests that need it
    # and not the whole run.
    from reactor.demux import available

    working = available()
    wanted: list[str] = config.getoption("--backend")
    for name in wanted:
        if name not in working:
            raise pytest.UsageError(
                f"--backend {name}: no such demultiplexer here; choose from {', '.join(working)}"
            )
    return wanted or working
