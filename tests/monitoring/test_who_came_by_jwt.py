"""What `/connz` tells of users by JWT, beside the real nats-server.

Of the tokens themselves ours shows none: that of a bearer is all it takes to come in.
"""

from __future__ import annotations

import json
import re
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from broker import Broker
from tests.support.jwts import ACCOUNT, USER, Signer, account, configuration, hello, user
from tests.support.raw_client import RawClient
from tests.support.servers import ServerProcess, real_server_path

KEY, BOB = Signer("A", 60), Signer("U", 61)
SCOPE = {"kind": "user_scope", "key": KEY.key, "template": {"subs": 5}}
SCHOOL = account({"signing_keys": [SCOPE], "tags": ["site:north"]}, name="school")
TOKENS = {
    USER: user({"tags": ["team:red", "level:7"]}, name="ann"),
    BOB: KEY.vouch("user", BOB.key, {"issuer_account": ACCOUNT.key}, name="bob"),
}


def _connections(port: int, http_port: int) -> list[dict[str, Any]]:
    """Two users as they are listed, without what differs by nature, and without the token."""
    url = f"http://127.0.0.1:{http_port}/connz?auth=1"
    with ExitStack() as stack:
        for who, token in TOKENS.items():
            client = stack.enter_context(RawClient(port))
            client.send(hello(token, client.info["nonce"], who) + b"PING\r\n")
            client.read_to_pong()
        with urllib.request.urlopen(url, timeout=10) as answer:
            found = json.load(answer)["connections"]
    names = ("authorized_user", "account", "issuer_key", "name_tag", "tags")
    return [{name: one[name] for name in names if name in one} for one in found]


def test_a_user_by_jwt_is_listed_with_who_signed_it_and_with_its_tags(tmp_path: Path) -> None:
    file = tmp_path / "server.conf"
    text = configuration({ACCOUNT.key: SCHOOL})
    file.write_text(text + 'http: "127.0.0.1:-1"\n')
    with ServerProcess([str(real_server_path()), "-c", str(file)]) as real:
        (http_port,) = re.findall(r"http monitor on \S+:(\d+)", "\n".join(real.log))
        expected = _connections(real.port, int(http_port))
    file.write_text(text)
    with Broker(config=file, port=0, http_port=0) as ours:
        assert ours.http_port is not None
        assert expected == _connections(ours.port, ours.http_port)
    assert [ACCOUNT.key, KEY.key] == [one["issuer_key"] for one in expected]
