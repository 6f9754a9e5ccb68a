"""The teacher, who owns the lesson, and the assistants, who see raised hands.

The teacher keeps no list of whom to tell, and no connection to anybody: who is here is whoever was
heard within three heartbeats, and what the lesson is goes out with every heartbeat. That is why it
does not matter who starts first, and why nothing has to be repaired after a fault.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from examples.classroom.client import Client, Message
from examples.classroom.lesson import (
    ANSWER,
    ASSISTANTS,
    HAND,
    LESSON,
    QUESTION,
    ROSTER,
    STATE,
    Lesson,
    bits,
)
from reactor import Reactor

#: Heartbeats of silence after which somebody is not here any more.
PATIENCE = 3

#: Heartbeats that a question stays open, and then that none is.
OPEN, CLOSED = 6, 2


class Teacher:
    """One teacher. `changed(lesson)` is called whenever the lesson has become another."""

    def __init__(
        self,
        reactor: Reactor,
        client: Client,
        *,
        heartbeat: float,
        rng: Random,
        changed: Callable[[Lesson], object],
    ) -> None:
        self._reactor = reactor
        self._client = client
        self._heartbeat = heartbeat
        self._rng = rng
        self._changed = changed
        self._beats = 0
        self._heard: dict[int, float] = {}
        self._connected_at = 0.0
        self.lesson = Lesson()
        #: Who has answered each question so far.
        self.answers: dict[int, set[int]] = {}
        client.on_ready = self._ready
        client.subscribe(ROSTER, self._on_student)
        client.subscribe(STATE, self._on_latecomer)
        client.subscribe(ANSWER, self._on_answer)

    def start(self) -> None:
        """Enter the classroom."""
        self._become(version=1)
        self._client.start()
        self._reactor.call_every(self._heartbeat, self._beat)

    def _ready(self) -> None:
        # Who was not heard while we were away is not to blame.
        self._connected_at = self._reactor.now()
        self._client.publish(LESSON, self.lesson.encode())

    def _beat(self) -> None:
        """Look who is here, go on with the lesson, and tell everybody."""
        self._beats += 1
        here = self._here()
        question, slide = self.lesson.question, self.lesson.slide
        step = self._beats % (OPEN + CLOSED)
        asked = step == CLOSED
        if asked:
            question = len(self.answers) + 1
            self.answers[question] = set()
        elif step == 0:
            question = 0
        if self._rng.random() < 0.2:
            slide += 1
        if (question, slide, here) != (self.lesson.question, self.lesson.slide, self.lesson.here):
            self._become(self.lesson.version + 1, question, slide, here)
        payload = self.lesson.encode()
        self._client.publish(LESSON, payload)
        if asked:
            self._client.publish(QUESTION, payload)

    def _here(self) -> bytes:
        if not self._client.live:
            return self.lesson.here  # we hear nobody, which says nothing about them
        since = self._reactor.now() - PATIENCE * self._heartbeat
        if self._connected_at < since:
            self._heard = {one: when for one, when in self._heard.items() if when >= since}
        return bits(set(self._heard), max(self._heard, default=-1) + 1)

    def _become(self, version: int, question: int = 0, slide: int = 1, here: bytes = b"") -> None:
        self.lesson = Lesson(version, question, slide, here)
        self._changed(self.lesson)

    def _on_student(self, message: Message) -> None:
        self._heard[int(message.payload)] = self._reactor.now()

    def _on_latecomer(self, message: Message) -> None:
        self._client.respond(message, self.lesson.encode())

    def _on_answer(self, message: Message) -> None:
        student, question = map(int, message.payload.split())
        self.answers[question].add(student)  # asked twice, noted once
        self._client.respond(message, b"noted")


class Assistant:
    """One of the group that sees raised hands: each hand is seen by one of them."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.seen = 0
        client.subscribe(HAND, self._on_hand, ASSISTANTS)
        client.start()

    def _on_hand(self, message: Message) -> None:
        self.seen += 1
        self._client.respond(message, b"coming")
