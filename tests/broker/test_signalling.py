"""Signals, both ways: what they make a program do, and whom ``--signal`` sends them to."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.signalling import SignalError, install, running, send
from reactor.testing import VirtualReactor, make_reactor

Sent = list[tuple[int, int]]


def sent(command: str, target: str | None = None, processes: tuple[int, ...] = ()) -> Sent:
    calls: Sent = []
    send(command, target, lambda: list(processes), lambda pid, number: calls.append((pid, number)))
    return calls


def refusal(command: str, target: str | None = None, processes: tuple[int, ...] = ()) -> str:
    with pytest.raises(SignalError) as caught:
        sent(command, target, processes)
    return str(caught.value)


# ------------------------------------------------------------------------------------ sending


@pytest.mark.parametrize(
    ("command", "number"),
    [
        ("stop", signal.SIGKILL),
        ("quit", signal.SIGINT),
        ("term", signal.SIGTERM),
        ("reopen", signal.SIGUSR1),
        ("reload", signal.SIGHUP),
        ("ldm", signal.SIGUSR2),
    ],
)
def test_a_command_is_nats_servers_signal(command: str, number: signal.Signals) -> None:
    assert [(12, number)] == sent(command, "12")


def test_a_command_that_does_not_exist_is_refused_with_those_that_do() -> None:
    text = refusal("restart", "12")
    assert text.startswith('unknown signal "restart"; choose from ')
    assert "reload" in text


def test_the_only_broker_that_runs_needs_no_name() -> None:
    assert [(12, signal.SIGHUP)] == sent("reload", None, (12,))


def test_with_several_brokers_one_has_to_be_named() -> None:
    expected = "multiple reactor-broker processes running:\n12\n13"
    assert expected == refusal("reload", None, (12, 13))


def test_with_no_broker_there_is_nobody_to_tell() -> None:
    assert "no reactor-broker processes running" == refusal("reload")
    assert "no reactor-broker processes running with an id like 7*" == refusal("ldm", "7*", (12,))


def test_a_star_means_all_that_begin_like_it() -> None:
    three = (12, 125, 21)
    assert [12, 125] == [pid for pid, _ in sent("ldm", "12*", three)]
    assert [12, 125, 21] == [pid for pid, _ in sent("ldm", "*", three)]


def test_a_file_may_name_the_process(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.write_text("12\n")
    assert [(12, signal.SIGINT)] == sent("quit", str(path))


@pytest.mark.parametrize("target", ["nobody", "-1", "0", "1-2", "٣", "12**", "1.5"])
def test_what_is_no_process_id_is_never_signalled(target: str) -> None:
    assert f"invalid pid: {target}" == refusal("stop", target, (12,))


def test_a_file_without_an_id_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.write_text("\x00\x01")
    assert refusal("stop", str(path)).startswith("invalid pid: ")


def test_a_process_that_does_not_exist_is_told_in_nats_servers_words() -> None:
    def kill(pid: int, number: int) -> None:
        raise ProcessLookupError(3, "No such process")

    with pytest.raises(SignalError) as caught:
        send("ldm", "99999", list, kill)
    assert 'signal "ldm" 99999: no such process' == str(caught.value)


def test_one_that_cannot_be_signalled_does_not_spare_the_others() -> None:
    reached: list[int] = []

    def kill(pid: int, number: int) -> None:
        if pid == 12:
            raise PermissionError(1, "Operation not permitted")
        reached.append(pid)

    with pytest.raises(SignalError, match=r'^signal "ldm" 12: operation not permitted$'):
        send("ldm", "*", lambda: [11, 12, 13], kill)
    assert [11, 13] == reached


def test_an_id_beyond_what_the_system_has_is_a_refusal_too() -> None:
    with pytest.raises(SignalError, match="99999999999999999999"):
        send("ldm", "99999999999999999999", list)


@pytest.mark.parametrize(
    ("line", "is_one"),
    [
        (["/usr/bin/python3", "-m", "broker", "-p", "-1"], True),
        (["python3.11", "-W", "error", "-m", "broker"], True),
        (["/opt/bin/python", "/opt/bin/reactor-broker", "-p", "1"], True),
        (["reactor-broker"], True),
        (["/usr/bin/python3", "-m", "pytest", "broker"], False),
        (["vim", "-m", "broker"], False),
        (["/usr/bin/python3", "script.py", "-m", "broker"], False),
        (["grep", "reactor-broker"], False),
        (["python3"], False),
        ([], False),
    ],
)
def test_a_broker_is_known_by_its_command_line(
    tmp_path: Path, line: list[str], is_one: bool
) -> None:
    for pid, words in ((12, line), (7, ["init"]), (os.getpid(), ["reactor-broker"])):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "cmdline").write_bytes(b"".join(w.encode() + b"\0" for w in words))
    (tmp_path / "version").touch()
    (tmp_path / "99").mkdir()  # it ended while we looked
    assert ([12] if is_one else []) == running(str(tmp_path))


def test_where_the_system_does_not_tell_an_id_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(SignalError, match=r"^unable to resolve pid, try providing one$"):
        running(str(tmp_path / "no"))


# ---------------------------------------------------------------------------------- receiving


class Diary:
    """A program that notes what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def stop(self) -> None:
        self.told.append("stop")

    def terminate(self) -> None:
        self.told.append("terminate")

    def reload(self) -> None:
        self.told.append("reload")

    def reopen(self) -> None:
        self.told.append("reopen")

    def lame_duck(self) -> None:
        self.told.append("lame duck")


@pytest.fixture
def reactor() -> Iterator[VirtualReactor]:
    with make_reactor() as reactor:
        yield reactor


@pytest.mark.parametrize(
    ("number", "name", "told"),
    [
        (signal.SIGINT, "interrupt", "stop"),
        (signal.SIGQUIT, "quit", "stop"),
        (signal.SIGTERM, "terminated", "terminate"),
        (signal.SIGHUP, "hangup", "reload"),
        (signal.SIGUSR1, "user defined signal 1", "reopen"),
        (signal.SIGUSR2, "user defined signal 2", "lame duck"),
    ],
)
def test_a_signal_is_logged_in_nats_servers_words_and_obeyed(
    reactor: VirtualReactor,
    caplog: pytest.LogCaptureFixture,
    number: signal.Signals,
    name: str,
    told: str,
) -> None:
    caplog.set_level(logging.INFO, "broker")
    diary = Diary()
    install(reactor, diary)
    signal.raise_signal(number)
    reactor.settle()
    assert [told] == diary.told
    assert [f'Trapped "{name}" signal'] == [record.getMessage() for record in caplog.records]


def test_signals_mean_what_they_did_before_when_the_reactor_is_closed() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGUSR1)]
    with make_reactor() as reactor:
        install(reactor, Diary())
        assert before != [signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGUSR1)]
    assert before == [signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGUSR1)]
