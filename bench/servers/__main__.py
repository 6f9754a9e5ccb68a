"""`python -m bench.servers NAME [--port N]`: run one echo server until it is killed."""

from __future__ import annotations

import argparse
import os
from importlib import import_module
from pathlib import Path

from bench import native
from bench.machine import raise_descriptor_limit
from bench.peers import OURS, PEERS

#: Which module of this package serves which peers; each has a `serve(name, port)`.
MODULES = {
    "bare-c": "bare_c",
    "bare-epoll": "bare",
    "selectors": "bare",
    "asyncio": "aio",
    "asyncio-buffered": "aio",
    "uvloop": "aio",
    "rloop": "aio",
    "zuvloop": "aio",
    OURS + "aio": "aio",
    "gevent": "with_gevent",
    "twisted": "with_twisted",
    "tornado": "with_tornado",
    "trio": "with_trio",
}


def main() -> None:
    """Become the server that was asked for."""
    parser = argparse.ArgumentParser("python -m bench.servers", description=__doc__)
    parser.add_argument("name", choices=PEERS)
    parser.add_argument("--port", type=int, default=0, help="0 (the default) takes any free one")
    options = parser.parse_args()
    peer = PEERS[options.name]
    reason = peer.missing()
    if reason is not None:
        parser.error(f"{peer.name} is not here: {reason}")
    raise_descriptor_limit(8192)
    if peer.c_program:
        program = str(native.build(peer.c_program))
        os.execv(program, [program, str(options.port)])
    if peer.program:
        script = Path(__file__).with_name(f"{peer.name}.mjs")
        os.execvp(peer.program, [peer.program, str(script), str(options.port)])
    module = import_module(f"bench.servers.{MODULES.get(peer.name, 'ours')}")
    module.serve(peer.name, options.port)


if __name__ == "__main__":
    main()
