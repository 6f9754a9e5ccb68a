"""The hostile-client suite: what it counts, and verdicts that can fail."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

pytest.importorskip("rich", reason="the benchmarks have an extra of their own: [bench]")

from bench.hostile import MIB, Outcome, judge
from bench.hostile_attacks import ATTACKS, Attack
from bench.hostile_http import HIDDEN, SMUGGLED
from bench.hostile_server import FRONTS, shape, shapes
from bench.hostile_target import Flood, Target
from bench.hostile_turns import Timed, is_ours, longest
from bench.hostile_witness import Tally, Window, percentile

CALM = Window(sent=10, expected=40, delivered=40, disordered=0, p50=0.5, p99=1.0, max=1.5)
ATTACK = Attack(lambda target: iter(()), "", memory=MIB, names="the limit", never="smuggled")
GOOD = Outcome(
    broker="ours",
    attack="test",
    undisturbed=CALM,
    elsewhere=CALM,
    attacked=replace(CALM, p99=2.0),
    alive=True,
    memory_before=10 * MIB,
    memory_most=11 * MIB,
    memory_after=10 * MIB,
    descriptors_before=16,
    descriptors_after=16,
    seconds=3.0,
    lines=1,
    commonest=1,
    commonest_line="[ERR] the limit",
    named=1,
    turn=0.0,
    deeds={},
)


def test_an_outcome_that_is_just_within_every_goal_is_good() -> None:
    assert [] == judge(ATTACK, [GOOD])


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"attacked": replace(CALM, p99=2.1)}, "p99 2.1 times"),
        ({"attacked": replace(CALM, p99=float("nan"))}, "p99 nan times"),
        ({"attacked": replace(CALM, delivered=39)}, "1 of 40 not delivered"),
        ({"attacked": replace(CALM, disordered=2)}, "2 delivered out of order"),
        ({"alive": False}, "died"),
        ({"memory_most": 13 * MIB}, "grew by 3 MiB (1 allowed)"),
        ({"descriptors_after": 18}, "2 descriptors not let go"),
        ({"commonest": 5}, "5 log lines alike"),
        ({"named": 0}, "no log line says 'the limit'"),
        ({"deeds": {"smuggled": 3}}, "3 smuggled"),
    ],
)
def test_each_goal_that_is_missed_is_named(change: dict[str, object], complaint: str) -> None:
    (said,) = judge(ATTACK, [replace(GOOD, **change)])  # type: ignore[arg-type]  # fields by name
    assert complaint in said


def test_of_several_rounds_the_median_ratio_counts() -> None:
    noisy = replace(GOOD, attacked=replace(CALM, p99=50.0))
    assert [] == judge(ATTACK, [GOOD, noisy, GOOD])
    assert 1 == len(judge(ATTACK, [noisy, GOOD, noisy]))


def test_what_an_attack_on_another_broker_costs_as_well_is_not_ours() -> None:
    crowded = replace(GOOD, elsewhere=replace(CALM, p99=9.0), attacked=replace(CALM, p99=17.0))
    assert [] == judge(ATTACK, [crowded])
    assert 1 == len(judge(ATTACK, [replace(crowded, attacked=replace(CALM, p99=19.0))]))


def test_the_longest_turn_is_told_whenever_there_is_a_longer_one(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with Timed() as reactor:
        for number in (1, 200_000, 1):
            reactor.call_soon(sum, range(number))
            reactor.run_once(0)
    lines = capfd.readouterr().err.splitlines()
    assert all(map(is_ours, lines))
    assert 1.0 < longest(lines) == max(longest([line]) for line in lines)
    assert 0.0 == longest(["[INF] Server is ready"])


def test_the_tally_misses_what_was_lost_and_what_came_twice_or_late() -> None:
    tally = Tally(first=5, subscribers=2)
    tally.sent = 3
    for number in (4, 5, 6, 7):  # the first is of the window before
        tally.note(0, number, 1.0)
    for number in (5, 7, 7):
        tally.note(1, number, 2.0)
    window = tally.window()
    assert (6, 6, 2) == (window.expected, window.delivered, window.disordered)


def test_a_percentile_is_a_value_that_occurred() -> None:
    values = list(range(1, 101))
    assert (50, 99, 100) == tuple(percentile(values, share) for share in (0.5, 0.99, 1.0))
    assert float("inf") == percentile([], 0.99)


def test_log_lines_of_different_clients_have_one_shape() -> None:
    lines = [
        "[12] 2026/11/23 20:00:00.000001 [ERR] 127.0.0.1:4711 - cid:7 - over 4096 bytes",
        "[12] 2026/11/23 20:00:01.000002 [ERR] 127.0.0.1:4712 - cid:8 - over 4096 bytes",
    ]
    assert "[ERR] #.#.#.#:# - cid:# - over # bytes" == shape(lines[0])
    assert [2] == list(shapes(lines).values())


def test_every_attack_is_on_a_front_that_a_log_can_tell_of() -> None:
    assert set() == {attack.front for attack in ATTACKS.values()} - set(FRONTS)


def test_every_smuggled_request_hides_another_one() -> None:
    assert [] == [request for request in SMUGGLED if not request.endswith(HIDDEN)]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.mark.parametrize("title", [t for t, a in ATTACKS.items() if a.front == "client"])
def test_an_attack_does_a_first_step_and_is_counted(title: str, listener: socket.socket) -> None:
    listener.listen(1000)
    target = Target({"client": listener.getsockname()[1]})
    target.random.seed(json.dumps(title))
    with closing(target):
        assert next(ATTACKS[title].steps(target)) >= 0
    assert target.deeds["connected"] > 0


def test_a_flood_keeps_what_the_kernel_does_not_take_and_drops_it_when_hung_up_on(
    listener: socket.socket,
) -> None:
    target = Target({"client": listener.getsockname()[1]})
    sock = target.connect()
    other, _ = listener.accept()
    flood = Flood(target, sock)
    flood.queue(b"x" * (1 << 24))
    assert not flood.push()
    other.close()
    assert flood.push()
    assert 1 == target.deeds["cut off"]
    sock.close()
