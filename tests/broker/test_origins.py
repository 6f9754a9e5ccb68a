"""Which web pages may open a WebSocket here."""

from __future__ import annotations

import pytest

from broker.origins import allowed

LIST = ("https://chat.example", "http://dev.example:8080")


@pytest.mark.parametrize("origin", [None, "", "http://anywhere.example", "null", "%%"])
def test_without_rules_anybody_may(origin: str | None) -> None:
    assert None is allowed(origin, "broker.example", False, False, ())


@pytest.mark.parametrize("origin", [None, ""])
def test_who_sends_no_origin_is_no_browser_and_may(origin: str | None) -> None:
    assert None is allowed(origin, "broker.example", False, True, LIST)


@pytest.mark.parametrize(
    ("origin", "host", "secure"),
    [
        ("http://broker.example", "broker.example", False),
        ("http://broker.example", "broker.example:80", False),
        ("HTTP://Broker.Example:8080", "broker.example:8080", False),
        ("https://broker.example", "broker.example:443", True),
        ("https://[::1]:9000", "[::1]:9000", True),
    ],
)
def test_the_same_origin_may(origin: str, host: str, secure: bool) -> None:
    assert None is allowed(origin, host, secure, True, ())


@pytest.mark.parametrize(
    ("origin", "host", "secure"),
    [
        ("http://other.example", "broker.example", False),
        ("http://broker.example:81", "broker.example", False),
        ("https://broker.example", "broker.example", False),
        ("http://broker.example", "broker.example", True),
        ("http://broker.example.evil.example", "broker.example", False),
    ],
)
def test_another_origin_may_not(origin: str, host: str, secure: bool) -> None:
    assert "not same origin" == allowed(origin, host, secure, True, ())


@pytest.mark.parametrize(
    "origin", ["https://chat.example", "https://CHAT.example:443", "http://dev.example:8080"]
)
def test_a_listed_origin_may(origin: str) -> None:
    assert None is allowed(origin, "broker.example", False, False, LIST)


@pytest.mark.parametrize(
    "origin", ["http://chat.example", "https://chat.example:444", "https://x.chat.example"]
)
def test_an_origin_that_is_not_listed_may_not(origin: str) -> None:
    assert "not in the allowed list" == allowed(origin, "broker.example", False, False, LIST)


@pytest.mark.parametrize("origin", ["null", "chat.example", "http://a:b", "http://[", "https://"])
def test_what_is_no_origin_may_not_where_there_is_a_rule(origin: str) -> None:
    assert f"cannot understand {origin!r}" == allowed(origin, "broker.example", False, False, LIST)


def test_with_both_rules_both_must_hold() -> None:
    assert "not in the allowed list" == allowed("http://a.example", "a.example", False, True, LIST)
    assert None is allowed("https://chat.example", "chat.example", True, True, LIST)
