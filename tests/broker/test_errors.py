"""Every error as a client reads it and as the monitor shows it."""

from __future__ import annotations

import pytest

from broker import errors
from broker.codec import err_line
from broker.errors import Closed, ProtocolError, WireError

# (error, the line a client reads, the reason that /connz shows or None where the connection lives)
TABLE = [
    (errors.UNKNOWN_OPERATION, b"-ERR 'Unknown Protocol Operation'\r\n", "Protocol Violation"),
    (
        errors.AUTHORIZATION_VIOLATION,
        b"-ERR 'Authorization Violation'\r\n",
        "Authentication Failure",
    ),
    (
        errors.AUTHENTICATION_TIMEOUT,
        b"-ERR 'Authentication Timeout'\r\n",
        "Authentication Timeout",
    ),
    (
        errors.PAYLOAD_EXCEEDED,
        b"-ERR 'Maximum Payload Violation'\r\n",
        "Maximum Message Payload Exceeded",
    ),
    (
        errors.CONTROL_LINE_EXCEEDED,
        b"-ERR 'maximum control line exceeded'\r\n",
        "Maximum Control Line Exceeded",
    ),
    (
        errors.CONNECTIONS_EXCEEDED,
        b"-ERR 'maximum connections exceeded'\r\n",
        "Maximum Connections Exceeded",
    ),
    (
        errors.ACCOUNT_CONNECTIONS_EXCEEDED,
        b"-ERR 'maximum account active connections exceeded'\r\n",
        "Maximum Account Connections Exceeded",
    ),
    (
        errors.BAD_CLIENT_PROTOCOL,
        b"-ERR 'invalid client protocol'\r\n",
        "Bad Client Protocol Version",
    ),
    (
        errors.NO_RESPONDERS_NEEDS_HEADERS,
        b"-ERR 'no responders requires headers support'\r\n",
        "No Responders Requires Headers",
    ),
    (errors.STALE_CONNECTION, b"-ERR 'Stale Connection'\r\n", "Stale Connection"),
    (errors.INVALID_SUBJECT, b"-ERR 'Invalid Subject'\r\n", None),
    (errors.INVALID_PUBLISH_SUBJECT, b"-ERR 'Invalid Publish Subject'\r\n", None),
    (errors.SUBSCRIPTIONS_EXCEEDED, b"-ERR 'maximum subscriptions exceeded'\r\n", None),
    (errors.BAD_ARGUMENTS, b"", "Protocol Violation"),
    (errors.PEER_ERROR, b"", "Parse Error"),
    (
        errors.publish_violation(b"a.b"),
        b"-ERR 'Permissions Violation for Publish to \"a.b\"'\r\n",
        None,
    ),
    (
        errors.reply_violation(b"_R_.x"),
        b"-ERR 'Permissions Violation for Publish with Reply of \"_R_.x\"'\r\n",
        None,
    ),
    (
        errors.subscription_violation(b"a"),
        b"-ERR 'Permissions Violation for Subscription to \"a\"'\r\n",
        None,
    ),
    (
        errors.subscription_violation(b"a", b"_sys_"),
        b'-ERR \'Permissions Violation for Subscription to "a" using queue "_sys_"\'\r\n',
        None,
    ),
]


@pytest.mark.parametrize(("error", "line", "reason"), TABLE)
def test_every_error_reads_on_the_wire_and_on_connz_as_nats_server_writes_it(
    error: WireError, line: bytes, reason: str | None
) -> None:
    assert line == err_line(error)
    assert reason == (error.closed.value if error.closed else None)
    assert (reason is not None) == error.fatal


def test_no_two_reasons_for_a_close_look_the_same() -> None:
    assert len(Closed) == len({reason.value for reason in Closed})


def test_a_protocol_error_without_a_detail_shows_the_text_of_its_error() -> None:
    assert "Stale Connection" == str(ProtocolError(errors.STALE_CONNECTION))
    assert "closed without a word" == str(ProtocolError(errors.BAD_ARGUMENTS))


def test_a_protocol_error_shows_its_detail_which_the_peer_never_sees() -> None:
    failure = ProtocolError(errors.BAD_ARGUMENTS, "SUB takes subject [queue] sid")
    assert "SUB takes subject [queue] sid" == str(failure)
    assert b"" == err_line(failure.error)


@pytest.mark.parametrize(
    ("subject", "quoted"),
    [
        (b"a.b", b"a.b"),
        (b"\x0b\x00\r\x7f", rb"\v\x00\r\x7f"),
        (b'say "\\', rb"say \"\\"),
        (b"\xff", rb"\xff"),
        ("课.é".encode(), "课.é".encode()),
        ("\u00a0\u200b\U000e0001".encode(), rb"\u00a0\u200b\U000e0001"),
    ],
)
def test_subjects_are_quoted_in_errors_as_go_quotes_them(subject: bytes, quoted: bytes) -> None:
    text = errors.publish_violation(subject).text
    assert b'Permissions Violation for Publish to "' + quoted + b'"' == text


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (errors.publish_violation(b"no"), 'Publish Violation - Subject "no"'),
        (errors.reply_violation(b"no"), 'Publish Violation - Reply "no"'),
        (errors.subscription_violation(b"x"), 'Subscription Violation - Subject "x", SID 7'),
        (
            errors.subscription_violation(b"q.x", b"other"),
            'Subscription Violation - Subject "q.x", Queue: "other", SID 7',
        ),
        (
            errors.too_many_tokens(b"a.b.c"),
            'Subscription Violation Too Many Tokens - Subject "a.b.c", SID 7',
        ),
        (errors.SUBSCRIPTIONS_EXCEEDED, "maximum subscriptions exceeded"),
        (errors.INVALID_SUBJECT, ""),
        (errors.BAD_ARGUMENTS, ""),
    ],
)
def test_the_log_tells_of_a_violation_in_words_of_its_own(error: WireError, line: str) -> None:
    sid = b"7" if "Subscription" in line else b""
    assert line == errors.complaint(error, sid)


def test_a_subscription_of_too_many_tokens_is_refused_by_name() -> None:
    text = b'Permissions Violation for Subscription to "a.b", too many tokens'
    assert WireError(text, None) == errors.too_many_tokens(b"a.b")
