"""What all roles must agree on, and the subjects by which they do.

A `Lesson` is the teacher's state at one moment: the open question, the slide, and who is here. Its
`version` grows with every change, so that whatever arrives late, twice or by a detour is told from
news. It travels whole: a heartbeat that says everything heals whoever has missed anything.

Who is here is one bit for each student: 625 bytes for five thousand.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache

#: What a student says once in a heartbeat's time; the roster is whoever is heard.
ROSTER = "*.student.heartbeat"
#: The lesson, whole: at every heartbeat of the teacher, and at once when a question is asked.
LESSON = "t1.teacher.heartbeat"
#: A question, as it is asked, to the whole class.
QUESTION = "class.question"
#: For latecomers: asked for the lesson, the teacher answers at once.
STATE = "t1.teacher.state"
#: An answer; the teacher says that it is noted.
ANSWER = "t1.teacher.answer"
#: A raised hand; one of the group of assistants sees it.
HAND = "class.hand"
ASSISTANTS = "assistants"
#: What the observer has measured, for the page.
MEASURED = "class.measured"


def beat_subject(name: str) -> str:
    """The subject of one student's heartbeats."""
    return f"{name}.student.heartbeat"


@dataclass(frozen=True)
class Lesson:
    """The teacher's state. `question` is 0 while none is open; bit n of `here` is student n."""

    version: int = 0
    question: int = 0
    slide: int = 1
    here: bytes = b""

    def encode(self) -> bytes:
        """A line of JSON, then the bits."""
        fields = {"version": self.version, "question": self.question, "slide": self.slide}
        return json.dumps(fields).encode() + b"\n" + self.here

    @property
    def present(self) -> int:
        """How many are here."""
        return int.from_bytes(self.here, "little").bit_count()


@lru_cache(maxsize=64)
def decode(payload: bytes) -> Lesson:
    """The reverse of `Lesson.encode`.

    Thousands of students of one process get the same bytes, so they are read once. Raises
    ValueError for anything else.
    """
    line, found, here = payload.partition(b"\n")
    if not found:
        raise ValueError(f"a lesson is a line of JSON and the roster's bits, not {payload[:40]!r}")
    return Lesson(**json.loads(line), here=here)


def bits(numbers: set[int], size: int) -> bytes:
    """A set of numbers below `size`, as bits."""
    found = bytearray((size + 7) // 8)
    for number in numbers:
        found[number >> 3] |= 1 << (number & 7)
    return bytes(found)
