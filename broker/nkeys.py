"""Nkeys: ed25519 public keys with a letter in front that tells what they are for.

The idea: a client that logs in by nkey sends no secret. It sends its public key, which the
configuration knows, and a signature of the nonce that INFO gave it; whoever listens learns nothing
that helps next time. The text of a key is base 32 of a prefix byte, the 32 bytes of the key, and a
CRC, so that a slip in a configuration is found when it is read.

Source: the encoding is that of NATS' nkeys library: the prefix byte is the letter's value in base
32, moved left by three bits; the CRC is CRC-16/XMODEM, low byte first; no padding. Signatures come
as base64url without padding, and, as nats-server does, standard base64 is taken as well.

Invariants: no private key ever comes in here. Nothing but `decode` and `encode` raises.

Neighbours: users and JWTs verify with it. `nacl` (PyNaCl, over libsodium) is imported when
something is first verified; it comes with the extra ``auth``. Pure functions, safe in any thread.
"""

from __future__ import annotations

import base64
import binascii

__all__ = [
    "ACCOUNT",
    "KINDS",
    "OPERATOR",
    "USER",
    "decode",
    "encode",
    "have_ed25519",
    "is_public",
    "kind_of",
    "signature",
    "verify",
]

ACCOUNT, OPERATOR, USER = "A", "O", "U"

KINDS = {USER: "user", ACCOUNT: "account", OPERATOR: "operator"}

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_KEY_SIZE = 32
_SIGNATURE_SIZE = 64


def _crc(data: bytes) -> bytes:
    return binascii.crc_hqx(data, 0).to_bytes(2, "little")


def encode(prefix: str, key: bytes) -> str:
    """The text of a public key. Raises ValueError if it has not 32 bytes."""
    if len(key) != _KEY_SIZE:
        raise ValueError(f"a public key has {_KEY_SIZE} bytes, this one {len(key)}")
    data = bytes([_LETTERS.index(prefix) << 3]) + key
    return base64.b32encode(data + _crc(data)).decode().rstrip("=")


def decode(text: str, prefix: str) -> bytes:
    """The 32 bytes of the public key that ``text`` is, of the kind that ``prefix`` tells.

    Raises ValueError, in words, for what is no such key.
    """
    wanted = f"a public {KINDS.get(prefix, 'nkey')} key: {prefix} and 55 more letters and digits"
    if not text.startswith(prefix):
        raise ValueError(f"not {wanted}")
    try:
        data = base64.b32decode(text + "=" * (-len(text) % 8))
    except ValueError:
        raise ValueError(f"not base 32, so not {wanted}") from None
    if len(data) != 1 + _KEY_SIZE + 2 or data[0] != _LETTERS.index(prefix) << 3:
        raise ValueError(f"not {wanted}")
    if data[-2:] != _crc(data[:-2]):
        raise ValueError("a letter of this key is wrong: its checksum does not fit")
    return data[1:-2]


def is_public(text: str, prefix: str) -> bool:
    """Whether ``text`` is a public key of that kind.  O(1)."""
    try:
        decode(text, prefix)
    except ValueError:
        return False
    return True


def kind_of(text: str) -> str:
    """The prefix of the public key that ``text`` is, or the empty text if it is none."""
    return text[:1] if text[:1] in KINDS and is_public(text, text[:1]) else ""


def signature(text: str) -> bytes | None:
    """The bytes of a signature as clients send it, or None if it is no base64.  O(1)."""
    standard = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except ValueError:
        return None


def have_ed25519() -> bool:
    """Whether signatures can be verified: the extra ``auth`` is installed."""
    try:
        import nacl.bindings  # noqa: F401  # only whether it is there
    except ImportError:
        return False
    return True


def verify(key: str, signature: bytes, message: bytes) -> bool:
    """Whether the owner of the public ``key``, of whatever kind, has signed ``message``.

    About 50 us. Raises ImportError if PyNaCl is not installed, which `have_ed25519` tells.
    """
    from nacl.bindings import crypto_sign_open
    from nacl.exceptions import BadSignatureError

    kind = kind_of(key)
    if not kind or len(signature) != _SIGNATURE_SIZE:
        return False
    try:
        crypto_sign_open(signature + message, decode(key, kind))
    except BadSignatureError:
        return False
    return True
