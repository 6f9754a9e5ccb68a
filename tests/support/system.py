"""A virtual broker with a system account, and somebody in it who looks on.

`Watched` has the accounts `SYS` (the system's), `A` and `B` with a user of one letter each, and a
`watcher` in `SYS`. What comes to a client is read by `arrived`, a line and a payload at a time,
independently of our codec.

Used by the tests of the system service.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from broker.blocks import AccountBlock, UserBlock
from tests.support.virtual_broker import VirtualBroker, VirtualClient

ACCOUNTS = tuple(
    AccountBlock(name, users=(UserBlock(user, user, account=name),))
    for name, user in (("SYS", "s"), ("A", "a"), ("B", "b"))
)


class Arrived(NamedTuple):
    """One message as it came: ``headers`` without the empty line, ``body`` undecoded."""

    subject: str
    headers: str
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


def arrived(data: bytes) -> list[Arrived]:
    """The messages among what came to a client; other lines are passed over."""
    found = []
    while data:
        line, _, data = data.partition(b"\r\n")
        words = line.decode().split()
        if words and words[0] in ("MSG", "HMSG"):
            head = int(words[-2]) if words[0] == "HMSG" else 0
            size = int(words[-1])
            headers = data[:head].decode().rstrip("\r\n")
            found.append(Arrived(words[1], headers, data[head:size]))
            data = data[size + 2 :]
    return found


def hello(user: str = "", **more: Any) -> bytes:
    """A CONNECT of `user`, whose password is its name; without one nobody in particular."""
    options: dict[str, Any] = {"verbose": False, "headers": True, "no_responders": True}
    if user:
        options |= {"user": user, "pass": user}
    return b"CONNECT " + json.dumps(options | more).encode() + b"\r\n"


class Watched(VirtualBroker):
    """A virtual broker with a system account; see the module."""

    def __init__(self, **settings: Any) -> None:
        known: dict[str, Any] = {"accounts": ACCOUNTS, "system_account": "SYS"}
        super().__init__(**(known | {"server_name": "us", "host": "127.0.0.1"} | settings))
        self._asked = 0

    @property
    def id(self) -> str:
        """The server's id, as subjects have it."""
        return self.server.server_id

    def enter(self, user: str = "", **more: Any) -> VirtualClient:
        """A client that has come in as `user`."""
        return self.connect(hello(user, **more))

    def watcher(self, *filters: str) -> VirtualClient:
        """Somebody in the system account who has subscribed to `filters`."""
        client = self.enter("s")
        for sid, filter in enumerate(filters, start=1):
            client.send(b"SUB %s %d\r\n" % (filter.encode(), sid))
        self.rest()
        client.take()
        return client

    def rest(self) -> None:
        """Let what is told at most so often be told."""
        self.reactor.run_for(0.5)

    def events(self, client: VirtualClient) -> list[Arrived]:
        """What came to a client, once everything is told that is to be told now."""
        self.rest()
        return arrived(client.take())

    def ask(
        self, client: VirtualClient, subject: str, body: bytes = b"", headers: bytes = b""
    ) -> list[Arrived]:
        """The answers to a request of a client's; 503 counts as one."""
        self._asked += 1
        inbox = b"_INBOX.%d" % self._asked
        client.take()
        client.send(b"SUB %s inbox%d\r\n" % (inbox, self._asked))
        names = subject.encode() + b" " + inbox
        if headers:
            sizes = len(headers), len(headers) + len(body)
            client.send(b"HPUB %s %d %d\r\n%s%s\r\n" % (names, *sizes, headers, body))
        else:
            client.send(b"PUB %s %d\r\n%s\r\n" % (names, len(body), body))
        return [one for one in arrived(client.take()) if one.subject == inbox.decode()]

    def answer(self, client: VirtualClient, subject: str, body: bytes = b"") -> Any:
        """The one answer to a request, decoded."""
        (answer,) = self.ask(client, subject, body)
        return answer.json
