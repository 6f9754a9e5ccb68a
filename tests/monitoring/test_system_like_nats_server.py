"""Our system account beside that of the real nats-server: the same clients, the same requests.

Compared are names, order and types of all fields, and the values of texts; numbers are what each
server counts, and it counts its own words, whose lengths differ.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from broker import Broker
from tests.support.raw_client import RawClient
from tests.support.servers import RealServer
from tests.support.system import Arrived, arrived, hello

CONFIGURATION = """
server_name: probe
accounts {
  A { users = [{user: a, password: a}] }
  B { users = [
    {user: b, password: b}
    {user: p, password: p, permissions: {
      publish: {allow: ["a.>", "$SYS.REQ.USER.INFO"], deny: ["a.b"]}
      subscribe: ["_I.>", "q w"]
      allow_responses: {max: 3, expires: "1m"}
    }}
  ] }
  SYS { users = [{user: s, password: s}] }
}
system_account: SYS
"""

PING = "$SYS.REQ.SERVER.PING"
HERE = "$SYS.REQ.SERVER.{id}"
ACCOUNT = "$SYS.REQ.ACCOUNT"

#: Texts that differ from run to run, or say which of the two it is.
VOLATILE = re.compile(
    "id|server_id|now|time|timestamp|start|stop|last_activity|rtt|uptime|idle|config_.*|update_time"
)

#: What only a server written in Go, or one with JetStream, has to tell; and what it does not keep
#: apart from its clients: its own subscriptions, imports and exports.
ITS_OWN = frozenset(
    (
        *("feature_flags", "gomaxprocs", "git_commit", "go", "tls_timeout", "disk_io_wait_stats"),
        *("imports", "exports", "sublist_stats", "rtt", "http_port"),
    )
)

Shape = Any


def shape(name: str, value: Any) -> Shape:
    """What of a value is the same wherever it comes from."""
    if isinstance(value, dict):
        shapes = [(key, shape(key, below)) for key, below in value.items() if key not in ITS_OWN]
        return [one for one in shapes if one != ("subscriptions_list", [])]
    if isinstance(value, list):
        rows = [row for row in value if not _is_internal(row)]
        return sorted((shape(name, row) for row in rows), key=repr)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, (int, float)):
        return "number"
    return "text" if VOLATILE.fullmatch(name) else value


def _is_internal(row: Any) -> bool:
    return isinstance(row, dict) and str(row.get("subject", "")).startswith("$SYS.")


def shown(message: Arrived) -> tuple[str, Shape]:
    """A message made comparable: its headers, and the shape of its body."""
    return message.headers, shape("", json.loads(message.body)) if message.body else None


class Side:
    """One server with its clients: `s` in the system account, `b` and the restricted `p` in B."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._asked = 0
        self.clients = {user: self.enter(user) for user in "sbp"}
        self.clients["b"].ask(b"SUB x.y q 4\r\n")
        self.id = self.clients["s"].info["server_id"]

    def enter(self, user: str, **more: Any) -> RawClient:
        """Somebody who has logged in, and who hears answers."""
        client = RawClient(self.port)
        client.ask(hello(user, **more) + b"SUB _I.> 1\r\n")
        return client

    def close(self) -> None:
        """All of them leave."""
        for client in self.clients.values():
            client.close()

    def ask(self, who: str, subject: str, body: bytes, headers: bytes = b"") -> list[Shape]:
        """The answers to a request, up to the answer to another that comes after it."""
        client = self.clients[who]
        self._asked += 1
        mine, fence = f"_I.{self._asked}", f"_I.fence.{self._asked}"
        # Two queues there are within nats-server: one of statistics, one of all else.
        after = {"s": f"{PING}.IDZ", "b": f"{ACCOUNT}.PING.CONNZ", "p": "$SYS.REQ.USER.INFO"}[who]
        if who == "s" and subject.endswith(("STATSZ", "PING")):
            after = f"{PING}.STATSZ"
        subject = subject.replace("{id}", self.id)
        sizes = f"{len(headers)} {len(headers) + len(body)}" if headers else f"{len(body)}"
        verb = "HPUB" if headers else "PUB"
        client.send(f"{verb} {subject} {mine} {sizes}\r\n".encode() + headers + body + b"\r\n")
        client.send(f"PUB {after} {fence} 0\r\n\r\n".encode())
        found: list[Shape] = []
        while True:
            frame = client.read_frame()
            assert frame is not None, "the server has closed the connection"
            for message in arrived(frame):
                if message.subject == fence:
                    return found
                if message.subject == mine:
                    found.append(shown(message))


