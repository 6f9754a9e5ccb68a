"""INFO and CONNECT between servers: real ones are read, ours are written alike."""

from __future__ import annotations

import json

import pytest

from broker.errors import ProtocolError
from broker.peerinfo import PeerConnect, PeerInfo
from broker.permissions import Rules

REAL = (
    b'{"server_id":"NDDR","server_name":"A","version":"2.15.1","proto":3,"go":"go1.27.2",'
    b'"host":"127.0.0.1","port":6501,"headers":true,"max_payload":1048576,"nonce":"YlFg",'
    b'"cluster":"C1","connect_urls":["127.0.0.1:5501"],"compression":"accept","lnoc":true,'
    b'"lnocu":true,"ln":true,"route_pool_size":3,"something_new":{"a":[1,{}]}}'
)


def test_a_real_servers_info_is_read() -> None:
    info = PeerInfo.parse(REAL)
    assert ("NDDR", "A", 6501, "C1") == (info.server_id, info.server_name, info.port, info.cluster)
    assert ("127.0.0.1:5501",) == info.connect_urls
    assert (True, 3, 0) == (info.lnoc, info.route_pool_size, info.gossip_mode)


def test_what_was_read_is_written_again_without_what_we_do_not_know() -> None:
    known = json.loads(REAL)
    del known["something_new"]
    assert known == json.loads(PeerInfo.parse(REAL).json())


def test_permissions_of_a_hub_are_rules() -> None:
    info = PeerInfo.parse(b'{"import":{"allow":["d.>"],"deny":["d.no"]},"export":{"allow":null}}')
    assert Rules((b"d.>",), (b"d.no",)) == info.imports
    assert Rules() == info.exports
    assert {"allow": ["d.>"], "deny": ["d.no"]} == json.loads(info.json())["import"]


def test_what_no_utf_8_can_say_is_replaced() -> None:
    info = PeerInfo.parse(b'{"cluster":"\\ud800","connect_urls":["\\udfff:1"]}')
    assert ("?", ("?:1",)) == (info.cluster, info.connect_urls)
    assert b'"cluster":"?"' in info.json()


def test_our_connect_has_the_words_of_the_real_one() -> None:
    connect = PeerConnect(echo=True, name="N", cluster="C1", headers=True, lnoc=True, ln=True)
    assert {
        "echo": True,
        "name": "N",
        "cluster": "C1",
        "headers": True,
        "lnoc": True,
        "ln": True,
    } == json.loads(connect.json())
    assert connect == PeerConnect.parse(connect.json())
    assert "pw" == PeerConnect.parse(b'{"user":"u","pass":"pw"}').password


@pytest.mark.parametrize(
    "text", [b"", b"[]", b'{"port":"1"}', b'{"import":{"allow":[1]}}', b'{"connect_urls":[1]}']
)
def test_what_has_the_wrong_type_is_refused(text: bytes) -> None:
    with pytest.raises(ProtocolError):
        PeerInfo.parse(text)
