"""What headers ask for, and what is told of the messages that have them."""

from __future__ import annotations

import gzip
import json
import logging
from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.blocks import AccountBlock, Export, Import, MappingBlock, Target, UserBlock
from broker.msgtrace import wish
from broker.ops import Publish
from broker.permissions import Permissions, Rules
from tests.support.switch import Switch
from tests.support.virtual_broker import VirtualBroker, VirtualClient

HELLO = {"verbose": False, "headers": True, "no_responders": True}
SAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

PARTLY = Permissions(publish=Rules(allow=(b"ok.>", b"tr")))
HALF_DEAF = Permissions(subscribe=Rules(deny=(b"sec",)))
EXPORTS = (
    Export(b"st.>", service=False),
    Export(b"svc.>", service=True),
    Export(b"svt.>", service=True, allow_trace=True),
)
A = AccountBlock(
    "A",
    (
        UserBlock("a", account="A"),
        UserBlock("p", account="A", permissions=PARTLY),
        UserBlock("d", account="A", permissions=HALF_DEAF),
    ),
    exports=EXPORTS,
    mappings=(MappingBlock(b"m.*", (Target(b"mapped.$1"),)),),
)
B = AccountBlock(
    "B",
    (UserBlock("b", account="B"),),
    imports=(
        Import("A", b"st.>", service=False, prefix=b"from"),
        Import("A", b"svc.>", service=True),
        Import("A", b"svt.>", service=True, to=b"tt.>"),
    ),
    trace_destination=b"ext.tr",
)
C = AccountBlock(
    "C",
    (UserBlock("c", account="C"),),
    imports=(Import("A", b"st.>", service=False, allow_trace=True),),
)


def a_broker(**settings: Any) -> VirtualBroker:
    return VirtualBroker(**({"accounts": (A, B, C), "server_name": "here"} | settings))


def client(
    broker: VirtualBroker, user: str = "a", then: bytes = b"", **options: Any
) -> VirtualClient:
    hello = HELLO | {"user": user, "name": f"n-{user}"} | options
    made = broker.connect(b"CONNECT %s\r\n" % json.dumps(hello).encode() + then)
    made.take()
    return made


def message(
    subject: str, *fields: tuple[str, str], reply: str = "", payload: bytes = b"x"
) -> bytes:
    block = b"NATS/1.0\r\n" + b"".join(f"{k}: {v}\r\n".encode() for k, v in fields) + b"\r\n"
    names = f"{subject} {reply}" if reply else subject
    sizes = f"{len(block)} {len(block) + len(payload)}"
    return f"HPUB {names} {sizes}\r\n".encode() + block + payload + b"\r\n"


DEST = ("Nats-Trace-Dest", "tr")
ONLY = ("Nats-Trace-Only", "true")


def reports(watcher: VirtualClient) -> list[dict[str, Any]]:
    """The reports that have come, each as JSON."""
    found = [line for line in watcher.take().split(b"\r\n") if line.startswith(b'{"server"')]
    return [json.loads(line) for line in found]


def events(watcher: VirtualClient) -> list[dict[str, Any]]:
    """The events of the one report that has come, without their times."""
    (report,) = reports(watcher)
    return [{k: v for k, v in event.items() if k != "ts"} for event in report["events"]]


def entry(connection: VirtualClient, subject: str, **more: Any) -> dict[str, Any]:
    user = connection.connection.session.options.user
    cid = connection.connection.cid
    known = {"type": "in", "kind": 0, "cid": cid, "name": f"n-{user}", "acc": user.upper()}
    return known | {"subj": subject} | more


def egress(connection: VirtualClient, subscribed: str, **more: Any) -> dict[str, Any]:
    user = connection.connection.session.options.user
    cid = connection.connection.cid
    return {"type": "eg", "kind": 0, "cid": cid, "name": f"n-{user}", "sub": subscribed} | more


# ------------------------------------------------------------------------------------- the headers


