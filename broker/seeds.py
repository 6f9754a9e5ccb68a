"""Seeds: the private halves of nkeys, with which we log in to a server above us.

The idea: `broker.nkeys` verifies what others have signed and never sees a secret; this file signs.
A seed's text is base 32 of two prefix bytes, the 32 bytes of the seed and a CRC. The first byte is
that of the letter S, but for its last three bits: these and the second byte hold the letter that
tells the kind of key. A *credentials* file holds a user's JWT and its seed, each between two lines
of dashes.

Source: the encoding and the file are those of NATS' nkeys library and tools.

Invariants: a seed is not shown, not in an error either. Files are read anew each time, so that new
credentials hold from the next connection on.

Neighbours: `broker.confleaf` asks whether a text is a seed; whoever connects to a hub signs.
`nacl` (PyNaCl), of the extra ``auth``, is imported when something is first signed.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field

from broker.nkeys import KINDS, encode

__all__ = ["Signature", "is_seed", "read_credentials", "sign"]

_SEED = 18 << 3  # the letter S
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_SIZE = 32

_ITEM = re.compile(r"-{3,}[^\n]*-{3,}\r?\n\s*([\w\-.=]+)\s*\r?\n-{3,}[^\n]*-{3,}")


@dataclass(frozen=True)
class Signature:
    """A public key, and what its owner has made of a nonce (base64url without padding)."""

    key: str
    text: str = field(repr=False)


def _decode(text: str) -> tuple[str, bytes]:
    """The kind of key, and the 32 bytes. Raises ValueError for what is no seed."""
    wrong = ValueError("not a seed: S, the letter of its kind, and 56 more letters and digits")
    try:
        data = base64.b32decode(text + "=" * (-len(text) % 8))
    except ValueError:
        raise wrong from None
    if len(data) != 2 + _SIZE + 2 or data[0] & 0xF8 != _SEED:
        raise wrong
    if data[-2:] != binascii.crc_hqx(data[:-2], 0).to_bytes(2, "little"):
        raise ValueError("a letter of this seed is wrong: its checksum does not fit")
    kind = (data[0] & 7) << 5 | data[1] >> 3
    return _LETTERS[kind >> 3] if not kind & 7 else "", data[2:-2]


def is_seed(text: str, kind: str) -> bool:
    """Whether ``text`` is the seed of a key of that kind (``U``: a user's).  O(1)."""
    try:
        return _decode(text)[0] == kind
    except ValueError:
        return False


def sign(seed: str, nonce: str) -> Signature:
    """Sign a nonce, 60 us.

    Raises:
        ValueError: it is no seed.
        ImportError: PyNaCl is not installed.
    """
    kind, secret = _decode(seed)
    if kind not in KINDS:
        raise ValueError("a seed of a kind that nobody logs in with")
    from nacl.signing import SigningKey

    owner = SigningKey(secret)
    signed = base64.urlsafe_b64encode(owner.sign(nonce.encode()).signature).decode().rstrip("=")
    return Signature(encode(kind, bytes(owner.verify_key)), signed)


def read_credentials(path: str) -> tuple[str, str]:
    """The JWT and the seed of a credentials file; blocks while it reads.

    Raises:
        OSError: it cannot be read.
        ValueError: there are not both in it.
    """
    with open(path, encoding="utf-8") as file:
        found = _ITEM.findall(file.read())
    if len(found) < 2:
        raise ValueError(f"credentials file malformed: {path} needs a JWT and a seed")
    token, seed = found[0], found[1]
    _decode(seed)
    return token, seed