class Pair:
    """The real server and ours."""

    def __init__(self, ports: tuple[int, int]) -> None:
        self.sides = [Side(port) for port in ports]

    def ask(self, *request: Any) -> tuple[list[Shape], list[Shape]]:
        """What each of them answers."""
        real, ours = (side.ask(*request) for side in self.sides)
        return real, ours


class Configured(RealServer):
    """The real server with the configuration above."""

    def __init__(self) -> None:
        super().__init__()
        self._configuration = CONFIGURATION


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    path = tmp_path_factory.mktemp("system") / "broker.conf"
    path.write_text(CONFIGURATION)
    with Configured() as real, Broker("127.0.0.1", 0, config=Path(path)) as ours:
        yield real.port, ours.port


@pytest.fixture(scope="module")
def pair(ports: tuple[int, int]) -> Iterator[Pair]:
    both = Pair(ports)
    yield both
    for side in both.sides:
        side.close()


@pytest.mark.parametrize(
    ("who", "subject", "body"),
    [
        ("s", PING, b""),
        *(
            ("s", f"{PING}.{what}", b"")
            for what in (
                *("IDZ", "STATSZ", "SUBSZ", "CONNZ", "ROUTEZ", "GATEWAYZ", "LEAFZ", "ACCOUNTZ"),
                *("JSZ", "HEALTHZ", "RAFTZ"),
                *("FOO", "ACCSTATZ", "KICK", "LDM", "RELOAD"),
            )
        ),
        ("s", f"{HERE}.CONNZ", b""),
        ("s", f"{HERE}.STATSZ", b""),
        ("s", HERE, b""),
        ("s", "$SYS.REQ.SERVER.NOBODY.CONNZ", b""),
        *(
            ("s", f"{ACCOUNT}.{account}.{what}", b"")
            for account in ("A", "B", "SYS", "$G")
            for what in ["CONNZ", "SUBSZ", "LEAFZ", "JSZ", "INFO", "STATZ", "CONNS", "FOO"]
        ),
        ("s", f"{ACCOUNT}.NOBODY.INFO", b""),
        ("s", f"{ACCOUNT}.NOBODY.STATZ", b""),
        ("s", f"{ACCOUNT}.NOBODY.CONNS", b""),
        ("s", f"{ACCOUNT}.PING.STATZ", b""),
        ("s", f"{ACCOUNT}.PING.STATZ", b'{"include_unused":true}'),
        ("s", f"{ACCOUNT}.PING.STATZ", b'{"accounts":["A"],"include_unused":true}'),
        ("s", f"{ACCOUNT}.PING.STATZ", b'{"accounts":["N"]}'),
        ("s", f"{ACCOUNT}.A.STATZ", b'{"include_unused":true}'),
        ("s", f"{ACCOUNT}.B.CONNS", b'{"acc":"A"}'),
        ("s", f"{ACCOUNT}.B.CONNS", b'{"acc":"B"}'),
        ("s", f"{ACCOUNT}.B.CONNS", b"x"),
        *(
            ("s", f"{PING}.HEALTHZ", body)
            for body in (
                *(b'{"server_name":"pro"}', b'{"server_name":"nope"}', b'{"host":"127"}'),
                *(b'{"server_name":"pro","exact_match":true}', b'{"cluster":"x"}'),
                *(b'{"tags":["x"]}', b'{"tags":[]}', b'{"domain":"x"}', b'{"name":"nope"}'),
                *(b"{", b"x", b"[]", b"null", b"1", b'"a"', b" ", b"{} x", b"true"),
                *(b'{"server_name":1}', b'{"tags":"x"}', b'{"exact_match":"x"}', b'{"a" 1}'),
                *(b'{"SERVER_NAME":"nope"}', b'{"a":1 "b"}', b'{a":1}', b'{"details":true}'),
            )
        ),
        ("s", f"{PING}.STATSZ", b'{"server_name":"nope"}'),
        ("s", f"{PING}.STATSZ", b"x"),
        ("s", f"{PING}.IDZ", b"x"),
        *(
            ("s", f"{PING}.CONNZ", body)
            for body in (
                *(b'{"limit":1}', b'{"limit":-1,"offset":-2}', b'{"limit":"1"}', b'{"limit":1.5}'),
                *(b'{"offset":1}', b'{"sort":"bytes_to"}', b'{"sort":"bogus"}', b'{"sort":"stop"}'),
                *(b'{"state":"closed"}', b'{"state":1}', b'{"auth":true}', b'{"user":"b"}'),
                *(b'{"acc":"B"}', b'{"auth":true,"acc":"B"}', b'{"auth":true,"user":"b"}'),
                *(b'{"subscriptions":true}', b'{"subscriptions_detail":true}', b'{"cid":-1}'),
                *(b'{"cid":9999}', b'{"mqtt_client":"x"}', b'{"filter_subject":"x.*"}'),
                *(b'{"filter_subject":"x.*","acc":"B"}', b'{"filter_subject":"n","acc":"B"}'),
                *(b'{"filter_subject":">","acc":"B"}', b'{"filter_subject":">"}'),
            )
        ),
        *(
            ("s", f"{PING}.SUBSZ", body)
            for body in (
                *(b'{"account":"B"}', b'{"account":"B","subscriptions":true,"test":"x.y"}'),
                *(b'{"subscriptions":true,"test":"x..y"}', b'{"test":"x.*"}'),
            )
        ),
        ("s", f"{PING}.ACCOUNTZ", b'{"account":"B"}'),
        ("s", f"{PING}.ACCOUNTZ", b'{"account":"N"}'),
        *(
            ("s", f"{HERE}.{order}", body)
            for order in ("KICK", "LDM")
            for body in (b"", b"x", b'{"cid":"1"}', b'{"cid":9999}', b"{}")
        ),
        ("s", f"{HERE}.KICK", b'{"cid":9999,"server_name":"nope"}'),
        ("s", "$SYS.REQ.USER.INFO", b""),
        ("s", "$SYS.REQ.USER.x.INFO", b""),
        *(
            ("b", subject, b"")
            for subject in (
                *("$SYS.REQ.USER.INFO", f"{PING}.CONNZ", f"{ACCOUNT}.PING.CONNZ"),
                *(f"{ACCOUNT}.PING.STATZ", PING, f"{PING}.VARZ", f"{PING}.IDZ", f"{HERE}.CONNZ"),
                *(f"{HERE}.KICK", f"{ACCOUNT}.A.CONNZ", f"{ACCOUNT}.B.CONNZ", f"{ACCOUNT}.B.INFO"),
                *("$SYS.REQ.USER.b.INFO", "$SYS.REQ.USER.B.INFO", "$SYS.DEBUG.SUBSCRIBERS"),
                *(f"{ACCOUNT}.PING.SUBSZ", f"{ACCOUNT}.PING.INFO", "$SYS.foo"),
            )
        ),
        ("b", f"{ACCOUNT}.PING.CONNZ", b'{"acc":"SYS","auth":true,"subscriptions":true}'),
        ("b", f"{ACCOUNT}.PING.STATZ", b'{"accounts":["A"],"include_unused":true}'),
        ("b", f"{PING}.CONNZ", b"x"),
        ("b", f"{PING}.CONNZ", b'{"server_name":"nope"}'),
        ("p", "$SYS.REQ.USER.INFO", b""),
    ],
)
def test_an_answer_is_as_nats_servers(pair: Pair, who: str, subject: str, body: bytes) -> None:
    real, ours = pair.ask(who, subject, body)
    if real and "Nats-Subject" in real[0][0]:  # which names the server
        real = [(real[0][0].replace(pair.sides[0].id, pair.sides[1].id), real[0][1])]
    assert real == ours


