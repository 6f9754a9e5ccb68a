"""Configuration files are accepted and refused as by nats-server, which is asked (``-t``).

In `configurations/` are the files, with ``====`` between them: those of which we say the same, word
for word or with words behind it, and those that we refuse in the same place in words of our own
(nats-server tells the types of Go). Where we differ on purpose, the reason stands below.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from broker.conffile import check
from broker.config import ConfigError
from tests.support.servers import real_server_path

HERE = Path(__file__).parent / "configurations"

#: What only one of the two accepts, and why. True: nats-server does.
DIFFERENT = [
    # A check is a check: nats-server looks at what values say together only when it starts.
    ("port: 70000", True),
    ("write_deadline: '-1s'", True),
    ("no_auth_user: nope", True),
    ("system_account: NOPE", True),
    ("websocket { port: 80 }", True),
    ("http_port: 8222\nhttps: 8223", True),
    ("leafnodes { port: -1, authorization { user: a, account: NOPE } }", True),
    ("leafnodes { remotes: [ { url: 'nats://a:1', account: NOPE } ] }", True),
    ("websocket { port: 80, no_tls: true, jwt_cookie: j }", True),
    ("lame_duck_grace_period: '5m'", True),
    # It would start and be of no use, or not do what was meant.
    ("max_connections: 0", True),
    ("max_payload: -1", True),
    ("websocket { no_tls: true }", True),
    ("tls { }", True),
    ("leafnodes { }", True),
    ("leafnodes { remotes: [ { account: '$G' } ] }", True),
    ("leafnodes { remotes: [ { url: 'nats://a:1/b' } ] }", True),
    ("accounts: 1", True),
    ("accounts { A { exports: [{stream: 'x..y'}] } }", True),
    ("{\n port: 4222\n", True),
    ("port: 4222 }", True),
    # Which of the two counts, is there a matter of chance.
    ("authorization { user: a, username: b }", True),
    # Not there, so refused by name.
    ("cluster { }", True),
    ("leafnodes { port: -1, compression: s2_fast }", True),
    ("leafnodes { port: -1, min_version: '2.8.0' }", True),
    ("leafnodes { remotes: [ { url: 'ws://a:1' } ] }", True),
    ("jetstream: enabled", True),
    ("accounts { A { jetstream: enabled } }", True),
    ("accounts { A { exports: [{service: x, latency: a.b}] } }", True),
    ("accounts { A { mappings { a: [{dest: b, weight: 10, cluster: c}] } } }", True),
    ("server_tags: [a, b]", True),
    # Ours alone.
    ("authorization { users: [{user: a, password: b, ingress: {bytes: 1mb}}] }", False),
]


def cases(name: str) -> list[str]:
    return (HERE / f"{name}.txt").read_text(encoding="utf-8").rstrip("\n").split("\n====\n")


def real(path: Path) -> tuple[bool, list[str]]:
    """Whether nats-server accepts a file, and what it says of it."""
    ended = subprocess.run(
        [real_server_path(), "-t", "-c", path],
        capture_output=True,
        text=True,
        timeout=20,
        cwd=path.parent,
    )
    return ended.returncode == 0, ended.stderr.removeprefix("nats-server: ").splitlines()


def ours(path: Path) -> tuple[bool, list[str]]:
    """The same of us."""
    try:
        check(str(path))
    except ConfigError as error:
        return False, str(error).splitlines()
    return True, []


def written(folder: Path, text: str) -> Path:
    path = folder / "s.conf"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("text", cases("same_words"))
def test_both_say_the_same(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)
    accepted, said = real(path)
    we_accept, we_say = ours(path)
    assert accepted == we_accept
    if not accepted:
        missing = [line for line in said if not any(line in our for our in we_say)]
        assert [] == missing, we_say


@pytest.mark.parametrize("text", cases("same_verdict"))
def test_both_refuse_the_same_line(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)
    accepted, said = real(path)
    we_accept, we_say = ours(path)
    assert (False, False) == (accepted, we_accept)
    lines = re.findall(r"\.conf:(\d+):", "\n".join(said))
    assert set(lines) <= set(re.findall(r"\.conf:(\d+):", "\n".join(we_say)))


@pytest.mark.parametrize(("text", "real_accepts"), DIFFERENT)
def test_where_we_differ_it_is_on_purpose(tmp_path: Path, text: str, real_accepts: bool) -> None:
    path = written(tmp_path, text)
    assert (real_accepts, not real_accepts) == (real(path)[0], ours(path)[0])
