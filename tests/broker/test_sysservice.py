"""The system account: what is told there, when, to whom, and what it costs where nobody listens."""

from __future__ import annotations

import sys
from random import Random

import pytest

from broker.blocks import AccountBlock, Export, Import, UserBlock
from broker.hooks import Silent
from broker.snapshots import AccountInfo, ConnectionInfo
from broker.sysservice import REST, STATSZ_PERIOD
from tests.support.system import ACCOUNTS, Watched, arrived, hello
from tests.support.virtual_broker import VirtualBroker, flood


def test_who_comes_and_goes_is_told() -> None:
    broker = Watched()
    watcher = broker.watcher("$SYS.ACCOUNT.*.CONNECT", "$SYS.ACCOUNT.*.DISCONNECT")
    client = broker.enter("a", name="ann")
    (came,) = broker.events(watcher)
    client.socket.close()
    (went,) = broker.events(watcher)
    assert ["$SYS.ACCOUNT.A.CONNECT", "$SYS.ACCOUNT.A.DISCONNECT"] == [came.subject, went.subject]
    told = came.json["client"]
    assert (2, "A", "a", "ann") == (told["id"], told["acc"], told["user"], told["name"])
    assert "Client Closed" == went.json["reason"]
    assert (broker.id, "us") == (went.json["server"]["id"], went.json["server"]["name"])


def test_what_is_told_is_numbered_and_named_anew_each_time() -> None:
    broker = Watched()
    watcher = broker.watcher("$SYS.ACCOUNT.>")
    broker.enter("a").socket.close()
    bodies = [event.json for event in broker.events(watcher)]
    numbers = [body["server"]["seq"] for body in bodies]
    assert numbers == sorted(set(numbers))
    assert len({(body["type"], body["id"]) for body in bodies}) == len({b["id"] for b in bodies})


def test_another_connect_is_told_as_another_client() -> None:
    broker = Watched()
    watcher = broker.watcher("$SYS.ACCOUNT.*.CONNECT")
    broker.enter("a").send(hello("b"))
    subjects = [event.subject for event in broker.events(watcher)]
    assert ["$SYS.ACCOUNT.A.CONNECT", "$SYS.ACCOUNT.B.CONNECT"] == subjects


def test_a_failed_login_is_told_with_whom_it_claimed_to_be() -> None:
    broker = Watched()
    watcher = broker.watcher("$SYS.SERVER.*.CLIENT.AUTH.ERR", "$SYS.ACCOUNT.$G.DISCONNECT")
    broker.connect(b'CONNECT {"user":"a","pass":"secret"}\r\n')
    failed, gone = broker.events(watcher)
    assert f"$SYS.SERVER.{broker.id}.CLIENT.AUTH.ERR" == failed.subject
    assert ("a", "$G") == (failed.json["client"]["user"], failed.json["client"]["acc"])
    assert "Authentication Failure" == failed.json["reason"] == gone.json["reason"]
    assert b"secret" not in failed.body + gone.body


def test_a_wrong_token_is_not_told() -> None:
    broker = Watched(accounts=(), system_account=None, token="right")
    seen: list[tuple[str, str]] = []

    class Note(Silent):
        def auth_failed(self, info: ConnectionInfo) -> None:
            seen.append((info.user, info.reason))

    broker.server.observer.add(Note())
    broker.connect(b'CONNECT {"auth_token":"wrong"}\r\n')
    assert [("[REDACTED]", "Authentication Failure")] == seen


def test_silence_until_it_is_too_late_is_no_failed_login() -> None:
    broker = Watched()
    watcher = broker.watcher("$SYS.SERVER.*.CLIENT.AUTH.ERR", "$SYS.ACCOUNT.*.DISCONNECT")
    broker.accept()
    broker.reactor.run_for(3.0)
    (gone,) = broker.events(watcher)
    told = gone.subject, gone.json["reason"]
    assert ("$SYS.ACCOUNT.$G.DISCONNECT", "Authentication Timeout") == told


def test_a_slow_consumer_is_told_by_the_reason_of_its_disconnect() -> None:
    broker = Watched(max_payload=1000, max_pending=10_000)
    watcher = broker.watcher("$SYS.ACCOUNT.*.DISCONNECT")
    slow = broker.connect(hello("a") + b"SUB a 1\r\n", capacity=1000)
    flood(broker.enter("a"), 30)
    (gone,) = broker.events(watcher)
    told = gone.json["client"]["id"], gone.json["reason"]
    assert (slow.connection.cid, "Slow Consumer (Pending Bytes)") == told


# --- how many there are in an account


def conns(broker: Watched, watcher: object) -> list[tuple[str, int]]:
    """The accounts that were told of under one of both names, with their connections."""
    events = broker.events(watcher)  # type: ignore[arg-type] # a client of the broker's
    told = [event.json for event in events if event.subject.startswith("$SYS.ACCOUNT.")]
    twice = [event.json for event in events if event.subject.startswith("$SYS.SERVER.ACCOUNT.")]
    assert [(one["id"], one["conns"]) for one in told] == [(o["id"], o["conns"]) for o in twice]
    return [(body["acc"], body["conns"]) for body in told]


