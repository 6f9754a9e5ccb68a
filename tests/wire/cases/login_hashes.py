"""One secret for all, kept as a hash: a user's password, a token."""

from __future__ import annotations

from tests.support.servers import Settings
from tests.wire.case import VIOLATION, Case, Server, fatal, login, talk

_ASKS = b'INFO {"auth_required": true, "headers": true, "max_payload": 1048576, "proto": 1}\r\n'
# Of the password b, and of the token t.
_HASH = "$2b$04$rOa.5f0TDxw9lpQFb3EDh.KDulp3nODIsgClejjoDdVZZ5mDjezua"
_TOKEN_HASH = "$2b$04$X/of/19ctpEcu4rh6kCLMeuKUCqmVB63Rw2gKWp8IH1xQauQ97vOG"

HASHED_USER = Server(
    "hashed user",
    Settings(
        config="""
        authorization {
            user: bob
            password: "HASH"
            timeout: 60
        }
        """.replace("HASH", _HASH)
    ),
    _ASKS,
)

HASHED_TOKEN = Server(
    "hashed token",
    Settings(
        config="""
        authorization {
            token: "HASH"
            timeout: 60
        }
        """.replace("HASH", _TOKEN_HASH)
    ),
    _ASKS,
)

_BOB = login(user="bob", pass_="b")
_QUIET = login()


CASES: tuple[Case, ...] = (
    talk("one user with a hash comes in", _BOB, b"PONG\r\n", server=HASHED_USER),
    fatal(
        "one user with a hash takes no other password",
        login(user="bob", pass_="c"),
        VIOLATION,
        server=HASHED_USER,
    ),
    fatal(
        "one user with a hash takes no other name",
        login(user="ann", pass_="b"),
        VIOLATION,
        server=HASHED_USER,
    ),
    fatal(
        "one user with a hash does not take the hash",
        login(user="bob", pass_=_HASH),
        VIOLATION,
        server=HASHED_USER,
    ),
    fatal("one user with a hash does not take nothing", _QUIET, VIOLATION, server=HASHED_USER),
    talk(
        "what follows a slow CONNECT waits for it",
        _BOB + b"SUB a 1\r\nPUB a 1\r\nx\r\nPING\r\n",
        b"PONG\r\nMSG a 1 1\r\nx\r\nPONG\r\n",
        server=HASHED_USER,
    ),
    fatal(
        "a second CONNECT with a hash is compared again",
        _BOB + login(user="bob", pass_="c"),
        b"PONG\r\n" + VIOLATION,
        server=HASHED_USER,
    ),
    talk("a hashed token comes in", login(auth_token="t"), b"PONG\r\n", server=HASHED_TOKEN),
    fatal("a hashed token takes no other", login(auth_token="u"), VIOLATION, server=HASHED_TOKEN),
    fatal(
        "a hashed token does not take itself",
        login(auth_token=_TOKEN_HASH),
        VIOLATION,
        server=HASHED_TOKEN,
    ),
    fatal(
        "a hashed token does not take a password",
        login(user="t", pass_="t"),
        VIOLATION,
        server=HASHED_TOKEN,
    ),
    fatal("a hashed token does not take nothing", _QUIET, VIOLATION, server=HASHED_TOKEN),
)
