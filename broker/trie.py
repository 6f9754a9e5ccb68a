"""A trie of filters: which values does a subject reach, and which tokens had to be looked at?

The idea: filters with a common beginning share the nodes of that beginning.  A walk down the trie
finds every filter that matches a subject in the time of a few dictionary look-ups per token,
however many filters there are.

There is a node where filters part or end, and nowhere else; the tokens in between are the *run* of
the node below (such a trie is called a radix tree, or Patricia; Morrison, 1968).  So the memory of
a filter is in proportion to its bytes.  With a node for each token it would be a hundred times
that, and strangers choose how many tokens there are: a control line holds two thousand.

The second half of the answer is what makes flows possible.  A node without literal children never
asks what the token *is*: `*` takes any.  So a position at which no visited node had literal
children may hold whatever it likes, and the answer would be the same.  Such positions become `*`
in the `pattern` that `resolve` returns.  With the one filter `_INBOX.c1.*`, the subject
`_INBOX.c1.r7` resolves to the pattern `_INBOX.c1.*`, which answers for `_INBOX.c1.r8` too.

Invariants:
* Every node but the root holds a value or parts into two branches or more; `remove` prunes and
  mends what it leaves.  So the shape depends on what is filed, not on how it came about.
* A value stands at most once under one filter.
* Walks use their own stack: so many tokens are more than Python's recursion limit.

Neighbours: subject (the rules, told linearly; the tests compare the two), flow (keeps a trie of
patterns, to find what a changed subscription concerns), switchboard (keeps the subscriptions in
one). No thread-safety: one owner, one thread.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from itertools import compress
from typing import Generic, TypeVar

from broker.subject import (
    SEPARATOR,
    STAR,
    TAIL,
    has_empty_token,
    is_literal,
    is_valid_filter,
)

__all__ = ["MAX_PATTERN", "Resolution", "Trie", "join_patterns"]

# Tokens of the longest subject that gets a pattern.  Real ones have a tenth of that.  A flow is
# held in memory and found in time that grow with its tokens, and whoever may publish may make
# thousands of flows; so what is longer is resolved each time.
MAX_PATTERN = 64

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
    """The filters that share the way here.

    `run` is the end of that way: the tokens behind the one by which the node above leads here.
    """

    __slots__ = ("_chosen", "here", "literals", "run", "star", "tail")

    def __init__(self, run: tuple[bytes, ...]) -> None:
        self.cross(run)
        self.literals: dict[bytes, _Node[T]] = {}
        self.star: _Node[T] | None = None
        # Ordered sets: ten thousand subscribers of one filter must be able to leave in O(1) each.
        self.here: dict[T, None] = {}  # the filter ends at this node
        self.tail: dict[T, None] = {}  # the filter goes on with a lone `>`

    # --- the run

    def cross(self, run: tuple[bytes, ...]) -> None:
        self.run = run
        self._chosen: tuple[list[bool], list[bytes]] | None = None  # what `fits` needs

    def fits(self, tokens: list[bytes], position: int) -> bool:
        """Whether a subject goes on like the run from `position`; without a loop in Python."""
        end = position + len(self.run)
        # Filters of one maker often differ in their last token only, so that is looked at first.
        if end > len(tokens) or self.run[-1] not in (STAR, tokens[end - 1]):
            return False
        if self._chosen is None:
            mask = list(map(STAR.__ne__, self.run))
            self._chosen = mask, list(compress(self.run, mask))
        mask, literals = self._chosen
        return list(compress(tokens[position:end], mask)) == literals

    def fits_noting(self, tokens: list[bytes], position: int, pattern: list[bytes]) -> bool:
        """The same, and what was looked at becomes literal in `pattern`."""
        try:
            for wanted in self.run:
                if wanted != STAR:
                    token = pattern[position] = tokens[position]
                    if wanted != token:
                        return False
                position += 1
        except IndexError:  # the subject is shorter
            return False
        return position <= len(tokens)

    def shared(self, tokens: list[bytes], position: int) -> int:
        """How many tokens of the run a filter has as well from `position`."""
        count = 0
        for mine, other in zip(self.run, tokens[position : position + len(self.run)], strict=False):
            if mine != other:
                break
            count += 1
        return count

    def collides(self, tokens: list[bytes], position: int) -> bool:
        """Whether the run and a filter from `position` have a subject in common, as far as they go
        together; a filter must not end first, unless with `>`.
        """
        for mine, other in zip(self.run, tokens[position : position + len(self.run)], strict=False):
            if other == TAIL:
                return True
            if mine != other and STAR not in (mine, other):
                return False
        return position + len(self.run) <= len(tokens)

    # --- branches

    def child(self, token: bytes) -> _Node[T] | None:
        return self.star if token == STAR else self.literals.get(token)

    def put(self, token: bytes, node: _Node[T]) -> _Node[T]:
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

    def only_branch(self) -> tuple[bytes, _Node[T]] | None:
        """The branch of a node that is of no use, as nothing ends or parts there."""
        if self.here or self.tail or len(self.literals) + (self.star is not None) != 1:
            return None
        if self.star is not None:
            return STAR, self.star
        return next(iter(self.literals.items()))


class Trie(Generic[T]):
    """Values filed under filters, to be found by subject.

    Memory is O(bytes of distinct filters).  Not thread-safe.
    """

    def __init__(self) -> None:
        self._root: _Node[T] = _Node(())
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
        tokens, is_open = _cut(filter)
        node = self._root
        position = 0
        while position < len(tokens):
            token = tokens[position]
            position += 1
            below = node.child(token)
            if below is None:
                node = node.put(token, _Node(tuple(tokens[position:])))
                break
            if below.run:
                shared = below.shared(tokens, position)
                position += shared
                if shared < len(below.run):
                    below = _part(node, token, below, shared)
            node = below
        values = node.tail if is_open else node.here
        if value in values:
            return False
        values[value] = None
        self._size += 1
        return True

    def remove(self, filter: bytes, value: T) -> bool:
        """Take `value` from under `filter`; False if it was not there.  O(tokens)."""
        tokens, is_open = _cut(filter)
        node = self._root
        path: list[tuple[_Node[T], bytes]] = []
        position = 0
        while position < len(tokens):
            token = tokens[position]
            below = node.child(token)
            if below is None:
                return False
            position += 1
            run = below.run
            if run:
                if tuple(tokens[position : position + len(run)]) != run:
                    return False
                position += len(run)
            path.append((node, token))
            node = below
        values = node.tail if is_open else node.here
        if value not in values:
            return False
        del values[value]
        self._size -= 1
        if not values and path:
            _mend(node, path)
        return True

    def resolve(self, subject: bytes) -> Resolution[T]:
        """Everything that a message published to `subject` reaches, and the pattern of the answer.

        A subject with an empty token reaches nothing.  One with a lone `*` or `>` is resolved like
        any other (they are plain tokens of a published subject) but has no pattern, in whose text
        they would pass for wildcards; nor has one of more than `MAX_PATTERN` tokens.

        O(visited nodes and their runs): tokens times two in common use; where filters mix stars
        and literals in all combinations, at worst the whole trie.
        """
        if has_empty_token(subject):
            return Resolution([], b"")
        tokens = subject.split(SEPARATOR)
        values: list[T] = []
        count = len(tokens)
        pattern = [STAR] * count if count <= MAX_PATTERN else None
        last = count - 1
        stack = [(self._root, 0)]
        while stack:
            node, position = stack.pop()
            run = node.run
            if run:
                if pattern is None:
                    fits = node.fits(tokens, position)
                else:
                    fits = node.fits_noting(tokens, position, pattern)
                if not fits:
                    continue
                position += len(run)
                if position == count:
                    values += node.here
                    continue
            values += node.tail
            below = None
            if node.literals:
                token = tokens[position]
                if pattern is not None:
                    pattern[position] = token
                below = node.literals.get(token)
            star = node.star
            if position == last:
                if below is not None and not below.run:
                    values += below.here
                if star is not None and not star.run:
                    values += star.here
                continue
            if below is not None:
                stack.append((below, position + 1))
            if star is not None:
                stack.append((star, position + 1))  # on top: a star's branch comes first
        if pattern is None or not is_literal(subject):
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
            run = node.run
            if run:
                if not node.collides(tokens, position):
                    continue
                position += len(run)
                if tokens[-1] == TAIL and position >= len(tokens):
                    _collect(node, found)  # the `>` was met in the run
                    continue
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


def _cut(filter: bytes) -> tuple[list[bytes], bool]:
    """The tokens of a filter without a last `>`, and whether there is one."""
    tokens = filter.split(SEPARATOR)
    is_open = tokens[-1] == TAIL
    if is_open:
        tokens.pop()
    return tokens, is_open


def _part(above: _Node[T], token: bytes, below: _Node[T], count: int) -> _Node[T]:
    """Put a node behind the first `count` tokens of the run of `below`, where others branch off."""
    run = below.run
    between: _Node[T] = _Node(run[:count])
    between.put(run[count], below)
    below.cross(run[count + 1 :])
    return above.put(token, between)


def _mend(node: _Node[T], path: list[tuple[_Node[T], bytes]]) -> None:
    """Take away what is of no use any more at the end of the path, behind which `node` is."""
    above, token = path.pop()
    if node.is_bare():
        above.drop_child(token)
        if not path:
            return
        node = above
        above, token = path.pop()
    branch = node.only_branch()
    if branch is not None:
        between, below = branch
        below.cross((*node.run, between, *below.run))
        above.put(token, below)


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
