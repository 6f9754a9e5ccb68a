"""docs/tour.md against the files: the tour leaves no module out and leads nowhere that is not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "tour.md").read_text()
STOPS = re.findall(r"`((?:reactor|broker|examples|tests|bench)/[\w/.]*)`", PAGE)
FLOOR_OF = re.compile(r"^## Floor (\d)", re.MULTILINE)


def modules(package: str) -> list[str]:
    """Return the files of a package, as the tour writes them."""
    return sorted(str(file.relative_to(ROOT)) for file in (ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("package", ["reactor", "broker"])
def test_every_module_is_a_stop(package: str) -> None:
    assert [] == [module for module in modules(package) if module not in STOPS]


def test_every_stop_exists() -> None:
    assert [] == [stop for stop in STOPS if not (ROOT / stop).exists()]


def test_the_tour_goes_up_floor_by_floor() -> None:
    assert list("1234567") == FLOOR_OF.findall(PAGE)


def test_every_stop_says_what_to_look_for() -> None:
    stops = re.findall(r"^`[^\n]+`\n: ((?:.+\n)+)", PAGE, re.MULTILINE)
    assert len(stops) > 60
    assert [] == [text for text in stops if len(text.split()) < 10]
