"""TLS: the official Python client, nats-py, comes in by every way that it knows."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nats.errors
import pytest

from broker import Broker
from tests.clients.nats_py import connected, flushed, received, run
from tests.support import tls_files
from tests.support.servers import OurServer

LARGE = bytes(range(256)) * 2000


async def _converse(url: str, context: ssl.SSLContext | None, **options: Any) -> None:
    """Send a small and a large message to ourselves."""
    given = options if context is None else {"tls": context, **options}
    async with connected(url, allow_reconnect=False, **given) as client:
        subscription = await client.subscribe("a.*")
        await client.publish("a.1", b"small")
        await client.publish("a.2", LARGE)
        await flushed(client)
        first, second = await received(subscription, 2)
        assert (b"small", LARGE) == (first.data, second.data)


@pytest.mark.parametrize("first", [False, True])
def test_a_client_talks_in_tls_after_info_or_before(first: bool, tmp_path: Path) -> None:
    with Broker(port=0, tls=tls_files.block(tmp_path, first=first)) as broker:
        context = tls_files.client_context()
        run(_converse(broker.url, context, tls_handshake_first=first))
        assert broker.url.startswith("tls://")


@pytest.mark.parametrize("first", [False, True])
def test_with_a_fallback_one_port_serves_both_sorts(first: bool, tmp_path: Path) -> None:
    with Broker(port=0, tls=tls_files.block(tmp_path, first=True, fallback=0.05)) as broker:
        context = tls_files.client_context()
        run(_converse(broker.url, context, tls_handshake_first=first))


@pytest.mark.parametrize("encrypted", [False, True])
def test_where_both_are_welcome_both_talk(encrypted: bool, tmp_path: Path) -> None:
    with Broker(port=0, tls=tls_files.block(tmp_path), allow_non_tls=True) as broker:
        context = tls_files.client_context() if encrypted else None
        scheme = "tls" if encrypted else "nats"
        run(_converse(f"{scheme}://127.0.0.1:{broker.port}", context))


def test_a_client_with_the_right_certificate_is_let_in(tmp_path: Path) -> None:
    with Broker(port=0, tls=tls_files.block(tmp_path, verify=True)) as broker:
        run(_converse(broker.url, tls_files.client_context(certificate=tls_files.CLIENT)))
        (record,) = broker.connections(closed=True)
        assert [True] == [subject.startswith("CN=ann") for subject in record.tls_peer]


def test_a_client_without_a_certificate_is_not_let_in(tmp_path: Path) -> None:
    async def conversation(url: str) -> None:
        # TLS 1.3 tells the client only after its own part of the handshake, in whatever comes next.
        with pytest.raises((OSError, nats.errors.Error)):
            await _converse(url, tls_files.client_context(), error_cb=_ignore, connect_timeout=2)

    with Broker(port=0, tls=tls_files.block(tmp_path, verify=True)) as broker:
        run(conversation(broker.url))
        assert {"TLS Handshake Failure"} == {row.reason for row in broker.connections(closed=True)}


async def _ignore(error: Exception) -> None:
    """nats-py would log it."""


def test_a_client_comes_back_in_tls_when_the_broker_does(tmp_path: Path) -> None:
    async def conversation(first: Broker, make: Callable[[int], Broker]) -> None:
        back = asyncio.Event()

        async def reconnected() -> None:
            back.set()

        async with connected(
            first.url,
            tls=tls_files.client_context(),
            reconnected_cb=reconnected,
            error_cb=_ignore,
            reconnect_time_wait=0.05,
            max_reconnect_attempts=-1,
        ) as client:
            subscription = await client.subscribe("a")
            await flushed(client)
            port = first.port
            first.stop()
            with make(port):
                await back.wait()
                await client.publish("a", b"again")
                (message,) = await received(subscription, 1)
                assert b"again" == message.data

    block = tls_files.block(tmp_path)
    broker = Broker(port=0, tls=block)
    broker.start()
    run(conversation(broker, lambda port: Broker(port=port, tls=block)))


@pytest.mark.parametrize("verify", [False, True])
def test_the_flags_of_nats_server_turn_it_on(verify: bool, tmp_path: Path) -> None:
    block = tls_files.block(tmp_path, verify=verify)
    flags = ["--tls", f"--tlscert={block.cert_file}", f"--tlskey={block.key_file}"]
    if verify:
        flags += ["--tlsverify", f"--tlscacert={block.ca_file}"]
    with OurServer(None, *flags) as server:
        context = tls_files.client_context(certificate=tls_files.CLIENT if verify else None)
        run(_converse(f"tls://127.0.0.1:{server.port}", context))
        server.wait_for("TLS required for client connections")