def block(*fields: tuple[str, str]) -> bytes:
    return b"NATS/1.0\r\n" + b"".join(f"{k}: {v}\r\n".encode() for k, v in fields) + b"\r\n"


def test_a_wish_has_all_headers_in_their_own_capitals() -> None:
    found = wish(block(DEST, ("K", "v"), ("k", " w "), ("K", "x"), ("Empty", "")))
    assert found is not None
    assert ("tr", False) == (found.destination, found.only)
    assert {"Nats-Trace-Dest": ["tr"], "K": ["v", "x"], "k": ["w"]} == found.headers


@pytest.mark.parametrize(
    ("value", "only"),
    [("1", True), ("true", True), ("On", True), ("yes", False), ("0", False)],
)
def test_a_wish_to_be_traced_only_has_few_spellings(value: str, only: bool) -> None:
    found = wish(block(DEST, ("Nats-Trace-Only", value)))
    assert found is not None
    assert only == found.only


@pytest.mark.parametrize(
    "headers",
    [
        block(("K", "v")),
        block(ONLY),
        block(("nats-trace-dest", "tr")),
        block(("Nats-Trace-Dest", "")),
        block(("Nats-Trace-Dest", "trace disabled"), ("traceparent", SAMPLED)),
        b"NATS/1.0 100\r\nNats-Trace-Dest: tr\r\n\r\n",
        b"Nats-Trace-Dest: tr\r\n\r\n",
        b"NATS/1.0\r\nNats-Trace-Dest: tr",
        b"",
    ],
)
def test_what_is_no_wish(headers: bytes) -> None:
    assert wish(headers) is None


@pytest.mark.parametrize(
    ("value", "sampled"),
    [
        (SAMPLED, True),
        (SAMPLED[:-2] + "03", True),
        (SAMPLED[:-2] + "7f", True),
        (SAMPLED[:-2] + "00", False),
        (SAMPLED[:-2] + "02", False),
        (SAMPLED[:-2] + "ff", False),
        (SAMPLED[:-2] + "xx", False),
        (SAMPLED + "-more", False),
        ("nonsense", False),
    ],
)
def test_a_traceparent_counts_if_it_is_sampled(value: str, sampled: bool) -> None:
    for name in ("traceparent", "TraceParent", "TRACEPARENT"):
        found = wish(block((name, value)))
        assert sampled == (found is not None)
        assert found is None or ("", False) == (found.destination, found.only)


# ------------------------------------------------------------------------------------ what is told


def test_a_report_says_who_reports_what_was_asked_and_what_was_done() -> None:
    broker = a_broker()
    watcher, publisher = client(broker, "a", b"SUB tr t\r\n"), client(broker)
    publisher.send(b"SUB x.> 1\r\n")
    heard = publisher.ask(message("x.1", DEST, ("K", "v"), ("K", "w")))
    raw = watcher.take()
    assert b'"sub":"x.\\u003e"' in raw
    report = json.loads(raw.split(b"\r\n")[1])
    assert b"HMSG x.1 1 45 46\r\n" == heard[: heard.index(b"\n") + 1]
    server = report["server"]
    assert ["name", "host", "id", "ver", "jetstream", "flags", "seq", "time"] == list(server)
    assert ("here", 1) == (server["name"], server["seq"])
    assert {"header": {"K": ["v", "w"], "Nats-Trace-Dest": ["tr"]}, "msgsize": 46} == report[
        "request"
    ]
    assert {server["time"]} == {event["ts"] for event in report["events"]}
    assert ["type", "ts", "kind", "cid", "name", "acc", "subj"] == list(report["events"][0])
    publisher.send(message("x.1", DEST))
    (again,) = reports(watcher)
    assert 2 == again["server"]["seq"]
    assert [entry(publisher, "x.1"), egress(publisher, "x.>")] == [
        {k: v for k, v in event.items() if k != "ts"} for event in again["events"]
    ]


