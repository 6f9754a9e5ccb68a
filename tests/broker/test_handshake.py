"""INFO and CONNECT, as nats-server's JSON decoder takes them (asked with raw bytes)."""

from __future__ import annotations

import json

import pytest

from broker.errors import BAD_ARGUMENTS, ProtocolError
from broker.handshake import (
    ConnectOptions,
    ServerInfo,
    advertised,
    check_info,
    make_nonce,
    parse_connect,
)

SERVER = ServerInfo("NID", "name", "127.0.0.1", 4222, 1000, git_commit="c", go="python3")


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (b"{}", ConnectOptions()),
        (b"null", ConnectOptions()),
        (b' {"verbose":false} \t', ConnectOptions(verbose=False)),
        (b'{"VERBOSE":false,"Pass":"x"}', ConnectOptions(verbose=False, password="x")),
        (b'{"verbose":true,"verbose":false}', ConnectOptions(verbose=False)),
        (b'{"verbose":false,"Verbose":true}', ConnectOptions()),
        (b'{"verbose":null,"user":null,"protocol":null}', ConnectOptions()),
        (b'{"protocol":-1}', ConnectOptions(protocol=-1)),
        (b'{"unknown":{"a":[1,2]},"password":5}', ConnectOptions()),
        (b'{"name":"\xff"}', ConnectOptions(name="�")),
        (b'{"name":"\\ud800"}', ConnectOptions(name="\ud800")),
        (
            b'{"pedantic":false,"echo":false,"headers":true,"no_responders":true,'
            b'"lang":"python3","version":"2.9.0","protocol":1,"auth_token":"t"}',
            ConnectOptions(
                pedantic=False,
                echo=False,
                headers=True,
                no_responders=True,
                lang="python3",
                version="2.9.0",
                protocol=1,
                auth_token="t",
            ),
        ),
    ],
)
def test_a_connect_that_is_accepted(text: bytes, options: ConnectOptions) -> None:
    assert options == parse_connect(text, ConnectOptions())


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"bad",
        b"[]",
        b'"x"',
        b'[["verbose",false]]',
        b"{'verbose':false}",
        b'{"verbose":false} x',
        b'{"verbose":false}{}',
        b'{"verbose":1}',
        b'{"verbose":"true"}',
        b'{"headers":"x"}',
        b'{"echo":0}',
        b'{"name":5}',
        b'{"user":null,"nkey":1}',
        b'{"protocol":"1"}',
        b'{"protocol":1.0}',
        b'{"protocol":1e0}',
        b'{"protocol":true}',
        b'{"protocol":99999999999999999999}',
        b'{"protocol":1,"protocol":"x"}',
        b'{"x":NaN}',
        b'{"x":-Infinity}',
        b'{"name":"a\tb"}',
        b"\xef\xbb\xbf{}",
        b'{"x":' + b"[" * 4000,
    ],
)
def test_a_connect_that_closes_without_a_word(text: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        parse_connect(text, ConnectOptions())
    assert BAD_ARGUMENTS is caught.value.error


def test_a_later_connect_keeps_what_it_leaves_out() -> None:
    earlier = ConnectOptions(verbose=False, headers=True)
    assert ConnectOptions(verbose=False, headers=True, echo=False) == parse_connect(
        b'{"echo":false}', earlier
    )


@pytest.mark.parametrize(
    "text", [b"{}", b"null", b'{"server_id":"x","port":1,"connect_urls":["a:1",null]}']
)
def test_an_info_from_a_client_that_is_tolerated(text: bytes) -> None:
    check_info(text)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b'{"port":"x"}',
        b'{"client_id":-1}',
        b'{"headers":1}',
        b'{"connect_urls":"a"}',
        b'{"connect_urls":{}}',
        b'{"connect_urls":[1]}',
    ],
)
def test_an_info_from_a_client_that_closes_without_a_word(text: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        check_info(text)
    assert BAD_ARGUMENTS is caught.value.error


def test_the_first_info_has_the_fields_of_nats_server_in_its_order() -> None:
    expected = (
        b'{"server_id":"NID","server_name":"name","version":"2.15.1","proto":1,"git_commit":"c",'
        b'"go":"python3","host":"127.0.0.1","port":4222,"headers":true,"max_payload":1000,'
        b'"client_id":7,"client_ip":"::1"}'
    )
    assert expected == SERVER.json(7, "::1")


def test_the_second_info_names_the_account() -> None:
    fields = json.loads(SERVER.json(7, "::1", "$G"))
    assert ["client_ip", "connect_info", "remote_account"] == list(fields)[-3:]
    assert (True, "$G") == (fields["connect_info"], fields["remote_account"])


def test_an_info_tells_of_authentication_addresses_and_lame_duck_where_they_are() -> None:
    server = ServerInfo(
        "NID", "n", "h", 1, 2, auth_required=True, connect_urls=("h:1", "h:2"), ldm=True
    )
    fields = json.loads(server.json(1, "127.0.0.1"))
    assert (True, ["h:1", "h:2"], True) == (
        fields["auth_required"],
        fields["connect_urls"],
        fields["ldm"],
    )


def test_a_name_that_is_not_ascii_reads_as_utf8() -> None:
    assert "课堂".encode() in ServerInfo("N", "课堂", "h", 1, 2).json(1, "::1")


def test_what_one_client_is_told_may_differ_and_stands_in_nats_servers_order() -> None:
    secure = ServerInfo("NID", "n", "h", 1, 1000, tls_required=True, tls_verify=True)
    text = secure.json(7, "::1", "A", nonce="N", auth_required=True, max_payload=9, is_system=True)
    names = list(json.loads(text))
    after = names[names.index("headers") + 1 :]
    assert [
        *("auth_required", "tls_required", "tls_verify", "max_payload", "client_id", "client_ip"),
        *("nonce", "connect_info", "remote_account", "acc_is_sys"),
    ] == after
    assert 9 == json.loads(text)["max_payload"]


def test_a_nonce_is_15_letters_that_need_no_escape() -> None:
    nonce = make_nonce()
    assert 15 == len(nonce)
    assert nonce.replace("-", "a").replace("_", "a").isalnum()


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("", ("here", 4222)),
        ("there", ("there", 4222)),
        ("there:1", ("there", 1)),
        (":1", ("here", 1)),
        ("[::1]", ("::1", 4222)),
        ("[::1]:1", ("::1", 1)),
    ],
)
def test_what_a_server_advertises_may_differ_from_where_it_listens(
    address: str, expected: tuple[str, int]
) -> None:
    assert expected == advertised(address, "here", 4222)