def test_every_general_field_of_ours_is_nats_servers_in_its_order(pair: Pair) -> None:
    ((_, real),), ((_, ours),) = pair.ask("s", f"{PING}.VARZ", b"")
    names = [[name for name, _ in dict(body)["data"]] for body in (real, ours)]
    assert names[1] == [name for name in names[0] if name in names[1]]


def test_what_no_one_here_can_unpack_is_not_packed(pair: Pair) -> None:
    headers = b"NATS/1.0\r\nAccept-Encoding: deflate\r\n\r\n"
    real, ours = pair.ask("s", f"{PING}.HEALTHZ", b"", headers)
    assert real == ours


# --- events

#: In words of the test: somebody does something, and the system account is told.
Act = Callable[[Side], None]


def _comes_and_goes(side: Side) -> None:
    with side.enter("b", name="bee", lang="x", version="1") as client:
        client.ask(b"SUB a 2\r\nPUB a 1\r\nx\r\n")


def _fails_to_log_in(side: Side) -> None:
    with RawClient(side.port) as client:
        client.send(b'CONNECT {"user":"b","pass":"wrong"}\r\n')
        client.read_to_end()


def _leaves_at_once(side: Side) -> None:
    with RawClient(side.port) as client:
        assert client.info


def _is_sent_away(side: Side) -> None:
    with side.enter("b") as client:
        order = b'{"cid":%d}' % client.info["client_id"]
        side.ask("s", "$SYS.REQ.SERVER.{id}.KICK", order)
        client.read_to_end()


