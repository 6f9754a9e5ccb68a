"""How far a message may go."""

from __future__ import annotations

import pytest

from broker.scope import EVERYWHERE, ONE_HOP, Kind, Scope


@pytest.mark.parametrize(
    ("scope", "kind", "origin", "expected"),
    [
        (EVERYWHERE, Kind.ROUTE, b"", True),
        (EVERYWHERE, Kind.LEAF, b"LC", True),
        (ONE_HOP, Kind.CLIENT, b"", True),
        (ONE_HOP, Kind.ROUTE, b"", False),
        (ONE_HOP, Kind.LEAF, b"LC", True),
        (Scope(avoid=b"LC"), Kind.LEAF, b"LC", False),
        (Scope(avoid=b"LC"), Kind.LEAF, b"other", True),
        (Scope(avoid=b"LC"), Kind.ROUTE, b"", True),
        (Scope(avoid=b"LC"), Kind.ROUTE, b"LC", False),
        (Scope(routes=False, avoid=b"LC"), Kind.ROUTE, b"other", False),
    ],
)
def test_one_hop_and_no_echo(scope: Scope, kind: Kind, origin: bytes, expected: bool) -> None:
    assert expected == scope.admits(kind, origin)
