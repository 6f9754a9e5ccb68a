"""CONNECT and what comes before it: what may be said, what it defaults to, what it refuses."""

from __future__ import annotations

from tests.wire.case import CONNECTED, DEFAULTS, MODERN, QUIET, Case, fatal, talk


def _silent(name: str, options: bytes) -> Case:
    """A CONNECT that cannot be read: the server closes without a word."""
    return fatal(name, b"CONNECT " + options + b"\r\nPING\r\n", b"")


def _read(name: str, options: bytes) -> Case:
    """A CONNECT that switches +OK off, in an odd way that is legal."""
    return talk(name, b"CONNECT" + options + b"\r\nPING\r\n", b"PONG\r\n")


ODD: tuple[Case, ...] = (
    _read("CONNECT may have a CR within its line", b'\r {"verbose":\r false}'),
    _read("CONNECT may have several CRs at its end", b' {"verbose":false}\r\r'),
    _read("CONNECT may have a name that is no UTF-8", b' {"verbose":false,"name":"\xff"}'),
    _read("CONNECT may have half a surrogate", b' {"verbose":false,"name":"\\ud800"}'),
    _read("CONNECT may have a key with an escape", b' {"verbo\\u0073e":false}'),
    _read("CONNECT may have null for texts", b' {"verbose":false,"user":null,"lang":null}'),
    _read("CONNECT may have a key and signature", b' {"verbose":false,"nkey":"x","sig":"y"}'),
    _read("CONNECT may have a will, which means nothing", b' {"verbose":false,"will":5}'),
    _silent("CONNECT with a trailing comma closes in silence", b'{"verbose":false,}'),
    _silent("CONNECT in single quotes closes in silence", b"{'verbose':false}"),
    _silent("CONNECT with a leading zero closes in silence", b'{"x":01}'),
    _silent("CONNECT with NaN closes in silence", b'{"x":NaN}'),
    _silent("CONNECT with a tab in a text closes in silence", b'{"name":"a\tb"}'),
    _silent("CONNECT with an unknown escape closes in silence", b'{"name":"\\x"}'),
    _silent("CONNECT with two values closes in silence", b"{}{}"),
    _silent("CONNECT with a text closes in silence", b'"x"'),
    _silent("CONNECT with a truth value closes in silence", b"true"),
    _silent("CONNECT with a byte order mark closes in silence", b"\xef\xbb\xbf{}"),
    _silent("CONNECT with a number for a flag closes in silence", b'{"verbose":1}'),
    _silent("CONNECT with an exponent in the protocol closes in silence", b'{"protocol":1e0}'),
    _silent("CONNECT with a text for the protocol closes in silence", b'{"protocol":"1"}'),
    _silent("CONNECT with a flag for the protocol closes in silence", b'{"protocol":true}'),
    _silent(
        "CONNECT with a protocol beyond 64 bits closes in silence",
        b'{"protocol":99999999999999999999}',
    ),
    _silent("CONNECT with a number for a JWT closes in silence", b'{"jwt":5}'),
)

