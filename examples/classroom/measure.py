"""Does every student believe what the teacher says? Measured, several times in a heartbeat.

A student *agrees* as long as its lesson is the teacher's. Once the teacher has gone on, the student
is *late*, by the time since then: since the teacher's lesson became another than the one that the
student believes. Nobody can be told at once, so what is demanded is that nobody is ever late by
more than three heartbeats.

Two moments are not held against anybody: before somebody has come, and while no node at all is up.
With several nodes the second never happens, and no fault excuses anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from examples.classroom.lesson import Lesson
from examples.classroom.student import Student
from examples.classroom.teacher import PATIENCE

#: Samples in a heartbeat.
OFTEN = 4


@dataclass(frozen=True)
class Sample:
    """One look at everybody: how many were there, agreed, and how late the latest was.

    Times are in seconds from the start, `worst` in heartbeats; `outage` says that no node was up.
    """

    at: float
    present: int
    agree: int
    worst: float
    outage: bool
    roster: int


class Agreement:
    """Looks at the students, and remembers what it saw. `now` is the reactor's clock."""

    def __init__(self, now: Callable[[], float], heartbeat: float) -> None:
        self._now = now
        self._begun = now()
        self._heartbeat = heartbeat
        self._left: dict[int, float] = {}
        self._lesson: Lesson | None = None
        #: From when on everybody can be expected to agree; None while no node is up.
        self._possible: float | None = None
        self.samples: list[Sample] = []
        #: The numbers of those who were late at the last look.
        self.late: set[int] = set()

    def changed(self, lesson: Lesson) -> None:
        """The teacher has gone on."""
        if self._lesson is None:
            self.possible(self._possible is not None)  # nobody could agree with nobody
        else:
            self._left[self._lesson.version] = self._now()
        self._lesson = lesson

    def possible(self, is_up: bool) -> None:
        """Some node is up (again), or none is any more."""
        self._possible = self._now() if is_up else None

    def look(self, students: Iterable[tuple[int, Student]]) -> Sample | None:
        """Take a sample; None as long as there is no teacher. O(students)."""
        if self._lesson is None:
            return None
        now, current = self._now(), self._lesson.version
        since = now if self._possible is None else self._possible
        self.late.clear()
        present, worst = 0, 0.0
        for number, student in students:
            if student.joined is None:
                continue
            present += 1
            believed = 0 if student.lesson is None else student.lesson.version
            if believed != current:
                self.late.add(number)
                left = self._left.get(believed, 0.0)
                worst = max(worst, now - max(left, since, student.joined))
        sample = Sample(
            now - self._begun,
            present,
            present - len(self.late),
            worst / self._heartbeat,
            self._possible is None,
            self._lesson.present,
        )
        self.samples.append(sample)
        return sample

    @property
    def worst(self) -> float:
        """By how many heartbeats the latest of all was ever late."""
        return max((sample.worst for sample in self.samples), default=0.0)

    @property
    def held(self) -> bool:
        """Whether everybody agreed within three heartbeats, at every look; and there was one."""
        return bool(self.samples) and self.worst <= PATIENCE

    @property
    def share(self) -> float:
        """The share of looks at a student that found it in full agreement, outages apart."""
        looks = [sample for sample in self.samples if not sample.outage]
        return sum(one.agree for one in looks) / max(1, sum(one.present for one in looks))
