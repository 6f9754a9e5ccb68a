"""Decentralised logins: an operator signs accounts, accounts sign users, the broker keeps no list.

The idea: the configuration holds the operators' JWTs and those of the accounts. A user brings its
own in CONNECT and signs the nonce with its key, unless the JWT is a bearer's. It is believed if an
account, or a signing key of one, has signed it, and an operator has signed the account.

Invariants: who may not log in by what a JWT says is refused, and so is what we do not serve: of
operators and accounts in words when the broker starts, of users as any other wrong login.
`authenticate` raises nothing for what a client sent.

Not served: scoped signing keys, exports that need an activation token, account token positions,
mappings for a cluster. Not looked at: an account's limits on data, leaf nodes and the numbers of
imports and exports, and service latency. Unlike nats-server, an account of the preload that no
operator has signed is refused at the start, not when its first user comes.

Source: nats-server's ``auth.go`` and ``accounts.go``. Neighbours: `broker.auth` chooses this where
there is an operator, and joins `account_blocks` to the accounts; `broker.jwt` reads. No I/O, no
clock: the time is in the credentials. Thread-safe.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, time, timezone, tzinfo
from typing import Any

from broker import nkeys
from broker.blocks import (
    AccountBlock,
    Export,
    Import,
    IngressLimit,
    JwtBlock,
    MappingBlock,
    Target,
)
from broker.errors import AUTHORIZATION_VIOLATION
from broker.identity import Answer, Credentials, Identity
from broker.jwt import Claims, read
from broker.permissions import FREE, Permissions, Responses, Rules
from broker.subject import is_valid_filter
from broker.users import has_signed

__all__ = ["JwtUsers", "account_blocks"]

_NANOSECONDS = 1e9
_RESPONSES = {"": "single", "Singleton": "single", "Stream": "stream", "Chunked": "chunked"}
_EVERYBODY = "*"


@dataclass(frozen=True)
class _Account:
    """An account that an operator has signed, ready to be asked about its users."""

    claims: Claims
    operator: Claims
    block: AccountBlock
    signers: frozenset[str]
    revoked: Mapping[str, Any]
    takes_bearers: bool
    takes_anybody: bool


class JwtUsers:
    """Lets in whoever has a JWT of one of the accounts, and the key to it.

    Raises ValueError for operators or accounts that are not what they claim, or claim what is not
    served. O(1) for each login, 200 us.
    """

    required = True
    wants_nonce = True
    has_guest = False

    def __init__(self, block: JwtBlock, ingress: IngressLimit | None = None) -> None:
        self._accounts = _accounts(block)
        self._ingress = ingress

    def slow(self, credentials: Credentials) -> bool:
        """Never: two signatures take less than handing them to a thread."""
        return False

    def authenticate(self, credentials: Credentials) -> Answer:
        """See `Authenticator.authenticate`."""
        try:
            identity = self._admit(read(credentials.connect.jwt), credentials)
        except ValueError:
            return AUTHORIZATION_VIOLATION
        return identity or AUTHORIZATION_VIOLATION

    def _admit(self, user: Claims, credentials: Credentials) -> Identity | None:
        account = self._accounts.get(_text(user.nats, "issuer_account") or user.issuer)
        if user.kind != "user" or account is None or user.issuer not in account.signers:
            return None
        bearer = _flag(user.nats, "bearer_token")
        if bearer and not account.takes_bearers:
            return None
        if not bearer and not has_signed(user.subject, credentials):
            return None
        wall = credentials.wall
        if not all(_is_valid(claims, wall) for claims in (user, account.claims, account.operator)):
            return None
        if not account.takes_anybody or _is_revoked(account, user):
            return None
        if not _may_come(user.nats, credentials):
            return None
        return self._identity(user, account)

    def _identity(self, user: Claims, account: _Account) -> Identity:
        # Version 1 leaves out what is not limited; version 2 writes -1, and means a 0.
        absent = -1 if user.version == 1 else 0
        block = account.block
        chain = (user, account.claims, account.operator)
        ends = [claims.expires for claims in chain if claims.expires]
        return Identity(
            account=block.name,
            user=user.subject,
            permissions=_permissions(user.nats) or block.default_permissions or FREE,
            expires=float(min(ends)) if ends else None,
            shown=user.subject,
            ingress=self._ingress,
            max_subscriptions=_lesser(_limit(user.nats, "subs", absent), block.max_subscriptions),
            max_payload=_lesser(_limit(user.nats, "payload", absent), block.max_payload),
        )


def account_blocks(block: JwtBlock) -> tuple[AccountBlock, ...]:
    """The accounts of the preload, named by their keys. Raises ValueError as `JwtUsers` does."""
    return tuple(account.block for account in _accounts(block).values())


# --- the chain of trust ---------------------------------------------------------------------------


def _accounts(block: JwtBlock) -> dict[str, _Account]:
    trusted: dict[str, Claims] = {}
    strict = False
    for token in block.operators:
        operator = read(token)
        if operator.kind != "operator":
            raise ValueError(f"the operator's JWT is that of a kind {operator.kind!r}")
        keys = _texts(operator.nats, "signing_keys")
        if operator.issuer not in (operator.subject, *keys):
            raise ValueError("the operator's JWT must be signed by the operator's own key")
        only_signers = _flag(operator.nats, "strict_signing_key_usage")
        strict = strict or only_signers
        trusted |= dict.fromkeys(keys if only_signers else (operator.subject, *keys), operator)
    return {key: _account(key, token, trusted, strict) for key, token in block.preload.items()}


def _account(key: str, token: str, trusted: Mapping[str, Claims], strict: bool) -> _Account:
    try:
        claims = read(token)
        if claims.kind != "account" or claims.subject != key:
            raise ValueError(f"its JWT is of {claims.kind} {claims.subject}")
        if claims.issuer not in trusted:
            raise ValueError("its JWT is not signed by an operator of this broker")
        signers = frozenset(_signing_keys(claims))
        limits = _object(claims.nats, "limits")
        return _Account(
            claims=claims,
            operator=trusted[claims.issuer],
            block=_block(claims),
            signers=signers if strict else signers | {key},
            revoked=_object(claims.nats, "revocations"),
            takes_bearers=not _flag(limits, "disallow_bearer"),
            takes_anybody=_number(limits, "conn", 0) != 0,
        )
    except ValueError as problem:
        raise ValueError(f"account {key}: {problem}") from None


def _signing_keys(claims: Claims) -> list[str]:
    found = _list(claims.nats, "signing_keys")
    for key in found:
        if not isinstance(key, str):
            raise ValueError("scoped signing keys are not served; use plain ones")
        nkeys.decode(key, nkeys.ACCOUNT)
    return found


def _is_valid(claims: Claims, wall: float) -> bool:
    return claims.begins <= wall and (not claims.expires or wall < claims.expires)


def _is_revoked(account: _Account, user: Claims) -> bool:
    whens = (_number(account.revoked, key, -1) for key in (user.subject, _EVERYBODY))
    return any(user.issued <= when for when in whens)


# --- what a user's JWT demands of the connection --------------------------------------------------


def _may_come(nats: Mapping[str, Any], credentials: Credentials) -> bool:
    kinds = _texts(nats, "allowed_connection_types")
    if kinds and credentials.kind not in [kind.upper() for kind in kinds]:
        return False
    if _flag(nats, "proxy_required"):
        return False
    return _from_there(nats, credentials.ip) and _at_that_time(nats, credentials.wall)


def _from_there(nats: Mapping[str, Any], ip: str) -> bool:
    source = nats.get("src")
    # Version 1 writes them as one text.
    networks = source.split(",") if isinstance(source, str) and source else _texts(nats, "src")
    if not networks:
        return True
    address = ipaddress.ip_address(ip)
    return any(address in ipaddress.ip_network(net.strip(), strict=False) for net in networks)


def _at_that_time(nats: Mapping[str, Any], wall: float) -> bool:
    ranges = _list(nats, "times")
    if not ranges:
        return True
    now = datetime.fromtimestamp(wall, _zone(_text(nats, "times_location"))).time()
    return any(_within(now, span) for span in ranges)


def _within(now: time, span: object) -> bool:
    if not isinstance(span, dict):
        raise ValueError("a range of times is no JSON object")
    start, end = (
        datetime.strptime(_text(span, key), "%H:%M:%S").time() for key in ("start", "end")
    )
    # A range may go on after midnight.
    return start <= now < end if start <= end else now >= start or now < end


def _zone(name: str) -> tzinfo:
    if name in ("", "UTC"):
        return timezone.utc
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError):
        raise ValueError(f"the time zone {name!r} is not known") from None


# --- from claims to records -----------------------------------------------------------------------


def _permissions(nats: Mapping[str, Any]) -> Permissions | None:
    """None where nothing is said, so that the account's default holds."""
    publish, subscribe = _rules(_object(nats, "pub")), _rules(_object(nats, "sub"), queues=True)
    responses = None
    if nats.get("resp") is not None:
        given = _object(nats, "resp")
        expires = _number(given, "ttl", 0) / _NANOSECONDS
        responses = Responses(_number(given, "max", 0) or 1, expires or Responses.expires)
        if publish.allow is None:
            publish = replace(publish, allow=())
    found = Permissions(publish, subscribe, responses)
    return None if found == FREE else found


