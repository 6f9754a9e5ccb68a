"""TLS handshakes gone wrong, and some that go right: ours ends them as the real nats-server does.

Both read one file for each of the configurations below. What a client hears is reduced to its words
of NATS, and to whether the other side closed: alerts are for two TLS libraries to word.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from broker import Broker
from tests.support import tls_files
from tests.support.servers import ServerProcess, real_server_path

_DEADLINE = 10.0
_DER, _SPKI = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
_HELLO = b'CONNECT {"verbose":false}\r\nPING\r\n'
_STRANGER = trustme.CA().issue_cert("eve@school.example", common_name="eve")

_USERS = 'authorization { users: [ { user: "ann@school.example" }, { user: bob, password: b } ] }'

_CONFIGURATIONS = {
    "upgrade": "tls { CERTIFICATE timeout: 0.5 }",
    "verified": "tls { CERTIFICATE AUTHORITY verify: true, timeout: 0.5 }",
    "mapped": "tls { CERTIFICATE AUTHORITY verify_and_map: true, timeout: 0.5 }\n" + _USERS,
    "pinned": "tls { CERTIFICATE AUTHORITY verify: true, timeout: 0.5, pinned_certs: [PIN] }",
    "first": "tls { CERTIFICATE timeout: 0.5, handshake_first: true }",
    "first or not": "tls { CERTIFICATE timeout: 0.5, handshake_first: 100ms }",
    "optional": "tls { CERTIFICATE timeout: 0.5 }\nallow_non_tls: true",
    "new": 'tls { CERTIFICATE timeout: 0.5, min_version: "1.3" }',
}

Ports = Callable[[str], tuple[int, int]]
"""The ports of the real server and of ours, by the name of a configuration."""


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ports]:
    running: dict[str, tuple[int, int]] = {}
    with contextlib.ExitStack() as stack:

        def ports(name: str) -> tuple[int, int]:
            if name not in running:
                file = _write(name, tmp_path_factory.mktemp("tls"))
                command = [str(real_server_path()), "-c", str(file)]
                real = stack.enter_context(ServerProcess(command))
                ours = stack.enter_context(Broker(config=file, port=0))
                running[name] = real.port, ours.port
            return running[name]

        yield ports


def _write(name: str, folder: Path) -> Path:
    block = tls_files.block(folder, verify=True)
    pem = tls_files.OTHER_CLIENT.cert_chain_pems[0].bytes()
    text = _CONFIGURATIONS[name]
    for word, meant in (
        ("CERTIFICATE", f'cert_file: "{block.cert_file}", key_file: "{block.key_file}",'),
        ("AUTHORITY", f'ca_file: "{block.ca_file}",'),
        ("PIN", f'"{_pin(pem)}"'),
    ):
        text = text.replace(word, meant)
    file = folder / "server.conf"
    file.write_text(text)
    return file


def _pin(pem: bytes) -> str:
    key = x509.load_pem_x509_certificate(pem).public_key()
    return hashlib.sha256(key.public_bytes(_DER, _SPKI)).hexdigest()


# --- bytes that are no handshake


# What a server says of itself. Letters alone are no sign: those of a handshake are random.
_VERB = re.compile(rb"(?:^|\r\n)(INFO|PING|PONG|\+OK|-ERR)(?= |\r\n)")


def _words(heard: bytes) -> list[bytes]:
    """The first word of each line of NATS."""
    return _VERB.findall(heard)


def _say(port: int, said: bytes, *, greeted: bool, ends: bool = False) -> list[bytes]:
    """What a server says in words of NATS until it closes, to a client that says these bytes."""
    with socket.create_connection(("127.0.0.1", port), _DEADLINE) as client:
        heard = client.recv(65536) if greeted else b""
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            client.sendall(said)
            if ends:
                client.shutdown(socket.SHUT_WR)
            while piece := client.recv(65536):
                heard += piece
        return _words(heard)


def _client_hello() -> bytes:
    """The first bytes of a good handshake."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = tls_files.client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        session.do_handshake()
    return outgoing.read()


_GOOD = _client_hello()

