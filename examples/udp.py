"""Datagrams: a server that answers each with its upper case.

python -m examples.udp [PORT]
echo hello | nc -u -w1 127.0.0.1 PORT
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any

from reactor import Datagram, Reactor


def main(port: int = 0) -> None:
    """Serve until Ctrl-C."""

    def on_datagram(data: bytes, address: Any) -> None:
        # Sent at once, whole, or not at all: a datagram that finds no room is dropped and counted.
        socket.send(data.upper(), address)

    with Reactor() as reactor, suppress(KeyboardInterrupt):
        socket = Datagram(reactor, on_datagram, local=("127.0.0.1", port))
        print(f"listening on 127.0.0.1 port {socket.address[1]}", flush=True)
        reactor.run()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
