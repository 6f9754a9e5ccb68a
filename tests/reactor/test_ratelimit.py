"""Token buckets: never more than promised, never stuck, and fair to the clock."""

from __future__ import annotations

import math
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.errors import LimitError
from reactor.ratelimit import Throttle, TokenBucket
from reactor.testing import make_reactor


def test_a_new_bucket_grants_one_burst_at_once() -> None:
    bucket = TokenBucket(rate=10, burst=100)
    assert (60, 40, 0) == tuple(bucket.take(60, 5.0) for _ in range(3))


def test_tokens_come_back_at_the_rate_and_never_beyond_a_burst() -> None:
    bucket = TokenBucket(rate=10, burst=100)
    bucket.take(100, 0.0)
    assert 25 == bucket.take(1000, 2.5)
    assert 100 == bucket.take(1000, 1000.0)


def test_the_delay_is_just_what_is_missing() -> None:
    bucket = TokenBucket(rate=10, burst=100)
    bucket.take(95, 0.0)
    assert 0.0 == bucket.delay(5, 0.0)
    assert 1.5 == bucket.delay(20, 0.0)


def test_what_was_not_used_can_be_put_back_up_to_the_burst() -> None:
    bucket = TokenBucket(rate=10, burst=100)
    bucket.take(70, 0.0)
    bucket.put_back(50)
    assert 80 == bucket.take(1000, 0.0)
    bucket.put_back(500)
    assert 100 == bucket.take(1000, 0.0)


def test_a_time_before_the_last_one_takes_nothing_away() -> None:
    bucket = TokenBucket(rate=10, burst=100)
    bucket.take(50, 10.0)
    assert 50 == bucket.take(50, 9.0)


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (-1, 1), (math.inf, 1), (math.nan, 1), (1, 0)])
def test_limits_that_make_no_sense_are_refused(rate: float, burst: int) -> None:
    with pytest.raises(LimitError, match="rate"):
        TokenBucket(rate, burst)


@given(
    st.floats(0.01, 1e6),
    st.integers(1, 10_000),
    st.lists(st.tuples(st.floats(0, 100), st.integers(0, 20_000)), max_size=50),
)
def test_over_any_span_at_most_a_burst_and_the_rate_pass(
    rate: float, burst: int, steps: list[tuple[float, int]]
) -> None:
    bucket = TokenBucket(rate, burst)
    now, passed = 0.0, 0
    for pause, wanted in steps:
        now += pause
        granted = bucket.take(wanted, now)
        assert 0 <= granted <= wanted
        passed += granted
        assert passed <= burst + rate * now + 1e-3


@given(st.floats(0.01, 1e9), st.integers(1, 1_000_000), st.floats(0, 1e6), st.integers(1, 100_000))
def test_after_the_delay_the_tokens_are_there(
    rate: float, burst: int, start: float, wanted: int
) -> None:
    bucket = TokenBucket(rate, burst)
    bucket.take(burst, start)
    wanted = min(wanted, burst)
    later = math.nextafter(start + bucket.delay(wanted, start), math.inf)
    # As many bytes as the time's own rounding is worth may be missing, but no more.
    assert wanted - bucket.take(wanted, later) <= 1 + rate * math.ulp(later)


def test_a_throttle_calls_back_when_there_is_something_worth_going_on_for() -> None:
    reactor = make_reactor()
    resumed: list[float] = []
    bucket = TokenBucket(rate=1000, burst=100)
    throttle = Throttle(reactor, bucket, lambda: resumed.append(reactor.now()))
    start = reactor.now()
    assert [100, 0, 0] == [throttle.allow(1000) for _ in range(3)]
    reactor.run_for(1)
    # Ten milliseconds' worth are waited for, and two refusals ask for one call.
    assert [pytest.approx(start + 0.01)] == resumed


def test_a_cancelled_throttle_does_not_call_back() -> None:
    reactor = make_reactor()
    resumed: list[bool] = []
    throttle = Throttle(reactor, TokenBucket(1, 1), lambda: resumed.append(True))
    throttle.allow(1)
    throttle.allow(1)
    throttle.cancel()
    reactor.run_for(10)
    assert [] == resumed


def test_many_throttles_of_one_bucket_share_its_rate_evenly() -> None:
    reactor = make_reactor()
    bucket = TokenBucket(rate=1000, burst=20)
    passed = [0] * 5

    def pour(index: int) -> None:
        while granted := throttles[index].allow(50):
            passed[index] += granted

    throttles = [Throttle(reactor, bucket, partial(pour, index)) for index in range(5)]
    for index in range(5):
        pour(index)
    reactor.run_for(10)
    assert 9_900 <= sum(passed) <= 20 + 10 * 1000
    assert max(passed) - min(passed) <= 5 * bucket.quantum


def test_one_who_waits_is_not_overtaken_by_one_who_comes_later() -> None:
    reactor = make_reactor()
    bucket = TokenBucket(rate=1000, burst=100)
    first, second = (Throttle(reactor, bucket, lambda: None) for _ in range(2))
    assert [100, 0] == [first.allow(100), first.allow(100)]
    reactor.run_for(0.009)
    assert 0 == second.allow(100)
    reactor.run_for(0.0015)
    assert bucket.quantum == first.allow(100)
