"""Who would get a message, and why: what the page says, and what then happens."""

from __future__ import annotations

from typing import Any

import pytest

from broker.flow import FlowTable
from broker.plane import Link
from broker.pyplane import PythonPlane
from broker.snapshots import Explanation, Recipient
from broker.switchboard import DEFAULT_ZONE, Switchboard
from broker.tracez import explain, trace
from tests.broker.test_varz import STATS


class Switch:
    """A switchboard with a plane and links 1 to 3."""

    def __init__(self, capacity: int = 16) -> None:
        flows: FlowTable[Link] = FlowTable(capacity)
        self.plane = PythonPlane(flows)
        self.board = Switchboard(self.plane)
        self.links = [self.plane.open(number, DEFAULT_ZONE) for number in (1, 2, 3)]

    def explain(self, subject: bytes) -> Explanation:
        return explain(self.board, self.plane, "$G", subject)

    def trace(self, subject: bytes) -> dict[str, Any]:
        return trace(self.explain(subject), STATS, {1: "one"})


@pytest.fixture
def switch() -> Switch:
    made = Switch()
    one, two, three = made.links
    made.board.subscribe(one, b"a.*", b"", b"1")
    made.board.subscribe(two, b"a.>", b"", b"7")
    made.board.subscribe(two, b"a.b", b"q", b"8")
    made.board.subscribe(three, b"*.b", b"q", b"9")
    return made


def test_an_explanation_names_every_recipient(switch: Switch) -> None:
    found = switch.explain(b"a.b")
    assert {Recipient(1, "1", "a.*"), Recipient(2, "7", "a.>")} == set(found.plain)
    members = {Recipient(2, "8", "a.b", "q"), Recipient(3, "9", "*.b", "q")}
    assert [members] == [set(pick) for pick in found.picks]


def test_looking_changes_nothing_and_says_whether_there_is_a_flow(switch: Switch) -> None:
    assert [False, False] == [switch.explain(b"a.c").installed for _ in range(2)]
    assert 0 == len(switch.plane.flows)
    switch.board.resolve(DEFAULT_ZONE, b"a.c")
    assert switch.explain(b"a.c").installed


def test_nothing_is_published_by_looking(switch: Switch) -> None:
    switch.explain(b"a.b")
    assert 0 == switch.plane.stats().out_msgs


def test_a_subscription_with_a_limit_asks_and_tells_its_limit(switch: Switch) -> None:
    switch.board.unsubscribe(switch.links[0], b"1", 5)
    found = switch.trace(b"a.c")
    assert True is found["flow"]["asks"]
    assert [5] == [row["max"] for row in found["plain"] if row["cid"] == 1]
    assert "The flow asks" in found["explanation"][-1]


def test_the_page_says_which_wildcard_takes_what(switch: Switch) -> None:
    switch.board.subscribe(switch.links[0], b"*.b.>", b"", b"2")
    switch.board.subscribe(switch.links[0], b"a.b.c.d", b"", b"3")
    why = {row["subject"]: row["why"] for row in switch.trace(b"a.b.c.d")["plain"]}
    expected = {
        "a.>": "> takes b.c.d",
        "*.b.>": "* takes a, > takes c.d",
        "a.b.c.d": "the same subject",
    }
    assert expected == why


def test_the_page_names_clients_and_queue_groups(switch: Switch) -> None:
    found = switch.trace(b"a.b")
    assert ["one"] == [row["name"] for row in found["plain"] if row["cid"] == 1]
    assert ["q"] == [pick["queue"] for pick in found["picks"]]
    assert 3 == found["copies"]
    assert "One of 2 members of the queue group q" in " ".join(found["explanation"])


def test_the_page_says_when_a_pattern_stands_for_more_than_the_subject(switch: Switch) -> None:
    found = switch.trace(b"a.c.d")
    assert "a.c.*" == found["flow"]["pattern"]
    assert "Whatever stands in place of a *" in found["explanation"][-1]


def test_the_page_says_when_nobody_listens(switch: Switch) -> None:
    found = switch.trace(b"x.y")
    assert 0 == found["copies"]
    assert found["explanation"][0].startswith("No subscription matches.")


def test_a_subject_with_an_empty_token_reaches_nobody_and_is_not_kept(switch: Switch) -> None:
    found = switch.trace(b"a..b")
    assert (0, "") == (found["copies"], found["flow"]["pattern"])
    assert "empty token" in found["explanation"][0]
