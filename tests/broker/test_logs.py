"""Log lines: their form, their levels, and where they go."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.logs import TRACE, Logging, NatsFormatter, configure, logger, stamp, tag


@pytest.fixture
def opened() -> Iterator[list[Logging]]:
    logs: list[Logging] = []
    yield logs
    for log in logs:
        log.close()


def one_of_each() -> None:
    for level in (TRACE, logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        logger.log(level, "said")


def tags(text: str) -> list[str]:
    return re.findall(r"\[([A-Z]{3})\]", text)


def test_a_line_looks_like_one_of_nats_servers(
    capsys: pytest.CaptureFixture[str], opened: list[Logging]
) -> None:
    opened.append(configure())
    logger.info("Server is %s", "ready")
    shape = r"\[\d+\] \d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{6} \[INF\] Server is ready\n"
    assert re.fullmatch(shape, capsys.readouterr().err)


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (TRACE, "TRC"),
        (logging.DEBUG, "DBG"),
        (logging.INFO, "INF"),
        (logging.WARNING, "WRN"),
        (logging.ERROR, "ERR"),
        (logging.CRITICAL, "FTL"),
    ],
)
def test_every_level_has_nats_servers_three_letters(level: int, expected: str) -> None:
    assert expected == tag(level)


@pytest.mark.parametrize(
    ("debug", "trace", "expected"),
    [
        (False, False, ["INF", "WRN", "ERR"]),
        (True, False, ["DBG", "INF", "WRN", "ERR"]),
        (False, True, ["TRC", "INF", "WRN", "ERR"]),
        (True, True, ["TRC", "DBG", "INF", "WRN", "ERR"]),
    ],
)
def test_debug_and_trace_are_independent(
    capsys: pytest.CaptureFixture[str],
    opened: list[Logging],
    debug: bool,
    trace: bool,
    expected: list[str],
) -> None:
    opened.append(configure(debug=debug, trace=trace))
    one_of_each()
    assert expected == tags(capsys.readouterr().err)


def test_a_traceback_follows_its_line(
    capsys: pytest.CaptureFixture[str], opened: list[Logging]
) -> None:
    opened.append(configure())
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        logger.exception("a handler failed")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith("[ERR] a handler failed")
    assert "RuntimeError: broken" == lines[-1]


def test_the_reactors_complaints_are_in_the_same_log(
    capsys: pytest.CaptureFixture[str], opened: list[Logging]
) -> None:
    opened.append(configure())
    logging.getLogger("reactor").error("a handler raised")
    assert capsys.readouterr().err.endswith("[ERR] a handler raised\n")


def test_a_log_file_is_appended_to(tmp_path: Path, opened: list[Logging]) -> None:
    path = tmp_path / "broker.log"
    path.write_text("before\n")
    opened.append(configure(log_file=str(path)))
    logger.info("after")
    lines = path.read_text().splitlines()
    assert "before" == lines[0]
    assert lines[1].endswith("[INF] after")


def test_a_log_file_that_cannot_be_opened_is_an_error_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        configure(log_file=str(tmp_path / "no" / "such" / "place"))


def test_close_puts_the_loggers_back_as_they_were(capsys: pytest.CaptureFixture[str]) -> None:
    before = (logger.level, logger.propagate, list(logger.handlers))
    configure(debug=True).close()
    assert before == (logger.level, logger.propagate, list(logger.handlers))


def test_microseconds_are_rounded_into_the_next_second() -> None:
    assert stamp(1_000_000_000.9999996) == stamp(1_000_000_001.0)


def test_the_formatter_puts_no_line_break_after_the_text() -> None:
    record = logging.LogRecord("broker", logging.INFO, __file__, 1, "x", None, None)
    assert NatsFormatter().format(record).endswith("[INF] x")
