"""Log lines: their form, their levels, and where they go."""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.logs import (
    TRACE,
    Logging,
    NatsFormatter,
    configure,
    logger,
    reconfigure,
    stamp,
    tag,
)


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


# ------------------------------------------------------------------------------ moved log files


def texts(path: Path) -> list[str]:
    return [line.partition("[INF] ")[2] for line in path.read_text().splitlines()]


def test_a_log_file_that_was_moved_away_is_begun_anew(
    tmp_path: Path, opened: list[Logging]
) -> None:
    path, old = tmp_path / "broker.log", tmp_path / "broker.log.1"
    opened.append(configure(log_file=str(path)))
    logger.info("before")
    path.rename(old)
    logger.info("after")
    assert (["before"], ["after"]) == (texts(old), texts(path))


def test_a_folder_that_vanished_costs_no_line(tmp_path: Path, opened: list[Logging]) -> None:
    (tmp_path / "logs").mkdir()
    path = tmp_path / "logs" / "broker.log"
    opened.append(configure(log_file=str(path)))
    (tmp_path / "logs").rename(tmp_path / "gone")
    logger.info("one")
    opened[0].reopen()
    logger.info("two")
    lines = (tmp_path / "gone" / "broker.log").read_text().splitlines()
    assert lines[0].endswith("[INF] one")
    assert "[ERR] File log re-open failed, going on with the old file: " in lines[1]
    assert lines[2].endswith("[INF] two")


def test_a_log_file_can_be_told_to_be_opened_anew(tmp_path: Path, opened: list[Logging]) -> None:
    path = tmp_path / "broker.log"
    opened.append(configure(log_file=str(path)))
    path.rename(tmp_path / "old")
    opened[0].reopen()
    assert ["File log re-opened"] == texts(path)


def test_what_is_no_file_is_not_opened_anew(
    capsys: pytest.CaptureFixture[str], opened: list[Logging]
) -> None:
    opened.append(configure())
    opened[0].reopen()
    expected = "[INF] File log re-open ignored, not a file logger\n"
    assert capsys.readouterr().err.endswith(expected)


def test_other_settings_take_the_place_of_the_first_and_close_puts_back_what_was_before(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, opened: list[Logging]
) -> None:
    before = (logger.level, logger.propagate, list(logger.handlers))
    first = configure()
    second = reconfigure(first, debug=True, log_file=str(tmp_path / "log"))
    logger.debug("said")
    assert "" == capsys.readouterr().err
    assert (tmp_path / "log").read_text().endswith("[DBG] said\n")
    second.close()
    assert before == (logger.level, logger.propagate, list(logger.handlers))


def test_settings_that_cannot_be_had_leave_the_log_as_it_is(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, opened: list[Logging]
) -> None:
    opened.append(configure())
    with pytest.raises(FileNotFoundError):
        reconfigure(opened[0], log_file=str(tmp_path / "no" / "log"))
    logger.info("still here")
    assert capsys.readouterr().err.endswith("still here\n")


# ------------------------------------------------------------------------------------ the form


def test_lines_can_do_without_their_time(
    capsys: pytest.CaptureFixture[str], opened: list[Logging]
) -> None:
    opened.append(configure(logtime=False))
    logger.info("said")
    assert re.fullmatch(r"\[\d+\] \[INF\] said\n", capsys.readouterr().err)


def test_lines_can_have_the_time_of_greenwich(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "2001/09/09 01:46:40.000000" == stamp(1_000_000_000, utc=True)
    record = logging.LogRecord("broker", logging.INFO, __file__, 1, "x", None, None)
    record.created = 1_000_000_000
    assert "2001/09/09 01:46:40" in NatsFormatter(utc=True).format(record)


# -------------------------------------------------------------------------------------- syslog


def test_syslog_gets_the_text_and_the_programs_name(tmp_path: Path, opened: list[Logging]) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslog:
        syslog.settimeout(10)
        syslog.bind(str(tmp_path / "log"))
        opened.append(configure(syslog=str(tmp_path / "log")))
        logger.warning("careful")
        assert re.fullmatch(rb"<12>reactor-broker\[\d+\]: careful\0", syslog.recv(1000))


def test_syslog_may_be_elsewhere(opened: list[Logging]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as syslog:
        syslog.settimeout(10)
        syslog.bind(("127.0.0.1", 0))
        opened.append(configure(syslog=f"udp://127.0.0.1:{syslog.getsockname()[1]}"))
        logger.info("hello")
        assert syslog.recv(1000).endswith(b"]: hello\0")


@pytest.mark.parametrize("address", ["http://127.0.0.1:514", "udp://", "udp://host:name"])
def test_an_address_that_is_none_of_a_syslog_is_an_error_of_the_caller(address: str) -> None:
    with pytest.raises(ValueError, match="is no address of a syslog"):
        configure(syslog=address)


def test_a_syslog_that_is_not_there_is_an_error_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        configure(syslog=str(tmp_path / "log"))
