"""Protocol traces."""

from __future__ import annotations

import pytest

from broker.wiretap import Wiretap


def lines(data: bytes, *, limit: int = 0, step: int | None = None) -> list[str]:
    said: list[str] = []
    tap = Wiretap("<<-", said.append, limit)
    for start in range(0, len(data), step or len(data)):
        tap.feed(data[start : start + (step or len(data))])
    return said


WIRE = (
    b'CONNECT {"verbose":false}\r\nPING\r\nSUB foo q 1\r\npub foo  rep 5\r\nhe\r\no\r\n'
    b"HPUB foo 12 12\r\nNATS/1.0\r\n\r\n\r\nPUB foo 0\r\n\r\n+OK\r\n-ERR 'Stale Connection'\r\n"
)

TRACED = [
    '<<- [CONNECT {"verbose":false}]',
    "<<- [PING]",
    "<<- [SUB foo q 1]",
    "<<- [pub foo  rep 5]",
    '<<- MSG_PAYLOAD: ["he\\r\\no"]',
    "<<- [HPUB foo 12 12]",
    '<<- MSG_PAYLOAD: ["NATS/1.0\\r\\n\\r\\n"]',
    "<<- [PUB foo 0]",
    '<<- MSG_PAYLOAD: [""]',
    "<<- [OK]",
    "<<- [-ERR Stale Connection]",
]


@pytest.mark.parametrize("step", [None, 1, 7])
def test_operations_are_reported_however_they_are_cut(step: int | None) -> None:
    assert TRACED == lines(WIRE, step=step)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"x\x01\xff\xc3\xa9", '"x\\x01\\xff\u00e9"'),
        (b'a"b\\c\td', '"a\\"b\\\\c\\td"'),
        ("\u2028".encode(), '"\\u2028"'),
        ("\U000e0001".encode(), '"\\U000e0001"'),
    ],
)
def test_payloads_are_quoted_as_go_quotes_strings(payload: bytes, expected: str) -> None:
    wire = b"PUB s %d\r\n%s\r\n" % (len(payload), payload)
    assert f"<<- MSG_PAYLOAD: [{expected}]" == lines(wire)[1]


@pytest.mark.parametrize(("payload", "expected"), [(b"12345", '"1234..."'), (b"1234", '"1234"')])
def test_long_payloads_are_cut(payload: bytes, expected: str) -> None:
    wire = b"PUB s %d\r\n%s\r\n" % (len(payload), payload)
    assert f"<<- MSG_PAYLOAD: [{expected}]" == lines(wire, limit=4)[1]


@pytest.mark.parametrize("name", ["pass", "auth_token", "jwt", "sig"])
def test_secrets_do_not_reach_the_log(name: str) -> None:
    (line,) = lines(b'CONNECT {"user":"u","%s" : "a\\"b","x":1}\r\n' % name.encode())
    assert f'<<- [CONNECT {{"user":"u","{name}" : "[REDACTED]","x":1}}]' == line


def test_info_is_not_reported() -> None:
    assert ["<<- [PONG]"] == lines(b"INFO {}\r\nPONG\r\n")


def test_bytes_that_make_no_sense_are_reported_as_they_are() -> None:
    assert ["<<- []", "<<- [PUB foo x]", "<<- [\\xff]"] == lines(b"\r\nPUB foo x\r\n\xff\r\n")
