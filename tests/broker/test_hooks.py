"""Observers: one that overrides a single thing, and several as one."""

from __future__ import annotations

import pytest

from broker.hooks import Observer, Observers, Silent
from broker.snapshots import ConnectionInfo

INFO = ConnectionInfo(cid=7, ip="127.0.0.1", port=1, start=0.0, last_activity=0.0)


def _tell_everything(observer: Observer) -> None:
    observer.connected(INFO)
    observer.auth_failed(INFO)
    observer.slow(INFO, 3, 30)
    observer.ended(INFO, authenticated=True)
    observer.lame_duck()
    observer.closing()


class Diary:
    """Notes what it is told, under its name."""

    def __init__(self, name: str, pages: list[tuple[object, ...]]) -> None:
        self.name = name
        self.pages = pages

    def connected(self, info: ConnectionInfo) -> None:
        self.pages.append((self.name, "connected", info))

    def ended(self, info: ConnectionInfo, authenticated: bool) -> None:
        self.pages.append((self.name, "ended", info, authenticated))

    def auth_failed(self, info: ConnectionInfo) -> None:
        self.pages.append((self.name, "auth_failed", info))

    def slow(self, info: ConnectionInfo, dropped: int, dropped_bytes: int) -> None:
        self.pages.append((self.name, "slow", info, dropped, dropped_bytes))

    def lame_duck(self) -> None:
        self.pages.append((self.name, "lame_duck"))

    def closing(self) -> None:
        self.pages.append((self.name, "closing"))


def test_a_base_to_override_from_lets_one_observe_a_single_thing() -> None:
    seen: list[tuple[int, int, int]] = []

    class Slowness(Silent):
        def slow(self, info: ConnectionInfo, dropped: int, dropped_bytes: int) -> None:
            seen.append((info.cid, dropped, dropped_bytes))

    observer: Observer = Slowness()
    _tell_everything(observer)
    assert [(7, 3, 30)] == seen


def test_several_observers_are_told_everything_in_the_order_in_which_they_came() -> None:
    pages: list[tuple[object, ...]] = []
    both = Observers()
    both.add(Diary("first", pages))
    both.add(Diary("second", pages))
    _tell_everything(both)
    calls = [
        ("connected", INFO),
        ("auth_failed", INFO),
        ("slow", INFO, 3, 30),
        ("ended", INFO, True),
        ("lame_duck",),
        ("closing",),
    ]
    assert [(name, *call) for call in calls for name in ("first", "second")] == pages


def test_an_observer_that_was_removed_is_told_nothing_more() -> None:
    pages: list[tuple[object, ...]] = []
    observers = Observers()
    gone = Diary("gone", pages)
    observers.add(gone)
    observers.remove(gone)
    observers.lame_duck()
    assert [] == pages
    with pytest.raises(ValueError):
        observers.remove(gone)


def test_an_observer_may_leave_from_within_a_call() -> None:
    pages: list[tuple[object, ...]] = []
    observers = Observers()

    class Brief(Silent):
        def lame_duck(self) -> None:
            observers.remove(self)

    observers.add(Brief())
    observers.add(Diary("second", pages))
    observers.lame_duck()
    assert [("second", "lame_duck")] == pages
