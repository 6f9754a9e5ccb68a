"""Several users in several accounts hear from our switchboard what they hear from nats-server.

Our side has no socket: switchboard and data plane, with a flow table that works, one that keeps
nothing and one that forgets at random.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from random import Random

import pytest

from broker import Broker
from broker.blocks import AccountBlock
from broker.flow import FlowTable
from broker.plane import Link
from tests.support.raw_client import RawClient
from tests.support.servers import ServerProcess, real_server_path
from tests.support.switch import Switch
from tests.wire.cases.shared import TRANSCRIPTS
from tests.wire.transcripts import Transcript, configuration, permissions_of, play

TABLES: dict[str, Callable[[], FlowTable[Link]]] = {
    "normal": FlowTable,
    "capacity 0": lambda: FlowTable(capacity=0),
    "random eviction": lambda: FlowTable(evict_chance=0.4, rng=Random(7)),
}


class Extension:
    """A user's phone in our house."""

    def __init__(self, switch: Switch, accounts: tuple[AccountBlock, ...], user: str) -> None:
        account, permissions = permissions_of(accounts, user)
        self._switch = switch
        self._link = switch.connect(account, permissions, no_responders=True)

    def say(self, lines: list[bytes]) -> None:
        self._switch.say(self._link, *lines)

    def hear(self) -> bytes:
        return b"".join(self._link.take_output())


class Line:
    """A user's phone over TCP."""

    def __init__(self, port: int, user: str) -> None:
        self.client = RawClient(port)
        hello = (
            b'CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true,'
            b'"user":"%b","pass":"%b"}' % (user.encode(), user.encode())
        )
        self.say([hello])
        self._heard.clear()

    def say(self, lines: list[bytes]) -> None:
        self.client.send(b"".join(line + b"\r\n" for line in [*lines, b"PING"]))
        self._heard = self.client.read_to_pong()

    def hear(self) -> bytes:
        heard = self._heard + self.client.ask(b"")
        self._heard = []
        return b"".join(frame for frame in heard if frame not in (b"PONG\r\n", b"PING\r\n"))


class Exchange:
    """Real servers, one for each set of accounts."""

    def __init__(self) -> None:
        self._running: dict[tuple[AccountBlock, ...], ServerProcess] = {}

    def port(self, accounts: tuple[AccountBlock, ...], folder: str) -> int:
        if accounts not in self._running:
            path = f"{folder}/{len(self._running)}.conf"
            with open(path, "w", encoding="utf-8") as file:
                file.write(configuration(accounts))
            server = ServerProcess([str(real_server_path()), "-c", path])
            server.start()
            self._running[accounts] = server
        return self._running[accounts].port

    def close(self) -> None:
        for server in self._running.values():
            server.stop()


@pytest.fixture(scope="module")
def exchange() -> Iterator[Exchange]:
    exchange = Exchange()
    yield exchange
    exchange.close()


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=lambda one: one.name)
def test_our_switchboard_does_as_recorded(transcript: Transcript, table: str) -> None:
    switch = Switch(TABLES[table](), blocks=transcript.accounts, talks=True)

    written = play(transcript, lambda user: Extension(switch, transcript.accounts, user))

    assert transcript.lines() == written
    assert switch.board.complaints == ()


@pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=lambda one: one.name)
def test_the_real_server_does_as_recorded(
    transcript: Transcript, exchange: Exchange, tmp_path_factory: pytest.TempPathFactory
) -> None:
    port = exchange.port(transcript.accounts, str(tmp_path_factory.getbasetemp()))
    lines: list[Line] = []

    def dial(user: str) -> Line:
        lines.append(Line(port, user))
        return lines[-1]

    try:
        assert transcript.lines() == play(transcript, dial)
    finally:
        for line in lines:
            line.client.close()


def test_there_are_at_least_90_transcripts_with_names_of_their_own() -> None:
    assert len({transcript.name for transcript in TRANSCRIPTS}) == len(TRANSCRIPTS) >= 90


@pytest.mark.parametrize("capacity", [1000, 0])
def test_our_broker_does_as_recorded(capacity: int) -> None:
    """All transcripts of one set of accounts, one after the other, over TCP."""
    for accounts in {transcript.accounts: None for transcript in TRANSCRIPTS}:
        with Broker(port=0, accounts=accounts, flow_capacity=capacity) as broker:
            for transcript in TRANSCRIPTS:
                if transcript.accounts == accounts:
                    with ExitStack() as stack:
                        written = play(transcript, partial(_dial, stack, broker.port))
                    assert transcript.lines() == written


def _dial(stack: ExitStack, port: int, user: str) -> Line:
    line = Line(port, user)
    stack.callback(line.client.close)
    return line
