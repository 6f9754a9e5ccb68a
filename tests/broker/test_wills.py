"""What a client leaves to be said: read, refused, and published in its name."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from broker.blocks import MappingBlock, Target
from broker.hook import Hook
from broker.identity import Identity
from broker.permissions import Permissions, Rules
from broker.wills import read_will
from tests.support.virtual_broker import VirtualBroker, VirtualClient

WILL = {"subject": "gone.ann", "payload": "ann"}


def hello(**options: Any) -> bytes:
    return b"CONNECT %s\r\n" % json.dumps({"verbose": False, "headers": True} | options).encode()


def a_broker(**settings: Any) -> VirtualBroker:
    return VirtualBroker(**({"presence": True} | settings))


def listener(broker: VirtualBroker) -> VirtualClient:
    return broker.connect(hello() + b"SUB gone.> 1\r\n")


def left_by(broker: VirtualBroker, client: VirtualClient, end: str = "reset") -> None:
    if end == "reset":
        client.socket.reset()
    else:
        client.socket.close()
    broker.reactor.settle()


# --------------------------------------------------------------------------------------- reading


def test_a_will_is_a_message() -> None:
    given = {"subject": "a.b", "payload": "é", "headers": {"K": "v", "L": ["1", "2"]}}
    will = read_will(given, 100)
    headers = b"NATS/1.0\r\nK: v\r\nL: 1\r\nL: 2\r\n\r\n"
    assert (b"a.b", b"", headers + "é".encode(), len(headers), False) == (
        will.message.subject,
        will.message.reply,
        will.message.payload,
        will.message.header_size,
        will.always,
    )
    assert b"" == read_will({"subject": "a", "payload": None}, 0).message.payload


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("gone", "give a map of subject and payload"),
        ([], "give a map of subject and payload"),
        ({}, "subject is missing, or nothing that one can publish to"),
        ({"subject": "a.*"}, "subject is missing, or nothing that one can publish to"),
        ({"subject": "a b"}, "subject is missing, or nothing that one can publish to"),
        ({"subject": "a\r\nPING"}, "subject is missing, or nothing that one can publish to"),
        ({"subject": 1}, "subject must be a text"),
        ({"subject": "\ud800"}, "subject is not Unicode"),
        ({"subject": "a", "payload": {}}, "payload must be a text"),
        ({"subject": "a", "payload": "x" * 101}, "101 bytes are more than max_payload, 100"),
        ({"subject": "a", "headers": "K: v"}, "headers must be a map of texts"),
        ({"subject": "a", "headers": {"K": 1}}, "headers must be a map of texts"),
        ({"subject": "a", "headers": {"K:": "v"}}, "headers must be a map of texts"),
        ({"subject": "a", "headers": {"": "v"}}, "headers must be a map of texts"),
        ({"subject": "a", "headers": {"K": "v\r\nL: w"}}, "a header must be one line"),
        ({"subject": "a", "always": "yes"}, "always must be true or false"),
        (
            {"subject": "a", "topic": "b"},
            "unknown member; there are subject, payload, headers, always",
        ),
    ],
)
def test_what_is_no_will_is_refused_in_words(given: object, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}$"):
        read_will(given, 100)


def test_a_client_with_a_wrong_will_is_told_and_not_let_in() -> None:
    broker = a_broker()
    watcher = broker.connect(hello() + b"SUB $EVENT.> 1\r\n")
    client = broker.accept()
    client.take()
    wrong = client.ask(hello(will={"payload": "x"}))
    assert (
        b"-ERR 'Invalid Will: subject is missing, or nothing that one can publish to'\r\n" == wrong
    )
    assert client.ended
    assert b"" == watcher.take()


def test_permissions_that_make_no_sense_are_not_asked_about_a_will() -> None:
    broker = a_broker()
    senseless = Permissions(publish=Rules((b"a..b",)))
    broker.server.authenticator = Hook(lambda _: Identity(permissions=senseless), blocks=False)
    client = broker.accept()
    client.take()
    assert b"-ERR 'Authorization Violation'\r\n" == client.ask(hello(will=WILL))


def test_a_will_that_is_deeper_than_any_stack_is_a_clients_mistake() -> None:
    broker = a_broker()
    client = broker.accept()
    client.take()
    deep = b'{"a":' * 600 + b"1" + b"}" * 600
    told = client.ask(b'CONNECT {"verbose":false,"will":{"subject":%s}}\r\n' % deep)
    assert b"-ERR 'Invalid Will: subject must be a text'\r\n" == told
    assert ["Protocol Violation"] == broker.reasons()


# ------------------------------------------------------------------------------------- publishing


def test_a_will_is_published_when_a_connection_breaks() -> None:
    broker = a_broker()
    heirs = listener(broker)
    left_by(broker, broker.connect(hello(will=WILL | {"headers": {"K": "v"}})))
    assert b"HMSG gone.ann 1 18 21\r\nNATS/1.0\r\nK: v\r\n\r\nann\r\n" == heirs.take()


def test_a_client_that_closes_by_itself_has_said_all_it_wanted() -> None:
    broker = a_broker()
    heirs = listener(broker)
    left_by(broker, broker.connect(hello(will=WILL)), "close")
    assert b"" == heirs.take()
    left_by(broker, broker.connect(hello(will=WILL | {"always": True})), "close")
    assert b"MSG gone.ann 1 3\r\nann\r\n" == heirs.take()


def test_a_client_that_the_broker_closes_has_a_will_as_well() -> None:
    broker = a_broker()
    heirs = listener(broker)
    broker.connect(hello(will=WILL)).send(b"NONSENSE\r\n")
    assert b"MSG gone.ann 1 3\r\nann\r\n" == heirs.take()


def test_a_client_that_is_heard_of_no_more_has_a_will_as_well() -> None:
    broker = a_broker(ping_interval=10.0, ping_max=1)
    heirs = listener(broker)
    broker.connect(hello(will=WILL))
    for _ in range(6):
        broker.reactor.run_for(5)
        heirs.send(b"PONG\r\n")
    assert ["Stale Connection"] == broker.reasons()
    assert b"MSG gone.ann 1 3\r\nann\r\n" in heirs.take()


def test_a_will_is_told_after_the_end_itself() -> None:
    broker = a_broker()
    heirs = broker.connect(hello() + b"SUB > 1\r\n")
    client = broker.connect(hello(will=WILL) + b"SUB > 1\r\n")
    heirs.take()
    left_by(broker, client)
    subjects = [line.split(b" ")[1] for line in heirs.take().splitlines() if line[:4] == b"MSG "]
    assert [b"$EVENT.DISCONNECT", b"gone.ann"] == subjects


def test_a_later_connect_replaces_the_will() -> None:
    broker = a_broker()
    heirs = listener(broker)
    client = broker.connect(hello(will=WILL))
    client.send(hello(will={"subject": "gone.bob"}))
    left_by(broker, client)
    assert b"MSG gone.bob 1 0\r\n\r\n" == heirs.take()


def test_an_empty_will_takes_an_earlier_one_back() -> None:
    broker = a_broker()
    heirs = listener(broker)
    client = broker.connect(hello(will=WILL | {"always": True}))
    client.send(hello(will={}))
    left_by(broker, client)
    assert b"" == heirs.take()


def test_where_presence_is_off_a_will_means_nothing() -> None:
    broker = a_broker(presence=False)
    heirs = listener(broker)
    left_by(broker, broker.connect(hello(will=WILL)))
    odd = broker.connect(hello(will="anything"))
    assert (b"", b"PONG\r\n") == (heirs.take(), odd.ask(b"PING\r\n"))


# ------------------------------------------------------------------------------------ permissions


def test_a_will_is_no_way_around_permissions() -> None:
    broker = a_broker(permissions=Permissions(publish=Rules(allow=(b"free.>",))))
    heirs = listener(broker)
    client = broker.accept()
    client.take()
    refused = b"-ERR 'Permissions Violation for Publish to \"gone.ann\"'\r\n"
    assert refused == client.ask(hello(will=WILL))
    assert b"PONG\r\n" == client.ask(b"PING\r\n")
    left_by(broker, client)
    assert b"" == heirs.take()


@pytest.mark.parametrize("subject", ["$EVENT.CONNECT", "$GR.x"])
def test_a_will_is_no_way_to_where_nobody_may_publish(subject: str) -> None:
    broker = a_broker()
    client = broker.accept()
    client.take()
    refused = b"-ERR 'Permissions Violation for Publish to \"%s\"'\r\n" % subject.encode()
    assert refused == client.ask(hello(will={"subject": subject}))


def test_what_a_client_may_do_in_the_end_decides(caplog: pytest.LogCaptureFixture) -> None:
    broker = a_broker()
    heirs = listener(broker)
    client = broker.connect(hello(will=WILL))
    strict = Permissions(publish=Rules(deny=(b"gone.>",)))
    broker.server.reload(broker.server.options.replace(permissions=strict))
    left_by(broker, client)
    assert b"" == heirs.take()
    assert "Will not published: Permissions Violation" in caplog.text


def test_a_will_that_has_become_too_large_is_not_published(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = a_broker()
    heirs = listener(broker)
    client = broker.connect(hello(will=WILL))
    broker.server.reload(broker.server.options.replace(max_payload=2))
    left_by(broker, client)
    assert b"" == heirs.take()
    assert "Will not published: 3 bytes are more than max_payload, 2" in caplog.text


def test_a_will_is_mapped_as_any_message() -> None:
    broker = a_broker(mappings=(MappingBlock(b"old.*", (Target(b"gone.$1"),)),))
    heirs = listener(broker)
    left_by(broker, broker.connect(hello(will={"subject": "old.x"})))
    assert b"MSG gone.x 1 0\r\n\r\n" == heirs.take()
