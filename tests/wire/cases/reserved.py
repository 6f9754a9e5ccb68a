"""Subjects and groups that servers keep for themselves: what a client may not do with them, and
what it may.
"""

from __future__ import annotations

from tests.wire.case import Case, talk
from tests.wire.cases.subjects import LOOSE

_DENIED = b"-ERR 'Permissions Violation for "


def _publish(name: str, subject: bytes) -> Case:
    return talk(
        name,
        LOOSE + b"SUB > 1\r\nPUB " + subject + b" 1\r\nx\r\nPING\r\n",
        _DENIED + b'Publish to "' + subject + b"\"'\r\nPONG\r\n",
    )


def _reply(name: str, subject: bytes) -> Case:
    return talk(
        name,
        LOOSE + b"SUB > 1\r\nPUB a " + subject + b" 1\r\nx\r\nPING\r\n",
        _DENIED + b'Publish with Reply of "' + subject + b"\"'\r\nPONG\r\n",
    )


def _allowed(name: str, subject: bytes) -> Case:
    return talk(
        name,
        LOOSE + b"SUB " + subject + b" 1\r\nPUB " + subject + b" 1\r\nx\r\nPING\r\n",
        b"MSG " + subject + b" 1 1\r\nx\r\nPONG\r\n",
    )


CASES: tuple[Case, ...] = (
    _publish("a client may not publish to _GR_", b"_GR_.aaa.bbb.ccc.ddd"),
    _publish("a client may not publish to $NRG", b"$NRG.x"),
    _reply("a client may not have a reply of $JS.ACK", b"$JS.ACK.x"),
    _reply("a client may not have a reply of _R_", b"_R_.x"),
    _reply("a client may not have a reply of _GR_", b"_GR_.x.y.z"),
    _allowed("a client may publish to $SYS of its own account", b"$SYS.foo"),
    _allowed("a client may use _INBOX", b"_INBOX.a.b"),
    _allowed("a client may use $KV", b"$KV.bucket.key"),
    _allowed("a client may publish to _R_", b"_R_.x"),
    _allowed("a client may publish to a short _GR_", b"_GR_"),
    _allowed("a client may publish to $JS.ACK", b"$JS.ACK.x"),
    talk(
        "a client may not join the group _sys_",
        LOOSE + b"SUB a _sys_ 1\r\nPUB a 1\r\nx\r\nPING\r\n",
        _DENIED + b'Subscription to "a" using queue "_sys_"\'\r\nPONG\r\n',
    ),
    talk(
        "a client may subscribe to $NRG",
        LOOSE + b"SUB $NRG.> 1\r\nPING\r\n",
        b"PONG\r\n",
    ),
    talk(
        "a client may not answer with headers to a reserved reply either",
        b'CONNECT {"verbose":false,"pedantic":false,"headers":true}\r\nSUB > 1\r\n'
        b"HPUB a _R_.x 12 12\r\nNATS/1.0\r\n\r\n\r\nPING\r\n",
        _DENIED + b'Publish with Reply of "_R_.x"\'\r\nPONG\r\n',
    ),
    talk(
        "verbose answers a denied publish with the error alone",
        b'CONNECT {"verbose":true,"pedantic":false}\r\nPUB $NRG.x 1\r\nx\r\nPING\r\n',
        b"+OK\r\n" + _DENIED + b'Publish to "$NRG.x"\'\r\nPONG\r\n',
    ),
    talk(
        "verbose answers a denied group with the error alone",
        b'CONNECT {"verbose":true,"pedantic":false}\r\nSUB a _sys_ 1\r\nPING\r\n',
        b"+OK\r\n" + _DENIED + b'Subscription to "a" using queue "_sys_"\'\r\nPONG\r\n',
    ),
    talk(
        "a sid that was denied its group is free",
        LOOSE + b"SUB a _sys_ 1\r\nSUB a 1\r\nPUB a 1\r\nx\r\nPING\r\n",
        _DENIED + b'Subscription to "a" using queue "_sys_"\'\r\nMSG a 1 1\r\nx\r\nPONG\r\n',
    ),
)
