"""Subjects: what the dots and the two wildcards mean, told as short, linear functions.

The idea: a subject is bytes, cut into tokens at every dot.  Two tokens are wildcards, and only
when they stand alone: `*` is exactly one token, `>` is one token or more and stands last.
Inside a longer token they are ordinary bytes (`a*.b` is literal).

Two kinds of text use this form, and they obey different rules.

* A *filter* is what a subscription asks for.  It has no empty token, and `>` only as its last
  one.
* A *published subject* is taken as it comes.  A `*` in it is no wildcard but a token that
  happens to be a star: `a.*` is received by the filters `a.*` and `a.>`, not by `a.x`.  One with
  an empty token is received by nobody, not even by `>`.

Both rules are the ones of nats-server 2.15.1, asked with raw bytes.

Everything here is the reference: slow, obvious, and what the trie and the flow table are tested
against.  The exceptions are `is_valid_filter`, which every SUB passes through, and
`has_empty_token`, which every PUB does that misses its flow.  Anybody may call; all functions are
pure, hence safe in any thread, and cost O(length of their arguments).
"""

from __future__ import annotations

from itertools import zip_longest

__all__ = [
    "SEPARATOR",
    "STAR",
    "TAIL",
    "collides",
    "covers",
    "has_empty_token",
    "is_literal",
    "is_valid_filter",
    "is_valid_publish",
    "matches",
]

SEPARATOR = b"."
STAR = b"*"
TAIL = b">"

_DOT = SEPARATOR[0]


def is_valid_filter(subject: bytes) -> bool:
    """Whether a subscription may ask for `subject`: no empty token, and `>` only at the end."""
    tokens = subject.split(SEPARATOR)
    return b"" not in tokens and TAIL not in tokens[:-1]


def has_empty_token(subject: bytes) -> bool:
    """Whether two dots stand side by side in `subject`, or one at an end; or it is empty."""
    return not subject or subject[0] == _DOT or subject[-1] == _DOT or b".." in subject


def is_literal(subject: bytes) -> bool:
    """Whether no token of `subject` is a wildcard."""
    tokens = subject.split(SEPARATOR)
    return STAR not in tokens and TAIL not in tokens


def is_valid_publish(subject: bytes) -> bool:
    """Whether a pedantic client may publish to `subject`: no empty token and no wildcard."""
    return is_literal(subject) and not has_empty_token(subject)


def matches(filter: bytes, subject: bytes) -> bool:
    """Whether a message published to `subject` reaches a subscription to `filter`.

    `filter` is valid; `subject` is anything that a publisher may have sent.
    """
    if has_empty_token(subject):
        return False
    tokens = subject.split(SEPARATOR)
    for wanted, token in zip_longest(filter.split(SEPARATOR), tokens):
        if token is None:
            return False
        if wanted == TAIL:
            return True
        if wanted not in (STAR, token):
            return False
    return True


def collides(a: bytes, b: bytes) -> bool:
    """Whether some subject matches both of the valid filters `a` and `b`."""
    for x, y in zip_longest(a.split(SEPARATOR), b.split(SEPARATOR)):
        if x is None or y is None:
            return False
        if TAIL in (x, y):
            return True
        if x != y and STAR not in (x, y):
            return False
    return True


def covers(wide: bytes, narrow: bytes) -> bool:
    """Whether every subject that matches the valid filter `narrow` matches `wide` as well."""
    for x, y in zip_longest(wide.split(SEPARATOR), narrow.split(SEPARATOR)):
        if x is None or y is None:
            return False
        if x == TAIL:
            return True
        if y == TAIL or x not in (STAR, y):
            return False
    return True
