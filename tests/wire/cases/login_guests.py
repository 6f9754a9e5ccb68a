"""Guests, and permissions that hold for those without their own."""

from __future__ import annotations

from tests.support.servers import Settings
from tests.wire.case import VIOLATION, Case, Server, connected, fatal, login, several, talk

_ASKS = b'INFO {"auth_required": true, "headers": true, "max_payload": 1048576, "proto": 1}\r\n'
_OPEN = b'INFO {"headers": true, "max_payload": 1048576, "proto": 1}\r\n'

GUEST = Server(
    "guest",
    Settings(
        config="""
        authorization {
            timeout: 60
            users: [
                { user: ann, password: a }
                {
                    user: guest, password: g
                    permissions: { publish: { deny: "secret.>" }, subscribe: ["news.>", "in"] }
                }
            ]
        }
        no_auth_user: guest
        """
    ),
    _OPEN,
)

DEFAULT_PERMISSIONS = Server(
    "default permissions",
    Settings(
        config="""
        authorization {
            timeout: 60
            default_permissions: { publish: "a.>", subscribe: "a.>" }
            users: [
                { user: ann, password: a }
                { user: bob, password: b, permissions: { publish: "b", subscribe: "b" } }
                { user: eve, password: e, permissions: { publish: "b" } }
                {
                    user: sid, password: s
                    permissions: { subscribe: "q.>", allow_responses: { max: 1, expires: "1m" } }
                }
            ]
        }
        """
    ),
    _ASKS,
)

_ANN, _BOB = login(user="ann", pass_="a"), login(user="bob", pass_="b")
_QUIET = login()


