"""PUB: its words, its size, its payload."""

from __future__ import annotations

from tests.wire.case import DEFAULTS, QUIET, TIGHT, Case, fatal, talk
from tests.wire.cases.lines import UNKNOWN

_SUBSCRIBED = QUIET + b"SUB a 1\r\n"
_TOO_BIG = b"-ERR 'Maximum Payload Violation'\r\n"
_TOO_LONG = b"-ERR 'maximum control line exceeded'\r\n"
_ALL_BYTES = bytes(range(256))


def _silent(name: str, line: bytes) -> Case:
    """A PUB that is wrong in its words: nobody gets the message, and the server closes without a
    word.
    """
    return fatal(name, _SUBSCRIBED + line + b"\r\nx\r\nPING\r\n", b"")


PAYLOADS: tuple[Case, ...] = (
    talk(
        "an empty payload is a message",
        _SUBSCRIBED + b"PUB a 0\r\n\r\nPING\r\n",
        b"MSG a 1 0\r\n\r\nPONG\r\n",
    ),
    talk(
        "a reply subject is passed on",
        _SUBSCRIBED + b"PUB a _INBOX.1 1\r\nx\r\nPING\r\n",
        b"MSG a 1 _INBOX.1 1\r\nx\r\nPONG\r\n",
    ),
    talk(
        "a reply subject is not looked at",
        _SUBSCRIBED + b"PUB a .*.> 1\r\nx\r\nPING\r\n",
        b"MSG a 1 .*.> 1\r\nx\r\nPONG\r\n",
    ),
    talk(
        "a payload may be of any bytes",
        _SUBSCRIBED + b"PUB a 256\r\n" + _ALL_BYTES + b"\r\nPING\r\n",
        b"MSG a 1 256\r\n" + _ALL_BYTES + b"\r\nPONG\r\n",
    ),
    talk(
        "a payload may look like the protocol",
        _SUBSCRIBED + b"PUB a 23\r\nPUB a 1\r\nx\r\n\r\nSUB b 2\r\n\r\nPING\r\n",
        b"MSG a 1 23\r\nPUB a 1\r\nx\r\n\r\nSUB b 2\r\n\r\nPONG\r\n",
    ),
    talk(
        "a payload may be line ends only",
        _SUBSCRIBED + b"PUB a 4\r\n\r\n\r\n\r\nPING\r\n",
        b"MSG a 1 4\r\n\r\n\r\n\r\nPONG\r\n",
    ),
    fatal(
        "a payload that ends in a bare LF is fatal",
        _SUBSCRIBED + b"PUB a 1\r\nx\nPING\r\n",
        UNKNOWN,
    ),
    fatal(
        "a payload that ends in nothing is fatal",
        _SUBSCRIBED + b"PUB a 1\r\nxPING\r\n",
        UNKNOWN,
    ),
    fatal(
        "a payload that ends in two CRs is fatal",
        _SUBSCRIBED + b"PUB a 1\r\nx\r\r\nPING\r\n",
        UNKNOWN,
    ),
    fatal(
        "a payload longer than its size is fatal",
        _SUBSCRIBED + b"PUB a 1\r\nxy\r\nPING\r\n",
        UNKNOWN,
    ),
    fatal(
        "a payload shorter than its size is fatal",
        _SUBSCRIBED + b"PUB a 2\r\nx\r\nPING\r\n",
        UNKNOWN,
    ),
    fatal(
        "an empty payload without its line end is fatal",
        _SUBSCRIBED + b"PUB a 0\r\nPING\r\n",
        UNKNOWN,
    ),
    fatal(
        "what was delivered before a fatal line still arrives",
        _SUBSCRIBED + b"PUB a 1\r\nx\r\nFOO\r\n",
        b"MSG a 1 1\r\nx\r\n" + UNKNOWN,
    ),
    fatal(
        "what was delivered before a silent close still arrives",
        _SUBSCRIBED + b"PUB a 1\r\nx\r\nPUB a\r\n",
        b"MSG a 1 1\r\nx\r\n",
    ),
)

