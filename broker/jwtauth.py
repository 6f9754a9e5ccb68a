"""Decentralised logins: an operator signs accounts, accounts sign users, the broker keeps no list.

The idea: the configuration holds the operators' JWTs and those of the accounts. A user brings its
own in CONNECT and signs the nonce with its key, unless the JWT is a bearer's. It is believed if an
account, or a signing key of one, has signed it, and an operator has signed the account. What it may
do its token says, or, where the signing key has a scope, the template of that scope.

Invariants: all tokens of the configuration are read and verified once, here. Who may not log in by
what a JWT says is refused; `authenticate` raises nothing for what a client sent. An account with
faults lets nobody in, which `issues` tells; one that is no account of these operators is refused in
words at the start.

Unlike nats-server: that does look at an account's operator only when a user comes, and never at an
operator's time. A user who may send no payload at all (a limit of 0) is refused here.

Source: nats-server's ``auth.go`` and ``accounts.go``. Neighbours: `broker.auth` chooses this where
there is an operator; `broker.jwt` reads, `broker.jwtaccount` knows accounts, `broker.jwtrights`
users. No I/O, no clock: the time is in the credentials. Thread-safe.
"""

from __future__ import annotations

from collections.abc import Mapping

from broker.blocks import AccountBlock, IngressLimit, JwtBlock
from broker.errors import (
    ACCOUNT_CONNECTIONS_EXCEEDED,
    ACCOUNT_EXPIRED,
    AUTHORIZATION_VIOLATION,
    USER_EXPIRED,
    USER_REVOKED,
)
from broker.identity import Answer, Credentials, Identity
from broker.jwt import Claims, read
from broker.jwtaccount import Account, blocks, is_revoked, limit, load, next_change
from broker.jwtfields import Fields, flag, number, texts
from broker.jwtrights import ends_today, has_right_kind, is_from_there, permissions
from broker.jwttemplate import expanded, is_bare
from broker.permissions import FREE
from broker.users import has_signed

__all__ = ["JwtUsers"]


class JwtUsers:
    """Lets in whoever has a JWT of one of the accounts, and the key to it.

    Raises ValueError for operators or accounts that are not what they claim, or claim what is not
    served. O(1) for each login, 200 us.
    """

    required = True
    wants_nonce = True
    has_guest = False

    def __init__(self, block: JwtBlock, ingress: IngressLimit | None = None) -> None:
        self._operators = _operators(block.operators)
        self._accounts = {
            key: _account(key, token, self._operators) for key, token in block.preload.items()
        }
        self._ingress = ingress

    @property
    def issues(self) -> tuple[str, ...]:
        """Lines for the log about accounts that let nobody in, in nats-server's words."""
        lines = []
        for key, account in self._accounts.items():
            if account.faults:
                lines.append(f"Account [{key}] has validation issues:")
                lines += [f"  - {fault}" for fault in account.faults]
        return tuple(lines)

    def account_blocks(self, wall: float) -> tuple[AccountBlock, ...]:
        """The accounts as they are at that time, named by their keys. O(imports)."""
        return blocks(self._accounts, wall)

    def next_change(self, wall: float) -> float | None:
        """When `account_blocks` will be others than now, None if never. O(imports)."""
        return next_change(list(self._accounts.values()), wall)

    def slow(self, credentials: Credentials) -> bool:
        """Never: two signatures take less than handing them to a thread."""
        return False

    def authenticate(self, credentials: Credentials) -> Answer:
        """See `Authenticator.authenticate`."""
        try:
            return self._admit(read(credentials.connect.jwt), credentials)
        except ValueError:
            return AUTHORIZATION_VIOLATION

    def _admit(self, user: Claims, credentials: Credentials) -> Answer:
        account = self._accounts.get(user.account or user.issuer)
        if user.kind != "user" or account is None or account.faults:
            return AUTHORIZATION_VIOLATION
        rights = _rights(user, account)
        bearer = flag(rights, "bearer_token")
        if not (account.takes_bearers if bearer else has_signed(user.subject, credentials)):
            return AUTHORIZATION_VIOLATION
        operator = self._operators[account.claims.issuer]
        if not all(claims.holds(credentials.wall) for claims in (user, account.claims, operator)):
            return AUTHORIZATION_VIOLATION
        if is_revoked(account.revoked, user.subject, user.issued):
            return USER_REVOKED
        if not has_right_kind(rights, credentials) or not is_from_there(rights, credentials.ip):
            return AUTHORIZATION_VIOLATION
        identity = self._identity(user, account, rights, credentials.wall)
        return identity if account.takes_anybody else ACCOUNT_CONNECTIONS_EXCEEDED

    def _identity(self, user: Claims, account: Account, rights: Fields, wall: float) -> Identity:
        # Version 1 and templates leave out what is not limited; a user's version 2 writes -1.
        absent = 0 if rights is user.nats and user.version == 2 else -1
        if number(rights, "payload", absent) == 0:
            raise ValueError("a limit of 0 on the payload is not served")
        block, operator = account.block, self._operators[account.claims.issuer]
        ends = [
            (end, farewell)
            for end, farewell in (
                (user.expires, USER_EXPIRED),
                (ends_today(rights, wall), USER_EXPIRED),
                (account.claims.expires, ACCOUNT_EXPIRED),
                (operator.expires, ACCOUNT_EXPIRED),
            )
            if end
        ]
        expires, farewell = min(ends, key=_moment, default=(None, USER_EXPIRED))
        return Identity(
            account=block.name,
            user=user.subject,
            permissions=permissions(rights) or block.default_permissions or FREE,
            expires=None if expires is None else float(expires),
            shown=user.subject,
            ingress=self._ingress,
            max_subscriptions=_lesser(limit(rights, "subs", absent), block.max_subscriptions),
            max_payload=_lesser(limit(rights, "payload", absent), block.max_payload),
            farewell=farewell,
            issuer=user.issuer,
            title=user.name,
            tags=user.tags,
            account_name=account.claims.name,
        )


