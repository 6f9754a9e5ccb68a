"""The judge of failover finds what it must and excuses what it may; and one short run passes."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from bench import failover
from bench.failover_judge import (
    BACK,
    DYING,
    KINDS,
    MARGIN,
    SETTLE,
    Client,
    Fault,
    Publisher,
    Requester,
    Stay,
    Subscriber,
    must_arrive,
    schedule,
    violations,
)
from bench.failover_network import Namespaces, Proxies, networks
from bench.failover_nodes import free_ports

END = 100.0

#: A program that says hello to everybody, and one that wants to be told.
ANSWERER = """
import socket, sys
listener = socket.create_server((sys.argv[1], int(sys.argv[2])))
print(flush=True)
while True:
    listener.accept()[0].send(b"hello")
"""
DIALLER = """
import socket, sys
sock = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2)
sock.settimeout(2)
sys.exit(sock.recv(5) != b"hello")
"""


def publisher(*sent: float, node: int = 0) -> Publisher:
    return Publisher("p", [Stay(node, 0.0)], list(sent))


def subscriber(*heard: tuple[int, float], node: int = 1) -> Subscriber:
    return Subscriber("s", [Stay(node, 0.0)], [("p", number, at) for number, at in heard])


def fault(kind: str, *nodes: int, begin: float = 50.0, end: float = 55.0) -> Fault:
    return Fault(kind, frozenset(nodes), begin, end)


def found(
    sent: Publisher, heard: Subscriber, *faults: Fault, asked: Requester | None = None
) -> list[str]:
    """The first words of what the judge finds."""
    requesters = [] if asked is None else [asked]
    told = violations([sent], [heard], requesters, faults, END)
    return [text.split(":")[0] for text in told]


# --- the schedule


def test_a_seed_is_a_schedule() -> None:
    assert schedule(7, 3, 180) == schedule(7, 3, 180)
    assert schedule(7, 3, 180) != schedule(8, 3, 180)


@pytest.mark.parametrize("seed", range(20))
def test_faults_come_one_at_a_time_and_every_kind_in_every_four(seed: int) -> None:
    faults = schedule(seed, 3, 180)
    assert len(faults) >= 12
    assert set(KINDS) == {one.kind for one in faults[:4]} == {one.kind for one in faults[4:8]}
    for one, following in pairwise(faults):
        assert one.end + SETTLE < following.begin
    assert all(len(one.nodes) == (2 if one.kind == "cut" else 1) for one in faults)
    assert faults[-1].end + SETTLE < 180


def test_the_short_run_has_faults_as_well() -> None:
    assert all(schedule(seed, 3, 30) for seed in range(100))


# --- what must arrive


def test_what_arrives_once_and_in_order_is_no_violation() -> None:
    assert [] == found(publisher(10.0, 11.0), subscriber((0, 10.1), (1, 11.1)))


def test_a_message_that_nothing_excuses_is_lost() -> None:
    assert ["lost"] == found(publisher(10.0, 11.0), subscriber((1, 11.1)))


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (50.0 - MARGIN - 0.1, True),
        (50.0 - MARGIN + 0.1, False),
        (53.0, False),
        (55.0 + SETTLE - 0.1, False),
        (55.0 + SETTLE + 0.1, True),
    ],
)
@pytest.mark.parametrize(
    "what", [fault("kill", 0), fault("freeze", 1), fault("stop", 0), fault("cut", 0, 1)]
)
def test_a_fault_between_the_two_excuses_a_loss_for_its_time(
    what: Fault, at: float, expected: bool
) -> None:
    assert expected == must_arrive(publisher(), subscriber(), at, [what])


@pytest.mark.parametrize("what", [fault("kill", 2), fault("cut", 0, 2), fault("cut", 1, 2)])
def test_a_fault_elsewhere_excuses_nothing(what: Fault) -> None:
    assert ["lost"] == found(publisher(53.0), subscriber(), what)


def test_who_has_just_come_may_miss_something() -> None:
    heard = subscriber()
    heard.stays = [Stay(1, 10.0)]
    assert [] == found(publisher(10.0 + SETTLE - 0.1), heard)
    assert ["lost"] == found(publisher(10.0 + SETTLE + 0.1), heard)


def test_nothing_may_come_twice_whatever_happened() -> None:
    sent, heard = publisher(53.0), subscriber((0, 53.1), (0, 53.2))
    assert ["doubled"] == found(sent, heard, fault("cut", 0, 1))


def test_nothing_may_overtake_while_both_stay_where_they_are() -> None:
    heard = subscriber((1, 11.1), (0, 11.2))
    assert ["reordered"] == found(publisher(10.0, 11.0), heard)


def test_a_frozen_node_may_let_go_of_old_messages_when_the_publisher_is_elsewhere() -> None:
    sent = publisher(50.1, 53.0)
    sent.stays = [Stay(0, 0.0, 51.0), Stay(2, 51.2)]
    assert [] == found(sent, subscriber((1, 53.1), (0, 55.1)), fault("freeze", 0))


# --- requests and returns


@pytest.mark.parametrize(
    ("asked", "expected"),
    [(49.0, ["unanswered"]), (50.5, []), (50.0 + DYING + 0.1, ["unanswered"])],
)
def test_a_request_may_fail_while_a_node_is_dying(asked: float, expected: list[str]) -> None:
    requester = Requester("r", [Stay(1, 0.0)], [(asked, None), (60.0, 60.1)])
    told = found(publisher(), subscriber(), fault("kill", 2), asked=requester)
    assert expected == told


@pytest.mark.parametrize(("took", "expected"), [(BACK - 0.1, []), (BACK + 0.1, ["late"])])
def test_a_client_must_be_back_in_time(took: float, expected: list[str]) -> None:
    requester = Requester("r", [Stay(2, 0.0, 50.1), Stay(0, 50.0 + took)])
    assert expected == found(publisher(), subscriber(), fault("kill", 2), asked=requester)


def test_who_never_comes_back_is_late() -> None:
    requester = Requester("r", [Stay(2, 0.0, 50.1)])
    assert ["late"] == found(publisher(), subscriber(), fault("kill", 2), asked=requester)


def test_nobody_moves_without_a_reason() -> None:
    requester = Requester("r", [Stay(2, 0.0, 30.0), Stay(0, 30.1)])
    assert ["moved"] == found(publisher(), subscriber(), fault("kill", 2), asked=requester)


def test_who_goes_home_needs_no_reason() -> None:
    requester = Requester("r", [Stay(2, 0.0, 30.0, willingly=True), Stay(0, 30.1)])
    assert [] == found(publisher(), subscriber(), fault("kill", 2), asked=requester)


def test_where_a_client_was_is_known_at_each_time() -> None:
    client = Client("c", [Stay(0, 1.0, 2.0), Stay(1, 3.0)])
    assert [None, 0, None, 1] == [
        None if (stay := client.stay(at)) is None else stay.node for at in (0.5, 1.5, 2.5, 9.0)
    ]


# --- one run


@pytest.mark.timeout(120)
@pytest.mark.parametrize("network", [Namespaces.name, Proxies.name])
def test_a_short_run_over_processes_is_judged(
    network: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if network not in networks():
        pytest.skip("network namespaces take `ip` and root's rights")
    planned = [fault("kill", 1, begin=2.0, end=3.0), fault("cut", 0, 2, begin=5.0, end=9.0)]
    monkeypatch.setattr(failover, "schedule", lambda *_: planned)
    record = tmp_path / "failover.json"
    options = ["--seconds", "14", "--seed", "1", "--network", network, "--json", str(record)]
    before = signal.getsignal(signal.SIGTERM)
    failover.main(options)
    assert before is signal.getsignal(signal.SIGTERM)
    saved = json.loads(record.read_text())
    # How long things take on a busy machine is not for a test to judge; what never may happen is.
    never = ("doubled", "reordered", "lost", "n0 is wrong", "n1 is wrong", "n2 is wrong")
    assert [] == [text for text in saved["violations"] if text.startswith(never)]
    assert 2 == len(saved["faults"])
    assert saved["figures"]["clients back after kill"].startswith("5, ")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", [Namespaces, Proxies])
def test_a_cut_parts_two_nodes_and_nobody_else(kind: type[Namespaces] | type[Proxies]) -> None:
    if kind.name not in networks():
        pytest.skip("network namespaces take `ip` and root's rights")
    asyncio.run(_cut_one_of_three(kind(3)))


async def _cut_one_of_three(network: Namespaces | Proxies) -> None:
    ports = free_ports(3)
    listeners = []
    try:
        await network.open(ports)
        for number, port in enumerate(ports):
            listener = await asyncio.create_subprocess_exec(
                *network.command(
                    number, [sys.executable, "-c", ANSWERER, network.listen, str(port)]
                ),
                stdout=asyncio.subprocess.PIPE,
            )
            listeners.append(listener)
            assert listener.stdout is not None
            await listener.stdout.readline()
        assert [True, True, True] == await _reached(network)
        network.cut(frozenset((0, 2)))
        assert [True, False, True] == await _reached(network)
        network.heal(frozenset((0, 2)))
        for _ in range(10):  # the kernel asks for addresses once a second
            reached = await _reached(network)
            if all(reached):
                break
        assert [True, True, True] == reached
    finally:
        for listener in listeners:
            listener.kill()
            await listener.wait()
        await network.close()


async def _reached(network: Namespaces | Proxies) -> list[bool]:
    """Whether 1 reaches 0, 2 reaches 0, and 2 reaches 1."""

    async def reaches(number: int, other: int) -> bool:
        host, port = network.route(number, other).split(":")
        dialler = await asyncio.create_subprocess_exec(
            *network.command(number, [sys.executable, "-c", DIALLER, host, port])
        )
        return await dialler.wait() == 0

    return [await reaches(*pair) for pair in ((1, 0), (2, 0), (2, 1))]
