# mypy: disable-error-code="misc, untyped-decorator, no-untyped-call"
# mypy: disable-error-code="attr-defined, union-attr, call-arg"
# (Twisted may be absent where types are checked, and zope.interface has none.)
"""A Twisted reactor on ours: what Twisted needs of an event loop, in a hundred lines.

Install it before anything else of Twisted is imported:

    from examples.twisted_reactor import install
    install()
    from twisted.internet import reactor

Run this file to see it at work: an echo server and a client, written for Twisted, on `select`.

    pip install twisted
    python -m examples.twisted_reactor select

Twisted calls a watched object a *selectable*, and asks for two separate things: to be told when it
can be read, and when it can be written. One handle of ours stands for both. Time stays with
Twisted: it tells each iteration how long to wait. `docs/foreign-suites.md` says how Twisted's own
tests for reactors fare with this one.
"""

from __future__ import annotations

import sys
import weakref
from typing import Any

from twisted.internet.error import ConnectionFdescWentAway
from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.main import installReactor
from twisted.internet.posixbase import PosixReactorBase
from twisted.python import log
from zope.interface import implementer

from reactor import READ, WRITE, Handle, Reactor


@implementer(IReactorFDSet)
class DemultiplexerReactor(PosixReactorBase):
    """Twisted's reactor interface, with one of our reactors underneath."""

    def __init__(self, backend: str | None = None) -> None:
        self._ours = Reactor(backend=backend)
        self._handles: dict[Any, Handle] = {}
        self._interests: dict[Any, int] = {}
        # Twisted has no moment at which a reactor is closed for good, so its end is awaited.
        weakref.finalize(self, self._ours.close)
        PosixReactorBase.__init__(self)

    def addReader(self, selectable: Any) -> None:  # noqa: N802 - Twisted's name
        """Begin to call `selectable.doRead()` when it can be read."""
        self._add(selectable, READ)

    def addWriter(self, selectable: Any) -> None:  # noqa: N802 - Twisted's name
        """Begin to call `selectable.doWrite()` when it can be written."""
        self._add(selectable, WRITE)

    def removeReader(self, selectable: Any) -> None:  # noqa: N802 - Twisted's name
        """Stop that; the selectable may be closed already, or unknown."""
        self._remove(selectable, READ)

    def removeWriter(self, selectable: Any) -> None:  # noqa: N802 - Twisted's name
        """Stop that; the selectable may be closed already, or unknown."""
        self._remove(selectable, WRITE)

    def removeAll(self) -> list[Any]:  # noqa: N802 - Twisted's name
        """Stop everything, except what the reactor itself watches, and return it."""
        selectables = [each for each in self._handles if each not in self._internalReaders]
        for selectable in selectables:
            self._remove(selectable, READ | WRITE)
        return selectables

    def getReaders(self) -> list[Any]:  # noqa: N802 - Twisted's name
        """Return what is watched for reading."""
        return [each for each, interest in self._interests.items() if interest & READ]

    def getWriters(self) -> list[Any]:  # noqa: N802 - Twisted's name
        """Return what is watched for writing."""
        return [each for each, interest in self._interests.items() if interest & WRITE]

    def doIteration(self, timeout: float | None) -> None:  # noqa: N802 - Twisted's name
        """Wait at most `timeout` seconds, and serve what is ready: one turn of ours."""
        self._ours.run_once(timeout)

    def _add(self, selectable: Any, event: int) -> None:
        interest = self._interests.get(selectable, 0) | event
        handle = self._handles.get(selectable)
        if handle is None:
            self._handles[selectable] = self._ours.register(
                selectable, interest, lambda ready: self._serve(selectable, ready)
            )
        else:
            handle.modify(interest)
        self._interests[selectable] = interest

    def _remove(self, selectable: Any, event: int) -> None:
        if selectable not in self._handles:
            return
        interest = self._interests[selectable] & ~event
        if interest:
            self._interests[selectable] = interest
            self._handles[selectable].modify(interest)
        else:
            del self._interests[selectable]
            self._handles.pop(selectable).close()

    def _serve(self, selectable: Any, ready: int) -> None:
        log.callWithLogger(selectable, self._read_or_write, selectable, ready)

    def _read_or_write(self, selectable: Any, ready: int) -> None:
        """Read, then write; whatever one of them returns or raises ends the selectable."""
        for event, call in ((READ, "doRead"), (WRITE, "doWrite")):
            if not ready & event & self._interests.get(selectable, 0):
                continue
            try:
                lost = selectable.fileno() == -1
                why = ConnectionFdescWentAway() if lost else getattr(selectable, call)()
            except BaseException as error:
                log.err()
                why = error
            if why:
                self._disconnectSelectable(selectable, why, event == READ)
                return


def install(backend: str | None = None) -> None:
    """Make this the reactor that ``from twisted.internet import reactor`` gives."""
    installReactor(DemultiplexerReactor(backend))


def main(backend: str | None = None) -> None:
    """Let a Twisted server and a Twisted client talk to one another, once."""
    install(backend)
    from twisted.internet import protocol, reactor
    from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol

    class Echo(protocol.Protocol):
        def dataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
            self.transport.write(data)

    class Hello(protocol.Protocol):
        def connectionMade(self) -> None:  # noqa: N802 - Twisted's name
            self.transport.write(b"hello, Twisted")

        def dataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
            print(data.decode(), "on", reactor._ours.stats().backend, flush=True)
            self.transport.loseConnection()

        def connectionLost(self, reason: Any = None) -> None:  # noqa: N802 - Twisted's name
            reactor.stop()

    def connect(port: Any) -> None:
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
        connectProtocol(endpoint, Hello())

    server = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
    server.listen(protocol.Factory.forProtocol(Echo)).addCallback(connect)
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
