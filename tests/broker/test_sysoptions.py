"""What requests to the system account may ask for; texts as recorded from nats-server 2.15.1."""

from __future__ import annotations

import pytest

from broker.sysoptions import BadOptions, Selection, read


@pytest.mark.parametrize(
    ("what", "payload", "parameters"),
    [
        ("CONNZ", b"", {}),
        ("CONNZ", b"null", {}),
        ("CONNZ", b'{"limit":1,"offset":-2,"cid":7}', {"limit": "1", "offset": "-2", "cid": "7"}),
        ("CONNZ", b'{"subscriptions":true,"auth":true}', {"subs": "true", "auth": "true"}),
        ("CONNZ", b'{"subscriptions_detail":true,"subscriptions":true}', {"subs": "detail"}),
        ("CONNZ", b'{"subscriptions_detail":false}', {}),
        ("CONNZ", b'{"state":1}', {"state": "closed"}),
        ("CONNZ", b'{"LIMIT":3,"limit":null,"unknown":{}}', {"limit": "3"}),
        ("CONNZ", b'{"acc":"A","user":"u","sort":"rtt"}', {"acc": "A", "user": "u", "sort": "rtt"}),
        ("SUBSZ", b'{"account":"A","test":"a.b"}', {"acc": "A", "test": "a.b"}),
        ("ACCOUNTZ", b'{"acc":"A"}', {}),
        ("ACCOUNTZ", b'{"account":"A"}', {"acc": "A"}),
        ("STATZ", b'{"include_unused":true}', {"unused": "true"}),
    ],
)
def test_options_become_the_parameters_of_the_page(
    what: str, payload: bytes, parameters: dict[str, str]
) -> None:
    assert parameters == read(what, payload).parameters


def test_what_is_no_parameter_is_kept_apart() -> None:
    assert ("A", "B") == read("STATZ", b'{"accounts":["A","B"]}').accounts
    assert 7 == read("KICK", b'{"cid":7}').cid
    assert "heap" == read("PROFILEZ", b'{"name":"heap"}').name


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b"{", "unexpected end of JSON input"),
        (b" ", "unexpected end of JSON input"),
        (b'{"a', "unexpected end of JSON input"),
        (b"x", "invalid character 'x' looking for beginning of value"),
        (b'{"cid":%d}', "invalid character '%' looking for beginning of value"),
        (b"NaN", "invalid character 'N' looking for beginning of value"),
        (b"{} x", "invalid character 'x' after top-level value"),
        (b'{a":1}', "invalid character 'a' looking for beginning of object key string"),
        (b'{"a" 1}', "invalid character '1' after object key"),
        (b'{"a":1 "b"}', "invalid character '\"' after object key:value pair"),
        (b"[]", "json: cannot unmarshal array into Go value of type server.ConnzEventOptions"),
        (b"1", "json: cannot unmarshal number into Go value of type server.ConnzEventOptions"),
        (b"true", "json: cannot unmarshal bool into Go value of type server.ConnzEventOptions"),
        (
            b'{"limit":"1"}',
            "json: cannot unmarshal string into Go struct field ConnzEventOptions.limit of type"
            " int",
        ),
        (
            b'{"limit":1.5}',
            "json: cannot unmarshal number 1.5 into Go struct field ConnzEventOptions.limit of type"
            " int",
        ),
        (
            b'{"cid":-1}',
            "json: cannot unmarshal number -1 into Go struct field ConnzEventOptions.cid of type"
            " uint64",
        ),
        (
            b'{"server_name":1}',
            "json: cannot unmarshal number into Go struct field ConnzEventOptions.server_name of"
            " type string",
        ),
        (
            b'{"tags":"x"}',
            "json: cannot unmarshal string into Go struct field ConnzEventOptions.tags of type"
            " []string",
        ),
        (
            b'{"exact_match":{}}',
            "json: cannot unmarshal object into Go struct field ConnzEventOptions.exact_match of"
            " type bool",
        ),
        (
            b'{"state":"closed"}',
            "json: cannot unmarshal string into Go struct field ConnzEventOptions.state of type"
            " server.ConnState",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_in_the_words_of_go(payload: bytes, text: str) -> None:
    with pytest.raises(BadOptions) as caught:
        read("CONNZ", payload)
    assert text == str(caught.value)


def test_nesting_without_end_is_refused_and_not_followed() -> None:
    with pytest.raises(BadOptions):
        read("CONNZ", b'{"limit":' + b"[" * 100_000)


@pytest.mark.parametrize(
    ("payload", "fits"),
    [
        (b"{}", True),
        (b'{"server_name":"roo"}', True),
        (b'{"server_name":"roo","exact_match":true}', False),
        (b'{"server_name":"room1","host":"127.0.0.1","exact_match":true}', True),
        (b'{"server_name":"other"}', False),
        (b'{"host":"127"}', True),
        (b'{"host":"128"}', False),
        (b'{"cluster":"x"}', False),
        (b'{"tags":[]}', True),
        (b'{"tags":["x"]}', False),
        (b'{"domain":"x"}', False),
    ],
)
def test_a_request_may_select_servers(payload: bytes, fits: bool) -> None:
    assert fits is read("VARZ", payload).selection.fits("room1", "127.0.0.1")


def test_nothing_selected_is_everybody() -> None:
    assert Selection().fits("", "")
