"""Clients are told of each other, in accounts that want it, and nobody can tell them lies."""

from __future__ import annotations

import json
from typing import Any

import pytest

from broker.blocks import AccountBlock, Export, Import, UserBlock
from tests.support.virtual_broker import QUIET, VirtualBroker, VirtualClient, flood, slow_broker


def hello(user: str = "", **options: Any) -> bytes:
    return b"CONNECT %s\r\n" % json.dumps({"verbose": False, "user": user} | options).encode()


def events(client: VirtualClient) -> list[tuple[str, dict[str, Any]]]:
    """What has come below `$EVENT.`: the last token of each subject, and its payload."""
    rest, found = client.take(), []
    while rest:
        line, _, rest = rest.partition(b"\r\n")
        words = line.split(b" ")
        size = int(words[-1])
        subject, payload, rest = words[1].decode(), rest[:size], rest[size + 2 :]
        if subject.startswith("$EVENT."):
            found.append((subject.removeprefix("$EVENT."), json.loads(payload)))
    return found


def observer(broker: VirtualBroker, user: str = "") -> VirtualClient:
    client = broker.connect(hello(user) + b"SUB $EVENT.> 1\r\n")
    assert b"" == client.take()
    return client


def two_accounts(**settings: Any) -> VirtualBroker:
    loud = AccountBlock(
        "A", (UserBlock("ann", account="A"), UserBlock("al", account="A")), **settings
    )
    quiet = AccountBlock("B", (UserBlock("bob", account="B"),))
    return VirtualBroker(accounts=(loud, quiet))


# ------------------------------------------------------------------------------------- what is told


def test_an_account_hears_who_comes_and_who_goes_and_why() -> None:
    broker = VirtualBroker(presence=True, server_name="here")
    watcher = observer(broker)
    peer = broker.connect(hello(name="peer", lang="python", version="9", user="pat"))
    ((subject, came),) = events(watcher)
    assert "CONNECT" == subject
    assert {
        "server": "here",
        "account": "$G",
        "cid": 2,
        "name": "peer",
        "user": "pat",
        "kind": "nats",
        "lang": "python",
        "version": "9",
    } == {name: value for name, value in came.items() if name not in ("time", "start")}
    peer.send(b"PUB a 3\r\nxyz\r\n")
    peer.socket.close()
    broker.reactor.settle()
    ((subject, went),) = events(watcher)
    assert ("DISCONNECT", "Client Closed") == (subject, went["reason"])
    assert (2, "peer", 1, 3, came["start"]) == (
        went["cid"],
        went["name"],
        went["in_msgs"],
        went["in_bytes"],
        went["start"],
    )


def test_nobody_hears_of_those_who_never_got_in() -> None:
    broker = VirtualBroker(presence=True, token="t")
    watcher = broker.connect(hello(auth_token="t") + b"SUB $EVENT.> 1\r\n")
    broker.connect(hello(auth_token="wrong")).take()
    assert [] == events(watcher)


def test_a_client_is_not_told_of_itself() -> None:
    broker = VirtualBroker(presence=True)
    client = observer(broker)
    client.send(hello(name="again") + b"SUB $EVENT.> 1\r\n")
    assert [] == events(client)
    assert b"-ERR 'Unknown Protocol Operation'\r\n" == client.ask(b"NONSENSE\r\n")


def test_an_event_is_not_given_to_the_one_who_goes() -> None:
    broker = VirtualBroker(presence=True)
    watcher = broker.connect(hello() + b"SUB $EVENT.DISCONNECT g 1\r\n")
    for number in range(12):
        broker.connect(hello(name=str(number)) + b"SUB $EVENT.> g 1\r\nNONSENSE\r\n")
    assert list(map(str, range(12))) == [what["name"] for _, what in events(watcher)]


def test_what_happens_in_an_account_is_told_there_alone() -> None:
    broker = two_accounts(presence=True)
    inside, outside = observer(broker, "ann"), observer(broker, "bob")
    broker.connect(hello("al")).socket.close()
    broker.connect(hello("bob")).socket.close()
    broker.reactor.settle()
    told = [(subject, what["user"]) for subject, what in events(inside)]
    assert [("CONNECT", "al"), ("DISCONNECT", "al")] == [one for one in told if one[1] == "al"]
    assert {"al"} == {user for _, user in told}
    assert [] == events(outside)


