"""The bound of every loop above our C: its calls and a page of Python, without handles or streams.

What `reactor-epoll_c` loses against it is what the reactor and its streams cost: turns, timers,
budgets, water marks, half close, errors that are told. As in `bare`, what the kernel does not take
at once is kept by descriptor, and until it is out nothing more is read from that peer.
"""

from __future__ import annotations

import errno
import socket
from array import array

from _epoll_ext import ffi, lib
from bench.servers import BACKLOG, HOST, tell
from bench.servers.bare import accept

READING, WRITING = 1, 2

#: Bytes that one wait can receive, and messages that one call can send, as in our reactor.
ARENA = 1024 * 1024
MESSAGES = 128


class Bare:
    """All there is: C's set and arrays, the peers, and what is to be sent at the turn's end."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.set = lib.rx_open(ARENA)
        self.doorbell = lib.rx_add(self.set, listener.fileno(), READING)
        self.results = lib.rx_look(self.set)
        self.arena = ffi.buffer(self.results.arena, ARENA)
        self.peers: dict[int, socket.socket] = {}  # by slot
        self.rests: dict[int, bytes] = {}
        fds, sizes, sent = (ffi.new("int32_t[]", MESSAGES) for _ in range(3))
        self.arrays = (fds, sizes, sent)  # C has pointers to them
        self.messages = ffi.new("rx_messages *", {"fds": fds, "sizes": sizes, "sent": sent})
        self.fds = memoryview(ffi.buffer(fds)).cast("i")
        self.sizes = memoryview(ffi.buffer(sizes)).cast("i")
        self.sent = memoryview(ffi.buffer(sent)).cast("i")

    def view(self) -> tuple[memoryview, memoryview]:
        """Return the arrays of results, which have moved."""
        size = 4 * self.results.room
        slots = memoryview(ffi.buffer(self.results.slots, size)).cast("i")
        return slots, memoryview(ffi.buffer(self.results.sizes, size)).cast("i")

    def run(self) -> None:
        """Echo until killed."""
        peers, arena, watched, wait = self.peers, self.arena, self.set, lib.rx_wait
        received, grew = lib.RX_RECEIVED, lib.RX_GREW
        ready, sizes = self.view()
        while True:
            count = wait(watched, -1)
            if count >= grew:
                count -= grew
                ready, sizes = self.view()
            slots: list[int] = []
            chunks: list[bytes] = []
            if count >= received:
                count -= received
                begin = 0
                both = zip(ready[:count].tolist(), sizes[:count].tolist(), strict=True)
                for slot, size in both:
                    if size > 0:
                        slots.append(slot)
                        chunks.append(arena[begin : begin + size])
                        begin += size
                    else:
                        self.deal_with(slot, size)
            elif count > 0:
                for slot in ready[:count].tolist():
                    self.deal_with(slot, lib.RX_PLAIN)
            for begin in range(0, len(slots), MESSAGES):
                part = chunks[begin : begin + MESSAGES]
                batch = slots[begin : begin + MESSAGES]
                self.fds[: len(part)] = array("i", [peers[slot].fileno() for slot in batch])
                self.sizes[: len(part)] = array("i", map(len, part))
                if lib.rx_send(self.messages, b"".join(part), len(part)):
                    self.keep_rests(batch, part)

    def deal_with(self, slot: int, size: int) -> None:
        """Do for a descriptor what C has left to us."""
        if slot == self.doorbell:
            sock = accept(self.listener)
            slot = lib.rx_add(self.set, sock.fileno(), READING)
            lib.rx_receive(self.set, slot, 1)
            self.peers[slot] = sock
        elif size != lib.RX_PLAIN:  # the end, or a failure
            lib.rx_remove(self.set, slot)
            self.peers.pop(slot).close()
            self.rests.pop(slot, None)
        else:
            self.echo(slot)

    def echo(self, slot: int) -> None:
        """Send what is left, or receive what the arena had no room for and send that."""
        sock, data = self.peers[slot], self.rests.pop(slot, b"")
        try:
            data = data or sock.recv(ARENA)
            if data:
                self.keep(slot, data, sock.send(data))
            else:
                self.deal_with(slot, 0)
        except BlockingIOError:
            if data:
                self.keep(slot, data, 0)
        except OSError:
            self.deal_with(slot, errno.EIO)

    def keep_rests(self, slots: list[int], chunks: list[bytes]) -> None:
        """Keep what the kernel has not taken of a batch."""
        for slot, data, sent in zip(slots, chunks, self.sent.tolist(), strict=False):
            if sent < len(data):
                self.keep(slot, data, max(sent, 0))

    def keep(self, slot: int, data: bytes, sent: int) -> None:
        """Keep what is left of `data`, and wait for what comes next."""
        if sent < len(data):
            self.rests[slot] = data[sent:]
        lib.rx_modify(self.set, slot, WRITING if sent < len(data) else READING)


def serve(_name: str, port: int) -> None:
    """Serve until killed."""
    listener = socket.create_server((HOST, port), backlog=BACKLOG)
    listener.setblocking(False)
    bare = Bare(listener)
    tell(listener.getsockname()[1])
    bare.run()
