"""JWTs of NATS: who signed what about whom, read and verified.

The idea: a token is believed as far as its own signature goes and no further. `read` says that the
key which it names as its issuer has really signed it; whether that issuer is somebody to listen to
is for `broker.jwtauth`.

A token has three parts between dots, each base64url: a header, the claims, a signature. Version 1,
whose claims have their type at the top, signs the claims alone; version 2 signs header and claims.
No algorithm but that of nkeys is taken, above all not ``none``.

Invariants: `read` raises nothing but ValueError, whatever it is given (clients send these); claims
have the types that they are declared with.

Source: the JWT library of NATS. Neighbours: `broker.nkeys` verifies; `broker.jwtauth`,
`broker.jwtaccount` and `broker.conffile` read. No I/O, no clock. Thread-safe.
"""

from __future__ import annotations

import binascii
import json
from base64 import urlsafe_b64decode
from dataclasses import dataclass
from typing import Any

from broker import nkeys
from broker.jwtfields import Fields, number, part, text, texts

__all__ = ["Claims", "read"]

#: Both names of the one algorithm; version 1 has the first.
_ALGORITHMS = ("ed25519", "ed25519-nkey")

#: The subject of a token of each kind, and by whom it may be signed.
_KINDS = {
    "operator": (nkeys.OPERATOR, nkeys.OPERATOR),
    "account": (nkeys.ACCOUNT, nkeys.OPERATOR + nkeys.ACCOUNT),
    "user": (nkeys.USER, nkeys.ACCOUNT),
    "activation": (nkeys.ACCOUNT, nkeys.ACCOUNT + nkeys.OPERATOR),
}


@dataclass(frozen=True)
class Claims:
    """What a token says. Times are seconds since the epoch, 0 where it has none.

    ``kind`` is ``operator``, ``account``, ``user`` or ``activation``; ``subject`` and ``issuer``
    are public keys that fit it. ``account`` is the account in whose name a signing key has signed,
    empty where the issuer is that account. ``nats`` is what is particular to the kind, not yet
    looked at.
    """

    kind: str
    subject: str
    issuer: str
    name: str
    issued: int
    expires: int
    begins: int
    version: int
    account: str
    tags: tuple[str, ...]
    nats: Fields

    def holds(self, wall: float) -> bool:
        """Whether its time has begun and is not over."""
        return self.begins <= wall and (not self.expires or wall < self.expires)


def read(token: str) -> Claims:
    """The claims of a token whose signature is its issuer's. 100 us.

    Raises ValueError, in words, for any other; ImportError if PyNaCl is not installed.
    """
    parts = token.split(".")
    if len(parts) != 3:
        raise ValueError(f"a JWT has 3 parts between dots, this one {len(parts)}")
    header = _object(parts[0], "header")
    if text(header, "typ").lower() != "jwt" or text(header, "alg") not in _ALGORITHMS:
        raise ValueError("not a JWT of NATS: its header must say typ JWT and alg ed25519-nkey")
    claims = _claims(_object(parts[1], "claims"))
    signed = parts[1] if claims.version == 1 else f"{parts[0]}.{parts[1]}"
    signature = nkeys.signature(parts[2])
    if signature is None or not nkeys.verify(claims.issuer, signature, signed.encode()):
        raise ValueError("the signature of the JWT is not its issuer's")
    return claims


def _claims(body: Fields) -> Claims:
    nats = part(body, "nats")
    version = 1 if text(body, "type") else number(nats, "version", 0)
    # What version 1 has at the top, version 2 has among what is particular.
    general = body if version == 1 else nats
    kind = text(general, "type")
    if kind not in _KINDS:
        raise ValueError(f"a JWT of {kind or 'no type'!r} is not served: operator, account or user")
    if version not in (1, 2):
        raise ValueError(f"a JWT of version {version} is not served: 1 or 2")
    subject, issuer = text(body, "sub"), text(body, "iss")
    own, others = _KINDS[kind]
    nkeys.decode(subject, own)
    nkeys.decode(issuer, issuer[0] if issuer and issuer[0] in others else others[0])
    return Claims(
        kind=kind,
        subject=subject,
        issuer=issuer,
        name=text(body, "name"),
        issued=number(body, "iat", 0),
        expires=number(body, "exp", 0),
        begins=number(body, "nbf", 0),
        version=version,
        account=text(general, "issuer_account"),
        tags=tuple(texts(general, "tags")),
        nats=nats,
    )


def _object(part: str, what: str) -> dict[str, Any]:
    try:
        found = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        raise ValueError(f"the {what} of the JWT is not JSON in base64") from None
    if not isinstance(found, dict):
        raise ValueError(f"the {what} of the JWT is no JSON object")
    return found
