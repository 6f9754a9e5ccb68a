"""A trie of filters: which values does a subject reach, and which tokens had to be looked at?

The idea: one node per token, so that filters with a common beginning share it.  A walk down the
trie finds every filter that matches a subject in the time of a few dictionary look-ups per token,
however many filters there are.

The second half of the answer is what makes flows possible.  A node without literal children never
asks what the token *is*: `*` takes any.  So a position at which no visited node had literal
children may hold whatever it likes, and the answer would be the same.  Such positions become `*`
in the `pattern` that `resolve` returns.  With the one filter `_INBOX.c1.*`, the subject
`_INBOX.c1.r7` resolves to the pattern `_INBOX.c1.*`, which answers for `_INBOX.c1.r8` too.

Invariants:
* No node is empty, the root excepted: `remove` prunes what it leaves bare.
* A value stands at most once under one filter.
* Walks use their own stack: a control line holds about two thousand tokens, more than Python's
  recursion limit.

Neighbours: subject (the rules, told linearly; the tests compare the two), flow (keeps a trie of
patterns, to find what a changed subscription concerns), switchboard (keeps the subscriptions in
one). No thread-safety: one owner, one thread.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from broker.subject import SEPARATOR, STAR, TAIL, is_literal, is_valid_filter

__all__ = ["Resolution", "Trie", "join_patterns"]

T = TypeVar("T", bound=Hashable)


@dataclass
class Resolution(Generic[T]):
    """The answer for one published subject.

    `values` are those of all matching filters: `>` before longer filters, a star's branch before a
    literal one, a last literal before a last star; within one filter in order of insertion.  This
    is the order of nats-server's matcher, which only its cache, patched by each SUB, departs from.
    `pattern` covers every subject with the same answer that the walk can vouch for; it is empty
    where the answer holds for this subject alone and must not be kept.
    """

    __slots__ = ("pattern", "values")

    values: list[T]
    pattern: bytes


class _Node(Generic[T]):
    """The filters that share the tokens on the way here."""

    __slots__ = ("here", "literals", "star", "tail")

    def __init__(self) -> None:
        self.literals: dict[bytes, _Node[T]] = {}
        self.star: _Node[T] | None = None
        # Ordered sets: ten thousand subscribers of one filter must be able to leave in O(1) each.
        self.here: dict[T, None] = {}  # the filter ends at this node
        self.tail: dict[T, None] = {}  # the filter goes on with a lone `>`

    def child(self, token: bytes) -> _Node[T] | None:
        return self.star if token == STAR else self.literals.get(token)

    def make_child(self, token: bytes) -> _Node[T]:
        node: _Node[T] = _Node()
        if token == STAR:
            self.star = node
        else:
            self.literals[token] = node
        return node

    def drop_child(self, token: bytes) -> None:
        if token == STAR:
            self.star = None
        else:
            del self.literals[token]

    def children(self) -> Iterator[_Node[T]]:
        yield from self.literals.values()
        if self.star is not None:
            yield self.star

    def is_bare(self) -> bool:
        return not (self.here or self.tail or self.literals or self.star)


class Trie(Generic[T]):
    """Values filed under filters, to be found by subject.

    Memory is O(total tokens of distinct filters).  Not thread-safe.
    """

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()
        self._size = 0

    def __len__(self) -> int:
        """How many pairs of filter and value are kept."""
        return self._size

    def insert(self, filter: bytes, value: T) -> bool:
        """File `value` under `filter`; False if it was there already.  O(tokens).

        Raises ValueError for a filter that no subscription may have.
        """
        if not is_valid_filter(filter):
            raise ValueError(
                f"{filter!r} is no filter: give every token at least one byte, and `>` only last"
            )
        node = self._root
        for token in filter.split(SEPARATOR):
            if token == TAIL:
                return self._add(node.tail, value)
            node = node.child(token) or node.make_child(token)
        return self._add(node.here, value)

    def _add(self, values: dict[T, None], value: T) -> bool:
        if value in values:
            return False
        values[value] = None
        self._size += 1
        return True

    def remove(self, filter: bytes, value: T) -> bool:
        """Take `value` from under `filter`; False if it was not there.  O(tokens)."""
        tokens = filter.split(SEPARATOR)
        node = self._root
        path: list[tuple[_Node[T], bytes]] = []
        for token in tokens:
            if token == TAIL:
                break
            below = node.child(token)
            if below is None:
                return False
            path.append((node, token))
            node = below
        values = node.tail if tokens[-1] == TAIL else node.here
        if value not in values:
            return False
        del values[value]
        self._size -= 1
        self._prune(node, path)
        return True

    @staticmethod
    def _prune(node: _Node[T], path: list[tuple[_Node[T], bytes]]) -> None:
        while path and node.is_bare():
            node, token = path.pop()
            node.drop_child(token)

    def resolve(self, subject: bytes) -> Resolution[T]:
        """Everything that a message published to `subject` reaches, and the pattern of the answer.

        A subject with an empty token reaches nothing.  One with a lone `*` or `>` is resolved like
        any other (they are plain tokens of a published subject) but has no pattern, in whose text
        they would pass for wildcards.

        O(visited nodes): tokens times two in common use; where filters mix stars and literals
        in all combinations, at worst the whole trie.
        """
        tokens = subject.split(SEPARATOR)
        if b"" in tokens:
            return Resolution([], b"")
        values: list[T] = []
        pattern = [STAR] * len(tokens)
        last = len(tokens) - 1
        stack = [(self._root, 0)]
        while stack:
            node, position = stack.pop()
            values.extend(node.tail)
            below = None
            if node.literals:
                pattern[position] = tokens[position]
                below = node.literals.get(tokens[position])
            star = node.star
            if position == last:
                if below is not None:
                    values.extend(below.here)
                if star is not None:
                    values.extend(star.here)
                continue
            if below is not None:
                stack.append((below, position + 1))
            if star is not None:
                stack.append((star, position + 1))  # on top: a star's branch comes first
        if not is_literal(subject):
            return Resolution(values, b"")
        return Resolution(values, SEPARATOR.join(pattern))

    def colliding(self, filter: bytes) -> list[T]:
        """The values under every filter that has a subject in common with the valid `filter`.

        O(visited nodes): O(tokens) where both sides are literal; each star in `filter` visits all
        children of a node, and `>` a whole branch, nearly all of which is then part of the answer.
        """
        tokens = filter.split(SEPARATOR)
        found: list[T] = []
        stack = [(self._root, 0)]
        while stack:
            node, position = stack.pop()
            if position == len(tokens):
                found.extend(node.here)
                continue
            found.extend(node.tail)
            token = tokens[position]
            if token == TAIL:
                for child in node.children():
                    _collect(child, found)
            elif token == STAR:
                stack.extend((child, position + 1) for child in node.children())
            else:
                below = node.literals.get(token)
                if below is not None:
                    stack.append((below, position + 1))
                if node.star is not None:
                    stack.append((node.star, position + 1))
        return found


def _collect(top: _Node[T], found: list[T]) -> None:
    """Append the values of the node `top` and of all below it to `found`."""
    stack = [top]
    while stack:
        node = stack.pop()
        found.extend(node.here)
        found.extend(node.tail)
        stack.extend(node.children())


def join_patterns(patterns: list[bytes]) -> bytes:
    """The pattern of an answer that depends on several tries; all were asked for one subject.

    Literal wherever one of them is, and empty as soon as one of them is.  O(tokens x patterns).
    """
    joined = patterns[0]
    for pattern in patterns[1:]:
        if not joined or not pattern:
            return b""
        if pattern != joined:
            pairs = zip(joined.split(SEPARATOR), pattern.split(SEPARATOR), strict=True)
            joined = SEPARATOR.join(y if x == STAR else x for x, y in pairs)
    return joined
