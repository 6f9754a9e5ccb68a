"""The official JavaScript client, as browsers run it, comes in by a WebSocket.

A browser's client is `wsconnect` of @nats-io/nats-core, on the WebSocket that the platform has;
Node has one from version 22 on, and from 20.10 on if asked for it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from broker import Broker
from broker.blocks import WebsocketBlock
from tests.clients import test_node

#: The fixture that installs the client.
script = test_node.script

_SCRIPT = Path(__file__).with_name("node_websocket.mjs")
_TIMEOUT = 30.0


@pytest.mark.parametrize("compression", [False, True])
def test_the_browsers_client_talks_through_a_websocket(script: Path, compression: bool) -> None:
    _need_websocket()
    beside = shutil.copy(_SCRIPT, script.parent)
    block = WebsocketBlock(port=0, no_tls=True, compression=compression)
    with Broker(port=0, websocket=block) as broker:
        seen = subprocess.run(
            ["node", "--experimental-websocket", "--no-warnings", beside, broker.ws_url],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
    assert "" == seen.stderr
    assert ["one", "老师", True, "HELLO"] == json.loads(seen.stdout)


def _need_websocket() -> None:
    command = ["node", "--experimental-websocket", "--no-warnings", "-p", "typeof WebSocket"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.stdout.strip() != "function":
        pytest.skip("this Node has no WebSocket: the browser's client needs Node 20.10 or later")
