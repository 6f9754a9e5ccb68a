"""The attacks of `bench.hostile`, a row each in `ATTACKS`.

To add one: write a generator of steps (see `bench.hostile_target`), and a row. A row whose front
the broker does not have is left out and said so, hence attacks on a front that is optional may
stand here unconditionally.

Run as a process by `bench.hostile`: `python -m bench.hostile_attacks NAME PORTS`.
"""

from __future__ import annotations

import itertools
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass

from bench import hostile_http, hostile_websocket
from bench.hostile_target import Flood, Steps, Target, main

MIB = 1024 * 1024

HELLO = b'CONNECT {"verbose":false,"pedantic":false}\r\n'

#: A TLS 1.2 record that begins a ClientHello of 508 bytes: what comes to a port by mistake.
CLIENT_HELLO = bytes.fromhex("1603010200010001fc0303")


@dataclass(frozen=True)
class Attack:
    """One kind of hostility, and what the broker is allowed while it lasts.

    `memory` is how much larger the broker may become, in bytes; `names` a part of the log line that
    says which limit was exceeded, empty where none is; `never` a deed that must not have happened.
    """

    steps: Callable[[Target], Steps]
    text: str
    memory: int = 32 * MIB
    names: str = ""
    front: str = "client"
    never: str = ""
    least: float = 0.0


def one_byte_a_second(target: Target) -> Steps:
    """Publish, very slowly."""
    crowd = [target.connect() for _ in range(200)]
    for byte in itertools.cycle(b"PUB hostile.slow 11\r\nhello world\r\n"):
        for sock in crowd:
            target.say(sock, bytes([byte]))
        yield 1.0


def half_open(target: Target) -> Steps:
    """Connect and never say a word, or vanish after the handshake, or go without a farewell."""
    crowd = [target.connect() for _ in range(600)]
    for sock in crowd[::3]:
        target.say(sock, HELLO + b"SUB hostile.nobody 1\r\n")
    for sock in crowd[1::3]:
        sock.shutdown(socket.SHUT_WR)
    while True:
        yield 1.0


def connects(target: Target) -> Steps:
    """Come and go, three thousand times a second if the broker keeps up."""
    while True:
        for number in range(30):
            sock = target.connect()
            if number % 2:
                target.say(sock, HELLO + b"SUB hostile.nobody 1\r\nPING\r\n")
            sock.close()
        yield 0.01


def control_lines(target: Target) -> Steps:
    """Send a line of a megabyte that never ends."""
    for verb in itertools.cycle((b"PUB ", b"SUB ", b"CONNECT ", b"UNSUB ")):
        sock = target.connect()
        line = verb + b"x" * MIB
        while line and (took := target.say(sock, line)):
            line = line[took:]
        if b"maximum control line" in target.hear_all(sock, 0.02):
            target.deeds["told why"] += 1
        sock.close()
        yield 0.01


def giant_subjects(target: Target) -> Steps:
    """Subscribe and publish to ever new subjects of two thousand tokens, just within the limit."""
    while True:
        sock = target.connect()
        target.say(sock, HELLO)
        for number in range(50):
            tail = b"%d.%d" % (target.random.randrange(10_000), number)
            stars = b".".join(target.random.choice((b"a", b"*")) for _ in range(1900))
            target.say(sock, b"SUB %b.%b %d\r\n" % (stars, tail, number))
            target.say(sock, b"PUB %b%b 2\r\nhi\r\n" % (b"a." * 1900, tail))
            yield 0.02
        sock.close()


def payloads(target: Target) -> Steps:
    """Announce payloads of a hundred megabytes."""
    while True:
        sock = target.connect()
        target.say(sock, HELLO + b"PUB hostile.big 99999999\r\n" + b"x" * 65536)
        if b"Maximum Payload" in target.hear_all(sock, 0.02):
            target.deeds["told why"] += 1
        sock.close()
        yield 0.01


def subscriptions(target: Target) -> Steps:
    """Subscribe to fifty thousand subjects as fast as can be, leave, and come again."""
    while True:
        sock = target.connect()
        flood = Flood(target, sock)
        flood.queue(HELLO)
        for first in range(0, 50_000, 500):
            numbers = range(first, first + 500)
            flood.queue(b"".join(b"SUB hostile.%d.*.x %d\r\n" % (n, n) for n in numbers))
            while not flood.push():
                yield 0.002
            target.deeds["subscriptions"] += len(numbers)
        yield 0.1
        sock.close()


