"""The load of `bench.soak`: clients of all habits, most of whom never stay long.

Spoken to in lines on standard input, answers in lines on standard output:

    (start)  -> ready             the clients that stay are connected
    end      -> {"asked": ...}    everybody has left; counts of what was done, as JSON

What is done at each beat stands in `Crowd.beat`. Requests are counted twice, as asked and as
answered: of a client that waited until it was answered both must be equal.
"""

from __future__ import annotations

import json
import socket
import sys
from collections import Counter, deque

from bench.hostile_client import HELLO, Client, say
from reactor import READ, CloseReason, Reactor

#: Seconds between two beats.
BEAT = 0.02
#: Clients that stay, and how many of them answer requests.
STAYING = 12
SERVICES = 3
#: Beats between two subscribers that never read, and how many beats each lives.
SLOW_EVERY = 50
SLOW_LIFE = 100
#: Seconds for the last answers.
LAST = 2.0
#: Beats that a passing client stays after it was answered.
STAY = 10
#: Passing clients that wait for an answer before the first of them goes without one.
PATIENCE = 500

#: More than the kernel's buffers and the broker's bound hold, within the life of a slow subscriber.
FLOOD = (b"PUB flood 65536\r\n" + b"x" * 65536 + b"\r\n") * 2


class Staying(Client):
    """Hears everything that is published, and answers requests if it is a service."""

    def __init__(self, crowd: Crowd, number: int) -> None:
        super().__init__()
        self._crowd = crowd
        self._service = number < SERVICES
        self._reply = b""

    def greeting(self) -> bytes:
        """Subscribe; services share the work."""
        asked = b"SUB service workers 2\r\n" if self._service else b""
        return b"SUB news.* 1\r\n" + asked + b"PING\r\n"

    def line(self, line: bytes) -> None:
        """Answer a request when its payload has come."""
        words = line.split()
        if line == b"PONG":
            self._crowd.ready()
        elif line.startswith(b"MSG service"):
            self._reply = words[3]
        elif line == b"please" and self._reply:
            self.say(b"PUB %b 2\r\nok\r\n" % self._reply)
        elif line == b"tidings":
            self._crowd.deeds["heard"] += 1

    def left(self, reason: CloseReason) -> None:
        """Nobody who stays is to be sent away."""
        self._crowd.deeds["lost"] += not self._crowd.ending


class Passing(Client):
    """Comes, subscribes, asks, is answered, unsubscribes, and goes: politely or not."""

    def __init__(self, crowd: Crowd, number: int) -> None:
        super().__init__()
        self._crowd = crowd
        self._number = number
        self.answered = False

    def greeting(self) -> bytes:
        """Subscribe in several ways, publish to subjects that nobody used before, and ask."""
        number = self._number
        self._crowd.deeds["asked"] += 1
        return b"".join(
            (
                b"SUB inbox.%d.* 1\r\nSUB passing.*.%d 2\r\n" % (number, number % 7),
                b"SUB jobs workers 3\r\nSUB limited.%d 4\r\nUNSUB 4 2\r\n" % number,
                b"PUB new.%d.subject 1\r\nx\r\n" % number,
                b"PUB passing.%d.%d 1\r\nx\r\n" % (number, number % 7),
                b"HPUB jobs 12 13\r\nNATS/1.0\r\n\r\nx\r\n",
                b"PUB nobody inbox.%d.none 0\r\n\r\n" % number,
                b"PUB service inbox.%d.reply 6\r\nplease\r\n" % number,
            )
        )

    def line(self, line: bytes) -> None:
        """The answer is the only message that says ok."""
        if line == b"ok":
            self.answered = True
            self._crowd.deeds["answered"] += 1
            # The last subject has a flow that nobody's leaving evicts: these fill the flow table.
            self.say(b"UNSUB 1\r\nUNSUB 3\r\nPUB inbox.%d.late 0\r\n\r\n" % self._number)

    def go(self) -> None:
        """Leave; every third without a farewell."""
        if self._number % 3:
            self.stream.close()
        else:
            self.stream.abort()


class Crowd:
    """All clients of this process."""

    def __init__(self, reactor: Reactor, port: int) -> None:
        self.deeds: Counter[str] = Counter()
        self.ending = False
        self._reactor = reactor
        self._port = port
        self._beats = 0
        self._awaited = STAYING
        self._passing: deque[Passing] = deque()
        self._slow: deque[tuple[int, socket.socket]] = deque()
        self._staying = [Staying(self, n).join(reactor, port) for n in range(STAYING)]
        self._timer = reactor.call_every(BEAT, self.beat)

    def ready(self) -> None:
        """One more that stays is subscribed."""
        self._awaited -= 1
        if not self._awaited:
            say("ready")

    def beat(self) -> None:
        """One client comes and one goes, somebody publishes, and now and then one is slow."""
        if self._awaited:
            return
        self._beats += 1
        speaker = self._staying[self._beats % STAYING]
        speaker.say(b"PUB news.%d 7\r\ntidings\r\n" % (self._beats % 10))
        self.deeds["published"] += 1
        passing = Passing(self, self._beats)
        passing.join(self._reactor, self._port)
        self._passing.append(passing)
        if len(self._passing) > STAY:
            first = self._passing[0]
            # On a machine that is busy with other things answers may take longer than a stay.
            if first.answered or len(self._passing) > PATIENCE:
                self._passing.popleft().go()
        if self._beats % SLOW_EVERY == 0:
            self._slow.append((self._beats, slow_subscriber(self._port)))
        if self._slow:
            speaker.say(FLOOD)
            if self._beats - self._slow[0][0] > SLOW_LIFE:
                self._slow.popleft()[1].close()

    def end(self) -> None:
        """Wait for the last answers, but not for ever, then everybody leaves."""
        self._timer.cancel()
        self._reactor.call_later(LAST, self._leave)

    def _leave(self) -> None:
        self.ending = True
        for passing in self._passing:
            passing.go()
        for staying in self._staying:
            staying.stream.close()
        for _, sock in self._slow:
            sock.close()
        self._reactor.call_later(0.2, say, json.dumps(self.deeds))


def slow_subscriber(port: int) -> socket.socket:
    """Return a connection that has subscribed to the flood and will never read of it."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", port))
    sock.sendall(HELLO + b"SUB flood 1\r\n")
    return sock


def main(port: int) -> None:
    """Connect who stays, go on until told to end."""
    with Reactor() as reactor:
        crowd = Crowd(reactor, port)

        def on_order(ready: int) -> None:
            if sys.stdin.readline():
                crowd.end()
            else:
                reactor.stop()

        reactor.register(sys.stdin, READ, on_order)
        reactor.run()


if __name__ == "__main__":
    main(int(sys.argv[1]))
