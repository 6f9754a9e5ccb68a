"""Templates of scoped signing keys, with their blanks filled in."""

from __future__ import annotations

from typing import Any

import pytest

from broker.jwt import Claims
from broker.jwttemplate import MOST, expanded, is_bare


def _claims(kind: str, **given: Any) -> Claims:
    known = {"subject": kind, "issuer": "", "name": "", "issued": 0, "expires": 0, "begins": 0}
    return Claims(
        **{"kind": kind, **known, "version": 2, "account": "", "tags": (), "nats": {}, **given}
    )


ANN = _claims("user", name="ann", account="AAA", tags=("team:red", "team:blue", "level:7"))
SCHOOL = _claims("account", name="school", tags=("site:north",))


def _filled(given: Any, user: Claims = ANN) -> Any:
    return expanded({"pub": given}, user, SCHOOL)["pub"]


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("plain.>", ["plain.>"]),
        ("{{name()}}.x", ["ann.x"]),
        ("{{ NAME() }}.x", ["ann.x"]),
        ("{{subject()}}.x", ["user.x"]),
        ("{{account-name()}}.{{name()}}", ["school.ann"]),
        ("{{account-subject()}}", ["AAA"]),
        ("{{tag(team)}}.>", ["red.>", "blue.>"]),
        ("{{tag(TEAM)}}", ["red", "blue"]),
        ("{{tag(team)}}.{{tag(level)}}", ["red.7", "blue.7"]),
        ("{{account-tag(site)}}.{{tag(level)}}", ["north.7"]),
        ("{{tag(team)}}.{{tag(team)}}", ["red.red", "blue.blue"]),
    ],
)
def test_a_blank_is_filled_from_the_tokens(subject: str, expected: list[str]) -> None:
    assert {"allow": expected, "deny": []} == _filled({"allow": [subject]})
    assert {"allow": [], "deny": expected} == _filled({"deny": [subject]})


@pytest.mark.parametrize("name", ["a b", "a..b", "", ">.a"])
def test_a_permission_that_comes_out_as_no_subject_is_left_out(name: str) -> None:
    given = {"allow": ["x", "{{name()}}.y"]}
    assert {"allow": ["x"], "deny": []} == _filled(given, _claims("user", name=name))


def test_where_nothing_allowed_is_left_everything_is_denied() -> None:
    given = {"allow": ["{{tag(none)}}.y"], "deny": ["z"]}
    assert {"allow": [], "deny": ["z", ">"]} == _filled(given)


def test_an_entry_with_a_queue_group_is_lost_among_entries_with_blanks_only() -> None:
    assert ["a q"] == _filled({"allow": ["a q"]})["allow"]
    assert ["ann"] == _filled({"allow": ["a q", "{{name()}}"]})["allow"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"deny": ["{{tag(none)}}"]}, "'none' of a denied subject is not defined"),
        ({"deny": ["{{name()}}. ."]}, "is no subject"),
        ({"deny": ["a q", "{{name()}}"]}, "is no subject"),
        ({"allow": ["{{unknown()}}"]}, r"asks for 'unknown\(\)', which is not known"),
        ({"allow": ["{{tag(x}}"]}, "not known"),
        ({"allow": ["{{TAG(team)}}"], "deny": ["{{TAG(team)}}"]}, "not defined"),
        ({"allow": 5}, "no list"),
    ],
)
def test_what_cannot_be_filled_in_is_refused(given: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        _filled(given)


def test_there_is_an_end_to_the_subjects_of_a_template() -> None:
    many = _claims("user", tags=tuple(f"n:{number}" for number in range(64)))
    assert MOST == len(_filled({"allow": ["{{tag(n)}}.{{tag(n)}}"]}, many)["allow"]) ** 2
    with pytest.raises(ValueError, match="more than 4096 subjects"):
        _filled({"allow": ["{{tag(n)}}.{{tag(n)}}.{{tag(n)}}"]}, many)
    with pytest.raises(ValueError, match="more than 4096 subjects"):
        _filled({"allow": ["{{tag(n)}}.{{tag(n)}}", "{{name()}}"]}, many)


def test_the_rest_of_a_template_stays_as_it_is() -> None:
    template = {"subs": 5, "sub": {"allow": ["{{name()}}"]}}
    rules = {"allow": ["ann"], "deny": []}
    expected = {"subs": 5, "pub": {"allow": [], "deny": []}, "sub": rules}
    assert expected == expanded(template, ANN, SCHOOL)


@pytest.mark.parametrize(
    ("nats", "bare"),
    [
        ({}, True),
        ({"pub": {}, "sub": {"allow": None}, "subs": 0, "bearer_token": False, "src": None}, True),
        ({"tags": ["a"], "issuer_account": "A"}, True),
        ({"pub": {"allow": []}}, False),
        ({"sub": {"deny": ["a"]}}, False),
        ({"resp": {}}, False),
        ({"subs": -1}, False),
        ({"src": []}, False),
        ({"times_location": "UTC"}, False),
        ({"bearer_token": True}, False),
    ],
)
def test_a_user_of_a_template_says_nothing_of_its_rights(nats: Any, bare: bool) -> None:
    assert bare == is_bare(nats)
