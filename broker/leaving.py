"""The subscriptions of links that are gone, taken away a few at a time.

The idea: a client may have a hundred thousand subscriptions and leave with all of them at once; to
take them out of their account's trie and to evict what depended on them would keep everybody else
waiting for a tenth of a second. Nothing depends on when it is done: a link that is gone is deaf, so
flows that still name it deliver nothing to it, and no new flow does. So the rest is done later, in
pieces of `BUDGET`.

Invariants: what is left here is counted nowhere as a subscription; and every new subscription takes
one of the old ones away (`clear(1)`), so that there are never more of both together than there were
live ones once, however fast strangers come and go.

Neighbours: the switchboard owns one and says how one subscription is taken away. Whoever has a loop
sets `defer`, to the server's `broker.runqueue`; without it all is done at once. No thread-safety:
one thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from broker.accounts import Account, Subscription

__all__ = ["BUDGET", "Leaving"]

# Subscriptions at once, with eight microseconds for each, and up to eighty if it has two thousand
# tokens.
BUDGET = 8


class Leaving:
    """What is to be taken away; ``len`` tells how many subscriptions that are.

    `end` takes one away; `empty` is called for an account in which nothing is left to take away.
    """

    def __init__(
        self, end: Callable[[Subscription], object], empty: Callable[[Account], object]
    ) -> None:
        self.defer: Callable[[Callable[[], None]], object] | None = None
        self._end = end
        self._empty = empty
        self._left: deque[dict[bytes, Subscription]] = deque()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def take(self, subscriptions: dict[bytes, Subscription]) -> None:
        """Take away all of these, which are in one account, at once or by and by."""
        if not subscriptions:
            return
        is_idle = not self._left
        self._left.append(subscriptions)
        self._count += len(subscriptions)
        next(iter(subscriptions.values())).account.leaving += len(subscriptions)
        if self.defer is None:
            self.clear(self._count)
        elif is_idle:
            self._go_on()

    def clear(self, most: int) -> None:
        """Take some away.  O(`most`), each as a subscription's end."""
        while most > 0 and self._left:
            subscriptions = self._left[0]
            if not subscriptions:
                self._left.popleft()
                continue
            _, subscription = subscriptions.popitem()
            account = subscription.account
            most -= 1
            self._count -= 1
            account.leaving -= 1
            self._end(subscription)
            if not account.leaving:
                self._empty(account)
        if not self._count:
            self._left.clear()

    def _go_on(self) -> None:
        self.clear(BUDGET)
        if self._left and self.defer is not None:
            self.defer(self._go_on)
