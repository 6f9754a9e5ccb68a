"""Several connections: who hears whom, in which order, and what one's end means to the others."""

from __future__ import annotations

from tests.wire.case import CONNECTED, CROWDED, HEADERS, MODERN, QUIET, Case, several
from tests.wire.cases.lines import UNKNOWN

_HELLO = QUIET + b"PING\r\n"
_TOO_MANY = b"-ERR 'maximum connections exceeded'\r\n"

CASES: tuple[Case, ...] = (
    several(
        "a message goes from one connection to another",
        ("a", QUIET + b"SUB a 1\r\nPING\r\n"),
        ("b", QUIET + b"PUB a 5\r\nhello\r\nPING\r\n"),
        a=b"PONG\r\nMSG a 1 5\r\nhello\r\n",
        b=b"PONG\r\n",
    ),
    several(
        "a message goes to all who subscribe",
        ("a", QUIET + b"SUB a 1\r\nPING\r\n"),
        ("b", QUIET + b"SUB * 2\r\nPING\r\n"),
        ("c", QUIET + b"SUB > 3\r\nPING\r\n"),
        ("d", QUIET + b"SUB b 4\r\nPING\r\n"),
        ("e", QUIET + b"PUB a 1\r\nx\r\nPING\r\n"),
        a=b"PONG\r\nMSG a 1 1\r\nx\r\n",
        b=b"PONG\r\nMSG a 2 1\r\nx\r\n",
        c=b"PONG\r\nMSG a 3 1\r\nx\r\n",
        d=b"PONG\r\n",
        e=b"PONG\r\n",
    ),
    several(
        "messages of one publisher stay in order",
        ("a", QUIET + b"SUB a.> 1\r\nPING\r\n"),
        (
            "b",
            QUIET
            + b"".join(b"PUB a.%d 2\r\n%02d\r\n" % (n % 3, n) for n in range(50))
            + b"PING\r\n",
        ),
        a=b"PONG\r\n" + b"".join(b"MSG a.%d 1 2\r\n%02d\r\n" % (n % 3, n) for n in range(50)),
        b=b"PONG\r\n",
    ),
    several(
        "a request is answered",
        ("a", QUIET + b"SUB svc 1\r\nPING\r\n"),
        ("b", QUIET + b"SUB _INBOX.b.* 1\r\nPUB svc _INBOX.b.7 4\r\nwhat\r\nPING\r\n"),
        ("a", b"PUB _INBOX.b.7 4\r\nthat\r\nPING\r\n"),
        a=b"PONG\r\nMSG svc 1 _INBOX.b.7 4\r\nwhat\r\nPONG\r\n",
        b=b"PONG\r\nMSG _INBOX.b.7 1 4\r\nthat\r\n",
    ),
    several(
        "many requests are answered, each to its own inbox",
        ("a", QUIET + b"SUB svc 1\r\nPING\r\n"),
        ("b", QUIET + b"SUB _INBOX.b.* 1\r\nPUB svc _INBOX.b.1 0\r\n\r\nPING\r\n"),
        ("c", QUIET + b"SUB _INBOX.c.* 1\r\nPUB svc _INBOX.c.1 0\r\n\r\nPING\r\n"),
        (
            "a",
            b"PUB _INBOX.c.1 1\r\nc\r\nPUB _INBOX.b.1 1\r\nb\r\nPUB _INBOX.b.2 1\r\nB\r\nPING\r\n",
        ),
        a=b"PONG\r\nMSG svc 1 _INBOX.b.1 0\r\n\r\nMSG svc 1 _INBOX.c.1 0\r\n\r\nPONG\r\n",
        b=b"PONG\r\nMSG _INBOX.b.1 1 1\r\nb\r\nMSG _INBOX.b.2 1 1\r\nB\r\n",
        c=b"PONG\r\nMSG _INBOX.c.1 1 1\r\nc\r\n",
    ),
    several(
        "an UNSUB of one leaves the other's subscription alone",
        ("a", QUIET + b"SUB a 1\r\nPING\r\n"),
        ("b", QUIET + b"SUB a 1\r\nPING\r\n"),
        ("c", QUIET + b"PUB a 1\r\nx\r\nPING\r\n"),
        ("a", b"UNSUB 1\r\nPING\r\n"),
        ("c", b"PUB a 1\r\ny\r\nPING\r\n"),
        a=b"PONG\r\nMSG a 1 1\r\nx\r\nPONG\r\n",
        b=b"PONG\r\nMSG a 1 1\r\nx\r\nMSG a 1 1\r\ny\r\n",
        c=b"PONG\r\nPONG\r\n",
    ),
    several(
        "a subscription that comes between two messages hears the second",
        ("c", QUIET + b"PUB a.b 1\r\nx\r\nPING\r\n"),
        ("a", QUIET + b"SUB a.* 1\r\nPING\r\n"),
        ("c", b"PUB a.b 1\r\ny\r\nPING\r\n"),
        ("b", QUIET + b"SUB *.b 1\r\nPING\r\n"),
        ("c", b"PUB a.b 1\r\nz\r\nPING\r\n"),
        c=b"PONG\r\nPONG\r\nPONG\r\n",
        a=b"PONG\r\nMSG a.b 1 1\r\ny\r\nMSG a.b 1 1\r\nz\r\n",
        b=b"PONG\r\nMSG a.b 1 1\r\nz\r\n",
    ),
    several(
        "a client that errs is closed, and nobody else",
        ("a", QUIET + b"SUB a 1\r\nPING\r\n"),
        ("b", QUIET + b"PUB a 1\r\nx\r\nFOO\r\n"),
        ("c", QUIET + b"PUB a 1\r\ny\r\nPING\r\n"),
        closed="b",
        a=b"PONG\r\nMSG a 1 1\r\nx\r\nMSG a 1 1\r\ny\r\n",
        b=UNKNOWN,
        c=b"PONG\r\n",
    ),
    several(
        "the subscriptions of a closed client are gone",
        ("b", QUIET + b"SUB a 1\r\nFOO\r\n"),
        (
            "a",
            b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\n'
            b"SUB r 1\r\nPUB a r 0\r\n\r\nPING\r\n",
        ),
        closed="b",
        b=UNKNOWN,
        a=b"HMSG r 1 33 33\r\nNATS/1.0 503\r\nNats-Subject: a\r\n\r\n\r\nPONG\r\n",
    ),
    several(
        "no 503 where somebody else responds",
        ("a", QUIET + b"SUB svc 1\r\nPING\r\n"),
        (
            "b",
            b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\n'
            b"SUB r 1\r\nPUB svc r 1\r\nx\r\nPING\r\n",
        ),
        a=b"PONG\r\nMSG svc 1 r 1\r\nx\r\n",
        b=b"PONG\r\n",
    ),
    several(
        "modern clients talk as old ones do",
        ("a", MODERN + b"SUB a.> 1\r\nPING\r\n"),
        ("b", MODERN + b"HPUB a.b 12 13\r\nNATS/1.0\r\n\r\nx\r\nPUB a.c 1\r\ny\r\nPING\r\n"),
        a=b"PONG\r\n"
        + CONNECTED
        + b"HMSG a.b 1 12 13\r\nNATS/1.0\r\n\r\nx\r\nMSG a.c 1 1\r\ny\r\n",
        b=b"PONG\r\n" + CONNECTED,
    ),
    several(
        "a subscriber that never sent CONNECT has no headers",
        ("a", b"SUB a 1\r\nPING\r\n"),
        ("b", HEADERS + b"HPUB a 12 13\r\nNATS/1.0\r\n\r\nx\r\nPING\r\n"),
        a=b"+OK\r\nPONG\r\nMSG a 1 1\r\nx\r\n",
        b=b"PONG\r\n",
    ),
    several(
        "a second CONNECT hides its connection from the others until it subscribes again",
        ("a", QUIET + b"SUB a 1\r\nPING\r\n" + QUIET + b"PING\r\n"),
        ("b", QUIET + b"PUB a 1\r\nx\r\nPING\r\n"),
        ("a", b"SUB a 2\r\nPING\r\n"),
        ("b", b"PUB a 1\r\ny\r\nPING\r\n"),
        a=b"PONG\r\nPONG\r\nPONG\r\nMSG a 2 1\r\ny\r\n",
        b=b"PONG\r\nPONG\r\n",
    ),
    several(
        "one connection more than max_connections is told so",
        ("a", _HELLO),
        ("b", _HELLO),
        ("c", b""),
        closed="c",
        server=CROWDED,
        a=b"PONG\r\n",
        b=b"PONG\r\n",
        c=_TOO_MANY,
    ),
)
