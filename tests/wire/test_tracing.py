"""Message tracing: the real server and our broker report the same of the same messages.

One configuration file, the same users, the same bytes; what each user hears is compared, and the
reports as JSON. What servers choose for themselves (names, ids, times, the order of deliveries) is
left out. Reports of the real server come when they come, so each step ends with a message whose
report nothing can overtake.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from broker import Broker
from tests.support.raw_client import RawClient
from tests.support.servers import ServerProcess, real_server_path
from tests.wire.transcripts import plain

CONFIGURATION = """
accounts {
  A {
    users: [
      {user: ann}
      {user: few, permissions: {publish: {allow: ["ok.>", "trace", "sentinel.>", "sentinel"]}}}
      {user: deaf, permissions: {subscribe: {deny: "secret"}}}
    ]
    exports: [{stream: "st.>"}, {service: "svc.>"}, {service: "svt.>", allow_trace: true}]
    mappings: {"m.*": "mapped.$1"}
  }
  B {
    users: [{user: bob}]
    imports: [
      {stream: {account: A, subject: "st.>"}, prefix: from}
      {service: {account: A, subject: "svc.>"}}
      {service: {account: A, subject: "svt.>"}, to: "tt.>"}
    ]
    msg_trace: {dest: ext}
  }
  C {
    users: [{user: cid}]
    imports: [{stream: {account: A, subject: "st.>"}, allow_trace: true}]
  }
}
"""

USERS = ("ann", "few", "deaf", "bob", "cid", "loner", "listener", "watcher")

#: What each user has subscribed to before anything is said. (Of a queue group it is open which
#: member is asked first, so each has one.)
SUBSCRIPTIONS = {
    "ann": b"SUB x 1\r\nSUB mapped.* 2\r\nSUB q g 3\r\nSUB re 4\r\nSUB svc.1 5\r\nSUB svt.1 6\r\n",
    "few": b"SUB few 1\r\nUNSUB 1 2\r\n",
    "deaf": b"SUB secret.> 1\r\nSUB secre* 2\r\nSUB * 3\r\nUNSUB 1\r\nUNSUB 2\r\n",
    "bob": b"SUB from.> 1\r\nSUB re 2\r\nSUB trace r\r\nSUB ext r2\r\nSUB sentinel s\r\n",
    "cid": b"SUB st.> 1\r\nSUB st.1 g 2\r\n",
    "loner": b"SUB own 1\r\nSUB own g 2\r\n",
    "listener": b"SUB ok.> 1\r\n",
    "watcher": b"SUB trace r\r\nSUB sentinel s\r\n",
}

#: How a user's CONNECT differs from that of others.
WAYS: dict[str, dict[str, object]] = {
    "loner": {"user": "ann", "echo": False, "name": ""},
    "listener": {"user": "ann", "headers": False, "no_responders": False},
    "watcher": {"user": "ann"},
}

DEST, ONLY = ("Nats-Trace-Dest", "trace"), ("Nats-Trace-Only", "true")
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-"


def message(subject: str, *fields: tuple[str, str], reply: str = "") -> bytes:
    block = b"NATS/1.0\r\n" + b"".join(f"{k}: {v}\r\n".encode() for k, v in fields) + b"\r\n"
    names = f"{subject} {reply}" if reply else subject
    return f"HPUB {names} {len(block)} {len(block) + 1}\r\n".encode() + block + b"x\r\n"


#: Who says what. The name of a case says what it is about.
CASES: dict[str, tuple[str, bytes]] = {
    "one subscriber": ("few", message("ok.1", DEST)),
    "only traced": ("few", message("ok.1", DEST, ONLY)),
    "other headers in their order": ("ann", message("x", ("B", "1"), DEST, ("A", "2"), ("B", "3"))),
    "a wildcard beside a literal": ("bob", message("x", DEST)),
    "two subscribers": ("ann", message("x", DEST)),
    "two subscribers, only traced": ("ann", message("x", DEST, ONLY)),
    "nobody": ("ann", message("no.body", DEST)),
    "nobody to answer": ("ann", message("no.body", DEST, reply="re")),
    "nobody to answer, only traced": ("ann", message("no.body", DEST, ONLY, reply="re")),
    "a request": ("ann", message("x", DEST, reply="re")),
    "a request, only traced": ("ann", message("x", DEST, ONLY, reply="re")),
    "a queue group": ("ann", message("q", DEST)),
    "a mapping": ("ann", message("m.1", DEST)),
    "a mapping, only traced": ("ann", message("m.1", DEST, ONLY)),
    "may not publish": ("few", message("x", DEST)),
    "may not publish, only traced": ("few", message("x", DEST, ONLY)),
    "a reserved subject": ("ann", message("$GR.x", DEST)),
    "a reserved reply": ("ann", message("x", DEST, reply="_R_.x")),
    "may not publish to the destination": ("few", message("ok.1", ("Nats-Trace-Dest", "no"))),
    "a reserved destination": ("ann", message("x", ("Nats-Trace-Dest", "$GR.x"))),
    "a subscriber may not be given it": ("ann", message("secret", DEST)),
    "a subscriber may not be given it, only traced": ("ann", message("secret", DEST, ONLY)),
    "no echo": ("loner", message("own", DEST)),
    "no echo, only traced": ("loner", message("own", DEST, ONLY)),
    "a limited subscription": ("ann", message("few", DEST, ONLY) + message("few", DEST) * 3),
    "streams": ("ann", message("st.1", DEST)),
    "streams, only traced": ("ann", message("st.1", DEST, ONLY)),
    "a service": ("bob", message("svc.1", DEST, reply="re")),
    "a service, only traced": ("bob", message("svc.1", DEST, ONLY, reply="re")),
    "a service that nobody serves": ("bob", message("svc.2", DEST, reply="re")),
    "a service that tells": ("bob", message("tt.1", DEST, reply="re")),
    "a service that tells, only traced": ("bob", message("tt.1", DEST, ONLY, reply="re")),
    "a service that tells and nobody serves": ("bob", message("tt.2", DEST, reply="re")),
    "in gzip": ("ann", message("x", DEST, ("Accept-Encoding", "gzip"))),
    "in another encoding": ("ann", message("x", DEST, ("Accept-Encoding", "br"))),
    "a hop": ("ann", message("x", DEST, ("Nats-Trace-Hop", "1.2"))),
    "two destinations": ("ann", message("x", DEST, ("Nats-Trace-Dest", "other"))),
    "a destination of no characters": ("ann", message("x", ("Nats-Trace-Dest", ""), ONLY)),
    "a destination in small letters": ("ann", message("x", ("nats-trace-dest", "trace"), ONLY)),
    "a destination that is none": ("ann", message("x", ("Nats-Trace-Dest", "a.*"))),
    "a destination that is none, only traced": (
        "ann",
        message("x", ("Nats-Trace-Dest", "a.*"), ONLY),
    ),
    "no destination": ("ann", message("x", ONLY)),
    "disabled": ("ann", message("x", ("Nats-Trace-Dest", "trace disabled"), ONLY)),
    "the header of old": ("ann", message("x", DEST, ("Nats-Trace-Origin-Account", "A"))),
    "the header of old, only traced": (
        "ann",
        message("x", DEST, ONLY, ("Nats-Trace-Origin-Account", "A")),
    ),
    "only: on": ("ann", message("x", DEST, ("Nats-Trace-Only", "ON"))),
    "only: yes": ("ann", message("x", DEST, ("Nats-Trace-Only", "yes"))),
    "traceparent": ("bob", message("x", ("TraceParent", PARENT + "01"))),
    "traceparent, only": ("bob", message("from.x", ("traceparent", PARENT + "01"), ONLY)),
    "traceparent with other flags": ("bob", message("x", ("traceparent", PARENT + "7f"))),
    "traceparent with flags that are none": ("bob", message("x", ("traceparent", PARENT + "ff"))),
    "traceparent that is not sampled": ("bob", message("from.x", ("traceparent", PARENT + "00"))),
    "traceparent and a destination": ("bob", message("x", DEST, ("traceparent", PARENT + "01"))),
    "traceparent where nobody wants it": ("ann", message("x", ("traceparent", PARENT + "01"))),
    "the report's own subject": ("ann", message("trace", DEST)),
}


class House:
    """The users, connected to one server."""

    def __init__(self, port: int) -> None:
        self.phones: dict[str, RawClient] = {}
        for user in USERS:
            phone = self.phones[user] = RawClient(port)
            hello: dict[str, object] = {
                "verbose": False,
                "pedantic": False,
                "headers": True,
                "no_responders": True,
            }
            hello |= {"user": user, "name": f"n-{user}"} | WAYS.get(user, {})
            phone.ask(b"CONNECT %s\r\n%s" % (json.dumps(hello).encode(), SUBSCRIPTIONS[user]))
        # A stranger may have called in between: ports are used again.
        self._users = {phone.info["client_id"]: user for user, phone in self.phones.items()}

    def play(self, user: str, said: bytes) -> tuple[list[Any], dict[str, list[str]]]:
        """What is reported of what a user says, and what everybody hears besides."""
        watcher = "bob" if user == "bob" else "watcher"
        phone, heard = self.phones[user], {name: list[bytes]() for name in USERS}
        heard[user] += phone.ask(said)
        phone.send(message("sentinel.none", ("Nats-Trace-Dest", "sentinel")))
        while not any(b"MSG sentinel " in frame for frame in heard[watcher]):
            heard[watcher] += self.phones[watcher].read_frames(1)
        for name, other in self.phones.items():
            heard[name] += other.ask(b"")
        told = [self._report(frame) for frame in heard[watcher] if _is_report(frame)]
        besides = {name: sorted(map(_plain, filter(_counts, heard[name]))) for name in USERS}
        return told, besides

    def _report(self, frame: bytes) -> Any:
        line, _, rest = frame[:-2].partition(b"\r\n")
        size = int(line.split()[-2]) if line.startswith(b"HMSG") else 0
        headers, body = rest[:size], rest[size:]
        report = json.loads(gzip.decompress(body) if b": gzip" in headers else body)
        server = {"name", "host", "id", "ver", "jetstream", "flags", "seq", "time"}
        assert server <= report["server"].keys()
        return line.split()[1], headers, report["request"], self._events(report["events"])

    def _events(self, events: list[dict[str, Any]]) -> list[str]:
        """Their order is open, but what a stream leads to follows it at once."""
        found: list[str] = []
        stream = ""
        for event in events:
            assert event.pop("ts").endswith("Z")
            if "cid" in event:
                event["cid"] = self._users[event["cid"]]
            text = json.dumps(event)
            found.append(stream + text if event["type"] == "eg" else text)
            stream = text if event["type"] == "se" else ""
        return sorted(found)

    def close(self) -> None:
        for phone in self.phones.values():
            phone.close()


def _is_report(frame: bytes) -> bool:
    return b" sentinel " not in frame[:15] and (
        b'{"server":' in frame or b"\r\nContent-Encoding: gzip" in frame
    )


def _counts(frame: bytes) -> bool:
    """Whether a frame is what a user was sent, and nothing of ours."""
    return (
        b"MSG sentinel" not in frame
        and not _is_report(frame)
        and frame not in (b"PING\r\n", b"PONG\r\n")
    )


def _plain(frame: bytes) -> str:
    # Where a service tells, nats-server names a way home for the reports of other servers.
    shown = plain(frame).replace(b"Nats-Trace-Dest: _R_", b"Nats-Trace-Dest: trace disabled")
    return shown.decode()


@pytest.fixture(scope="module")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tracing") / "server.conf"
    path.write_text(CONFIGURATION, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def real(configuration: Path) -> Iterator[House]:
    with ServerProcess([str(real_server_path()), "-c", str(configuration)]) as server:
        house = House(server.port)
        yield house
        house.close()


@pytest.fixture(scope="module")
def ours(configuration: Path) -> Iterator[House]:
    with Broker(config=configuration, port=0) as broker:
        house = House(broker.port)
        yield house
        house.close()


def test_there_is_something_to_compare(real: House) -> None:
    told, heard = real.play("ann", message("x", DEST))
    assert [b"trace"] == [subject for subject, *_ in told]
    assert (1, 1, 0) == (len(heard["ann"]), len(heard["deaf"]), len(heard["watcher"]))


@pytest.mark.parametrize("name", CASES)
def test_both_report_the_same(name: str, real: House, ours: House) -> None:
    user, said = CASES[name]
    expected = real.play(user, said)
    assert expected == ours.play(user, said)
