"""What differs between two options, and what is said of it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from broker.blocks import AccountBlock, IngressLimit, JwtBlock, TlsBlock, UserBlock, WebsocketBlock
from broker.config import Options
from broker.permissions import Permissions
from broker.reload import plan
from broker.schema import Reload

TLS, OTHER_TLS = TlsBlock("c", "k"), TlsBlock("d", "l")
DOOR = WebsocketBlock(port=5, tls=TLS)


def test_equal_options_need_nothing() -> None:
    done = plan(Options(), Options(config_file="f", digest="sha256:1"))
    assert ((), ()) == (done.changes, done.refused)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({}, {"debug": True}, "debug = true"),
        ({"trace": True}, {}, "trace = false"),
        ({}, {"max_payload": 5}, "max_payload = 5"),
        ({}, {"ping_interval": 90.0}, "ping_interval = 1m30s"),
        ({}, {"write_deadline": 0.5}, "write_deadline = 500ms"),
        ({}, {"lame_duck_duration": 3600.0}, "lame_duck_duration = 1h0m0s"),
        ({}, {"auth_timeout": 1.5}, "authorization timeout = 1.5"),
        ({}, {"log_file": "x"}, "log_file = x"),
        ({"log_file": "x"}, {}, "log_file = "),
        ({}, {"syslog": "udp://h"}, "syslog = udp://h"),
        ({}, {"user": "u"}, "authorization username"),
        ({"user": "u"}, {"user": "u", "password": "s3cret"}, "authorization password"),
        ({"token": "s3cret"}, {}, "authorization token"),
        ({}, {"users": (UserBlock("a", "s3cret"),)}, "authorization users"),
        ({}, {"permissions": Permissions()}, "authorization default permissions"),
        ({}, {"accounts": (AccountBlock("A"),)}, "accounts"),
        ({}, {"tls": TLS}, "tls = enabled"),
        ({"tls": TLS}, {"tls": OTHER_TLS}, "tls = enabled"),
        ({"tls": TLS}, {}, "tls = disabled"),
        ({}, {"ingress": IngressLimit(5)}, "ingress"),
        ({"websocket": DOOR}, {"websocket": dataclasses.replace(DOOR, tls=OTHER_TLS)}, "websocket"),
        ({"jwt": JwtBlock(("o",), {})}, {"jwt": JwtBlock(("o",), {"A": "j"})}, "operator"),
    ],
)
def test_a_change_is_logged_in_nats_servers_words(
    old: dict[str, Any], new: dict[str, Any], expected: str
) -> None:
    done = plan(Options(**old), Options(**new))
    assert [f"Reloaded: {expected}"] == [change.line for change in done.changes]
    assert () == done.refused


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({}, {"server_name": "zz"}, "ServerName: old=, new=zz"),
        ({"port": 1}, {"port": 2}, "Port: old=1, new=2"),
        ({}, {"http_port": 2}, "HTTPPort: old=, new=2"),
        ({}, {"allow_non_tls": True}, "AllowNonTLS: old=false, new=true"),
        ({}, {"flow_capacity": 5}, "FlowCapacity: old=, new=5"),
        ({}, {"websocket": DOOR}, "Websocket: restart the broker"),
        ({"websocket": DOOR}, {"websocket": WebsocketBlock(no_tls=True)}, "Websocket: restart the"),
        ({}, {"jwt": JwtBlock(("s3cret",), {})}, "TrustedOperators: restart the broker"),
    ],
)
def test_what_needs_a_restart_refuses_the_reload(
    old: dict[str, Any], new: dict[str, Any], expected: str
) -> None:
    (refused,) = plan(Options(**old), Options(**new)).refused
    assert refused.startswith(f"config reload not supported for {expected}")


def test_each_change_says_what_it_needs() -> None:
    done = plan(Options(), Options(max_payload=5, debug=True, port=1))
    expected = {"max_payload": Reload.LIVE, "debug": Reload.ACT}
    assert expected == {change.field: change.how for change in done.changes}
    assert (True, False) == (done.of("debug", "trace"), done.of("trace"))
    assert 1 == len(done.refused)


def test_no_secret_is_in_what_may_be_printed() -> None:
    new = Options(users=(UserBlock("a", "s3cret"),), accounts=(AccountBlock("A"),))
    for old in (Options(token="s3cret"), Options(user="u", password="s3cret")):
        done = plan(old, new)
        text = " ".join([*done.refused, *(change.line for change in done.changes)])
        assert "s3cret" not in text
        assert "s3cret" not in repr(done)
