"""Subjects rewritten: a pattern of what comes in, a template of what goes out.

The idea: a `Transform` reads the tokens under the stars of its source and writes them into its
destination, either as they are (`$1`, `{{wildcard(1)}}`) or through a function: a part of a token,
a token cut into several, the number of a partition. A `Mapper` holds an account's mappings and
applies the first whose source matches, with the dice where a mapping has several targets.

Partitions are what makes mappings more than renaming: `{{partition(3, 1)}}` sends all messages with
the same first token the same way, one of three, so that three workers can share a stream and each
still sees everything of its own keys, in order.

Invariants: a transform is compiled once and then cannot fail; whatever a publisher wrote into a
token comes out as bytes, and a lone `*` in it is no wildcard. Compiled transforms are immutable and
keep no state; the dice are the caller's.

Source: the functions, their limits and the texts of errors are nats-server's; the hash of
partitions is FNV-1a with 32 bits (Fowler, Noll, Vo), so that both servers choose alike.

Neighbours: judge applies mappings, imports translate subjects by transforms. Imports subject and
the records of the configuration.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import pairwise
from random import Random

from broker.blocks import MappingBlock
from broker.subject import SEPARATOR, STAR, TAIL, is_valid_filter, matches

__all__ = ["Mapper", "Transform", "compile", "fnv1a", "numbered", "reversed_import"]

# From the tokens of the subject and the dice to what stands in the destination's place.
_Piece = Callable[[list[bytes], Random], bytes]

_FUNCTION = re.compile(rb"\{\{\s*(\w+)\s*\((.*)\)\s*\}\}")
_OFFSET, _PRIME = 0x811C9DC5, 0x01000193

_WRONG = "invalid mapping destination"


def fnv1a(data: bytes) -> int:
    """The 32-bit FNV-1a hash.  O(len(data))."""
    value = _OFFSET
    for byte in data:
        value = (value ^ byte) * _PRIME & 0xFFFFFFFF
    return value


def numbered(filter: bytes) -> bytes:
    """`filter` as a destination: each star replaced by its number, as in `a.$1.b.$2`."""
    count = 0
    tokens = filter.split(SEPARATOR)
    for index, token in enumerate(tokens):
        if token == STAR:
            count += 1
            tokens[index] = b"$%d" % count
    return SEPARATOR.join(tokens)


def reversed_import(remote: bytes, local: bytes) -> tuple[bytes, bytes]:
    """Source and destination of a service import: from its `local` subject to the `remote` one.

    The configuration names them the other way round: `local` is written in terms of the stars of
    `remote`, and may so change their order.  Raises ValueError if it leaves one out.
    """
    places = [_wildcard_number(token) for token in numbered(local).split(SEPARATOR)]
    order = [place for place in places if place]
    count = remote.split(SEPARATOR).count(STAR)
    if sorted(order) != list(range(1, count + 1)):
        raise ValueError(f"{_WRONG}: not using all of the token wildcard(s) in {_text(local)}")
    source = SEPARATOR.join(
        STAR if place else token
        for place, token in zip(places, local.split(SEPARATOR), strict=True)
    )
    destination = remote.split(SEPARATOR)
    stars = [index for index, token in enumerate(destination) if token == STAR]
    for number, index in enumerate(stars, 1):
        destination[index] = b"$%d" % (order.index(number) + 1)
    return source, SEPARATOR.join(destination)


def _wildcard_number(token: bytes) -> int:
    """The n of `$n` or `{{wildcard(n)}}`, else 0."""
    if token[:1] == b"$" and token[1:].isdigit():
        return int(token[1:])
    found = _FUNCTION.fullmatch(token)
    if found and found[1].lower() == b"wildcard" and found[2].strip().isdigit():
        return int(found[2])
    return 0


class Transform:
    """One source with one destination, from `compile`.  Immutable."""

    __slots__ = ("_has_tail", "_length", "_pieces", "destination", "source")

    def __init__(
        self, source: bytes, destination: bytes, pieces: tuple[_Piece, ...], has_tail: bool
    ) -> None:
        self.source = source
        self.destination = destination
        self._pieces = pieces
        self._has_tail = has_tail
        self._length = source.count(SEPARATOR)  # tokens before a `>`

    def apply(self, subject: bytes, rng: Random) -> bytes:
        """What `subject`, which must match the source, becomes.  O(len(subject))."""
        tokens = subject.split(SEPARATOR)
        done = [piece(tokens, rng) for piece in self._pieces]
        if self._has_tail:
            done += tokens[self._length :]
        return SEPARATOR.join(done)


def compile(source: bytes, destination: bytes) -> Transform:
    """The transform from `source`, a filter, to `destination`, a template.

    Raises ValueError, with nats-server's words, if either is no subject, if only one of them ends
    in `>`, or if the destination asks for a function or a star that there is not.
    """
    if not is_valid_filter(source):
        raise ValueError(f"invalid subject: from {_text(source)} to {_text(destination)}")
    if not is_valid_filter(destination):
        raise ValueError(f"{_WRONG}: invalid transform")
    sources, wanted = source.split(SEPARATOR), destination.split(SEPARATOR)
    has_tail = wanted[-1] == TAIL
    if STAR in wanted or has_tail != (sources[-1] == TAIL):
        raise ValueError(f"invalid subject: from {_text(source)} to {_text(destination)}")
    stars = [index for index, token in enumerate(sources) if token == STAR]
    kept = wanted[:-1] if has_tail else wanted
    return Transform(source, destination, tuple(_piece(token, stars) for token in kept), has_tail)


def _piece(token: bytes, stars: list[int]) -> _Piece:
    number = token[1:] if token[:1] == b"$" else b""
    if number.isdigit():
        return _wildcard(token, [number], stars)
    if not (token.startswith(b"{{") and token.endswith(b"}}") and len(token) > 4):
        return lambda tokens, rng: token
    found = _FUNCTION.fullmatch(token)
    function = _FUNCTIONS.get(found[1].lower()) if found else None
    if found is None or function is None:
        raise _error("unknown function", token)
    make, least, most = function
    arguments = [argument.strip() for argument in found[2].split(b",")] if found[2] else []
    if len(arguments) < least:
        raise _error("not enough arguments passed to the function", token)
    if len(arguments) > most:
        raise _error("too many arguments passed to the function", token)
    return make(token, arguments, stars)


def _error(what: str, token: bytes) -> ValueError:
    return ValueError(f"{_WRONG}: {what} in {_text(token)}")


def _text(token: bytes) -> str:
    return token.decode("utf-8", "backslashreplace")


def _number(token: bytes, argument: bytes) -> int:
    if not argument.isdigit() or int(argument) > 0x7FFFFFFF:
        raise _error("function argument is invalid or in the wrong format", token)
    return int(argument)


def _star(token: bytes, argument: bytes, stars: list[int]) -> int:
    """The place in the subject of the star that `argument` counts."""
    number = _number(token, argument)
    if not 1 <= number <= len(stars):
        raise ValueError(f"{_error('wildcard index out of range', token)}: [{number}]")
    return stars[number - 1]


def _wildcard(token: bytes, arguments: list[bytes], stars: list[int]) -> _Piece:
    place = _star(token, arguments[0], stars)
    return lambda tokens, rng: tokens[place]


def _partition(token: bytes, arguments: list[bytes], stars: list[int]) -> _Piece:
    count = _number(token, arguments[0])
    places = [_star(token, argument, stars) for argument in arguments[1:]]

    def piece(tokens: list[bytes], rng: Random) -> bytes:
        key = b"".join(tokens[place] for place in places) if places else SEPARATOR.join(tokens)
        return b"%d" % (fnv1a(key) % count if count else 0)

    return piece


def _random(token: bytes, arguments: list[bytes], stars: list[int]) -> _Piece:
    count = _number(token, arguments[0])
    return lambda tokens, rng: b"%d" % (rng.randrange(count) if count else 0)


def _split(token: bytes, arguments: list[bytes], stars: list[int]) -> _Piece:
    place, mark = _star(token, arguments[0], stars), arguments[1]
    if not mark or b" " in mark or SEPARATOR in mark:
        raise _error("function argument is invalid or in the wrong format", token)
    return lambda tokens, rng: SEPARATOR.join(filter(None, tokens[place].split(mark)))


def _sized(change: Callable[[bytes, int], bytes]) -> Callable[..., _Piece]:
    """A function of a star and a size, which leaves a token alone that is no longer than that."""

    def make(token: bytes, arguments: list[bytes], stars: list[int]) -> _Piece:
        place, size = _star(token, arguments[0], stars), _number(token, arguments[1])

        def piece(tokens: list[bytes], rng: Random) -> bytes:
            text = tokens[place]
            return change(text, size) if 0 < size < len(text) else text

        return piece

    return make


def _pieces_of(text: bytes, size: int, first: int) -> bytes:
    """`text` cut into tokens of `size` bytes; the first one has `first`, if that is not 0."""
    cuts = [0, *range(first or size, len(text), size), len(text)]
    return SEPARATOR.join(text[a:b] for a, b in pairwise(cuts))


_FUNCTIONS: dict[bytes, tuple[Callable[..., _Piece], int, int]] = {
    b"wildcard": (_wildcard, 1, 1),
    b"partition": (_partition, 1, 1000),
    b"random": (_random, 1, 1),
    b"split": (_split, 2, 2),
    b"left": (_sized(lambda text, size: text[:size]), 2, 2),
    b"right": (_sized(lambda text, size: text[-size:]), 2, 2),
    b"splitfromleft": (_sized(lambda text, size: text[:size] + b"." + text[size:]), 2, 2),
    b"splitfromright": (_sized(lambda text, size: text[:-size] + b"." + text[-size:]), 2, 2),
    b"slicefromleft": (_sized(lambda text, size: _pieces_of(text, size, 0)), 2, 2),
    b"slicefromright": (_sized(lambda text, size: _pieces_of(text, size, len(text) % size)), 2, 2),
}


class Mapper:
    """The mappings of one account, in order.  Immutable."""

    def __init__(self, mappings: Iterable[MappingBlock] = ()) -> None:
        """Raises ValueError as `compile` does, and for weights beyond 100."""
        self._mappings = tuple((block.source, _targets(block)) for block in mappings)

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._mappings)

    @property
    def sources(self) -> tuple[bytes, ...]:
        """The filters of what is mapped."""
        return tuple(source for source, _ in self._mappings)

    def map(self, subject: bytes, rng: Random) -> bytes:
        """What `subject` becomes: the same if nothing maps it, empty if its share is lost.

        O(mappings + len(subject)).
        """
        for source, targets in self._mappings:
            if matches(source, subject):
                chance = rng.random() * 100
                for below, transform in targets:
                    if chance < below:
                        return transform.apply(subject, rng)
                return b""
        return subject


def _targets(block: MappingBlock) -> tuple[tuple[int, Transform], ...]:
    """The targets with cumulative weights; the source itself takes what the weights leave, unless
    it is among the targets, which means that the rest is to be lost.
    """
    reached, targets = 0, []
    for target in block.targets:
        reached += target.weight
        if target.weight < 0 or reached > 100:
            raise ValueError(f"mapping of {_text(block.source)}: total weight needs to be <= 100")
        targets.append((reached, compile(block.source, target.subject)))
    stays = numbered(block.source)
    if reached < 100 and all(
        target.subject not in (block.source, stays) for target in block.targets
    ):
        targets.append((100, compile(block.source, stays)))
    return tuple(targets)
