"""JWTs of NATS: who signed what about whom, read and verified.

The idea: a token is believed as far as its own signature goes and no further. `read` says that the
key which it names as its issuer has really signed it; whether that issuer is somebody to listen to
is for `broker.jwtauth`.

A token has three parts between dots, each base64url: a header, the claims, a signature. Version 1
(``alg: ed25519``) signs the claims alone, version 2 (``ed25519-nkey``) header and claims. No other
algorithm is taken, above all not ``none``.

Invariants: `read` raises nothing but ValueError, whatever it is given (clients send these); claims
have the types that they are declared with.

Source: the JWT library of NATS. Neighbours: `broker.nkeys` verifies, `broker.jwtauth` and
`broker.conffile` read. No I/O, no clock. Thread-safe.
"""

from __future__ import annotations

import binascii
import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broker import nkeys

__all__ = ["Claims", "read"]

#: What the ``alg`` of a header says of the version.
_VERSIONS = {"ed25519": 1, "ed25519-nkey": 2}

#: By whom a token of each kind may be signed.
_ISSUERS = {
    "operator": nkeys.OPERATOR,
    "account": nkeys.OPERATOR,
    "user": nkeys.ACCOUNT,
}


@dataclass(frozen=True)
class Claims:
    """What a token says. Times are seconds since the epoch, 0 where it has none.

    ``kind`` is ``operator``, ``account`` or ``user``; ``subject`` and ``issuer`` are public keys
    that fit it. ``nats`` is what is particular to the kind, not yet looked at.
    """

    kind: str
    subject: str
    issuer: str
    name: str
    issued: int
    expires: int
    begins: int
    version: int
    nats: Mapping[str, Any]


def read(token: str) -> Claims:
    """The claims of a token whose signature is its issuer's. 100 us.

    Raises ValueError, in words, for any other; ImportError if PyNaCl is not installed.
    """
    parts = token.split(".")
    if len(parts) != 3:
        raise ValueError(f"a JWT has 3 parts between dots, this one {len(parts)}")
    header = _object(parts[0], "header")
    version = _VERSIONS.get(_of(header, "alg", str, ""))
    if str(header.get("typ", "")).lower() != "jwt" or version is None:
        raise ValueError("not a JWT of NATS: its header must say typ JWT and alg ed25519-nkey")
    claims = _claims(_object(parts[1], "claims"), version)
    signed = parts[1] if version == 1 else f"{parts[0]}.{parts[1]}"
    signature = nkeys.signature(parts[2])
    if signature is None or not nkeys.verify(claims.issuer, signature, signed.encode()):
        raise ValueError("the signature of the JWT is not its issuer's")
    return claims


def _claims(body: Mapping[str, Any], version: int) -> Claims:
    nats = _of(body, "nats", dict, {})
    kind = _of(nats if version == 2 else body, "type", str, "")
    if kind not in _ISSUERS:
        raise ValueError(f"a JWT of {kind or 'no type'!r} is not served: operator, account or user")
    if version == 2 and _of(nats, "version", int, 0) != 2:
        raise ValueError("a JWT with alg ed25519-nkey must be of version 2")
    subject, issuer = _of(body, "sub", str, ""), _of(body, "iss", str, "")
    nkeys.decode(subject, kind[0].upper())
    nkeys.decode(issuer, _ISSUERS[kind])
    return Claims(
        kind=kind,
        subject=subject,
        issuer=issuer,
        name=_of(body, "name", str, ""),
        issued=_of(body, "iat", int, 0),
        expires=_of(body, "exp", int, 0),
        begins=_of(body, "nbf", int, 0),
        version=version,
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


def _of(found: Mapping[str, Any], key: str, kind: type, default: Any) -> Any:
    value = found.get(key)
    if value is None:
        return default
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{key!r} of the JWT is no {kind.__name__}")
    if isinstance(value, int) and abs(value) >> 63:
        raise ValueError(f"{key!r} of the JWT has more than 64 bits")
    return value