def test_a_message_that_is_only_traced_is_not_delivered_and_counts_as_if() -> None:
    broker = a_broker()
    watcher = client(broker, "a", b"SUB tr t\r\n")
    taker = client(broker, "a", b"SUB x 1\r\nUNSUB 1 1\r\nSUB x g 2\r\nSUB x g 3\r\n")
    asker = client(broker, "a", b"SUB re 9\r\n")
    for _ in range(2):
        assert b"" == asker.ask(message("x", DEST, ONLY, reply="re"))
        assert [entry(asker, "x"), egress(taker, "x"), egress(taker, "x", queue="g")] == events(
            watcher
        )
    assert b"" == taker.take()
    asker.send(b"PUB x 1\r\ny\r\n")
    assert 2 == taker.take().count(b"MSG x ")


def test_of_very_many_events_the_rest_is_counted() -> None:
    broker = a_broker()
    watcher = client(broker, "a", b"SUB tr t\r\n")
    client(broker, "a", b"".join(b"SUB x %d\r\n" % sid for sid in range(1100)))
    client(broker).send(message("x", DEST, ONLY))
    (report,) = reports(watcher)
    assert (1024, 1 + 1100 - 1024) == (len(report["events"]), report["omitted"])


def test_nobody_there_is_told_and_answered() -> None:
    broker = a_broker()
    watcher = client(broker, "a", b"SUB tr t\r\n")
    asker = client(broker, "a", b"SUB re 9\r\n")
    for fields in ((DEST,), (DEST, ONLY)):
        assert b"NATS/1.0 503" in asker.ask(message("none", *fields, reply="re"))
        assert [entry(asker, "none")] == events(watcher)


def test_a_queue_group_is_one_taker() -> None:
    broker = a_broker()
    watcher = client(broker, "a", b"SUB tr t\r\n")
    taker = client(broker, "a", b"SUB q g 1\r\nSUB q g 2\r\nSUB q h 3\r\n")
    client(broker).send(message("q", DEST))
    assert 2 == taker.take().count(b"HMSG")
    assert ["g", "h"] == sorted(event["queue"] for event in events(watcher)[1:])


def test_who_does_not_get_it_is_told_with_the_reason() -> None:
    broker = a_broker()
    watcher = client(broker, "a", b"SUB tr t\r\n")
    loner = client(broker, "a", b"SUB sec 1\r\nSUB sec g 2\r\n", echo=False)
    denied = client(broker, "d", b"SUB > 1\r\n")
    for fields in ((DEST,), (DEST, ONLY)):
        loner.send(message("sec", *fields))
        told = [(event["sub"], event["error"]) for event in events(watcher)[1:]]
        assert sorted(
            [
                (">", "Not delivered because subscription denies this subject"),
                ("sec", "Not delivered because of no echo"),
                ("sec", "Not delivered because of no echo"),
            ]
        ) == sorted(told)
    assert b"HMSG" not in denied.take()


def test_a_client_that_takes_no_more_is_told_of_as_closed() -> None:
    broker = a_broker(max_payload=1000, max_pending=4000)
    watcher = client(broker, "a", b"SUB tr t\r\n")
    full = client(broker, "a", b"SUB x 1\r\n")
    publisher = client(broker)
    publisher.send(message("x", DEST, payload=b"x" * 900) * 6)
    told = [report["events"][1].get("error", "") for report in reports(watcher)]
    assert 6 == len(told)
    assert {"", "Not delivered because client is closed"} == set(told)
    assert full.connection.ended


def test_a_mapping_is_told() -> None:
    broker = a_broker()
    watcher, publisher = client(broker, "a", b"SUB tr t\r\n"), client(broker)
    publisher.send(message("m.1", DEST))
    assert [entry(publisher, "m.1"), {"type": "sm", "to": "mapped.1"}] == events(watcher)


