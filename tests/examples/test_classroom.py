"""The classroom: its parts, a lesson over dying nodes in virtual time, and the program itself."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from examples.classroom import student
from examples.classroom.classroom import Classroom
from examples.classroom.client import Client, Message, Seed
from examples.classroom.faults import CALM, Fault, schedule
from examples.classroom.lesson import Lesson, bits, decode
from examples.classroom.measure import Agreement, Sample
from examples.classroom.page import Page
from examples.classroom.student import Student
from examples.classroom.teacher import PATIENCE
from reactor import CloseReason, Reactor, Stream, StreamHandler, connect
from reactor.testing import memory_socketpair
from tests.examples.program import Program
from tests.support import virtual_cluster
from tests.support.virtual_cluster import VirtualCluster

PAGE = Path(__file__).resolve().parents[2] / "examples" / "classroom" / "page.html"


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    virtual_cluster.close_all()


class Network:
    """Connects clients to the nodes of a virtual cluster by their hosts. A node that `hangs` is
    connected to, and says nothing.
    """

    def __init__(self, cluster: VirtualCluster) -> None:
        self.cluster = cluster
        self.hangs: set[str] = set()
        self.closed = False
        self.seeds: list[Seed] = [(node.host, 4222) for node in cluster.nodes]

    def dial(
        self,
        reactor: Reactor,
        address: Seed,
        handler: StreamHandler,
        *,
        on_error: Callable[[Any], object],
        timeout: float,
    ) -> Any:
        def arrive() -> None:
            node = next(one for one in self.cluster.nodes if one.host == address[0])
            if not node.up or self.closed:
                on_error(ConnectionRefusedError(111, "Connection refused"))
                return
            ours, theirs = memory_socketpair(self.cluster.reactor.demultiplexer, capacity=1 << 20)
            if node.name not in self.hangs:
                node.server.admit(theirs, ("127.0.0.1", 5000))
            Stream(reactor, ours, handler)

        return reactor.call_later(0.001, arrive)

    def client(self, name: str, *, first: int = 0, pulse: float = 1.0) -> Client:
        seeds = self.seeds[first:] + self.seeds[:first]
        rng = random.Random(1)
        reactor = self.cluster.reactor
        return Client(reactor, seeds, name, rng=rng, pulse=pulse, dial=self.dial)


@pytest.fixture
def network() -> Network:
    cluster = VirtualCluster(3)
    cluster.form()
    return Network(cluster)


# --- what they agree on


def test_a_lesson_survives_its_journey() -> None:
    lesson = Lesson(7, 2, 5, bits({0, 9}, 12))
    assert lesson == decode(lesson.encode())
    assert 2 == lesson.present


@pytest.mark.parametrize("payload", [b"", b"{}", b"nonsense\n"])
def test_what_is_no_lesson_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError):
        decode(payload)


def test_faults_follow_from_the_seed_and_leave_time_to_recover() -> None:
    faults = schedule(random.Random(4), 3, 200, 1.0)
    assert faults == schedule(random.Random(4), 3, 200, 1.0)
    assert {"kill", "freeze"} == {fault.kind for fault in faults}
    ends = [0.0, *(fault.end for fault in faults)]
    begins = [*(fault.begin for fault in faults), 200]
    assert all(begin - end >= CALM for begin, end in zip(begins, ends, strict=True))


# --- the client


def test_a_request_is_answered_over_another_node(network: Network) -> None:
    asking, answering = network.client("one"), network.client("two", first=1)
    answering.subscribe("up", lambda message: answering.respond(message, message.payload.upper()))
    answers: list[bytes | None] = []
    asking.start()
    answering.start()
    network.cluster.run(1.0)

    asking.request("up", b"hello", answers.append, 5.0)
    network.cluster.run(0.1)

    assert [b"HELLO"] == answers


def test_a_request_that_nobody_serves_is_answered_by_none_at_once(network: Network) -> None:
    client = network.client("one")
    answers: list[bytes | None] = []
    client.start()
    network.cluster.run(1.0)

    client.request("nobody", b"", answers.append, 5.0)
    network.cluster.run(0.1)

    assert [None] == answers


def test_a_client_whose_node_dies_goes_to_the_next_with_its_subscriptions(network: Network) -> None:
    client, other = network.client("one"), network.client("two", first=1)
    heard: list[Message] = []
    answers: list[bytes | None] = []
    client.subscribe("news", heard.append)
    other.subscribe("slow", lambda message: None)
    client.start()
    other.start()
    network.cluster.run(1.0)
    client.request("slow", b"", answers.append, 5.0)

    network.cluster["A"].kill()
    network.cluster.run(1.0)
    other.publish("news", b"it died")
    network.cluster.run(0.1)

    assert [None] == answers
    assert [Message(b"news", b"", b"it died")] == heard
    assert 2 == client.connections


def test_a_client_leaves_a_node_that_says_nothing(network: Network) -> None:
    network.hangs = {"A"}
    client = network.client("one", pulse=0.5)
    client.start()
    network.cluster.run(0.4)
    assert not client.live
    network.cluster.run(1.0)
    assert client.live


def test_a_client_stays_at_a_node_where_nothing_happens(network: Network) -> None:
    client = network.client("one", pulse=0.5)
    client.start()
    network.cluster.run(60.0)
    assert 1 == client.connections


def test_a_client_that_was_stopped_does_not_come_back(network: Network) -> None:
    client = network.client("one")
    client.start()
    network.cluster.run(1.0)
    client.stop()
    network.cluster.run(5.0)
    assert (False, 1) == (client.live, client.connections)


def test_a_client_that_is_stopped_before_its_stream_opens_does_not_stay(network: Network) -> None:
    client = network.client("one")
    stream = Stream(
        network.cluster.reactor,
        memory_socketpair(network.cluster.reactor.demultiplexer)[0],
        client,
    )
    client.stop()
    network.cluster.run(0.1)
    assert stream.closed


# --- a lesson


def lesson(network: Network, **more: Any) -> Classroom:
    settings: dict[str, Any] = {"students": 50, "heartbeat": 1.0, "seconds": 40.0, "seed": 3}
    classroom = Classroom(
        network.cluster.reactor, network.seeds, dial=network.dial, **(settings | more)
    )
    classroom.agreement.possible(True)
    return classroom


@pytest.mark.parametrize("seed", range(3))
def test_everybody_agrees_in_time_although_each_node_dies_once(network: Network, seed: int) -> None:
    classroom = lesson(network, seed=seed)
    classroom.begin()
    for number, node in enumerate(network.cluster.nodes):
        network.cluster.reactor.call_later(8.3 + 9 * number, node.kill)
        network.cluster.reactor.call_later(11.3 + 9 * number, node.start)

    network.cluster.run(40.0)

    agreement = classroom.agreement
    assert agreement.held, agreement.worst
    assert agreement.samples[-1].agree == agreement.samples[-1].present > 45
    assert sum(one.reconnects for one in classroom.students) >= 50
    # Those who were there for a whole question have answered it.
    assert all(len(given) > 35 for given in list(classroom.teacher.answers.values())[:-1])


def test_each_raised_hand_is_seen_by_one_assistant(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(student, "HANDS", 0.1)
    classroom = lesson(network, seconds=10.0)
    classroom.begin()
    network.cluster.run(10.0)

    counts = classroom.counts
    assert counts["hands raised"] > 10
    assert 0 == counts["hands raised again"]
    seen = [assistant.seen for assistant in classroom.assistants]
    assert counts["hands raised"] == sum(seen)
    assert all(seen)


def test_who_has_left_is_off_the_roster_after_three_heartbeats(network: Network) -> None:
    classroom = lesson(network)
    classroom.begin()
    network.cluster.run(10.0)
    (leaver, *_) = (one for one in classroom.students if one.joined is not None)
    number = classroom.students.index(leaver)

    leaver.go()
    network.cluster.run(PATIENCE + 1.1)

    here = classroom.teacher.lesson.here
    assert not here[number >> 3] & 1 << (number & 7)


def test_students_who_cannot_come_back_are_found_to_disagree(network: Network) -> None:
    classroom = lesson(network)
    classroom.begin()
    network.cluster.run(10.0)
    assert classroom.agreement.held

    network.closed = True
    network.cluster["B"].kill()
    network.cluster.run(6.0)

    assert not classroom.agreement.held
    assert classroom.agreement.samples[-1].agree < classroom.agreement.samples[-1].present


def test_an_outage_of_all_nodes_is_held_against_nobody_but_what_follows_it_is() -> None:
    now = 0.0
    one = object.__new__(Student)
    one.joined, one.lesson = 0.0, Lesson(1)
    agreement = Agreement(lambda: now, 1.0)
    agreement.possible(True)
    agreement.changed(Lesson(1))
    agreement.possible(False)
    agreement.changed(Lesson(2))
    lateness = []
    for now in (5.0, 10.0, 12.0, 14.0):
        if now == 10.0:
            agreement.possible(True)
        sample = agreement.look([(0, one)])
        assert sample is not None
        lateness.append(sample.worst)
    assert [0.0, 0.0, 2.0, 4.0] == lateness
    assert not agreement.held


# --- the program


def test_the_program_holds_a_lesson_over_a_node_that_dies_and_says_how_it_went() -> None:
    with Program(
        *("classroom", "--students", "50", "--nodes", "1"),
        *("--seconds", "6.5", "--heartbeat", "0.3"),
    ) as program:
        text = program.rest()
    assert re.search(r"^node a killed at 2\.4 s", text, re.MULTILINE), text
    assert re.search(r"^students +50$", text, re.MULTILINE), text
    reconnects = re.search(r"^reconnects of students +(\d+)$", text, re.MULTILINE)
    assert reconnects is not None and int(reconnects[1]) >= 40, text
    assert re.search(r"^agreement within 3 heartbeats (held|did NOT hold)$", text, re.MULTILINE)


def test_the_page_is_served_and_knows_where_the_nodes_are() -> None:
    class Browser(StreamHandler):
        data, ended = b"", False

        def on_open(self, stream: Stream) -> None:
            stream.write(b"GET / HTTP/1.1\r\nHost: classroom\r\n\r\n")

        def on_data(self, stream: Stream, data: bytes) -> None:
            self.data += data

        def on_close(self, stream: Stream, reason: CloseReason) -> None:
            self.ended = True

    with Reactor() as reactor:
        page = Page(reactor, [8001, 8002])
        browser = Browser()
        port = int(page.url.rstrip("/").rpartition(":")[2])
        connect(reactor, ("127.0.0.1", port), browser)
        assert reactor.run_until(lambda: browser.ended, 10.0)
    head, _, body = browser.data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b'const NODES = ["ws://127.0.0.1:8001", "ws://127.0.0.1:8002"]' in body
    assert body.endswith(b"</html>\n")


def test_a_run_can_be_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="drawing needs it, and it is not installed")
    from examples.classroom.plot import draw

    samples = [Sample(float(at), 50, 50 - at, at / 4, False, 50) for at in range(10)]
    draw(samples, [Fault(2.0, 5.0, 1, "freeze")], tmp_path / "run.svg")
    assert "freeze b" in (tmp_path / "run.svg").read_text()


def test_the_page_needs_nothing_from_elsewhere() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [] == re.findall(r"(?:src|href)=\"(?!data:)[^\"]*\"|https?://", page)
    assert 1 == page.count("/*NODES*/[]")
