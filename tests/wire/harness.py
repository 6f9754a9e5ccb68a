"""Plays cases against a server and writes down what came back.

The idea: the same `play` drives our broker and the real server, through a raw client that shares no
code with either. What names a server, and not what it does (its id, version, address), is taken out
of INFO; what the protocol leaves open is settled as the case says. What is left must be equal, byte
for byte.

Nothing waits for time to pass. A step is over when its PONGs are there or the server has closed. At
the end each connection that is still open sends one more PING, then the end of its input, and
everything up to the server's close is kept: an answer too many is therefore seen as well.

Neighbours: tests.wire.case has the data's form; the tests of this package call `play` and
`expected`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections import Counter
from collections.abc import Mapping, Sequence

from tests.support.jwts import USER
from tests.support.raw_client import RawClient
from tests.wire.case import SIGNATURE, Case, Freedom, joined

_PONG = b"PONG\r\n"

_IDENTITY = ("server_id", "server_name", "version", "host", "port", "client_id", "client_ip")
"""INFO fields that tell one server or connection from another: they must be there, with any
value.
"""

_PRIVATE = ("git_commit", "go", "api_lvl", "xkey")
"""INFO fields about the real server's build, which no client needs and ours does not claim."""


@dataclasses.dataclass(frozen=True)
class Heard:
    """All that one connection received: the greeting, then the frames; and whether the server
    closed it unasked.
    """

    greeting: bytes
    frames: tuple[bytes, ...]
    closed: bool


Outcome = Mapping[str, Heard]
"""What every connection of a case heard, by its letter."""


def play(case: Case, port: int) -> Outcome:
    """Play `case` against the server at `port` of this machine, and return what was heard, settled.

    Raises:
        DeadlineError: the server left something unanswered.
    """
    with contextlib.ExitStack() as stack:
        metronome = stack.enter_context(RawClient(port)) if _is_split(case) else None
        players: dict[str, _Player] = {}
        for number, (letter, sent) in enumerate(case.script):
            if letter not in players:
                players[letter] = _Player(stack.enter_context(RawClient(port)))
            last = all(letter != later for later, _ in case.script[number + 1 :])
            players[letter].step(sent, ends=last and letter in case.closed, metronome=metronome)
        heard = {letter: player.finish() for letter, player in players.items()}
    return settle(heard, case.freedom)


def expected(case: Case) -> Outcome:
    """What `play` returns when a server does as the recording says."""
    heard = {
        letter: Heard(case.server.greeting, split_frames(reply), letter in case.closed)
        for letter, reply in case.replies.items()
    }
    return settle(heard, case.freedom)


def settle(heard: Outcome, freedom: Freedom | None) -> Outcome:
    """`heard` in a form that is equal for all outcomes that `freedom` allows."""
    if freedom is None:
        return heard
    if freedom is Freedom.PICK:
        return _pooled(heard)
    return {
        letter: dataclasses.replace(one, frames=_sorted_runs(one.frames))
        for letter, one in heard.items()
    }


def plain_info(frame: bytes) -> bytes:
    """An INFO frame without what only identifies; any other frame as it is.

    A frame that is not written as the protocol wants it (a blank before the line's end) is left
    alone, so that it differs from every expectation.
    """
    if not (frame.startswith(b"INFO {") and frame.endswith(b"} \r\n")):
        return frame
    fields = json.loads(frame[len(b"INFO ") :])
    missing = [name for name in _IDENTITY if not fields.pop(name, None)]
    for name in _PRIVATE:
        fields.pop(name, None)
    if fields.get("nonce"):
        fields["nonce"] = "any"
    if missing:
        fields["missing"] = missing
    return b"INFO " + json.dumps(fields, sort_keys=True).encode() + b"\r\n"


def split_frames(reply: bytes) -> tuple[bytes, ...]:
    """A recorded reply, cut into frames: one a line, except that a message has its payload."""
    frames: list[bytes] = []
    while reply:
        length = reply.index(b"\r\n") + 2
        words = reply[:length].split()
        if words and words[0] in (b"MSG", b"HMSG"):
            length += int(words[-1]) + 2
        frames.append(reply[:length])
        reply = reply[length:]
    return tuple(frames)


class _Player:
    """One connection of a case being played."""

    def __init__(self, client: RawClient) -> None:
        self._client = client
        self._frames: list[bytes] = []
        self._closed = False

    def step(
        self, sent: bytes | Sequence[bytes], *, ends: bool, metronome: RawClient | None
    ) -> None:
        """Send a step; then wait for its PONGs, or for the close if the server `ends` this
        connection here.
        """
        for part in [sent] if isinstance(sent, bytes) else sent:
            self._client.send(self._signed(part))
            if metronome is not None:
                # Once it has answered another connection, a server in one thread has read this
                # part.
                metronome.ask(b"")
        if ends:
            self._frames += self._client.read_to_end()
            self._closed = True
        else:
            self._frames += self._client.read_to_pong(joined(sent).upper().count(b"PING"))

    def _signed(self, part: bytes) -> bytes:
        if SIGNATURE.encode() not in part:
            return part
        nonce = self._client.info["nonce"].encode()
        return part.replace(SIGNATURE.encode(), USER.sign(nonce).encode())

    def finish(self) -> Heard:
        """Hear the rest, and end the connection if the server has not."""
        if not self._closed:
            self._hear_the_rest()
        frames = tuple(plain_info(frame) for frame in self._frames)
        return Heard(plain_info(self._client.greeting), frames, self._closed)

    def _hear_the_rest(self) -> None:
        self._client.send(b"PING\r\n")
        rest = self._client.read_to_pong()
        if rest[-1:] == [_PONG]:
            rest.pop()
        self._closed = self._client.ended
        self._client.send_eof()
        self._frames += rest + self._client.read_to_end()


def _is_split(case: Case) -> bool:
    return any(not isinstance(sent, bytes) for _, sent in case.script)


def _is_message(frame: bytes) -> bool:
    return frame.startswith((b"MSG ", b"HMSG "))


def _sorted_runs(frames: Sequence[bytes]) -> tuple[bytes, ...]:
    """The same frames, each run of messages sorted."""
    settled: list[bytes] = []
    run: list[bytes] = []
    for frame in frames:
        if _is_message(frame):
            run.append(frame)
        else:
            settled += [*sorted(run), frame]
            run.clear()
    return (*settled, *sorted(run))


def _pooled(heard: Outcome) -> Outcome:
    """The messages of all connections in one pool, without their subscriptions; the rest stays
    where it was.
    """
    pool = Counter(
        _without_sid(frame) for one in heard.values() for frame in one.frames if _is_message(frame)
    )
    settled = {
        letter: dataclasses.replace(
            one, frames=tuple(frame for frame in one.frames if not _is_message(frame))
        )
        for letter, one in heard.items()
    }
    return {**settled, "pool": Heard(b"", tuple(sorted(pool.elements())), closed=False)}


def _without_sid(message: bytes) -> bytes:
    line, _, payload = message.partition(b"\r\n")
    verb, subject, _sid, *rest = line.split()
    return b" ".join([verb, subject, *rest]) + b"\r\n" + payload
