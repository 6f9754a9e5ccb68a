"""Which authenticator options ask for, the simple ones, and what a log may show of a client."""

from __future__ import annotations

from typing import Any

import bcrypt
import pytest

from broker.auth import (
    Anyone,
    OneToken,
    OneUser,
    accused,
    label_of,
    make_authenticator,
)
from broker.blocks import AccountBlock, TlsBlock, UserBlock, WebsocketBlock
from broker.config import Options, OptionsError
from broker.errors import AUTHORIZATION_VIOLATION
from broker.handshake import ConnectOptions
from broker.hook import Hook
from broker.identity import Credentials, Identity
from broker.permissions import Permissions, Rules
from broker.users import Users

HASH = bcrypt.hashpw("pässword".encode(), bcrypt.gensalt(4)).decode()


def gave(**connect: Any) -> Credentials:
    return Credentials(ConnectOptions(**connect))


def test_without_credentials_configured_anyone_may_come_in_and_need_not_say_who() -> None:
    authenticator = make_authenticator(Options())
    assert isinstance(authenticator, Anyone)
    assert not authenticator.required
    assert not authenticator.wants_nonce
    assert Identity() == authenticator.authenticate(gave())
    given = gave(user="ann", password="x", auth_token="y")
    assert Identity(user="ann", shown="ann") == authenticator.authenticate(given)


@pytest.mark.parametrize("kept", ["pässword", HASH])
@pytest.mark.parametrize(
    ("connect", "welcome"),
    [
        ({"auth_token": "pässword"}, True),
        ({"auth_token": "pässwor"}, False),
        ({"auth_token": "Pässword"}, False),
        ({"auth_token": HASH}, False),
        ({}, False),
        ({"user": "pässword"}, False),
        ({"password": "pässword"}, False),
    ],
)
def test_a_token_is_known_or_not(kept: str, connect: dict[str, str], welcome: bool) -> None:
    authenticator = make_authenticator(Options(token=kept))
    assert authenticator.required
    assert (kept == HASH) == authenticator.slow(gave(**connect))
    expected = Identity(shown="[REDACTED]") if welcome else AUTHORIZATION_VIOLATION
    assert expected == authenticator.authenticate(gave(**connect))


@pytest.mark.parametrize("kept", ["pässword", HASH])
@pytest.mark.parametrize(
    ("connect", "welcome"),
    [
        ({"user": "ann", "password": "pässword"}, True),
        ({"user": "ann", "password": "password"}, False),
        ({"user": "bob", "password": "pässword"}, False),
        ({"user": "ann", "password": HASH}, False),
        ({"user": "ann"}, False),
        ({"password": "pässword"}, False),
        ({"auth_token": "pässword"}, False),
        ({"user": "ann", "password": "\ud800"}, False),
    ],
)
def test_a_user_needs_the_right_name_and_the_right_password(
    kept: str, connect: dict[str, str], welcome: bool
) -> None:
    authenticator = make_authenticator(Options(user="ann", password=kept))
    assert authenticator.required
    assert (kept == HASH) == authenticator.slow(gave(**connect))
    expected = Identity(user="ann", shown="ann") if welcome else AUTHORIZATION_VIOLATION
    assert expected == authenticator.authenticate(gave(**connect))


def test_a_user_configured_without_a_password_has_an_empty_one() -> None:
    authenticator = make_authenticator(Options(user="ann"))
    assert isinstance(authenticator.authenticate(gave(user="ann")), Identity)
    assert AUTHORIZATION_VIOLATION == authenticator.authenticate(gave(user="ann", password="x"))


@pytest.mark.parametrize("options", [{}, {"user": "ann"}, {"token": "t"}])
def test_default_permissions_hold_for_everybody(options: dict[str, Any]) -> None:
    only = Permissions(publish=Rules(allow=(b"a",)))
    authenticator = make_authenticator(Options(permissions=only, **options))
    answer = authenticator.authenticate(gave(user="ann", auth_token="t"))
    assert isinstance(answer, Identity)
    assert only == answer.permissions


def test_no_secret_is_shown_in_a_log() -> None:
    assert "s3cret" not in repr(OneToken("s3cret"))
    assert "s3cret" not in repr(OneUser("ann", "s3cret"))
    assert "s3cret" not in repr(gave(password="s3cret", auth_token="s3cret", jwt="s3cret"))


# --- the choice


def test_users_of_the_server_and_of_accounts_make_one_table() -> None:
    options = Options(
        users=(UserBlock("ann", "a"),),
        accounts=(AccountBlock("B", users=(UserBlock("bob", "b"),)),),
        no_auth_user="bob",
    )
    authenticator = make_authenticator(options)
    assert isinstance(authenticator, Users)
    assert authenticator.has_guest
    assert not authenticator.required
    for user, password, account in [("ann", "a", "$G"), ("bob", "b", "B")]:
        answer = authenticator.authenticate(gave(user=user, password=password))
        assert Identity(account=account, user=user, shown=user) == answer


def test_accounts_without_users_ask_for_nothing() -> None:
    assert isinstance(make_authenticator(Options(accounts=(AccountBlock("A"),))), Anyone)


