"""Many users: by name and password, by nkey, or by the certificate they came with.

The idea: a table by name and a table by key, both made once. What a client gave decides which of
them is asked, and exactly one: a client that names an nkey is judged by it, even if it gives a
right password as well; one that gives nothing at all is the guest (``no_auth_user``), if there is
one. Only then is the proof looked at: a signature of the nonce, or the password.

Invariants: a client whose user is unknown waits as long as one whose password is wrong, also where
passwords are bcrypt hashes: a decoy is compared instead. A user without a password has an empty
one. Where users come from certificates (``verify_and_map``), nothing else lets them in.

Source: the order of checks is that of nats-server 2.15, found by asking one; but our guest may have
a bcrypt password, which keeps it out there.

Neighbours: `broker.auth` makes one of the options. Reads no clock, waits for nothing but bcrypt.
Immutable, hence thread-safe.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from broker import nkeys
from broker.blocks import AccountBlock, IngressLimit, UserBlock
from broker.errors import AUTHORIZATION_VIOLATION
from broker.identity import Answer, Credentials, Identity
from broker.passwords import is_bcrypt, same
from broker.permissions import FREE, Permissions

__all__ = ["Users", "all_users", "has_signed"]

_COMMA = re.compile(r"(?<!\\),")


def all_users(users: Iterable[UserBlock], accounts: Iterable[AccountBlock]) -> list[UserBlock]:
    """The users of all accounts, each with its account's name and default permissions."""
    found = list(users)
    for block in accounts:
        found += [
            replace(
                user, account=block.name, permissions=user.permissions or block.default_permissions
            )
            for user in block.users
        ]
    return found


class Users:
    """Lets in whom a list of users names. See the module for how one is chosen.

    ``default`` are the permissions, and ``ingress`` the limit, of users that have none of their
    own. ``guests`` names the user that a client without credentials is, by the kind of its
    connection. ``mapped`` are the kinds of connection whose user stands in the certificate.
    """

    def __init__(
        self,
        users: Iterable[UserBlock],
        no_auth_user: str | None = None,
        default: Permissions | None = None,
        *,
        ingress: IngressLimit | None = None,
        accounts: Iterable[AccountBlock] = (),
        guests: Mapping[str, str] | None = None,
        mapped: frozenset[str] = frozenset(),
    ) -> None:
        blocks = list(users)
        self._named = {block.user: block for block in blocks if not block.nkey}
        self._keyed = {block.nkey: block for block in blocks if block.nkey}
        self._subjects = {_parts(name): block for name, block in self._named.items() if "=" in name}
        hashes = [block.password or "" for block in blocks if is_bcrypt(block.password or "")]
        self._decoy = hashes[0] if hashes else ""
        self._guest = no_auth_user or ""
        self._guests = guests or {}
        self._default = default or FREE
        self._ingress = ingress
        self._accounts = {block.name: block for block in accounts}
        self._mapped = mapped
        self.has_guest = bool(self._guest)
        self.required = not self.has_guest
        self.wants_nonce = bool(self._keyed)

    def slow(self, credentials: Credentials) -> bool:
        """Whether a bcrypt hash has to be compared with.  O(1)."""
        if self._keyed and credentials.connect.nkey:
            return False
        if self._find_guest(credentials) is not None:
            return False
        return is_bcrypt(self._kept(self._find(credentials), credentials))

    def authenticate(self, credentials: Credentials) -> Answer:
        """See `Authenticator.authenticate`.  O(1), and what the proof costs: 50 us for an nkey, a
        tenth of a second and more for bcrypt.
        """
        connect = credentials.connect
        guest = self._find_guest(credentials)
        if guest is not None:
            return self._admit(guest)
        if self._keyed and connect.nkey:
            block = self._keyed.get(connect.nkey)
            right = block is not None and has_signed(block.nkey, credentials)
        else:
            block = self._find(credentials)
            right = same(connect.password, self._kept(block, credentials))
        if block is None or not right or not _may_come_by(block, credentials.kind):
            return AUTHORIZATION_VIOLATION
        return self._admit(block)

    def _find(self, credentials: Credentials) -> UserBlock | None:
        """Whom the certificate names, or whom the client claims to be."""
        if credentials.kind in self._mapped:
            return self._find_certified(credentials.names)
        return self._named.get(credentials.connect.user)

    def _kept(self, block: UserBlock | None, credentials: Credentials) -> str:
        """The secret to compare with; for a name that is unknown one that is as slow."""
        if block is not None:
            return block.password or ""
        return self._decoy if credentials.connect.user else ""

    def _find_guest(self, credentials: Credentials) -> UserBlock | None:
        connect = credentials.connect
        if connect.user or connect.password or connect.auth_token or connect.nkey:
            return None
        if credentials.kind in self._mapped:
            return None
        name = self._guests.get(credentials.kind, self._guest)
        block = self._keyed.get(name) or self._named.get(name)
        return block if block is not None and _may_come_by(block, credentials.kind) else None

    def _find_certified(self, names: tuple[str, ...]) -> UserBlock | None:
        for name in names:
            block = self._named.get(name) or self._subjects.get(_parts(name))
            if block is not None:
                return block
        return None

    def _admit(self, block: UserBlock) -> Identity:
        account = self._accounts.get(block.account)
        name = block.nkey or block.user
        return Identity(
            account=block.account,
            user=name,
            permissions=block.permissions or self._default,
            shown=name,
            ingress=block.ingress or self._ingress,
            max_subscriptions=account.max_subscriptions if account is not None else 0,
            max_payload=account.max_payload if account is not None else 0,
        )


def has_signed(key: str, credentials: Credentials) -> bool:
    """Whether the owner of the public `key` has signed the nonce.  50 us."""
    signature = nkeys.signature(credentials.connect.sig)
    # Without a nonce there was nothing to sign, and a signature of nothing proves nothing.
    if not signature or not credentials.nonce:
        return False
    return nkeys.verify(key, signature, credentials.nonce.encode())


def _may_come_by(block: UserBlock, kind: str) -> bool:
    return not block.connection_types or kind in block.connection_types


def _parts(name: str) -> frozenset[str]:
    """A distinguished name without its order, which differs between tools."""
    return frozenset(part.strip() for part in _COMMA.split(name))
