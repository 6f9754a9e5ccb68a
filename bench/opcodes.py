"""What Python does for one echoed message, counted: bytecodes of each function, by `sys.settrace`.

Times waver with the machine; this count does not. It says nothing of the kernel and of C, so it is
for comparing two versions of the same path: 100 fewer of 300 are about 0.8 us of some 9.
"""

from __future__ import annotations

import argparse
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from rich.table import Table

from bench import output
from bench.servers.ours import Echo
from reactor import Reactor, Stream
from reactor.demux import available

#: Rounds in which every stream has had its first message, and the interpreter has warmed up.
WARMUP = 20


class Tally:
    """Bytecodes and calls of each function while it watches."""

    def __init__(self) -> None:
        self.opcodes: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Count in this block. Tracing is taken from whoever had it, and given back."""
        before = sys.gettrace()
        sys.settrace(self._trace)
        try:
            yield
        finally:
            sys.settrace(before)

    def _trace(self, frame: FrameType, event: str, _argument: Any) -> Any:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        name = f"{frame.f_globals.get('__name__', '?')}.{frame.f_code.co_name}"
        if event == "call":
            self.calls[name] += 1
        elif event == "opcode":
            self.opcodes[name] += 1
        return self._trace


def count(backend: str, connections: int, size: int) -> Tally:
    """Echo one message of `size` bytes over each of so many Unix sockets, and count."""
    tally = Tally()
    with Reactor(backend=backend) as reactor:
        peers = []
        for _ in range(connections):
            ours, peer = socket.socketpair()
            peer.setblocking(False)
            Stream(reactor, ours, Echo())
            peers.append(peer)
        for _ in range(WARMUP):
            _echo(reactor, peers, size, None)
        _echo(reactor, peers, size, tally)
        for peer in peers:
            peer.close()
        reactor.run_once(0)
    return tally


def _echo(reactor: Reactor, peers: list[socket.socket], size: int, tally: Tally | None) -> None:
    left = size * len(peers)
    for peer in peers:
        peer.send(bytes(size))
    while left:
        if tally is None:
            reactor.run_once(0)
        else:
            with tally.watching():
                reactor.run_once(0)
        for peer in peers:
            try:
                left -= len(peer.recv(size))
            except BlockingIOError:
                pass  # in another turn


def main(arguments: list[str]) -> int:
    """Count, and print a line for each function."""
    parser = argparse.ArgumentParser("python -m bench opcodes", description=__doc__.split("\n")[0])
    parser.add_argument("--backend", default=available()[0], choices=available())
    parser.add_argument("-c", "--connections", type=int, default=100)
    parser.add_argument("-s", "--size", type=int, default=1024, help="bytes of a message")
    options = parser.parse_args(arguments)
    tally = count(options.backend, options.connections, options.size)
    table = Table(title=f"{options.backend}, {options.connections} x {options.size} bytes")
    for column in ("function", "bytecodes a message", "calls a message"):
        table.add_column(column, justify="left" if column == "function" else "right")
    for name, opcodes in tally.opcodes.most_common():
        row = (opcodes / options.connections, tally.calls[name] / options.connections)
        table.add_row(name, *(f"{figure:.2f}" for figure in row))
    table.add_section()
    table.add_row("all", f"{tally.opcodes.total() / options.connections:.2f}", "")
    output.print_table(table)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