def test_how_many_there_are_is_told_under_both_names_when_it_changes() -> None:
    broker = Watched()
    watcher = broker.watcher("$SYS.ACCOUNT.*.SERVER.CONNS", "$SYS.SERVER.ACCOUNT.*.CONNS")
    client = broker.enter("a")
    assert [("A", 1)] == conns(broker, watcher)
    client.socket.close()
    assert [("A", 0)] == conns(broker, watcher)


def test_many_who_come_at_once_are_told_as_few_counts_of_which_the_last_is_right() -> None:
    broker = Watched()
    watcher = broker.watcher("$SYS.ACCOUNT.*.SERVER.CONNS", "$SYS.SERVER.ACCOUNT.*.CONNS")
    clients = [broker.enter("a") for _ in range(5)]
    assert [("A", 1), ("A", 5)] == conns(broker, watcher)
    for client in clients:
        client.socket.close()
    told = conns(broker, watcher)
    assert (("A", 0), True) == (told[-1], len(told) <= 2)


def test_the_global_account_is_not_counted() -> None:
    broker = Watched(no_auth_user="g", users=(UserBlock("g", "g"),))
    watcher = broker.watcher("$SYS.>")
    broker.connect(hello()).socket.close()
    told = [event.subject for event in broker.events(watcher)]
    assert ["$SYS.ACCOUNT.$G.CONNECT", "$SYS.ACCOUNT.$G.DISCONNECT"] == told


# --- the beat


def test_statsz_comes_every_ten_seconds_while_somebody_is_there() -> None:
    broker = Watched()
    watcher = broker.watcher("$SYS.SERVER.*.STATSZ")
    broker.reactor.run_for(3 * STATSZ_PERIOD)
    events = arrived(watcher.take())
    assert [f"$SYS.SERVER.{broker.id}.STATSZ"] * 3 == [event.subject for event in events]
    assert {"server", "statsz"} == set(events[0].json)
    assert 1 == events[0].json["statsz"]["connections"]


def test_accounts_tell_their_numbers_from_time_to_time_without_a_change() -> None:
    broker = Watched()
    broker.enter("a")
    watcher = broker.watcher("$SYS.ACCOUNT.A.SERVER.CONNS")
    broker.reactor.run_for(3 * STATSZ_PERIOD + REST)
    assert [1] == [event.json["conns"] for event in broker.events(watcher)]


def test_the_beat_ends_with_the_last_who_was_there() -> None:
    broker = Watched()
    assert broker.reactor.next_deadline() is None
    watcher = broker.watcher()
    watcher.socket.close()
    broker.reactor.run_for(STATSZ_PERIOD + 1)
    assert broker.reactor.next_deadline() is None


def test_without_anybody_in_the_system_account_nothing_is_counted_or_put_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broker = Watched()
    monkeypatch.delitem(sys.modules, "broker.events", raising=False)
    monkeypatch.delitem(sys.modules, "broker.sysdesk", raising=False)
    monkeypatch.setattr("broker.accounts.Account.info", _nobody_counts)
    for _ in range(3):
        broker.enter("a").socket.close()
    broker.rest()
    assert [] == [name for name in ("broker.events", "broker.sysdesk") if name in sys.modules]


def _nobody_counts(self: object) -> AccountInfo:
    raise AssertionError("an account was counted, and nobody had asked")


def test_an_event_that_nobody_listens_for_is_not_put_together() -> None:
    broker = Watched()
    watcher = broker.watcher("$SYS.ACCOUNT.B.CONNECT")
    broker.enter("a").socket.close()
    broker.enter("b")
    (event,) = broker.events(watcher)
    assert 1 == event.json["server"]["seq"]


def test_a_reload_takes_nothing_from_it() -> None:
    broker = Watched()
    watcher = broker.watcher("$SYS.ACCOUNT.*.CONNECT")
    client = broker.enter("a")
    more = AccountBlock("C", users=(UserBlock("c", "c", account="C"),))
    broker.server.reload(broker.server.options.replace(accounts=(*ACCOUNTS, more)))
    broker.enter("c")
    subjects = [event.subject for event in broker.events(watcher)]
    assert ["$SYS.ACCOUNT.A.CONNECT", "$SYS.ACCOUNT.C.CONNECT"] == subjects
    assert 3 == broker.answer(watcher, "$SYS.REQ.SERVER.PING")["statsz"]["connections"]
    assert "a" == broker.answer(client, "$SYS.REQ.USER.INFO")["data"]["user"]


# --- the end


def test_a_lame_duck_says_so() -> None:
    broker = Watched()
    watcher = broker.watcher("$SYS.SERVER.*.LAMEDUCK")
    broker.server.lame_duck(lambda: None)
    (event,) = broker.events(watcher)
    assert f"$SYS.SERVER.{broker.id}.LAMEDUCK" == event.subject
    assert ("us", broker.id) == (event.json["name"], event.json["id"])