CASES: tuple[Case, ...] = (
    talk(
        "a guest need not say CONNECT",
        b"SUB news.a 1\r\nPUB news.a 1\r\nx\r\nPING\r\n",
        b"+OK\r\n+OK\r\nMSG news.a 1 1\r\nx\r\nPONG\r\n",
        server=GUEST,
    ),
    talk("a guest may say CONNECT without credentials", _QUIET, b"PONG\r\n", server=GUEST),
    talk(
        "a guest may not do what its permissions leave out",
        _QUIET + b"SUB other 1\r\nPING\r\n",
        b"PONG\r\n-ERR 'Permissions Violation for Subscription to \"other\"'\r\nPONG\r\n",
        server=GUEST,
    ),
    talk(
        "a guest may not publish what it is denied",
        _QUIET + b"PUB secret.a 1\r\nx\r\nPING\r\n",
        b"PONG\r\n-ERR 'Permissions Violation for Publish to \"secret.a\"'\r\nPONG\r\n",
        server=GUEST,
    ),
    talk(
        "a guest without CONNECT has its permissions at once",
        b"SUB other 1\r\nPING\r\n",
        b"-ERR 'Permissions Violation for Subscription to \"other\"'\r\nPONG\r\n",
        server=GUEST,
    ),
    talk(
        "a guest without CONNECT is verbose",
        b"SUB in 1\r\nPING\r\n",
        b"+OK\r\nPONG\r\n",
        server=GUEST,
    ),
    talk(
        "a guest who logs in later may do more",
        _QUIET + b"SUB other 1\r\n" + _ANN + b"SUB other 1\r\nPUB other 1\r\nx\r\nPING\r\n",
        b"PONG\r\n"
        b"-ERR 'Permissions Violation for Subscription to \"other\"'\r\n"
        b"PONG\r\nMSG other 1 1\r\nx\r\nPONG\r\n",
        server=GUEST,
    ),
    fatal(
        "a guest who logs in with a wrong password is refused",
        _QUIET + login(user="ann", pass_="x"),
        b"PONG\r\n" + VIOLATION,
        server=GUEST,
    ),
    fatal("a wrong password is no guest", login(user="ann", pass_="x"), VIOLATION, server=GUEST),
    fatal("an unknown user is no guest", login(user="eve", pass_="x"), VIOLATION, server=GUEST),
    fatal("a token is no guest", login(auth_token="x"), VIOLATION, server=GUEST),
    fatal("a password alone is no guest", login(pass_="x"), VIOLATION, server=GUEST),
    talk(
        "a guest may come by its own name and password",
        login(user="guest", pass_="g"),
        b"PONG\r\n",
        server=GUEST,
    ),
    fatal(
        "a guest by its own name needs its password", login(user="guest"), VIOLATION, server=GUEST
    ),
    talk("a guest's PING is enough", b"PING\r\n", b"PONG\r\n", server=GUEST),
    talk(
        "a guest may say connect in lower case",
        b'connect {"verbose":false}\r\nPING\r\n',
        b"PONG\r\n",
        server=GUEST,
    ),
    talk(
        "the second INFO of a guest says that one may log in",
        login(protocol=1),
        b"PONG\r\n" + connected("$G"),
        server=GUEST,
    ),
    fatal(
        "a broken CONNECT of a guest closes in silence",
        b"CONNECT {x}\r\nPING\r\n",
        b"",
        server=GUEST,
    ),
    fatal(
        "an unknown verb of a guest is refused as such",
        b"FOO\r\nPING\r\n",
        b"-ERR 'Unknown Protocol Operation'\r\n",
        server=GUEST,
    ),
    talk(
        "a user beside guests may do everything",
        _ANN + b"SUB secret.> 1\r\nPUB secret.a 1\r\nx\r\nPING\r\n",
        b"PONG\r\nMSG secret.a 1 1\r\nx\r\nPONG\r\n",
        server=GUEST,
    ),
    talk(
        "a user without permissions has the default ones",
        _ANN + b"SUB a.b 1\r\nPUB a.b 1\r\nx\r\nPUB b 1\r\nx\r\nSUB b 2\r\nPING\r\n",
        b"PONG\r\nMSG a.b 1 1\r\nx\r\n"
        b"-ERR 'Permissions Violation for Publish to \"b\"'\r\n"
        b"-ERR 'Permissions Violation for Subscription to \"b\"'\r\nPONG\r\n",
        server=DEFAULT_PERMISSIONS,
    ),
    talk(
        "a user's own permissions come instead of the default",
        _BOB + b"SUB b 1\r\nPUB b 1\r\nx\r\nPUB a.b 1\r\nx\r\nSUB a.b 2\r\nPING\r\n",
        b"PONG\r\nMSG b 1 1\r\nx\r\n"
        b"-ERR 'Permissions Violation for Publish to \"a.b\"'\r\n"
        b"-ERR 'Permissions Violation for Subscription to \"a.b\"'\r\n"
        b"PONG\r\n",
        server=DEFAULT_PERMISSIONS,
    ),
    talk(
        "a user with one direction of its own is free in the other",
        login(user="eve", pass_="e")
        + b"SUB a.b 1\r\nPUB a.b 1\r\nx\r\nSUB c 2\r\nPUB b 1\r\nx\r\nPING\r\n",
        b"PONG\r\n-ERR 'Permissions Violation for Publish to \"a.b\"'\r\nPONG\r\n",
        server=DEFAULT_PERMISSIONS,
    ),
    talk(
        "a user who may answer may not publish else",
        login(user="sid", pass_="s") + b"SUB q.a 1\r\nPUB a 1\r\nx\r\nPING\r\n",
        b"PONG\r\n-ERR 'Permissions Violation for Publish to \"a\"'\r\nPONG\r\n",
        server=DEFAULT_PERMISSIONS,
    ),
    talk(
        "a second CONNECT changes what one may do",
        _ANN + _BOB + b"PUB a.b 1\r\nx\r\nPUB b 1\r\nx\r\nPING\r\n",
        b"PONG\r\nPONG\r\n-ERR 'Permissions Violation for Publish to \"a.b\"'\r\nPONG\r\n",
        server=DEFAULT_PERMISSIONS,
    ),
    talk(
        "a refused publish is no +OK",
        login(verbose=True, user="ann", pass_="a") + b"PUB b 1\r\nx\r\nPUB a.x 1\r\nx\r\nPING\r\n",
        b"+OK\r\nPONG\r\n-ERR 'Permissions Violation for Publish to \"b\"'\r\n+OK\r\nPONG\r\n",
        server=DEFAULT_PERMISSIONS,
    ),
    talk(
        "a refused SUB is no +OK",
        login(verbose=True, user="ann", pass_="a") + b"SUB b 1\r\nSUB a.x 2\r\nPING\r\n",
        b"+OK\r\nPONG\r\n-ERR 'Permissions Violation for Subscription to \"b\"'\r\n+OK\r\nPONG\r\n",
        server=DEFAULT_PERMISSIONS,
    ),
    talk(
        "a refused publish with headers names its subject",
        login(headers=True, user="ann", pass_="a")
        + b"HPUB b 12 13\r\nNATS/1.0\r\n\r\nx\r\nPING\r\n",
        b"PONG\r\n-ERR 'Permissions Violation for Publish to \"b\"'\r\nPONG\r\n",
        server=DEFAULT_PERMISSIONS,
    ),
    talk(
        "a pedantic client hears of a bad subject before it is refused",
        login(pedantic=True, user="ann", pass_="a") + b"PUB b..c 1\r\nx\r\nPING\r\n",
        b"PONG\r\n-ERR 'Invalid Publish Subject'\r\n"
        b"-ERR 'Permissions Violation for Publish to \"b..c\"'\r\nPONG\r\n",
        server=DEFAULT_PERMISSIONS,
    ),
    talk(
        "a queue group needs the same permission",
        _ANN + b"SUB b q 1\r\nSUB a.x q 2\r\nPING\r\n",
        b"PONG\r\n"
        b'-ERR \'Permissions Violation for Subscription to "b" using queue "q"\'\r\n'
        b"PONG\r\n",
        server=DEFAULT_PERMISSIONS,
    ),
    talk(
        "a wildcard beyond what is allowed is refused",
        _ANN + b"SUB > 1\r\nSUB a.> 2\r\nSUB *.b 3\r\nPING\r\n",
        b"PONG\r\n-ERR 'Permissions Violation for Subscription to \">\"'\r\n"
        b"-ERR 'Permissions Violation for Subscription to \"*.b\"'\r\n"
        b"PONG\r\n",
        server=DEFAULT_PERMISSIONS,
    ),
    talk(
        "a sid of a refused SUB may be used again",
        _ANN + b"SUB b 1\r\nSUB a.x 1\r\nPUB a.x 1\r\nx\r\nPING\r\n",
        b"PONG\r\n-ERR 'Permissions Violation for Subscription to \"b\"'\r\n"
        b"MSG a.x 1 1\r\nx\r\nPONG\r\n",
        server=DEFAULT_PERMISSIONS,
    ),
    talk(
        "an UNSUB of a refused SUB is no error",
        _ANN + b"SUB b 1\r\nUNSUB 1\r\nPING\r\n",
        b"PONG\r\n-ERR 'Permissions Violation for Subscription to \"b\"'\r\nPONG\r\n",
        server=DEFAULT_PERMISSIONS,
    ),
    talk(
        "a refused request names its subject and not its reply",
        _ANN + b"PUB b a.r 1\r\nx\r\nPING\r\n",
        b"PONG\r\n-ERR 'Permissions Violation for Publish to \"b\"'\r\nPONG\r\n",
        server=DEFAULT_PERMISSIONS,
    ),
    talk(
        "a reply outside of what may be published is no error",
        _ANN + b"SUB a.x 1\r\nPUB a.x b 1\r\nx\r\nPING\r\n",
        b"PONG\r\nMSG a.x 1 b 1\r\nx\r\nPONG\r\n",
        server=DEFAULT_PERMISSIONS,
    ),
    several(
        "a guest hears what a user says and may say less",
        ("a", _QUIET + b"SUB news.> 1\r\nPING\r\n"),
        ("b", _ANN + b"PUB news.a 1\r\nx\r\nPUB other 1\r\nx\r\nPING\r\n"),
        ("a", b"PING\r\n"),
        a=b"PONG\r\nPONG\r\nMSG news.a 1 1\r\nx\r\nPONG\r\n",
        b=b"PONG\r\nPONG\r\n",
        server=GUEST,
    ),
)
