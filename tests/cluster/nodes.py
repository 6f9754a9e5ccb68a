"""Nodes of one cluster, ours and real, from the same configuration files.

A `Mesh` is named by its nodes: "oor" are two of ours and a real nats-server, each of which dials
the first. Whether it is whole is asked of its own clients, who are told of every node that comes.

Used by tests/cluster.
"""

from __future__ import annotations

import json
import re
import socket
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from broker import Broker
from tests.support.servers import ServerProcess, real_server_path

PATIENCE = 20.0
"""Seconds after which what is waited for does not come any more."""

_ROUTES_AT = re.compile(r"Listening for route connections on [^ ]*:(\d+)")

_CONFIGURATION = """
server_name: {name}
listen: "127.0.0.1:-1"
system_account: SYS
accounts {{
  SYS {{ users: [ {{ user: sys, password: pw }} ] }}
  A {{
    users: [ {{ user: a, password: pw }} ]
    exports: [ {{ stream: "out.>" }}, {{ service: svc }} ]
  }}
  B {{
    users: [ {{ user: b, password: pw }} ]
    imports: [ {{ stream: {{ account: A, subject: "out.>" }} }}
               {{ service: {{ account: A, subject: svc }} }} ]
  }}
}}
cluster {{
  name: C
  listen: "127.0.0.1:-1"
  routes: {routes}
  {more}
}}
"""


class Node(Protocol):
    """A node that runs."""

    port: int
    cluster_port: int

    def stop(self) -> None:
        """End it in an orderly way."""


class OurNode:
    """A broker in this process."""

    def __init__(self, configuration: Path) -> None:
        self.broker = Broker(config=configuration)
        self.broker.start()
        self.port = self.broker.port
        self.cluster_port = self.broker.cluster_port

    def stop(self) -> None:
        """As every node's."""
        self.broker.stop()


class RealNode:
    """A nats-server."""

    def __init__(self, configuration: Path) -> None:
        self.process = ServerProcess([str(real_server_path()), "-c", str(configuration), "-D"])
        self.process.start()
        self.port = self.process.port
        self.cluster_port = int(self.process.find(_ROUTES_AT)[1])

    def stop(self) -> None:
        """As every node's."""
        self.process.stop()


class Mesh:
    """The nodes that ``kinds`` says, connected with each other inside the `with` block.

    ``more`` goes into each node's ``cluster`` block; ``login`` into the URL by which it is dialled.
    """

    def __init__(self, kinds: str, more: str = "", login: str = "") -> None:
        self.kinds = kinds
        self._more = more
        self._login = login
        self.nodes: list[Node] = []

    def __enter__(self) -> Mesh:
        self._folder = tempfile.TemporaryDirectory(prefix="mesh-")
        try:
            for kind in self.kinds:
                self.add(kind)
            self.wait()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for node in reversed(self.nodes):
            node.stop()
        self._folder.cleanup()

    def add(self, kind: str) -> None:
        """One node more, which dials the first."""
        number = len(self.nodes)
        login = f"{self._login}@" if self._login else ""
        routes = [f"nats-route://{login}127.0.0.1:{node.cluster_port}" for node in self.nodes[:1]]
        path = Path(self._folder.name) / f"{number}.conf"
        path.write_text(
            _CONFIGURATION.format(
                name=f"n{number}{kind}", routes=json.dumps(routes), more=self._more
            )
        )
        self.nodes.append(OurNode(path) if kind == "o" else RealNode(path))

    def url(self, number: int, user: str = "a") -> str:
        """Where a client of that user connects to a node."""
        return f"nats://{user}:pw@127.0.0.1:{self.nodes[number].port}"

    def routes(self, number: int) -> set[str]:
        """The names of the nodes to which a node of ours has a route."""
        node = self.nodes[number]
        assert isinstance(node, OurNode)
        return {route.remote_name for route in node.broker.routes()}

    def wait(self) -> None:
        """Return when every node has told its clients of all the others."""
        if len(self.nodes) == 1:
            return
        expected = {f"127.0.0.1:{node.port}" for node in self.nodes}
        for node in self.nodes:
            told: set[str] = set()
            for info in infos(node.port):
                told = set(info.get("connect_urls", ()))
                if told == expected:
                    break
            assert told == expected


def infos(port: int) -> Any:
    """The INFOs that a client of ``port`` is sent, for `PATIENCE` seconds."""
    until = time.monotonic() + PATIENCE
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
        connect = b'CONNECT {"verbose":false,"protocol":1,"user":"a","pass":"pw"}\r\nPING\r\n'
        sock.sendall(connect)
        with sock.makefile("rb") as file:
            while time.monotonic() < until:
                sock.settimeout(max(0.1, until - time.monotonic()))
                line = file.readline()
                if line.startswith(b"INFO "):
                    yield json.loads(line[5:])
