"""Comparing secrets, kept in clear or as bcrypt hashes."""

from __future__ import annotations

import sys

import bcrypt
import pytest

from broker.passwords import have_bcrypt, is_bcrypt, same

HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
OTHERS = [HASH.replace("$2b$", prefix) for prefix in ("$2a$", "$2x$", "$2y$")]


@pytest.mark.parametrize("text", [HASH, *OTHERS, "$2a$11$", "$2a$11$\n"])
def test_a_hash_is_known_by_how_it_begins(text: str) -> None:
    assert is_bcrypt(text)


@pytest.mark.parametrize("text", ["", "$", "$2a$", "$2c$11$x", "$2a$1$x", " $2a$11$x", "secret"])
def test_what_only_looks_a_little_like_a_hash_is_a_password(text: str) -> None:
    assert not is_bcrypt(text)
    assert same(text, text)


@pytest.mark.parametrize("kept", ["secret", HASH, *OTHERS])
@pytest.mark.parametrize("given", ["", "secre", "secret2", "Secret", "\ud800", HASH])
def test_only_the_secret_is_the_same(given: str, kept: str) -> None:
    assert same("secret", kept)
    assert not same(given, kept)


def test_a_secret_may_have_any_letters() -> None:
    assert same("\ud800é秘", "\ud800é秘")
    assert not same("é", "e")


def test_of_a_hashed_password_72_bytes_count_and_no_error_comes_of_more() -> None:
    kept = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode()
    assert same("x" * 72, kept)
    assert same("x" * 100, kept)
    assert not same("x" * 71, kept)


@pytest.mark.parametrize("kept", ["$2a$04$short", "$2a$99$" + HASH[7:], "$2a$04$" + "!" * 53])
def test_a_hash_that_is_no_good_lets_nobody_in(kept: str) -> None:
    assert is_bcrypt(kept)
    assert not same("secret", kept)
    assert not same(kept, kept)


def test_whether_hashes_can_be_compared_is_known_beforehand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert have_bcrypt()
    monkeypatch.setitem(sys.modules, "bcrypt", None)
    assert not have_bcrypt()
