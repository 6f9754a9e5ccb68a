"""Users of several accounts: who is where, with which limits, and what comes over."""

from __future__ import annotations

from tests.support.servers import Settings
from tests.wire.case import VIOLATION, Case, Server, connected, fatal, login, several, talk

_ASKS = b'INFO {"auth_required": true, "headers": true, "max_payload": 1048576, "proto": 1}\r\n'
ACCOUNTS = Server(
    "accounts",
    Settings(
        config="""
        authorization { timeout: 60 }
        accounts {
            A {
                users: [ { user: ann, password: a }, { user: al, password: a } ]
                exports: [ { stream: "out.>" }, { service: "ask", accounts: [B] } ]
                default_permissions: { publish: { deny: "no" } }
            }
            B {
                users: [ { user: bob, password: b } ]
                imports: [
                    { stream: { account: A, subject: "out.>" }, prefix: from }
                    { service: { account: A, subject: ask }, to: please }
                ]
            }
            C {
                users: [ { user: cid, password: c } ]
                limits { max_subscriptions: 1, max_payload: 4 }
            }
            D { users: [ { user: dan, password: d } ], limits { max_connections: 1 } }
        }
        """
    ),
    _ASKS,
)


_ANN, _BOB = login(user="ann", pass_="a"), login(user="bob", pass_="b")
_QUIET = login()


CASES: tuple[Case, ...] = (
    talk(
        "a user of an account is told which",
        login(protocol=1, user="bob", pass_="b"),
        b"PONG\r\n" + connected("B"),
        server=ACCOUNTS,
    ),
    fatal(
        "a user without an account's password is refused",
        login(user="bob", pass_="a"),
        VIOLATION,
        server=ACCOUNTS,
    ),
    fatal("nobody is refused where there are accounts", _QUIET, VIOLATION, server=ACCOUNTS),
    talk(
        "an account's default permissions hold for its users",
        _ANN + b"SUB > 1\r\nPUB no 1\r\nx\r\nPUB yes 1\r\nx\r\nPING\r\n",
        b"PONG\r\n-ERR 'Permissions Violation for Publish to \"no\"'\r\n"
        b"MSG yes 1 1\r\nx\r\nPONG\r\n",
        server=ACCOUNTS,
    ),
    talk(
        "a second CONNECT goes to another account",
        _ANN + b"SUB a 1\r\n" + _BOB + b"SUB a 1\r\nPUB a 1\r\nx\r\nPING\r\n",
        b"PONG\r\nPONG\r\nMSG a 1 1\r\nx\r\nPONG\r\n",
        server=ACCOUNTS,
    ),
    talk(
        "an account's limit of subscriptions holds for a connection",
        login(user="cid", pass_="c") + b"SUB a 1\r\nSUB b 2\r\nPING\r\n",
        b"PONG\r\n-ERR 'maximum subscriptions exceeded'\r\nPONG\r\n",
        server=ACCOUNTS,
    ),
    talk(
        "an account's limit of subscriptions counts those that there are",
        login(user="cid", pass_="c") + b"SUB a 1\r\nUNSUB 1\r\nSUB b 2\r\nPING\r\n",
        b"PONG\r\nPONG\r\n",
        server=ACCOUNTS,
    ),
    fatal(
        "an account's limit of the payload closes",
        login(user="cid", pass_="c") + b"PUB a 5\r\nxxxxx\r\nPING\r\n",
        b"PONG\r\n-ERR 'Maximum Payload Violation'\r\n",
        server=ACCOUNTS,
    ),
    talk(
        "an account's limit of the payload is in the second INFO",
        login(protocol=1, user="cid", pass_="c"),
        b"PONG\r\n" + connected("C", max_payload=4),
        server=ACCOUNTS,
    ),
    fatal(
        "an account's limit of the payload counts headers",
        login(headers=True, user="cid", pass_="c")
        + b"HPUB a 12 12\r\nNATS/1.0\r\n\r\n\r\nPING\r\n",
        b"PONG\r\n-ERR 'Maximum Payload Violation'\r\n",
        server=ACCOUNTS,
    ),
    fatal(
        "an account may not be chosen where there are accounts",
        login(verbose=True, user="ann", pass_="a", account="A"),
        VIOLATION,
        server=ACCOUNTS,
    ),
    talk(
        "a request for a service that nobody gives is answered by 503",
        login(headers=True, no_responders=True, user="bob", pass_="b")
        + b"SUB r 1\r\nPUB please r 1\r\nx\r\nPING\r\n",
        b"PONG\r\nHMSG r 1 38 38\r\nNATS/1.0 503\r\nNats-Subject: please\r\n\r\n\r\nPONG\r\n",
        server=ACCOUNTS,
    ),
    several(
        "two accounts do not hear one another",
        ("a", _ANN + b"SUB x 1\r\nPING\r\n"),
        ("b", _BOB + b"SUB x 1\r\nPUB x 1\r\nx\r\nPING\r\n"),
        ("a", b"PING\r\n"),
        a=b"PONG\r\nPONG\r\nPONG\r\n",
        b=b"PONG\r\nMSG x 1 1\r\nx\r\nPONG\r\n",
        server=ACCOUNTS,
    ),
    several(
        "two users of one account hear one another",
        ("a", _ANN + b"SUB x 1\r\nPING\r\n"),
        ("b", login(user="al", pass_="a") + b"PUB x 1\r\nx\r\nPING\r\n"),
        ("a", b"PING\r\n"),
        a=b"PONG\r\nPONG\r\nMSG x 1 1\r\nx\r\nPONG\r\n",
        b=b"PONG\r\nPONG\r\n",
        server=ACCOUNTS,
    ),
    several(
        "a stream comes over with its prefix",
        ("a", _BOB + b"SUB from.> 1\r\nPING\r\n"),
        ("b", _ANN + b"PUB out.x r 1\r\nx\r\nPING\r\n"),
        ("a", b"PING\r\n"),
        a=b"PONG\r\nPONG\r\nMSG from.out.x 1 r 1\r\nx\r\nPONG\r\n",
        b=b"PONG\r\nPONG\r\n",
        server=ACCOUNTS,
    ),
    several(
        "an account with room for one is full with one",
        ("a", login(user="dan", pass_="d")),
        ("b", login(user="dan", pass_="d")),
        ("a", b"PING\r\n"),
        a=b"PONG\r\nPONG\r\n",
        b=b"-ERR 'maximum account active connections exceeded'\r\n",
        closed="b",
        server=ACCOUNTS,
    ),
    several(
        "a stream that is not exported stays",
        ("a", _BOB + b"SUB > 1\r\nPING\r\n"),
        ("b", _ANN + b"PUB in.x 1\r\nx\r\nPING\r\n"),
        ("a", b"PING\r\n"),
        a=b"PONG\r\nPONG\r\nPONG\r\n",
        b=b"PONG\r\nPONG\r\n",
        server=ACCOUNTS,
    ),
)
