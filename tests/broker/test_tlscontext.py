"""Certificates: files become a context or a clear error, and a client's certificate is read."""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from broker.tlscontext import described, key_digest, names, peers, server_context
from reactor.tls import TlsSession
from tests.support import tls_files


def shake(server: ssl.SSLContext, client: ssl.SSLContext) -> TlsSession:
    """The server's side of a handshake that was done."""
    ours = TlsSession(server, server_side=True)
    theirs = TlsSession(client, server_side=False, server_hostname="localhost")
    for _ in range(4):
        for one, other in ((theirs, ours), (ours, theirs)):
            one.handshake()
            other.feed(one.output())
    assert ours.secure
    return ours


def test_a_block_without_verify_takes_clients_without_certificates(tmp_path: Path) -> None:
    session = shake(server_context(tls_files.block(tmp_path)), tls_files.client_context())
    assert ((), (), "") == (
        names(session.object),
        peers(session.object),
        key_digest(session.object),
    )


def test_the_monitor_is_told_version_and_cipher(tmp_path: Path) -> None:
    session = shake(server_context(tls_files.block(tmp_path)), tls_files.client_context())
    version, cipher = described(session.object)
    assert "1.3" == version
    assert cipher.startswith("TLS_")


def test_a_verified_certificate_names_email_then_dns_then_subject(tmp_path: Path) -> None:
    context = server_context(tls_files.block(tmp_path, verify=True))
    session = shake(context, tls_files.client_context(certificate=tls_files.CLIENT))
    email, dns, subject = names(session.object)
    assert ("ann@school.example", "ann.school.example") == (email, dns)
    assert subject.startswith("CN=ann,OU=")
    assert (subject,) == peers(session.object)


def test_a_client_without_a_certificate_is_refused_where_one_is_asked_for(tmp_path: Path) -> None:
    context = server_context(tls_files.block(tmp_path, verify=True))
    with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
        shake(context, tls_files.client_context())


def test_a_certificate_of_another_authority_is_refused(tmp_path: Path) -> None:
    context = server_context(tls_files.block(tmp_path, verify=True))
    stranger = trustme.CA().issue_cert("ann@school.example")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(context, tls_files.client_context(certificate=stranger))


def test_the_digest_is_that_of_the_public_key_as_another_library_finds_it(tmp_path: Path) -> None:
    context = server_context(tls_files.block(tmp_path, verify=True))
    session = shake(context, tls_files.client_context(certificate=tls_files.CLIENT))
    certificate = x509.load_pem_x509_certificate(tls_files.CLIENT.cert_chain_pems[0].bytes())
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert hashlib.sha256(key).hexdigest() == key_digest(session.object)


@pytest.mark.parametrize("field", ["cert_file", "key_file"])
def test_a_file_that_is_not_there_is_named(field: str, tmp_path: Path) -> None:
    block = tls_files.block(tmp_path)
    missing = str(tmp_path / "nowhere.pem")
    with pytest.raises(FileNotFoundError, match=r"cannot read the TLS file .*nowhere\.pem"):
        server_context(type(block)(**{**vars(block), field: missing}))


def test_an_authority_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    block = tls_files.block(tmp_path, verify=True, ca_file=str(tmp_path / "nobody.pem"))
    with pytest.raises(FileNotFoundError, match=r"nobody\.pem"):
        server_context(block)


def test_an_authority_file_without_a_certificate_is_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")
    with pytest.raises(ValueError, match=r"failed to parse root ca certificate: .*empty\.pem"):
        server_context(tls_files.block(tmp_path, verify=True, ca_file=str(empty)))


def test_a_key_of_another_certificate_is_refused_with_both_names(tmp_path: Path) -> None:
    block = tls_files.block(tmp_path)
    Path(block.key_file).write_bytes(tls_files.CLIENT.private_key_pem.bytes())
    with pytest.raises(ValueError, match=r"server\.pem and .*key\.pem.*key values mismatch"):
        server_context(block)


def test_a_key_with_a_password_is_refused_and_nobody_is_asked_for_it(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization as pem

    block = tls_files.block(tmp_path)
    key = pem.load_pem_private_key(Path(block.key_file).read_bytes(), None)
    locked = key.private_bytes(
        pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.BestAvailableEncryption(b"secret")
    )
    Path(block.key_file).write_bytes(locked)
    with pytest.raises(ValueError, match="the key is encrypted"):
        server_context(block)


def test_an_unknown_version_is_refused_with_the_choices(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'1.1': choose 1\.2 or 1\.3"):
        server_context(tls_files.block(tmp_path, min_version="1.1"))


def test_a_least_version_is_kept(tmp_path: Path) -> None:
    context = server_context(tls_files.block(tmp_path, min_version="1.3"))
    client = tls_files.client_context()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        shake(context, client)


@pytest.mark.parametrize(
    ("iana", "openssl"),
    [
        ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"),
        ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384"),
        ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-RSA-CHACHA20-POLY1305"),
        ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305", "ECDHE-RSA-CHACHA20-POLY1305"),
        ("TLS_RSA_WITH_AES_128_CBC_SHA", "AES128-SHA"),
        ("ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"),
    ],
)
def test_ciphers_may_be_called_by_either_name(iana: str, openssl: str, tmp_path: Path) -> None:
    context = server_context(tls_files.block(tmp_path, ciphers=(iana, "TLS_AES_128_GCM_SHA256")))
    old = [one["name"] for one in context.get_ciphers() if one["protocol"] != "TLSv1.3"]
    assert [openssl] == old


def test_an_unknown_cipher_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unrecognized cipher among ROT13"):
        server_context(tls_files.block(tmp_path, ciphers=("ROT13",)))
