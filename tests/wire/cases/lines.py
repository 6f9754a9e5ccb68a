"""The grammar of lines: letter case, blanks, line ends, verbs that are none, verbs that are not for
clients.
"""

from __future__ import annotations

from tests.wire.case import QUIET, Case, fatal, talk

UNKNOWN = b"-ERR 'Unknown Protocol Operation'\r\n"


def _unknown(name: str, line: bytes) -> Case:
    """A line that no server knows, followed by one that it does: the answer is the error, and the
    end.
    """
    return fatal(name, QUIET + line + b"PING\r\n", UNKNOWN)


SPACING: tuple[Case, ...] = (
    talk(
        "verbs may be in lower case",
        b'connect {"verbose":false}\r\nsub a 1\r\npub a 1\r\nx\r\nunsub 1\r\npub a 1\r\ny\r\n'
        b"ping\r\npong\r\n",
        b"MSG a 1 1\r\nx\r\nPONG\r\n",
    ),
    talk(
        "verbs may be in mixed case",
        b'CoNnEcT {"verbose":false}\r\nsUb a 1\r\nPuB a 1\r\nx\r\nUnSuB 1\r\npUb a 1\r\ny\r\n'
        b"pInG\r\nPoNg\r\n",
        b"MSG a 1 1\r\nx\r\nPONG\r\n",
    ),
    talk(
        "HPUB may be in mixed case",
        b'CONNECT {"verbose":false,"headers":true}\r\nSUB a 1\r\nhPuB a 12 13\r\n'
        b"NATS/1.0\r\n\r\nx\r\nPING\r\n",
        b"HMSG a 1 12 13\r\nNATS/1.0\r\n\r\nx\r\nPONG\r\n",
    ),
    talk(
        "tabs and many blanks part the words",
        QUIET + b"SUB \t a   1\t\r\nPUB\t\ta \t  1  \r\nx\r\nPING\r\n",
        b"MSG a 1 1\r\nx\r\nPONG\r\n",
    ),
    talk(
        "words may be parted by two blanks and followed by one, as nats-py writes them",
        QUIET + b"SUB s  1\r\nPUB s  0\r\n\r\nUNSUB 1 \r\nPUB s  0\r\n\r\nPING\r\n",
        b"MSG s 1 0\r\n\r\nPONG\r\n",
    ),
    talk(
        "a tab may follow each verb",
        b'CONNECT\t{"verbose":false}\r\nSUB\ta\t1\r\nPUB\ta\t1\r\nx\r\nUNSUB\t1\r\nPUB\ta\t1\r\n'
        b"y\r\nPING\t\r\n",
        b"MSG a 1 1\r\nx\r\nPONG\r\n",
    ),
    talk(
        "a control line may end in a bare LF",
        b'CONNECT {"verbose":false}\nSUB a 1\nPUB a 1\nx\r\nUNSUB 1\nPUB a 1\ny\r\nPING\n',
        b"MSG a 1 1\r\nx\r\nPONG\r\n",
    ),
    talk("PING may be followed by junk", QUIET + b"PING abc\r\n", b"PONG\r\n"),
    talk("PING may be followed by junk without a blank", QUIET + b"PINGabc\r\n", b"PONG\r\n"),
    talk("PING may be followed by several CRs", QUIET + b"PING\r\r\r\n", b"PONG\r\n"),
    talk("PONG may be followed by junk", QUIET + b"PONG abc\r\nPONGabc\r\nPING\r\n", b"PONG\r\n"),
    talk("+OK may be followed by junk", QUIET + b"+OK abc\r\n+OKabc\r\nPING\r\n", b"PONG\r\n"),
    talk(
        "a CR within a line is passed over",
        QUIET + b"SUB a\r 1\r\nPUB a 1\r\nx\r\nPING\r\n",
        b"MSG a 1 1\r\nx\r\nPONG\r\n",
    ),
    talk(
        "several CRs before the LF are passed over",
        QUIET + b"SUB a 1\r\r\nPUB a 1\r\nx\r\nPING\r\n",
        b"MSG a 1 1\r\nx\r\nPONG\r\n",
    ),
    talk(
        "a vertical tab, a form feed and a NUL are letters of a subject",
        QUIET + b"SUB a\x0bb\x0cc\x00d 1\r\nPUB a\x0bb\x0cc\x00d 1\r\nx\r\nPING\r\n",
        b"MSG a\x0bb\x0cc\x00d 1 1\r\nx\r\nPONG\r\n",
    ),
    talk(
        "any bytes that are no blanks make a sid",
        QUIET + b"SUB a \xc2\xa0\xff{}\r\nPUB a 1\r\nx\r\nPING\r\n",
        b"MSG a \xc2\xa0\xff{} 1\r\nx\r\nPONG\r\n",
    ),
)

