"""The known word that a mistyped one was probably meant to be.

Pure; about a millisecond for a hundred words, most of it the first import of ``difflib``, which is
why that stands inside: only mistakes pay. Neighbours: `broker.cli` and `broker.confread` ask.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["nearest"]


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The word of `known` most like `word`, capitals and dashes forgiven; None: none is like it."""
    import difflib

    # Among words equal but for capitals, the first one known is the one to show.
    lowered: dict[str, str] = {}
    for name in known:
        lowered.setdefault(name.lower(), name)
    close = difflib.get_close_matches(word.replace("-", "_").lower(), lowered, n=1)
    return lowered[close[0]] if close else None
