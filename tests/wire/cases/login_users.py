"""Many users: by password, bcrypt hash and nkey, by the doors that they may use."""

from __future__ import annotations

from tests.support.jwts import USER
from tests.support.servers import Settings
from tests.wire.case import SIGNATURE, VIOLATION, Case, Server, connected, fatal, login, talk

# Of the password b.
_HASH = "$2b$04$rOa.5f0TDxw9lpQFb3EDh.KDulp3nODIsgClejjoDdVZZ5mDjezua"

USERS = Server(
    "users",
    Settings(
        config="""
        authorization {
            timeout: 60
            users: [
                { user: ann, password: a }
                { user: bob, password: "HASH" }
                { user: none, password: "" }
                { user: wes, password: w, allowed_connection_types: [WEBSOCKET] }
                { user: sam, password: s, allowed_connection_types: [standard, WEBSOCKET] }
                { nkey: KEY }
            ]
        }
        """.replace("HASH", _HASH).replace("KEY", USER.key)
    ),
    b'INFO {"auth_required": true, "headers": true, "max_payload": 1048576, "nonce": "any",'
    b' "proto": 1}\r\n',
)


_ANN, _BOB = login(user="ann", pass_="a"), login(user="bob", pass_="b")
_KEY = login(nkey=USER.key, sig=SIGNATURE)
_OTHER_KEY = USER.key[:-1] + ("A" if USER.key[-1] != "A" else "B")


