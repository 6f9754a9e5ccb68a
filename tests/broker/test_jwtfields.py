"""Fields of claims: of the right type, or refused by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from broker.jwtfields import entry, flag, items, number, part, text, texts


def _number(found: Any, key: str) -> int:
    return number(found, key, 5)


READERS: list[tuple[Callable[[Any, str], Any], Any, Any, Any]] = [
    (text, "x", "", 1),
    (_number, 7, 5, "7"),
    (flag, True, False, 1),
    (items, [1], [], "a"),
    (texts, ["a"], [], [1]),
    (part, {"b": 1}, {}, []),
]


@pytest.mark.parametrize(("read", "value", "absent", "wrong"), READERS)
def test_a_field_has_its_type_or_is_absent_or_refused(
    read: Callable[[Any, str], Any], value: Any, absent: Any, wrong: Any
) -> None:
    assert value == read({"k": value}, "k")
    assert absent == read({}, "k") == read({"k": None}, "k")
    with pytest.raises(ValueError, match=r"'k' is n|where a JSON object belongs"):
        read({"k": wrong}, "k")


@pytest.mark.parametrize("wrong", [True, 1 << 63, -(1 << 64), 1.5])
def test_a_number_is_whole_and_has_64_bits(wrong: Any) -> None:
    with pytest.raises(ValueError, match="no whole number of 64 bits"):
        number({"k": wrong}, "k", 0)


def test_an_entry_is_an_object() -> None:
    assert {} == entry({})
    with pytest.raises(ValueError, match="where a JSON object belongs"):
        entry("x")
