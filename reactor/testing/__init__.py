"""Test what runs on a reactor without a kernel, without threads and without waiting.

    from reactor import READ
    from reactor.testing import make_reactor, memory_socketpair

    def test_a_heartbeat_is_sent_every_ten_seconds() -> None:
        reactor = make_reactor()
        ours, theirs = memory_socketpair(reactor.demultiplexer)
        start_heartbeat(reactor, ours)          # what is tested: uses call_every and sends on ours
        reactor.run_for(30)                     # takes no time
        assert theirs.recv(100) == b"beat" * 3

Three parts, each usable without the others:

* a `ManualClock`, which stands still until it is told to move;
* a `ScriptedDemultiplexer`, which waits by moving that clock to the next thing that can happen, and
  raises `WouldSleepForeverError` when nothing can;
* a `MemorySocket`, which behaves as a non-blocking stream socket does, down to its errors, and can
  be told to be slow, short of room, or broken.

`make_reactor` puts the first two together. The reactor in it is the real one, turn order and all;
only what it stands on is replaced. Everything is deterministic: the same test does the same steps.

Not thread-safe, none of it. Floor 3: for the tests of anybody who embeds a reactor, and for ours.
"""

from reactor.clock import ManualClock
from reactor.testing._demultiplexer import (
    ScriptedDemultiplexer,
    ScriptedHandle,
    VirtualFile,
    Wait,
    WouldSleepForeverError,
)
from reactor.testing._memory import MemorySocket, memory_socketpair
from reactor.testing._reactor import NeverSettlesError, VirtualReactor, make_reactor

__all__ = [
    "ManualClock",
    "MemorySocket",
    "NeverSettlesError",
    "ScriptedDemultiplexer",
    "ScriptedHandle",
    "VirtualFile",
    "VirtualReactor",
    "Wait",
    "WouldSleepForeverError",
    "make_reactor",
    "memory_socketpair",
]
