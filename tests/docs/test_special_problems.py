"""docs/special-problems.md against the tests that it names, in both directions."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "special-problems.md").read_text()
NUMBERS = range(1, 33)

#: Number of a problem to the text of its section.
SECTIONS = {
    int(number): text
    for number, text in re.findall(r"^## (\d+)\. (.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
}


def named_in(text: str) -> set[str]:
    return set(re.findall(r"`(test_\w+)`", text))


def hard_bug_tests() -> dict[str, ast.FunctionDef]:
    """Return every test of the files for hard bugs, by its name."""
    files = (ROOT / "tests" / "reactor").glob("test_hard_bugs_*.py")
    trees = (ast.parse(file.read_text()) for file in files)
    nodes = (node for tree in trees for node in tree.body)
    return {
        node.name: node
        for node in nodes
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


TESTS = hard_bug_tests()


def test_every_problem_has_a_section_in_order() -> None:
    assert list(NUMBERS) == list(SECTIONS)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_section_says_what_happens_what_we_do_and_which_tests_show_it(number: int) -> None:
    section = SECTIONS[number]
    assert section.startswith("The special problem of ")
    assert ["What happens.", "What we do.", "Shown by"] == re.findall(r"\*\*(.+?)\*\*", section)
    named = named_in(section)
    assert any(name.startswith(f"test_{number:02}_") for name in named)
    assert set() == named - set(TESTS), "tests that do not exist"


def test_every_test_of_a_hard_bug_is_named_where_its_number_is_told() -> None:
    for name in TESTS:
        for number in re.findall(r"(?:^test_|_and_)(\d\d)(?=_)", name):
            assert name in named_in(SECTIONS[int(number)])


@pytest.mark.parametrize("name", TESTS)
def test_every_test_of_a_hard_bug_runs_over_every_demultiplexer(name: str) -> None:
    arguments = {argument.arg for argument in TESTS[name].args.args}
    assert arguments & {"backend", "reactor"}, "ask for the fixture `backend`, or one that does"


def test_the_table_at_the_top_links_to_every_section() -> None:
    linked = re.findall(r"\[(\d+)\]\(#(\d+)-", PAGE)
    assert all(shown == target for shown, target in linked)
    assert set(NUMBERS) == {int(number) for number, _ in linked}
