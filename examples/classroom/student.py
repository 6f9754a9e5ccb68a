"""A student: a view of the lesson that heals itself.

A student says that it is here, keeps the newest lesson it has heard of, and asks for it whenever it
has just come, or come back. Whatever gets no answer (a request, an answer to a question, a raised
hand) is said again at the next heartbeat, for as long as it matters.
"""

from __future__ import annotations

from collections import Counter
from random import Random

from examples.classroom.client import Client, Message
from examples.classroom.lesson import (
    ANSWER,
    HAND,
    LESSON,
    QUESTION,
    STATE,
    Lesson,
    beat_subject,
    decode,
)
from reactor import Reactor, Timer

#: How often a student raises a hand, at a heartbeat.
HANDS = 0.002

#: Heartbeats that a student may think about a question.
THINK = 4


class Student:
    """One student. What all of them do is counted in one `counts`."""

    __slots__ = (
        "_answered", "_beat_subject", "_client", "_counts", "_hand_up", "_heartbeat", "_number",
        "_reactor", "_rng", "_timer", "joined", "lesson",
    )  # fmt: skip

    def __init__(
        self,
        reactor: Reactor,
        client: Client,
        number: int,
        *,
        heartbeat: float,
        rng: Random,
        counts: Counter[str],
    ) -> None:
        self._reactor = reactor
        self._client = client
        self._number = number
        self._heartbeat = heartbeat
        self._rng = rng
        self._counts = counts
        self._beat_subject = beat_subject(client.name)
        self._answered = 0
        self._hand_up = False
        self._timer: Timer | None = None
        #: What this student believes; None until it has heard of the lesson.
        self.lesson: Lesson | None = None
        #: When it came, by the reactor's clock; None while it is not here.
        self.joined: float | None = None
        client.on_ready = self._ask_state
        client.subscribe(LESSON, self._on_lesson)
        client.subscribe(QUESTION, self._on_lesson)

    @property
    def reconnects(self) -> int:
        """How often it lost its connection and found another."""
        return max(0, self._client.connections - 1)

    def come(self) -> None:
        """Enter, at any time."""
        self.joined = self._reactor.now()
        self._client.start()
        first = self._rng.random() * self._heartbeat
        self._timer = self._reactor.call_every(self._heartbeat, self._beat, first=first)

    def go(self) -> None:
        """Leave, saying nothing: others find out by the silence."""
        self.joined = None
        if self._timer is not None:
            self._timer.cancel()
        self._client.stop()

    def _beat(self) -> None:
        if self._client.publish(self._beat_subject, b"%d" % self._number):
            self._counts["heartbeats"] += 1
        if self.lesson is None:
            self._ask_state()
        if not self._hand_up and self._rng.random() < HANDS:
            self._hand_up = True
            self._counts["hands raised"] += 1
            self._raise_hand()

    def _ask_state(self) -> None:
        self._client.request(STATE, b"", self._on_state, self._heartbeat)

    def _on_state(self, answer: bytes | None) -> None:
        if answer is not None:
            self._counts["lessons asked for"] += 1
            self._learn(decode(answer))

    def _on_lesson(self, message: Message) -> None:
        self._learn(decode(message.payload))

    def _learn(self, lesson: Lesson) -> None:
        """Believe what is newer; what is older came late."""
        if self.lesson is not None and lesson.version <= self.lesson.version:
            return
        self.lesson = lesson
        if lesson.question > self._answered:
            self._answered = lesson.question
            think = self._rng.random() * THINK * self._heartbeat
            self._reactor.call_later(think, self._answer, lesson.question)

    def _answer(self, question: int) -> None:
        """Answer, and again until it was noted, or is not asked any more."""
        if self.joined is None or self.lesson is None or self.lesson.question != question:
            return

        def on_answer(noted: bytes | None) -> None:
            if noted is None:
                self._counts["answers said again"] += 1
                self._reactor.call_later(self._heartbeat / 2, self._answer, question)

        self._client.request(
            ANSWER, b"%d %d" % (self._number, question), on_answer, self._heartbeat
        )

    def _raise_hand(self) -> None:
        if self.joined is not None:
            self._client.request(HAND, b"%d" % self._number, self._on_hand, self._heartbeat)

    def _on_hand(self, seen: bytes | None) -> None:
        if seen is None:
            self._counts["hands raised again"] += 1
            self._reactor.call_later(self._heartbeat / 2, self._raise_hand)
        else:
            self._hand_up = False
            self._counts["hands seen"] += 1
