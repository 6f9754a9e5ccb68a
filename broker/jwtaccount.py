"""Accounts by JWT: what the token of an account says, as the records that the switchboard takes.

The idea: an account's JWT holds what a block of the configuration holds otherwise (exports,
imports, mappings, limits, default permissions) and besides who may sign its users. All that can be
said of a token alone is read once, when the configuration is. What depends on other accounts and on
the time, which imports their exporters have signed for, is answered by `blocks` again and again.

An *activation* is the exporter's signature under an import: a token within the importer's. It holds
for the account that it names, for what it covers, for its time, and until the exporter revokes it.

Invariants: what is no account's JWT at all is a ValueError. An account that contradicts itself or
exceeds what its operator allows has `faults` (see `broker.jwtfaults`); it has no block, and
nobody comes in by it, but it troubles no other.

Not looked at, as nats-server does not look at it either: the limit on data. Refused in words:
mappings for a cluster.

Source: nats-server's ``accounts.go`` and the library of JWTs. Neighbours: `broker.jwtauth` keeps
accounts, `broker.jwtfaults` finds faults. No I/O, no clock. Immutable, hence thread-safe.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from broker.blocks import AccountBlock, Export, Import, MappingBlock, Target
from broker.crossing import export_for
from broker.jwt import Claims, read
from broker.jwtfaults import faults_of, shown
from broker.jwtfields import Fields, entry, flag, items, number, part, text
from broker.jwtrights import filter_of, permissions
from broker.subject import covers

__all__ = ["Account", "Activation", "blocks", "is_revoked", "limit", "load", "next_change"]

_NANOSECONDS = 1e9
_RESPONSES = {"": "single", "Singleton": "single", "Stream": "stream", "Chunked": "chunked"}
_EVERYBODY = "*"
_NONE_AT_ALL = -1  # as our records write a limit that JWTs write as 0


@dataclass(frozen=True)
class Activation:
    """That an exporter has signed for an import."""

    claims: Claims
    service: bool
    subject: bytes


@dataclass(frozen=True)
class Account:
    """An account as its JWT says it.

    ``signers`` may sign its users, with the template for them if they have one. ``activations`` and
    ``revocations`` stand beside the block's imports and exports.
    """

    claims: Claims
    block: AccountBlock
    signers: Mapping[str, Fields | None]
    activations: tuple[Activation | None, ...]
    revocations: tuple[Fields, ...]
    faults: tuple[str, ...]
    revoked: Fields
    takes_bearers: bool
    takes_anybody: bool


def load(claims: Claims, *, strict: bool = False) -> Account:
    """The account of these claims. If its operator is `strict`, its own key signs no users.

    Raises ValueError for claims that no account has. O(exports² + imports²).
    """
    nats = claims.nats
    limits, mappings = part(nats, "limits"), part(nats, "mappings")
    exports = [entry(given) for given in items(nats, "exports")]
    imports = [entry(given) for given in items(nats, "imports")]
    block = AccountBlock(
        name=claims.subject,
        exports=tuple(map(_export, exports)),
        imports=tuple(map(_import, imports)),
        mappings=tuple(_mapping(source, mappings) for source in mappings),
        default_permissions=permissions(part(nats, "default_permissions")),
        # A limit of 0 lets nobody in, which is `takes_anybody`'s to say.
        max_connections=max(0, number(limits, "conn", 0)),
        max_subscriptions=limit(limits, "subs", 0),
        max_payload=max(0, number(limits, "payload", 0)),
        title=claims.name,
    )
    faults, activations = [], []
    for given, wanted in zip(imports, block.imports, strict=True):
        try:
            activations.append(_activation(text(given, "token"), claims.subject, wanted))
        except ValueError as fault:
            faults.append(str(fault))
    signers = _signers(claims)
    return Account(
        claims=claims,
        block=block,
        signers=signers if strict else {**signers, claims.subject: None},
        activations=tuple(activations),
        revocations=tuple(part(given, "revocations") for given in exports),
        faults=(*faults, *faults_of(block, limits, signers)),
        revoked=part(nats, "revocations"),
        takes_bearers=not flag(limits, "disallow_bearer"),
        takes_anybody=number(limits, "conn", 0) != 0,
    )


def limit(found: Fields, key: str, absent: int) -> int:
    """A limit as our records have it: 0 for none, below 0 for nothing at all."""
    value = number(found, key, absent)
    return _NONE_AT_ALL if value == 0 else max(0, value)


def _signers(claims: Claims) -> dict[str, Fields | None]:
    found: dict[str, Fields | None] = {}
    for given in items(claims.nats, "signing_keys"):
        if isinstance(given, str):
            found[given] = None
            continue
        scope = entry(given)
        if text(scope, "kind") != "user_scope":
            raise ValueError(f"a signing key with a scope {text(scope, 'kind')!r} is not known")
        found[text(scope, "key")] = part(scope, "template")
    return found


# --- from claims to records -----------------------------------------------------------------------


def _export(given: Fields) -> Export:
    kind = text(given, "response_type")
    if kind not in _RESPONSES:
        raise ValueError(f"the response_type {kind!r} of an export is not known")
    threshold = number(given, "response_threshold", 0) / _NANOSECONDS
    return Export(
        subject=filter_of(text(given, "subject")),
        service=_is_service(text(given, "type")),
        response=_RESPONSES[kind],
        threshold=threshold or Export.threshold,
        token=flag(given, "token_req"),
        position=number(given, "account_token_position", 0),
    )


def _import(given: Fields) -> Import:
    """``subject`` is the publisher's name for it, and the deprecated ``to`` the subscriber's; with
    ``local_subject`` instead, ``subject`` is the exporter's.
    """
    service, subject = _is_service(text(given, "type")), filter_of(text(given, "subject"))
    local, to = (text(given, key).encode() for key in ("local_subject", "to"))
    here, prefix = local, b""
    if to and not local:
        if service:
            subject, here = to, subject
        else:
            prefix = to
    return Import(
        account=text(given, "account"),
        subject=subject,
        service=service,
        to=here,
        prefix=prefix,
        share=flag(given, "share"),
    )


def _mapping(source: str, mappings: Fields) -> MappingBlock:
    targets = []
    for given in map(entry, items(mappings, source)):
        if given.get("cluster"):
            raise ValueError(f"the mapping of {source!r} for a cluster is not served")
        weight = number(given, "weight", 0) or 100
        targets.append(Target(text(given, "subject").encode(), weight))
    return MappingBlock(filter_of(source), tuple(targets))


def _is_service(kind: str) -> bool:
    if kind not in ("service", "stream"):
        raise ValueError(f"{kind!r} is neither a service nor a stream")
    return kind == "service"


def _activation(token: str, importer: str, wanted: Import) -> Activation | None:
    """The activation of an import, None if it has none. Raises ValueError for one of another."""
    if not token:
        return None
    name = shown(wanted.subject)
    try:
        claims = read(token)
        # Version 1 has another name for what version 2 calls the kind.
        kind = text(claims.nats, "kind" if claims.version == 2 else "type")
        found = Activation(claims, _is_service(kind), filter_of(text(claims.nats, "subject")))
    except ValueError:
        claims = None
    if claims is None or claims.kind != "activation":
        raise ValueError(f"import {name} contains an invalid activation token")
    if wanted.account not in (claims.issuer, claims.account):
        raise ValueError(f"activation token doesn't match account for import {name}")
    if claims.subject != importer:
        raise ValueError(f"activation token doesn't match account it is being included in, {name}")
    if found.service != wanted.service:
        kinds = [("stream", "service")[one.service] for one in (found, wanted)]
        raise ValueError(
            "mismatch between token import type {} and type of import {}".format(*kinds)
        )
    if not covers(found.subject, wanted.subject):
        raise ValueError(
            f"activation token import subject {shown(found.subject)} doesn't match import {name}"
        )
    return found


# --- what depends on others, and on the time ------------------------------------------------------


def blocks(accounts: Mapping[str, Account], wall: float) -> tuple[AccountBlock, ...]:
    """The accounts without faults, with the imports activated that are so at that time."""
    sound = {key: account for key, account in accounts.items() if not account.faults}
    return tuple(
        replace(account.block, imports=tuple(_imports(account, sound, wall)))
        for account in sound.values()
    )


def _imports(account: Account, accounts: Mapping[str, Account], wall: float) -> Iterator[Import]:
    for wanted, activation in zip(account.block.imports, account.activations, strict=True):
        exporter = accounts.get(wanted.account)
        good = activation and exporter and _holds(activation, wanted, exporter, wall)
        yield replace(wanted, activated=bool(good))


def _holds(activation: Activation, wanted: Import, exporter: Account, wall: float) -> bool:
    claims, exports = activation.claims, exporter.block.exports
    if not claims.holds(wall):
        return False
    if claims.account and claims.issuer not in exporter.signers:
        return False
    export = export_for(exports, wanted)
    return export is None or not is_revoked(
        exporter.revocations[exports.index(export)], claims.subject, claims.issued
    )


def is_revoked(revocations: Fields, key: str, issued: int) -> bool:
    """Whether a token about `key` that was issued then is revoked, by itself or with all others."""
    whens = (number(revocations, name, -1) for name in (key, _EVERYBODY))
    return any(issued <= when for when in whens)


def next_change(accounts: Sequence[Account], wall: float) -> float | None:
    """When an activation begins or ends next, in seconds since the epoch; None if none does."""
    moments = [
        moment
        for account in accounts
        for activation in account.activations
        if activation is not None
        for moment in (activation.claims.begins, activation.claims.expires)
        if moment > wall
    ]
    return float(min(moments)) if moments else None