_BYTES = {
    "silence": b"",
    "plain NATS": _HELLO,
    "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "garbage": b"\x00" * 100,
    "garbage in the form of a record": b"\x16\x03\x01\x00\x10" + b"\xff" * 16,
    "a record that is too long": b"\x16\x03\x01\xff\xff" + b"\x00" * 100,
    "a record of data first": b"\x17\x03\x03\x00\x05hello",
    "an alert": b"\x15\x03\x01\x00\x02\x02\x28",
    "the beginning of a record": b"\x16",
    "half a hello": _GOOD[: len(_GOOD) // 2],
    "a hello, then plain NATS": _GOOD + _HELLO,
    "two hellos": _GOOD + _GOOD,
    "SSL 2": b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + b"\x00" * 37,
}


@pytest.mark.parametrize("said", _BYTES)
@pytest.mark.parametrize("name", ["upgrade", "verified", "first"])
def test_what_is_no_handshake_is_closed_in_the_same_words(
    name: str, said: str, ports: Ports
) -> None:
    theirs, ours = ports(name)
    greeted = name != "first"
    assert _say(theirs, _BYTES[said], greeted=greeted) == _say(ours, _BYTES[said], greeted=greeted)


@pytest.mark.parametrize("said", ["garbage", "half a hello", "the beginning of a record"])
def test_who_goes_in_the_middle_of_a_handshake_is_let_go(said: str, ports: Ports) -> None:
    theirs, ours = ports("upgrade")
    expected = _say(theirs, _BYTES[said], greeted=True, ends=True)
    assert expected == _say(ours, _BYTES[said], greeted=True, ends=True)


@pytest.mark.parametrize(
    "said",
    ["garbage in the form of a record", "half a hello", "an alert", "a hello, then plain NATS"],
)
def test_where_tls_is_optional_a_bad_handshake_is_as_bad(said: str, ports: Ports) -> None:
    theirs, ours = ports("optional")
    assert _say(theirs, _BYTES[said], greeted=True) == _say(ours, _BYTES[said], greeted=True)


# --- handshakes with a TLS library


def _context(**given: ssl.TLSVersion) -> ssl.SSLContext:
    context = tls_files.client_context()
    for name, version in given.items():
        setattr(context, name, version)
    return context


def _old() -> ssl.SSLContext:
    context = tls_files.client_context()
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


def _distrustful() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _ciphered(ciphers: str) -> ssl.SSLContext:
    context = _context(maximum_version=ssl.TLSVersion.TLSv1_2)
    context.set_ciphers(ciphers)
    return context


_CLIENTS: dict[str, Callable[[], ssl.SSLContext]] = {
    "any": tls_files.client_context,
    "TLS 1.2": lambda: _context(maximum_version=ssl.TLSVersion.TLSv1_2),
    "TLS 1.3": lambda: _context(minimum_version=ssl.TLSVersion.TLSv1_3),
    "TLS 1.1": _old,
    "one that does not trust us": _distrustful,
    "with a certificate": lambda: tls_files.client_context(certificate=tls_files.CLIENT),
    "with another certificate": lambda: tls_files.client_context(
        certificate=tls_files.OTHER_CLIENT
    ),
    "with a stranger's certificate": lambda: tls_files.client_context(certificate=_STRANGER),
    "with the server's certificate": lambda: tls_files.client_context(certificate=tls_files.SERVER),
    "with a weak cipher": lambda: _ciphered("AES256-SHA@SECLEVEL=0"),
    "with a strong cipher": lambda: _ciphered("ECDHE+AESGCM"),
}


_CERTIFIED = {"with a certificate", "with another certificate", "with the server's certificate"}

_WELCOME = {
    "upgrade": {
        "any",
        "TLS 1.2",
        "TLS 1.3",
        "with a strong cipher",
        "with a stranger's certificate",
        *_CERTIFIED,
    },
    "verified": _CERTIFIED,
    "mapped": {"with a certificate"},
    "pinned": {"with another certificate"},
    "new": {"any", "TLS 1.3", "with a stranger's certificate", *_CERTIFIED},
}
"""Who is let in, by the name of a configuration."""


def _shake(port: int, context: ssl.SSLContext, said: bytes, *, greeted: bool) -> list[bytes]:
    """What a client hears in words of NATS within TLS; ``no handshake`` where there is none."""
    with socket.create_connection(("127.0.0.1", port), _DEADLINE) as plain:
        if greeted:
            plain.recv(65536)
        heard = b""
        try:
            with context.wrap_socket(plain, server_hostname="127.0.0.1") as client:
                client.sendall(said)
                while b"PONG" not in heard and (piece := client.recv(65536)):
                    heard += piece
        except (ssl.SSLError, ConnectionError):
            return [b"no handshake"]
        return _words(heard) or [b"no handshake"]


@pytest.mark.parametrize("client", _CLIENTS)
@pytest.mark.parametrize("name", ["upgrade", "verified", "mapped", "pinned", "new"])
def test_a_handshake_ends_as_well_or_ill(name: str, client: str, ports: Ports) -> None:
    expected, heard = (
        _shake(port, _CLIENTS[client](), _HELLO, greeted=True) for port in ports(name)
    )
    assert expected == heard
    assert (heard == [b"PONG"]) == (client in _WELCOME[name])


@pytest.mark.parametrize("client", ["any", "TLS 1.1", "one that does not trust us"])
@pytest.mark.parametrize("name", ["first", "first or not"])
def test_a_handshake_before_anything_else(name: str, client: str, ports: Ports) -> None:
    expected, heard = (
        _shake(port, _CLIENTS[client](), _HELLO, greeted=False) for port in ports(name)
    )
    assert expected == heard


@pytest.mark.parametrize(
    "said",
    [
        b'CONNECT {"verbose":false,"user":"bob","pass":"b"}\r\nPING\r\n',
        b'CONNECT {"verbose":false,"user":"ann@school.example"}\r\nPING\r\n',
        b"PING\r\n",
        b"",
    ],
)
@pytest.mark.parametrize("client", ["with a certificate", "with another certificate"])
def test_whom_a_certificate_names_is_whom_the_client_is(
    client: str, said: bytes, ports: Ports
) -> None:
    said = said or b"SUB a 1\r\nPING\r\n"
    expected, heard = (
        _shake(port, _CLIENTS[client](), said, greeted=True) for port in ports("mapped")
    )
    assert expected == heard
