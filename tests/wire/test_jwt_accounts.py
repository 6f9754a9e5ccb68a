"""Accounts by JWT that share, change and end: ours does what the real nats-server does.

Each test is played against both, from one configuration.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from broker import Broker
from broker.conffile import load
from tests.support import jwts
from tests.support.jwts import OPERATOR, UNLIMITED, Signer
from tests.support.raw_client import RawClient
from tests.support.servers import ServerProcess, real_server_path

A, B, KEY, OTHER_KEY = Signer("A", 30), Signer("A", 31), Signer("A", 32), Signer("A", 33)
ANN, BOB = Signer("U", 34), Signer("U", 35)

VIOLATION = b"-ERR 'Authorization Violation'\r\n"
PONG = b"PONG\r\n"


class House:
    """One of the two servers, from a configuration that can be changed."""

    def __init__(self, name: str, folder: Path, stack: ExitStack) -> None:
        self.name = name
        self._file = folder / "server.conf"
        self._stack = stack
        self._real: ServerProcess | None = None
        self._ours: Broker | None = None

    def open(self, tokens: Mapping[str, str], operator: Any = None) -> None:
        self._file.write_text(jwts.configuration(tokens, operator))
        if self.name == "ours":
            self._ours = self._stack.enter_context(Broker(config=self._file, port=0))
            self.port = self._ours.port
        else:
            command = [str(real_server_path()), "-c", str(self._file)]
            self._real = self._stack.enter_context(ServerProcess(command))
            self.port = self._real.port

    def change(self, tokens: Mapping[str, str]) -> None:
        """Go on with other accounts."""
        self._file.write_text(jwts.configuration(tokens))
        if self._ours is not None:
            self._ours.reload(jwt=load(str(self._file), {}).jwt)
        if self._real is not None:
            os.kill(self._real.pid, signal.SIGHUP)
            self._real.wait_for("Reloaded server configuration")

    def dial(self, who: Signer, token: str) -> RawClient:
        """A connection that has said CONNECT."""
        client = self._stack.enter_context(RawClient(self.port))
        client.send(jwts.hello(token, client.info["nonce"], who))
        return client


@pytest.fixture(params=["real", "ours"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    with ExitStack() as stack:
        yield House(request.param, tmp_path, stack)


def account(who: Signer, nats: Any = None, **body: Any) -> str:
    return OPERATOR.vouch("account", who.key, {"limits": UNLIMITED, **(nats or {})}, **body)


def user(who: Signer, by: Signer, nats: Any = None, **body: Any) -> str:
    return by.vouch("user", who.key, {"subs": -1, "payload": -1, **(nats or {})}, **body)


def ask(client: RawClient, said: bytes = b"") -> bytes:
    client.send(said + b"PING\r\n")
    return b"".join(_without_pings(client.read_to_pong()))


def end(client: RawClient) -> bytes:
    """What comes until the server closes."""
    return b"".join(_without_pings(client.read_to_end()))


def _without_pings(frames: list[bytes]) -> list[bytes]:
    return [frame for frame in frames if frame != b"PING\r\n"]


# --- what accounts share


def shared(wanted: Mapping[str, Any], export: Mapping[str, Any], **exporter: Any) -> dict[str, str]:
    return {
        A.key: account(A, {"exports": [export], "signing_keys": [KEY.key], **exporter}),
        B.key: account(B, {"imports": [{"account": A.key, **wanted}]}),
    }


def activation(subject: str, by: Signer = A, *, kind: str = "stream", **given: Any) -> str:
    return jwts.activation(subject, by, kind=kind, subject=B.key, **given)


STREAM = {"subject": "s.>", "type": "stream", "token_req": True}
SERVICE = {"subject": "q.>", "type": "service", "token_req": True}
POSITION = {"subject": "p.*.x", "type": "stream", "account_token_position": 2}
STREAM_IN = {"subject": "s.a", "type": "stream", "local_subject": "here"}

STREAMS: list[tuple[str, Any, Any, Any]] = [
    ("without a token", STREAM_IN, STREAM, None),
    ("with a token", {**STREAM_IN, "token": activation("s.a")}, STREAM, b"here"),
    ("with a token for more", {**STREAM_IN, "token": activation("s.*")}, STREAM, b"here"),
    (
        "with a token by a signing key",
        {**STREAM_IN, "token": activation("s.a", KEY, account=A.key)},
        STREAM,
        b"here",
    ),
    (
        "with a token by a key that is none",
        {**STREAM_IN, "token": activation("s.a", OTHER_KEY, account=A.key)},
        STREAM,
        None,
    ),
    ("with a token that is over", {**STREAM_IN, "token": activation("s.a", exp=5)}, STREAM, None),
    (
        "with a token that is revoked",
        {**STREAM_IN, "token": activation("s.a")},
        {**STREAM, "revocations": {B.key: 1000}},
        None,
    ),
    (
        "with a token where all are revoked",
        {**STREAM_IN, "token": activation("s.a")},
        {**STREAM, "revocations": {"*": 1001}},
        None,
    ),
    (
        "with a token that is newer than the revocation",
        {**STREAM_IN, "token": activation("s.a")},
        {**STREAM, "revocations": {B.key: 999}},
        b"here",
    ),
    ("from all", STREAM_IN, {"subject": "s.>", "type": "stream"}, b"here"),
    ("that is not exported", STREAM_IN, {"subject": "t.>", "type": "stream"}, None),
]


@pytest.mark.parametrize(
    ("wanted", "export", "heard"),
    [row[1:] for row in STREAMS],
    ids=[f"a stream {row[0]}" for row in STREAMS],
)
def test_an_import_holds_if_its_exporter_allows_it(
    house: House, wanted: Any, export: Any, heard: bytes | None
) -> None:
    house.open(shared(wanted, export))
    bob = house.dial(BOB, user(BOB, B))
    assert PONG == ask(bob, b"SUB > 1\r\n")
    assert PONG == ask(house.dial(ANN, user(ANN, A)), b"PUB s.a 1\r\nx\r\n")
    expected = b"MSG %b 1 1\r\nx\r\n" % heard if heard else b""
    assert expected + PONG == ask(bob)


@pytest.mark.parametrize(
    "token",
    [
        "nonsense",
        activation("s.b"),
        activation("s.a", KEY),
        activation("s.a", kind="service"),
        jwts.activation("s.a", A, subject=KEY.key),
    ],
    ids=["nonsense", "another subject", "another issuer", "another kind", "another importer"],
)
def test_an_account_with_a_token_of_something_else_lets_nobody_in(house: House, token: str) -> None:
    house.open(shared({**STREAM_IN, "token": token}, STREAM))
    assert VIOLATION == end(house.dial(BOB, user(BOB, B)))
    assert PONG == ask(house.dial(ANN, user(ANN, A)))


@pytest.mark.parametrize("mine", [True, False], ids=["its own", "another's"])
def test_an_importer_that_must_name_itself_does(house: House, mine: bool) -> None:
    subject = f"p.{(B if mine else A).key}.x"
    wanted = {"subject": subject, "type": "stream", "local_subject": "here"}
    house.open(shared(wanted, POSITION))
    bob = house.dial(BOB, user(BOB, B))
    assert PONG == ask(bob, b"SUB > 1\r\n")
    ask(house.dial(ANN, user(ANN, A)), b"PUB %b 1\r\nx\r\n" % subject.encode())
    assert (b"MSG here 1 1\r\nx\r\n" if mine else b"") + PONG == ask(bob)


@pytest.mark.parametrize("signed", [True, False], ids=["signed for", "not signed for"])
def test_a_service_is_asked_if_its_exporter_allows_it(house: House, signed: bool) -> None:
    token = activation("q.a", kind="service") if signed else ""
    wanted = {"subject": "q.a", "type": "service", "local_subject": "ask", "token": token}
    house.open(shared(wanted, SERVICE))
    ann = house.dial(ANN, user(ANN, A))
    assert PONG == ask(ann, b"SUB q.a 1\r\n")
    bob = house.dial(BOB, user(BOB, B))
    heard = ask(bob, b"SUB r 1\r\nPUB ask r 1\r\nx\r\n")
    assert (b"503" in heard) == (not signed)
    assert (b"HMSG q.a 1 _R_." in ask(ann)) == signed


def test_an_import_ends_with_its_token(house: House) -> None:
    over = int(time.time()) + 2
    house.open(shared({**STREAM_IN, "token": activation("s.a", exp=over)}, STREAM))
    bob, ann = house.dial(BOB, user(BOB, B)), house.dial(ANN, user(ANN, A))
    ask(bob, b"SUB > 1\r\n")
    ask(ann, b"PUB s.a 1\r\nx\r\n")
    assert b"MSG here 1 1\r\nx\r\nPONG\r\n" == ask(bob)
    # Whoever ends a second later says when that is over.
    witness = house.dial(BOB, user(BOB, B, exp=over + 1))
    end(witness)
    ask(ann, b"PUB s.a 1\r\nx\r\n")
    assert PONG == ask(bob)


# --- what ends while somebody is connected


EXPIRED = b"-ERR '%b Authentication Expired'\r\n"


def test_a_user_is_told_that_its_time_is_over(house: House) -> None:
    house.open({A.key: account(A)})
    ann = house.dial(ANN, user(ANN, A, exp=int(time.time()) + 2))
    assert PONG == ask(ann)
    assert EXPIRED % b"User" == end(ann)


def test_a_user_is_told_that_its_accounts_time_is_over(house: House) -> None:
    house.open({A.key: account(A, exp=int(time.time()) + 2)})
    ann = house.dial(ANN, user(ANN, A))
    assert PONG == ask(ann)
    assert EXPIRED % b"Account" == end(ann)
    assert VIOLATION == end(house.dial(ANN, user(ANN, A)))


def test_a_user_is_told_that_its_hours_are_over(house: House) -> None:
    now = time.time()
    start, over = (time.strftime("%H:%M:%S", time.gmtime(at)) for at in (now - 60, now + 2))
    times = {"times": [{"start": start, "end": over}], "times_location": "UTC"}
    house.open({A.key: account(A)})
    ann = house.dial(ANN, user(ANN, A, times))
    assert PONG == ask(ann)
    assert EXPIRED % b"User" == end(ann)


# --- what changes with a reload


def scope(template: Any) -> dict[str, Any]:
    return {"signing_keys": [{"kind": "user_scope", "key": KEY.key, "template": template}]}


SIGNED = KEY.vouch("user", ANN.key, {"issuer_account": A.key})

REVOKED = b"-ERR 'User Authentication Revoked'\r\n"
FULL = b"-ERR 'maximum account active connections exceeded'\r\n"
BEARER = user(ANN, A, {"bearer_token": True})
BY_KEY = user(ANN, KEY, {"issuer_account": A.key})

CHANGES: list[tuple[str, Any, Any, str, bytes]] = [
    ("the user is revoked", {}, {"revocations": {ANN.key: 1000}}, "", REVOKED),
    ("all users are revoked", {}, {"revocations": {"*": 1000}}, "", REVOKED),
    ("older tokens are revoked", {}, {"revocations": {ANN.key: 999}}, "", PONG),
    ("the account is gone", {}, None, "", VIOLATION),
    ("the account has a fault", {}, {"signing_keys": ["A"]}, "", VIOLATION),
    ("there is room for nobody", {}, {"limits": {**UNLIMITED, "conn": 0}}, "", FULL),
    (
        "bearers are not taken any more",
        {},
        {"limits": {**UNLIMITED, "disallow_bearer": True}},
        BEARER,
        VIOLATION,
    ),
    (
        "the signing key stays",
        {"signing_keys": [KEY.key]},
        {"signing_keys": [KEY.key], "tags": ["new"]},
        BY_KEY,
        PONG,
    ),
    ("nothing changes", {}, {}, "", PONG),
]


def _after_reload(house: House, before: Any, after: Any, token: str) -> bytes:
    bystander = {B.key: account(B)}
    house.open({A.key: account(A, before), **bystander})
    ann, bob = house.dial(ANN, token), house.dial(BOB, user(BOB, B))
    assert PONG == ask(ann) == ask(bob)
    changed = {} if after is None else {A.key: account(A, after, iat=1001)}
    house.change({**changed, **bystander})
    heard = ask(ann)
    assert PONG == ask(bob)
    return heard


@pytest.mark.parametrize(
    ("before", "after", "token", "heard"), [row[1:] for row in CHANGES], ids=[r[0] for r in CHANGES]
)
def test_a_reload_holds_for_who_is_connected(
    house: House, before: Any, after: Any, token: str, heard: bytes
) -> None:
    assert heard == _after_reload(house, before, after, token or user(ANN, A))


def test_who_was_signed_by_a_key_that_is_gone_must_go(house: House) -> None:
    heard = _after_reload(house, {"signing_keys": [KEY.key]}, {}, BY_KEY)
    # nats-server closes without a word.
    assert heard == (VIOLATION if house.name == "ours" else b"")


def test_a_template_that_changes_holds_at_once(house: House) -> None:
    heard = _after_reload(house, scope({"subs": 5}), scope({"subs": 6}), SIGNED)
    # nats-server closes without a word, and the client has the new rights when it comes back.
    assert heard == (PONG if house.name == "ours" else b"")


def _stay(house: House, clients: list[RawClient]) -> list[bool]:
    return [ask(client) == PONG for client in clients]


def test_of_too_many_connections_the_newest_go(house: House) -> None:
    house.open({A.key: account(A)})
    clients = [house.dial(ANN, user(ANN, A)) for _ in range(3)]
    assert [True] * 3 == _stay(house, clients)
    house.change({A.key: account(A, {"limits": {**UNLIMITED, "conn": 2}})})
    assert [True, True, False] == _stay(house, clients)


def test_an_account_that_comes_later_lets_its_users_in(house: House) -> None:
    house.open({B.key: account(B)})
    assert VIOLATION == end(house.dial(ANN, user(ANN, A)))
    house.change({A.key: account(A), B.key: account(B)})
    assert PONG == ask(house.dial(ANN, user(ANN, A)))


def test_the_operator_names_the_systems_account(house: House) -> None:
    house.open({A.key: account(A), B.key: account(B)}, {"system_account": A.key})
    ann = house.dial(ANN, user(ANN, A))
    subject = f"$SYS.ACCOUNT.{B.key}.CONNECT"
    assert PONG == ask(ann, f"SUB {subject} 1\r\n".encode())
    assert PONG == ask(house.dial(BOB, user(BOB, B)))
    line, _, event = (ann.read_frame() or b"").partition(b"\r\n")
    assert line.startswith(f"MSG {subject} 1 ".encode())
    client = json.loads(event)["client"]
    assert (B.key, BOB.key) == (client["acc"], client["user"])


def test_a_user_may_ask_who_it_is(house: House) -> None:
    own, other = account(A, name="school"), account(B)
    house.open({A.key: own, B.key: other}, {"system_account": B.key})
    ann = house.dial(ANN, user(ANN, A, name="ann"))
    ann.send(b"SUB r 1\r\nPUB $SYS.REQ.USER.INFO r 0\r\n\r\n")
    heard = ann.read_frame() or b""
    expected = {
        "user": ANN.key,
        "account": A.key,
        "account_name": "school",
        "user_name": "ann",
    }
    assert expected == json.loads(heard[heard.index(b"{") :])["data"]
