"""A load process of `bench.connections`: many students on one reactor of ours.

Spoken to in lines on standard input, answers in lines on standard output:

    (start)                      -> ready N       all N are connected, subscribed, and have a PONG
    heartbeats ROUNDS PERIOD     -> sent N        N heartbeats were published in all
    (an announcement to class)   -> heard N       all N have received it
"""

from __future__ import annotations

import socket
import sys

from bench.machine import raise_descriptor_limit
from reactor import READ, Reactor, Stream, StreamHandler

#: Seconds between two slices of the heartbeats: they are spread, not sent in bursts.
SLICE = 0.02


class Crowd:
    """All students of this process, and what they have seen."""

    def __init__(self, reactor: Reactor, count: int) -> None:
        self._reactor = reactor
        self._count = count
        self._pongs = self._heard = self._sent = 0
        self.students: list[Student] = []

    def pong(self) -> None:
        """One more has been answered."""
        self._pongs += 1
        if self._pongs == self._count:
            say("ready", self._count)

    def hear(self) -> None:
        """One more has received the announcement."""
        self._heard += 1
        if self._heard == self._count:
            say("heard", self._count)

    def order(self, line: str) -> None:
        """Do as told."""
        word, rounds, period = line.split()
        assert word == "heartbeats", line
        total = self._count * int(rounds)
        each_slice = self._count / float(period) * SLICE

        def beat() -> None:
            due = min(total, self._sent + max(1, round(each_slice)))
            while self._sent < due:
                self.students[self._sent % self._count].beat()
                self._sent += 1
            if self._sent == total:
                timer.cancel()
                say("sent", total)

        timer = self._reactor.call_every(SLICE, beat)


class Student(StreamHandler):
    """One connection."""

    __slots__ = ("_crowd", "_rest", "_stream", "_subject")

    def __init__(self, crowd: Crowd, number: int) -> None:
        self._crowd = crowd
        self._subject = b"s%d.student.heartbeat" % number
        self._rest = b""

    def on_open(self, stream: Stream) -> None:
        """Say who we are."""
        self._stream = stream
        stream.write(b'CONNECT {"verbose":false,"pedantic":false}\r\nSUB class 1\r\nPING\r\n')

    def on_data(self, stream: Stream, data: bytes) -> None:
        """Count what matters, answer PINGs."""
        *lines, self._rest = (self._rest + data).split(b"\r\n")
        for line in lines:
            if line == b"PONG":
                self._crowd.pong()
            elif line == b"PING":
                stream.write(b"PONG\r\n")
            elif line.startswith(b"MSG class "):
                self._crowd.hear()

    def beat(self) -> None:
        """Publish a heartbeat."""
        self._stream.write(b"PUB %b 2\r\nok\r\n" % self._subject)


def say(word: str, number: int) -> None:
    """Answer the parent."""
    print(word, number, flush=True)


def main(port: int, first: int, count: int) -> None:
    """Connect all, then do as told until standard input ends."""
    raise_descriptor_limit(count + 100)
    with Reactor() as reactor:
        crowd = Crowd(reactor, count)
        for number in range(first, first + count):
            sock = socket.create_connection(("127.0.0.1", port))
            sock.setblocking(False)
            crowd.students.append(Student(crowd, number))
            Stream(reactor, sock, crowd.students[-1])
            reactor.run_once(0)

        def on_order(ready: int) -> None:
            line = sys.stdin.readline()
            if line:
                crowd.order(line)
            else:
                reactor.stop()

        reactor.register(sys.stdin, READ, on_order)
        reactor.run()


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