def _rules(given: Mapping[str, Any], *, queues: bool = False) -> Rules:
    allow, deny = (
        tuple(_filter(entry, queues=queues) for entry in _texts(given, key))
        for key in ("allow", "deny")
    )
    return Rules(allow or None, deny)


def _filter(text: str, *, queues: bool = False) -> bytes:
    parts = text.split()
    if not parts or len(parts) > 1 + queues or not is_valid_filter(parts[0].encode()):
        raise ValueError(f"{text!r} is no subject")
    return " ".join(parts).encode()


def _block(claims: Claims) -> AccountBlock:
    nats = claims.nats
    limits = _object(nats, "limits")
    mappings = _object(nats, "mappings")
    return AccountBlock(
        name=claims.subject,
        exports=tuple(_export(_entry(given)) for given in _list(nats, "exports")),
        imports=tuple(_import(_entry(given)) for given in _list(nats, "imports")),
        mappings=tuple(_mapping(source, mappings) for source in mappings),
        default_permissions=_permissions(_object(nats, "default_permissions")),
        # A limit of 0 lets nobody in, which is `takes_anybody`'s to say.
        max_connections=max(0, _number(limits, "conn", 0)),
        max_subscriptions=_limit(limits, "subs", 0) if limits else 0,
        max_payload=_limit(limits, "payload", 0) if limits else 0,
    )


