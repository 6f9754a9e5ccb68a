"""Public keys as text, and signatures by their owners."""

from __future__ import annotations

import base64
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey

from broker.nkeys import (
    ACCOUNT,
    OPERATOR,
    USER,
    decode,
    encode,
    have_ed25519,
    is_public,
    kind_of,
    verify,
)
from broker.nkeys import signature as read_signature

OWNER = SigningKey(b"\1" * 32)
KEY = encode(USER, bytes(OWNER.verify_key))
# From the configuration of a nats-server, so not made by us.
FOREIGN = "UCK5N7N66OBOINFXAYC2ACJQYFSOD4VYNU6APEJTAVFZB2SVHLKGEW7L"


@given(st.binary(min_size=32, max_size=32), st.sampled_from([USER, ACCOUNT, OPERATOR]))
def test_a_key_survives_being_written_and_read(raw: bytes, prefix: str) -> None:
    text = encode(prefix, raw)
    assert 56 == len(text)
    assert raw == decode(text, prefix)
    assert prefix == kind_of(text)


def test_the_encoding_is_the_one_of_nats() -> None:
    assert FOREIGN == encode(USER, decode(FOREIGN, USER))


def test_a_key_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes, this one 31"):
        encode(USER, b"x" * 31)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not a public user key"),
        ("UABC", "not a public user key"),
        (FOREIGN.lower(), "not a public user key"),
        ("A" + FOREIGN[1:], "not a public user key"),
        (FOREIGN[:-1], "not"),
        (FOREIGN + "A", "not"),
        (FOREIGN[:20] + "1" + FOREIGN[21:], "not base 32"),
        (FOREIGN[:20] + "é" + FOREIGN[21:], "not base 32"),
        (FOREIGN[:20] + "B" + FOREIGN[21:], "checksum does not fit"),
    ],
)
def test_what_is_no_key_is_refused_in_words(text: str, words: str) -> None:
    assert not is_public(text, USER)
    with pytest.raises(ValueError, match=words):
        decode(text, USER)


@given(st.text(max_size=60))
def test_no_text_at_all_makes_reading_a_key_fail_otherwise(text: str) -> None:
    assert kind_of(text) in ("", USER, ACCOUNT, OPERATOR)
    assert not verify(text, b"x" * 64, b"") or kind_of(text)


@pytest.mark.parametrize("encoder", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("padded", [True, False])
def test_a_signature_may_be_written_in_any_base64(encoder: object, padded: bool) -> None:
    raw = OWNER.sign(b"nonce 3").signature
    assert callable(encoder)
    text = encoder(raw).decode()
    assert raw == read_signature(text if padded else text.rstrip("="))


@pytest.mark.parametrize("text", ["*", "a b", "é", "A", "AA=A"])
def test_what_is_no_base64_is_no_signature(text: str) -> None:
    assert read_signature(text) is None


def test_only_the_owner_can_have_signed_and_only_what_was_signed() -> None:
    signed = OWNER.sign(b"nonce").signature
    assert verify(KEY, signed, b"nonce")
    assert not verify(KEY, signed, b"Nonce")
    assert not verify(KEY, signed[:-1], b"nonce")
    assert not verify(KEY, bytes(64), b"nonce")
    assert not verify(FOREIGN, signed, b"nonce")
    assert not verify("UABC", signed, b"nonce")


def test_whether_signatures_can_be_verified_is_known_beforehand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert have_ed25519()
    monkeypatch.setitem(sys.modules, "nacl.bindings", None)
    assert not have_ed25519()
