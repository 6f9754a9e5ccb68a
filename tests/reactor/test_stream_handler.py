"""What goes with a stream's handler: addresses in words."""

from __future__ import annotations

import pytest

from reactor.stream._handler import address_text


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (("127.0.0.1", 4222), "127.0.0.1:4222"),
        (("::1", 4222, 0, 0), "[::1]:4222"),
        ("/run/broker", "/run/broker"),
        (b"\0abstract", "@abstract"),
        ("", "unix"),
    ],
)
def test_addresses_are_written_as_people_do(address: object, text: str) -> None:
    assert text == address_text(address)
