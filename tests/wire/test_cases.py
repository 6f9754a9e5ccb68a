"""The cases as data: enough of them, each with a name of its own, and the harness that reads
them.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.wire.case import QUIET, Freedom, several, talk
from tests.wire.cases import ALL
from tests.wire.harness import Heard, expected, plain_info, settle, split_frames


def test_there_are_at_least_150_distinct_cases() -> None:
    assert len({case.script for case in ALL}) >= 150


def test_no_two_cases_have_one_name() -> None:
    assert [] == [name for name, count in Counter(case.name for case in ALL).items() if count > 1]


def test_no_two_cases_ask_the_same_of_the_same_server() -> None:
    scripts = Counter((case.server, case.script) for case in ALL)

    assert [] == [script for script, count in scripts.items() if count > 1]


def test_a_case_whose_step_nothing_ends_is_refused() -> None:
    with pytest.raises(ValueError, match="no PING, so nothing ends it"):
        several("wrong", ("a", QUIET), ("b", b"PING\r\n"), a=b"", b=b"PONG\r\n")


def test_a_case_that_forgets_a_connection_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\['b'\] only speak, or only hear"):
        several("wrong", ("a", b"PING\r\n"), ("b", b""), a=b"PONG\r\n")


def test_a_freedom_without_a_reason_is_refused() -> None:
    with pytest.raises(ValueError, match="a freedom needs a reason"):
        talk("wrong", QUIET, b"", freedom=Freedom.ORDER)


def test_frames_are_cut_at_lines_and_after_payloads() -> None:
    reply = b"+OK\r\nMSG a 1 4\r\n\r\nx\n\r\nHMSG a 1 12 12\r\nNATS/1.0\r\n\r\n\r\nPONG\r\n"

    assert (
        b"+OK\r\n",
        b"MSG a 1 4\r\n\r\nx\n\r\n",
        b"HMSG a 1 12 12\r\nNATS/1.0\r\n\r\n\r\n",
        b"PONG\r\n",
    ) == split_frames(reply)


def test_an_info_that_lacks_an_identity_field_differs_from_every_recording() -> None:
    frame = b'INFO {"proto":1,"server_id":"X","server_name":"X","version":"1"} \r\n'

    assert (
        b'INFO {"missing": ["host", "port", "client_id", "client_ip"], "proto": 1}\r\n'
        == plain_info(frame)
    )


def test_an_info_without_the_blank_before_its_line_end_differs_from_every_recording() -> None:
    frame = b'INFO {"proto":1}\r\n'

    assert frame == plain_info(frame)


def test_freedom_of_order_holds_within_a_run_of_messages_only() -> None:
    first = Heard(b"", (b"MSG b 1 0\r\n\r\n", b"MSG a 1 0\r\n\r\n", b"PONG\r\n"), closed=False)
    same = Heard(b"", (b"MSG a 1 0\r\n\r\n", b"MSG b 1 0\r\n\r\n", b"PONG\r\n"), closed=False)
    other = Heard(b"", (b"MSG a 1 0\r\n\r\n", b"PONG\r\n", b"MSG b 1 0\r\n\r\n"), closed=False)

    assert settle({"a": first}, Freedom.ORDER) == settle({"a": same}, Freedom.ORDER)
    assert settle({"a": first}, Freedom.ORDER) != settle({"a": other}, Freedom.ORDER)


def test_freedom_of_pick_does_not_forgive_a_copy_too_many() -> None:
    message = b"MSG a 1 0\r\n\r\n"
    once = {"a": Heard(b"", (message,), closed=False), "b": Heard(b"", (), closed=False)}
    other = {"a": Heard(b"", (), closed=False), "b": Heard(b"", (message,), closed=False)}
    twice = {"a": Heard(b"", (message,), closed=False), "b": Heard(b"", (message,), closed=False)}

    assert settle(once, Freedom.PICK) == settle(other, Freedom.PICK)
    assert settle(once, Freedom.PICK) != settle(twice, Freedom.PICK)


def test_a_case_expects_the_greeting_of_its_server() -> None:
    case = talk("quiet", QUIET, b"")

    assert {"a": Heard(case.server.greeting, (), closed=False)} == expected(case)
