"""Tables of users: by password, by nkey, by certificate, and the guest; as nats-server chooses."""

from __future__ import annotations

import base64
from typing import Any

import bcrypt
import pytest
from nacl.signing import SigningKey

from broker import nkeys
from broker.blocks import AccountBlock, IngressLimit, UserBlock
from broker.errors import AUTHORIZATION_VIOLATION
from broker.handshake import ConnectOptions
from broker.identity import Credentials, Identity
from broker.permissions import FREE, Permissions, Rules
from broker.users import Users, all_users

OWNER = SigningKey(b"\2" * 32)
NKEY = nkeys.encode(nkeys.USER, bytes(OWNER.verify_key))
HASH = bcrypt.hashpw(b"pw", bcrypt.gensalt(4)).decode()
SOME = Permissions(publish=Rules(allow=(b"a",)))
OTHER = Permissions(publish=Rules(allow=(b"b",)))

USERS = (
    UserBlock("ann", "a", account="A"),
    UserBlock("bob", HASH, account="B", permissions=SOME),
    UserBlock(nkey=NKEY, account="A"),
    UserBlock("web", "w", connection_types=frozenset({"WEBSOCKET"})),
    UserBlock("empty"),
)


def gave(kind: str = "STANDARD", nonce: str = "nonce", **connect: Any) -> Credentials:
    return Credentials(ConnectOptions(**connect), nonce=nonce, kind=kind)


def signed(text: bytes = b"nonce") -> dict[str, str]:
    return {
        "nkey": NKEY,
        "sig": base64.urlsafe_b64encode(OWNER.sign(text).signature).decode().rstrip("="),
    }


def who(users: Users, credentials: Credentials) -> str | None:
    answer = users.authenticate(credentials)
    assert isinstance(answer, Identity) or answer is AUTHORIZATION_VIOLATION
    return answer.user if isinstance(answer, Identity) else None


@pytest.mark.parametrize(
    ("connect", "expected"),
    [
        ({"user": "ann", "password": "a"}, "ann"),
        ({"user": "ann", "password": "b"}, None),
        ({"user": "ann"}, None),
        ({"user": "bob", "password": "pw"}, "bob"),
        ({"user": "bob", "password": HASH}, None),
        ({"user": "eve", "password": "a"}, None),
        ({"user": "eve"}, None),
        ({"user": "empty"}, "empty"),
        ({"user": "empty", "password": "x"}, None),
        ({"password": "a"}, None),
        ({"auth_token": "a"}, None),
        ({}, None),
        (signed(), NKEY),
        (signed(b"other"), None),
        ({"nkey": NKEY}, None),
        ({"nkey": NKEY, "sig": "*"}, None),
        ({"nkey": "UX", "user": "ann", "password": "a"}, None),
        ({**signed(b"other"), "user": "ann", "password": "a"}, None),
        ({**signed(), "user": "ann", "password": "wrong"}, NKEY),
    ],
)
def test_whoever_proves_to_be_a_user_is_let_in(
    connect: dict[str, str], expected: str | None
) -> None:
    assert expected == who(Users(USERS), gave(**connect))


def test_a_signature_proves_nothing_where_nothing_was_to_be_signed() -> None:
    assert who(Users(USERS), gave(nonce="", **signed(b""))) is None


def test_without_nkeys_one_that_is_given_is_ignored_and_no_nonce_is_needed() -> None:
    users = Users([UserBlock("ann", "a")])
    assert not users.wants_nonce
    assert "ann" == who(users, gave(nkey=NKEY, user="ann", password="a"))
    assert Users(USERS).wants_nonce


def test_a_user_may_be_bound_to_a_way_of_connecting() -> None:
    users = Users(USERS)
    assert who(users, gave(user="web", password="w")) is None
    assert "web" == who(users, gave("WEBSOCKET", user="web", password="w"))


