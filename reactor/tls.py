"""TLS as bytes in, bytes out: a session that never touches a socket.

A `TlsSession` stands between a stream and its socket. Ciphertext that arrived is fed to it, and
plaintext is read from it; plaintext is written to it, and ciphertext to be sent is taken from it.
It wears Python's `ssl` over two memory buffers, so the same stream class serves TLS clients, TLS
servers and connections that are upgraded in mid-stream, and tests need no network.

Three hazards, and what is done about them:

* **Plaintext waits inside while the descriptor is not ready.** One read of the socket may bring
  many records, and no event will tell of those that were not read out. `pending` says that there is
  more; the stream asks it before it goes back to waiting.
* **Data after our close_notify.** OpenSSL's shutdown fails for good if application data is waiting
  to be read. `end` therefore reads out everything first and keeps it.
* **Truncation.** An attacker can end a TCP connection, but cannot forge a close_notify. `ended` is
  true only after a real one; an end of the socket without it is for the stream to report.

Floor 3: imports floor 1 only. Used by `reactor.stream`. Not thread-safe.
"""

from __future__ import annotations

import ssl

from reactor.budgets import READ_SIZE
from reactor.errors import CloseKind, CloseReason

#: Seconds that a handshake may take: three round trips on a bad line, and a slow certificate check.
HANDSHAKE_TIMEOUT = 10.0


class TlsSession:
    """One side of one TLS connection.

    `context` carries certificates and rules; `server_side` says which side we are; a client whose
    context checks host names needs `server_hostname` (ValueError otherwise). `handshake_timeout`,
    in seconds, is kept here for the stream, which has the timer.

    `secure` is true once the handshake is done, `ended` once the peer said close_notify, `closing`
    once we did, and `carrying` while bytes of the program's are on their way out (the stream says
    so). `object` is the `ssl.SSLObject`, for a look at certificates and ciphers.

    Errors of the peer's are `ssl.SSLError`; `close_reason` puts them into words.
    """

    __slots__ = (
        "_error",
        "_held",
        "_incoming",
        "_outgoing",
        "carrying",
        "closing",
        "ended",
        "handshake_timeout",
        "object",
        "secure",
    )

    def __init__(
        self,
        context: ssl.SSLContext,
        *,
        server_side: bool,
        server_hostname: str | None = None,
        handshake_timeout: float = HANDSHAKE_TIMEOUT,
    ) -> None:
        if context.check_hostname and not server_side and not server_hostname:
            # Python's memory TLS would connect to anybody here, and not say so.
            raise ValueError(
                "this context checks host names, so a client needs server_hostname: the name that"
                " the server's certificate is for"
            )
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.object = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=server_hostname
        )
        self.handshake_timeout = handshake_timeout
        self.secure = False
        self.ended = False
        self.closing = False
        self.carrying = False
        # Plaintext that was read out of turn, and an error that comes after what was read before
        # it.
        self._held = b""
        self._error: ssl.SSLError | None = None

    @property
    def pending(self) -> bool:
        """Whether there may be more to read without anything being fed."""
        if self._held or self._error:
            return True
        return not self.ended and bool(self._incoming.pending or self.object.pending())

    @property
    def has_output(self) -> bool:
        """Whether there is ciphertext to be sent."""
        return self._outgoing.pending > 0

    def feed(self, ciphertext: bytes) -> None:
        """Take in what arrived on the socket."""
        self._incoming.write(ciphertext)

    def output(self) -> bytes:
        """Take out what is to be sent on the socket; empty if there is nothing."""
        return self._outgoing.read()

    def handshake(self) -> bool:
        """Go on with the handshake as far as the bytes allow; return whether it is done.

        Raises `ssl.SSLError` if it failed; `output` then holds an alert that the peer should get.
        """
        if not self.secure:
            try:
                self.object.do_handshake()
            except ssl.SSLWantReadError:
                return False
            self.secure = True
        return True

    def read(self, limit: int = READ_SIZE) -> bytes:
        """Return up to `limit` bytes of plaintext; empty if there are none now, or none any more.

        Records are joined, so what arrived together is handed over together. Raises `ssl.SSLError`
        if the peer broke the rules, after everything that came before that was read.
        """
        if self._held:
            held, self._held = self._held[:limit], self._held[limit:]
            return held
        if self._error is not None:
            raise self._error
        parts: list[bytes] = []
        left = limit
        while left and not self.ended and (self._incoming.pending or self.object.pending()):
            try:
                part = self.object.read(left)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                self.ended = True
                break
            except ssl.SSLError as error:
                self._error = error
                break
            if not part:
                self.ended = True
            parts.append(part)
            left -= len(part)
        if self._error is not None and left == limit:
            raise self._error
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def write(self, plaintext: bytes | memoryview) -> int:
        """Encrypt, and return how many bytes were taken: all, or 0 while the peer renegotiates."""
        try:
            return self.object.write(plaintext)
        except ssl.SSLWantReadError:
            return 0

    def end(self) -> None:
        """Say close_notify: we shall write no more. Reading goes on. Idempotent."""
        if self.closing or not self.secure:
            return
        self.closing = True
        self._read_out()
        try:
            self.object.unwrap()
            self.ended = True  # it returns only when the peer has said it, too
        except ssl.SSLWantReadError:
            pass  # said; the peer's is still to come
        except ssl.SSLError as error:
            self._error = self._error or error

    def version(self) -> str:
        """Return the protocol's version, such as ``"TLSv1.3"``, or ``""`` before the handshake."""
        return self.object.version() or "" if self.secure else ""

    def _read_out(self) -> None:
        # Bounded: a stream that does not read from us does not feed us either.
        held = [self._held]
        self._held = b""
        try:
            while plaintext := self.read():
                held.append(plaintext)
        except ssl.SSLError:
            pass  # kept in `_error`; whoever reads next gets it after what is held
        self._held = b"".join(held)


def close_reason(error: ssl.SSLError) -> CloseReason:
    """Return the reason for which a connection ends by `error`, with OpenSSL's own words."""
    # Its traceback tells of our own frames only, and would keep the stream alive with the reason.
    error = error.with_traceback(None)
    if isinstance(error, ssl.SSLCertVerificationError):
        detail = f"certificate verify failed: {error.verify_message}"
    elif words := getattr(error, "reason", None):  # only those that OpenSSL raised have one
        detail = words.replace("_", " ").lower()
    else:
        detail = str(error)
    return CloseReason(CloseKind.TLS, error, detail)
