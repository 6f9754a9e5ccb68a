"""Requests to the system account: what is answered, and how."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from broker.blocks import AccountBlock, UserBlock
from broker.permissions import Permissions, Rules
from broker.sysservice import ACCOUNT_PAGES, PAGES
from tests.support.system import Watched, arrived

PING = "$SYS.REQ.SERVER.PING"


@pytest.mark.parametrize("what", sorted({*PAGES} - {"IDZ", "STATSZ"}))
def test_every_page_is_served_by_ping_and_by_id_in_an_envelope(what: str) -> None:
    broker = Watched()
    watcher = broker.watcher()
    by_ping = broker.answer(watcher, f"{PING}.{what}")
    by_id = broker.answer(watcher, f"$SYS.REQ.SERVER.{broker.id}.{what}")
    assert ["server", "data"] == list(by_ping) == list(by_id)
    assert list(by_ping["data"]) == list(by_id["data"])
    assert broker.id == by_ping["server"]["id"]


def test_the_pages_are_those_of_the_monitor() -> None:
    broker = Watched()
    watcher = broker.watcher()
    assert 1 == broker.answer(watcher, f"{PING}.VARZ")["data"]["connections"]
    assert ["$G", "A", "B", "SYS"] == sorted(
        broker.answer(watcher, f"{PING}.ACCOUNTZ")["data"]["accounts"]
    )
    health = {"status": "ok", "status_code": 200}
    assert health == broker.answer(watcher, f"{PING}.HEALTHZ")["data"]


def test_who_we_are_comes_without_an_envelope() -> None:
    broker = Watched()
    identity = {"name": "us", "host": "127.0.0.1", "id": broker.id}
    assert identity == broker.answer(broker.watcher(), f"{PING}.IDZ", b"rubbish")


@pytest.mark.parametrize("subject", [PING, f"{PING}.STATSZ"])
def test_statsz_is_asked_for_by_ping(subject: str) -> None:
    broker = Watched()
    body = broker.answer(broker.watcher(), subject)
    assert (["server", "statsz"], 1) == (list(body), body["statsz"]["connections"])


def test_statsz_without_a_reply_subject_is_told_to_everybody_at_once() -> None:
    broker = Watched()
    watcher = broker.watcher("$SYS.SERVER.*.STATSZ")
    watcher.send(b"PUB $SYS.REQ.SERVER.PING 0\r\n\r\n")
    (event,) = arrived(watcher.take())
    assert f"$SYS.SERVER.{broker.id}.STATSZ" == event.subject


@pytest.mark.parametrize(
    "subject",
    [
        f"{PING}.NOPE",
        f"{PING}.KICK",
        f"{PING}.RELOAD",
        f"{PING}.ACCSTATZ",
        "$SYS.REQ.SERVER.OTHER.VARZ",
        "$SYS.REQ.ACCOUNT.A.NOPE",
        "$SYS.REQ.ACCOUNT.A",
    ],
)
def test_what_nobody_serves_is_answered_by_503(subject: str) -> None:
    broker = Watched()
    (answer,) = broker.ask(broker.watcher(), subject)
    assert f"NATS/1.0 503\r\nNats-Subject: {subject}" == answer.headers


def test_a_request_without_a_reply_subject_does_nothing() -> None:
    broker = Watched()
    watcher = broker.watcher(">")
    victim = broker.enter("a")
    order = b'{"cid":%d}' % victim.connection.cid
    watcher.take()
    kick = f"$SYS.REQ.SERVER.{broker.id}.KICK".encode()
    watcher.send(b"PUB %s %d\r\n%s\r\n" % (kick, len(order), order))
    watcher.send(b"PUB $SYS.REQ.SERVER.PING.VARZ 0\r\n\r\n")
    assert [kick.decode(), f"{PING}.VARZ"] == [one.subject for one in arrived(watcher.take())]
    assert not victim.ended


@pytest.mark.parametrize(
    ("body", "answers"),
    [
        (b'{"server_name":"u"}', 1),
        (b'{"server_name":"u","exact_match":true}', 0),
        (b'{"server_name":"us","exact_match":true}', 1),
        (b'{"cluster":"c"}', 0),
        (b'{"tags":["t"]}', 0),
    ],
)
@pytest.mark.parametrize("what", ["VARZ", "STATSZ"])
def test_only_the_servers_that_are_meant_answer(what: str, body: bytes, answers: int) -> None:
    broker = Watched()
    assert answers == len(broker.ask(broker.watcher(), f"{PING}.{what}", body))


def test_options_are_those_of_the_page() -> None:
    broker = Watched()
    watcher = broker.watcher()
    broker.enter("a", name="ann").send(b"SUB x.y q 1\r\n")
    page = broker.answer(watcher, f"{PING}.CONNZ", b'{"acc":"A","subscriptions_detail":true}')
    (row,) = page["data"]["connections"]
    assert ("ann", "x.y") == (row["name"], row["subscriptions_list_detail"][0]["subject"])
    found = b'{"acc":"A","filter_subject":"x.*"}'
    assert 1 == broker.answer(watcher, f"{PING}.CONNZ", found)["data"]["num_connections"]
    missed = b'{"acc":"A","filter_subject":"z.*"}'
    assert 0 == broker.answer(watcher, f"{PING}.CONNZ", missed)["data"]["num_connections"]


@pytest.mark.parametrize(
    ("subject", "body", "error", "has_data"),
    [
        (f"{PING}.VARZ", b"{", (400, "unexpected end of JSON input"), False),
        (f"{PING}.STATSZ", b"{", (400, "unexpected end of JSON input"), False),
        (f"{PING}.CONNZ", b'{"sort":"x"}', (500, "invalid sorting option: x"), True),
        (
            f"{PING}.CONNZ",
            b'{"filter_subject":"a"}',
            (500, "filter by subject only valid with account filtering"),
            True,
        ),
        ("$SYS.REQ.ACCOUNT.N.INFO", b"", (500, "Account N does not exist"), True),
        ("$SYS.REQ.ACCOUNT.A.JSZ", b"", (500, "jetstream not enabled"), True),
    ],
)
def test_what_is_wrong_is_answered_with_a_code_and_a_text(
    subject: str, body: bytes, error: tuple[int, str], has_data: bool
) -> None:
    broker = Watched()
    answer = broker.answer(broker.watcher(), subject, body)
    assert error == (answer["error"]["code"], answer["error"]["description"])
    assert (has_data, None) == ("data" in answer, answer.get("data"))


def test_there_are_no_profiles() -> None:
    broker = Watched()
    data = broker.answer(broker.watcher(), f"{PING}.PROFILEZ", b'{"name":"heap"}')["data"]
    assert {
        "profile": None,
        "error": "Profile 'heap' not found: this server is not written in Go",
    } == data


# --- encodings


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [("gzip", "gzip"), ("GZIP, s2", "gzip"), ("snappy", "identity"), ("br", "identity")],
)
def test_an_answer_is_compressed_for_who_can_read_it(accepted: str, encoding: str) -> None:
    broker = Watched()
    headers = f"NATS/1.0\r\nAccept-Encoding: {accepted}\r\n\r\n".encode()
    (answer,) = broker.ask(broker.watcher(), f"{PING}.HEALTHZ", b"", headers)
    assert f"NATS/1.0\r\nContent-Encoding: {encoding}" == answer.headers
    text = gzip.decompress(answer.body) if encoding == "gzip" else answer.body
    assert "ok" == json.loads(text)["data"]["status"]


def test_errors_and_statsz_are_never_compressed() -> None:
    broker = Watched()
    watcher = broker.watcher()
    headers = b"NATS/1.0\r\nAccept-Encoding: gzip\r\n\r\n"
    for subject, body in ((f"{PING}.VARZ", b"{"), (f"{PING}.STATSZ", b"")):
        (answer,) = broker.ask(watcher, subject, body, headers)
        assert ("", True) == (answer.headers, "server" in answer.json)


# --- accounts


@pytest.mark.parametrize("what", sorted({*ACCOUNT_PAGES} - {"CONNS", "JSZ"}))
def test_an_account_has_pages_of_its_own(what: str) -> None:
    broker = Watched()
    watcher = broker.watcher()
    broker.enter("a").send(b"SUB x 1\r\n")
    data = broker.answer(watcher, f"$SYS.REQ.ACCOUNT.A.{what}")["data"]
    shown: dict[str, Any] = {
        "CONNZ": lambda: data["num_connections"] == 1,
        "SUBSZ": lambda: [row["subject"] for row in data["subscriptions_list"]] == ["x"],
        "LEAFZ": lambda: data["leafs"] == [],
        "INFO": lambda: (data["account_name"], data["client_connections"]) == ("A", 1),
        "STATZ": lambda: [row["acc"] for row in data["account_statz"]] == ["A"],
    }
    assert shown[what]()


def test_the_numbers_of_an_account_are_the_event_for_who_asks() -> None:
    broker = Watched()
    watcher = broker.watcher()
    broker.enter("a")
    subject = "$SYS.REQ.ACCOUNT.A.CONNS"
    assert ("A", 1) == tuple(broker.answer(watcher, subject)[name] for name in ("acc", "conns"))
    assert 1 == len(broker.ask(watcher, subject, b'{"acc":"A"}'))
    for nobody in (b'{"acc":"B"}', b"{"):
        assert [] == broker.ask(watcher, subject, nobody)
    assert [] == broker.ask(watcher, "$SYS.REQ.ACCOUNT.B.CONNS")


def test_idle_accounts_have_numbers_only_for_who_wants_them() -> None:
    broker = Watched()
    watcher = broker.watcher()
    ping = "$SYS.REQ.ACCOUNT.PING.STATZ"

    def told(subject: str, body: bytes) -> list[list[str]]:
        answers = broker.ask(watcher, subject, body)
        return [[row["acc"] for row in one.json["data"]["account_statz"]] for one in answers]

    assert [["SYS"]] == told(ping, b"")
    assert [["$G", "A", "B", "SYS"]] == [
        sorted(names) for names in told(ping, b'{"include_unused":true}')
    ]
    assert [["A"]] == told(ping, b'{"include_unused":true,"accounts":["A"]}')
    assert [] == told(ping, b'{"accounts":["A"]}')
    assert [] == told("$SYS.REQ.ACCOUNT.A.STATZ", b"")
    assert [["A"]] == told("$SYS.REQ.ACCOUNT.A.STATZ", b'{"include_unused":true}')


# --- who asks about themselves


def test_whoever_asks_is_told_who_they_are() -> None:
    may = Permissions(publish=Rules((b"$SYS.REQ.USER.INFO", b"a")))
    users = (UserBlock("a", "a", account="A"), UserBlock("p", "p", account="A", permissions=may))
    system = AccountBlock("SYS", users=(UserBlock("s", "s", account="SYS"),))
    broker = Watched(accounts=(AccountBlock("A", users=users), system))
    free = {"user": "a", "account": "A", "account_name": "A"}
    assert free == broker.answer(broker.enter("a"), "$SYS.REQ.USER.INFO")["data"]
    bound = broker.answer(broker.enter("p"), "$SYS.REQ.USER.INFO")["data"]
    assert ["$SYS.REQ.USER.INFO", "a"] == bound["permissions"]["publish"]["allow"]
    asked = broker.ask(broker.enter("s"), "$SYS.REQ.USER.INFO")
    assert ["SYS"] == [one.json["data"]["account"] for one in asked]


def test_who_may_not_publish_there_is_refused() -> None:
    may = Permissions(publish=Rules((b"a",)))
    user = UserBlock("p", "p", account="A", permissions=may)
    broker = Watched(accounts=(AccountBlock("A", users=(user,)), AccountBlock("SYS")))
    refused = broker.enter("p").ask(b"PUB $SYS.REQ.USER.INFO r 0\r\n\r\n")
    assert b"-ERR 'Permissions Violation for Publish to \"$SYS.REQ.USER.INFO\"'\r\n" == refused


@pytest.mark.parametrize("subject", [f"{PING}.CONNZ", "$SYS.REQ.ACCOUNT.PING.CONNZ"])
def test_an_account_sees_its_own_connections_and_no_others(subject: str) -> None:
    broker = Watched()
    broker.watcher()
    broker.enter("b")
    client = broker.enter("a")
    sought = (b"", b'{"acc":"B"}', b'{"auth":true,"acc":"SYS"}')
    pages = [broker.answer(client, subject, body)["data"] for body in sought]
    seen = [[row["cid"] for row in page["connections"]] for page in pages]
    assert [[client.connection.cid]] * 3 == seen
    hidden = broker.answer(client, subject, b'{"cid":1}')["data"]
    assert [] == hidden["connections"]


def test_an_account_sees_its_own_numbers_and_no_others() -> None:
    broker = Watched()
    broker.enter("b")
    client = broker.enter("a")
    for body in (b"", b'{"accounts":["B"]}', b'{"include_unused":true}'):
        page = broker.answer(client, "$SYS.REQ.ACCOUNT.PING.STATZ", body)["data"]
        assert ["A"] == [row["acc"] for row in page["account_statz"]]


@pytest.mark.parametrize(
    "subject",
    [
        PING,
        f"{PING}.VARZ",
        "$SYS.REQ.SERVER.{id}.CONNZ",
        "$SYS.REQ.SERVER.{id}.KICK",
        "$SYS.REQ.SERVER.{id}.RELOAD",
        "$SYS.REQ.ACCOUNT.A.CONNZ",
        "$SYS.REQ.ACCOUNT.B.INFO",
        "$SYS.REQ.USER.b.INFO",
    ],
)
def test_everything_else_is_not_there_for_an_ordinary_account(subject: str) -> None:
    broker = Watched()
    (answer,) = broker.ask(broker.enter("a"), subject.format(id=broker.id))
    assert answer.headers.startswith("NATS/1.0 503")


# --- orders


def test_a_client_is_sent_away() -> None:
    broker = Watched()
    watcher = broker.watcher("$SYS.ACCOUNT.A.DISCONNECT")
    victim = broker.enter("a")
    order = b'{"cid":%d}' % victim.connection.cid
    assert ["server"] == list(broker.answer(watcher, f"$SYS.REQ.SERVER.{broker.id}.KICK", order))
    assert (True, ["Kicked"]) == (victim.ended, broker.reasons())


def test_who_sends_itself_away_is_told_that_it_was_done() -> None:
    broker = Watched()
    watcher = broker.watcher()
    order = b'{"cid":%d}' % watcher.connection.cid
    assert ["server"] == list(broker.answer(watcher, f"$SYS.REQ.SERVER.{broker.id}.KICK", order))
    assert watcher.ended


@pytest.mark.parametrize(
    ("order", "text"),
    [("KICK", "no such client or leafnode id"), ("LDM", "no such client id")],
)
def test_nobody_cannot_be_sent_away(order: str, text: str) -> None:
    broker = Watched()
    watcher = broker.watcher()
    subject = f"$SYS.REQ.SERVER.{broker.id}.{order}"
    for body in (b"{}", b'{"cid":99}'):
        error = broker.answer(watcher, subject, body)["error"]
        assert (500, text) == (error["code"], error["description"])
    assert [] == broker.ask(watcher, subject, b'{"cid":99,"server_name":"other"}')


@pytest.mark.parametrize("body", [b"", b"{", b'{"cid":"1"}'])
def test_an_order_that_cannot_be_read_is_logged_and_not_answered(
    body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Watched()
    assert [] == broker.ask(broker.watcher(), f"$SYS.REQ.SERVER.{broker.id}.KICK", body)
    assert "SYSTEM - Error unmarshalling kick client request: " in caplog.text


def test_one_client_is_told_that_we_are_about_to_leave() -> None:
    broker = Watched()
    watcher = broker.watcher()
    one, other = broker.enter("a", protocol=1), broker.enter("a", protocol=1)
    one.take()
    subject = f"$SYS.REQ.SERVER.{broker.id}.LDM"
    order = b'{"cid":%d}' % one.connection.cid
    assert ["server"] == list(broker.answer(watcher, subject, order))
    assert (True, b"") == (b'"ldm":true' in one.take(), other.take())
    old = b'{"cid":%d}' % broker.enter("a").connection.cid
    text = broker.answer(watcher, subject, old)["error"]["description"]
    assert text.startswith("client does not support Lame Duck Mode")


def test_a_reload_is_asked_of_whoever_can_read_the_file() -> None:
    broker = Watched()
    watcher = broker.watcher()
    subject = f"$SYS.REQ.SERVER.{broker.id}.RELOAD"
    reason = "can only reload config when a file is provided using -c or --config"
    assert {"code": 500, "description": reason} == broker.answer(watcher, subject)["error"]
    read: list[str] = []
    broker.server.reread = lambda: read.append("read")
    assert [] == broker.ask(watcher, subject, b'{"server_name":"other"}')
    assert (["server"], ["read"]) == (list(broker.answer(watcher, subject)), read)


def test_a_mistake_of_ours_costs_an_answer_and_no_more(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Watched()
    watcher = broker.watcher()
    monkeypatch.setattr("broker.sysdesk.healthz", lambda: 1 / 0)
    assert [] == broker.ask(watcher, f"{PING}.HEALTHZ")
    assert "no answer to" in caplog.text
    assert "ok" != broker.answer(watcher, f"{PING}.IDZ")["name"]