@pytest.mark.parametrize(
    ("subject", "reply", "text"),
    [
        ("no", "", 'Permissions Violation for Publish to "no"'),
        ("ok.1", "_R_.a", 'Permissions Violation for Publish with Reply of "_R_.a"'),
    ],
)
def test_a_message_that_is_refused_is_told_of(subject: str, reply: str, text: str) -> None:
    broker = a_broker()
    watcher, publisher = client(broker, "a", b"SUB tr t\r\n"), client(broker, "p")
    assert f"-ERR '{text}'\r\n".encode() == publisher.ask(message(subject, DEST, reply=reply))
    assert [entry(publisher, subject, acc="A", error=text)] == events(watcher)


def test_a_stream_is_told_as_far_as_the_importer_allows() -> None:
    broker = a_broker()
    watcher, publisher = client(broker, "a", b"SUB tr t\r\n"), client(broker)
    discreet = client(broker, "b", b"SUB from.> 1\r\n")
    open_ = client(broker, "c", b"SUB st.> 1\r\n")
    expected = [
        entry(publisher, "st.q"),
        {"type": "se", "acc": "B", "to": "from.st.q"},
        {"type": "se", "acc": "C", "to": "st.q"},
        egress(open_, "st.>", acc="C"),
    ]
    publisher.send(message("st.q", DEST))
    assert expected == events(watcher)
    assert (1, 1) == (discreet.take().count(b"HMSG"), open_.take().count(b"HMSG"))
    publisher.send(message("st.q", DEST, ONLY))
    assert expected == events(watcher)
    assert b"" == discreet.take() + open_.take()


def test_a_service_is_told_as_far_as_the_exporter_allows() -> None:
    broker = a_broker()
    watcher = client(broker, "b", b"SUB tr t\r\n")
    service = client(broker, "a", b"SUB svc.1 1\r\nSUB svt.1 2\r\n")
    asker = client(broker, "b", b"SUB re 1\r\n")
    asker.send(message("svc.1", DEST, reply="re"))
    heard = service.take()
    assert b"\r\nNats-Trace-Dest: trace disabled\r\n" in heard
    closed = {"type": "si", "acc": "A", "from": "svc.1", "to": "svc.1"}
    assert [entry(asker, "svc.1"), closed] == events(watcher)
    reply = heard.split(b" ")[3]
    service.send(b"PUB %s 2\r\nok\r\n" % reply)
    assert b"MSG re 1 2\r\nok\r\n" == asker.take()

    opened = {"type": "si", "acc": "A", "from": "tt.1", "to": "svt.1"}
    for fields in ((DEST,), (DEST, ONLY)):
        asker.send(message("tt.1", *fields, reply="re"))
        taker = egress(service, "svt.1", acc="A")
        assert [entry(asker, "tt.1"), opened, taker] == events(watcher)
    assert 1 == service.take().count(b"HMSG")


def test_a_request_that_is_only_traced_leaves_no_way_home() -> None:
    broker = a_broker()
    client(broker, "a", b"SUB svt.1 2\r\n")
    client(broker, "b").send(message("tt.1", DEST, ONLY, reply="re"))
    account = broker.server.switchboard.account("A")
    assert account is not None
    assert account.home is not None
    assert 0 == len(account.home)


def test_the_exporter_says_nothing_of_answers() -> None:
    broker = a_broker()
    watcher = client(broker, "a", b"SUB tr t\r\n")
    service = client(broker, "a", b"SUB svc.1 1\r\n")
    asker = client(broker, "b", b"SUB re 1\r\nPUB svc.1 re 1\r\nx\r\n")
    reply = service.take().split(b" ")[3].decode()
    service.send(message(reply, DEST))
    gone_home = {"type": "si", "acc": "B", "from": reply, "to": "re"}
    assert [entry(service, reply), gone_home] == events(watcher)
    assert b"Nats-Trace-Dest: trace disabled\r\n" in asker.take()


def test_a_tap_does_not_hear_what_is_only_traced() -> None:
    broker = a_broker()
    heard: list[bytes] = []
    broker.server.switchboard.tap("A", b"x", lambda message: heard.append(message.payload))
    publisher = client(broker)
    publisher.send(message("x", DEST, ONLY) + message("x", DEST, payload=b"y"))
    assert [b"y"] == heard


