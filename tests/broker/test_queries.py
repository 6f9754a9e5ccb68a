"""Query strings, refused in the words of Go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from broker import queries
from broker.queries import QueryError

Read = Callable[[Mapping[str, str], str], Any]


@pytest.mark.parametrize("text", ["1", "t", "T", "true", "TRUE", "True"])
def test_a_switch_is_on_in_gos_spellings(text: str) -> None:
    assert queries.boolean({"x": text}, "x")


@pytest.mark.parametrize("text", ["", "0", "f", "F", "false", "FALSE", "False"])
def test_a_switch_is_off_in_gos_spellings(text: str) -> None:
    assert not queries.boolean({"x": text}, "x")


@pytest.mark.parametrize(
    ("read", "text", "expected"),
    [
        (queries.integer, "", 0),
        (queries.integer, "-7", -7),
        (queries.integer, "+7", 7),
        (queries.integer, "9223372036854775807", (1 << 63) - 1),
        (queries.integer, "0" * 100 + "5", 5),
        (queries.unsigned, "", 0),
        (queries.unsigned, "18446744073709551615", (1 << 64) - 1),
    ],
)
def test_numbers_have_64_bits(read: Read, text: str, expected: int) -> None:
    assert expected == read({"x": text}, "x")


@pytest.mark.parametrize(
    ("read", "text", "kind", "function", "trouble"),
    [
        (queries.boolean, "yes", "boolean", "ParseBool", "invalid syntax"),
        (queries.integer, "1_0", "int", "Atoi", "invalid syntax"),
        (queries.integer, " 1", "int", "Atoi", "invalid syntax"),
        (queries.integer, "٣", "int", "Atoi", "invalid syntax"),
        (queries.integer, "9223372036854775808", "int", "Atoi", "value out of range"),
        (queries.unsigned, "+1", "uint64", "ParseUint", "invalid syntax"),
        (queries.unsigned, "18446744073709551616", "uint64", "ParseUint", "value out of range"),
    ],
)
def test_a_value_that_cannot_be_read_is_refused_with_its_reason(
    read: Read, text: str, kind: str, function: str, trouble: str
) -> None:
    with pytest.raises(QueryError) as caught:
        read({"x": text}, "x")
    expected = f"Error decoding {kind} for 'x': strconv.{function}: parsing \"{text}\": {trouble}"
    assert expected == str(caught.value)


def test_an_endless_number_costs_no_more_than_its_length() -> None:
    with pytest.raises(QueryError, match="value out of range"):
        queries.integer({"x": "9" * 100_000}, "x")


def test_pages_begin_at_their_beginning_and_end_somewhere() -> None:
    assert (0, 1024) == (queries.offset({"offset": "-5"}), queries.limit({"limit": "-3"}))
    assert (3, 2) == (queries.offset({"offset": "3"}), queries.limit({"limit": "2"}))
