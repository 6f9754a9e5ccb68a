"""The options: their defaults, and which values are refused."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from broker.blocks import (
    AccountBlock,
    Export,
    Import,
    JwtBlock,
    TlsBlock,
    UserBlock,
    WebsocketBlock,
)
from broker.checks import CHECKS, crossing_problems
from broker.config import Options, OptionsError


def test_the_defaults_are_those_of_nats_server() -> None:
    options = Options()
    assert "0.0.0.0" == options.host
    assert 4222 == options.port
    assert 1_048_576 == options.max_payload
    assert 4096 == options.max_control_line
    assert 67_108_864 == options.max_pending
    assert 65_536 == options.max_connections
    assert 120.0 == options.ping_interval
    assert 2 == options.ping_max
    assert 2.0 == options.auth_timeout
    assert 10.0 == options.write_deadline


def test_every_field_is_checked() -> None:
    assert {field.name for field in dataclasses.fields(Options)} == set(CHECKS)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("host", ""),
        ("host", None),
        ("port", 65_536),
        ("port", -2),
        ("port", "4222"),
        ("port", True),
        ("http_port", 70_000),
        ("http_host", ""),
        ("backlog", 0),
        ("user", ""),
        ("password", 5),
        ("token", b"t"),
        ("auth_timeout", 0),
        ("auth_timeout", math.inf),
        ("auth_timeout", math.nan),
        ("auth_timeout", "2s"),
        ("max_connections", -1),
        ("max_control_line", 0),
        ("max_payload", 0),
        ("max_payload", 1.5),
        ("max_pending", 0),
        ("max_subscriptions", -1),
        ("write_deadline", -1.0),
        ("ping_interval", 0.0),
        ("ping_max", 0),
        ("first_ping", True),
        ("server_name", "two words"),
        ("debug", 1),
        ("trace", "yes"),
        ("max_traced", -1),
        ("log_file", ""),
        ("pid_file", ""),
        ("closed_ring", -1),
        ("backend", ""),
        ("flow_capacity", -1),
        ("flow_evict_chance", 1.1),
        ("flow_evict_chance", True),
        ("users", [UserBlock("ann")]),
        ("users", ("ann",)),
        ("accounts", (UserBlock("ann"),)),
        ("system_account", ""),
        ("no_auth_user", ""),
        ("permissions", {"publish": ">"}),
        ("jwt", "eyJ"),
        ("tls", "cert.pem"),
        ("allow_non_tls", 1),
        ("websocket", 443),
        ("lame_duck_duration", -1),
        ("lame_duck_grace", math.inf),
        ("lame_duck_grace", True),
        ("ports_file_dir", ""),
        ("syslog", ""),
        ("logtime", None),
        ("logtime_utc", 0),
        ("https_port", -2),
        ("http_base_path", None),
        ("mappings", None),
        ("max_sub_tokens", -1),
        ("client_advertise", ""),
        ("ingress", 1000),
        ("digest", None),
        ("config_file", ""),
    ],
)
def test_an_unusable_value_is_refused_by_the_name_of_its_field(field: str, value: object) -> None:
    with pytest.raises(OptionsError) as caught:
        Options().replace(**{field: value})
    assert caught.value.field == field
    assert str(caught.value).startswith(f"{field}: ")


def test_a_refusal_shows_the_value_and_the_mend() -> None:
    with pytest.raises(OptionsError) as caught:
        Options(port=99_999)
    expected = "port: 99999 is not usable; give a port from 1 to 65535, or 0 or -1 for any free one"
    assert expected == str(caught.value)


@pytest.mark.parametrize("field", ["password", "token"])
def test_a_refused_secret_is_not_repeated_in_the_message(field: str) -> None:
    with pytest.raises(OptionsError) as caught:
        Options(user="u").replace(**{field: 12345})
    assert "12345" not in str(caught.value)


@pytest.mark.parametrize("users", ["ann:s3cret", ("ann:s3cret",)])
def test_what_stands_in_place_of_a_block_is_named_by_its_type_only(users: object) -> None:
    with pytest.raises(
        OptionsError, match=r"^users: must be a tuple of UserBlock.*\bstr$"
    ) as caught:
        Options().replace(users=users)
    assert "s3cret" not in str(caught.value)


def test_blocks_are_taken_as_they_are() -> None:
    users = (UserBlock("ann", "s3cret"),)
    assert users == Options(users=users).users
    assert TlsBlock("c", "k") == Options(tls=TlsBlock("c", "k")).tls


def test_a_token_and_a_user_contradict_each_other() -> None:
    with pytest.raises(OptionsError, match="choose one way to log in"):
        Options(token="t", user="u", password="p")


def test_a_password_needs_a_user() -> None:
    with pytest.raises(OptionsError, match="set user as well"):
        Options(password="p")


ANN, BOB = UserBlock("ann", "a"), UserBlock("bob", "b", account="B")
PAIR = TlsBlock("c", "k")
STREAM = Export(b"x.*", service=False)
IN = Import("A", b"x.>", service=False)


@pytest.mark.parametrize(
    ("settings", "field", "text"),
    [
        ({"users": (ANN, ANN)}, "users", 'Duplicate user "ann" detected'),
        (
            {"users": (ANN,), "accounts": (AccountBlock("A", (ANN,)),)},
            "users",
            'Duplicate user "ann" detected',
        ),
        ({"users": (UserBlock(),)}, "users", "User entry requires a user, or an nkey"),
        ({"accounts": (AccountBlock("A"),) * 2}, "accounts", 'Duplicate account "A" detected'),
        ({"users": (ANN,), "token": "t"}, "token", "make it one of these"),
        ({"users": (ANN,), "user": "u"}, "user", "make it one of these"),
        ({"users": (ANN,), "jwt": JwtBlock(("o",), {})}, "users", "operators do not allow users"),
        (
            {"accounts": (AccountBlock("A"),), "jwt": JwtBlock(("o",), {})},
            "accounts",
            "operators do not allow Accounts to be configured directly",
        ),
        (
            {"no_auth_user": "x", "jwt": JwtBlock(("o",), {})},
            "no_auth_user",
            "no_auth_user not compatible with Trusted Operator",
        ),
        ({"no_auth_user": "x"}, "no_auth_user", "present, but users/nkeys are not defined"),
        ({"no_auth_user": "x", "users": (ANN,)}, "no_auth_user", "not present as user or nkey in"),
        ({"system_account": "S"}, "system_account", 'there is no account "S"'),
        ({"lame_duck_duration": 5.0}, "lame_duck_grace", "grace period (10s) should be strictly"),
        ({"http_port": 1, "https_port": 2, "tls": PAIR}, "https_port", "Can't specify both HTTP"),
        ({"https_port": 2}, "https_port", "set tls as well"),
        ({"websocket": WebsocketBlock()}, "websocket", "websocket requires TLS configuration"),
        ({"websocket": WebsocketBlock(port=-2, tls=PAIR)}, "websocket", "give a port from 1 to"),
        (
            {"websocket": WebsocketBlock(tls=PAIR, allowed_origins=("a.example",))},
            "websocket",
            'unable to parse allowed origin "a.example"',
        ),
        (
            {"websocket": WebsocketBlock(tls=PAIR, jwt_cookie="j")},
            "websocket",
            'is required for JWT authentication via cookie "j"',
        ),
        (
            {"websocket": WebsocketBlock(tls=PAIR, no_auth_user="x"), "users": (ANN,)},
            "websocket",
            "not present as user or nkey",
        ),
        (
            {"accounts": (AccountBlock("A", exports=(STREAM,)), AccountBlock("B", imports=(IN,)))},
            "accounts",
            'Error adding stream import "x.>": stream import not authorized',
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    settings: dict[str, Any], field: str, text: str
) -> None:
    with pytest.raises(OptionsError) as caught:
        Options(**settings)
    assert field == caught.value.field
    assert text in caught.value.message


def ring(*names: str, prefix: bytes = b"") -> list[AccountBlock]:
    """Accounts each of which imports the stream `x` of the next one, the last of the first."""
    following = [*names[1:], names[0]]
    return [
        AccountBlock(
            name,
            exports=(Export(b">", service=False),),
            imports=(Import(other, b"x", service=False, prefix=prefix),),
        )
        for name, other in zip(names, following, strict=True)
    ]


@pytest.mark.parametrize("names", ["AB", "ABC", "ABCDE"])
def test_imports_that_lead_back_home_are_refused(names: str) -> None:
    expected = 'Error adding stream import "x": import forms a cycle'
    assert [expected] * len(names) == list(crossing_problems(ring(*names)))


def test_imports_under_another_name_lead_nowhere() -> None:
    assert [] == list(crossing_problems(ring("A", "B", prefix=b"from")))


def test_an_account_may_import_what_it_exports_itself() -> None:
    own = Import("A", b"x.1", service=False, to=b"y")
    assert [] == list(crossing_problems([AccountBlock("A", exports=(STREAM,), imports=(own,))]))


def test_every_user_is_found_whatever_the_account() -> None:
    options = Options(users=(ANN,), accounts=(AccountBlock("B", (BOB,)),))
    assert [ANN, BOB] == list(options.every_user())


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (Options(users=(ANN,)), True),
        (Options(accounts=(AccountBlock("B", (BOB,)),)), True),
        (Options(users=(ANN,), no_auth_user="ann"), False),
        (Options(jwt=JwtBlock(("o",), {})), True),
        (Options(), False),
        (Options(token="t"), True),
        (Options(user="u"), True),
        (Options(user="u", password=""), True),
    ],
)
def test_credentials_make_authorization_required(options: Options, expected: bool) -> None:
    assert expected == options.auth_required


def test_replace_changes_a_copy_and_leaves_the_original() -> None:
    original = Options()
    changed = original.replace(port=0)
    assert (4222, 0) == (original.port, changed.port)


def test_options_cannot_be_changed_in_place() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Options().port = 1  # type: ignore[misc]  # that it is refused is the point