# ------------------------------------------------------------------------------------ destinations


def test_a_wrong_destination_is_logged_and_the_message_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = a_broker()
    taker, publisher = client(broker, "a", b"SUB x 1\r\n"), client(broker, verbose=True)
    with caplog.at_level(logging.ERROR, "broker"):
        assert b"+OK\r\n" == publisher.ask(message("x", ("Nats-Trace-Dest", "a.*")))
    assert 1 == taker.take().count(b"HMSG x 1")
    assert 'Destination "a.*" is not valid, won\'t be able to trace events' in caplog.text
    assert b"" == publisher.ask(message("x", ("Nats-Trace-Dest", "a.*"), ONLY))
    assert b"" == taker.take()


@pytest.mark.parametrize("destination", ["no", "$GR.x", "$NRG.x"])
def test_a_destination_that_the_publisher_may_not_publish_to_is_refused(destination: str) -> None:
    broker = a_broker()
    taker, publisher = client(broker, "a", b"SUB ok.1 1\r\n"), client(broker, "p", verbose=True)
    refused = f"-ERR 'Permissions Violation for Publish to \"{destination}\"'\r\n".encode()
    assert refused == publisher.ask(message("ok.1", ("Nats-Trace-Dest", destination)))
    assert b"" == taker.take()


def test_a_report_cannot_pass_for_the_brokers_word_on_clients() -> None:
    broker = VirtualBroker(presence=True)
    publisher = client(broker)
    refused = b"-ERR 'Permissions Violation for Publish to \"$EVENT.CONNECT\"'\r\n"
    assert refused == publisher.ask(message("x", ("Nats-Trace-Dest", "$EVENT.CONNECT")))


def test_headers_without_end_are_not_cut_up(caplog: pytest.LogCaptureFixture) -> None:
    broker = a_broker()
    taker, publisher = client(broker, "a", b"SUB x 1\r\nSUB tr 2\r\n"), client(broker)
    many = (("K", "v" * 90),) * 200
    with caplog.at_level(logging.ERROR, "broker"):
        publisher.send(message("x", DEST, *many) + message("x", DEST, ONLY, *many))
    assert 1 == taker.take().count(b"MSG ")
    assert "bytes of headers are too many to trace a message" in caplog.text


def test_an_old_header_ends_the_trace(caplog: pytest.LogCaptureFixture) -> None:
    broker = a_broker()
    taker = client(broker, "a", b"SUB x 1\r\nSUB tr 2\r\n")
    with caplog.at_level(logging.ERROR, "broker"):
        client(broker).send(message("x", DEST, ("Nats-Trace-Origin-Account", "A")))
    heard = taker.take()
    assert 1 == heard.count(b"HMSG")
    ending = b"Nats-Trace-Origin-Account: A\r\nNats-Trace-Dest: trace disabled\r\n\r\nx\r\n"
    assert heard.endswith(ending)
    assert 'header "Nats-Trace-Origin-Account" with value="A"' in caplog.text


def test_a_trace_may_be_asked_for_in_gzip() -> None:
    broker = a_broker()
    watcher, publisher = client(broker, "a", b"SUB tr t\r\n"), client(broker)
    publisher.send(message("x", DEST, ("Accept-Encoding", "gzip")))
    head, _, body = watcher.take().partition(b"\r\n\r\n")
    assert head.endswith(b"Content-Encoding: gzip")
    assert "x" == json.loads(gzip.decompress(body[:-2]))["events"][0]["subj"]
    publisher.send(message("x", DEST, ("Accept-Encoding", "br")))
    assert b"Content-Encoding: identity\r\n\r\n{" in watcher.take()


# ----------------------------------------------------------------------------------- other tracing


