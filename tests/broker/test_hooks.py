"""The observer where nobody observes, and several as one."""

from __future__ import annotations

from broker.hooks import Observer, Observers, Silent
from broker.snapshots import ConnectionInfo


def test_a_base_to_override_from_lets_one_observe_a_single_thing() -> None:
    seen: list[tuple[int, int, int]] = []

    class Slowness(Silent):
        def slow(self, info: ConnectionInfo, dropped: int, dropped_bytes: int) -> None:
            seen.append((info.cid, dropped, dropped_bytes))

    observer: Observer = Slowness()
    info = ConnectionInfo(cid=7, ip="127.0.0.1", port=1, start=0.0, last_activity=0.0)
    observer.connected(info)
    observer.auth_failed(info)
    observer.slow(info, 3, 30)
    observer.ended(info, authenticated=True)
    observer.lame_duck()
    observer.closing()
    assert [(7, 3, 30)] == seen


def test_several_observers_are_told_in_the_order_in_which_they_came() -> None:
    told: list[str] = []

    class Diary:
        def __init__(self, name: str) -> None:
            self.name = name

        def connected(self, info: ConnectionInfo) -> None:
            told.append(f"{self.name} connected {info.cid}")

        def ended(self, info: ConnectionInfo, authenticated: bool) -> None:
            told.append(f"{self.name} ended {info.cid} {authenticated}")

        def auth_failed(self, info: ConnectionInfo) -> None:
            told.append(f"{self.name} auth_failed {info.cid}")

        def slow(self, info: ConnectionInfo, dropped: int, dropped_bytes: int) -> None:
            told.append(f"{self.name} slow {info.cid} {dropped} {dropped_bytes}")

        def lame_duck(self) -> None:
            told.append(f"{self.name} lame_duck")

        def closing(self) -> None:
            told.append(f"{self.name} closing")

    observers = Observers()
    info = ConnectionInfo(cid=7, ip="127.0.0.1", port=1, start=0.0, last_activity=0.0)
    observers.connected(info)
    observers.add(Diary("a"))
    observers.add(Diary("b"))
    observers.connected(info)
    observers.auth_failed(info)
    observers.slow(info, 3, 30)
    observers.ended(info, authenticated=True)
    observers.lame_duck()
    observers.closing()
    each = ["connected 7", "auth_failed 7", "slow 7 3 30", "ended 7 True", "lame_duck", "closing"]
    assert [f"{name} {what}" for what in each for name in "ab"] == told
