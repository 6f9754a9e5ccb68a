"""HPUB and HMSG, subscribers that cannot have headers, and the answer that there are no
responders.
"""

from __future__ import annotations

from tests.wire.case import CONNECTED, HEADERS, MODERN, QUIET, Case, Freedom, fatal, several, talk
from tests.wire.cases.lines import UNKNOWN

_SUBSCRIBED = HEADERS + b"SUB a 1\r\n"
_BLOCK = b"NATS/1.0\r\n\r\n"
_LONG_BLOCK = b"NATS/1.0\r\nKey: value\r\nKey: another\r\n\r\n"
_NO_RESPONDERS = (
    b'CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}\r\n'
)
_SOMEBODY = b"SUB _INBOX.x 1\r\n"


def _silent(name: str, line: bytes) -> Case:
    return fatal(name, _SUBSCRIBED + line + b"\r\n" + _BLOCK + b"x\r\nPING\r\n", b"")


HPUB: tuple[Case, ...] = (
    talk(
        "a message with headers comes as HMSG",
        _SUBSCRIBED + b"HPUB a 12 13\r\n" + _BLOCK + b"x\r\nPING\r\n",
        b"HMSG a 1 12 13\r\n" + _BLOCK + b"x\r\nPONG\r\n",
    ),
    talk(
        "headers and a reply subject come together",
        _SUBSCRIBED + b"HPUB a _INBOX.1 38 39\r\n" + _LONG_BLOCK + b"x\r\nPING\r\n",
        b"HMSG a 1 _INBOX.1 38 39\r\n" + _LONG_BLOCK + b"x\r\nPONG\r\n",
    ),
    talk(
        "headers may have an empty payload",
        _SUBSCRIBED + b"HPUB a 12 12\r\n" + _BLOCK + b"\r\nPING\r\n",
        b"HMSG a 1 12 12\r\n" + _BLOCK + b"\r\nPONG\r\n",
    ),
    talk(
        "a header block of no bytes comes as MSG",
        _SUBSCRIBED + b"HPUB a 0 1\r\nx\r\nPING\r\n",
        b"MSG a 1 1\r\nx\r\nPONG\r\n",
    ),
    talk(
        "the text of a header block is not looked at",
        _SUBSCRIBED + b"HPUB a 5 6\r\nhelloX\r\nPING\r\n",
        b"HMSG a 1 5 6\r\nhelloX\r\nPONG\r\n",
    ),
    talk(
        "leading zeroes of both sizes are passed on",
        _SUBSCRIBED + b"HPUB a 0012 00013\r\n" + _BLOCK + b"x\r\nPING\r\n",
        b"HMSG a 1 0012 00013\r\n" + _BLOCK + b"x\r\nPONG\r\n",
    ),
    talk(
        "HPUB may have odd spacing and a bare LF",
        _SUBSCRIBED + b"HPUB\t a \t12   13 \n" + _BLOCK + b"x\r\nPING\r\n",
        b"HMSG a 1 12 13\r\n" + _BLOCK + b"x\r\nPONG\r\n",
    ),
    talk(
        "a client with headers may still publish without",
        _SUBSCRIBED + b"PUB a 1\r\nx\r\nPING\r\n",
        b"MSG a 1 1\r\nx\r\nPONG\r\n",
    ),
    talk(
        "HPUB of just max_payload passes",
        HEADERS + b"HPUB a 12 1000\r\n" + _BLOCK + b"x" * 988 + b"\r\nPING\r\n",
        b"PONG\r\n",
    ),
    fatal(
        "HPUB of one more than max_payload is fatal",
        HEADERS + b"HPUB a 12 1001\r\n",
        b"-ERR 'Maximum Payload Violation'\r\n",
    ),
    fatal("HPUB without headers in CONNECT closes in silence", QUIET + b"HPUB a 12 13\r\n", b""),
    fatal(
        "HPUB whose payload is longer than its size is fatal",
        _SUBSCRIBED + b"HPUB a 12 12\r\n" + _BLOCK + b"x\r\nPING\r\n",
        UNKNOWN,
    ),
    _silent("HPUB with headers longer than the whole closes in silence", b"HPUB a 14 13"),
    _silent("HPUB with negative headers closes in silence", b"HPUB a -1 13"),
    _silent("HPUB with a negative total closes in silence", b"HPUB a 12 -1"),
    _silent("HPUB with letters for headers closes in silence", b"HPUB a xx 13"),
    _silent("HPUB with letters for the total closes in silence", b"HPUB a 12 xx"),
    _silent("HPUB with one word closes in silence", b"HPUB a"),
    _silent("HPUB with two words closes in silence", b"HPUB a 13"),
    _silent("HPUB with five words closes in silence", b"HPUB a b c 12 13"),
    several(
        "a subscriber without headers gets the payload alone",
        ("b", QUIET + b"SUB a 7\r\nPING\r\n"),
        ("a", HEADERS + b"HPUB a 12 13\r\n" + _BLOCK + b"x\r\nPING\r\n"),
        b=b"PONG\r\nMSG a 7 1\r\nx\r\n",
        a=b"PONG\r\n",
    ),
    several(
        "a subscriber without headers gets the reply subject too",
        ("b", QUIET + b"SUB a 7\r\nPING\r\n"),
        ("a", HEADERS + b"HPUB a back 12 12\r\n" + _BLOCK + b"\r\nPING\r\n"),
        b=b"PONG\r\nMSG a 7 back 0\r\n\r\n",
        a=b"PONG\r\n",
    ),
    several(
        "one message comes with headers to one subscriber and without to another",
        ("b", QUIET + b"SUB a 7\r\nPING\r\n"),
        ("c", HEADERS + b"SUB a 8\r\nPING\r\n"),
        ("a", HEADERS + b"HPUB a 38 39\r\n" + _LONG_BLOCK + b"x\r\nPING\r\n"),
        b=b"PONG\r\nMSG a 7 1\r\nx\r\n",
        c=b"PONG\r\nHMSG a 8 38 39\r\n" + _LONG_BLOCK + b"x\r\n",
        a=b"PONG\r\n",
    ),
)

