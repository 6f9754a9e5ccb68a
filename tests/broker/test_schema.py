"""The table of keys: that it is complete, names each key once, and knows fields that exist."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest

from broker.blocks import (
    AccountBlock,
    ClusterBlock,
    Export,
    Import,
    IngressLimit,
    LeafBlock,
    RemoteBlock,
    RemoteTls,
    Target,
    TlsBlock,
    UserBlock,
    WebsocketBlock,
)
from broker.config import Options
from broker.permissions import Permissions, Responses, Rules
from broker.schema import KEYS, Status, keys_of, rows

#: The record whose fields a block's keys set.
RECORDS: dict[str, type] = {
    "": Options,
    "authorization": Options,
    "user": UserBlock,
    "permissions": Permissions,
    "rules": Rules,
    "responses": Responses,
    "account": AccountBlock,
    "limits": AccountBlock,
    "msg_trace": AccountBlock,
    "export": Export,
    "import": Import,
    "source": Import,
    "target": Target,
    "tls": TlsBlock,
    "websocket": WebsocketBlock,
    "ingress": IngressLimit,
    "leafnodes": LeafBlock,
    "leaf authorization": LeafBlock,
    "leaf user": UserBlock,
    "leaf remote": RemoteBlock,
    "leaf tls": RemoteTls,
    "cluster": ClusterBlock,
    "cluster authorization": ClusterBlock,
}

#: Fields that no key sets: those of the command line and of programs that embed the broker.
WITHOUT_KEY = {"backlog", "config_file", "digest", "flow_capacity", "flow_evict_chance"}


def fields(path: str) -> set[str]:
    return {field.name for field in dataclasses.fields(RECORDS[path])}


def test_every_block_has_a_record() -> None:
    assert RECORDS.keys() == {key.path for key in KEYS}


@pytest.mark.parametrize("path", RECORDS)
def test_no_name_stands_twice_in_a_block(path: str) -> None:
    names = [name for key in KEYS if key.path == path for name in key.names]
    assert [] == [name for name, count in Counter(names).items() if count > 1]
    assert set(names) == set(keys_of(path))
    assert names == [name.lower() for name in names]


@pytest.mark.parametrize("path", RECORDS)
def test_keys_set_fields_that_exist(path: str) -> None:
    assert set() == {f for key in KEYS if key.path == path for f in key.field.split()} - fields(
        path
    )


def test_every_option_has_a_key_or_a_reason() -> None:
    set_by_keys = {
        f for key in KEYS if key.path in ("", "authorization") for f in key.field.split()
    }
    assert fields("") - WITHOUT_KEY == set_by_keys


def test_every_field_of_leafnodes_can_be_configured() -> None:
    paths = ("leafnodes", "leaf authorization")
    named = {f for path in paths for key in keys_of(path).values() for f in key.field.split()}
    assert fields("leafnodes") == named


@pytest.mark.parametrize(
    "path",
    ["tls", "websocket", "ingress", "responses", "user", "rules", "leaf remote", "leaf tls"],
)
def test_every_field_of_a_block_can_be_configured(path: str) -> None:
    named = {f for key in keys_of(path).values() for f in key.field.split()}
    not_keys = {"fallback"} if path == "tls" else {"account"} if path == "user" else set()
    assert fields(path) - not_keys == named


def test_every_key_says_what_it_is_or_why_it_is_refused() -> None:
    assert [] == [key for key in KEYS if not key.help or not key.names]
    assert [] == [key for key in KEYS if key.status is not Status.SERVED and key.field]


def test_defaults_are_those_of_the_records() -> None:
    defaults = {(row.key.path, row.key.names[0]): row.default for row in rows()}
    assert "4222" == defaults["", "port"]
    assert "2m0s" == defaults["", "ping_interval"]
    assert "2s" == defaults["tls", "timeout"]
    assert "single" == defaults["export", "response"]
    assert "" == defaults["", "server_name"]
    assert len(KEYS) == len(defaults)
