"""The runner itself: what it says when a suite fails, hangs, or is not there."""

from __future__ import annotations

from tests.foreign.run import run
from tests.foreign.suites import Plan


def test_a_suite_that_is_not_on_this_machine_is_named_with_the_way_to_get_it() -> None:
    outcome = run(Plan("uvloop", "poll", source="/nonexistent"), limit=30.0)

    assert outcome.missing
    assert not outcome.ok


def test_a_suite_that_hangs_is_a_failure_and_shows_where_it_hung() -> None:
    # No suite ends within so short a time.
    outcome = run(Plan("asyncio-core", "poll"), limit=0.05)

    assert not outcome.ok
    assert ["the run did not come to its end"] == outcome.failed
    assert "Timeout" in outcome.output
