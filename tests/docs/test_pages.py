"""All pages of docs/: reachable, finished, and about the project instead of somebody's machine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted(page for page in DOCS.rglob("*.md") if "_build" not in page.parts)
NAMES = [str(page.relative_to(DOCS)) for page in PAGES]


def without_code(text: str) -> str:
    return re.sub(r"`[^`\n]+`|^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_a_page_has_one_title(page: Path) -> None:
    assert 1 == len(re.findall(r"^# ", without_code(page.read_text()), re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_a_page_has_no_blank_that_was_to_be_filled_in(page: Path) -> None:
    unfinished = re.compile(r"@[A-Z]+@|\b(?:TODO|FIXME|XXX|TBD|MEASURED)\b")
    assert [] == unfinished.findall(page.read_text())


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_a_pages_relative_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!\w+://|#)([^)#\s]+)", without_code(page.read_text()))
    assert [] == [link for link in links if not (page.parent / link).exists()]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_a_page_names_no_folder_of_the_machine_it_was_written_on(page: Path) -> None:
    assert [] == re.findall(r"(?:/home|/root|/work|/Users|/tmp)/\w+", page.read_text())


def test_every_page_is_in_the_table_of_contents() -> None:
    index = (DOCS / "index.md").read_text()
    listed = re.findall(r"^```\{toctree\}\n(?::.*\n)*\n?((?:[\w/-]+\n)+)```", index, re.MULTILINE)
    names = set("".join(listed).split())
    pages = {str(page.relative_to(DOCS))[:-3] for page in PAGES if page.parent == DOCS}
    assert pages - {"index"} == {name for name in names if "/" not in name}