NO_RESPONDERS: tuple[Case, ...] = (
    talk(
        "a request that nobody hears is answered with 503",
        _NO_RESPONDERS + _SOMEBODY + b"PUB nobody _INBOX.x 1\r\nx\r\nPING\r\n",
        b"HMSG _INBOX.x 1 38 38\r\nNATS/1.0 503\r\nNats-Subject: nobody\r\n\r\n\r\nPONG\r\n",
    ),
    talk(
        "a request with headers that nobody hears is answered with 503",
        _NO_RESPONDERS + _SOMEBODY + b"HPUB nobody _INBOX.x 12 13\r\n" + _BLOCK + b"x\r\nPING\r\n",
        b"HMSG _INBOX.x 1 38 38\r\nNATS/1.0 503\r\nNats-Subject: nobody\r\n\r\n\r\nPONG\r\n",
    ),
    talk(
        "503 names the subject, however long",
        _NO_RESPONDERS + _SOMEBODY + b"PUB no.body.at.all _INBOX.x 0\r\n\r\nPING\r\n",
        b"HMSG _INBOX.x 1 46 46\r\nNATS/1.0 503\r\nNats-Subject: no.body.at.all\r\n\r\n\r\n"
        b"PONG\r\n",
    ),
    talk(
        "503 comes on a wildcard subscription",
        _NO_RESPONDERS + b"SUB _INBOX.x.* 9\r\nPUB nobody _INBOX.x.1 1\r\nx\r\nPING\r\n",
        b"HMSG _INBOX.x.1 9 38 38\r\nNATS/1.0 503\r\nNats-Subject: nobody\r\n\r\n\r\nPONG\r\n",
    ),
    talk(
        "503 comes to every request",
        _NO_RESPONDERS
        + b"SUB _INBOX.x.* 9\r\nPUB nobody _INBOX.x.1 1\r\nx\r\nPUB nobody _INBOX.x.2 1\r\nx\r\n"
        + b"PING\r\n",
        b"HMSG _INBOX.x.1 9 38 38\r\nNATS/1.0 503\r\nNats-Subject: nobody\r\n\r\n\r\n"
        b"HMSG _INBOX.x.2 9 38 38\r\nNATS/1.0 503\r\nNats-Subject: nobody\r\n\r\n\r\nPONG\r\n",
    ),
    talk(
        "503 comes to a modern client",
        MODERN + _SOMEBODY + b"PING\r\nPUB nobody _INBOX.x 0\r\n\r\n",
        b"PONG\r\n"
        + CONNECTED
        + b"HMSG _INBOX.x 1 38 38\r\nNATS/1.0 503\r\nNats-Subject: nobody\r\n\r\n\r\n",
    ),
    talk(
        "no 503 where the publisher does not subscribe to the reply",
        _NO_RESPONDERS + b"PUB nobody _INBOX.x 1\r\nx\r\nPING\r\n",
        b"PONG\r\n",
    ),
    talk(
        "no 503 on a queue subscription to the reply",
        _NO_RESPONDERS + b"SUB _INBOX.x q 1\r\nPUB nobody _INBOX.x 1\r\nx\r\nPING\r\n",
        b"PONG\r\n",
    ),
    talk(
        "no 503 without no_responders in CONNECT",
        HEADERS + _SOMEBODY + b"PUB nobody _INBOX.x 1\r\nx\r\nPING\r\n",
        b"PONG\r\n",
    ),
    talk(
        "no 503 without a reply subject",
        _NO_RESPONDERS + _SOMEBODY + b"PUB nobody 1\r\nx\r\nPING\r\n",
        b"PONG\r\n",
    ),
    talk(
        "no 503 where a queue group hears the request",
        _NO_RESPONDERS + _SOMEBODY + b"SUB svc q 2\r\nPUB svc _INBOX.x 1\r\nx\r\nPING\r\n",
        b"MSG svc 2 _INBOX.x 1\r\nx\r\nPONG\r\n",
    ),
    talk(
        "503 where the only responder has gone",
        _NO_RESPONDERS
        + _SOMEBODY
        + b"SUB svc 2\r\nPUB svc _INBOX.x 1\r\nx\r\nUNSUB 2\r\nPUB svc _INBOX.x 1\r\ny\r\nPING\r\n",
        b"MSG svc 2 _INBOX.x 1\r\nx\r\n"
        b"HMSG _INBOX.x 1 35 35\r\nNATS/1.0 503\r\nNats-Subject: svc\r\n\r\n\r\nPONG\r\n",
    ),
    talk(
        "503 where the only responder had a limit and reached it",
        _NO_RESPONDERS
        + _SOMEBODY
        + b"SUB svc 2\r\nUNSUB 2 1\r\nPUB svc _INBOX.x 1\r\nx\r\nPUB svc _INBOX.x 1\r\ny\r\n"
        + b"PING\r\n",
        b"MSG svc 2 _INBOX.x 1\r\nx\r\n"
        b"HMSG _INBOX.x 1 35 35\r\nNATS/1.0 503\r\nNats-Subject: svc\r\n\r\n\r\nPONG\r\n",
    ),
    talk(
        "503 does not count towards the limit of the reply's subscription",
        _NO_RESPONDERS
        + _SOMEBODY
        + b"UNSUB 1 1\r\nPUB nobody _INBOX.x 0\r\n\r\nPUB nobody _INBOX.x 0\r\n\r\nPING\r\n",
        b"HMSG _INBOX.x 1 38 38\r\nNATS/1.0 503\r\nNats-Subject: nobody\r\n\r\n\r\n" * 2
        + b"PONG\r\n",
    ),
    talk(
        "503 comes once where several subscriptions hear the reply",
        _NO_RESPONDERS + _SOMEBODY + b"SUB _INBOX.x 2\r\nPUB nobody _INBOX.x 0\r\n\r\nPING\r\n",
        b"HMSG _INBOX.x 1 38 38\r\nNATS/1.0 503\r\nNats-Subject: nobody\r\n\r\n\r\nPONG\r\n",
        freedom=Freedom.PICK,
        reason="which of the subscriptions gets it is not promised",
    ),
    talk(
        "503 where only the publisher would hear, and does not for want of echo",
        b'CONNECT {"verbose":false,"headers":true,"no_responders":true,"echo":false}\r\n'
        + _SOMEBODY
        + b"SUB svc 2\r\nPUB svc _INBOX.x 0\r\n\r\nPING\r\n",
        b"HMSG _INBOX.x 1 35 35\r\nNATS/1.0 503\r\nNats-Subject: svc\r\n\r\n\r\nPONG\r\n",
    ),
    several(
        "no 503 to a publisher whose reply somebody else subscribes to",
        ("b", QUIET + b"SUB _INBOX.x 1\r\nPING\r\n"),
        ("a", _NO_RESPONDERS + b"PUB nobody _INBOX.x 0\r\n\r\nPING\r\n"),
        b=b"PONG\r\n",
        a=b"PONG\r\n",
    ),
)

CASES: tuple[Case, ...] = HPUB + NO_RESPONDERS