def test_whoever_changes_accounts_goes_from_one_and_comes_to_the_other() -> None:
    a = AccountBlock(
        "A", (UserBlock("ann", account="A"), UserBlock("al", account="A")), presence=True
    )
    b = AccountBlock("B", (UserBlock("bob", account="B"),), presence=True)
    broker = VirtualBroker(accounts=(a, b))
    first, second = observer(broker, "al"), observer(broker, "bob")
    mover = broker.connect(hello("ann"))
    events(first)
    mover.send(hello("bob"))
    assert [("DISCONNECT", "Moved To Another Account")] == [
        (subject, what["reason"]) for subject, what in events(first)
    ]
    assert ["CONNECT"] == [subject for subject, _ in events(second)]
    mover.socket.close()
    broker.reactor.settle()
    assert [] == events(first)
    assert ["DISCONNECT"] == [subject for subject, _ in events(second)]


def test_whoever_a_reload_moves_goes_from_one_account_and_comes_to_the_other() -> None:
    def accounts(a: str, b: str) -> tuple[AccountBlock, ...]:
        return tuple(
            AccountBlock(
                name, tuple(UserBlock(user, account=name) for user in users), presence=True
            )
            for name, users in (("A", a.split()), ("B", b.split()))
        )

    broker = VirtualBroker(accounts=accounts("al ann", "bob"))
    first, second = observer(broker, "al"), observer(broker, "bob")
    broker.connect(hello("ann"))
    events(first)
    options = broker.server.options
    broker.server.reload(options.replace(accounts=accounts("al", "bob ann")))
    broker.reactor.settle()
    assert [("DISCONNECT", "ann")] == [(subject, what["user"]) for subject, what in events(first)]
    assert [("CONNECT", "ann")] == [(subject, what["user"]) for subject, what in events(second)]


def test_a_second_connect_that_is_refused_ends_what_was_told() -> None:
    broker = two_accounts(presence=True)
    watcher = observer(broker, "al")
    peer = broker.connect(hello("ann"))
    peer.send(hello("nobody"))
    assert ["CONNECT", "DISCONNECT"] == [subject for subject, _ in events(watcher)]


def test_nothing_is_told_where_nobody_asked_for_it() -> None:
    broker = VirtualBroker()
    watcher = observer(broker)
    broker.connect(hello(name="peer")).socket.close()
    broker.reactor.settle()
    assert [] == events(watcher)
    assert b"MSG $EVENT.CONNECT 1 1\r\nx\r\n" == watcher.ask(b"PUB $EVENT.CONNECT 1\r\nx\r\n")


def test_nothing_is_told_while_the_broker_stops() -> None:
    broker = VirtualBroker(presence=True)
    watcher = observer(broker)
    broker.connect(hello(name="peer", will={"subject": "$EVENT"}))
    events(watcher)
    broker.server.close()
    broker.reactor.settle()
    assert [] == events(watcher)
    assert ["Server Shutdown"] * 2 == broker.reasons()


def test_a_reload_begins_and_ends_it() -> None:
    broker = VirtualBroker()
    watcher = observer(broker)
    options = broker.server.options
    assert ["Reloaded: presence = true"] == broker.server.reload(options.replace(presence=True))
    peer = broker.connect(hello(name="peer"))
    assert ["CONNECT"] == [subject for subject, _ in events(watcher)]
    broker.server.reload(options)
    peer.socket.close()
    broker.reactor.settle()
    assert [] == events(watcher)
    broker.server.reload(options.replace(presence=True))
    broker.connect(hello(name="another"))
    assert ["CONNECT"] == [subject for subject, _ in events(watcher)]


# --------------------------------------------------------------------------------- slow consumers


def test_an_account_hears_who_was_too_slow_and_what_that_one_does_not_get() -> None:
    broker = slow_broker(slow_consumer_notices=True, max_pending=5000)
    watcher = observer(broker)
    broker.connect(hello(name="sleepy") + b"SUB a 1\r\n", capacity=1000)
    publisher = broker.connect()
    publisher.send(b"PUB a 1000\r\n%s\r\n" % (b"x" * 1000) * 7)
    ((subject, what),) = events(watcher)
    assert ("SLOW_CONSUMER", "sleepy", "Slow Consumer (Pending Bytes)") == (
        subject,
        what["name"],
        what["reason"],
    )
    # 4 fit, the next one did not; after that the client was deaf.
    framed = len(b"MSG a 1 1000\r\n") + 1000 + 2
    assert (4 + 3, 4 * framed) == (what["dropped_messages"], what["dropped_bytes"])
    (record,) = broker.server.closed()
    assert what["dropped_bytes"] == record.info().pending_bytes