def _changes_account(side: Side) -> None:
    with side.enter("a") as client:
        client.ask(hello("b"))


@pytest.mark.parametrize(
    ("act", "last"),
    [
        (_comes_and_goes, "$SYS.ACCOUNT.B.DISCONNECT"),
        (_fails_to_log_in, "$SYS.ACCOUNT.$G.DISCONNECT"),
        (_leaves_at_once, "$SYS.ACCOUNT.$G.DISCONNECT"),
        (_is_sent_away, "$SYS.ACCOUNT.B.DISCONNECT"),
        (_changes_account, "$SYS.ACCOUNT.B.DISCONNECT"),
    ],
)
def test_what_is_told_is_what_nats_server_tells(pair: Pair, act: Act, last: str) -> None:
    real, ours = (_told(side, act, last) for side in pair.sides)
    assert real == ours


def _told(side: Side, act: Act, last: str) -> list[tuple[str, Shape]]:
    """The events, up to the last one; `CONNS`, which we tell less often, are compared apart."""
    with side.enter("s") as watcher:
        watcher.ask(b"SUB $SYS.ACCOUNT.*.CONNECT 2\r\nSUB $SYS.ACCOUNT.*.DISCONNECT 3\r\n")
        watcher.ask(b"SUB $SYS.SERVER.*.CLIENT.AUTH.ERR 4\r\n")
        act(side)
        events: list[tuple[str, Shape]] = []
        while not events or events[-1][0] != last:
            for message in arrived(watcher.read_frame() or b""):
                subject = message.subject.replace(side.id, "ID")
                if not subject.startswith(("$SYS.ACCOUNT.SYS.", "_I.")):
                    events.append((subject, shown(message)))
        return events


def test_the_numbers_of_an_account_are_told_as_nats_server_tells_them(pair: Pair) -> None:
    real, ours = map(_conns_told, pair.sides)
    assert real == ours


def _conns_told(side: Side) -> list[tuple[str, Shape]]:
    with side.enter("s") as watcher:
        watcher.ask(b"SUB $SYS.SERVER.ACCOUNT.A.CONNS 2\r\nSUB $SYS.ACCOUNT.A.SERVER.CONNS 3\r\n")
        with side.enter("a"):
            frames = [watcher.read_frame() or b"" for _ in range(2)]
        return [(one.subject, shown(one)) for frame in frames for one in arrived(frame)]


def test_the_end_is_told_as_nats_server_tells_it(tmp_path: Path) -> None:
    path = tmp_path / "broker.conf"
    path.write_text(CONFIGURATION)
    told = []
    servers: list[Any] = [Configured(), Broker("127.0.0.1", 0, config=path)]
    for server in servers:
        with server:
            side = Side(server.port)
            side.clients["s"].ask(b"SUB $SYS.SERVER.*.SHUTDOWN 2\r\n")
        told += [shown(one) for one in arrived(b"".join(side.clients["s"].read_to_end()))]
        side.close()
    real, ours = told
    assert real == ours
