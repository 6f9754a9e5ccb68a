"""The pages of accounts, compared with what nats-server showed."""

from __future__ import annotations

import pytest

from broker.accountz import accountz, accstatz
from broker.blocks import Export, Import, MappingBlock, Target
from broker.queries import QueryError
from broker.snapshots import AccountInfo
from tests.broker.test_varz import STATS


def info(name: str, connections: int = 0, **fields: object) -> AccountInfo:
    numbers = (connections, 4, 3, 5, 50, 6, 60, 1)
    return AccountInfo(name, *numbers, **fields)  # type: ignore[arg-type]  # fields by name


ACCOUNTS = [info("$G", connections=2), info("A"), info("SYS")]


def test_all_accounts_are_listed_by_name() -> None:
    expected = {
        "server_id": "ID",
        "now": "2023-11-14T22:14:22.5Z",
        "system_account": "SYS",
        "accounts": ["$G", "A", "SYS"],
    }
    assert expected == accountz("", STATS, ACCOUNTS, "SYS")


def test_the_system_account_has_nats_servers_name_if_none_is_configured() -> None:
    assert "$SYS" == accountz("", STATS, ACCOUNTS, None)["system_account"]


def test_an_account_in_detail_has_nats_servers_fields_in_its_order() -> None:
    detail = accountz("$G", STATS, ACCOUNTS, None)["account_detail"]
    expected = {
        "account_name": "$G",
        "update_time": "2023-11-14T22:13:20Z",
        "expired": False,
        "complete": True,
        "jetstream_enabled": False,
        "leafnode_connections": 0,
        "client_connections": 2,
        "subscriptions": 3,
        "name_tag": "$G",
    }
    assert list(expected.items()) == list(detail.items())


def test_the_system_account_says_that_it_is_one() -> None:
    assert True is accountz("SYS", STATS, ACCOUNTS, "SYS")["account_detail"]["is_system"]


def test_an_unknown_account_is_refused_in_nats_servers_words() -> None:
    with pytest.raises(QueryError) as caught:
        accountz("NOPE", STATS, ACCOUNTS, None)
    assert "Account NOPE does not exist" == str(caught.value)


def test_an_account_by_jwt_is_called_what_it_calls_itself() -> None:
    school = info("AKEY", title="school")
    assert "school" == accountz("AKEY", STATS, [school], None)["account_detail"]["name_tag"]
    (row,) = accstatz(True, STATS, [school])["account_statz"]
    assert ("AKEY", "school") == (row["acc"], row["name"])


def test_what_an_account_shares_is_shown_as_nats_server_shows_it() -> None:
    shared = info(
        "A",
        exports=(
            Export(b"q.x", service=True),
            Export(b"s.>", service=False),
            Export(b"t", service=False, accounts=("B",)),
            Export(b"u.*", service=True, token=True, position=2),
        ),
        imports=(
            Import("B", b"s.>", service=False, prefix=b"p"),
            Import("B", b"q.x", service=True, to=b"my.q"),
        ),
        mappings=(
            MappingBlock(b"m", (Target(b"n"),)),
            MappingBlock(b"w", (Target(b"kept", 40),)),
        ),
    )
    detail = accountz("A", STATS, [shared], None)["account_detail"]
    exports = [
        {"subject": "q.x", "type": "service", "response_type": "Singleton"},
        {"subject": "s.>", "type": "stream"},
        {"subject": "t", "type": "stream", "approved_accounts": ["B"]},
        {
            "subject": "u.*",
            "type": "service",
            "token_req": True,
            "response_type": "Singleton",
            "account_token_position": 2,
        },
    ]
    assert exports == detail["exports"]
    state = {"invalid": False, "share": False, "tracking": False}
    imports = [
        {"subject": "s.>", "account": "B", "local_subject": "p.s.>", "type": "stream", **state},
        {
            "subject": "q.x",
            "account": "B",
            "to": "my.q",
            "local_subject": "my.q",
            "type": "service",
            **state,
        },
    ]
    assert imports == detail["imports"]
    mappings = {
        "m": [{"subject": "n", "weight": 100}],
        "w": [{"subject": "kept", "weight": 40}, {"subject": "w", "weight": 60}],
    }
    assert mappings == detail["mappings"]


def test_traffic_is_told_from_the_brokers_side() -> None:
    (row,) = accstatz(False, STATS, ACCOUNTS)["account_statz"]
    assert ["$G", "$G", 2, 0, 2, 3] == list(row.values())[:6]
    assert (6, 60) == (row["sent"]["msgs"], row["sent"]["bytes"])
    assert (5, 50) == (row["received"]["msgs"], row["received"]["bytes"])
    assert 1 == row["slow_consumers"]


def test_idle_accounts_are_shown_when_asked_for() -> None:
    names = [row["acc"] for row in accstatz(True, STATS, ACCOUNTS)["account_statz"]]
    assert ["$G", "A", "SYS"] == names
