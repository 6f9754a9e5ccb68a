"""The options: their defaults, and which values are refused."""

from __future__ import annotations

import dataclasses
import math

import pytest

from broker.blocks import TlsBlock, UserBlock
from broker.checks import CHECKS
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
        ("presence", "on"),
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


@pytest.mark.parametrize(
    ("options", "expected"),
    [
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
