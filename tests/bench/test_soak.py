"""The soak: verdicts that can fail."""

from __future__ import annotations

import pytest

pytest.importorskip("rich", reason="the benchmarks have an extra of their own: [bench]")

from bench import soak
from bench.soak_server import figures
from broker.config import Options
from broker.server import Server
from reactor.testing import make_reactor

FLAT = dict.fromkeys(soak.ALLOWED, 1000)


def run(figure: str, *values: int) -> list[soak.Growth]:
    samples = [FLAT | {figure: value} for value in values]
    return [one for one in soak.growth(samples) if not one.good]


def test_what_stays_as_it_is_does_not_grow() -> None:
    assert [] == run("flows", *[1000] * 40)


@pytest.mark.parametrize("figure", soak.ALLOWED)
def test_every_figure_that_grows_without_end_is_found(figure: str) -> None:
    values = [1000 + 1_000_000 * number for number in range(40)]
    assert [figure] == [one.figure for one in run(figure, *values)]


def test_growth_during_the_warm_up_and_a_single_peak_are_forgiven() -> None:
    rising = [number * 100 for number in range(10)]
    assert [] == run("timers", *rising, *[1000] * 15, 9000, *[1000] * 14)


def test_too_few_samples_are_no_verdict() -> None:
    with pytest.raises(ValueError, match="do not show a trend"):
        soak.growth([FLAT] * 8)


def test_whatever_is_left_when_all_have_gone_is_named() -> None:
    before = dict.fromkeys(soak.AT_REST, 5)
    assert [] == soak.left_behind(before, before)
    (said,) = soak.left_behind(before, before | {"timers": 7})
    assert "+2 timers when all had left" == said


def test_requests_and_deliveries_must_all_be_there() -> None:
    good = {"asked": 3, "answered": 3, "published": 2, "heard": 24}
    assert [] == soak.misdeeds(good, 12)
    bad = soak.misdeeds({"asked": 3, "answered": 2, "published": 2, "heard": 20, "lost": 1}, 12)
    assert [
        "1 requests without an answer",
        "4 of 24 deliveries missing",
        "1 well-behaved clients were cut off",
    ] == bad


def test_the_broker_can_tell_every_figure_that_is_judged() -> None:
    reactor = make_reactor()
    try:
        server = Server(reactor, Options(**soak.SETTINGS))
        told = set(figures(reactor, server))
    finally:
        reactor.close()
    assert set() == {*soak.ALLOWED, *soak.AT_REST} - told
