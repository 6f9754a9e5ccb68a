"""What is wrong with an account although it is signed as it should be."""

from __future__ import annotations

from typing import Any

import pytest

from broker.jwt import read
from broker.jwtaccount import load
from tests.support.jwts import UNLIMITED, account


def _stream(subject: str, **given: Any) -> dict[str, Any]:
    return {"subject": subject, "type": "stream", **given}


def _service(subject: str, **given: Any) -> dict[str, Any]:
    return {"subject": subject, "type": "service", **given}


@pytest.mark.parametrize(
    ("nats", "faults"),
    [
        ({}, ()),
        (
            {"limits": {**UNLIMITED, "imports": 1}, "imports": [_stream("a"), _stream("b")]},
            ("the account contains more imports than allowed by the operator",),
        ),
        (
            {"limits": {**UNLIMITED, "exports": 1}, "exports": [_stream("a"), _stream("b")]},
            ("the account contains more exports than allowed by the operator",),
        ),
        (
            {"limits": {**UNLIMITED, "exports": 1}, "exports": [_stream("a.*")]},
            ("the account contains wildcard exports that are not allowed by the operator",),
        ),
        ({"limits": {**UNLIMITED, "exports": 1, "wildcards": True}, "exports": [_stream(">")]}, ()),
        ({"exports": [_stream("a.>")]}, ()),
        (
            {"exports": [_stream("a.>"), _stream("a.b"), _service("a.b")]},
            ('stream export subject "a.>" already exports "a.b"',),
        ),
        (
            {"imports": [_service("a.>", account="X"), _service("a.b", account="X")]},
            ('overlapping subject namespace for "a.b" and "a.>" in same account "X"',),
        ),
        ({"imports": [_service("a", account="X"), _service("a", account="Y")]}, ()),
        ({"imports": [_stream("a", account="X"), _stream("a", account="X", to="b")]}, ()),
        (
            {"exports": [_stream("a.b", account_token_position=2)]},
            ("Account Token Position can only be used with wildcard subjects: a.b",),
        ),
        (
            {"exports": [_stream("a.*", account_token_position=3)]},
            ("Account Token Position 3 exceeds length of subject 'a.*'",),
        ),
        (
            {"exports": [_stream("a.*", account_token_position=1)]},
            ("Account Token Position 1 matches 'a' but must match a * in: a.*",),
        ),
        ({"exports": [_stream("a.*", account_token_position=2)]}, ()),
        ({"signing_keys": ["A"]}, ('"A" is not a valid account signing key',)),
        (
            {"limits": {**UNLIMITED, "payload": 0}},
            ("a limit of 0 on the payload is not served: leave out the right to publish",),
        ),
    ],
)
def test_the_faults_of_an_account(nats: Any, faults: tuple[str, ...]) -> None:
    assert faults == load(read(account(nats))).faults
