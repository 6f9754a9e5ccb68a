"""What is saved: figures as JSON, charts, and a page that is whole in one file."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytest.importorskip("rich", reason="the benchmarks have an extra of their own: [bench]")
pytest.importorskip("matplotlib", reason="the benchmarks have an extra of their own: [bench]")

from bench import output
from bench.record import Measurement

SUBJECTS = {"reactor-epoll": 100.0, "uvloop": 120.0, "asyncio": 80.0}


def measurements() -> list[Measurement]:
    lines = [
        Measurement(
            part="echo",
            panel=panel,
            point=point,
            axis="connections",
            subject=subject,
            unit="echoes per server CPU second",
            higher_is_better=True,
            figures=(figure, figure + 1, figure + 2),
            extra={"p50 us": 5.0},
        )
        for panel in ("64 B messages", "1 KiB messages")
        for point in (1, 10)
        for subject, figure in SUBJECTS.items()
    ]
    bars = [
        Measurement("timers", "add & cancel", None, "", subject, "ns each", False, (figure,))
        for subject, figure in SUBJECTS.items()
    ]
    return lines + bars


@pytest.fixture
def saved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    parser = argparse.ArgumentParser()
    output.add_options(parser)
    names = ["--json", "all.json", "--plot", "chart.svg", "--html", "all.html"]
    paths = [str(tmp_path / name) if "." in name else name for name in names]
    output.finish(measurements(), parser.parse_args(paths))
    return tmp_path


def test_the_json_has_the_machine_and_every_round(saved: Path) -> None:
    record = json.loads((saved / "all.json").read_text())
    assert {"kernel", "processor", "python", "cores"} <= set(record["machine"])
    first = record["results"][0]
    assert ([100.0, 101.0, 102.0], 101.0) == (first["figures"], first["median"])


def test_a_chart_is_saved_for_each_part(saved: Path) -> None:
    for part in ("echo", "timers"):
        assert ElementTree.parse(saved / f"chart-{part}.svg").getroot().tag.endswith("svg")


def test_the_page_needs_nothing_from_elsewhere(saved: Path) -> None:
    page = (saved / "all.html").read_text()
    assert [] == re.findall(r"<(?:script|link|img|iframe)\b", page)
    assert [] == re.findall(r"(?:src|href)=\"(?!#)[^\"]*\"", page)
    assert [] == re.findall(r"url\((?!#)|@import", page)


def test_the_page_has_every_subject_in_every_case_and_follows_the_readers_colours(
    saved: Path,
) -> None:
    page = (saved / "all.html").read_text()
    for subject in SUBJECTS:
        assert 5 == len(re.findall(rf'<td class="name">{subject}</td>', page))
    assert "prefers-color-scheme: dark" in page
    assert "currentColor" in page
    assert "add &amp; cancel" in page


def test_losing_is_shown_like_winning(capsys: pytest.CaptureFixture[str]) -> None:
    output.show([one for one in measurements() if one.point == 10], "uvloop")
    shown = capsys.readouterr().out
    ratios = re.findall(r"(uvloop|reactor-epoll|asyncio) +│[^│]+│[^│]+│ +([\d.]+) │", shown)
    expected = [("uvloop", "1.00"), ("reactor-epoll", "0.83"), ("asyncio", "0.67")]
    assert expected * 2 == ratios