def eviction(target: Target) -> Steps:
    """Subscribe to everything and unsubscribe at once, so that no flow lives for long."""
    sock = target.connect()
    flood = Flood(target, sock)
    flood.queue(HELLO)
    while True:
        if flood.push():
            flood.queue(b"SUB > 1\r\nUNSUB 1\r\n" * 200)
            target.deeds["evictions"] += 200
        target.hear(sock)
        yield 0.005


def never_read(target: Target) -> Steps:
    """Subscribe to much, read nothing; whoever is cut off comes again."""
    readers: list[socket.socket] = []
    publisher = target.connect()
    flood = Flood(target, publisher)
    target.say(publisher, HELLO)
    message = b"PUB hostile.much 65536\r\n" + b"x" * 65536 + b"\r\n"
    while True:
        readers = [sock for sock in readers if not _is_cut_off(target, sock)]
        while len(readers) < 4:
            sock = target.connect(window=4096)
            target.say(sock, HELLO + b"SUB hostile.much 1\r\n")
            readers.append(sock)
        for _ in range(16):
            if flood.push():
                flood.queue(message)
        yield 0.02


def _is_cut_off(target: Target, sock: socket.socket) -> bool:
    # A PONG is hardly any output, and tells whether there is still anybody to take it.
    before = target.deeds["cut off"]
    target.say(sock, b"PONG\r\n")
    if target.deeds["cut off"] == before:
        return False
    sock.close()
    return True


def tls_garbage(target: Target) -> Steps:
    """Begin TLS on a port that has none, and go on with noise."""
    while True:
        sock = target.connect()
        target.say(sock, CLIENT_HELLO + target.random.randbytes(505))
        target.say(sock, target.random.randbytes(4096))
        if b"-ERR" in target.hear_all(sock, 0.02):
            target.deeds["told why"] += 1
        sock.close()
        yield 0.01


#: Every attack.
ATTACKS: dict[str, Attack] = {
    "one-byte": Attack(one_byte_a_second, "200 clients publish one byte a second"),
    "half-open": Attack(half_open, "600 connections that never say a word, or vanish"),
    "connects": Attack(connects, "3,000 connects a second, half of them subscribe and leave"),
    "control-line": Attack(
        control_lines, "control lines of 1 MiB", names="maximum control line exceeded"
    ),
    "giant-subject": Attack(giant_subjects, "ever new subjects and filters of 1,900 tokens"),
    "payload": Attack(payloads, "payloads of 100 MB announced", names="maximum payload"),
    "subscriptions": Attack(
        subscriptions, "50,000 subscriptions by one client, again and again", memory=96 * MIB
    ),
    "eviction": Attack(eviction, "SUB > and UNSUB, forty thousand times a second"),
    "never-read": Attack(
        never_read,
        "4 subscribers to a flood that never read",
        memory=4 * 64 * MIB + 64 * MIB,
        names="Slow Consumer",
        least=6.0,
    ),
    "tls-garbage": Attack(tls_garbage, "TLS and noise on the plain port"),
    "http-garbage": Attack(
        hostile_http.garbage, "noise, and headers of 1 MiB, on the monitor port", front="http"
    ),
    "smuggling": Attack(
        hostile_http.smuggling,
        "requests hidden in the bodies of others",
        front="http",
        never="smuggled",
    ),
    "slow-http": Attack(
        hostile_http.slow, "200 visitors send a header a byte at a time", front="http"
    ),
    "deaf-http": Attack(
        hostile_http.deaf, "20 visitors ask for pages without end and read none", front="http"
    ),
    "ws-bombs": Attack(hostile_websocket.bombs, "100 kB that inflate to 100 MB", front="websocket"),
    "ws-fragments": Attack(
        hostile_websocket.fragments, "messages in fragments without end", front="websocket"
    ),
    "ws-giants": Attack(
        hostile_websocket.giants, "frames of exabytes announced", front="websocket"
    ),
    "ws-pings": Attack(
        hostile_websocket.pings, "40,000 pings of WebSocket a second", front="websocket"
    ),
    "ws-slow": Attack(
        hostile_websocket.slow, "200 upgrades asked for, a byte at a time", front="websocket"
    ),
}

if __name__ == "__main__":
    main(sys.argv[1:], {name: attack.steps for name, attack in ATTACKS.items()})
