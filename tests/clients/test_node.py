"""The official JavaScript client, @nats-io/transport-node, does on our broker what it does on
nats-server.

The client is installed with npm when the first of these tests runs, into `build/node` (which git
ignores), and kept there. Where there is no Node, or one that is too old for the client, the tests
say so and are skipped.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import Server, StartServer
from tests.support.servers import Settings

_CLIENT = "@nats-io/transport-node"
_VERSION = "3.4.0"
_OLDEST_NODE = 18
_SCRIPT = Path(__file__).with_name("node_client.mjs")
_FOLDER = Path(__file__).resolve().parents[2] / "build" / "node"
_TIMEOUT = 30.0


@pytest.fixture(scope="session")
def script() -> Path:
    """The client's scenarios, beside the installed client."""
    _need_node()
    installed = _FOLDER / "node_modules" / _CLIENT / "package.json"
    if not installed.exists() or json.loads(installed.read_text())["version"] != _VERSION:
        _install()
    return Path(shutil.copy(_SCRIPT, _FOLDER))


def test_messages_arrive(script: Path, server: Server) -> None:
    assert [["one", "", "老师"]] == _run(script, "publish", server)


def test_wildcards_hear_what_they_match(script: Path, server: Server) -> None:
    assert [
        ["c1.teacher.heartbeat", "c2.teacher.heartbeat"],
        ["c1.teacher.heartbeat", "c1.student"],
    ] == _run(script, "wildcards", server)


def test_a_queue_group_gets_every_message_once(script: Path, server: Server) -> None:
    assert [list(range(200))] == _run(script, "queue", server)


def test_requests_get_each_its_own_reply(script: Path, server: Server) -> None:
    assert [[f"HELLO {number}" for number in range(100)], "ALONE"] == _run(
        script, "request", server
    )


def test_a_request_that_nobody_hears_fails_at_once(script: Path, server: Server) -> None:
    assert [[True, "no responders: 'nobody'"]] == _run(script, "nobody", server)


def test_headers_arrive(script: Path, server: Server) -> None:
    assert [[["teacher", "owner"], "x"]] == _run(script, "headers", server)


def test_a_draining_connection_hears_what_was_sent_before(script: Path, server: Server) -> None:
    assert [[100, True]] == _run(script, "drain", server)


def test_the_largest_payload_passes_and_a_larger_one_does_not(script: Path, server: Server) -> None:
    passed, refused = _run(script, "payload", server)

    assert [1024 * 1024, True] == passed
    assert "InvalidArgumentError" == refused[0]


def test_the_right_password_opens_and_a_wrong_one_does_not(
    script: Path, start_server: StartServer
) -> None:
    server = start_server(Settings(user="ann", password="secret"))

    assert ["in", ["AuthorizationError", "Authorization Violation"]] == _run(
        script, "password", server
    )


def test_a_client_reconnects_to_a_restarted_server_and_hears_again(
    script: Path, server: Server
) -> None:
    lines = _lines(script, "reconnect", server)

    assert "connected" == next(lines)
    server.stop()
    assert "disconnect" == next(lines)
    server.start()
    assert ["reconnect", ["again"]] == list(lines)


def _run(script: Path, scenario: str, server: Server) -> list[Any]:
    """What the scenario printed."""
    return list(_lines(script, scenario, server))


def _lines(script: Path, scenario: str, server: Server) -> Iterator[Any]:
    """What the scenario prints, as it comes; its errors, if it fails, are pytest's to show."""
    with subprocess.Popen(
        ["node", str(script), scenario, str(server.port)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None  # it is a pipe
            for line in process.stdout:
                yield json.loads(line)
            assert process.wait(_TIMEOUT) == 0
        finally:
            process.kill()


def _need_node() -> None:
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: the JavaScript client needs Node and npm")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    if int(version.stdout.removeprefix("v").split(".")[0]) < _OLDEST_NODE:
        pytest.skip(f"Node {version.stdout.strip()} is too old: {_CLIENT} needs {_OLDEST_NODE}")


def _install() -> None:
    _FOLDER.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [
            *("npm", "install", "--no-audit", "--no-fund", "--no-save"),
            *("--prefix", str(_FOLDER), f"{_CLIENT}@{_VERSION}"),
        ],
        check=True,
        timeout=100,
    )