def test_a_shutdown_is_the_last_that_is_told() -> None:
    broker = Watched()
    watcher = broker.watcher("$SYS.SERVER.>", "$SYS.ACCOUNT.>")
    broker.enter("a")
    broker.events(watcher)
    broker.server.close()
    (event,) = broker.events(watcher)
    assert f"$SYS.SERVER.{broker.id}.SHUTDOWN" == event.subject


# --- who may hear and ask


def test_an_ordinary_account_hears_nothing_of_it() -> None:
    broker = Watched()
    client = broker.enter("a")
    client.send(b"SUB $SYS.> 1\r\nSUB > 2\r\n")
    watcher = broker.watcher("$SYS.>")
    broker.enter("b").socket.close()
    assert [] != broker.events(watcher)
    assert [] == arrived(client.take())


def test_without_a_name_the_system_account_is_there_and_nobody_is_in_it() -> None:
    broker = VirtualBroker()
    assert broker.server.switchboard.account("$SYS") is not None
    client = broker.connect(hello())
    client.send(b"SUB r 1\r\nPUB $SYS.REQ.SERVER.PING r 0\r\n\r\n")
    (answer,) = arrived(client.take())
    assert answer.headers.startswith("NATS/1.0 503")


def test_users_of_the_system_account_alone_do_not_lock_the_others_out() -> None:
    users = (AccountBlock("$SYS", users=(UserBlock("s", "s", account="$SYS"),)),)
    broker = Watched(accounts=users, system_account=None)
    watcher = broker.watcher("$SYS.ACCOUNT.*.CONNECT")
    broker.connect(hello())
    (event,) = broker.events(watcher)
    assert "$SYS.ACCOUNT.$G.CONNECT" == event.subject
    broker.connect(b'CONNECT {"user":"s","pass":"x"}\r\n')
    assert ["Authentication Failure"] == broker.reasons()


def test_another_account_may_import_events() -> None:
    shared = Export(b"$SYS.ACCOUNT.*.CONNECT", service=False)
    wanted = Import("SYS", b"$SYS.ACCOUNT.*.CONNECT", service=False)
    accounts = (
        AccountBlock("SYS", exports=(shared,)),
        AccountBlock("A", users=(UserBlock("a", "a", account="A"),), imports=(wanted,)),
    )
    broker = Watched(accounts=accounts)
    client = broker.enter("a")
    client.send(b"SUB $SYS.ACCOUNT.> 1\r\n")
    broker.enter("a")
    assert ["$SYS.ACCOUNT.A.CONNECT"] == [event.subject for event in broker.events(client)]


def test_what_clients_publish_below_sys_is_no_event_and_goes_where_they_may_publish() -> None:
    broker = Watched()
    watcher = broker.watcher("$SYS.>")
    client = broker.enter("a")
    broker.events(watcher)
    client.send(b"SUB $SYS.ACCOUNT.> 1\r\nPUB $SYS.ACCOUNT.A.CONNECT 1\r\nx\r\n")
    assert ["$SYS.ACCOUNT.A.CONNECT"] == [one.subject for one in arrived(client.take())]
    assert [] == broker.events(watcher)


def test_it_makes_no_pattern_of_a_flow_narrower() -> None:
    broker = VirtualBroker()
    client = broker.connect(hello() + b"SUB *.*.*.* 1\r\nSUB *.*.*.*.* 2\r\n")
    client.send(b"PUB s1.student.heart.beat 0\r\n\r\nPUB a.b.c.d.e 0\r\n\r\n")
    patterns = {flow.pattern for _, flow in broker.server.plane.flows}
    assert {b"*.*.*.*", b"*.*.*.*.*"} == patterns
    # And yet what is asked of the broker is answered, where such a flow fits the subject.
    client.send(b"SUB r 3\r\nPUB $SYS.REQ.ACCOUNT.PING.STATZ r 0\r\n\r\n")
    subjects = [one.subject for one in arrived(client.take())]
    assert subjects[-2:] == ["$SYS.REQ.ACCOUNT.PING.STATZ", "r"]


@pytest.mark.parametrize("seed", range(3))
def test_it_answers_whatever_the_flow_table_forgets(seed: int) -> None:
    broker = Watched(flow_evict_chance=0.5)
    broker.server.plane.flows._rng = Random(seed)
    client = broker.enter("a")
    client.send(b"SUB *.*.*.* 1\r\nSUB $SYS.> 2\r\n")
    for _ in range(5):
        assert "a" == broker.answer(client, "$SYS.REQ.USER.INFO")["data"]["user"]


def test_an_account_whose_name_is_no_token_does_no_harm() -> None:
    accounts = (
        AccountBlock("SYS", users=(UserBlock("s", "s", account="SYS"),)),
        AccountBlock("a b", users=(UserBlock("a", "a", account="a b"),)),
    )
    broker = Watched(accounts=accounts)
    watcher = broker.watcher("$SYS.ACCOUNT.>")
    broker.enter("a")
    broker.enter("s")
    assert {"SYS"} == {event.subject.split(".")[2] for event in broker.events(watcher)}
