"""Queue groups: one member of each group gets a message."""

from __future__ import annotations

from tests.wire.case import QUIET, Case, Freedom, several, talk

_ONE_OF = "which member of a group gets a message is chosen at random"
_TO_ALL = "subscriptions of one connection are served in no promised order"

CASES: tuple[Case, ...] = (
    talk(
        "a group of one gets every message",
        QUIET + b"SUB a q 1\r\nPUB a 1\r\nx\r\nPUB a 1\r\ny\r\nPING\r\n",
        b"MSG a 1 1\r\nx\r\nMSG a 1 1\r\ny\r\nPONG\r\n",
    ),
    talk(
        "a group of two gets each message once",
        QUIET + b"SUB a q 1\r\nSUB a q 2\r\nPUB a 1\r\nx\r\nPUB a 1\r\ny\r\nPING\r\n",
        b"MSG a 1 1\r\nx\r\nMSG a 2 1\r\ny\r\nPONG\r\n",
        freedom=Freedom.PICK,
        reason=_ONE_OF,
    ),
    talk(
        "a group and a plain subscription get a copy each",
        QUIET + b"SUB a q 1\r\nSUB a 2\r\nPUB a 1\r\nx\r\nPING\r\n",
        b"MSG a 1 1\r\nx\r\nMSG a 2 1\r\nx\r\nPONG\r\n",
        freedom=Freedom.ORDER,
        reason=_TO_ALL,
    ),
    talk(
        "two groups get a copy each",
        QUIET + b"SUB a p 1\r\nSUB a q 2\r\nPUB a 1\r\nx\r\nPING\r\n",
        b"MSG a 1 1\r\nx\r\nMSG a 2 1\r\nx\r\nPONG\r\n",
        freedom=Freedom.ORDER,
        reason=_TO_ALL,
    ),
    talk(
        "two members and a plain subscription get two copies",
        QUIET + b"SUB a q 1\r\nSUB a q 2\r\nSUB a 3\r\nPUB a 1\r\nx\r\nPING\r\n",
        b"MSG a 1 1\r\nx\r\nMSG a 3 1\r\nx\r\nPONG\r\n",
        freedom=Freedom.PICK,
        reason=_ONE_OF,
    ),
    talk(
        "a group is one group over different subjects",
        QUIET + b"SUB a.x q 1\r\nSUB a.* q 2\r\nSUB > q 3\r\nPUB a.x 1\r\nx\r\nPING\r\n",
        b"MSG a.x 1 1\r\nx\r\nPONG\r\n",
        freedom=Freedom.PICK,
        reason=_ONE_OF,
    ),
    talk(
        "a member whose subject does not match gets nothing",
        QUIET + b"SUB a.x q 1\r\nSUB a.y q 2\r\nPUB a.x 1\r\nx\r\nPUB a.x 1\r\ny\r\nPING\r\n",
        b"MSG a.x 1 1\r\nx\r\nMSG a.x 1 1\r\ny\r\nPONG\r\n",
    ),
    talk(
        "groups of different case are different",
        QUIET + b"SUB a Q 1\r\nSUB a q 2\r\nPUB a 1\r\nx\r\nPING\r\n",
        b"MSG a 1 1\r\nx\r\nMSG a 2 1\r\nx\r\nPONG\r\n",
        freedom=Freedom.ORDER,
        reason=_TO_ALL,
    ),
    talk(
        "a group's name may be of any letters",
        QUIET + b"SUB a q.*.>.. 1\r\nPUB a 1\r\nx\r\nPING\r\n",
        b"MSG a 1 1\r\nx\r\nPONG\r\n",
    ),
    talk(
        "a member that leaves is not chosen again",
        QUIET
        + b"SUB a q 1\r\nSUB a q 2\r\nUNSUB 1\r\nPUB a 1\r\nx\r\nPUB a 1\r\ny\r\nPUB a 1\r\nz\r\n"
        + b"PING\r\n",
        b"MSG a 2 1\r\nx\r\nMSG a 2 1\r\ny\r\nMSG a 2 1\r\nz\r\nPONG\r\n",
    ),
    talk(
        "a member that has reached its limit is not chosen again",
        QUIET
        + b"SUB a q 1\r\nSUB a q 2\r\nUNSUB 1 1\r\nUNSUB 2 1\r\n"
        + b"PUB a 1\r\nx\r\nPUB a 1\r\ny\r\nPUB a 1\r\nz\r\nPING\r\n",
        b"MSG a 1 1\r\nx\r\nMSG a 2 1\r\ny\r\nPONG\r\n",
        freedom=Freedom.PICK,
        reason=_ONE_OF,
    ),
    several(
        "a group over connections gets each message once",
        ("a", QUIET + b"SUB job q 1\r\nPING\r\n"),
        ("b", QUIET + b"SUB job q 1\r\nPING\r\n"),
        ("c", QUIET + b"".join(b"PUB job 1\r\n%d\r\n" % n for n in range(10)) + b"PING\r\n"),
        a=b"PONG\r\n" + b"".join(b"MSG job 1 1\r\n%d\r\n" % n for n in range(10)),
        b=b"PONG\r\n",
        c=b"PONG\r\n",
        freedom=Freedom.PICK,
        reason=_ONE_OF,
    ),
    several(
        "a group whose last member is gone gets nothing",
        ("a", QUIET + b"SUB job q 1\r\nPING\r\nUNSUB 1\r\nPING\r\n"),
        ("b", QUIET + b"PUB job 1\r\nx\r\nPING\r\n"),
        a=b"PONG\r\nPONG\r\n",
        b=b"PONG\r\n",
    ),
    several(
        "the publisher's own member is one of the group",
        ("a", QUIET + b"SUB job q 1\r\nPING\r\n"),
        ("b", QUIET + b"SUB job q 1\r\nPUB job 1\r\nx\r\nPUB job 1\r\ny\r\nPING\r\n"),
        a=b"PONG\r\nMSG job 1 1\r\nx\r\nMSG job 1 1\r\ny\r\n",
        b=b"PONG\r\n",
        freedom=Freedom.PICK,
        reason=_ONE_OF,
    ),
    several(
        "without echo the publisher's own member is passed over",
        ("a", QUIET + b"SUB job q 1\r\nPING\r\n"),
        (
            "b",
            b'CONNECT {"verbose":false,"echo":false}\r\nSUB job q 1\r\n'
            + b"PUB job 1\r\nx\r\n" * 5
            + b"PING\r\n",
        ),
        a=b"PONG\r\n" + b"MSG job 1 1\r\nx\r\n" * 5,
        b=b"PONG\r\n",
    ),
    several(
        "a member without headers gets the payload alone",
        ("a", QUIET + b"SUB job q 1\r\nPING\r\n"),
        (
            "b",
            b'CONNECT {"verbose":false,"headers":true}\r\nHPUB job 12 13\r\nNATS/1.0\r\n\r\nx\r\n'
            b"PING\r\n",
        ),
        a=b"PONG\r\nMSG job 1 1\r\nx\r\n",
        b=b"PONG\r\n",
    ),
)