NO_VERBS: tuple[Case, ...] = (
    _unknown("an empty line is unknown", b"\r\n"),
    _unknown("a lone LF is unknown", b"\n"),
    _unknown("a leading blank is unknown", b" PING\r\n"),
    _unknown("a leading tab is unknown", b"\tPING\r\n"),
    _unknown("a word that is no verb is unknown", b"FOO bar\r\n"),
    _unknown("a verb cut short is unknown", b"PIN\r\n"),
    _unknown("one letter of a verb is unknown", b"P\r\n"),
    _unknown("PUB without a blank is unknown", b"PUBa 1\r\nx\r\n"),
    _unknown("a verb with a letter too many is unknown", b"SUBS a 1\r\n"),
    _unknown("a NUL is unknown", b"\x00"),
    _unknown("a byte above 127 is unknown", b"\xff\r\n"),
    _unknown("a TLS hello is unknown", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    _unknown("an HTTP request is unknown", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    _unknown("+O is unknown", b"+O\r\n"),
    _unknown("-ER is unknown", b"-ER\r\n"),
    _unknown("PUB alone is unknown", b"PUB\r\n"),
    _unknown("HPUB alone is unknown", b"HPUB\r\n"),
    _unknown("SUB alone is unknown", b"SUB\r\n"),
    _unknown("UNSUB alone is unknown", b"UNSUB\r\n"),
    fatal("CONNECT alone closes in silence", QUIET + b"CONNECT\r\nPING\r\n", b""),
)

NOT_FOR_CLIENTS: tuple[Case, ...] = (
    _unknown("MSG is not for clients", b"MSG a 1 1\r\nx\r\n"),
    _unknown("HMSG is not for clients", b"HMSG a 1 12 12\r\nNATS/1.0\r\n\r\n\r\n"),
    _unknown("RS+ is not for clients", b"RS+ $G a\r\n"),
    _unknown("RS- is not for clients", b"RS- $G a\r\n"),
    _unknown("RMSG is not for clients", b"RMSG $G a 1\r\nx\r\n"),
    _unknown("A+ is not for clients", b"A+ $G\r\n"),
    _unknown("A- is not for clients", b"A- $G\r\n"),
    _unknown("LS+ is not for clients", b"LS+ a\r\n"),
    _unknown("LS- is not for clients", b"LS- a\r\n"),
    _unknown("LMSG is not for clients", b"LMSG a 1\r\nx\r\n"),
    talk("+OK from a client is ignored", QUIET + b"+OK\r\nPING\r\n", b"PONG\r\n"),
    talk("INFO from a client is ignored", QUIET + b"INFO {}\r\nPING\r\n", b"PONG\r\n"),
    talk("INFO null from a client is ignored", QUIET + b"INFO null\r\nPING\r\n", b"PONG\r\n"),
    fatal("INFO with broken JSON closes in silence", QUIET + b"INFO {bad}\r\nPING\r\n", b""),
    fatal("INFO with a list closes in silence", QUIET + b"INFO [1]\r\nPING\r\n", b""),
    fatal("INFO with nothing closes in silence", QUIET + b"INFO \r\nPING\r\n", b""),
    fatal("INFO alone closes in silence", QUIET + b"INFO\r\nPING\r\n", b""),
    fatal("-ERR from a client closes in silence", QUIET + b"-ERR 'x'\r\nPING\r\n", b""),
    fatal("-ERR with nothing closes in silence", QUIET + b"-ERR \r\nPING\r\n", b""),
    _unknown("-ERR alone is unknown", b"-ERR\r\n"),
)

CASES: tuple[Case, ...] = SPACING + NO_VERBS + NOT_FOR_CLIENTS
