"""The broker of `bench.soak`: a process that can be asked what it holds.

Started with its settings as JSON; spoken to in lines on standard input:

    (start)  -> PORT                   it listens
    figures  -> {"memory": ...}        what it holds now, as JSON
"""

from __future__ import annotations

import gc
import json
import os
import sys

from bench.hostile_client import say
from bench.hostile_server import count_descriptors, resident_bytes
from broker.config import Options
from broker.server import Server
from reactor import READ, Reactor


def figures(reactor: Reactor, server: Server) -> dict[str, int]:
    """Return what there is of everything that could grow; memory in bytes, all else counts."""
    held, served = reactor.stats(), server.stats()
    return {
        "memory": resident_bytes(os.getpid()),
        "objects": len(gc.get_objects()),
        "descriptors": count_descriptors(os.getpid()),
        "handles": held.handles,
        "timers": held.timers,
        "deferred": held.deferred,
        "links": server.plane.stats().links,
        "subscriptions": served.subscriptions,
        "flows": served.flows,
        "errors": held.errors,
        "slow consumers": served.slow_consumers,
        "connections": served.total_connections,
        "messages in": served.in_msgs,
        "messages out": served.out_msgs,
    }


def main(settings: str) -> None:
    """Serve, and answer until standard input ends."""
    with Reactor() as reactor:
        server = Server(reactor, Options(host="127.0.0.1", port=-1, **json.loads(settings)))
        server.start()

        def on_order(ready: int) -> None:
            if sys.stdin.readline():
                say(json.dumps(figures(reactor, server)))
            else:
                reactor.stop()

        reactor.register(sys.stdin, READ, on_order)
        say(str(server.port))
        reactor.run()


if __name__ == "__main__":
    main(sys.argv[1])
