"""Seeds: that what we sign is believed, and that a seed with a mistake in it is not used."""

from __future__ import annotations

from pathlib import Path

import pytest

from broker.nkeys import ACCOUNT, USER, signature, verify
from broker.seeds import is_seed, read_credentials, sign

# Made by NATS' own library from the bytes 0 to 31, as a user's, an account's and a server's.
SEED = "SUAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4H776Y"
PUBLIC = "UAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3RLKK"
OF_ACCOUNT = "SAAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4HYMHI"
OF_SERVER = "SNAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4H2D5U"


def credentials(token: str, seed: str) -> str:
    return (
        f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
        "************************* IMPORTANT *************************\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )


def test_what_is_signed_with_a_seed_is_verified_with_its_public_key() -> None:
    signed = sign(SEED, "nonce")
    given = signature(signed.text)
    assert PUBLIC == signed.key
    assert given is not None
    assert verify(signed.key, given, b"nonce")
    assert not verify(signed.key, given, b"another")


def test_seeds_tell_the_kind_of_their_key() -> None:
    assert is_seed(SEED, USER)
    assert not is_seed(OF_ACCOUNT, USER)
    assert is_seed(OF_ACCOUNT, ACCOUNT)


@pytest.mark.parametrize("text", ["", "S", SEED[:-1], SEED[:-1] + "!", "U" + SEED[1:]])
def test_what_is_no_seed_is_none(text: str) -> None:
    assert not is_seed(text, USER)
    with pytest.raises(ValueError) as caught:
        sign(text, "nonce")
    assert not text or text not in str(caught.value).split()


def test_a_wrong_letter_is_found_by_the_checksum() -> None:
    other = "A" if SEED[20] != "A" else "B"
    with pytest.raises(ValueError, match="checksum"):
        sign(SEED[:20] + other + SEED[21:], "nonce")


def test_nobody_logs_in_with_the_key_of_a_server() -> None:
    with pytest.raises(ValueError, match="nobody logs in"):
        sign(OF_SERVER, "nonce")


def test_credentials_are_a_token_and_a_seed(tmp_path: Path) -> None:
    path = tmp_path / "a.creds"
    path.write_text(credentials("a.b.c", SEED))
    assert ("a.b.c", SEED) == read_credentials(str(path))
    path.write_text(credentials("a.b.c", SEED).replace("\n", "\r\n"))
    assert ("a.b.c", SEED) == read_credentials(str(path))


@pytest.mark.parametrize("text", ["", "a.b.c", credentials("a.b.c", "SUA")])
def test_half_of_credentials_will_not_do(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.creds"
    path.write_text(text)
    with pytest.raises(ValueError):
        read_credentials(str(path))