def test_only_bcrypt_is_slow_and_so_is_the_refusal_of_someone_unknown() -> None:
    users = Users(USERS)
    for name, slow in [("bob", True), ("eve", True), ("ann", False)]:
        assert slow == users.slow(gave(user=name)), name
    assert not users.slow(gave(**signed(), user="bob"))
    assert not users.slow(gave(password="x"))
    assert not Users(USERS, "bob").slow(gave())
    assert not Users([UserBlock("ann", "a")]).slow(gave(user="eve"))


def test_an_unknown_user_cannot_use_the_password_of_the_decoy() -> None:
    assert who(Users(USERS), gave(user="eve", password="pw")) is None


# --- what a user is given


def test_an_identity_says_account_permissions_and_limits() -> None:
    mine, everybodys = IngressLimit(bytes=1), IngressLimit(bytes=2)
    accounts = (AccountBlock("A", max_subscriptions=3, max_payload=4),)
    blocks = [
        UserBlock("ann", account="A"),
        UserBlock("bob", account="B", permissions=SOME, ingress=mine),
    ]
    users = Users(blocks, default=OTHER, ingress=everybodys, accounts=accounts)
    expected = Identity("A", "ann", OTHER, None, "ann", everybodys, 3, 4)
    assert expected == users.authenticate(gave(user="ann"))
    expected = Identity("B", "bob", SOME, None, "bob", mine)
    assert expected == users.authenticate(gave(user="bob"))


def test_users_of_accounts_belong_to_them_and_inherit_their_permissions() -> None:
    account = AccountBlock(
        "A", (UserBlock("ann"), UserBlock("bob", permissions=SOME)), default_permissions=OTHER
    )
    found = all_users([UserBlock("cid")], [account])
    expected = [("cid", "$G", None), ("ann", "A", OTHER), ("bob", "A", SOME)]
    assert expected == [(user.user, user.account, user.permissions) for user in found]


def test_users_without_permissions_are_free() -> None:
    answer = Users(USERS).authenticate(gave(user="ann", password="a"))
    assert isinstance(answer, Identity)
    assert FREE == answer.permissions


# --- the guest


@pytest.mark.parametrize("guest", ["ann", "bob", NKEY])
def test_whoever_gives_nothing_is_the_guest_and_needs_to_prove_nothing(guest: str) -> None:
    users = Users(USERS, guest)
    assert users.has_guest
    assert not users.required
    assert guest == who(users, gave())
    assert not users.slow(gave(**signed()))


@pytest.mark.parametrize(
    "connect",
    [{"user": "ann"}, {"password": "x"}, {"auth_token": "x"}, {"user": "x"}, {"nkey": "x"}],
)
def test_whoever_gives_something_is_no_guest(connect: dict[str, str]) -> None:
    assert who(Users(USERS, "ann"), gave(**connect)) is None


def test_a_guest_that_may_not_come_this_way_does_not_come() -> None:
    assert who(Users(USERS, "web"), gave()) is None


def test_without_a_guest_a_connect_must_come_first() -> None:
    users = Users(USERS)
    assert users.required
    assert not users.has_guest


# --- certificates

SUBJECT = "CN=ann,OU=Things\\, small,O=Us"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("ann@us.example",), "ann@us.example"),
        (("x", "us.example"), "us.example"),
        (("x", SUBJECT), SUBJECT),
        (("O=Us,OU=Things\\, small, CN=ann",), SUBJECT),
        (("CN=ann,O=Us",), None),
        ((), None),
    ],
)
def test_a_certificate_names_its_user(names: tuple[str, ...], expected: str | None) -> None:
    blocks = [UserBlock("ann@us.example"), UserBlock("us.example"), UserBlock(SUBJECT)]
    users = Users(blocks, mapped=frozenset({"STANDARD"}))
    credentials = Credentials(ConnectOptions(), names=names)
    assert expected == who(users, credentials)


def test_where_certificates_name_the_user_a_password_does_not() -> None:
    users = Users(USERS, "ann", mapped=frozenset({"STANDARD"}))
    assert who(users, gave(user="ann", password="a")) is None
    assert who(users, gave()) is None
    assert "ann" == who(users, gave("WEBSOCKET", user="ann", password="a"))
