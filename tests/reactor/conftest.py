"""What many tests of the reactor begin with: a reactor on each backend, and a pair of sockets."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from reactor import Reactor


@pytest.fixture
def reactor(backend: str) -> Iterator[Reactor]:
    """A reactor on each demultiplexer that works here."""
    with Reactor(backend=backend) as it:
        yield it


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connected Unix sockets."""
    ends = socket.socketpair()
    yield ends
    for end in ends:
        end.close()
