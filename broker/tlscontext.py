"""Certificates: the context that a TLS server needs, and what a client's certificate says.

The idea: a `TlsBlock` of the configuration becomes one `ssl.SSLContext`, made once and shared by
all connections; a reload makes a new one, and streams that are open keep theirs. Whatever can
be wrong with files is found here, at the start, and named with the file, for OpenSSL's own words
are about memory buffers and ASN.1.

Ciphers may be given by their IANA names, as nats-server's configuration does, or by OpenSSL's;
those of TLS 1.3 are not ours to choose, and are left out. Renegotiation is off.

Neighbours: `broker.server` and `broker.websocket` make contexts; `broker.tlsdoor` and
`broker.labels` look at sessions. Reading files blocks, as is right at a start; the rest is pure.
Safe in any thread.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Iterator

from broker.blocks import RemoteTls, TlsBlock

__all__ = [
    "ServerContext",
    "client_context",
    "described",
    "key_digest",
    "names",
    "peers",
    "remote_context",
    "server_context",
]

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}

#: The short names that RFC 2253 has for what Python spells out; others stay as they are.
_SHORT = {
    "commonName": "CN",
    "countryName": "C",
    "domainComponent": "DC",
    "localityName": "L",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "serialNumber": "SERIALNUMBER",
    "stateOrProvinceName": "ST",
    "streetAddress": "STREET",
    "userId": "UID",
}


class ServerContext(ssl.SSLContext):
    """A context that counts the handshakes begun with it; `server_context` makes one.

    Loop thread only, as far as the counting goes.
    """

    most = 0
    _since = float("-inf")
    _count = 0

    def allows(self, now: float) -> bool:
        """Count one more handshake; False if there were ``most`` in this second (0: no limit)."""
        if now - self._since >= 1.0:
            self._since, self._count = now, 0
        self._count += 1
        return not self.most or self._count <= self.most


def server_context(block: TlsBlock, *, mutual: bool = False) -> ServerContext:
    """What a server with this block of configuration wraps its connections with. With ``mutual``
    the other side must show a certificate whatever the block says, as between servers.

    Raises:
        OSError: a file cannot be read; the text names it.
        ValueError: a file holds no usable certificate or key, or a cipher or version is unknown.
    """
    context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
    context.most = block.connection_rate_limit
    _set_up(context, block)
    if mutual or block.verify or block.verify_and_map:
        context.verify_mode = ssl.CERT_REQUIRED
        _load_authorities(context, block.ca_file)
    return context


def client_context(block: TlsBlock) -> ssl.SSLContext:
    """What a server with this block wraps connections with that it makes to other servers: it shows
    its certificate, and wants theirs to be vouched for and to have the name that was dialled.

    Raises as `server_context`.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _set_up(context, block)
    _load_authorities(context, block.ca_file)
    return context


def remote_context(block: RemoteTls) -> ssl.SSLContext:
    """What connections are wrapped with that we make to a server which is not of our cluster: its
    certificate has to be vouched for, and ours is shown if we have one.

    Raises as `server_context`.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.minimum_version = _VERSIONS[block.min_version]
    if block.cert_file:
        _load_pair(context, block)
    if block.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif block.ca_file is not None:
        _load_authorities(context, block.ca_file)
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    _choose_ciphers(context, block.ciphers)
    return context


def _set_up(context: ssl.SSLContext, block: TlsBlock) -> None:
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    if block.min_version not in _VERSIONS:
        raise ValueError(
            f"TLS min_version cannot be {block.min_version!r}: choose {' or '.join(_VERSIONS)}"
        )
    context.minimum_version = _VERSIONS[block.min_version]
    _load_pair(context, block)
    _choose_ciphers(context, block.ciphers)


def _load_pair(context: ssl.SSLContext, block: TlsBlock | RemoteTls) -> None:
    for path in (block.cert_file, block.key_file):
        _check_readable(path)
    try:
        # Without a password OpenSSL would ask for one at the terminal, and a server has none.
        context.load_cert_chain(block.cert_file, block.key_file, password=_no_password)
    except (ssl.SSLError, _EncryptedError) as error:
        raise ValueError(
            f"error parsing X509 certificate/key pair: {block.cert_file} and {block.key_file} must"
            f" be a PEM certificate and its key, without a password: {_words(error)}"
        ) from error


class _EncryptedError(Exception):
    """A key is encrypted."""


def _no_password() -> str:
    raise _EncryptedError("the key is encrypted")


def _load_authorities(context: ssl.SSLContext, path: str | None) -> None:
    if path is None:
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
        return
    _check_readable(path)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise ValueError(
            f"failed to parse root ca certificate: {path} must hold PEM certificates:"
            f" {_words(error)}"
        ) from error


def _check_readable(path: str) -> None:
    try:
        with open(path, "rb"):
            return
    except OSError as error:
        raise type(error)(
            error.errno, f"cannot read the TLS file {path}: {error.strerror}"
        ) from error


def _words(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    return reason.replace("_", " ").lower() if isinstance(reason, str) else str(error)


def _choose_ciphers(context: ssl.SSLContext, ciphers: tuple[str, ...]) -> None:
    spelled = [_openssl_name(cipher) for cipher in ciphers]
    chosen = [name for name in spelled if name]
    if not chosen:
        return
    try:
        context.set_ciphers(":".join(chosen))
    except ssl.SSLError as error:
        raise ValueError(f"unrecognized cipher among {', '.join(ciphers)}") from error


def _openssl_name(cipher: str) -> str:
    """OpenSSL's name for IANA's ``TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256``; empty for TLS 1.3's."""
    if not cipher.startswith("TLS_"):
        return cipher
    exchange, found, rest = cipher[4:].partition("_WITH_")
    if not found:
        return ""
    rest = rest.replace("AES_", "AES").replace("_CBC", "")
    if rest.startswith("CHACHA20"):
        rest = rest.removesuffix("_SHA256")
    prefix = "" if exchange == "RSA" else f"{exchange}-"
    return f"{prefix}{rest}".replace("_", "-")


