"""What the JWT of an account says, and which of its imports hold when."""

from __future__ import annotations

from typing import Any

import pytest

from broker.blocks import Export, Import, MappingBlock, Target
from broker.jwt import read
from broker.jwtaccount import Account, blocks, is_revoked, load, next_change
from tests.support.jwts import ACCOUNT, OPERATOR, UNLIMITED, Signer, account, activation

EXPORTER, SIGNER = Signer("A", 20), Signer("A", 21)
WALL = 2000.0


def loaded(nats: Any) -> Account:
    return load(read(account(nats)))


def test_an_account_brings_what_it_shares_and_maps() -> None:
    nats = {
        "exports": [
            {"subject": "s.>", "type": "stream", "token_req": True},
            {"subject": "q", "type": "service", "response_type": "Stream"},
            {"subject": "p.*", "type": "service", "account_token_position": 2},
        ],
        "imports": [
            {"account": "X", "subject": "a", "type": "stream", "to": "p"},
            {"account": "X", "subject": "b", "type": "stream", "local_subject": "l"},
            {"account": "X", "subject": "mine", "type": "service", "to": "theirs", "share": True},
            {"account": "Y", "subject": "theirs", "type": "service", "local_subject": "mine"},
        ],
        "mappings": {"m": [{"subject": "n", "weight": 40}, {"subject": "o"}]},
        "limits": {**UNLIMITED, "conn": 3, "payload": 9},
    }
    found = loaded(nats)
    assert () == found.faults
    exports = (
        Export(b"s.>", False, token=True),
        Export(b"q", True, response="stream"),
        Export(b"p.*", True, position=2),
    )
    assert exports == found.block.exports
    imports = (
        Import("X", b"a", False, prefix=b"p"),
        Import("X", b"b", False, to=b"l"),
        Import("X", b"theirs", True, to=b"mine", share=True),
        Import("Y", b"theirs", True, to=b"mine"),
    )
    assert imports == found.block.imports
    assert (MappingBlock(b"m", (Target(b"n", 40), Target(b"o"))),) == found.block.mappings
    limits = found.block.max_connections, found.block.max_subscriptions, found.block.max_payload
    assert (3, 0, 9) == limits


@pytest.mark.parametrize(("limit", "ours"), [(-1, 0), (0, -1), (7, 7)])
def test_a_limit_of_nothing_and_no_limit_are_two_things(limit: int, ours: int) -> None:
    found = loaded({"limits": {**UNLIMITED, "subs": limit}})
    assert ours == found.block.max_subscriptions


@pytest.mark.parametrize(
    ("nats", "words"),
    [
        ({"signing_keys": [{"kind": "group"}]}, "a scope 'group' is not known"),
        ({"exports": [{"subject": "a", "type": "x"}]}, "neither a service nor a stream"),
        ({"exports": [{"subject": "a", "type": "service", "response_type": "x"}]}, "not known"),
        ({"exports": ["a"]}, "where a JSON object belongs"),
        ({"mappings": {"a": [{"subject": "b", "cluster": "c"}]}}, "for a cluster is not served"),
    ],
)
def test_what_no_account_says_is_refused_in_words(nats: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        loaded(nats)


def test_scoped_and_plain_keys_sign_users_and_the_accounts_own_key_unless_strict() -> None:
    scope = {"kind": "user_scope", "key": SIGNER.key, "template": {"subs": 1}}
    claims = read(account({"signing_keys": [scope, EXPORTER.key]}))
    others = {SIGNER.key: {"subs": 1}, EXPORTER.key: None}
    assert {**others, ACCOUNT.key: None} == load(claims).signers
    assert others == load(claims, strict=True).signers


# --- activations


def exporter(nats: Any = None) -> Account:
    export = {"subject": "a.>", "type": "stream", "token_req": True}
    claims = {"exports": [export], "signing_keys": [SIGNER.key], **(nats or {})}
    token = OPERATOR.vouch("account", EXPORTER.key, {"limits": UNLIMITED, **claims})
    return load(read(token))


def importer(token: str = "", **given: Any) -> Account:
    wanted = {"account": EXPORTER.key, "subject": "a.b", "type": "stream", "token": token}
    return loaded({"imports": [{**wanted, **given}]})


def is_activated(token: str, wall: float = WALL, nats: Any = None) -> bool:
    accounts = {EXPORTER.key: exporter(nats), ACCOUNT.key: importer(token)}
    (wanted,) = blocks(accounts, wall)[1].imports
    return wanted.activated


def test_an_import_holds_if_its_exporter_has_signed_for_it() -> None:
    assert is_activated(activation("a.>", by=EXPORTER))
    assert is_activated(activation("a.*", by=SIGNER, account=EXPORTER.key))
    assert not is_activated("")


def test_a_key_that_the_exporter_does_not_know_signs_for_nothing() -> None:
    assert not is_activated(activation("a.b", by=Signer("A", 99), account=EXPORTER.key))


def test_an_activation_holds_for_its_time() -> None:
    token = activation("a.b", by=EXPORTER, nbf=1500, exp=2500)
    times = (1499.0, 1500.0, 2499.0, 2500.0)
    assert [False, True, True, False] == [is_activated(token, wall) for wall in times]
    accounts = [exporter(), importer(token)]
    assert [1500.0, 2500.0, None] == [next_change(accounts, wall) for wall in (1, 1500, 2500)]


@pytest.mark.parametrize(
    ("revocations", "good"),
    [({ACCOUNT.key: 999}, True), ({ACCOUNT.key: 1000}, False), ({"*": 1000}, False)],
)
def test_an_exporter_revokes_what_it_has_signed(revocations: Any, good: bool) -> None:
    export = {"subject": "a.>", "type": "stream", "token_req": True, "revocations": revocations}
    assert good == is_activated(activation("a.b", by=EXPORTER), nats={"exports": [export]})


def test_without_its_exporter_nothing_is_activated() -> None:
    (block,) = blocks({ACCOUNT.key: importer(activation("a.b", by=EXPORTER))}, WALL)
    assert [False] == [wanted.activated for wanted in block.imports]


@pytest.mark.parametrize(
    ("token", "given", "fault"),
    [
        ("nonsense", {}, 'import "a.b" contains an invalid activation token'),
        (account(), {}, 'import "a.b" contains an invalid activation token'),
        (
            activation("a.b", by=SIGNER),
            {},
            'activation token doesn\'t match account for import "a.b"',
        ),
        (
            activation("a.b", by=EXPORTER, subject=SIGNER.key),
            {},
            'activation token doesn\'t match account it is being included in, "a.b"',
        ),
        (
            activation("a.b", by=EXPORTER),
            {"type": "service"},
            "mismatch between token import type stream and type of import service",
        ),
        (
            activation("a.c", by=EXPORTER),
            {},
            'activation token import subject "a.c" doesn\'t match import "a.b"',
        ),
    ],
)
def test_an_activation_of_something_else_is_a_fault(token: str, given: Any, fault: str) -> None:
    assert (fault,) == importer(token, **given).faults


def test_an_account_with_faults_has_no_block() -> None:
    assert () == blocks({ACCOUNT.key: importer("nonsense")}, WALL)


def test_a_revocation_of_all_holds_for_each() -> None:
    assert is_revoked({"*": 5}, "U", 5)
    assert not is_revoked({"*": 5}, "U", 6)
    assert is_revoked({"*": 5, "U": 6}, "U", 6)
