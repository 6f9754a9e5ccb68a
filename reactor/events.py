"""What can happen to a handle, as bits of a mask.

These three bits are the whole vocabulary between a demultiplexer, the reactor and a handler; each
backend translates them to and from its kernel's own. They are plain integers, not an `enum.Flag`,
because masks are combined once per event and integer arithmetic costs a tenth of enum arithmetic.

Floor 1: imports nothing of ours; anyone may import it.
"""

from __future__ import annotations

from typing import Final

#: There is something to read, a connection to accept, or the peer has finished sending.
READ: Final = 1

#: There is room to write, or a connection attempt has ended.
WRITE: Final = 2

#: The other side is gone both ways, or the descriptor is in error. It need not be asked for: a
#: demultiplexer always reports it, and a handle that watches anything at all is always told.
HANGUP: Final = 4

_NAMES: Final = ((READ, "READ"), (WRITE, "WRITE"), (HANGUP, "HANGUP"))


def names(mask: int) -> str:
    """Return a mask in words, such as ``"READ|WRITE"``, or ``"nothing"`` for 0."""
    return "|".join(name for bit, name in _NAMES if mask & bit) or "nothing"
