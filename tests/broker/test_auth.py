"""Who may come in, and what a log may show of it."""

from __future__ import annotations

import pytest

from broker.auth import Anyone, Identity, OneToken, OneUser, make_authenticator
from broker.config import Options
from broker.handshake import ConnectOptions


def test_without_credentials_configured_anyone_may_come_in_and_need_not_say_who() -> None:
    authenticator = make_authenticator(Options())
    assert isinstance(authenticator, Anyone)
    assert not authenticator.required
    assert Identity() == authenticator.authenticate(ConnectOptions())
    given = ConnectOptions(user="ann", password="x", auth_token="y")
    assert Identity(user="ann") == authenticator.authenticate(given)


@pytest.mark.parametrize(
    ("connect", "welcome"),
    [
        (ConnectOptions(auth_token="s3cret"), True),
        (ConnectOptions(auth_token="s3cre"), False),
        (ConnectOptions(auth_token="S3cret"), False),
        (ConnectOptions(), False),
        (ConnectOptions(user="s3cret"), False),
        (ConnectOptions(password="s3cret"), False),
    ],
)
def test_a_token_is_known_or_not(connect: ConnectOptions, welcome: bool) -> None:
    authenticator = make_authenticator(Options(token="s3cret"))
    assert authenticator.required
    assert welcome == (authenticator.authenticate(connect) is not None)


@pytest.mark.parametrize(
    ("connect", "welcome"),
    [
        (ConnectOptions(user="ann", password="pässword"), True),
        (ConnectOptions(user="ann", password="password"), False),
        (ConnectOptions(user="bob", password="pässword"), False),
        (ConnectOptions(user="ann"), False),
        (ConnectOptions(password="pässword"), False),
        (ConnectOptions(auth_token="pässword"), False),
        (ConnectOptions(user="ann", password="\ud800"), False),
    ],
)
def test_a_user_needs_the_right_name_and_the_right_password(
    connect: ConnectOptions, welcome: bool
) -> None:
    authenticator = make_authenticator(Options(user="ann", password="pässword"))
    assert authenticator.required
    expected = Identity(user="ann") if welcome else None
    assert expected == authenticator.authenticate(connect)


def test_a_user_configured_without_a_password_has_an_empty_one() -> None:
    authenticator = make_authenticator(Options(user="ann"))
    assert authenticator.authenticate(ConnectOptions(user="ann")) is not None
    assert authenticator.authenticate(ConnectOptions(user="ann", password="x")) is None


def test_no_secret_is_shown_in_a_log() -> None:
    assert "s3cret" not in repr(OneToken("s3cret"))
    assert "s3cret" not in repr(OneUser("ann", "s3cret"))