# --- what a session says ------------------------------------------------------------------------


def described(tls: ssl.SSLObject) -> tuple[str, str]:
    """Version and cipher as the monitor shows them, such as ``1.3`` and its cipher's name."""
    cipher = tls.cipher()
    return (tls.version() or "").removeprefix("TLSv"), cipher[0] if cipher else ""


def names(tls: ssl.SSLObject) -> tuple[str, ...]:
    """Whom a verified client certificate names: its email addresses, its DNS names, its subject.

    In this order nats-server looks for a user of that name. The subject is written as RFC 2253
    says, the most specific part first. Empty if the client showed no certificate.
    """
    certificate = tls.getpeercert() or {}
    alternatives = certificate.get("subjectAltName", ())
    found = [
        str(pair[1]) for wanted in ("email", "DNS") for pair in alternatives if pair[0] == wanted
    ]
    subject = _distinguished(certificate.get("subject", ()))
    return (*found, subject) if subject else tuple(found)


def peers(tls: ssl.SSLObject) -> tuple[str, ...]:
    """The subject of the client's certificate, if it showed one that we asked for.

    Before Python 3.13 nobody tells of the rest of its chain.
    """
    subject = _distinguished((tls.getpeercert() or {}).get("subject", ()))
    return (subject,) if subject else ()


def key_digest(tls: ssl.SSLObject) -> str:
    """The SHA-256 of the client's public key in lower-case hex; empty without a certificate."""
    binary = tls.getpeercert(binary_form=True)
    return hashlib.sha256(_public_key(binary)).hexdigest() if binary else ""


def _distinguished(subject: object) -> str:
    assert isinstance(subject, tuple)
    parts = [
        "+".join(f"{_SHORT.get(kind, kind)}={_escape(value)}" for kind, value in part)
        for part in reversed(subject)
    ]
    return ",".join(parts)


def _escape(value: str) -> str:
    escaped = "".join(f"\\{c}" if c in ',+"\\<>;' else c for c in value)
    if escaped[:1] in ("#", " "):
        escaped = f"\\{escaped}"
    return f"{escaped[:-1]}\\ " if escaped.endswith(" ") and len(escaped) > 1 else escaped


def _public_key(certificate: bytes) -> bytes:
    """The SubjectPublicKeyInfo of a DER certificate, whole (RFC 5280, section 4.1)."""
    outer = next(_elements(certificate))
    to_be_signed = next(_elements(outer[1]))
    fields = [field for field in _elements(to_be_signed[1]) if field[0] != _VERSION_TAG]
    # serialNumber, signature, issuer, validity, subject, subjectPublicKeyInfo
    return fields[5][2]


_VERSION_TAG = 0xA0


def _elements(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """The elements of DER, one after another: tag, content, and all of it as it stands."""
    at = 0
    while at < len(data):
        size, begin = data[at + 1], at + 2
        if size & 0x80:
            count = size & 0x7F
            size, begin = int.from_bytes(data[begin : begin + count], "big"), begin + count
        yield data[at], data[begin : begin + size], data[at : begin + size]
        at = begin + size
