"""Our streams, on whichever of our backends was asked for."""

from __future__ import annotations

from bench.peers import OURS
from bench.servers import BACKLOG, HOST, tell
from reactor import Reactor, Stream, StreamHandler, listen


class Echo(StreamHandler):
    """One peer."""

    __slots__ = ()

    def on_data(self, stream: Stream, data: bytes) -> None:
        """Send it back."""
        stream.write(data)


def serve(name: str, port: int) -> None:
    """Serve until killed."""
    with Reactor(backend=name.removeprefix(OURS)) as reactor:
        listener = listen(reactor, (HOST, port), Echo, backlog=BACKLOG)
        assert listener.port is not None
        tell(listener.port)
        reactor.run()
