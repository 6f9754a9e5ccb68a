"""A broker that keeps a plain list: slow, obvious, and right.

The linear twin of the switchboard and the data plane.  It shares no code with them but the records
of permissions, so that the two can only agree by both being right.  It does not choose among the
members of a queue group: `publish` says who must get a copy and which groups pick one of whom, and
`took` is told who did.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from broker.permissions import FREE, Permissions


@dataclass(eq=False)
class NaiveSubscription:
    """One entry of the list; `limit` 0 means none."""

    link: int
    sid: bytes
    filter: bytes
    queue: bytes
    msgs: int = 0
    limit: int = 0
    account: str = "$G"
    withheld: tuple[bytes, ...] = ()

    def matches(self, subject: bytes) -> bool:
        if any(fits(filter, subject) for filter in self.withheld):
            return False
        return fits(self.filter, subject)


def fits(filter: bytes, subject: bytes) -> bool:
    forms = {b"*": rb"[^.]+", b">": rb"[^.]+(\.[^.]+)*"}
    tokens = (forms.get(token, re.escape(token)) for token in filter.split(b"."))
    return re.fullmatch(rb"\.".join(tokens), subject) is not None


def within(narrow: bytes, wide: bytes) -> bool:
    """Whether all that fits the one fits the other: tried, not reasoned, with tokens nobody has."""
    longest = narrow.count(b".") + wide.count(b".") + 2
    tails = [b".".join([b"?"] * count) for count in range(1, longest + 1)]
    trials = [narrow.replace(b"*", b"?")]
    if narrow.split(b".")[-1] == b">":
        trials = [trials[0][:-1] + tail for tail in tails]
    return all(fits(wide, trial) for trial in trials)


@dataclass
class Expected:
    """What a publish must lead to; one of `unheard` gets a 503, if that was asked for."""

    plain: list[NaiveSubscription]
    groups: dict[tuple[str, bytes], list[NaiveSubscription]]  # by account and name
    unheard: list[NaiveSubscription]


@dataclass
class NaiveBroker:
    """Links are numbers; `mute` holds those that said echo:false.

    `account` and `permissions` are those of links that have others than the default.
    `streams` says what an account hears of another: (exporter, filter, importer, prefix).
    """

    mute: set[int] = field(default_factory=set)
    account: dict[int, str] = field(default_factory=dict)
    permissions: dict[int, Permissions] = field(default_factory=dict)
    streams: list[tuple[str, bytes, str, bytes]] = field(default_factory=list)
    all: list[NaiveSubscription] = field(default_factory=list)

    def find(self, link: int, sid: bytes) -> NaiveSubscription | None:
        return next((sub for sub in self.all if (sub.link, sub.sid) == (link, sid)), None)

    def subscribe(self, link: int, filter: bytes, queue: bytes, sid: bytes) -> None:
        valid = re.fullmatch(rb"((?!>\.)[^.]+\.)*[^.]+", filter) is not None
        rules = self.permissions.get(link, FREE).subscribe
        if valid and rules.allow is not None:
            valid = any(within(filter, allowed) for allowed in rules.allow)
        if any(fits(denied, filter) for denied in rules.deny):
            valid = False
        if valid and self.find(link, sid) is None:
            account = self.account.get(link, "$G")
            new = NaiveSubscription(link, sid, filter, queue, 0, 0, account, rules.deny)
            self.all.append(new)

    def unsubscribe(self, link: int, sid: bytes, max: int) -> None:
        sub = self.find(link, sid)
        if sub is not None:
            sub.limit = max
            if sub.msgs >= max:
                self.all.remove(sub)

    def drop(self, link: int) -> None:
        self.all = [sub for sub in self.all if sub.link != link]

    def name_for(self, link: int, taker: NaiveSubscription, subject: bytes) -> bytes:
        """Under which subject `taker` hears what `link` published to `subject`."""
        here = self.account.get(link, "$G")
        for exporter, _, importer, prefix in self.streams:
            if (exporter, importer) == (here, taker.account):
                return prefix + b"." + subject
        return subject

    def may_publish(self, link: int, subject: bytes) -> bool:
        rules = self.permissions.get(link, FREE).publish
        allowed = rules.allow is None or any(fits(entry, subject) for entry in rules.allow)
        return allowed and not any(fits(entry, subject) for entry in rules.deny)

    def publish(self, link: int, subject: bytes, reply: bytes = b"") -> Expected:
        """For a subject after mapping, which may be published."""
        here = self.account.get(link, "$G")
        takers = self._takers(link, here, subject)
        mine = [
            s
            for s in self.all
            if s.link == link and s.account == here and not s.queue and s.matches(reply)
        ]
        for exporter, filter, importer, prefix in self.streams:
            if exporter == here and fits(filter, subject):
                takers += self._takers(link, importer, prefix + b"." + subject)
        groups = {
            (s.account, s.queue): [
                t for t in takers if (t.account, t.queue) == (s.account, s.queue)
            ]
            for s in takers
            if s.queue
        }
        return Expected([s for s in takers if not s.queue], groups, [] if takers else mine)

    def _takers(self, link: int, account: str, subject: bytes) -> list[NaiveSubscription]:
        heard = [s for s in self.all if s.account == account and s.matches(subject)]
        return [s for s in heard if s.link != link or link not in self.mute]

    def took(self, sub: NaiveSubscription) -> None:
        sub.msgs += 1
        if sub.msgs == sub.limit:
            self.all.remove(sub)
