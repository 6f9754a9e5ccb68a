"""What an attack is made of: sockets that never block, a count of deeds, and the loop around them.

An attack is a generator. It does a step of its work and yields the seconds until the next one; its
first yield says that it is under way. `Target` is what it may use. The process it runs in is polite
in one respect: it runs only on processors that nobody else wants (`SCHED_IDLE`), as if it came from
another machine, so that what the others feel comes from the broker and not from a want of
processors.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from random import Random

HOST = "127.0.0.1"

#: Seconds that a connect may take.
PATIENCE = 5.0

#: Seconds after which an attack that was not let in tries again.
AFTER_REFUSAL = 0.1

#: Connections after which those that were closed are forgotten.
PRUNE = 1000

#: Closes a socket by RST: no TIME_WAIT, so that an attack does not run out of ports.
ABRUPTLY = struct.pack("ii", 1, 0)

Steps = Iterator[float]


class Target:
    """The broker, as an attack sees it. `deeds` counts what was done to it and what came of it."""

    def __init__(self, ports: dict[str, int], seed: int = 1) -> None:
        self.ports = ports
        self.random = Random(seed)
        self.deeds: Counter[str] = Counter()
        self._sockets: list[socket.socket] = []

    def connect(self, front: str = "client", *, window: int = 0) -> socket.socket:
        """Return a new connection; `window` bytes are its receive buffer, 0 for the usual."""
        sock = socket.socket()
        sock.settimeout(PATIENCE)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABRUPTLY)
        if window:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        sock.connect((HOST, self.ports[front]))
        sock.setblocking(False)
        self.deeds["connected"] += 1
        if len(self._sockets) % PRUNE == 0:
            self._sockets = [one for one in self._sockets if one.fileno() >= 0]
        self._sockets.append(sock)
        return sock

    def close(self) -> None:
        """Close every connection that is still open."""
        for sock in self._sockets:
            sock.close()

    def say(self, sock: socket.socket, data: bytes) -> int:
        """Send as much as the kernel takes; returns how much. 0 if the broker has hung up."""
        try:
            sent = sock.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            self.deeds["cut off"] += 1
            return 0
        self.deeds["bytes"] += sent
        return sent

    def hear(self, sock: socket.socket, seconds: float = 0.0) -> bytes:
        """Return what has come, or comes within `seconds`; empty if nothing, or hung up on."""
        if seconds:
            select.select([sock], [], [], seconds)
        try:
            return sock.recv(1 << 20)
        except OSError:
            return b""

    def hear_all(self, sock: socket.socket, seconds: float) -> bytes:
        """Return all that comes until the broker hangs up, or is silent for `seconds`."""
        heard = []
        while data := self.hear(sock, seconds):
            heard.append(data)
        return b"".join(heard)


class Flood:
    """Bytes for one connection, pushed as fast as the broker takes them; nobody waits for it."""

    def __init__(self, target: Target, sock: socket.socket) -> None:
        self._target = target
        self._sock = sock
        self._rest = b""

    def queue(self, data: bytes) -> None:
        """Add to what is to be sent."""
        self._rest += data

    def push(self) -> bool:
        """Send what the kernel takes; whether that was all. All is lost if the broker hung up."""
        before = self._target.deeds["cut off"]
        while self._rest and (took := self._target.say(self._sock, self._rest)):
            self._rest = self._rest[took:]
        if self._target.deeds["cut off"] != before:
            self._rest = b""
        return not self._rest


def run(attack: Callable[[Target], Steps], target: Target) -> Counter[str]:
    """Attack until standard input has something to say, or ends; return the deeds."""
    steps = attack(target)
    pause = next(steps)
    print("under way", flush=True)
    begin = time.monotonic()
    while not select.select([sys.stdin], [], [], pause)[0]:
        try:
            pause = next(steps)
        except OSError:
            # No connection to be had: the broker, or the kernel for it, defends itself. Again.
            target.deeds["refused"] += 1
            steps, pause = attack(target), AFTER_REFUSAL
    target.deeds["milliseconds"] = round(1000 * (time.monotonic() - begin))
    return target.deeds


def main(arguments: Sequence[str], attacks: dict[str, Callable[[Target], Steps]]) -> None:
    """Run the attack named first on the ports given second as JSON; tell the deeds as JSON."""
    name, ports = arguments
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    target = Target(json.loads(ports))
    print(json.dumps(run(attacks[name], target)), flush=True)
