"""Echo servers to be measured: `python -m bench.servers NAME [--port N]`.

Every one listens on 127.0.0.1, says `listening PORT` on standard output, and sends back whatever it
receives until it is killed. They are written as each library's own documentation would have it,
with the same backlog, without Nagle's algorithm, and without anything that the echo does not need.
A server in another language takes the place of the Python process that was asked for it, so the
CPU time of the process is the server's own.
"""

from __future__ import annotations

#: Peers that the kernel keeps waiting: more than the load ever opens at once.
BACKLOG = 1024

HOST = "127.0.0.1"


def tell(port: int) -> None:
    """Say where we listen, to whoever started us."""
    print(f"listening {port}", flush=True)