def test_users_of_the_system_account_alone_leave_everybody_else_a_guest() -> None:
    block = AccountBlock("$SYS", users=(UserBlock("s", "s", account="$SYS"),))
    authenticator = make_authenticator(Options(accounts=(block,)))
    assert (False, True) == (authenticator.required, authenticator.has_guest)
    guest = authenticator.authenticate(gave())
    assert isinstance(guest, Identity)
    assert ("$G", True) == (guest.account, guest.user.startswith("nats-"))
    system = authenticator.authenticate(gave(user="s", password="s"))
    assert isinstance(system, Identity)
    assert "$SYS" == system.account
    assert AUTHORIZATION_VIOLATION == authenticator.authenticate(gave(user="s", password="x"))


@pytest.mark.parametrize(
    "settings",
    [
        {"accounts": (AccountBlock("$SYS"), AccountBlock("A")), "system_account": "$SYS"},
        {"accounts": (AccountBlock("$SYS"),), "auth_timeout": 3.0},
        {"accounts": (AccountBlock("$SYS"),), "permissions": Permissions(publish=Rules((b"a",)))},
        {"accounts": (AccountBlock("SYS"),), "system_account": "$SYS"},
        {"accounts": (), "system_account": "$G"},
    ],
)
def test_users_beside_another_account_or_an_authorization_leave_nobody_a_guest(
    settings: dict[str, Any],
) -> None:
    users = (UserBlock("s", "s", account=settings.get("system_account", "$SYS")),)
    authenticator = make_authenticator(Options(users=users, **settings))
    assert (True, False) == (authenticator.required, authenticator.has_guest)


def test_the_way_of_a_connection_decides_what_a_certificate_means_and_who_the_guest_is() -> None:
    tls = TlsBlock("c", "k", verify_and_map=True)
    options = Options(
        users=(UserBlock("a@b.c"), UserBlock("web")),
        tls=tls,
        websocket=WebsocketBlock(no_tls=True, no_auth_user="web"),
    )
    authenticator = make_authenticator(options)
    certified = Credentials(ConnectOptions(), names=("a@b.c",))
    named = Credentials(ConnectOptions(user="web"))
    assert Identity(user="a@b.c", shown="a@b.c") == authenticator.authenticate(certified)
    assert AUTHORIZATION_VIOLATION == authenticator.authenticate(named)
    browser = Credentials(ConnectOptions(), kind="WEBSOCKET")
    assert Identity(user="web", shown="web") == authenticator.authenticate(browser)


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({"no_auth_user": "x"}, "no_auth_user"),
        ({"users": (UserBlock("a"),), "no_auth_user": "x"}, "no_auth_user"),
        ({"users": (UserBlock("a"),), "user": "b"}, "user"),
        ({"users": (UserBlock("a"),), "token": "b"}, "token"),
    ],
)
def test_what_contradicts_itself_is_refused(settings: dict[str, Any], wrong: str) -> None:
    with pytest.raises(OptionsError) as caught:
        make_authenticator(Options(**settings))
    assert wrong == caught.value.field


def test_a_function_decides_alone() -> None:
    assert isinstance(make_authenticator(Options(), lambda credentials: True), Hook)
    with pytest.raises(OptionsError, match="user: cannot be combined with an auth function"):
        make_authenticator(Options(user="ann"), lambda credentials: True)


@pytest.mark.parametrize(
    ("settings", "module", "text"),
    [
        ({"user": "ann", "password": HASH}, "bcrypt", 'user "ann" has a bcrypt hash'),
        ({"token": HASH}, "bcrypt", "the token is a bcrypt hash"),
        ({"users": (UserBlock("bob", HASH),)}, "bcrypt", 'user "bob" has a bcrypt hash'),
        ({"users": (UserBlock(nkey="U"),)}, "nacl.bindings", "nkeys need PyNaCl"),
    ],
)
def test_what_needs_a_library_that_is_missing_says_what_to_install(
    settings: dict[str, Any], module: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(OptionsError, match=text) as caught:
        make_authenticator(Options(**settings))
    assert "install reactor-broker[auth]" in str(caught.value)


# --- what a log shows


@pytest.mark.parametrize(
    ("connect", "identity", "label"),
    [
        ({"user": "ann"}, None, ""),
        ({"user": "ann"}, Identity(user="ann"), "$G/user:ann"),
        ({"nkey": "UX", "user": "ann"}, Identity("A", "UX"), "A/nkey:UX"),
        ({"jwt": "e.e.e"}, Identity("A", "UX"), "A/jwt:UX"),
        ({"auth_token": "s3cret"}, Identity(shown="[REDACTED]"), "$G/token"),
        ({}, Identity("A", "guest"), "A/user:guest"),
        ({}, Identity(), ""),
    ],
)
def test_a_label_names_the_account_and_how_the_client_logged_in(
    connect: dict[str, str], identity: Identity | None, label: str
) -> None:
    assert label == label_of(ConnectOptions(**connect), identity)  # type: ignore[arg-type]  # texts only


@pytest.mark.parametrize(
    ("connect", "text"),
    [
        ({"user": "ann", "password": "s3cret"}, 'User "ann"'),
        ({"user": "ann", "nkey": "UX"}, 'Nkey "UX"'),
        ({"auth_token": "s3cret"}, 'Token "[REDACTED]"'),
        ({"password": "s3cret"}, ""),
    ],
)
def test_a_refused_client_is_called_by_what_it_claimed(connect: dict[str, str], text: str) -> None:
    assert text == accused(ConnectOptions(**connect))  # type: ignore[arg-type]  # texts only
