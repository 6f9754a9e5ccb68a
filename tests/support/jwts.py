"""Operators, accounts and users with fixed keys, who sign JWTs for tests."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from nacl.signing import SigningKey

from broker import nkeys
from broker.blocks import JwtBlock

#: Of an account without limits, as they stand in its JWT.
UNLIMITED = {"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "conn": -1}


class Signer:
    """Somebody with a key of a kind (``O``, ``A`` or ``U``); the seed makes it another."""

    def __init__(self, kind: str, seed: int) -> None:
        self._owner = SigningKey(bytes([seed]) * 32)
        self.key = nkeys.encode(kind, bytes(self._owner.verify_key))

    def sign(self, data: bytes) -> str:
        """The signature, in base64url without padding."""
        return _part(self._owner.sign(data).signature)

    def token(self, body: dict[str, Any], *, version: int = 2, header: Any = None) -> str:
        """A JWT with that body, in the name of this signer unless the body has another."""
        algorithm = "ed25519" if version == 1 else "ed25519-nkey"
        first = _json({"typ": "JWT", "alg": algorithm} if header is None else header)
        second = _json({"iss": self.key, "iat": 1000, **body})
        signed = second if version == 1 else f"{first}.{second}"
        return f"{first}.{second}.{self.sign(signed.encode())}"

    def vouch(self, kind: str, subject: str, nats: Any = None, **body: Any) -> str:
        """A JWT of version 2 on `subject`."""
        particular = {"type": kind, "version": 2, **(nats or {})}
        return self.token({"sub": subject, "nats": particular, **body})


def _part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _json(value: Any) -> str:
    return _part(json.dumps(value).encode())


OPERATOR, ACCOUNT, USER = Signer("O", 1), Signer("A", 2), Signer("U", 3)


def account(nats: Any = None, by: Signer = OPERATOR, **body: Any) -> str:
    """The JWT of `ACCOUNT`."""
    return by.vouch("account", ACCOUNT.key, {"limits": UNLIMITED, **(nats or {})}, **body)


def user(nats: Any = None, by: Signer = ACCOUNT, **body: Any) -> str:
    """The JWT of `USER`."""
    return by.vouch("user", USER.key, {"subs": -1, "payload": -1, **(nats or {})}, **body)


def block(token: str | None = None, operator: Any = None) -> JwtBlock:
    """A configuration with one operator, and one account (by default without limits)."""
    own = OPERATOR.vouch("operator", OPERATOR.key, operator)
    return JwtBlock((own,), {ACCOUNT.key: token or account()})


def activation(
    allowed: str,
    by: Signer,
    *,
    kind: str = "stream",
    account: str = "",
    subject: str = ACCOUNT.key,
    **body: Any,
) -> str:
    """What an exporter signs so that `ACCOUNT` may import `allowed`."""
    nats = {"subject": allowed, "kind": kind, **({"issuer_account": account} if account else {})}
    return by.vouch("activation", subject, nats, **body)


def configuration(tokens: Mapping[str, str], claims: Any = None) -> str:
    """A configuration file with one operator of these claims, and with accounts by their keys."""
    operator = OPERATOR.vouch("operator", OPERATOR.key, claims)
    preload = "".join(f'  {key}: "{token}"\n' for key, token in tokens.items())
    return f'operator: "{operator}"\nresolver: MEMORY\nresolver_preload: {{\n{preload}}}\n'


def hello(token: str, nonce: str = "", by: Signer | None = None) -> bytes:
    """The CONNECT of `USER`, or of another, with a token; without a nonce it signs none."""
    fields: dict[str, Any] = {"verbose": False, "pedantic": False, "headers": True}
    fields |= {
        "no_responders": True,
        "jwt": token,
        "sig": (by or USER).sign(nonce.encode()) if nonce else "",
    }
    return b"CONNECT " + json.dumps(fields).encode() + b"\r\n"