WORDS: tuple[Case, ...] = (
    _silent("PUB with a subject only closes in silence", b"PUB a"),
    _silent("PUB with four words closes in silence", b"PUB a b c 1"),
    _silent("PUB with blanks only closes in silence", b"PUB  "),
    _silent("a negative size closes in silence", b"PUB a -1"),
    _silent("a size of letters closes in silence", b"PUB a abc"),
    _silent("a size with letters behind closes in silence", b"PUB a 1x"),
    _silent("a size with a plus closes in silence", b"PUB a +1"),
    _silent("a fraction of a size closes in silence", b"PUB a 1.0"),
    _silent("a hexadecimal size closes in silence", b"PUB a 0x1"),
    _silent("a size with an underscore closes in silence", b"PUB a 1_0"),
    _silent("a size in Arabic digits closes in silence", "PUB a ١".encode()),
    _silent("a size of 10 digits closes in silence", b"PUB a 1000000000"),
    _silent("a size of 10 digits closes in silence, though it be small", b"PUB a 0000000001"),
    _silent("a size beyond 64 bits closes in silence", b"PUB a 99999999999999999999999"),
    _silent("a CR does not part the words of PUB", b"PUB a\r1"),
    _silent("a size with a CR too many closes in silence", b"PUB a 1\r"),
    talk(
        "leading zeroes of a size are passed on",
        _SUBSCRIBED + b"PUB a 00001\r\nx\r\nPING\r\n",
        b"MSG a 1 00001\r\nx\r\nPONG\r\n",
    ),
    talk(
        "a size of 9 digits may be small",
        _SUBSCRIBED + b"PUB a 000000001\r\nx\r\nPING\r\n",
        b"MSG a 1 000000001\r\nx\r\nPONG\r\n",
    ),
    talk(
        "a size of zeroes is empty",
        _SUBSCRIBED + b"PUB a 000\r\n\r\nPING\r\n",
        b"MSG a 1 000\r\n\r\nPONG\r\n",
    ),
)

LIMITS: tuple[Case, ...] = (
    talk(
        "a payload of just max_payload passes",
        _SUBSCRIBED + b"PUB a 1000\r\n" + b"x" * 1000 + b"\r\nPING\r\n",
        b"MSG a 1 1000\r\n" + b"x" * 1000 + b"\r\nPONG\r\n",
    ),
    fatal(
        "a payload of one more than max_payload is fatal",
        _SUBSCRIBED + b"PUB a 1001\r\n" + b"x" * 1001 + b"\r\nPING\r\n",
        _TOO_BIG,
    ),
    fatal(
        "too large a payload is fatal before it is sent",
        _SUBSCRIBED + b"PUB a 1001\r\n",
        _TOO_BIG,
    ),
    fatal(
        "a size of 9 digits is too large",
        _SUBSCRIBED + b"PUB a 999999999\r\n",
        _TOO_BIG,
    ),
    talk(
        "a megabyte passes where the default holds",
        _SUBSCRIBED + b"PUB a 1048576\r\n" + _ALL_BYTES * 4096 + b"\r\nPING\r\n",
        b"MSG a 1 1048576\r\n" + _ALL_BYTES * 4096 + b"\r\nPONG\r\n",
        server=DEFAULTS,
    ),
    fatal(
        "a megabyte and a byte are fatal where the default holds",
        _SUBSCRIBED + b"PUB a 1048577\r\n",
        _TOO_BIG,
        server=DEFAULTS,
    ),
    talk(
        "a control line of 4096 bytes after its verb passes",
        QUIET + b"SUB " + b"a" * 4094 + b" 1\r\nPING\r\n",
        b"PONG\r\n",
    ),
    fatal(
        "a control line of more than 4096 bytes is fatal",
        QUIET + b"SUB " + b"a" * 4100 + b" 1\r\nPING\r\n",
        _TOO_LONG,
    ),
    fatal(
        "a control line of more than 4096 bytes is fatal before it ends",
        QUIET + b"SUB " + b"a" * 5000,
        _TOO_LONG,
    ),
    fatal(
        "too long a CONNECT is fatal",
        b'CONNECT {"verbose":false,"name":"' + b"n" * 4096 + b'"}\r\nPING\r\n',
        _TOO_LONG,
    ),
    fatal("too long a PUB is fatal", QUIET + b"PUB " + b"a" * 4096 + b" 1\r\n", _TOO_LONG),
    talk(
        "a control line of max_control_line bytes after its verb passes",
        QUIET + b"SUB " + b"a" * 62 + b" 1\r\nPUB " + b"a" * 62 + b" 1\r\nx\r\nPING\r\n",
        b"MSG " + b"a" * 62 + b" 1 1\r\nx\r\nPONG\r\n",
        server=TIGHT,
    ),
    fatal(
        "a control line of one more than max_control_line bytes is fatal",
        QUIET + b"SUB " + b"a" * 63 + b" 1\r\nPING\r\n",
        _TOO_LONG,
        server=TIGHT,
    ),
    talk(
        "a payload may be longer than a control line",
        QUIET + b"SUB a 1\r\nPUB a 100\r\n" + b"x" * 100 + b"\r\nPING\r\n",
        b"MSG a 1 100\r\n" + b"x" * 100 + b"\r\nPONG\r\n",
        server=TIGHT,
    ),
)

CASES: tuple[Case, ...] = PAYLOADS + WORDS + LIMITS
