"""Addresses of other servers: what is read from them, and that passwords stay where they are."""

from __future__ import annotations

import pytest

from broker.peerurl import PeerUrl, joined, redacted


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nats-leaf://127.0.0.1:7500", PeerUrl("127.0.0.1", 7500)),
        ("nats://hub", PeerUrl("hub", 7422)),
        ("hub:7500", PeerUrl("hub", 7500)),
        (" hub ", PeerUrl("hub", 7422)),
        ("tls://hub", PeerUrl("hub", 7422, tls=True)),
        ("nats://ann:s%40cret@hub", PeerUrl("hub", 7422, "ann", "s@cret")),
        ("nats://token@hub", PeerUrl("hub", 7422, "token")),
        ("nats://[::1]:7500/", PeerUrl("::1", 7500)),
    ],
)
def test_an_address_is_read(text: str, expected: PeerUrl) -> None:
    assert expected == PeerUrl.parse(text, 7422)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nats://",
        "nats://ann:secret@",
        "nats://ann:secret@hub:port",
        "nats://ann:secret@hub:99999",
        "nats://ann:secret@hub/path",
        "nats://ann:secret@hub?a=b",
        "nats://ann:secret@a b",
        "ws://ann:secret@hub",
        "wss://ann:secret@hub",
        "nats://ann:secret@[::1",
    ],
)
def test_what_is_no_address_is_refused_without_its_password(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        PeerUrl.parse(text, 7422)
    assert "secret" not in str(caught.value)


def test_an_address_does_not_show_its_password() -> None:
    url = PeerUrl.parse("nats://ann:secret@hub:1", 7422)
    assert "secret" not in repr(url)
    assert "hub:1" == str(url)
    assert '"nats://hub:1"' == redacted("nats://ann:secret@hub:1")


def test_ipv6_addresses_are_put_into_brackets() -> None:
    assert "[::1]:7422" == joined("::1", 7422)
