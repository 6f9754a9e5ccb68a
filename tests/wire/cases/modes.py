"""What CONNECT can switch: +OK for everything (verbose), a look at subjects (pedantic), one's own
messages (echo).
"""

from __future__ import annotations

from tests.wire.case import QUIET, Case, fatal, several, talk
from tests.wire.cases.lines import UNKNOWN

_VERBOSE = b'CONNECT {"verbose":true,"pedantic":false}\r\n'
_PEDANTIC = b'CONNECT {"verbose":false,"pedantic":true}\r\n'
_BOTH = b'CONNECT {"verbose":true,"pedantic":true}\r\n'
_DEAF = b'CONNECT {"verbose":false,"echo":false}\r\n'
_INVALID = b"-ERR 'Invalid Publish Subject'\r\n"


def _pedantic(name: str, subject: bytes, reply: bytes) -> Case:
    return talk(name, _PEDANTIC + b"PUB " + subject + b" 1\r\nx\r\nPING\r\n", reply + b"PONG\r\n")


VERBOSE: tuple[Case, ...] = (
    talk(
        "verbose answers CONNECT, SUB, PUB and UNSUB with +OK",
        _VERBOSE + b"SUB a 1\r\nPUB b 1\r\nx\r\nUNSUB 1\r\nPING\r\n",
        b"+OK\r\n+OK\r\n+OK\r\n+OK\r\nPONG\r\n",
    ),
    talk(
        "verbose says +OK to a publish before the message comes back",
        _VERBOSE + b"SUB a 1\r\nPUB a 1\r\nx\r\nPING\r\n",
        b"+OK\r\n+OK\r\n+OK\r\nMSG a 1 1\r\nx\r\nPONG\r\n",
    ),
    talk(
        "verbose answers HPUB",
        b'CONNECT {"verbose":true,"headers":true}\r\nHPUB a 12 13\r\nNATS/1.0\r\n\r\nx\r\nPING\r\n',
        b"+OK\r\n+OK\r\nPONG\r\n",
    ),
    talk(
        "verbose answers UNSUB of an unknown sid",
        _VERBOSE + b"UNSUB 9\r\nPING\r\n",
        b"+OK\r\n+OK\r\nPONG\r\n",
    ),
    talk(
        "verbose answers UNSUB with a limit",
        _VERBOSE + b"SUB a 1\r\nUNSUB 1 5\r\nPING\r\n",
        b"+OK\r\n+OK\r\n+OK\r\nPONG\r\n",
    ),
    talk(
        "verbose answers a SUB whose sid is taken",
        _VERBOSE + b"SUB a 1\r\nSUB b 1\r\nPING\r\n",
        b"+OK\r\n+OK\r\n+OK\r\nPONG\r\n",
    ),
    talk("verbose does not answer PONG", _VERBOSE + b"PONG\r\nPING\r\n", b"+OK\r\nPONG\r\n"),
    talk(
        "verbose answers neither INFO nor +OK",
        _VERBOSE + b"INFO {}\r\n+OK\r\nPING\r\n",
        b"+OK\r\nPONG\r\n",
    ),
    talk(
        "verbose answers a refused SUB with the error alone",
        _VERBOSE + b"SUB a..b 1\r\nPING\r\n",
        b"+OK\r\n-ERR 'Invalid Subject'\r\nPONG\r\n",
    ),
    talk(
        "verbose says +OK to a request before its 503",
        b'CONNECT {"verbose":true,"headers":true,"no_responders":true}\r\nSUB r 1\r\n'
        b"PUB nobody r 0\r\n\r\nPING\r\n",
        b"+OK\r\n+OK\r\n+OK\r\nHMSG r 1 38 38\r\nNATS/1.0 503\r\nNats-Subject: nobody\r\n\r\n\r\n"
        b"PONG\r\n",
    ),
    fatal(
        "verbose answers what came before a fatal line",
        _VERBOSE + b"SUB a 1\r\nFOO\r\n",
        b"+OK\r\n+OK\r\n" + UNKNOWN,
    ),
    fatal(
        "verbose answers what came before a silent close",
        _VERBOSE + b"SUB a 1\r\nSUB a\r\n",
        b"+OK\r\n+OK\r\n",
    ),
    fatal(
        "verbose answers a refused CONNECT with the error alone",
        b'CONNECT {"verbose":true,"protocol":2}\r\n',
        b"-ERR 'invalid client protocol'\r\n",
    ),
)

