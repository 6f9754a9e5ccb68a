"""Authentication by a function of the program that embeds the broker: ``Broker(auth=f)``.

The idea: whatever an organisation already knows of its users (a table, a directory, a service) is
one call away in Python, so no protocol for callouts is needed. The function gets all that the
client gave, and says who that is:

    def f(credentials: Credentials) -> Identity | str | bool | None

An `Identity` says everything; a text is the name of an account; True lets the client in as the user
it claims to be, in the default account; False and None refuse.

Invariants: what the function raises or returns by mistake refuses the client and is logged, with no
secret in it; it never ends a connection otherwise, nor the broker. A function that might wait is
called in a thread of a pool, and several calls at once, so it must be thread-safe; one that says it
does not (``auth_blocks=False``) is called on the loop.

Neighbours: `broker.auth` makes one if it is given a function; `broker.embedded` takes it from its
caller.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import TypeAlias

from broker.errors import AUTHORIZATION_VIOLATION
from broker.identity import Answer, Credentials, Identity

__all__ = ["Hook", "HookAnswer", "HookFunction"]

HookAnswer: TypeAlias = Identity | str | bool | None
HookFunction: TypeAlias = Callable[[Credentials], HookAnswer]

_log = logging.getLogger("broker")


class Hook:
    """Asks a function. Thread-safe if the function is.

    Raises:
        TypeError: ``call`` cannot be called, or is an ``async def``, for which there is no loop.
    """

    required = True
    wants_nonce = True  # the function may want to verify an nkey
    has_guest = False

    def __init__(self, call: HookFunction, blocks: bool = True) -> None:
        if not callable(call):
            raise TypeError(f"auth: {call!r} cannot be called; give a function of Credentials")
        if inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(
            getattr(call, "__call__", None)  # noqa: B004  # not whether, but of which kind
        ):
            raise TypeError(
                "auth: the function is an 'async def'; give an ordinary one, it may wait, as it is"
                " called in a thread of its own"
            )
        self._call = call
        self._blocks = blocks

    def slow(self, credentials: Credentials) -> bool:
        """What was said when it was made: nobody can know it of a function.  O(1)."""
        return self._blocks

    def authenticate(self, credentials: Credentials) -> Answer:
        """What the function says, and costs."""
        try:
            answer = self._call(credentials)
        except Exception:
            _log.exception("the auth function failed; the client is refused")
            return AUTHORIZATION_VIOLATION
        if isinstance(answer, Identity):
            return answer
        user = credentials.connect.user
        if isinstance(answer, str):
            return Identity(account=answer, user=user, shown=user)
        if answer is True:
            return Identity(user=user, shown=user)
        if answer is not None and answer is not False:
            _complain_of(answer)
        return AUTHORIZATION_VIOLATION


def _complain_of(answer: object) -> None:
    if inspect.iscoroutine(answer):
        answer.close()  # or Python warns that nobody awaited it
    _log.error(
        "the auth function returned a %s; it must be an Identity, the name of an account, a bool"
        " or None; the client is refused",
        type(answer).__name__,
    )