def _export(given: Mapping[str, Any]) -> Export:
    for key in ("token_req", "account_token_position"):
        if given.get(key):
            raise ValueError(f"an export with {key!r} is not served")
    kind = _text(given, "response_type")
    if kind not in _RESPONSES:
        raise ValueError(f"the response_type {kind!r} of an export is not known")
    threshold = _number(given, "response_threshold", 0) / _NANOSECONDS
    return Export(
        subject=_filter(_text(given, "subject")),
        service=_is_service(given),
        response=_RESPONSES[kind],
        threshold=threshold or Export.threshold,
    )


def _import(given: Mapping[str, Any]) -> Import:
    """``subject`` is the publisher's name for it, and the deprecated ``to`` the subscriber's; with
    ``local_subject`` instead, ``subject`` is the exporter's.
    """
    service, subject = _is_service(given), _filter(_text(given, "subject"))
    local, to = (_text(given, key).encode() for key in ("local_subject", "to"))
    here, prefix = local, b""
    if to and not local:
        if service:
            subject, here = to, subject
        else:
            prefix = to
    return Import(
        account=_text(given, "account"),
        subject=subject,
        service=service,
        to=here,
        prefix=prefix,
        share=_flag(given, "share"),
    )


def _mapping(source: str, mappings: Mapping[str, Any]) -> MappingBlock:
    targets = []
    for given in _list(mappings, source):
        entry = _entry(given)
        if entry.get("cluster"):
            raise ValueError(f"the mapping of {source!r} for a cluster is not served")
        weight = _number(entry, "weight", 0) or 100
        targets.append(Target(_text(entry, "subject").encode(), weight))
    return MappingBlock(_filter(source), tuple(targets))


def _is_service(given: Mapping[str, Any]) -> bool:
    kind = _text(given, "type")
    if kind not in ("service", "stream"):
        raise ValueError(f"{kind!r} is neither a service nor a stream")
    return kind == "service"


def _limit(found: Mapping[str, Any], key: str, absent: int) -> int:
    """A limit as our records have it: 0 is none. JWTs write -1 for that, and 0 for nothing."""
    value = _number(found, key, absent)
    if value == 0:
        raise ValueError(f"the limit {key!r} of 0 is not served; leave out the right itself")
    return max(0, value)


def _lesser(a: int, b: int) -> int:
    return min(a, b) if a and b else a or b


# --- claims by type; each raises ValueError for another -------------------------------------------


def _text(found: Mapping[str, Any], key: str) -> str:
    value = found.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{key!r} is no text")
    return value


def _number(found: Mapping[str, Any], key: str, absent: int) -> int:
    value = found.get(key)
    if value is None:
        return absent
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) >> 63:
        raise ValueError(f"{key!r} is no whole number of 64 bits")
    return value


def _flag(found: Mapping[str, Any], key: str) -> bool:
    value = found.get(key, False)
    if not isinstance(value, bool):
        raise ValueError(f"{key!r} is neither true nor false")
    return value


def _list(found: Mapping[str, Any], key: str) -> list[Any]:
    value = found.get(key) or []
    if not isinstance(value, list):
        raise ValueError(f"{key!r} is no list")
    return value


def _texts(found: Mapping[str, Any], key: str) -> list[str]:
    values = _list(found, key)
    if not all(isinstance(value, str) for value in values):
        raise ValueError(f"{key!r} is no list of texts")
    return values


def _object(found: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    return _entry(found.get(key) or {})


def _entry(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("a list or text stands where a JSON object belongs")
    return value
