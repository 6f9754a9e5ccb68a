"""CPython's own tests for asyncio, on our loop: those that say most for the time they take.

``python -m tests.aio.conformance`` runs all of them, and uvloop's; docs/aio.md has the counts.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.aio.conformance import run_module
from tests.aio.known import KNOWN

#: Seconds for one test; several times what any of them takes, as a machine under load is slow.
LIMIT = 30.0


@pytest.mark.timeout(150)
@pytest.mark.parametrize(
    ("module", "at_least"),
    [
        ("test_buffered_proto", 1),
        ("test_context", 1),
        ("test_sendfile", 40),
        ("test_server", 2),
        ("test_sock_lowlevel", 30),
        ("test_streams", 50),
        ("test_unix_events", 50),
    ],
)
def test_our_loop_passes_asyncios_own_tests(module: str, at_least: int) -> None:
    report = run_module(module, limit=LIMIT)
    if report.missing and "No module named 'test" in report.missing:
        pytest.skip("this Python comes without its test suite")

    assert {} == report.surprises()
    assert "" == report.missing
    assert report.passed >= at_least
    assert report.loops > 0


def test_every_known_failure_is_in_the_documentation() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "aio.md").read_text(encoding="utf-8")

    assert [] == [name for name in KNOWN if name not in text]
