"""Is this the secret that was agreed upon? Secrets are kept in clear, or as bcrypt hashes.

The idea: comparing secrets has two traps, and both are dealt with here and nowhere else. An
ordinary comparison stops at the first byte that differs, so its time tells how much was right;
these do not. And a bcrypt hash is slow on purpose, so it must be known beforehand which comparison
will be (`is_bcrypt`), for whoever must not wait.

Invariants: a hash is no password: whoever stole the configuration cannot log in with what stands in
it. Nothing here raises for what a client sent; a hash that is no good lets nobody in.

Source: the form of a hash, and that only the first 72 bytes of a password count, are bcrypt's, as
nats-server 2.15 uses it (cost 11 by default: about a tenth of a second).

Neighbours: the authenticators of floor 5. `bcrypt` is imported when it is first needed; it comes
with the extra ``auth``. Pure functions, safe in any thread; `bcrypt` lets other threads run while
it computes.
"""

from __future__ import annotations

import hmac
import re

__all__ = ["have_bcrypt", "is_bcrypt", "same"]

_HASH = re.compile(r"\$2[abxy]\$\d{2}\$.*", re.DOTALL)

# bcrypt looks at no more; nats-server cuts in silence, where Python's bcrypt raises.
_SIGNIFICANT = 72


def is_bcrypt(text: str) -> bool:
    """Whether a kept secret is a bcrypt hash, and hence slow to compare with.  O(1)."""
    return _HASH.match(text) is not None


def have_bcrypt() -> bool:
    """Whether bcrypt hashes can be compared with: the extra ``auth`` is installed."""
    try:
        import bcrypt  # noqa: F401  # only whether it is there
    except ImportError:
        return False
    return True


def same(given: str, kept: str) -> bool:
    """Whether a client gave the secret that is ``kept``; its time depends on the lengths only.

    O(length), but a tenth of a second and more where `is_bcrypt(kept)`; raises ImportError there if
    bcrypt is not installed, which `have_bcrypt` tells beforehand.
    """
    # surrogatepass: JSON can name half a surrogate pair, which has no UTF-8, and must be no
    # exception here.
    given_bytes = given.encode("utf-8", "surrogatepass")
    kept_bytes = kept.encode("utf-8", "surrogatepass")
    if not is_bcrypt(kept):
        return hmac.compare_digest(given_bytes, kept_bytes)
    import bcrypt

    try:
        return bcrypt.checkpw(given_bytes[:_SIGNIFICANT], kept_bytes)
    except ValueError:  # not of the form that it began like
        return False
