"""What `poll` and `epoll` share: their masks have the same bits, and their timeouts the same unit.

Floor 1: used by `_poll` and `_epoll` only.
"""

from __future__ import annotations

import math
import select
from typing import Final

from reactor.budgets import MAX_WAIT
from reactor.events import HANGUP, READ, WRITE

#: The kernel bits that are translated: IN, PRI, OUT, ERR, HUP in the low five, and RDHUP.
_RDHUP: Final[int] = getattr(select, "POLLRDHUP", 0)  # Linux only
KERNEL_BITS: Final = 0x1F | _RDHUP

#: Our mask, 0 to 7, to the kernel's. ERR and HUP need not be asked for. RDHUP is: it tells of a
#: peer that has finished sending to somebody who does not read.
TO_KERNEL: Final = tuple(
    (select.POLLIN if mask & READ else 0)
    | (select.POLLOUT if mask & WRITE else 0)
    | (_RDHUP if mask & HANGUP else 0)
    for mask in range(8)
)


def _translate(bits: int) -> int:
    if bits & (select.POLLERR | select.POLLHUP):
        # Everybody who watches this descriptor must hear of it, whichever side they watch.
        return READ | WRITE | HANGUP
    ready = HANGUP if bits & _RDHUP else 0
    if bits & (select.POLLIN | select.POLLPRI):
        ready |= READ
    if bits & select.POLLOUT:
        ready |= WRITE
    return ready


#: The kernel's mask (after ``& KERNEL_BITS``) to ours: a look-up, as it is done for each event.
FROM_KERNEL: Final = {
    low | high: _translate(low | high) for low in range(0x20) for high in (0, _RDHUP)
}


def milliseconds(timeout: float | None) -> int:
    """Return a timeout in whole milliseconds, rounded **up**; -1 for none.

    Rounding down would end the wait before the timer is due, and the loop would spin through
    waits of 0 ms until it is.
    """
    if timeout is None:
        return -1
    if timeout <= 0:
        return 0
    return math.ceil(min(timeout, MAX_WAIT) * 1e3)
