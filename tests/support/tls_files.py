"""Certificates in files, as a configuration names them, and the clients' contexts that trust them.

Used by tests/broker and tests/clients.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import trustme

from broker.blocks import TlsBlock

AUTHORITY = trustme.CA()
SERVER = AUTHORITY.issue_cert("127.0.0.1", "localhost")
CLIENT = AUTHORITY.issue_cert("ann@school.example", "ann.school.example", common_name="ann")
OTHER_CLIENT = AUTHORITY.issue_cert("tom@school.example", common_name="tom")


def block(folder: Path, **fields: Any) -> TlsBlock:
    """A block with the server's certificate, and the authority's if clients are to be verified."""
    certificate, key, authority = (folder / f"{name}.pem" for name in ("server", "key", "ca"))
    certificate.write_bytes(b"".join(pem.bytes() for pem in SERVER.cert_chain_pems))
    key.write_bytes(SERVER.private_key_pem.bytes())
    authority.write_bytes(AUTHORITY.cert_pem.bytes())
    if fields.get("verify") or fields.get("verify_and_map"):
        fields.setdefault("ca_file", str(authority))
    return TlsBlock(str(certificate), str(key), **fields)


def client_context(*, certificate: trustme.LeafCert | None = None) -> ssl.SSLContext:
    """For a client that trusts the authority, and shows ``certificate`` if it is asked for one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    AUTHORITY.configure_trust(context)
    if certificate is not None:
        certificate.configure_cert(context)
    return context
