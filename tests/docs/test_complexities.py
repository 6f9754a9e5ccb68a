"""docs/complexities.md against what `reactor` offers: nothing is left out, nothing invented."""

from __future__ import annotations

import enum
import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

import reactor

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "complexities.md").read_text()

#: Heading of a section, without its marks, to its text.
SECTIONS = dict(re.findall(r"^### `?(\w+)`?\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL))

OFFERED = {name: getattr(reactor, name) for name in reactor.__all__}


def is_plain_record(thing: object) -> bool:
    """Say whether this is an error or an enumeration, which nobody calls anything of."""
    return isinstance(thing, type) and issubclass(thing, (BaseException, enum.Enum))


CLASSES = [
    name
    for name, thing in OFFERED.items()
    if isinstance(thing, type) and not is_plain_record(thing) and name != "CloseReason"
]
FUNCTIONS = [name for name, thing in OFFERED.items() if inspect.isroutine(thing)]


def public_members(of: type) -> set[str]:
    """Return the public methods and properties of a class, inherited ones included."""
    members = [(name, inspect.getattr_static(of, name)) for name in dir(of)]
    return {
        name
        for name, value in members
        if not name.startswith("_")
        and (inspect.isroutine(value) or isinstance(value, property))
        and not inspect.ismemberdescriptor(value)
    }


def named_calls(section: str) -> set[str]:
    """Return what stands in code marks in the first column, or anywhere if there is no table."""
    rows = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    return set(re.findall(r"`(\w+)`", "\n".join(rows) or section))


@pytest.mark.parametrize("name", CLASSES)
def test_every_public_method_has_its_cost(name: str) -> None:
    assert set() == public_members(OFFERED[name]) - named_calls(SECTIONS[name])


@pytest.mark.parametrize("name", CLASSES)
def test_every_method_with_a_cost_exists(name: str) -> None:
    named = named_calls(SECTIONS[name]) if "\n| `" in SECTIONS[name] else set()
    assert set() == named - public_members(OFFERED[name])


def test_every_function_that_the_package_offers_is_one() -> None:
    """Also after modules that have a function's name were imported."""
    import_module("reactor.listener")
    modules = [name for name in reactor.__all__ if inspect.ismodule(getattr(reactor, name))]
    assert [] == modules


def test_every_function_has_its_cost() -> None:
    assert set(FUNCTIONS) == named_calls(SECTIONS["Functions"])


@pytest.mark.parametrize(
    "place", re.findall(r"`([A-Z]\w+\.\w+)`", PAGE[PAGE.index("## The broker") :])
)
def test_every_place_that_is_named_in_the_broker_exists(place: str) -> None:
    name, method = place.split(".")
    modules = (
        *("pyplane", "flow", "switchboard", "trie", "server", "embedded", "forwarding", "crossing"),
        *("accounts", "permissions", "transform", "replies", "ingress", "topics", "wstransport"),
    )
    owners = [getattr(import_module(f"broker.{module}"), name, None) for module in modules]
    assert any(hasattr(owner, method) for owner in owners)
