"""Nodes that know each other by password and by certificate, whoever dials whom."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import socket
import ssl
from pathlib import Path

import nats
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.cluster.nodes import PATIENCE, Mesh, RealNode
from tests.support import tls_files

LOGIN = "authorization { user: node, password: secret }"


def certificates(folder: Path) -> str:
    block = tls_files.block(folder, verify=True)
    files = f'cert_file: "{block.cert_file}", key_file: "{block.key_file}"'
    return f'tls {{ {files}, ca_file: "{block.ca_file}", verify: true, timeout: 10 }}'


async def talk(mesh: Mesh) -> None:
    """A request from each node to each."""
    clients = [await nats.connect(mesh.url(number)) for number in range(len(mesh.nodes))]
    try:
        for one in clients:
            for other in clients:
                subscription = await one.subscribe("hello")
                await one.flush()
                for _ in range(100):  # until its interest is known
                    await other.publish("hello", b"!")
                    await other.flush()
                    try:
                        message = await subscription.next_msg(0.2)
                        break
                    except nats.errors.TimeoutError:
                        continue
                assert b"!" == message.data
                await subscription.unsubscribe()
    finally:
        for client in clients:
            await client.close()


@pytest.mark.parametrize("kinds", ["oo", "or", "ro", "oor"])
def test_nodes_with_the_password_meet(kinds: str) -> None:
    with Mesh(kinds, LOGIN, "node:secret") as mesh:
        asyncio.run(talk(mesh))


@pytest.mark.parametrize("kinds", ["oo", "or", "ro", "oro"])
def test_nodes_with_certificates_meet(kinds: str, tmp_path: Path) -> None:
    with Mesh(kinds, LOGIN + "\n" + certificates(tmp_path), "node:secret") as mesh:
        asyncio.run(talk(mesh))


def pinned(folder: Path, digest: str) -> str:
    return certificates(folder).replace("timeout: 10", f'timeout: 10, pinned_certs: ["{digest}"]')


def key_digest() -> str:
    """Of the certificate that all nodes show."""
    pem = tls_files.SERVER.cert_chain_pems[0].bytes()
    key = x509.load_pem_x509_certificate(pem).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()


@pytest.mark.parametrize("kinds", ["or", "ro"])
def test_nodes_with_pinned_certificates_meet(kinds: str, tmp_path: Path) -> None:
    with Mesh(kinds, pinned(tmp_path, key_digest())) as mesh:
        asyncio.run(talk(mesh))


def test_a_node_whose_certificate_is_not_pinned_stays_outside(tmp_path: Path) -> None:
    with Mesh("o", pinned(tmp_path, "0" * 64)) as mesh:
        address = ("127.0.0.1", mesh.nodes[0].cluster_port)
        context = tls_files.client_context(certificate=tls_files.SERVER)
        with (
            socket.create_connection(address, PATIENCE) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as sock,
            contextlib.suppress(ConnectionResetError, ssl.SSLError),
        ):
            sock.sendall(b'CONNECT {"name":"X","cluster":"C"}\r\n')
            assert b"INFO" not in sock.recv(1000)


@pytest.mark.parametrize("kinds", ["or", "ro"])
def test_a_node_without_the_password_stays_outside(kinds: str) -> None:
    with Mesh(kinds[0], LOGIN) as mesh:
        mesh.add(kinds[1])
        (real,) = [node for node in mesh.nodes if isinstance(node, RealNode)]
        # Told by us, or by itself of us.
        real.process.find(re.compile("Authorization Violation|authentication error"))
        if kinds == "or":
            assert set() == mesh.routes(0)
        else:
            assert not any("Registering remote route" in line for line in real.process.log)


def test_a_node_that_speaks_plain_where_tls_is_wanted_is_sent_away(tmp_path: Path) -> None:
    with Mesh("o", certificates(tmp_path)) as mesh:
        address = ("127.0.0.1", mesh.nodes[0].cluster_port)
        with socket.create_connection(address, PATIENCE) as sock:
            sock.sendall(b'CONNECT {"name":"X","cluster":"C"}\r\n')
            assert b"INFO" not in sock.recv(1000)
        assert 0 == len(mesh.routes(0))
