"""The system account as people use it: with nats-py, over TCP, from the guide's own words."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from nats.aio.client import Client

from broker import Broker
from broker.blocks import AccountBlock, UserBlock
from tests.clients.nats_py import connected, flushed, received, run

ACCOUNTS = (
    AccountBlock("SYS", users=(UserBlock("watcher", "secret", account="SYS"),)),
    AccountBlock("A", users=(UserBlock("ann", "pw", account="A"),)),
)


def _broker() -> Broker:
    return Broker(port=0, accounts=ACCOUNTS, system_account="SYS")


async def _ask(client: Client, subject: str, **options: Any) -> Any:
    answer = await client.request(subject, json.dumps(options).encode(), timeout=5)
    return json.loads(answer.data)


async def _watch(url: str) -> None:
    async with connected(url, user="watcher", password="secret") as watcher:
        events = await watcher.subscribe("$SYS.ACCOUNT.*.*")
        await flushed(watcher)
        async with connected(url, user="ann", password="pw", name="room 1"):
            (came,) = await received(events, 1)
        (went,) = await received(events, 1)
        assert ("$SYS.ACCOUNT.A.CONNECT", "$SYS.ACCOUNT.A.DISCONNECT") == (
            came.subject,
            went.subject,
        )
        client = json.loads(came.data)["client"]
        assert ("room 1", "ann", "python3") == (client["name"], client["user"], client["lang"])
        assert "Client Closed" == json.loads(went.data)["reason"]


def test_nats_py_watches_who_comes_and_goes() -> None:
    with _broker() as broker:
        run(_watch(broker.url))


async def _send_away(url: str) -> None:
    async with connected(url, user="watcher", password="secret") as watcher:
        gone = asyncio.Event()

        async def left() -> None:
            gone.set()

        async with connected(
            url, user="ann", password="pw", allow_reconnect=False, closed_cb=left
        ) as client:
            found = await _ask(watcher, "$SYS.REQ.SERVER.PING.CONNZ", acc="A", auth=True)
            (row,) = found["data"]["connections"]
            assert ("ann", client.client_id) == (row["authorized_user"], row["cid"])
            server = found["server"]["id"]
            done = await _ask(watcher, f"$SYS.REQ.SERVER.{server}.KICK", cid=row["cid"])
            assert "error" not in done
            await gone.wait()
        closed = await _ask(watcher, "$SYS.REQ.ACCOUNT.A.CONNZ", state=1)
        assert ["Kicked"] == [row["reason"] for row in closed["data"]["connections"]]


def test_nats_py_finds_a_client_and_sends_it_away() -> None:
    with _broker() as broker:
        run(_send_away(broker.url))


async def _who_am_i(url: str) -> None:
    async with connected(url, user="ann", password="pw") as client:
        told = await _ask(client, "$SYS.REQ.USER.INFO")
        assert {"user": "ann", "account": "A", "account_name": "A"} == told["data"]
        seen = await _ask(client, "$SYS.REQ.ACCOUNT.PING.CONNZ")
        assert [client.client_id] == [row["cid"] for row in seen["data"]["connections"]]


def test_nats_py_asks_who_it_is() -> None:
    with _broker() as broker:
        run(_who_am_i(broker.url))


_FILE = """
max_payload: %d
accounts { SYS { users = [{user: watcher, password: secret}] } }
system_account: SYS
"""


async def _reload(url: str, path: Path) -> list[Any]:
    async with connected(url, user="watcher", password="secret") as watcher:
        server = (await _ask(watcher, "$SYS.REQ.SERVER.PING.IDZ"))["id"]
        answers = []
        for text in (_FILE % 2000, "nonsense: 1"):
            path.write_text(text)
            answers.append(await _ask(watcher, f"$SYS.REQ.SERVER.{server}.RELOAD"))
        return answers


def test_nats_py_has_a_file_read_again(tmp_path: Path) -> None:
    path = tmp_path / "broker.conf"
    path.write_text(_FILE % 1000)
    with Broker("127.0.0.1", 0, config=path) as broker:
        done, refused = run(_reload(broker.url, path))
        assert ("error" in done, 2000) == (False, broker.options.max_payload)
        assert 500 == refused["error"]["code"]
        assert 'unknown field "nonsense"' in refused["error"]["description"]
