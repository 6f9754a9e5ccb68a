"""A NATS broker inside your own process: nothing to install, nothing to wait for.

    python -m examples.in_process_broker

Any NATS client can use its address. This one speaks the protocol by hand, to show how little there
is to it.
"""

from __future__ import annotations

import socket

from broker import Broker


def main() -> None:
    """Publish to ourselves."""
    with Broker(port=0) as broker:
        print("serving at", broker.url)
        with socket.create_connection((broker.host, broker.port)) as connection:
            connection.sendall(
                b'CONNECT {"verbose":false}\r\n'
                b"SUB greet.* 1\r\n"
                b"PUB greet.world 5\r\nhello\r\n"
                b"PING\r\n"
            )
            for line in connection.makefile("rb"):
                print("<", line.decode().rstrip()[:40])
                if line == b"PONG\r\n":
                    break


if __name__ == "__main__":
    main()
