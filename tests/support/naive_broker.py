"""A broker that keeps a plain list: slow, obvious, and right.

The linear twin of the switchboard and the data plane.  It shares no code with them, so that the
two can only agree by both being right.  It does not choose among the members of a queue group:
`publish` says who must get a copy and which groups pick one of whom, and `took` is told who did.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field


@dataclass(eq=False)
class NaiveSubscription:
    """One entry of the list; `limit` 0 means none."""

    link: int
    sid: bytes
    filter: bytes
    queue: bytes
    msgs: int = 0
    limit: int = 0

    def matches(self, subject: bytes) -> bool:
        forms = {b"*": rb"[^.]+", b">": rb"[^.]+(\.[^.]+)*"}
        tokens = (forms.get(token, re.escape(token)) for token in self.filter.split(b"."))
        return re.fullmatch(rb"\.".join(tokens), subject) is not None


@dataclass
class Expected:
    """What a publish must lead to; one of `unheard` gets a 503, if that was asked for."""

    plain: list[NaiveSubscription]
    groups: dict[bytes, list[NaiveSubscription]]
    unheard: list[NaiveSubscription]


@dataclass
class NaiveBroker:
    """Links are numbers; `mute` holds those that said echo:false."""

    mute: set[int] = field(default_factory=set)
    all: list[NaiveSubscription] = field(default_factory=list)

    def find(self, link: int, sid: bytes) -> NaiveSubscription | None:
        return next((sub for sub in self.all if (sub.link, sub.sid) == (link, sid)), None)

    def subscribe(self, link: int, filter: bytes, queue: bytes, sid: bytes) -> None:
        valid = re.fullmatch(rb"((?!>\.)[^.]+\.)*[^.]+", filter)
        if valid and self.find(link, sid) is None:
            self.all.append(NaiveSubscription(link, sid, filter, queue))

    def unsubscribe(self, link: int, sid: bytes, max: int) -> None:
        sub = self.find(link, sid)
        if sub is not None:
            sub.limit = max
            if sub.msgs >= max:
                self.all.remove(sub)

    def drop(self, link: int) -> None:
        self.all = [sub for sub in self.all if sub.link != link]

    def publish(self, link: int, subject: bytes, reply: bytes = b"") -> Expected:
        takers = [s for s in self.all if s.matches(subject)]
        takers = [s for s in takers if s.link != link or link not in self.mute]
        mine = [s for s in self.all if s.link == link and not s.queue and s.matches(reply)]
        groups = {s.queue: [t for t in takers if t.queue == s.queue] for s in takers if s.queue}
        return Expected([s for s in takers if not s.queue], groups, [] if takers else mine)

    def took(self, sub: NaiveSubscription) -> None:
        sub.msgs += 1
        if sub.msgs == sub.limit:
            self.all.remove(sub)
