"""The foreign tests that cannot pass on our loop, each with its reason.

A name is matched by its end. `docs/aio.md` repeats this list; `test_conformance` compares the two.
"""

from __future__ import annotations

from typing import Final

KNOWN: Final[dict[str, str]] = {
    # Of uvloop's tests.
    "test_udp.Test_AIO_UDP.test_socketpair": (
        "sends without an address on a socket that has no peer name; asyncio's datagram transport,"
        " which is inherited, refuses that, and the test makes its exception for loops of the"
        " module asyncio only"
    ),
}


def reason_for(name: str) -> str:
    """Return why a test is known to fail; empty if it is not."""
    return next((why for part, why in KNOWN.items() if name.endswith(part)), "")