PEDANTIC: tuple[Case, ...] = (
    _pedantic("pedantic accepts a literal", b"a.b", b""),
    _pedantic("pedantic refuses *", b"a.*", _INVALID),
    _pedantic("pedantic refuses >", b"a.>", _INVALID),
    _pedantic("pedantic refuses an empty token within", b"a..b", _INVALID),
    _pedantic("pedantic refuses an empty token in front", b".a", _INVALID),
    _pedantic("pedantic refuses an empty token at the end", b"a.", _INVALID),
    _pedantic("pedantic accepts a star within a token", b"a*.b", b""),
    _pedantic("pedantic accepts a > within a token", b"a>.b", b""),
    talk(
        "pedantic refuses a publish, yet it is heard",
        _PEDANTIC + b"SUB a.* 1\r\nPUB a.* 1\r\nx\r\nPING\r\n",
        _INVALID + b"MSG a.* 1 1\r\nx\r\nPONG\r\n",
    ),
    talk(
        "pedantic does not look at the reply subject",
        _PEDANTIC + b"PUB a b.* 1\r\nx\r\nPING\r\n",
        b"PONG\r\n",
    ),
    talk(
        "pedantic and verbose: the error, then +OK",
        _BOTH + b"SUB a.* 1\r\nPUB a.* 1\r\nx\r\nPING\r\n",
        b"+OK\r\n+OK\r\n" + _INVALID + b"+OK\r\nMSG a.* 1 1\r\nx\r\nPONG\r\n",
    ),
    talk(
        "pedantic looks at HPUB too",
        b'CONNECT {"verbose":false,"pedantic":true,"headers":true}\r\nHPUB a.* 12 12\r\n'
        b"NATS/1.0\r\n\r\n\r\nPING\r\n",
        _INVALID + b"PONG\r\n",
    ),
    talk(
        "pedantic refuses a SUB as everybody does",
        _PEDANTIC + b"SUB a..b 1\r\nPING\r\n",
        b"-ERR 'Invalid Subject'\r\nPONG\r\n",
    ),
)

ECHO: tuple[Case, ...] = (
    talk(
        "with echo one hears oneself",
        QUIET + b"SUB a 1\r\nPUB a 1\r\nx\r\nPING\r\n",
        b"MSG a 1 1\r\nx\r\nPONG\r\n",
    ),
    talk(
        "without echo one does not hear oneself",
        _DEAF + b"SUB a 1\r\nSUB > 2\r\nSUB a q 3\r\nPUB a 1\r\nx\r\nPING\r\n",
        b"PONG\r\n",
    ),
    several(
        "without echo others hear one still",
        ("a", QUIET + b"SUB a 1\r\nPING\r\n"),
        ("b", _DEAF + b"SUB a 1\r\nPUB a 1\r\nx\r\nPING\r\n"),
        a=b"PONG\r\nMSG a 1 1\r\nx\r\n",
        b=b"PONG\r\n",
    ),
    several(
        "without echo one hears others still",
        ("a", _DEAF + b"SUB a 1\r\nPING\r\n"),
        ("b", QUIET + b"PUB a 1\r\nx\r\nPING\r\n"),
        a=b"PONG\r\nMSG a 1 1\r\nx\r\n",
        b=b"PONG\r\n",
    ),
    talk(
        "echo may be switched off by a second CONNECT",
        QUIET
        + b"SUB a 1\r\nPUB a 1\r\nx\r\nPING\r\n"
        + _DEAF
        + b"SUB a 1\r\nPUB a 1\r\ny\r\nPING\r\n",
        b"MSG a 1 1\r\nx\r\nPONG\r\nPONG\r\n",
    ),
    several(
        "a message that only its publisher would hear counts towards no limit without echo",
        ("b", _DEAF + b"SUB a 1\r\nUNSUB 1 1\r\nPUB a 1\r\nx\r\nPING\r\n"),
        ("a", QUIET + b"PUB a 1\r\ny\r\nPUB a 1\r\nz\r\nPING\r\n"),
        b=b"PONG\r\nMSG a 1 1\r\ny\r\n",
        a=b"PONG\r\n",
    ),
)

CASES: tuple[Case, ...] = VERBOSE + PEDANTIC + ECHO
