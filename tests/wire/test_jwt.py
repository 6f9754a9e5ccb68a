"""Decentralised logins: ours lets in whom the real nats-server lets in, with the same rights.

Both read one configuration: an operator, and an account for each row of a table. Each row says what
stands in the account's token, what in the user's, and what the user then says; what comes back must
be the same, and what the table says.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from broker import Broker
from tests.support.jwts import OPERATOR, UNLIMITED, USER, Signer, configuration, hello
from tests.support.raw_client import RawClient
from tests.support.servers import ServerProcess, real_server_path

VIOLATION = b"-ERR 'Authorization Violation'\r\n"
FULL = b"-ERR 'maximum account active connections exceeded'\r\n"
PONG = b"PONG\r\n"
PING = b"PING\r\n"

SIGNER, STRANGER = Signer("A", 200), Signer("A", 201)
NOW = int(time.time())
DAY = 24 * 3600
"""Longer than a run of all tests: these times are told when the file is read, not when it runs."""

HELLO = b"SUB > 1\r\nPUB ann.x 1\r\nx\r\nPUB other 1\r\nx\r\nPING\r\n"
"""A user who may do everything hears two messages."""

BOTH = b"MSG ann.x 1 1\r\nx\r\nMSG other 1 1\r\nx\r\nPONG\r\n"


def _no(verb: str, subject: str) -> bytes:
    return f"-ERR 'Permissions Violation for {verb} to \"{subject}\"'\r\n".encode()


@dataclass(frozen=True)
class Row:
    """One account with one user, and what the user hears."""

    name: str
    heard: bytes = PONG
    account: dict[str, Any] = field(default_factory=dict)
    user: dict[str, Any] = field(default_factory=dict)
    said: bytes = PING
    scoped: dict[str, Any] | None = None
    account_body: dict[str, Any] = field(default_factory=dict)
    user_body: dict[str, Any] = field(default_factory=dict)
    by: Signer | None = None
    signs: bool = True
    nonce: str | None = None


def allowed(name: str, heard: bytes = PONG, said: bytes = PING, **given: Any) -> Row:
    """A user who is let in."""
    return Row(name, heard, said=said, **given)


def refused(name: str, heard: bytes = VIOLATION, **given: Any) -> Row:
    """A user who is not."""
    return Row(name, heard, **given)


def template(name: str, heard: bytes, template: dict[str, Any], **given: Any) -> Row:
    """A user of a scoped signing key, ann in the team red."""
    body = {"name": "ann", **given.pop("user_body", {})}
    user = {"tags": ["team:red", "team:blue"], **given.pop("user", {})}
    said = given.pop("said", HELLO)
    return Row(name, heard, scoped=template, user_body=body, user=user, said=said, **given)


def limits(**changed: Any) -> dict[str, Any]:
    return {"limits": {**UNLIMITED, **changed}}


_PUB_OTHER = _no("Publish", "other")
_ONLY_ANN = b"MSG ann.x 1 1\r\nx\r\n" + _PUB_OTHER + PONG
_NEITHER = _no("Publish", "ann.x") + _PUB_OTHER + PONG

ROWS = [
    allowed("a user of an account", BOTH, HELLO),
    allowed("a bearer need not sign", user={"bearer_token": True}, signs=False),
    refused("others must sign", signs=False),
    refused("a signature of something else", nonce="other"),
    refused(
        "a bearer where the account takes none",
        account=limits(disallow_bearer=True),
        user={"bearer_token": True},
    ),
    refused("a user of a stranger", by=STRANGER),
    refused("a signing key that the account has not", by=SIGNER),
    allowed("a signing key of the account", by=SIGNER, account={"signing_keys": [SIGNER.key]}),
    refused("a user whose time is over", user_body={"exp": NOW - 5}),
    refused("a user whose time has not begun", user_body={"nbf": NOW + DAY}),
    allowed("a user whose time goes on", user_body={"exp": NOW + DAY, "nbf": NOW - DAY}),
    refused("an account whose time is over", account_body={"exp": NOW - 5}),
    refused("an account whose time has not begun", account_body={"nbf": NOW + DAY}),
    refused("a user who is revoked", account={"revocations": {USER.key: NOW}}),
    refused("all users revoked", account={"revocations": {"*": NOW}}),
    allowed("a revocation of older tokens", account={"revocations": {USER.key: 999, "*": 500}}),
    allowed("a door by its name", user={"allowed_connection_types": ["STANDARD"]}),
    allowed("a door in small letters", user={"allowed_connection_types": ["standard"]}),
    refused("another door", user={"allowed_connection_types": ["WEBSOCKET"]}),
    refused("a door that nobody knows", user={"allowed_connection_types": ["WINDOW"]}),
    allowed("one door of two", user={"allowed_connection_types": ["WINDOW", "STANDARD"]}),
    allowed("a network", user={"src": ["10.0.0.0/8", "127.0.0.0/8"]}),
    allowed("networks as one text", user={"src": "10.0.0.0/8,127.0.0.1/32"}),
    refused("another network", user={"src": ["10.0.0.0/8"]}),
    refused("an address that is no network", user={"src": ["127.0.0.1"]}),
    refused("one network that is none", user={"src": ["127.0.0.0/8", "x"]}),
    allowed(
        "hours of the day",
        user={"times": [{"start": "00:00:00", "end": "23:59:59"}], "times_location": "UTC"},
    ),
    allowed(
        "hours without a place",
        user={"times": [{"start": "00:00:00", "end": "23:59:59"}]},
    ),
    refused(
        "hours in a place that nobody knows",
        user={"times": [{"start": "00:00:00", "end": "23:59:59"}], "times_location": "No/Where"},
    ),
    refused("hours that are none", user={"times": [{"start": "soon", "end": "23:59:59"}]}),
    allowed("publish only", _ONLY_ANN, HELLO, user={"pub": {"allow": ["ann.>"]}}),
    allowed(
        "publish all but",
        b"MSG ann.x 1 1\r\nx\r\n" + _PUB_OTHER + PONG,
        HELLO,
        user={"pub": {"deny": ["other"]}},
    ),
    allowed(
        "subscribe only",
        _no("Subscription", ">") + PONG,
        HELLO,
        user={"sub": {"allow": ["ann.>"]}},
    ),
    allowed(
        "a queue group",
        b'-ERR \'Permissions Violation for Subscription to "a" using queue "r"\'\r\n' + PONG,
        b"SUB a q 1\r\nSUB a r 2\r\nPING\r\n",
        user={"sub": {"allow": ["a q"]}},
    ),
    refused("a queue group for publishing", user={"pub": {"allow": ["a q"]}}),
    refused("no subject", user={"pub": {"allow": ["a..b"]}}),
    allowed(
        "only answers",
        _no("Publish", "a") + PONG,
        b"PUB a 1\r\nx\r\nPING\r\n",
        user={"resp": {"max": 1, "ttl": 10**9}},
    ),
    allowed(
        "permissions of the account",
        _ONLY_ANN,
        HELLO,
        account={"default_permissions": {"pub": {"allow": ["ann.>"]}}},
    ),
    allowed(
        "the user's own permissions instead",
        b"MSG other 1 1\r\nx\r\n" + PONG,
        b"SUB > 1\r\nPUB other 1\r\nx\r\nPING\r\n",
        account={"default_permissions": {"pub": {"allow": ["ann.>"]}}},
        user={"pub": {"allow": ["other"]}},
    ),
    # limits
    refused("an account for nobody", FULL, account=limits(conn=0)),
    refused("an account without limits", FULL, account={"limits": {}}),
    allowed(
        "two subscriptions and no more",
        b"-ERR 'maximum subscriptions exceeded'\r\n" + PONG,
        b"SUB a 1\r\nSUB b 2\r\nSUB c 3\r\nPING\r\n",
        user={"subs": 2},
    ),
    allowed(
        "the account's number of subscriptions",
        b"-ERR 'maximum subscriptions exceeded'\r\n" + PONG,
        b"SUB a 1\r\nSUB b 2\r\nPING\r\n",
        account=limits(subs=1),
        user={"subs": 2},
    ),
    allowed(
        "a payload that is too large",
        PONG + b"-ERR 'Maximum Payload Violation'\r\n",
        b"PUB a 3\r\nxxx\r\nPING\r\nPUB a 4\r\nxxxx\r\n",
        user={"payload": 3},
    ),
    allowed(
        "a payload that is too large for the account",
        PONG + b"-ERR 'Maximum Payload Violation'\r\n",
        b"PUB a 3\r\nxxx\r\nPING\r\nPUB a 4\r\nxxxx\r\n",
        account=limits(payload=3),
    ),
    allowed("a limit on data is nobody's", BOTH, HELLO, account=limits(data=1), user={"data": 1}),
    refused(
        "more imports than there may be",
        account={
            **limits(imports=0),
            "imports": [{"account": STRANGER.key, "subject": "a", "type": "stream"}],
        },
    ),
    refused(
        "more exports than there may be",
        account={**limits(exports=0), "exports": [{"subject": "a", "type": "stream"}]},
    ),
    refused(
        "wildcards in exports",
        account={**limits(exports=5), "exports": [{"subject": "a.*", "type": "stream"}]},
    ),
    allowed(
        "wildcards in exports that may be",
        account={
            **limits(exports=5, wildcards=True),
            "exports": [{"subject": "a.*", "type": "stream"}],
        },
    ),
    allowed(
        "wildcards in exports without a limit",
        account={"exports": [{"subject": "a.*", "type": "stream"}]},
    ),
    refused(
        "exports that overlap",
        account={"exports": [{"subject": s, "type": "stream"} for s in ("a.>", "a.b")]},
    ),
    allowed(
        "exports of two kinds that overlap",
        account={
            "exports": [
                {"subject": "a.>", "type": "stream"},
                {"subject": "a.b", "type": "service"},
            ]
        },
    ),
    refused(
        "imports that overlap",
        account={
            "imports": [
                {"account": STRANGER.key, "subject": s, "type": "service"} for s in ("a.>", "a.b")
            ]
        },
    ),
    refused(
        "a place for the account where there is none",
        account={"exports": [{"subject": "a.b", "type": "stream", "account_token_position": 2}]},
    ),
    refused("a signing key that is none", account={"signing_keys": ["A"]}),
    # scoped signing keys
    template("a template that says nothing", BOTH, {}),
    template("a template with a name", _ONLY_ANN, {"pub": {"allow": ["{{name()}}.>"]}}),
    template(
        "a template with blanks in its blank", _ONLY_ANN, {"pub": {"allow": ["{{ Name() }}.x"]}}
    ),
    template(
        "a template with the key of the user",
        _NEITHER,
        {"pub": {"allow": ["{{subject()}}.x"]}},
    ),
    template(
        "a template with the name of the account",
        b"MSG school.ann 1 1\r\nx\r\n" + PONG,
        {"pub": {"allow": ["{{account-name()}}.{{name()}}"]}},
        account_body={"name": "school"},
        said=b"SUB > 1\r\nPUB school.ann 1\r\nx\r\nPING\r\n",
    ),
    template(
        "a template with tags",
        b"MSG red.ann 1 1\r\nx\r\nMSG blue.ann 1 1\r\nx\r\n" + _no("Publish", "green.ann") + PONG,
        {"pub": {"allow": ["{{tag(team)}}.{{name()}}"]}},
        said=b"SUB > 1\r\nPUB red.ann 1\r\nx\r\nPUB blue.ann 1\r\nx\r\n"
        b"PUB green.ann 1\r\nx\r\nPING\r\n",
    ),
    template(
        "a template with tags of the account",
        b"MSG north.red 1 1\r\nx\r\n" + _no("Publish", "south.red") + PONG,
        {"pub": {"allow": ["{{account-tag(site)}}.{{tag(team)}}"]}},
        account={"tags": ["site:north"]},
        said=b"SUB > 1\r\nPUB north.red 1\r\nx\r\nPUB south.red 1\r\nx\r\nPING\r\n",
    ),
    template("a tag that the user has not", _NEITHER, {"pub": {"allow": ["{{tag(none)}}.>"]}}),
    template(
        "one of two that the user has",
        _ONLY_ANN,
        {"pub": {"allow": ["{{tag(none)}}.>", "{{name()}}.>"]}},
    ),
    template(
        "a denial",
        b"MSG other 1 1\r\nx\r\n" + PONG,
        {"pub": {"deny": ["{{name()}}.>"]}},
        said=b"SUB > 1\r\nPUB other 1\r\nx\r\nPING\r\n",
    ),
    template(
        "a denial of a tag that the user has not", VIOLATION, {"pub": {"deny": ["{{tag(no)}}"]}}
    ),
    template("a word that is not known", VIOLATION, {"pub": {"allow": ["{{who()}}"]}}),
    template(
        "a name that is no subject",
        _NEITHER,
        {"pub": {"allow": ["{{name()}}.>"]}},
        user_body={"name": "a b"},
    ),
    template(
        "what may be heard",
        _no("Subscription", ">") + PONG,
        {"sub": {"allow": ["{{name()}}.>"]}},
    ),
    template("a bearer by template", BOTH, {"bearer_token": True}, signs=False),
    template("no bearer by template", VIOLATION, {}, signs=False),
    template("a network by template", VIOLATION, {"src": ["10.0.0.0/8"]}),
    template("a door by template", VIOLATION, {"allowed_connection_types": ["MQTT"]}),
    template(
        "subscriptions by template",
        b"-ERR 'maximum subscriptions exceeded'\r\n" + PONG,
        {"subs": 1},
        said=b"SUB a 1\r\nSUB b 2\r\nPING\r\n",
    ),
    template(
        "a payload by template",
        b"-ERR 'Maximum Payload Violation'\r\n",
        {"payload": 1},
        said=b"PUB a 2\r\nxx\r\nPING\r\n",
    ),
    template("rights beside a template", VIOLATION, {}, user={"pub": {"allow": ["a"]}}),
    template("limits beside a template", VIOLATION, {}, user={"subs": -1}),
    template("a bearer beside a template", VIOLATION, {}, user={"bearer_token": True}),
    template(
        "permissions of the account where the template has none",
        _ONLY_ANN,
        {"subs": 5},
        account={"default_permissions": {"pub": {"allow": ["ann.>"]}}},
    ),
]


def _keys(row: Row) -> tuple[Signer, Signer]:
    """The account of a row, and who signs its user."""
    number = ROWS.index(row) if row in ROWS else 190
    own = Signer("A", 10 + number)
    return own, row.by or (SIGNER if row.scoped is not None else own)


def _account(row: Row) -> tuple[str, str]:
    own, _ = _keys(row)
    nats = {"limits": UNLIMITED, **row.account}
    if row.scoped is not None:
        scope = {"kind": "user_scope", "key": SIGNER.key, "role": "r", "template": row.scoped}
        nats["signing_keys"] = [scope]
    return own.key, OPERATOR.vouch("account", own.key, nats, **row.account_body)


def _user(row: Row) -> str:
    own, signer = _keys(row)
    nats = dict(row.user)
    if row.scoped is None:
        nats = {"subs": -1, "payload": -1, "data": -1, **nats}
    if signer is not own:
        nats["issuer_account"] = own.key
    return signer.vouch("user", USER.key, nats, **row.user_body)


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """The real server and ours with the accounts of all rows."""
    file = tmp_path_factory.mktemp("jwt") / "server.conf"
    file.write_text(configuration(dict(map(_account, ROWS))))
    with (
        ServerProcess([str(real_server_path()), "-c", str(file)]) as real,
        Broker(config=file, port=0) as ours,
    ):
        yield {"real": real.port, "ours": ours.port}


@pytest.mark.parametrize("server", ["real", "ours"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_login_by_jwt(row: Row, server: str, ports: dict[str, int]) -> None:
    with RawClient(ports[server]) as client:
        nonce = row.nonce or client.info["nonce"]
        client.send(hello(_user(row), nonce if row.signs else "") + row.said)
        heard = b"".join(client.read_to_pong(row.heard.count(PONG) or 1))
        if not row.heard.endswith(PONG):
            heard += b"".join(client.read_to_end())
    assert row.heard == heard
