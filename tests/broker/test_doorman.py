"""How long a client that fails to log in waits for its answer."""

from __future__ import annotations

import pytest

from broker.doorman import ADDRESSES, FREE_FAILURES, LONGEST, PERIOD, Doorman

IP = "192.0.2.1"


def failing(doorman: Doorman, times: int, ip: str = IP, now: float = 0.0) -> list[float]:
    return [doorman.failed(ip, now) for _ in range(times)]


def test_a_few_failures_cost_nothing_and_then_each_costs_twice_as_much() -> None:
    delays = failing(Doorman(), FREE_FAILURES + 7)
    assert [0.0] * FREE_FAILURES == delays[:FREE_FAILURES]
    assert [0.1, 0.2, 0.4, 0.8, 1.6, LONGEST, LONGEST] == delays[FREE_FAILURES:]


def test_nobody_waits_longer_than_the_longest_however_often_it_failed() -> None:
    assert LONGEST == failing(Doorman(), 5000)[-1]


def test_after_a_while_an_address_starts_anew() -> None:
    doorman = Doorman()
    failing(doorman, FREE_FAILURES + 1)
    assert 0.2 == doorman.failed(IP, PERIOD - 1)
    assert 0.0 == doorman.failed(IP, PERIOD)
    assert 1 == doorman.failures(IP)


def test_an_address_pays_for_its_own_failures_only() -> None:
    doorman = Doorman()
    failing(doorman, FREE_FAILURES + 5)
    assert 0.0 == doorman.failed("192.0.2.2", 0.0)


@pytest.mark.parametrize("ip", ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"])
def test_this_machine_itself_is_never_held_back_nor_kept_quiet(ip: str) -> None:
    doorman = Doorman()
    assert {0.0} == set(failing(doorman, 100, ip))
    assert not doorman.quiet(ip, 0.0)
    assert 0 == len(doorman)


def test_the_log_hears_of_the_free_failures_and_the_first_that_is_held_back() -> None:
    doorman = Doorman()
    heard = []
    for _ in range(FREE_FAILURES + 5):
        doorman.failed(IP, 0.0)
        heard.append(not doorman.quiet(IP, 0.0))
    assert [True] * (FREE_FAILURES + 1) + [False] * 4 == heard
    doorman.failed(IP, PERIOD)
    assert not doorman.quiet(IP, PERIOD)


def test_the_table_is_bounded_and_forgets_who_failed_longest_ago() -> None:
    doorman = Doorman()
    failing(doorman, FREE_FAILURES, "a")
    failing(doorman, FREE_FAILURES, "b")
    for number in range(ADDRESSES - 2):
        doorman.failed(str(number), 0.0)
    assert 0.1 == doorman.failed("a", 0.0)
    doorman.failed("new", 0.0)
    assert ADDRESSES == len(doorman)
    assert 0 == doorman.failures("b")
    assert FREE_FAILURES + 1 == doorman.failures("a")
