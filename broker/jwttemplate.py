"""Rights by template: what a scoped signing key grants to all users that it signs.

The idea: an account says once, beside a signing key, what users signed by that key may do; their
own tokens say nothing of it. The subjects of a template may have blanks to fill in, and each is
filled from the tokens of the user and of the account:

===========================  =====================================================
``{{name()}}``               the name in the user's token
``{{subject()}}``            the user's public key
``{{account-name()}}``       the name in the account's token
``{{account-subject()}}``    the account's public key
``{{tag(x)}}``               each value that the user's tags give to ``x`` (``x:value``)
``{{account-tag(x)}}``       likewise of the account's tags
===========================  =====================================================

A subject with tags stands for as many as there are combinations of values. A permission that comes
out as no subject is left out, and a denial that does is an error: what was to be denied must not
become allowed. Likewise a list of what is allowed that comes out empty denies everything.

Invariants: no template makes more than `MOST` subjects. Once one entry of a list has a blank, every
entry must be a plain subject, so one that names a queue group is lost: nats-server's rule.

Source: the words and the order of filling in are nats-server's. Neighbours: `broker.jwtauth` asks
for those whom a scoped key has signed. Pure functions, thread-safe.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import product
from math import prod

from broker.jwt import Claims
from broker.jwtfields import Fields, part, texts

__all__ = ["MOST", "expanded", "is_bare"]

#: How many subjects one list may become; nats-server's.
MOST = 4096

_BLANK = re.compile(r"{{([^}]+)}}")

#: What a user's token may say of its rights, which it must leave to the template.
_RIGHTS = (
    "resp",
    "src",
    "times",
    "times_location",
    "subs",
    "data",
    "payload",
    "bearer_token",
    "proxy_required",
    "allowed_connection_types",
)

_LISTS = ("allow", "deny")

# What a tag that the user has not stands for: no subject holds it.
_NOTHING = " "


def is_bare(nats: Fields) -> bool:
    """Whether the token of a user claims no rights of its own."""
    rules = (part(nats, direction).get(key) for direction in ("pub", "sub") for key in _LISTS)
    # An empty list is a claim; a 0, an empty text and a "no" are none.
    return all(value is None for value in rules) and all(
        nats.get(key) is None or (not nats[key] and not isinstance(nats[key], (list, dict)))
        for key in _RIGHTS
    )


def expanded(template: Fields, user: Claims, account: Claims) -> Fields:
    """The template with its blanks filled in.

    Raises ValueError for what nats-server does not expand either. O(subjects that come out).
    """
    return {
        **template,
        "pub": _rules(part(template, "pub"), user, account),
        "sub": _rules(part(template, "sub"), user, account),
    }


def _rules(given: Fields, user: Claims, account: Claims) -> Fields:
    allow, deny = (texts(given, key) for key in _LISTS)
    allowed = _fill(allow, user, account, strict=False)
    denied = _fill(deny, user, account, strict=True)
    if allow and not allowed:
        denied = [*denied, ">"]
    return {"allow": allowed, "deny": denied}


def _fill(subjects: list[str], user: Claims, account: Claims, *, strict: bool) -> list[str]:
    if not any(_BLANK.search(subject) for subject in subjects):
        return subjects
    found: list[str] = []
    for subject in subjects:
        blanks = list(_BLANK.finditer(subject))
        values = [_values(blank[1].strip(), user, account, strict) for blank in blanks]
        if len(found) + prod(map(len, values)) > MOST:
            raise ValueError(f"a template makes more than {MOST} subjects")
        for filled in _combine(subject, [blank[0] for blank in blanks], values):
            if _is_subject(filled):
                found.append(filled)
            elif strict:
                raise ValueError(f"{subject!r} with its blanks filled in is no subject")
    return list(dict.fromkeys(found))


def _combine(subject: str, blanks: list[str], values: list[list[str]]) -> Iterator[str]:
    for choice in product(*values):
        filled = subject
        # One after the other, each wherever it stands, as nats-server does.
        for blank, value in zip(blanks, choice, strict=True):
            filled = filled.replace(blank, value)
        yield filled


def _values(word: str, user: Claims, account: Claims, strict: bool) -> list[str]:
    known = {
        "name()": user.name,
        "subject()": user.subject,
        "account-name()": account.name,
        "account-subject()": user.account,
    }
    if word.lower() in known:
        return [known[word.lower()]]
    for opening, tags in (("tag(", user.tags), ("account-tag(", account.tags)):
        if word[: len(opening)].lower() == opening and word.endswith(")"):
            name = word.removeprefix(opening)[:-1]
            found = _tagged(tags, name)
            if not found and strict:
                raise ValueError(f"the tag {name!r} of a denied subject is not defined")
            return found or [_NOTHING]
    raise ValueError(f"a template asks for {word!r}, which is not known")


def _tagged(tags: Iterable[str], name: str) -> list[str]:
    prefix = f"{name.lower()}:"
    return [tag.removeprefix(prefix) for tag in tags if tag.startswith(prefix)]


def _is_subject(text: str) -> bool:
    tokens = text.split(".")
    return ">" not in tokens[:-1] and all(
        token and not any(blank in token for blank in " \t\n\f\r") for token in tokens
    )
