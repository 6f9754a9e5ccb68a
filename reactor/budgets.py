"""Every budget of the reactor, with its reason, in one place.

A reactor is fair only because nothing in it may take as much as it likes. Each number below bounds
one kind of work in one turn, so that one busy peer costs the others at most that much waiting.

Floor 1: imports nothing of ours; anyone may import it.
"""

from __future__ import annotations

from typing import Final

#: Longest single wait, in seconds. A longer one is waited in pieces: the kernel's timeouts are
#: 32-bit milliseconds in places, and libevent chose the same 35 minutes for the same reason.
MAX_WAIT: Final = 35 * 60.0

#: Bytes asked of one `recv`, unless the stream has shown that it brings more. Below 16 KiB bulk
#: transfers pay per call.
READ_SIZE: Final = 64 * 1024

#: Bytes asked of the next `recv` after one that was filled, until one brings less than a quarter of
#: READ_SIZE. A message of 100 KiB is then one read and one write, which is worth a third of an
#: echo's cost. Not asked of everybody, for above 128 KiB allocators other than the GNU C library's
#: (see ALLOCATOR_LESSON) map and unmap memory for every read: 13 to 21 us against 2.
READ_MOST: Final = 256 * 1024

#: Bytes that a demultiplexer in C asks of a stream at first; it doubles up to READ_SIZE while they
#: are filled. The same number as RX_FIRST in `_epoll_ext/epoll.h`.
RECEIVE_FIRST: Final = 4 * 1024

#: Bytes read from one stream in one turn, before the others have their go.
READ_BUDGET: Final = 256 * 1024

#: Bytes handed to the kernel from one stream's queue in one turn.
WRITE_BUDGET: Final = 1024 * 1024

#: Writes up to this many bytes are joined with their neighbours into one; larger ones are sent as
#: they are. Joining many small writes saves system calls; copying large ones costs more than that.
JOIN_LIMIT: Final = 8 * 1024

#: Size of the block that is made and dropped once, when streams are first used. It teaches the GNU
#: C library's allocator to keep up to twice as much of a heap that is free for the moment. Without
#: it, a loop that handles a hundred messages of 10 KiB in a turn takes the memory from the kernel
#: and gives it back in every turn: 2.2 page faults for each message, and half of the speed.
ALLOCATOR_LESSON: Final = 16 * 1024 * 1024

#: Connections accepted from one listener in one turn: the budget starts at the first number and
#: doubles up to the second while the backlog keeps filling it. What a program does for a new peer
#: takes ten times as long as a turn without one, so more than a few would save nothing; and those
#: who come by the hundred keep those who are there waiting for a few at a time.
ACCEPT_BUDGET: Final = (1, 2)

#: Datagrams received from one socket in one turn.
DATAGRAM_BUDGET: Final = 64

#: Default high water mark of a stream's output, in bytes: above it a producer is asked to pause,
#: and at a quarter of it to go on.
HIGH_WATER: Final = 64 * 1024

#: Consecutive turns in which a handle may report HANGUP without its handler changing anything,
#: before the reactor says so and pauses it: a hang-up is level-triggered and never goes away.
HANGUP_PATIENCE: Final = 64

#: Short turns, of deferred calls alone, that may follow a whole one: the kernel is not asked in
#: them, as that would cost more than all the rest. So a ready handle may wait for that many turns
#: more, but none begins after that many seconds: about as long as waking a loop that sleeps takes.
SHORT_TURNS: Final = (32, 50e-6)
