"""Servers in a tree: ours and real ones, started from configurations, and raw clients of them.

What a test wants to know of such a world is rarely there at once: interest has to travel. `joined`
and `received` ask again and again by messages: one that arrives shows that whatever was said before
it has arrived.
"""

from __future__ import annotations

import itertools
import re
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType

from tests.support.raw_client import RawClient
from tests.support.servers import ServerProcess, real_server_path

__all__ = ["OURS", "REAL", "Node", "joined", "messages", "publish", "received", "subscribe"]

REAL, OURS = "real", "ours"

#: Seconds in which servers find each other.
PATIENCE = 10.0

_LEAF_PORT = re.compile(r"Listening for leafnode connections on .*:(\d+)")

_numbers = itertools.count()


class Node(ServerProcess):
    """One server, of either make, with a configuration; ``leaf_port`` is where leaves come in."""

    def __init__(self, make: str, configuration: str) -> None:
        command = [str(real_server_path())] if make == REAL else [sys.executable, "-m", "broker"]
        super().__init__(command)
        self.make = make
        self._configuration = configuration
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def start(self) -> None:
        """As every server's `start`."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="leaf-world-")
        path = Path(self._folder.name) / "server.conf"
        path.write_text(self._configuration, encoding="utf-8")
        self._options = ["-c", str(path)]
        super().start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        self._clean_up()

    def _clean_up(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def __enter__(self) -> Node:
        try:
            self.start()
        except BaseException:
            self._clean_up()
            raise
        return self

    @property
    def leaf_port(self) -> int:
        """The port of the door for leaves."""
        found = [match[1] for line in self.log if (match := _LEAF_PORT.search(line))]
        return int(found[-1])

    def client(self, **connect: object) -> RawClient:
        """A client of this server, connected."""
        client = RawClient(self.port)
        fields = {"verbose": False, "headers": True, "no_responders": True, "echo": True, **connect}
        text = ",".join(f'"{name}":{_json(value)}' for name, value in fields.items())
        client.ask(b"CONNECT {" + text.encode() + b"}\r\n")
        return client

    def logged(self, text: str, within: float = PATIENCE) -> str:
        """The first line of the log that holds this text, waited for."""
        end = time.monotonic() + within
        while time.monotonic() < end:
            for line in [*self.log]:
                if text in line:
                    return line
            time.sleep(0.01)
        raise AssertionError(f"{text!r} is not in the log:\n" + "\n".join(self.log))


def _json(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f'"{value}"'


def subscribe(client: RawClient, subject: str, sid: str = "1", queue: str = "") -> None:
    """Subscribe, and return when the server knows of it."""
    client.ask(f"SUB {subject} {queue} {sid}\r\n".encode())


def publish(client: RawClient, subject: str, payload: str = "", reply: str = "") -> list[bytes]:
    """Publish; what the server says of it."""
    line = f"PUB {subject} {reply} {len(payload)}\r\n{payload}\r\n"
    return client.ask(line.encode())


def joined(here: RawClient, there: RawClient, within: float = PATIENCE) -> None:
    """Return when what is subscribed `there` so far is known `here`.

    A probe that is subscribed there last, and arrives when published here, shows it.
    """
    number = next(_numbers)
    subject, sid = f"probe.{number}", f"p{number}"
    subscribe(there, subject, sid)
    end = time.monotonic() + within
    while time.monotonic() < end:
        publish(here, subject, "x")
        if any(f" {sid} ".encode() in frame for frame in there.ask(b"")):
            there.ask(f"UNSUB {sid}\r\n".encode())
            return
        time.sleep(0.01)
    raise AssertionError(f"what is wanted at one end is not known at the other after {within} s")


def messages(client: RawClient, count: int) -> list[bytes]:
    """The next so many messages, without what else the server says."""
    found: list[bytes] = []
    while len(found) < count and (frame := client.read_frame()) is not None:
        if frame.startswith((b"MSG", b"HMSG")):
            found.append(frame)
    return found


def received(here: RawClient, there: RawClient) -> list[bytes]:
    """All messages for `there` that were published `here` so far, however few.

    A last message on the same way shows that there are no more.
    """
    number = next(_numbers)
    subject, sid = f"last.{number}", f"l{number}"
    found: list[bytes] = []
    subscribe_only = f"SUB {subject} {sid}\r\n".encode()
    found += there.ask(subscribe_only)
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        publish(here, subject, "x")
        found += there.ask(b"")
        if any(f" {sid} ".encode() in frame for frame in found):
            found += there.ask(f"UNSUB {sid}\r\n".encode())
            mark = f" {sid} ".encode()
            return [
                frame
                for frame in found
                if frame.startswith((b"MSG", b"HMSG")) and mark not in frame
            ]
        time.sleep(0.01)
    raise AssertionError("the last message did not arrive")
