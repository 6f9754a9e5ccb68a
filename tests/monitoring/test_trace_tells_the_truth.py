"""What ``/trace`` says, and what a publish then does."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from broker import Broker
from tests.support.raw_client import RawClient

QUIET = b'CONNECT {"verbose":false,"pedantic":false}\r\n'
SUBJECTS = ("a", "b", "a.b", "a.c", "a.b.c", "b.b", "b.c.d", "c", "a.b.c.d")


@pytest.fixture
def broker() -> Iterator[Broker]:
    with Broker(port=0, http_port=0) as running:
        yield running


def trace(broker: Broker, subject: str) -> dict[str, Any]:
    query = urllib.parse.urlencode({"subject": subject})
    url = f"http://127.0.0.1:{broker.http_port}/trace?{query}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        page: dict[str, Any] = json.load(answer)
    return page


def sids(client: RawClient) -> list[str]:
    """By which subscriptions a client was sent messages until now."""
    frames = client.ask(b"")
    return [frame.split()[2].decode() for frame in frames if frame.startswith(b"MSG ")]


@pytest.mark.parametrize("first", ["trace", "publish"])
def test_what_is_traced_is_what_happens(broker: Broker, first: str) -> None:
    with RawClient(broker.port) as one, RawClient(broker.port) as two:
        one.ask(QUIET + b"SUB a.* 1\r\nSUB > 2\r\nSUB a.b q 3\r\nSUB b.> 4\r\nUNSUB 4 9\r\n")
        two.ask(QUIET + b"SUB *.b 1\r\nSUB *.b q 2\r\nSUB b 3\r\nSUB a.*.c r 4\r\n")
        cids = [client.info["client_id"] for client in (one, two)]
        for subject in SUBJECTS:
            found = trace(broker, subject) if first == "trace" else None
            one.send(b"PUB %s 0\r\n\r\n" % subject.encode())
            got = [
                (cid, sid)
                for cid, client in zip(cids, (one, two), strict=True)
                for sid in sids(client)
            ]
            found = found or trace(broker, subject)
            assert found["copies"] == len(got)
            sure = [(row["cid"], row["sid"]) for row in found["plain"]]
            chance = [
                {(row["cid"], row["sid"]) for row in pick["members"]} for pick in found["picks"]
            ]
            left = [copy for copy in got if copy not in sure]
            assert sorted(sure) == sorted(copy for copy in got if copy in sure)
            assert all(any(copy in members for members in chance) for copy in left)
