"""SUB and UNSUB: their words, equal sids, limits on how many messages a subscription takes."""

from __future__ import annotations

from tests.wire.case import QUIET, TIGHT, Case, Freedom, fatal, several, talk

_TWO = b"PUB a 1\r\nx\r\nPUB a 1\r\ny\r\n"
_THREE = _TWO + b"PUB a 1\r\nz\r\n"
_TO_ALL = "subscriptions of one connection are served in no promised order"


def _silent(name: str, line: bytes) -> Case:
    return fatal(name, QUIET + line + b"\r\nPING\r\n", b"")


WORDS: tuple[Case, ...] = (
    _silent("SUB with one word closes in silence", b"SUB a"),
    _silent("SUB with blanks only closes in silence", b"SUB  "),
    _silent("SUB with four words closes in silence", b"SUB a b c d"),
    _silent("UNSUB with blanks only closes in silence", b"UNSUB  "),
    _silent("UNSUB with three words closes in silence", b"UNSUB 1 2 3"),
    talk(
        "a sid need not be a number",
        QUIET + b"SUB a my-sid.*\r\nPUB a 1\r\nx\r\nUNSUB my-sid.*\r\nPUB a 1\r\ny\r\nPING\r\n",
        b"MSG a my-sid.* 1\r\nx\r\nPONG\r\n",
    ),
    talk(
        "sids of different case are different",
        QUIET + b"SUB a s\r\nSUB b S\r\nUNSUB S\r\nPUB a 1\r\nx\r\nPUB b 1\r\ny\r\nPING\r\n",
        b"MSG a s 1\r\nx\r\nPONG\r\n",
    ),
    talk(
        "sids 1 and 01 are different",
        QUIET + b"SUB a 1\r\nSUB b 01\r\nUNSUB 01\r\nPUB a 1\r\nx\r\nPUB b 1\r\ny\r\nPING\r\n",
        b"MSG a 1 1\r\nx\r\nPONG\r\n",
    ),
    talk(
        "a sid that is taken keeps its first subscription",
        QUIET + b"SUB a 1\r\nSUB b 1\r\nPUB b 1\r\nx\r\nPUB a 1\r\ny\r\nPING\r\n",
        b"MSG a 1 1\r\ny\r\nPONG\r\n",
    ),
    talk(
        "a sid that was given up may be taken again",
        QUIET + b"SUB a 1\r\nUNSUB 1\r\nSUB b 1\r\nPUB a 1\r\nx\r\nPUB b 1\r\ny\r\nPING\r\n",
        b"MSG b 1 1\r\ny\r\nPONG\r\n",
    ),
    talk(
        "two subscriptions of one connection get a copy each",
        QUIET + b"SUB a 1\r\nSUB a 2\r\nPUB a 1\r\nx\r\nPING\r\n",
        b"MSG a 1 1\r\nx\r\nMSG a 2 1\r\nx\r\nPONG\r\n",
        freedom=Freedom.ORDER,
        reason=_TO_ALL,
    ),
    talk(
        "a subscription hears what comes after it only",
        QUIET + b"PUB a 1\r\nx\r\nSUB a 1\r\nPUB a 1\r\ny\r\nPING\r\n",
        b"MSG a 1 1\r\ny\r\nPONG\r\n",
    ),
    talk(
        "publishing goes on after an UNSUB of one of two",
        QUIET + b"SUB a 1\r\nSUB a 2\r\nUNSUB 1\r\nPUB a 1\r\nx\r\nPING\r\n",
        b"MSG a 2 1\r\nx\r\nPONG\r\n",
    ),
    talk("UNSUB of an unknown sid is ignored", QUIET + b"UNSUB 9\r\nPING\r\n", b"PONG\r\n"),
    talk(
        "UNSUB of an unknown sid with a limit is ignored",
        QUIET + b"UNSUB 9 1\r\nSUB a 9\r\n" + _TWO + b"PING\r\n",
        b"MSG a 9 1\r\nx\r\nMSG a 9 1\r\ny\r\nPONG\r\n",
    ),
    talk(
        "UNSUB twice is as once",
        QUIET + b"SUB a 1\r\nUNSUB 1\r\nUNSUB 1\r\nPUB a 1\r\nx\r\nPING\r\n",
        b"PONG\r\n",
    ),
    several(
        "a sid belongs to its connection",
        ("a", QUIET + b"SUB a 1\r\nPING\r\n"),
        ("b", QUIET + b"SUB a 1\r\nUNSUB 1\r\nPING\r\nPUB a 1\r\nx\r\nPING\r\n"),
        a=b"PONG\r\nMSG a 1 1\r\nx\r\n",
        b=b"PONG\r\nPONG\r\n",
    ),
)


def _limit(name: str, limit: bytes, reply: bytes) -> Case:
    return talk(
        name, QUIET + b"SUB a 1\r\nUNSUB 1 " + limit + b"\r\n" + _THREE + b"PING\r\n", reply
    )


_FIRST = b"MSG a 1 1\r\nx\r\n"
_SECOND = b"MSG a 1 1\r\ny\r\n"
_THIRD = b"MSG a 1 1\r\nz\r\n"

