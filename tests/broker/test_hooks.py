"""The observer where nobody observes."""

from __future__ import annotations

from broker.hooks import Observer, Silent
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