def test_messages_that_the_stream_held_are_counted_by_their_size() -> None:
    broker = slow_broker(slow_consumer_notices=True)
    watcher = observer(broker)
    broker.connect(hello(name="sleepy") + b"SUB a 1\r\n", capacity=2000)
    flood(broker.connect(), 15)  # each in a turn of its own
    ((_, what),) = events(watcher)
    left = what["dropped_bytes"] / len(b"MSG a 1 1000\r\n" + b"x" * 1000 + b"\r\n")
    assert 8 < left < 10
    assert abs(left + 1 - what["dropped_messages"]) < 1


def test_the_record_of_a_slow_consumer_says_what_the_stream_still_held() -> None:
    broker = slow_broker()
    broker.connect(QUIET + b"SUB a 1\r\n", capacity=1000)
    flood(broker.connect(), 15)
    (record,) = broker.server.closed()
    assert 8000 < record.info().pending_bytes <= 10_000
    assert 1 == record.info().subscriptions


def test_notices_and_presence_are_wanted_apart() -> None:
    broker = slow_broker(presence=True)
    watcher = observer(broker)
    broker.connect(hello(name="sleepy") + b"SUB a 1\r\n", capacity=1000)
    flood(broker.connect(), 15)
    told = [(subject, what["name"]) for subject, what in events(watcher)]
    assert [("CONNECT", "sleepy"), ("CONNECT", ""), ("DISCONNECT", "sleepy")] == told


# ---------------------------------------------------------------------------------------- no lies


@pytest.mark.parametrize("way", ['"pedantic":false,', '"pedantic":true,'])
def test_clients_cannot_publish_what_the_broker_says(way: str) -> None:
    broker = VirtualBroker(presence=True)
    watcher = observer(broker)
    liar = broker.connect(b'CONNECT {"verbose":false,%s"headers":true}\r\n' % way.encode())
    events(watcher)
    refused = b"-ERR 'Permissions Violation for Publish to \"$EVENT.CONNECT\"'\r\n"
    assert refused == liar.ask(b"PUB $EVENT.CONNECT 2\r\n{}\r\n")
    assert refused == liar.ask(b"HPUB $EVENT.CONNECT 12 14\r\nNATS/1.0\r\n\r\n{}\r\n")
    assert refused == liar.ask(b"PUB $EVENT.CONNECT 2\r\n{}\r\n")
    assert b"" == liar.ask(b"PUB $EVENT 2\r\n{}\r\n")
    assert b"" == watcher.take()


def test_no_detour_leads_to_where_the_broker_speaks() -> None:
    a = AccountBlock(
        "A",
        (UserBlock("ann", account="A"),),
        exports=(Export(b">", service=False), Export(b"svc", service=True)),
    )
    b = AccountBlock(
        "B",
        (UserBlock("bob", account="B"),),
        imports=(Import("A", b">", service=False), Import("A", b"svc", service=True)),
        presence=True,
    )
    broker = VirtualBroker(accounts=(a, b))
    asker = broker.connect(hello("bob") + b"SUB $EVENT.> 1\r\n")
    service = broker.connect(hello("ann") + b"SUB svc 1\r\n")
    service.send(b"PUB $EVENT.CONNECT 2\r\n{}\r\n")
    asker.send(b"PUB svc $EVENT.CONNECT 2\r\nhi\r\n")
    reply = service.take().split(b" ")[3]
    assert reply.startswith(b"_R_.")
    service.send(b"PUB %s 2\r\n{}\r\n" % reply)
    assert b"" == asker.take()


def test_what_the_broker_says_may_be_exported() -> None:
    a = AccountBlock(
        "A",
        (UserBlock("ann", account="A"),),
        exports=(Export(b"$EVENT.>", service=False),),
        presence=True,
    )
    b = AccountBlock(
        "B",
        (UserBlock("bob", account="B"),),
        imports=(Import("A", b"$EVENT.>", service=False, prefix=b"a"),),
    )
    broker = VirtualBroker(accounts=(a, b))
    listener = broker.connect(hello("bob") + b"SUB a.> 1\r\n")
    broker.connect(hello("ann"))
    assert listener.take().startswith(b"MSG a.$EVENT.CONNECT 1 ")
