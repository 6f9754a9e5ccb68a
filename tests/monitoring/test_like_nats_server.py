"""Our pages beside those of the real nats-server, after the same traffic."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from broker import Broker
from tests.support.raw_client import RawClient
from tests.support.servers import RealServer

#: What differs from run to run, or says what the page does not promise: compared by type.
VOLATILE = re.compile(
    "server_id|server_name|now|port|start|last_activity|stop|rtt|uptime|idle|pending_bytes"
)

#: What a server counts of its own, too: compared by type.
OWN = re.compile("num_.*|.*_fanout|cache_hit_rate|subscriptions|update_time|config_load_time")


class Monitored(RealServer):
    """The real server with a monitor on any free port."""

    def __init__(self) -> None:
        super().__init__()
        self._configuration += '\nhttp: "127.0.0.1:-1"\n'

    @property
    def http_port(self) -> int:
        """The monitor's port, as the log tells it."""
        (found,) = re.findall(r"http monitor on \S+:(\d+)", "\n".join(self.log))
        return int(found)


class Pair:
    """The real server's monitor and ours, after the same clients have done the same things."""

    def __init__(self, real: Monitored, ours: Broker) -> None:
        assert ours.http_port is not None
        self._monitors = real.http_port, ours.http_port
        self.clients = [_Clients(port) for port in (real.port, ours.port)]

    def ask(self, target: str) -> list[tuple[int, str | None, Any]]:
        """What each of them answers: status, content type and body, made comparable."""
        pairs = zip(self._monitors, self.clients, strict=True)
        return [_ask(port, target, clients.cids) for port, clients in pairs]


class _Clients:
    """A busy one, an idle one, one that has left and one that was sent away."""

    def __init__(self, port: int) -> None:
        hello = b'CONNECT {"verbose":false,"name":"%s","lang":"x","version":"1"}\r\n'
        self._clients = [RawClient(port) for _ in range(4)]
        one, two, gone, wrong = self._clients
        one.ask(
            hello % b"one" + b"SUB foo.* 1\r\nSUB foo.> q 2\r\nUNSUB 2 5\r\nSUB bar 3\r\n"
            b"PUB foo.a 1\r\nx\r\nPUB foo.a 1\r\nx\r\n"
        )
        two.ask(hello % b"two" + b"SUB foo.* 1\r\n")
        gone.ask(hello % b"gone")
        wrong.send(b"NONSENSE\r\n")
        wrong.read_to_end()
        gone.send_eof()
        gone.read_to_end()
        self.cids = {client.info["client_id"]: i for i, client in enumerate(self._clients)}

    def close(self) -> None:
        """All of them leave."""
        for client in self._clients:
            client.close()


def _ask(port: int, target: str, cids: dict[int, int]) -> tuple[int, str | None, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", target)
        answer = connection.getresponse()
        body = answer.read().decode()
        content_type = answer.getheader("Content-Type")
    finally:
        connection.close()
    if content_type == "application/json":
        body = _plain(json.loads(body), cids)
    return answer.status, content_type, body


def _plain(value: Any, cids: dict[int, int]) -> Any:
    """Pairs in order for objects; cids by rank; types for what differs from run to run."""
    if isinstance(value, list):
        return [_plain(item, cids) for item in value]
    if not isinstance(value, dict):
        return value
    return [(name, _value(name, item, cids)) for name, item in value.items()]


def _value(name: str, item: Any, cids: dict[int, int]) -> Any:
    if name == "cid":
        return cids[item]
    if name.startswith("subscriptions_list"):
        return sorted(_plain(item, cids))  # nats-server's order is that of Go's maps: none
    if VOLATILE.fullmatch(name) or OWN.fullmatch(name):
        return "number" if isinstance(item, (int, float)) else type(item).__name__
    return _plain(item, cids)


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    real = Monitored()
    with real, Broker(port=0, http_port=0) as ours:
        both = Pair(real, ours)
        yield both
        for clients in both.clients:
            clients.close()


@pytest.mark.parametrize(
    "target",
    [
        "/connz",
        "/connz?sort=msgs_to&limit=1",
        "/connz?offset=1",
        "/connz?auth=1",
        "/connz?acc=$G&subs=detail",
        "/connz?subs=1",
        "/connz?user=nobody",
        "/connz?mqtt_client=x",
        "/connz?limit=-3&offset=-5",
        "/connz?state=closed&sort=stop",
        "/connz?state=closed&auth=1&sort=reason",
        "/connz?state=any&cid=1000",
        "/connz?sort=stop",
        "/connz?sort=nope",
        "/connz?state=nope",
        "/connz?auth=x",
        "/connz?subs=x",
        "/connz?offset=x",
        "/connz?limit=99999999999999999999",
        "/connz?cid=-1",
        "/connz?offset=x&auth=y&state=z",
        "/subsz",
        "/subsz?test=foo",
        "/subsz?subs=1&test=foo.a",
        "/subsz?test=a..b",
        "/subsz?test=foo.*",
        "/subsz?acc=NOPE&subs=1",
        "/subsz?subs=detail",
        "/subsz?offset=x",
        "/subscriptionsz",
        "/routez",
        "/routez?subs=x",
        "/leafz",
        "/leafz?subs=x",
        "/gatewayz",
        "/gatewayz?accs=x",
        "/jsz",
        "/healthz",
        "/healthz?details=1&js-enabled-only=true",
        "/healthz?details=x",
        "/accountz?acc=NOPE",
        "/accstatz",
        "/accstatz?unused=x",
        "/nope",
        "/subz",
    ],
)
def test_a_page_is_as_nats_servers(pair: Pair, target: str) -> None:
    real, ours = pair.ask(target)
    assert real == ours


def test_every_general_field_of_ours_is_nats_servers_in_its_order(pair: Pair) -> None:
    real, ours = ([name for name, _ in body] for _, _, body in pair.ask("/varz"))
    assert ours == [name for name in real if name in ours]


def test_an_account_in_detail_has_nats_servers_fields(pair: Pair) -> None:
    real, ours = (
        [name for name, _ in dict(body)["account_detail"]]
        for _, _, body in pair.ask("/accountz?acc=$G")
    )
    # The imports are those of its own system services; the statistics are on /subsz.
    assert ours == [name for name in real if name not in ("imports", "sublist_stats")]
