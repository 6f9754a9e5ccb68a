"""JWTs of both versions, and everything that is none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.jwt import Claims, read
from tests.support.jwts import ACCOUNT, OPERATOR, USER, Signer, user


def test_a_token_of_version_2_is_read() -> None:
    token = ACCOUNT.vouch("user", USER.key, {"subs": 5}, name="ann", exp=9, nbf=3)
    nats = {"type": "user", "version": 2, "subs": 5}
    assert Claims("user", USER.key, ACCOUNT.key, "ann", 1000, 9, 3, 2, "", (), nats) == read(token)


def test_a_token_of_version_1_has_its_type_elsewhere_and_signs_its_claims_only() -> None:
    token = OPERATOR.token({"sub": ACCOUNT.key, "type": "account"}, version=1)
    expected = Claims("account", ACCOUNT.key, OPERATOR.key, "", 1000, 0, 0, 1, "", (), {})
    assert expected == read(token)


def test_a_signing_key_says_in_whose_name_it_signs_and_tags_are_kept() -> None:
    nats = {"type": "user", "version": 2, "issuer_account": "A", "tags": ["x:1"]}
    second = read(ACCOUNT.token({"sub": USER.key, "nats": nats}))
    old = {"sub": USER.key, "type": "user", "issuer_account": "A", "tags": ["x:1"]}
    first = read(ACCOUNT.token(old, version=1))
    assert ("A", ("x:1",)) == (second.account, second.tags) == (first.account, first.tags)


def test_a_token_holds_from_its_beginning_to_before_its_end() -> None:
    claims = read(user(nbf=10, exp=20))
    assert [False, True, True, False] == [claims.holds(wall) for wall in (9, 10, 19.9, 20)]


def test_nobody_can_sign_for_somebody_else() -> None:
    forged = Signer("A", 9).token({**_BODY, "iss": ACCOUNT.key})
    with pytest.raises(ValueError, match="signature of the JWT is not its issuer's"):
        read(forged)


@pytest.mark.parametrize("part", [0, 1, 2])
def test_no_part_can_be_exchanged_for_that_of_another_token(part: int) -> None:
    parts = user().split(".")
    other = ACCOUNT.token({**_BODY, "name": "other"}, header={"typ": "jwt", "alg": "ed25519-nkey"})
    parts[part] = other.split(".")[part]
    with pytest.raises(ValueError, match="signature"):
        read(".".join(parts))


_BODY = {"sub": USER.key, "nats": {"type": "user", "version": 2}}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"nats": {"type": "generic", "version": 2}}, "'generic' is not served"),
        ({"nats": {"type": "user"}}, "version 0 is not served"),
        ({"nats": {"type": "user", "version": 3}}, "version 3 is not served"),
        ({"nats": {"type": "user", "version": True}}, "'version' is no whole number"),
        ({"nats": []}, "where a JSON object belongs"),
        ({"nats": None}, "no type"),
        ({"sub": ACCOUNT.key}, "not a public user key"),
        ({"iss": OPERATOR.key}, "not a public account key"),
        ({"exp": "never"}, "'exp' is no whole number"),
        ({"exp": 10**400}, "'exp' is no whole number of 64 bits"),
    ],
)
def test_claims_that_make_no_sense_are_refused_in_words(body: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read(ACCOUNT.token({**_BODY, **body}))


@pytest.mark.parametrize(
    "header", [{"typ": "JWT", "alg": "none"}, {"typ": "JWT"}, {"typ": "X", "alg": "ed25519-nkey"}]
)
def test_no_other_algorithm_is_taken(header: Any) -> None:
    with pytest.raises(ValueError, match="not a JWT of NATS"):
        read(ACCOUNT.token(_BODY, header=header))


@pytest.mark.parametrize("token", ["", "a", "a.b", "a.b.c", "....", "W10.e30.x", "é.é.é"])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match="JWT"):
        read(token)


@given(st.text())
def test_no_text_at_all_makes_reading_fail_otherwise(text: str) -> None:
    with pytest.raises(ValueError, match=r"JWT|key"):
        read(f"{text}.{text}.{text}")