MAXIMUM: tuple[Case, ...] = (
    _limit("UNSUB with a limit of 1 takes one message", b"1", _FIRST + b"PONG\r\n"),
    _limit("UNSUB with a limit of 2 takes two messages", b"2", _FIRST + _SECOND + b"PONG\r\n"),
    _limit(
        "a limit that is not reached changes nothing",
        b"4",
        _FIRST + _SECOND + _THIRD + b"PONG\r\n",
    ),
    _limit("a limit may have leading zeroes", b"002", _FIRST + _SECOND + b"PONG\r\n"),
    _limit("a limit of 0 is no limit: an UNSUB", b"0", b"PONG\r\n"),
    _limit("a negative limit is an UNSUB", b"-1", b"PONG\r\n"),
    _limit("a limit of letters is an UNSUB", b"abc", b"PONG\r\n"),
    _limit("a limit with a plus is an UNSUB", b"+2", b"PONG\r\n"),
    _limit("a fraction of a limit is an UNSUB", b"1.5", b"PONG\r\n"),
    _limit("a limit of 10 digits is an UNSUB", b"1000000000", b"PONG\r\n"),
    talk(
        "a limit counts from the SUB on",
        QUIET + b"SUB a 1\r\nPUB a 1\r\nx\r\nUNSUB 1 2\r\nPUB a 1\r\ny\r\nPUB a 1\r\nz\r\nPING\r\n",
        _FIRST + _SECOND + b"PONG\r\n",
    ),
    talk(
        "a limit that has been reached ends the subscription now",
        QUIET + b"SUB a 1\r\n" + _TWO + b"UNSUB 1 2\r\nPUB a 1\r\nz\r\nPING\r\n",
        _FIRST + _SECOND + b"PONG\r\n",
    ),
    talk(
        "a limit that has been passed ends the subscription now",
        QUIET + b"SUB a 1\r\n" + _TWO + b"UNSUB 1 1\r\nPUB a 1\r\nz\r\nPING\r\n",
        _FIRST + _SECOND + b"PONG\r\n",
    ),
    talk(
        "a limit may be raised",
        QUIET + b"SUB a 1\r\nUNSUB 1 1\r\nUNSUB 1 3\r\n" + _THREE + b"PUB a 1\r\nw\r\nPING\r\n",
        _FIRST + _SECOND + _THIRD + b"PONG\r\n",
    ),
    talk(
        "a limit may be lowered",
        QUIET + b"SUB a 1\r\nUNSUB 1 3\r\nUNSUB 1 1\r\n" + _THREE + b"PING\r\n",
        _FIRST + b"PONG\r\n",
    ),
    talk(
        "an UNSUB without a limit ends a subscription that had one",
        QUIET + b"SUB a 1\r\nUNSUB 1 3\r\nPUB a 1\r\nx\r\nUNSUB 1\r\nPUB a 1\r\ny\r\nPING\r\n",
        _FIRST + b"PONG\r\n",
    ),
    talk(
        "a sid may be taken again when its limit was reached",
        QUIET + b"SUB a 1\r\nUNSUB 1 1\r\nPUB a 1\r\nx\r\nSUB a 1\r\nPUB a 1\r\ny\r\nPING\r\n",
        _FIRST + _SECOND + b"PONG\r\n",
    ),
    talk(
        "limits count each subscription for itself",
        QUIET + b"SUB a 1\r\nSUB * 2\r\nUNSUB 1 1\r\nUNSUB 2 2\r\n" + _THREE + b"PING\r\n",
        b"MSG a 1 1\r\nx\r\nMSG a 2 1\r\nx\r\nMSG a 2 1\r\ny\r\nPONG\r\n",
        freedom=Freedom.ORDER,
        reason=_TO_ALL,
    ),
    talk(
        "a limit counts over all subjects of a wildcard",
        QUIET
        + b"SUB a.* 1\r\nUNSUB 1 2\r\nPUB a.b 1\r\nx\r\nPUB a.c 1\r\ny\r\n"
        + b"PUB a.d 1\r\nz\r\nPING\r\n",
        b"MSG a.b 1 1\r\nx\r\nMSG a.c 1 1\r\ny\r\nPONG\r\n",
    ),
    talk(
        "a queue member with a limit takes so many messages",
        QUIET + b"SUB a q 1\r\nUNSUB 1 2\r\n" + _THREE + b"PING\r\n",
        _FIRST + _SECOND + b"PONG\r\n",
    ),
    several(
        "a limit counts messages of other connections",
        ("a", QUIET + b"SUB a 1\r\nUNSUB 1 2\r\nPING\r\n"),
        ("b", QUIET + b"PUB a 1\r\nx\r\nPING\r\n"),
        ("c", QUIET + b"PUB a 1\r\ny\r\nPUB a 1\r\nz\r\nPING\r\n"),
        a=b"PONG\r\n" + _FIRST + _SECOND,
        b=b"PONG\r\n",
        c=b"PONG\r\n",
    ),
    talk(
        "a connection may have as many subscriptions as max_subscriptions, and no more",
        QUIET + b"SUB a 1\r\nSUB b 2\r\nSUB c 3\r\nPUB c 1\r\nx\r\nPUB b 1\r\ny\r\nPING\r\n",
        b"-ERR 'maximum subscriptions exceeded'\r\nMSG b 2 1\r\ny\r\nPONG\r\n",
        server=TIGHT,
    ),
    talk(
        "an UNSUB makes room for another subscription",
        QUIET + b"SUB a 1\r\nSUB b 2\r\nUNSUB 1\r\nSUB c 3\r\nPUB c 1\r\nx\r\nPING\r\n",
        b"MSG c 3 1\r\nx\r\nPONG\r\n",
        server=TIGHT,
    ),
)

CASES: tuple[Case, ...] = WORDS + MAXIMUM
