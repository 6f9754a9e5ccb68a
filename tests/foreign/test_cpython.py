"""CPython's own tests, with our selectors in place of its own."""

from __future__ import annotations

import pytest

from tests.foreign.run import Outcome, run
from tests.foreign.suites import Plan

#: Seconds. Several times what they take, as a machine under load is slow; a hang is what is meant.
SELECTORS_LIMIT = 60.0
ASYNCIO_LIMIT = 150.0


def test_cpythons_tests_for_selectors_pass_on_ours(backend: str) -> None:
    outcome = _run("selectors", backend, SELECTORS_LIMIT)

    assert [] == outcome.failed, outcome.output
    assert outcome.run >= 18
    assert outcome.waits > 0


@pytest.mark.timeout(ASYNCIO_LIMIT + 30)
def test_asyncio_passes_its_own_tests_on_our_selectors(backend: str) -> None:
    # The best backend, which nearly every program runs on, is asked most.
    suite = "asyncio-core" if backend == "epoll" else "asyncio-brief"

    outcome = _run(suite, backend, ASYNCIO_LIMIT)

    assert [] == outcome.failed, outcome.output
    assert outcome.run >= 90
    assert outcome.waits > 100


def _run(suite: str, backend: str, limit: float) -> Outcome:
    outcome = run(Plan(suite, backend), limit=limit)
    if outcome.missing:
        pytest.skip(outcome.missing)
    return outcome