USUAL: tuple[Case, ...] = (
    talk("a PING before any CONNECT is answered", b"PING\r\n", b"PONG\r\n"),
    talk(
        "without CONNECT a client may subscribe and publish, and is verbose",
        b"SUB a 1\r\nPUB a 1\r\nx\r\n",
        b"+OK\r\n+OK\r\nMSG a 1 1\r\nx\r\n",
    ),
    talk(
        "without CONNECT a client is pedantic",
        b"PUB a.* 1\r\nx\r\n",
        b"-ERR 'Invalid Publish Subject'\r\n+OK\r\n",
    ),
    fatal(
        "without CONNECT a client has no headers",
        b"HPUB a 12 13\r\nNATS/1.0\r\n\r\nx\r\n",
        b"",
    ),
    talk("an empty CONNECT leaves a client verbose", b"CONNECT {}\r\nPING\r\n", b"+OK\r\nPONG\r\n"),
    talk("a quiet CONNECT gets no answer", QUIET, b""),
    talk(
        "a client of protocol 1 gets a second INFO after its first PONG",
        b'CONNECT {"verbose":false,"protocol":1}\r\nPING\r\n',
        b"PONG\r\n" + CONNECTED,
    ),
    talk(
        "the second INFO comes once only",
        b'CONNECT {"verbose":false,"protocol":1}\r\nPING\r\nPING\r\nPING\r\n',
        b"PONG\r\n" + CONNECTED + b"PONG\r\nPONG\r\n",
    ),
    talk(
        "a client of protocol 0 gets no second INFO",
        b'CONNECT {"verbose":false,"protocol":0}\r\nPING\r\nPING\r\n',
        b"PONG\r\nPONG\r\n",
    ),
    talk(
        "a PING before CONNECT does not use up the second INFO",
        b'PING\r\nCONNECT {"verbose":false,"protocol":1}\r\nPING\r\n',
        b"PONG\r\nPONG\r\n" + CONNECTED,
    ),
    talk(
        "the second INFO tells the limits of a server with defaults",
        MODERN + b"PING\r\n",
        b"PONG\r\n" + CONNECTED.replace(b"1000", b"1048576"),
        server=DEFAULTS,
    ),
    fatal(
        "protocol 2 is refused",
        b'CONNECT {"verbose":false,"protocol":2}\r\nPING\r\n',
        b"-ERR 'invalid client protocol'\r\n",
    ),
    fatal(
        "a negative protocol is refused",
        b'CONNECT {"verbose":false,"protocol":-1}\r\nPING\r\n',
        b"-ERR 'invalid client protocol'\r\n",
    ),
    fatal(
        "no_responders without headers is refused",
        b'CONNECT {"verbose":false,"no_responders":true}\r\nPING\r\n',
        b"-ERR 'no responders requires headers support'\r\n",
    ),
    fatal(
        "an account may not be chosen",
        b'CONNECT {"verbose":false,"account":"x"}\r\nPING\r\n',
        b"-ERR 'Authorization Violation'\r\n",
    ),
    fatal(
        "a new account may not be asked for",
        b'CONNECT {"verbose":false,"account":"x","new_account":true}\r\nPING\r\n',
        b"-ERR 'Authorization Violation'\r\n",
    ),
    talk(
        "an empty account is none",
        b'CONNECT {"verbose":false,"account":""}\r\nPING\r\n',
        b"PONG\r\n",
    ),
    fatal(
        "a new account may not be asked for without a name",
        b'CONNECT {"verbose":false,"new_account":true}\r\nPING\r\n',
        b"-ERR 'Authorization Violation'\r\n",
    ),
    talk(
        "tls_required on a plain server is ignored",
        b'CONNECT {"verbose":false,"tls_required":true}\r\nPING\r\n',
        b"PONG\r\n",
    ),
    talk(
        "credentials on an open server are ignored",
        b'CONNECT {"verbose":false,"user":"u","pass":"p","auth_token":"t"}\r\nPING\r\n',
        b"PONG\r\n",
    ),
    talk(
        "a client may say its name, language and version",
        b'CONNECT {"verbose":false,"name":"n","lang":"python3","version":"2.9.0"}\r\nPING\r\n',
        b"PONG\r\n",
    ),
    talk(
        "unknown keys of CONNECT are ignored",
        b'CONNECT {"verbose":false,"colour":{"deep":[1,2,{"a":null}]}}\r\nPING\r\n',
        b"PONG\r\n",
    ),
    talk(
        "a key of CONNECT may be written in any case",
        b'CONNECT {"Verbose":false,"PROTOCOL":1}\r\nPING\r\n',
        b"PONG\r\n" + CONNECTED,
    ),
    talk(
        "the last of two equal keys of CONNECT counts",
        b'CONNECT {"verbose":true,"verbose":false}\r\nPING\r\n',
        b"PONG\r\n",
    ),
    talk(
        "null leaves a key of CONNECT at its default",
        b'CONNECT {"verbose":null,"echo":null}\r\nPING\r\n',
        b"+OK\r\nPONG\r\n",
    ),
    talk(
        "CONNECT null leaves all at its default",
        b"CONNECT null\r\nPING\r\n",
        b"+OK\r\nPONG\r\n",
    ),
    talk(
        "CONNECT may have blanks within its JSON",
        b'CONNECT   { "verbose" :\tfalse }  \r\nPING\r\n',
        b"PONG\r\n",
    ),
    talk(
        "CONNECT may have a name in UTF-8",
        'CONNECT {"verbose":false,"name":"老师"}\r\nPING\r\n'.encode(),
        b"PONG\r\n",
    ),
    talk(
        "CONNECT may be in lower case",
        b'connect {"verbose":false}\r\nPING\r\n',
        b"PONG\r\n",
    ),
    fatal("CONNECT with broken JSON closes in silence", b"CONNECT {bad}\r\nPING\r\n", b""),
    fatal("CONNECT with unfinished JSON closes in silence", b'CONNECT {"a":1\r\nPING\r\n', b""),
    fatal("CONNECT with junk after its JSON closes in silence", b"CONNECT {} x\r\nPING\r\n", b""),
    fatal("CONNECT with a list closes in silence", b"CONNECT []\r\nPING\r\n", b""),
    fatal("CONNECT with a number closes in silence", b"CONNECT 1\r\nPING\r\n", b""),
    fatal(
        "CONNECT with a text for a flag closes in silence",
        b'CONNECT {"verbose":"no"}\r\nPING\r\n',
        b"",
    ),
    fatal(
        "CONNECT with a number for a text closes in silence",
        b'CONNECT {"verbose":false,"name":5}\r\nPING\r\n',
        b"",
    ),
    fatal(
        "CONNECT with a fraction for the protocol closes in silence",
        b'CONNECT {"verbose":false,"protocol":1.5}\r\nPING\r\n',
        b"",
    ),
    fatal("CONNECT with nothing closes in silence", b"CONNECT \r\nPING\r\n", b""),
    talk(
        "CONNECT needs no blank before its JSON",
        b'CONNECT{"verbose":false}\r\nPING\r\n',
        b"PONG\r\n",
    ),
    talk(
        "a second CONNECT is accepted",
        QUIET + b"PING\r\n" + QUIET + b"PING\r\n",
        b"PONG\r\nPONG\r\n",
    ),
    talk(
        "a second CONNECT drops the earlier subscriptions",
        QUIET
        + b"SUB a 1\r\nPING\r\n"
        + QUIET
        + b"PUB a 1\r\nx\r\nSUB a 2\r\nPUB a 1\r\ny\r\nPING\r\n",
        b"PONG\r\nMSG a 2 1\r\ny\r\nPONG\r\n",
    ),
    talk(
        "a second CONNECT may use a dropped sid again",
        QUIET
        + b"SUB a 1\r\nPING\r\n"
        + QUIET
        + b"SUB b 1\r\nPUB a 1\r\nx\r\nPUB b 1\r\ny\r\nPING\r\n",
        b"PONG\r\nMSG b 1 1\r\ny\r\nPONG\r\n",
    ),
    talk(
        "a second CONNECT changes the options",
        QUIET + b'PING\r\nCONNECT {"verbose":true,"pedantic":false}\r\nSUB a 1\r\nPING\r\n',
        b"PONG\r\n+OK\r\n+OK\r\nPONG\r\n",
    ),
    talk(
        "what a second CONNECT leaves out stays as it was",
        QUIET + b'PING\r\nCONNECT {"lang":"x"}\r\nSUB a 1\r\nPING\r\n',
        b"PONG\r\nPONG\r\n",
    ),
    fatal(
        "a broken second CONNECT closes in silence",
        QUIET + b"PING\r\nCONNECT {bad}\r\nPING\r\n",
        b"PONG\r\n",
    ),
)

CASES: tuple[Case, ...] = USUAL + ODD
