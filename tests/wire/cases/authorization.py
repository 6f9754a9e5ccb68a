"""Servers that ask who is there: user and password, token."""

from __future__ import annotations

from tests.wire.case import CONNECTED, PASSWORD, TOKEN, Case, fatal, several, talk

_VIOLATION = b"-ERR 'Authorization Violation'\r\n"
_GOOD = b'CONNECT {"verbose":false,"user":"ann","pass":"secret"}\r\n'
_TOKEN = b'CONNECT {"verbose":false,"auth_token":"s3cr3t"}\r\n'


def _refused(name: str, sent: bytes) -> Case:
    return fatal(name, sent + b"PING\r\n", _VIOLATION, server=PASSWORD)


CASES: tuple[Case, ...] = (
    talk("the right password opens", _GOOD + b"PING\r\n", b"PONG\r\n", server=PASSWORD),
    talk(
        "a verbose client is told that it may come in",
        b'CONNECT {"user":"ann","pass":"secret"}\r\nPING\r\n',
        b"+OK\r\nPONG\r\n",
        server=PASSWORD,
    ),
    talk(
        "the second INFO says that a password was needed",
        b'CONNECT {"verbose":false,"protocol":1,"user":"ann","pass":"secret"}\r\nPING\r\n',
        b"PONG\r\n"
        + CONNECTED.replace(b"1000", b"1048576").replace(
            b"INFO {", b'INFO {"auth_required": true, '
        ),
        server=PASSWORD,
    ),
    talk(
        "a client that came in may talk",
        _GOOD + b"SUB a 1\r\nPUB a 1\r\nx\r\nPING\r\n",
        b"MSG a 1 1\r\nx\r\nPONG\r\n",
        server=PASSWORD,
    ),
    _refused("a wrong password is refused", b'CONNECT {"user":"ann","pass":"wrong"}\r\n'),
    _refused("a wrong user is refused", b'CONNECT {"user":"bob","pass":"secret"}\r\n'),
    _refused("an empty password is refused", b'CONNECT {"user":"ann","pass":""}\r\n'),
    _refused("a user without a password is refused", b'CONNECT {"user":"ann"}\r\n'),
    _refused("a password without a user is refused", b'CONNECT {"pass":"secret"}\r\n'),
    _refused(
        "the beginning of a password is refused", b'CONNECT {"user":"ann","pass":"secre"}\r\n'
    ),
    _refused("more than the password is refused", b'CONNECT {"user":"ann","pass":"secret2"}\r\n'),
    _refused("a user in other letters is refused", b'CONNECT {"user":"Ann","pass":"secret"}\r\n'),
    _refused("no credentials are refused", b'CONNECT {"verbose":false}\r\n'),
    _refused(
        "a token where a password is wanted is refused", b'CONNECT {"auth_token":"secret"}\r\n'
    ),
    _refused(
        "a password that is not ASCII is refused",
        'CONNECT {"user":"ann","pass":"秘密"}\r\n'.encode(),
    ),
    _refused("PING before CONNECT is refused", b""),
    _refused("SUB before CONNECT is refused", b"SUB a 1\r\n"),
    _refused("PUB before CONNECT is refused", b"PUB a 1\r\nx\r\n"),
    _refused("PONG before CONNECT is refused", b"PONG\r\n"),
    _refused("an unknown verb before CONNECT is refused as all others", b"FOO\r\n"),
    _refused("an empty line before CONNECT is refused as all others", b"\r\n"),
    fatal(
        "a broken CONNECT closes in silence where a password is wanted",
        b"CONNECT {bad}\r\nPING\r\n",
        b"",
        server=PASSWORD,
    ),
    fatal(
        "another verb with a C is no CONNECT",
        b"CAT {}\r\nPING\r\n",
        b"-ERR 'Unknown Protocol Operation'\r\n",
        server=PASSWORD,
    ),
    talk(
        "connect may be in lower case where a password is wanted",
        _GOOD.replace(b"CONNECT", b"connect") + b"PING\r\n",
        b"PONG\r\n",
        server=PASSWORD,
    ),
    fatal(
        "a second CONNECT with a wrong password is refused",
        _GOOD + b'PING\r\nCONNECT {"user":"ann","pass":"wrong"}\r\nPING\r\n',
        b"PONG\r\n" + _VIOLATION,
        server=PASSWORD,
    ),
    talk(
        "a second CONNECT without credentials keeps those of the first",
        _GOOD + b'PING\r\nCONNECT {"verbose":false}\r\nPING\r\n',
        b"PONG\r\nPONG\r\n",
        server=PASSWORD,
    ),
    several(
        "a client that is refused disturbs nobody",
        ("a", _GOOD + b"SUB a 1\r\nPING\r\n"),
        ("b", b'CONNECT {"user":"ann","pass":"wrong"}\r\nPUB a 1\r\nx\r\n'),
        ("a", b"PING\r\n"),
        closed="b",
        a=b"PONG\r\nPONG\r\n",
        b=_VIOLATION,
        server=PASSWORD,
    ),
    talk("the right token opens", _TOKEN + b"PING\r\n", b"PONG\r\n", server=TOKEN),
    fatal(
        "a wrong token is refused",
        b'CONNECT {"auth_token":"wrong"}\r\nPING\r\n',
        _VIOLATION,
        server=TOKEN,
    ),
    fatal(
        "an empty token is refused",
        b'CONNECT {"auth_token":""}\r\nPING\r\n',
        _VIOLATION,
        server=TOKEN,
    ),
    fatal("no token is refused", b"CONNECT {}\r\nPING\r\n", _VIOLATION, server=TOKEN),
    fatal(
        "the token as a password is refused",
        b'CONNECT {"user":"s3cr3t","pass":"s3cr3t"}\r\nPING\r\n',
        _VIOLATION,
        server=TOKEN,
    ),
    fatal("a verb before the token is refused", b"SUB a 1\r\nPING\r\n", _VIOLATION, server=TOKEN),
)
