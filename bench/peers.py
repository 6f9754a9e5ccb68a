"""Whom we measure ourselves against, in one table: what each is, and whether it is here.

Every peer is optional. One that is missing is left out, with a line that says what to install; one
that is here is named with its version, which is recorded beside its figures.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from bench import native
from reactor.demux import BACKENDS, available

#: What stands before the name of a backend of ours.
OURS = "reactor-"


@dataclass(frozen=True)
class Peer:
    """One server or loop under measurement."""

    name: str
    what: str
    #: One of these says what it needs: a module to import, one of our C programs, a program.
    module: str = ""
    c_program: str = ""
    program: str = ""
    #: Its distribution on PyPI, where that is not the module's name.
    distribution: str = ""
    #: The oldest Python that it runs on.
    python: tuple[int, int] = (3, 10)

    @property
    def ours(self) -> bool:
        """Whether it is part of this project."""
        return self.name.startswith(OURS)

    def missing(self) -> str | None:
        """Return what to do to have it here, or None if it is here."""
        if sys.version_info[:2] < self.python:
            return f"needs Python {self.python[0]}.{self.python[1]} or later"
        if self.c_program:
            try:
                native.build(self.c_program)
            except native.NotBuiltError as error:
                return str(error)
        if self.program and shutil.which(self.program) is None:
            return f"apt-get install {self.program}"
        if self.ours:
            return _missing_backend(self.name)
        if self.module:
            try:
                importlib.import_module(self.module)
            except ImportError:
                return f"pip install {self.distribution or self.module}"
        return None

    def version(self) -> str | None:
        """Return the version of what PyPI brings; None for what is not from there."""
        try:
            return importlib.metadata.version(self.distribution or self.module or self.name)
        except (importlib.metadata.PackageNotFoundError, ValueError):
            return None


def _table() -> dict[str, Peer]:
    ours = [Peer(OURS + name, f"a Stream of ours on {name}") for name in BACKENDS]
    return {
        peer.name: peer
        for peer in (
            *ours,
            Peer(OURS + "aio", "an asyncio Protocol on our loop"),
            Peer("raw-c", "epoll, recv and send in C: the floor", c_program="echo_floor"),
            Peer("libevent", "libevent in C", c_program="echo_libevent"),
            Peer("libev", "libev in C", c_program="echo_libev"),
            Peer("libuv", "libuv's streams in C", c_program="echo_libuv"),
            Peer(
                "bare-c",
                "a page of Python above the C of epoll_c",
                module="_epoll_ext._native",
                distribution="reactor-broker",
            ),
            Peer("bare-epoll", "a dictionary on select.epoll: the least that Python can do"),
            Peer("selectors", "the standard library's selectors"),
            Peer("asyncio", "asyncio with a Protocol"),
            Peer("asyncio-buffered", "asyncio with a BufferedProtocol"),
            Peer("uvloop", "a Protocol on uvloop (libuv in Cython)", module="uvloop"),
            Peer("rloop", "a Protocol on rloop (mio in Rust)", module="rloop"),
            Peer("zuvloop", "a Protocol on zuvloop (Zig)", module="zuvloop", python=(3, 14)),
            Peer("gevent", "greenlets on libev", module="gevent"),
            Peer("twisted", "a Protocol on Twisted's epoll", module="twisted"),
            Peer("tornado", "an IOStream on asyncio", module="tornado"),
            Peer("trio", "a task per connection", module="trio"),
            Peer("node", "Node's net module (libuv)", program="node"),
        )
    }


def _missing_backend(name: str) -> str | None:
    backend = name.removeprefix(OURS)
    if backend == "aio":
        try:
            importlib.import_module("reactor.aio")
        except ImportError:
            return "this checkout has no reactor.aio"
        return None
    return None if backend in available() else f"the backend {backend} does not work here"


PEERS = _table()


def best_of_ours() -> str:
    """Return the name of our best backend that works here."""
    return OURS + available()[0]


def choose(names: Iterable[str]) -> tuple[list[str], dict[str, str]]:
    """Split `names` into those that are here and, with what to do about it, those that are not.

    Raises KeyError for a name that is not in the table.
    """
    here: list[str] = []
    absent: dict[str, str] = {}
    for name in dict.fromkeys(names):
        reason = PEERS[name].missing()
        if reason is None:
            here.append(name)
        else:
            absent[name] = reason
    return here, absent
