"""docs/configuration.md against the tables of keys and flags: its tables are made from them.

After a change of `broker.schema` or `broker.cli`, `python -m tests.broker.test_configuration_guide`
writes the tables anew.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from broker.cli import SECTIONS, Flag
from broker.conf import parse
from broker.confread import read
from broker.schema import KEYS, Row, Status, rows

PAGE = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"
PATHS = list(dict.fromkeys(key.path for key in KEYS))


def key_table(path: str) -> str:
    """The keys of one block that do something, a line each."""
    lines = ["| key | takes | if it is not there | change | |", "|---|---|---|---|---|"]
    served = [row for row in rows() if row.key.path == path and row.key.status is Status.SERVED]
    return "\n".join(lines + [_line(row) for row in served])


def _line(row: Row) -> str:
    first, *others = [f"`{name}`" for name in row.key.names]
    names = f"{first} ({', '.join(others)})" if others else first
    default = f"`{row.default}`" if row.default else ""
    cells = (names, row.key.kind.value, default, row.key.reload.value, row.key.help)
    return f"| {' | '.join(cells)} |"


def refused_table() -> str:
    """Every key that is refused, or does nothing, and why."""
    lines = ["| block | key | |", "|---|---|---|"]
    for key in KEYS:
        if key.status is not Status.SERVED:
            names = ", ".join(f"`{name}`" for name in key.names)
            verdict = "accepted: " if key.status is Status.MOOT else ""
            lines.append(f"| {key.path or 'top'} | {names} | {verdict}{key.help} |")
    return "\n".join(lines)


def flag_table() -> str:
    """Every flag of the command line."""
    lines = ["| flag | value | |", "|---|---|---|"]
    for _, flags in SECTIONS:
        lines += [_flag_line(flag) for flag in flags]
    return "\n".join(lines)


def _flag_line(flag: Flag) -> str:
    names = ", ".join(f"`{'-' if len(name) < 3 else '--'}{name}`" for name in flag.names)
    return f"| {names} | {flag.value or ''} | {flag.help} |"


#: Marker in the page -> the table that stands below it.
TABLES = {f"keys: {path or 'top'}": key_table(path) for path in PATHS} | {
    "refused": refused_table(),
    "flags": flag_table(),
}


def with_tables(page: str) -> str:
    """The page with every table as it should be; each stands between two comments."""
    for name, table in TABLES.items():
        before, marker, rest = page.partition(f"<!-- {name} -->\n")
        after = rest.partition("<!-- end -->")[2]
        page = f"{before}{marker}\n{table}\n\n<!-- end -->{after}"
    return page


@pytest.mark.parametrize("name", TABLES)
def test_the_guide_has_every_table(name: str) -> None:
    assert 1 == PAGE.read_text(encoding="utf-8").count(f"<!-- {name} -->\n")


def test_the_guides_tables_are_those_of_the_program() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert with_tables(page) == page


def test_the_guides_examples_can_be_read() -> None:
    examples = re.findall(r"^```conf\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    assert len(examples) >= 5

    def no_files(name: str, including: str) -> str:
        return ""

    assert [] == [text for text in examples if not read(parse(text, "f", no_files, {}))]


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