def _moment(end: tuple[float, object]) -> float:
    return end[0]


def _lesser(a: int, b: int) -> int:
    return min(a, b) if a and b else a or b


def _rights(user: Claims, account: Account) -> Fields:
    """What speaks of the user's rights. Raises ValueError if the account does not know who signed,
    or if the user claims rights that its signer's scope should grant.
    """
    if user.issuer not in account.signers:
        raise ValueError("the account does not know who signed")
    template = account.signers[user.issuer]
    if template is None:
        return user.nats
    if user.version == 1 or not is_bare(user.nats):
        raise ValueError("a user of a scoped signing key has no rights of its own")
    return expanded(template, user, account.claims)


# --- the chain of trust ---------------------------------------------------------------------------


def _operators(tokens: tuple[str, ...]) -> dict[str, Claims]:
    """Those who may sign accounts, by their keys."""
    trusted: dict[str, Claims] = {}
    for token in tokens:
        operator = read(token)
        if operator.kind != "operator":
            raise ValueError(f"the operator's JWT is that of a kind {operator.kind!r}")
        keys = texts(operator.nats, "signing_keys")
        if operator.issuer not in (operator.subject, *keys):
            raise ValueError("the operator's JWT must be signed by the operator's own key")
        signers = keys if _is_strict(operator) else (operator.subject, *keys)
        trusted |= dict.fromkeys(signers, operator)
    return trusted


def _is_strict(operator: Claims) -> bool:
    """Whether the keys of operator and accounts themselves may sign nothing below them."""
    return flag(operator.nats, "strict_signing_key_usage")


def _account(key: str, token: str, operators: Mapping[str, Claims]) -> Account:
    try:
        claims = read(token)
        if claims.kind != "account" or claims.subject != key:
            raise ValueError(f"its JWT is of {claims.kind} {claims.subject}")
        if claims.issuer not in operators:
            raise ValueError("its JWT is not signed by an operator of this broker")
        return load(claims, strict=_is_strict(operators[claims.issuer]))
    except ValueError as problem:
        raise ValueError(f"account {key}: {problem}") from None
