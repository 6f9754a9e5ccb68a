"""What a user's token grants, and where and when the user may come."""

from __future__ import annotations

from typing import Any

import pytest

from broker.handshake import ConnectOptions
from broker.identity import Credentials
from broker.jwtrights import ends_today, has_right_kind, is_from_there, permissions
from broker.permissions import Permissions, Responses, Rules

# 00:33:20 in UTC, on the first day of the epoch.
WALL = 2000.0
UTC = {"times_location": "UTC"}


def _span(start: str, end: str) -> dict[str, str]:
    return {"start": start, "end": end}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"pub": {}, "sub": {"allow": []}}, None),
        (
            {"pub": {"allow": ["a.>"], "deny": ["a.b"]}, "sub": {"allow": ["c q"]}},
            Permissions(Rules((b"a.>",), (b"a.b",)), Rules((b"c q",))),
        ),
        ({"resp": {"max": 3, "ttl": 10**9}}, Permissions(Rules(()), responses=Responses(3, 1.0))),
        ({"resp": {}}, Permissions(Rules(()), responses=Responses())),
    ],
)
def test_permissions_are_read(fields: Any, expected: Permissions | None) -> None:
    assert expected == permissions(fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"pub": {"allow": ["a..b"]}},
        {"pub": {"allow": ["a b"]}},
        {"pub": {"deny": [5]}},
        {"sub": "all"},
        {"sub": {"allow": ["a b c"]}},
        {"sub": {"allow": ["a  b"]}},
        {"resp": 5},
    ],
)
def test_permissions_that_cannot_be_understood_are_refused(fields: Any) -> None:
    with pytest.raises(ValueError, match=r"no subject|no list|JSON object"):
        permissions(fields)


@pytest.mark.parametrize(
    ("fields", "right"),
    [
        ({}, True),
        ({"allowed_connection_types": ["standard", "MQTT"]}, True),
        ({"allowed_connection_types": ["WEBSOCKET"]}, False),
        ({"allowed_connection_types": ["NOVEL"]}, False),
        ({"proxy_required": True}, False),
    ],
)
def test_a_user_comes_by_the_doors_that_it_may(fields: Any, right: bool) -> None:
    assert right == has_right_kind(fields, Credentials(ConnectOptions()))


@pytest.mark.parametrize(
    ("source", "right"),
    [
        (None, True),
        ("", True),
        ([], True),
        (["192.168.0.0/16", "10.1.2.3/8"], True),
        ("192.168.0.0/16, 10.0.0.0/8", True),
        (["192.168.0.0/16"], False),
        (["::/0"], False),
    ],
)
def test_a_user_comes_from_the_networks_that_it_may(source: Any, right: bool) -> None:
    assert right == is_from_there({"src": source}, "10.1.2.3")


@pytest.mark.parametrize("source", [["somewhere"], ["10.1.2.3"], ["10.0.0.0/8", "x/8"], 5])
def test_what_is_no_network_is_refused(source: Any) -> None:
    with pytest.raises(ValueError, match=r"network|address|does not appear|no list"):
        is_from_there({"src": source}, "10.1.2.3")


@pytest.mark.parametrize(
    ("fields", "end"),
    [
        ({}, None),
        ({**UTC, "times": [_span("00:00:00", "01:00:00")]}, 3600.0),
        ({**UTC, "times": [_span("00:00:00", "01:00:00"), _span("00:30:00", "02:00:00")]}, 7200.0),
        ({**UTC, "times": [_span("23:00:00", "01:00:00")]}, 3600.0),
        ({**UTC, "times": [_span("00:30:00", "00:10:00")]}, 86400.0 + 600),
        ({"times": [_span("01:00:00", "02:00:00")], "times_location": "Europe/Paris"}, 3600.0),
    ],
)
def test_a_user_goes_when_its_hours_are_over(fields: Any, end: float | None) -> None:
    assert end == ends_today(fields, WALL)


@pytest.mark.parametrize(
    "fields",
    [
        {**UTC, "times": [_span("01:00:00", "02:00:00")]},
        {**UTC, "times": [_span("01:00:00+01:00", "02:00:00")]},
        {**UTC, "times": [_span("", "02:00:00")]},
        {**UTC, "times": ["always"]},
        {"times": [_span("00:00:00", "23:00:00")], "times_location": "No/Where"},
    ],
)
def test_outside_its_hours_or_in_a_zone_that_nobody_knows_it_stays_out(fields: Any) -> None:
    with pytest.raises(ValueError, match=r"time|JSON object|unconverted"):
        ends_today(fields, WALL)
