"""The classroom: everybody in it, on one reactor, wherever the brokers are.

It knows seeds and no nodes, so that it runs as well against brokers in memory and in virtual time,
which is how it is tested. Who comes when follows from the seed; nobody waits for anybody.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random

from examples.classroom.client import Client, Dial, Seed
from examples.classroom.lesson import MEASURED, bits
from examples.classroom.measure import OFTEN, Agreement
from examples.classroom.student import Student
from examples.classroom.teacher import Assistant, Teacher
from reactor import Reactor, connect

ASSISTANT_COUNT = 3

#: Heartbeats within which those come who come at the beginning, the teacher among them; and how
#: many of them come in a second at most.
ARRIVAL, RUSH = 3, 500

#: The share of students who come late, and of those who leave early.
LATE, LEAVE = 0.1, 0.02

#: Of a heartbeat: how long a client hears nothing before it asks whether anybody is there. A little
#: more than one, so that students ask only when the teacher is silent too.
PULSE = 1.1

#: The same for the teacher, who hears somebody all the time and may be less patient; so it is back
#: before the crowd of students that was at the same node comes to the next one.
TEACHER_PULSE = 0.5


class Classroom:
    """A teacher, assistants, students and an observer who looks at all of them."""

    def __init__(
        self,
        reactor: Reactor,
        seeds: Sequence[Seed],
        *,
        students: int,
        heartbeat: float,
        seconds: float,
        seed: int = 0,
        dial: Dial = connect,
        nodes: Callable[[], list[str]] = list,
    ) -> None:
        """`seconds` is how long the lesson takes; `nodes` says what state they are in."""
        self._reactor = reactor
        self._seeds = list(seeds)
        self._rng = Random(f"classroom {seed}")
        self._heartbeat = heartbeat
        self._seconds = seconds
        self._dial = dial
        self._nodes = nodes
        self.counts: Counter[str] = Counter()
        self.agreement = Agreement(reactor.now, heartbeat)
        self.teacher = Teacher(
            reactor,
            self._client("t1", 0, TEACHER_PULSE),
            heartbeat=heartbeat,
            rng=self._rng,
            changed=self.agreement.changed,
        )
        names = [f"a{number}" for number in range(ASSISTANT_COUNT)]
        self.assistants = [
            Assistant(self._client(name, number)) for number, name in enumerate(names)
        ]
        self.students = [self._student(number) for number in range(students)]
        self._observer = self._client("observer", 1)

    def _client(self, name: str, first: int, pulse: float = PULSE) -> Client:
        turn = first % len(self._seeds)
        seeds = self._seeds[turn:] + self._seeds[:turn]
        beats = pulse * self._heartbeat
        return Client(self._reactor, seeds, name, rng=self._rng, pulse=beats, dial=self._dial)

    def _student(self, number: int) -> Student:
        return Student(
            self._reactor,
            self._client(f"s{number}", number),
            number,
            heartbeat=self._heartbeat,
            rng=self._rng,
            counts=self.counts,
        )

    def begin(self) -> None:
        """Let them come, each when it likes."""
        rng, later = self._rng, self._reactor.call_later
        arrival = max(ARRIVAL * self._heartbeat, len(self.students) / RUSH)
        for student in self.students:
            late = rng.random() < LATE
            later(
                rng.uniform(arrival, 0.8 * self._seconds) if late else rng.random() * arrival,
                student.come,
            )
            if not late and rng.random() < LEAVE:
                later(rng.uniform(0.5, 0.9) * self._seconds, student.go)
        later(rng.random() * arrival, self.teacher.start)
        self._observer.start()
        self._reactor.call_every(self._heartbeat / OFTEN, self._look)

    def _look(self) -> None:
        sample = self.agreement.look(enumerate(self.students))
        if sample is None:
            return
        measured = {
            "at": round(sample.at, 2),
            "present": sample.present,
            "agree": sample.agree,
            "worst": round(sample.worst, 2),
            "students": len(self.students),
            "nodes": self._nodes(),
        }
        late = bits(self.agreement.late, len(self.students))
        self._observer.publish(MEASURED, json.dumps(measured).encode() + b"\n" + late)

    def table(self) -> list[tuple[str, str]]:
        """What happened, for people."""
        agreement, teacher = self.agreement, self.teacher
        noted = sum(map(len, teacher.answers.values()))
        rows: list[tuple[str, str]] = [
            ("students", f"{len(self.students):,}"),
            ("reconnects of students", f"{sum(one.reconnects for one in self.students):,}"),
        ]
        rows += [
            (what, f"{self.counts[what]:,}")
            for what in ("heartbeats", "lessons asked for", "answers said again")
        ]
        rows += [
            ("questions asked", f"{len(teacher.answers):,}"),
            ("answers noted", f"{noted:,}"),
            ("hands raised", f"{self.counts['hands raised']:,}"),
            ("hands seen", f"{self.counts['hands seen']:,}"),
            ("hands raised again", f"{self.counts['hands raised again']:,}"),
            ("changes of the lesson", f"{teacher.lesson.version:,}"),
            ("in agreement at any time", f"{100 * agreement.share:.2f} %"),
            ("latest student, in heartbeats", f"{agreement.worst:.2f}"),
        ]
        return rows
