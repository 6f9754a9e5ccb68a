"""What the keys of a configuration file become, and what is said of those that cannot be served."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.blocks import (
    AccountBlock,
    Export,
    Import,
    IngressLimit,
    JwtBlock,
    MappingBlock,
    Target,
    TlsBlock,
    UserBlock,
    WebsocketBlock,
)
from broker.conf import ConfError, Node, parse
from broker.config import Options, OptionsError
from broker.confread import read, reading
from broker.permissions import Permissions, Responses, Rules
from broker.schema import KEYS

USER_KEY = "U" + "A" * 55
ACCOUNT_KEY = "A" + "B" * 55


def no_files(name: str, including: str) -> str:
    raise FileNotFoundError(2, "No such file or directory", name)


def fields(text: str) -> dict[str, Any]:
    return read(parse(text, "f", no_files, {}))


def refusal(text: str) -> str:
    with pytest.raises(ConfError) as caught:
        fields(text)
    return str(caught.value)


def users(text: str) -> tuple[UserBlock, ...]:
    found = fields(f"authorization {{ users: [ {text} ] }}")["users"]
    assert isinstance(found, tuple)
    return found


def account(text: str, others: str = "") -> AccountBlock:
    found = fields(f"accounts {{ A {{ {text} }} {others} }}")["accounts"]
    assert isinstance(found[0], AccountBlock)
    return found[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("port: 4333", {"port": 4333}),
        ("PORT: -1", {"port": -1}),
        ("listen: 4333", {"host": "0.0.0.0", "port": 4333}),
        ("listen: 127.0.0.1:4333", {"host": "127.0.0.1", "port": 4333}),
        ('listen: "[::1]:4333"', {"host": "::1", "port": 4333}),
        ("listen: :4333", {"host": "0.0.0.0", "port": 4333}),
        ("net: localhost", {"host": "localhost"}),
        ("http: 8222", {"http_host": None, "http_port": 8222}),
        ("http: localhost:8222", {"http_host": "localhost", "http_port": 8222}),
        ("monitor_port: 0", {"http_port": None}),
        ("https: localhost:8222", {"http_host": "localhost", "https_port": 8222}),
        ("max_payload: 1kb", {"max_payload": 1024}),
        ("max_subs: -1", {"max_subscriptions": 0}),
        ("max_conn: 5", {"max_connections": 5}),
        ("ping_max: 0", {"ping_max": None}),
        ('ping_interval: "1m30s"', {"ping_interval": 90.0}),
        ("write_deadline: 100ms", {"write_deadline": 0.1}),
        ('lame_duck_duration: "1h"', {"lame_duck_duration": 3600.0}),
        ("lame_duck_grace_period: 5s", {"lame_duck_grace": 5.0}),
        ("syslog: true", {"syslog": "/dev/log"}),
        ("syslog: off", {"syslog": None}),
        ("remote_syslog: 'udp://h:514'", {"syslog": "udp://h:514"}),
        ("logfile: x", {"log_file": "x"}),
        ("max_closed_clients: 7", {"closed_ring": 7}),
        ("presence: true", {"presence": True}),
        ("slow_consumer_notices: on", {"slow_consumer_notices": True}),
        ("ingress { bytes: 1mb, msgs: 10, burst: '2s' }", {"ingress": IngressLimit(2**20, 10, 2)}),
        ("no_fast_producer_stall: true", {}),
        ("authorization { user: a, pass: b }", {"user": "a", "password": "b"}),
        ("authorization { token: t, timeout: 0.5 }", {"token": "t", "auth_timeout": 0.5}),
        ("authorization { timeout: '1m' }", {"auth_timeout": 60.0}),
        ("no_auth_user: a", {"no_auth_user": "a"}),
        ("system: A", {"system_account": "A"}),
        ("x: 5\nport: $x", {"port": 5}),
        ("resolver: MEMORY", {}),
        ("resolver: mem", {}),
    ],
)
def test_a_key_sets_its_fields(text: str, expected: dict[str, Any]) -> None:
    assert expected == fields(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("300ms", 0.3),
        ("-1.5h", -5400.0),
        ("2h45m", 9900.0),
        ("1µs", 1e-6),
        ("1us", 1e-6),
        (".5s", 0.5),
        ("1.s", 1.0),
        ("+5s", 5.0),
        ("0", 0.0),
    ],
)
def test_durations_are_written_as_in_go(text: str, expected: float) -> None:
    assert pytest.approx(expected) == fields(f"write_deadline: '{text}'")["write_deadline"]


@pytest.mark.parametrize("text", ["", "-", "s", "1", "1.5", "1x", "1s2", ".s", "1 s", "..5s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    assert refusal(f"write_deadline: '{text}'").startswith("f:1:0: error parsing write_deadline: t")


def test_users_have_names_or_keys_and_permissions() -> None:
    expected = (
        UserBlock("a", "b", connection_types=frozenset({"STANDARD", "WEBSOCKET"})),
        UserBlock(nkey=USER_KEY, ingress=IngressLimit(bytes=5)),
        UserBlock("c", permissions=Permissions(publish=Rules(allow=(b"x",)))),
    )
    text = f"""{{user: a, password: b, clients: [standard, WEBSOCKET]}}
        {{nkey: {USER_KEY}, ingress: {{bytes: 5}}}}, {{username: c, permissions: {{pub: x}}}}"""
    assert expected == users(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("publish: a", Permissions(publish=Rules(allow=(b"a",)))),
        ("publish: [a, b.>]", Permissions(publish=Rules(allow=(b"a", b"b.>")))),
        ("publish: {deny: [a]}", Permissions(publish=Rules(deny=(b"a",)))),
        ("publish: {}", Permissions()),
        (
            "subscribe: {allow: 'a.>  q.*', deny: [b]}",
            Permissions(subscribe=Rules(allow=(b"a.> q.*",), deny=(b"b",))),
        ),
        ("allow_responses: false", Permissions()),
        (
            "allow_responses: true",
            Permissions(publish=Rules(allow=()), responses=Responses(1, 120.0)),
        ),
        (
            "allow_responses: {max: 5, expires: '1m'}, publish: a",
            Permissions(publish=Rules(allow=(b"a",)), responses=Responses(5, 60.0)),
        ),
        (
            "publish: {deny: a}, allow_responses: {max: 0, ttl: '-1s'}",
            Permissions(publish=Rules(allow=(), deny=(b"a",)), responses=Responses(1, -1.0)),
        ),
    ],
)
def test_permissions(text: str, expected: Permissions) -> None:
    assert (UserBlock("a", permissions=expected),) == users(f"{{user: a, permissions: {{{text}}}}}")


def test_users_without_permissions_get_the_default_ones() -> None:
    mine, default = Permissions(publish=Rules((b"m",))), Permissions(publish=Rules((b"d",)))
    text = "users: [{user: a}, {user: b, permissions: {pub: m}}], default_permissions: {pub: d}"
    found = fields(f"authorization {{ {text} }}")
    assert [default, mine] == [user.permissions for user in found["users"]]
    assert default == found["permissions"]
    assert [default, mine] == [user.permissions for user in account(text).users]


def test_an_account_has_users_limits_and_what_it_shares() -> None:
    expected = AccountBlock(
        "A",
        users=(UserBlock("a", account="A"),),
        exports=(
            Export(b"s.>", service=False),
            Export(
                b"q",
                service=True,
                accounts=("B",),
                response="chunked",
                threshold=2.0,
                allow_trace=True,
            ),
        ),
        imports=(
            Import("B", b"x", service=False, prefix=b"from.b", allow_trace=True),
            Import("B", b"y", service=True, to=b"why", share=True),
        ),
        max_connections=1,
        max_subscriptions=2,
        max_payload=3,
        presence=True,
        slow_consumer_notices=True,
        trace_destination=b"t.r",
        trace_sampling=5,
    )
    text = """
        users: [{user: a}]
        exports: [{stream: s.>}, {service: q, accounts: [B], response: chunk, threshold: "2s",
                   allow_trace: on}]
        imports: [
            {stream: {account: B, subject: x}, prefix: from.b, allow_trace: true}
            {service: {account: B, subject: y}, to: why, share: true}
        ]
        limits {max_conn: 1, max_subs: 2, max_pay: 3}
        presence: true, slow_consumer_notices: true, msg_trace: {dest: t.r, sampling: 5%}"""
    assert expected == account(text, ", B {exports: [{stream: x}, {service: y}]}")


def test_accounts_may_be_a_list_of_names() -> None:
    assert {"accounts": (AccountBlock("A"), AccountBlock("B"))} == fields("accounts: [A, B]")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: b", MappingBlock(b"a", (Target(b"b"),))),
        ("a: {dest: b, weight: 40%}", MappingBlock(b"a", (Target(b"b", 40),))),
        (
            "a.*: [{destination: b.$1, weight: 40}, {destination: 'c.{{wildcard(1)}}', weight: 9}]",
            MappingBlock(b"a.*", (Target(b"b.$1", 40), Target(b"c.{{wildcard(1)}}", 9))),
        ),
    ],
)
def test_mappings(text: str, expected: MappingBlock) -> None:
    assert {"mappings": (expected,)} == fields(f"mappings {{ {text} }}")
    assert (expected,) == account(f"mappings {{ {text} }}").mappings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", TlsBlock("c", "k")),
        ("ca_file: a, verify: true", TlsBlock("c", "k", ca_file="a", verify=True)),
        ("verify_and_map: true", TlsBlock("c", "k", verify=True, verify_and_map=True)),
        ("timeout: 5", TlsBlock("c", "k", timeout=5)),
        ("timeout: '500ms'", TlsBlock("c", "k", timeout=0.5)),
        ("first: true", TlsBlock("c", "k", first=True)),
        ("handshake_first: 'on'", TlsBlock("c", "k", first=True)),
        ("handshake_first: auto", TlsBlock("c", "k", first=True, fallback=0.05)),
        ("handshake_first: '300ms'", TlsBlock("c", "k", first=True, fallback=0.3)),
        ("handshake_first: false", TlsBlock("c", "k")),
        ("min_version: '1.3'", TlsBlock("c", "k", min_version="1.3")),
        ("connection_rate_limit: 5", TlsBlock("c", "k", connection_rate_limit=5)),
        (f"pinned_certs: ['{'Aa' * 32}']", TlsBlock("c", "k", pinned_certs=frozenset(["aa" * 32]))),
        (
            "cipher_suites: [TLS_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]",
            TlsBlock("c", "k", ciphers=("ECDHE-RSA-AES128-GCM-SHA256",)),
        ),
    ],
)
def test_tls(text: str, expected: TlsBlock) -> None:
    assert {"tls": expected} == fields(f"tls {{ cert_file: c, key_file: k, {text} }}")


def test_websocket() -> None:
    expected = WebsocketBlock(
        host="h",
        port=5,
        tls=TlsBlock("c", "k"),
        compression=True,
        same_origin=True,
        allowed_origins=("http://a",),
        handshake_timeout=3.0,
        jwt_cookie="j",
        user_cookie="u",
        pass_cookie="p",
        token_cookie="t",
        no_auth_user="n",
    )
    text = """ws { listen: "h:5", tls { cert_file: c, key_file: k }, compress: true
        same_origin: true, allowed_origins: "http://a", handshake_timeout: "3s", jwt_cookie: j
        user_cookie: u, pass_cookie: p, token_cookie: t, no_auth_user: n }"""
    assert {"websocket": expected} == fields(text)


def test_operators_and_preloaded_accounts_make_one_block() -> None:
    text = f"operator: o.p.q, resolver: MEMORY, resolver_preload {{ {ACCOUNT_KEY}: a.b.c }}"
    assert {"jwt": JwtBlock(("o.p.q",), {ACCOUNT_KEY: "a.b.c"})} == fields(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("prot: 1", 'f:1:0: unknown field "prot"; did you mean "port"?'),
        ("zzzzzz: 1", 'f:1:0: unknown field "zzzzzz"'),
        ("port: '1'", "f:1:0: expected a whole number, without quotes, got string"),
        ("port: true", "f:1:0: expected a whole number, without quotes, got bool"),
        ("debug: 1", "f:1:0: expected true or false, without quotes, got int64"),
        ("syslog: 1", "f:1:0: expected true or false, without quotes, got int64"),
        ("host: 1", "f:1:0: expected a text (put it in quotes), got int64"),
        ("server_name: 'a b'", "f:1:0: server name cannot contain spaces"),
        ("listen: x", 'f:1:0: could not parse address string "x", as in "127.0.0.1:4222"'),
        (
            "listen: '::1:4'",
            'f:1:0: could not parse address string "::1:4", as in "127.0.0.1:4222"',
        ),
        ("listen: x:y", 'f:1:0: could not parse port "y"'),
        ("listen: true", "f:1:0: expected port or host:port, got bool"),
        ("max_connections: 0", "f:1:0: max_connections below 1 would let nobody in"),
        ("max_payload: 2gib", "f:1:0: max_payload value is too big, the most is 2147483647"),
        ("max_sub_tokens: 0", "f:1:0: max_sub_tokens value can not be negative, or 0"),
        ("max_sub_tokens: 256", "f:1:0: max_sub_tokens value is too big, the most is 255"),
        ("ingress {bytes: -1}", "f:1:9: expected a number of at least 0, got -1"),
        (
            "lame_duck_duration: '10s'",
            "f:1:0: invalid lame_duck_duration of 10s, minimum is 30 seconds",
        ),
        (
            "lame_duck_grace_period: '-1s'",
            "f:1:0: invalid lame_duck_grace_period, needs to be positive",
        ),
        ("tls {}", "f:1:0: missing 'cert_file' in TLS configuration"),
        ("tls {cert_file: c}", "f:1:0: missing 'key_file' in TLS configuration"),
        (
            "tls {cert: c}",
            'f:1:5: error parsing tls config, unknown field "cert"; did you mean "cert_file"?',
        ),
        ("websocket {no_tls: true}", "f:1:0: websocket needs a port, or it serves nobody; 443 is"),
        ("websocket: 1", "f:1:0: Expected websocket to be a map, got int64"),
        ("cluster {}", "f:1:0: cluster needs a port, or nobody finds it"),
        ("authorization {token: t, user: u}", "f:1:0: Cannot have a user/pass and token"),
        ("authorization {users: 1}", "f:1:15: Expected users field to be an array, got 1"),
        ("authorization {users: [1 ]}", "f:1:23: Expected user entry to be a map/struct, got 1"),
        ("authorization {users: [{}]}", "f:1:25: User entry requires a user"),
        ("authorization {users: [{nkey: X}]}", "f:1:24: Not a valid public nkey for a user"),
        (
            f"authorization {{users: [{{user: u, nkey: {USER_KEY}}}]}}",
            "f:1:33: Nkey users do not take usernames or passwords",
        ),
        (
            "authorization {users: [{user: a, permissions: {pub: {alow: x}}}]}",
            'f:1:53: Unknown field name "alow" parsing subject permissions, '
            "only 'allow' or 'deny' are permitted; did you mean \"allow\"?",
        ),
        (
            "authorization {users: [{user: a, permissions: {sub: 'a b c'}}]}",
            'f:1:47: subject "a b c" is not a valid subject',
        ),
        (
            "authorization {users: [{user: a, permissions: {sub: 'a b..c'}}]}",
            'f:1:47: queue "b..c" is not a valid queue',
        ),
        (
            "authorization {users: [{user: a, permissions: {sub: 'a..b c'}}]}",
            'f:1:47: subject "a..b" is not a valid subject',
        ),
        ("net: a, host: b", 'f:1:8: "host" says again what "net" says'),
        (
            "accounts {A {exports: [{service: x, response: single, response_type: stream}]}}",
            "f:1:54: Duplicate response type definition",
        ),
        (
            "accounts {A {exports: [{stream: x, response: single}]}}",
            "f:1:35: Detected response directive on non-service",
        ),
        (
            "accounts {A {exports: [{stream: x, service: y}]}}",
            'f:1:35: Detected service "y" but already saw a stream',
        ),
        (
            "accounts {A {imports: [{stream: {account: B, subject: x}, prefix: p, to: q}]}, "
            "B {exports: [{stream: x}]}}",
            "f:1:69: Stream import can not have a 'prefix' and a 'to' property",
        ),
        ("accounts ['$G']", 'f:1:11: "$G" is a Reserved Account'),
        (
            "accounts {A {imports: [{stream: {account: B, subject: x}}]}, "
            "B {exports: [{stream: x.y}]}}",
            'f:1:0: Error adding stream import "x": stream import not authorized',
        ),
        ("authorization {token: t, users: []}", "f:1:0: Can not have a token and a users array"),
        (
            "tls {pinned_certs: [x]}",
            "f:1:20: error parsing tls config, 'pinned_certs' key x does not look like hex-encoded",
        ),
        ("mappings {a: b.*}", 'f:1:10: Error adding mapping for "a" to "b.*" : invalid subject'),
        ("mappings {a..b: c}", 'f:1:0: Subject "a..b" is not a valid subject'),
        (
            "mappings {a: [{dest: b, weight: 60}, {dest: c, weight: 50}]}",
            'f:1:10: Error adding mapping for "a" : total weight needs to be <= 100',
        ),
        ("mappings {a: {dest: b}}", 'f:1:10: Missing weight for mapping destination "b"'),
        (
            "mappings {a.*: b.$2}",
            'f:1:10: Error adding mapping for "a.*" to "b.$2" : invalid mapping destination: '
            "wildcard index out of range in $2: [2]",
        ),
        ("accounts {A: 1}", "f:1:10: Expected map entries for accounts"),
        ("accounts {'$G': {}}", 'f:1:11: "$G" is a Reserved Account'),
        ("accounts [A, A]", "f:1:13: Duplicate Account Entry: A"),
        ("accounts {A {exports: [{stream: x, accounts: [C]}]}}", '"C" account not defined for str'),
        (
            "accounts {A {imports: [{stream: {account: C, subject: x}}]}}",
            'f:1:0: "C" account not defined for stream import',
        ),
        (
            "accounts {A {imports: [{service: {account: B, subject: x}}]}, B {}}",
            'f:1:0: Error adding service import "x": service import not authorized',
        ),
        (
            "accounts {A {imports: [{stream: {account: B, subject: x.*}}]}, "
            "B {exports: [{stream: x.y}]}}",
            'f:1:0: Error adding stream import "x.*": stream import not authorized',
        ),
        (
            "accounts {A {imports: [{stream: {account: B, subject: x}}], exports: [{stream: x}]}, "
            "B {imports: [{stream: {account: A, subject: x}}], exports: [{stream: x}]}}",
            'Error adding stream import "x": import forms a cycle',
        ),
        (
            "accounts {A {users: [{user: a}]}\nB {users: [{user: a}]}}",
            'f:2:4: Duplicate user "a" detected',
        ),
        (
            "accounts {A {users: [{user: a}]}}\nauthorization {users: [{user: a}]}",
            'f:2:1: Duplicate user "a" detected',
        ),
        (
            "accounts {A {users: [{user: a}]}}\nauthorization {token: t}",
            "f:2:1: Can not have a token and a users array",
        ),
        (
            "authorization {user: u}\naccounts {A {users: [{user: a}]}}",
            "f:2:14: Can not have a single user/pass and accounts",
        ),
        ("operator: o.p.q", "f:1:0: operators require an account resolver to be configured"),
        (
            f"resolver_preload {{ {ACCOUNT_KEY}: a.b.c }}",
            "f:1:0: resolver_preload needs an operator who vouches for it",
        ),
        ("resolver_preload { A: a.b.c }", "f:1:19: invalid account JWT"),
        ("resolver: 'URL(http://x)'", "f:1:0: error parsing account resolver, should be MEM"),
    ],
)
def test_what_cannot_be_served_is_told_by_its_place(text: str, expected: str) -> None:
    assert expected in refusal(text)


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    text = "tls {x: 1}\nport: a\nauthorization {users: [{usr: b}, {nkey: c}]}\nprot: 1"
    lines = refusal(text).splitlines()
    expected = ["f:1:5", "f:2:1", "f:3:25", "f:3:35", "f:4:1"]
    assert expected == [line.split(": ")[0] for line in lines]


def test_a_password_of_the_wrong_type_is_not_repeated() -> None:
    assert "123456" not in refusal("authorization {user: a, password: 123456}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "ping_interval: 5",
            'f:1:0: invalid use of field "ping_interval": ping_interval should be converted to a '
            'duration, as in ping_interval: "5s"',
        ),
        (
            "authorization {timeout: 1m}",
            'f:1:15: invalid use of field "timeout": timeout of 1000000 (1000000.000000 seconds) '
            "is high, consider keeping it under 60 seconds. possibly caused by unquoted duration; "
            "use '1m' instead of 1m, for example",
        ),
        ("# nothing", "f: config has no values or is empty"),
    ],
)
def test_what_is_odd_is_a_warning(text: str, expected: str) -> None:
    assert (expected,) == reading(parse(text, "f", no_files, {})).warnings


_NAMES = st.sampled_from(sorted({name for key in KEYS for name in key.names}))
_WORDS = st.sampled_from(["a", "a.>", "b.*", "$1", "5s", "1.2", "auto", "$G", "x y", "", USER_KEY])
_VALUES = st.recursive(
    st.booleans() | st.integers(-5, 300) | st.floats(-1, 9, allow_nan=False) | _WORDS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(_NAMES | st.sampled_from("AB"), inner, max_size=4)
    ),
    max_leaves=20,
)


@settings(deadline=None)
@given(st.dictionaries(_NAMES, _VALUES, max_size=5))
def test_whatever_a_key_is_given_it_is_read_or_refused_in_words(tree: dict[str, Any]) -> None:
    def node(value: Any) -> Node:
        if isinstance(value, dict):
            return Node({name: node(inner) for name, inner in value.items()}, 1, 0, "f")
        if isinstance(value, list):
            return Node([node(inner) for inner in value], 1, 0, "f")
        return Node(value, 1, 0, "f")

    try:
        found = read(node(tree))
    except ConfError as error:
        assert all(line.startswith("f:1:0: ") for line in str(error).splitlines())
        return
    try:
        Options(**{name: value for name, value in found.items() if value is not None})
    except OptionsError as error:
        assert error.field in {field.name for field in dataclasses.fields(Options)}
