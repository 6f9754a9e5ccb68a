"""What is wrong with an account by JWT, although it is signed as it should be.

The idea: an operator limits what an account may hold when it signs it, and nobody checks before the
broker does. An account that holds more, or whose exports or imports contradict one another, is not
served at all, as half of an account is nobody's wish.

Invariants: one line for each fault, in the words of nats-server's library, whose rules these are.

Neighbours: `broker.jwtaccount` asks. Pure functions, thread-safe; O(exports² + imports²).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from broker import nkeys
from broker.blocks import AccountBlock, Export
from broker.jwtfields import Fields, flag, number
from broker.subject import covers

__all__ = ["faults_of", "shown"]

_UNLIMITED = -1


def faults_of(block: AccountBlock, limits: Fields, signers: Iterable[str]) -> Iterator[str]:
    """What is wrong with an account of these limits, whose users these keys may sign."""
    yield from _beyond(block, limits)
    yield from _overlaps(block)
    for export in block.exports:
        yield from _misplaced(export)
    for key in signers:
        if not nkeys.is_public(key, nkeys.ACCOUNT):
            yield f'"{key}" is not a valid account signing key'
    if number(limits, "payload", 0) == 0 and number(limits, "conn", 0) != 0:
        yield "a limit of 0 on the payload is not served: leave out the right to publish"


def _beyond(block: AccountBlock, limits: Fields) -> Iterator[str]:
    """What exceeds the operator's limits."""
    for what, there in (("imports", len(block.imports)), ("exports", len(block.exports))):
        most = number(limits, what, 0)
        if most != _UNLIMITED and there > most:
            yield f"the account contains more {what} than allowed by the operator"
    if number(limits, "exports", 0) != _UNLIMITED and not flag(limits, "wildcards"):
        for export in block.exports:
            if _has_wildcards(export.subject):
                yield "the account contains wildcard exports that are not allowed by the operator"


def _overlaps(block: AccountBlock) -> Iterator[str]:
    for one in block.exports:
        for other in block.exports:
            alike = one is not other and one.service == other.service
            if alike and covers(other.subject, one.subject):
                kind = "service" if one.service else "stream"
                what = f"{kind} export subject {shown(other.subject)}"
                yield f"{what} already exports {shown(one.subject)}"
    taken: list[tuple[str, bytes]] = []
    for wanted in block.imports:
        here = wanted.to or wanted.subject
        if wanted.service:
            for account, there in taken:
                if account == wanted.account and (covers(here, there) or covers(there, here)):
                    names = f"{shown(here)} and {shown(there)}"
                    yield f'overlapping subject namespace for {names} in same account "{account}"'
            taken.append((wanted.account, here))


def _misplaced(export: Export) -> Iterator[str]:
    """What is wrong with an export whose importers must name themselves in the subject."""
    tokens = export.subject.split(b".")
    position, subject = export.position, export.subject.decode()
    if not position:
        return
    if not _has_wildcards(export.subject):
        yield f"Account Token Position can only be used with wildcard subjects: {subject}"
    elif not 0 < position <= len(tokens):
        yield f"Account Token Position {position} exceeds length of subject '{subject}'"
    elif tokens[position - 1] != b"*":
        matched = f"Account Token Position {position} matches '{tokens[position - 1].decode()}'"
        yield f"{matched} but must match a * in: {subject}"


def _has_wildcards(subject: bytes) -> bool:
    return not {b"*", b">"}.isdisjoint(subject.split(b"."))


def shown(subject: bytes) -> str:
    """A subject in quotes."""
    return f'"{subject.decode()}"'
