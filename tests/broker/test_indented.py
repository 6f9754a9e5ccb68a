"""Pages are laid out as the standard library would lay them out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from broker.indented import indented

SCALARS = (
    some.none()
    | some.booleans()
    | some.integers()
    | some.floats(allow_nan=False, allow_infinity=False)
    | some.text()
)
VALUES = some.recursive(
    SCALARS, lambda below: some.lists(below) | some.dictionaries(some.text(), below)
)


@given(VALUES)
def test_it_is_what_json_makes(value: Any) -> None:
    assert json.dumps(value, indent=2, ensure_ascii=False) == indented(value)


def test_a_tuple_is_a_list() -> None:
    assert "[\n  1,\n  []\n]" == indented((1, ()))


@pytest.mark.parametrize("value", [object(), {"a": {1, 2}}, [b"bytes"]])
def test_what_json_does_not_know_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="nothing that a page is made of"):
        indented(value)