def test_a_sampled_traceparent_is_traced_where_the_account_says_so() -> None:
    broker = a_broker()
    watcher, publisher = client(broker, "b", b"SUB ext.tr t\r\n"), client(broker, "b")
    publisher.send(message("x", ("TraceParent", SAMPLED), ONLY))
    assert [entry(publisher, "x")] == events(watcher)
    publisher.send(message("x", ("traceparent", SAMPLED[:-1] + "0")) + b"PUB x 1\r\nx\r\n")
    assert [] == reports(watcher)
    client(broker, "a").send(message("ext.tr", ("traceparent", SAMPLED)))
    assert [] == reports(watcher)


def test_only_a_sample_of_them_is_traced() -> None:
    block = AccountBlock(
        "B", (UserBlock("b", account="B"),), trace_destination=b"tr", trace_sampling=25
    )
    broker = VirtualBroker(accounts=(block,))
    broker.server.switchboard.tracer._rng = Random(1)
    watcher = client(broker, "b", b"SUB tr t\r\n")
    taker, publisher = client(broker, "b", b"SUB x 1\r\n"), client(broker, "b")
    publisher.send(message("x", ("traceparent", SAMPLED)) * 200)
    heard = taker.take()
    untraced = heard.count(b"Nats-Trace-Dest: trace disabled\r\n")
    traced = len(reports(watcher))
    assert (200, 200) == (heard.count(b"HMSG"), traced + untraced)
    assert 30 < traced < 70


def test_without_a_server_there_is_still_something_to_tell() -> None:
    switch = Switch()
    link, heir = switch.connect(), switch.connect()
    switch.say(heir, b"SUB tr 1")
    start = switch.board.trace(link, Publish(b"x", b"", block(DEST), header_size=len(block(DEST))))
    assert start is not None
    assert start.publish is not None
    switch.board.forward(link, start.publish, 0.0, start.journey)
    (heard,) = switch.heard(heir)
    report = json.loads(heard.body)
    came_in = {"type": "in", "ts": "", "kind": 0, "cid": link.id, "acc": "$G", "subj": "x"}
    assert ({}, [came_in]) == (report["server"], report["events"])


SUBJECTS = st.sampled_from([b"a", b"b", b"a.a", b"a.b"])
FILTERS = st.sampled_from([b"a", b"b", b"*", b">", b"a.a", b"a.*", b"*.b", b"a.>"])
WANTS = st.lists(
    st.tuples(st.integers(0, 2), FILTERS, st.sampled_from([b"", b"g", b"h"])), max_size=9
)


@given(WANTS, SUBJECTS, st.lists(FILTERS, max_size=2), st.integers(0, 3))
@settings(max_examples=200, deadline=None)
def test_those_who_are_told_of_are_those_who_got_it(
    wants: list[tuple[int, bytes, bytes]], subject: bytes, denied: list[bytes], limit: int
) -> None:
    switch = Switch()
    links = [
        switch.connect(),
        switch.connect(echo=False),
        switch.connect(permissions=Permissions(subscribe=Rules(deny=tuple(denied)))),
    ]
    for number, (who, filter, queue) in enumerate(wants):
        sid = b"%d" % number
        switch.say(
            links[who], b"SUB " + b" ".join(filter for filter in (filter, queue, sid) if filter)
        )
        if limit:
            switch.say(links[who], b"UNSUB %s %d" % (sid, limit))
    source = links[1]
    for link in links:
        link.take_output()
    for _ in range(3):
        headers = block(("Nats-Trace-Dest", "report"))
        start = switch.board.trace(source, Publish(subject, b"", headers, header_size=len(headers)))
        assert start is not None
        assert start.publish is not None
        assert start.journey is not None
        switch.board.forward(source, start.publish, 0.0, start.journey)
        told = json.loads(start.journey.report().payload)["events"]
        takers = [one["cid"] for one in told if one["type"] == "eg" and "error" not in one]
        got = Counter(
            link.id
            for link in links
            for message in switch.heard(link)
            if message.subject == subject
        )
        assert got == Counter(takers)
        refused = [one for one in told if "error" in one]
        assert {source.id, links[2].id} >= {one["cid"] for one in refused}