CASES: tuple[Case, ...] = (
    talk("the first of many users comes in", _ANN, b"PONG\r\n", server=USERS),
    talk("a user with a bcrypt hash comes in", _BOB, b"PONG\r\n", server=USERS),
    fatal(
        "a bcrypt hash does not take another password",
        login(user="bob", pass_="c"),
        VIOLATION,
        server=USERS,
    ),
    fatal(
        "a bcrypt hash does not take itself",
        login(user="bob", pass_=_HASH),
        VIOLATION,
        server=USERS,
    ),
    fatal(
        "a bcrypt hash does not take nothing", login(user="bob", pass_=""), VIOLATION, server=USERS
    ),
    fatal(
        "a password of another user is refused",
        login(user="ann", pass_="b"),
        VIOLATION,
        server=USERS,
    ),
    fatal(
        "a password without a user is refused where there are many",
        login(pass_="a"),
        VIOLATION,
        server=USERS,
    ),
    fatal(
        "a user that is not there is refused where there are many",
        login(user="eve", pass_="a"),
        VIOLATION,
        server=USERS,
    ),
    fatal("an empty name is refused", login(user="", pass_="empty"), VIOLATION, server=USERS),
    talk(
        "a user with an empty password comes in",
        login(user="none", pass_=""),
        b"PONG\r\n",
        server=USERS,
    ),
    fatal(
        "an empty password takes no other", login(user="none", pass_="x"), VIOLATION, server=USERS
    ),
    talk(
        "a user with an empty password need not send one",
        login(user="none"),
        b"PONG\r\n",
        server=USERS,
    ),
    fatal("nothing at all is refused where there are many", login(), VIOLATION, server=USERS),
    fatal(
        "a token is refused where there are users", login(auth_token="a"), VIOLATION, server=USERS
    ),
    talk(
        "a token beside a user is not looked at",
        login(user="ann", pass_="a", auth_token="x"),
        b"PONG\r\n",
        server=USERS,
    ),
    fatal(
        "a user who may only come by WebSocket is refused",
        login(user="wes", pass_="w"),
        VIOLATION,
        server=USERS,
    ),
    talk(
        "a user who may come by either door comes in",
        login(user="sam", pass_="s"),
        b"PONG\r\n",
        server=USERS,
    ),
    talk("a user by nkey comes in", _KEY, b"PONG\r\n", server=USERS),
    fatal("an nkey without a signature is refused", login(nkey=USER.key), VIOLATION, server=USERS),
    fatal(
        "an nkey with an empty signature is refused",
        login(nkey=USER.key, sig=""),
        VIOLATION,
        server=USERS,
    ),
    fatal(
        "an nkey with a signature that is no base64 is refused",
        login(nkey=USER.key, sig="!!!"),
        VIOLATION,
        server=USERS,
    ),
    fatal(
        "an nkey with a short signature is refused",
        login(nkey=USER.key, sig="AAAA"),
        VIOLATION,
        server=USERS,
    ),
    fatal(
        "an nkey with a signature of something else is refused",
        login(nkey=USER.key, sig=USER.sign(b"x")),
        VIOLATION,
        server=USERS,
    ),
    fatal(
        "an nkey that is not there is refused",
        login(nkey=_OTHER_KEY, sig=SIGNATURE),
        VIOLATION,
        server=USERS,
    ),
    fatal(
        "an nkey that is none is refused", login(nkey="U", sig=SIGNATURE), VIOLATION, server=USERS
    ),
    fatal(
        "an nkey beside a right password counts",
        login(nkey="U", user="ann", pass_="a"),
        VIOLATION,
        server=USERS,
    ),
    talk(
        "a right nkey beside a wrong password comes in",
        login(nkey=USER.key, sig=SIGNATURE, user="ann", pass_="x"),
        b"PONG\r\n",
        server=USERS,
    ),
    talk(
        "a signature without an nkey is not looked at",
        login(user="ann", pass_="a", sig="x"),
        b"PONG\r\n",
        server=USERS,
    ),
    talk(
        "a JWT where there is no operator is not looked at",
        login(user="ann", pass_="a", jwt="x"),
        b"PONG\r\n",
        server=USERS,
    ),
    fatal(
        "a JWT alone where there is no operator is refused", login(jwt="x"), VIOLATION, server=USERS
    ),
    talk("a second CONNECT may be another user's", _ANN + _BOB, b"PONG\r\nPONG\r\n", server=USERS),
    talk("a second CONNECT may be by nkey", _ANN + _KEY, b"PONG\r\nPONG\r\n", server=USERS),
    talk(
        "a second CONNECT by password may follow one by nkey",
        _KEY + _ANN,
        b"PONG\r\nPONG\r\n",
        server=USERS,
    ),
    fatal(
        "a second CONNECT with a wrong password is refused where there are many",
        _ANN + login(user="bob", pass_="x"),
        b"PONG\r\n" + VIOLATION,
        server=USERS,
    ),
    fatal(
        "a second CONNECT keeps the password and takes another name",
        _BOB + login(user="ann"),
        b"PONG\r\n" + VIOLATION,
        server=USERS,
    ),
    talk(
        "a second CONNECT drops subscriptions where there are many",
        _ANN + b"SUB a 1\r\n" + _BOB + b"PUB a 1\r\nx\r\nPING\r\n",
        b"PONG\r\nPONG\r\nPONG\r\n",
        server=USERS,
    ),
    fatal(
        "a user in capital letters is another",
        login(user="ANN", pass_="a"),
        VIOLATION,
        server=USERS,
    ),
    fatal(
        "a name with a blank behind is another",
        login(user="ann ", pass_="a"),
        VIOLATION,
        server=USERS,
    ),
    fatal(
        "a password with a blank behind is another",
        login(user="ann", pass_="a "),
        VIOLATION,
        server=USERS,
    ),
    fatal(
        "SUB before CONNECT is refused where there are many",
        b"SUB a 1\r\nPING\r\n",
        VIOLATION,
        server=USERS,
    ),
    talk("a CONNECT in two writes comes in", (_ANN[:20], _ANN[20:]), b"PONG\r\n", server=USERS),
    fatal(
        "a broken CONNECT closes in silence where there are many",
        b'CONNECT {"user":"ann",}\r\nPING\r\n',
        b"",
        server=USERS,
    ),
    fatal(
        "a user that is a number closes in silence",
        b'CONNECT {"user":1,"pass":"a"}\r\nPING\r\n',
        b"",
        server=USERS,
    ),
    fatal(
        "a password that is a number closes in silence",
        b'CONNECT {"user":"ann","pass":1}\r\nPING\r\n',
        b"",
        server=USERS,
    ),
    talk(
        "a null password is an empty one",
        b'CONNECT {"verbose":false,"user":"none","pass":null}\r\nPING\r\n',
        b"PONG\r\n",
        server=USERS,
    ),
    talk(
        "USER and PASS may be in capital letters",
        b'CONNECT {"VERBOSE":false,"USER":"ann","PASS":"a"}\r\nPING\r\n',
        b"PONG\r\n",
        server=USERS,
    ),
    talk(
        "the last of two users counts",
        b'CONNECT {"verbose":false,"user":"x","pass":"a","user":"ann"}\r\nPING\r\n',
        b"PONG\r\n",
        server=USERS,
    ),
    fatal(
        "protocol 2 is refused after a right password",
        login(user="ann", pass_="a", protocol=2),
        b"-ERR 'invalid client protocol'\r\n",
        server=USERS,
    ),
    fatal(
        "protocol 2 with a wrong password is refused as a login",
        login(user="ann", pass_="x", protocol=2),
        VIOLATION,
        server=USERS,
    ),
    fatal(
        "no_responders without headers is refused after a right password",
        login(user="ann", pass_="a", no_responders=True),
        b"-ERR 'no responders requires headers support'\r\n",
        server=USERS,
    ),
    fatal(
        "no_responders with a wrong password is refused as a login",
        login(user="ann", pass_="x", no_responders=True),
        VIOLATION,
        server=USERS,
    ),
    fatal(
        "a verbose client is told nothing of a refused login",
        login(verbose=True, user="ann", pass_="x") + b"SUB a 1\r\nPING\r\n",
        VIOLATION,
        server=USERS,
    ),
    talk(
        "a verbose client is told of each step after it came in",
        login(verbose=True, user="ann", pass_="a") + b"SUB a 1\r\nPUB a 1\r\nx\r\nPING\r\n",
        b"+OK\r\nPONG\r\n+OK\r\n+OK\r\nMSG a 1 1\r\nx\r\nPONG\r\n",
        server=USERS,
    ),
    talk(
        "a verbose client is told of a second login",
        login(verbose=True, user="ann", pass_="a") + login(verbose=True, user="bob", pass_="b"),
        b"+OK\r\nPONG\r\n+OK\r\nPONG\r\n",
        server=USERS,
    ),
    talk(
        "a verbose client by nkey is told that it is in",
        login(verbose=True, nkey=USER.key, sig=SIGNATURE),
        b"+OK\r\nPONG\r\n",
        server=USERS,
    ),
    talk(
        "a pedantic client that came in is told of a bad subject",
        login(pedantic=True, user="ann", pass_="a") + b"PUB a..b 1\r\nx\r\nPING\r\n",
        b"PONG\r\n-ERR 'Invalid Publish Subject'\r\nPONG\r\n",
        server=USERS,
    ),
    talk(
        "headers are given to who came in",
        login(headers=True, user="ann", pass_="a")
        + b"SUB a 1\r\nHPUB a 12 13\r\nNATS/1.0\r\n\r\nx\r\nPING\r\n",
        b"PONG\r\nHMSG a 1 12 13\r\nNATS/1.0\r\n\r\nx\r\nPONG\r\n",
        server=USERS,
    ),
    fatal(
        "headers are refused to who did not ask for them",
        _ANN + b"HPUB a 12 13\r\nNATS/1.0\r\n\r\nx\r\n",
        b"PONG\r\n",
        server=USERS,
    ),
    fatal("a name in Chinese is no user", login(user="安", pass_="a"), VIOLATION, server=USERS),
    fatal(
        "a very long password is refused",
        login(user="ann", pass_="a" * 1000),
        VIOLATION,
        server=USERS,
    ),
    fatal(
        "a CONNECT longer than a control line may be is refused",
        login(user="ann", pass_="a", name="n" * 5000),
        b"-ERR 'maximum control line exceeded'\r\n",
        server=USERS,
    ),
    talk(
        "the second INFO tells the account of an nkey",
        login(protocol=1, nkey=USER.key, sig=SIGNATURE),
        b"PONG\r\n" + connected("$G"),
        server=USERS,
    ),
    fatal(
        "an account may not be chosen by a user",
        login(verbose=True, user="ann", pass_="a", account="$G"),
        VIOLATION,
        server=USERS,
    ),
)
