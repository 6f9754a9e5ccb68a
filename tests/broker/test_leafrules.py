"""What may pass between a leaf and a hub, and of what either may be told."""

from __future__ import annotations

import pytest

from broker.leafrules import FREE, LeafRules, denying, passes_always
from broker.permissions import Responses, Rules

SOME = Rules(allow=(b"a.>", b"_INBOX.>"), deny=(b"a.secret",))


def test_without_rules_everything_passes() -> None:
    assert FREE.gate is None
    assert FREE.asks(b"any.thing")
    assert not FREE.refuses(b"any.thing")


@pytest.mark.parametrize(
    ("filter", "refused"),
    [
        (b"a.b", False),
        (b"a.secret", True),
        (b"b", True),
        (b"b.*", False),  # wildcards are taken, and filtered message by message
        (b">", False),
        (b"$LDS.abc", False),
        (b"_R_.abc.>", False),
    ],
)
def test_literal_interest_outside_of_what_goes_out_is_refused(filter: bytes, refused: bool) -> None:
    assert refused == LeafRules(outgoing=SOME).refuses(filter)


@pytest.mark.parametrize(
    ("filter", "told"),
    [
        (b"a.b", True),
        (b"a.*", True),
        (b"a.secret", False),
        (b"b", False),
        (b">", False),
        (b"$LDS.abc", True),
        (b"_R_.abc.>", True),
    ],
)
def test_only_interest_within_what_comes_in_is_told(filter: bytes, told: bool) -> None:
    assert told == LeafRules(incoming=SOME).asks(filter)


def test_the_gate_is_of_what_goes_out() -> None:
    gate = LeafRules(incoming=Rules(allow=()), outgoing=SOME).gate
    assert gate is not None
    assert (True, False) == (gate.look(b"a.b")[0], gate.look(b"a.secret")[0])


def test_as_a_member_the_link_publishes_what_comes_in() -> None:
    rules = LeafRules(incoming=SOME, outgoing=Rules(allow=()), responses=Responses())
    assert SOME == rules.permissions.publish
    assert Rules() == rules.permissions.subscribe
    assert Responses() == rules.permissions.responses


def test_what_one_side_denies_is_added_to_what_the_other_does() -> None:
    assert Rules(deny=(b"x",)) == denying(None, [b"x"])
    assert Rules(SOME.allow, (b"a.secret", b"x")) == denying(SOME, [b"x", b"a.secret"])
    assert Rules() == denying(None, [])


@pytest.mark.parametrize(
    ("subject", "always"),
    [(b"$LDS.a", True), (b"_R_.a.b", True), (b"$SYS.a", False), (b"a", False)],
)
def test_what_servers_need_passes_always(subject: bytes, always: bool) -> None:
    assert always == passes_always(subject)


def test_entries_for_groups_are_rules_for_messages_as_well() -> None:
    rules = Rules(allow=(b"a.> workers",), deny=(b"a.b others", b"a.c"))
    both = LeafRules(incoming=rules, outgoing=rules)
    assert Rules((b"a.>",), (b"a.c",)) == both.permissions.publish
    assert both.gate is not None
    assert (True, True, False) == tuple(
        both.gate.look(subject)[0] for subject in (b"a.a", b"a.b", b"a.c")
    )
