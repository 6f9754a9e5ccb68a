"""A broker without sockets or time: sessions over the Python data plane, driven by hand.

`House` stands for the server, `Client` for a connection; tests of sessions say bytes and read the
bytes that would be sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random
from typing import Any

from broker.accounts import Accounts
from broker.auth import make_authenticator
from broker.config import Options
from broker.doorman import Doorman
from broker.errors import Closed
from broker.flow import FlowTable
from broker.handshake import ConnectOptions, ServerInfo
from broker.identity import Answer, Authenticator, Credentials, Identity
from broker.plane import PythonPlane
from broker.session import Session
from broker.switchboard import Switchboard

QUIET = b'CONNECT {"verbose":false,"pedantic":false}\r\n'
HEADERS = b'CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}\r\n'
PROTO1 = b'CONNECT {"verbose":false,"pedantic":false,"protocol":1}\r\n'
INFO = re.compile(rb"INFO \{.*?\} \r\n")


class Client:
    """A session and the wire it asks, without a socket: say something, hear the answer."""

    def __init__(self, house: House, *, ip: str = "127.0.0.1") -> None:
        self.house = house
        self.closes: list[Closed] = []
        self.delays: list[float] = []
        self.expiries: list[float | None] = []
        self.questions: list[tuple[Callable[[], Answer], Callable[[Answer], None]]] = []
        self.held_back: list[tuple[float, Callable[[], None]]] = []
        self.identities: list[Identity] = []
        self.complaints: list[str] = []
        self.cookies = ConnectOptions()
        self.ip = ip
        self.kind = "STANDARD"
        self.names: tuple[str, ...] = ()
        house.clients += 1
        self.session = Session(
            house.clients,
            ip,
            plane=house.plane,
            switchboard=house.switchboard,
            authenticator=house.authenticator,
            info=house.info,
            limits=house.options,
            wire=self,
            jitter=0.5,
            doorman=house.doorman,
        )

    def close(self, reason: Closed) -> None:
        self.closes.append(reason)

    def set_ping_timer(self, delay: float) -> None:
        self.delays.append(delay)

    def set_expiry_timer(self, delay: float | None) -> None:
        self.expiries.append(delay)

    def credentials(self) -> Credentials:
        return Credentials(self.cookies, "", self.ip, self.kind, self.names, self.house.wall)

    def consult(self, question: Callable[[], Answer], then: Callable[[Answer], None]) -> bool:
        if self.house.busy:
            return False
        self.questions.append((question, then))
        return True

    def delay(self, seconds: float, callback: Callable[[], None]) -> None:
        self.held_back.append((seconds, callback))

    def authenticated(self, identity: Identity) -> None:
        self.identities.append(identity)

    def complain(self, text: str) -> None:
        self.complaints.append(text)

    def answer(self, now: float = 0.0) -> bytes:
        """Answer the oldest question to a thread; what the client then hears."""
        question, then = self.questions.pop(0)
        then(question())
        while self.session.resume(now):
            """Go on as the connection would, turn by turn."""
        return self.hear()

    def send(self, data: bytes, now: float = 0.0) -> None:
        more = self.session.receive(data, now)
        while more:
            more = self.session.resume(now)

    def hear(self) -> bytes:
        """What was sent to this client, each INFO shortened to its first word."""
        return INFO.sub(b"INFO\r\n", b"".join(self.session.link.take_output()))

    def say(self, data: bytes, now: float = 0.0) -> bytes:
        self.send(data, now)
        return self.hear()


class House:
    """A broker without sockets: one plane, one switchboard, clients that enter."""

    def __init__(
        self,
        flows: FlowTable[Any] | None = None,
        authenticator: Authenticator | None = None,
        **options: Any,
    ) -> None:
        self.options = Options(**options)
        self.plane = PythonPlane(
            flows,
            rng=Random(1),
            max_payload=self.options.max_payload,
            max_pending=self.options.max_pending,
        )
        blocks, mappings = self.options.accounts, self.options.mappings
        self.switchboard = Switchboard(self.plane, Accounts(blocks, mappings))
        self.authenticator = authenticator or make_authenticator(self.options)
        self.info = ServerInfo(
            "NID",
            "n",
            "h",
            4222,
            self.options.max_payload,
            auth_required=self.authenticator.required,
        )
        self.doorman: Doorman | None = None
        self.wall = 1_000_000.0
        self.busy = False
        self.clients = 0

    def enter(self, greeting: bytes = b"") -> Client:
        client = Client(self)
        client.session.open(0.0)
        if greeting:
            client.send(greeting)
        client.hear()
        return client


def enter(greeting: bytes = b"", **options: Any) -> Client:
    return House(**options).enter(greeting)
