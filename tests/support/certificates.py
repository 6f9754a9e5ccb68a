"""Certificates for the tests of TLS: an authority of our own, and contexts that trust it.

Not a test itself. Nothing is written to disk.
"""

from __future__ import annotations

import ssl

import trustme

from reactor.tls import TlsSession

HOST = "broker.example"
AUTHORITY = trustme.CA()
CERTIFICATE = AUTHORITY.issue_cert(HOST)


def server_context(version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    CERTIFICATE.configure_cert(context)
    context.maximum_version = version
    return context


def client_context(*, trusting: bool = True) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if trusting:
        AUTHORITY.configure_trust(context)
    return context


SERVERS = {
    "TLSv1.2": server_context(ssl.TLSVersion.TLSv1_2),
    "TLSv1.3": server_context(ssl.TLSVersion.TLSv1_3),
}
CLIENT = client_context()


def client_session() -> TlsSession:
    return TlsSession(CLIENT, server_side=False, server_hostname=HOST)
