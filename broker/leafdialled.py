"""The handshake of a leaf link that we dialled.

    they:  INFO, which tells whether TLS comes next, and what to sign
    we:    CONNECT, with our credentials and who we are
    they:  INFO once more, with their account and what may pass
    both:  LS+ for all that is wanted on either side

The idea: the other side is the hub unless the configuration says that we are. Either way it holds
the list of what may pass, which it tells us, and we add what we deny ourselves.

We offer no compression, and say nothing before CONNECT: nats-server then does without.

Source: ``server/leafnode.go`` of nats-server 2.15, whose texts and order of checks these are.

Neighbours: `broker.leaf` goes on from here; `broker.leafnodes` makes them. One thread.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from broker import errors, ops
from broker.blocks import RemoteBlock
from broker.codec import CRLF
from broker.config import Options
from broker.errors import Closed, ProtocolError, WireError
from broker.handshake import COMPATIBLE_VERSION
from broker.leaf import CLUSTER_WITH_BLANKS, LeafHome, LeafSession
from broker.leafrules import LeafRules, denying
from broker.peer import PeerWire
from broker.peerinfo import PeerConnect, PeerInfo
from broker.permissions import Rules
from broker.plane import DataPlane
from broker.seeds import Signature, read_credentials, sign
from broker.switchboard import Switchboard

__all__ = ["CONNECT_PATIENCE", "DialledLeaf", "DialledWire", "Login"]

#: Seconds for the other side to answer our CONNECT.
CONNECT_PATIENCE = 2.0

#: Seconds after which a handshake of TLS is over in any case; it has a timeout of its own.
TLS_PATIENCE = 60.0

WRONG_PORT = WireError(None, Closed.WRONG_PORT)
STALE = WireError(b"Stale Leaf Node Connection - Closing", Closed.STALE_CONNECTION)
NO_LOGIN = WireError(None, Closed.AUTHENTICATION_FAILURE)


class DialledWire(PeerWire, Protocol):
    """What such a session asks of the owner of its stream."""

    def secure(self) -> None:
        """Go over to TLS, and call `on_secure` when that is done."""


@dataclass(frozen=True)
class Login:
    """Who we are to the other side, as the URL that was dialled has it."""

    user: str = ""
    password: str = field(default="", repr=False)


class DialledLeaf(LeafSession):
    """A server that we dialled: our hub, unless its block says that it is our leaf.

    `secured` says that TLS came before the first word. ``urls`` are addresses at which the other
    side says that it, or a node of its cluster, is.
    """

    def __init__(
        self,
        link_id: int,
        home: LeafHome,
        block: RemoteBlock,
        login: Login,
        *,
        plane: DataPlane,
        switchboard: Switchboard,
        limits: Options,
        wire: DialledWire,
        secured: bool,
        wants_tls: bool = False,
    ) -> None:
        super().__init__(
            link_id,
            home,
            plane=plane,
            switchboard=switchboard,
            limits=limits,
            wire=wire,
            solicited=True,
            isolated=block.isolate,
        )
        self.account = block.account
        self.spoke = not block.hub
        self.urls: tuple[str, ...] = ()
        self._block = block
        self._login = login
        self._secured = secured
        self._wants_tls = wants_tls or block.tls is not None
        self._dialled_wire = wire
        self._greeting: PeerInfo | None = None
        self._passing: tuple[Rules | None, Rules | None] = None, None

    # --- steps

    def _begin(self, now: float) -> None:
        self._wire.set_ping_timer(self._block.first_info_timeout)

    def on_ping_timer(self, now: float) -> None:
        """As for all peers; or time is up for the next step."""
        if self.is_ready:
            super().on_ping_timer(now)
        else:
            self._report(STALE)

    def on_secure(self) -> None:
        """TLS has begun."""
        self._secured = True
        if self._greeting is not None and self.closed is None:
            self._introduce(self._greeting)

    def _connect(self, op: ops.Connect, now: float) -> None:
        self._report(errors.BAD_ARGUMENTS, "CONNECT from a server that we dialled")

    def _info(self, op: ops.Info, now: float) -> None:
        try:
            info = PeerInfo.parse(op.json)
        except ProtocolError as failure:
            self._report(failure.error, str(failure))
            return
        if self._greeting is None:
            self._greet(info)
            return
        if info.leafnode_urls:
            self.urls = info.leafnode_urls
        if self.is_ready:
            self._change(info)
        elif info.connect_info:
            self._finish(info)

    def _greet(self, info: PeerInfo) -> None:
        if not info.client_id or not info.leafnode_urls:
            self._report(WRONG_PORT, "attempted to connect to wrong port")
            return
        if " " in info.cluster:
            self._report(CLUSTER_WITH_BLANKS)
            return
        self._greeting = info
        self.urls = info.leafnode_urls
        if (info.tls_required or self._wants_tls) and not self._secured:
            self._wire.set_ping_timer(TLS_PATIENCE)
            self._dialled_wire.secure()
        else:
            self._introduce(info)

    def _introduce(self, info: PeerInfo) -> None:
        """Say who we are."""
        try:
            token, signed = self._sign(info.nonce)
        except (OSError, ValueError, ImportError) as error:
            self._report(NO_LOGIN, f"cannot log in to the hub: {error}")
            return
        block, login = self._block, self._login
        connect = PeerConnect(
            version=COMPATIBLE_VERSION,
            jwt=token,
            nkey="" if token else signed.key,
            sig=signed.text,
            user=login.user,
            password=login.password,
            # A user without a password may be a token.
            auth_token=login.user if not login.password else "",
            server_id=self._home.server_id,
            name=self._home.server_name,
            cluster=self._home.cluster or self._home.server_name,
            is_hub=block.hub,
            isolate=block.request_isolation,
            headers=info.headers,
            deny_pub=tuple(subject.decode() for subject in block.deny_imports),
            compress_mode="not supported",
            remote_account=block.account,
            protocol=1,
        )
        self._say(b"CONNECT " + connect.json() + CRLF)
        self._wire.set_ping_timer(CONNECT_PATIENCE)
        if not info.info_on_connect:
            self._finish(info)

    def _sign(self, nonce: str) -> tuple[str, Signature]:
        """The JWT, if we have one, and what proves that it or the key is ours."""
        block = self._block
        if block.credentials:
            token, seed = read_credentials(block.credentials)
            return token, sign(seed, nonce)
        return "", sign(block.nkey, nonce) if block.nkey else Signature("", "")

    def _finish(self, info: PeerInfo) -> None:
        """The other side has let us in."""
        greeting = self._greeting
        assert greeting is not None  # it came first
        rules = self._rules_of(info)
        if rules is None:
            return
        self._passing = info.imports, info.exports
        self.remote_name = greeting.server_name or greeting.server_id
        self.remote_account = info.remote_account
        self._settle(rules, cluster=greeting.cluster, headers=greeting.headers)

    def _change(self, info: PeerInfo) -> None:
        """Begin anew if the hub has changed what may pass."""
        told = info.imports, info.exports
        if told != (None, None) and told != self._passing:
            self._wire.note("what may pass has changed")
            self.close(Closed.CLIENT_CLOSED)

    def _rules_of(self, info: PeerInfo) -> LeafRules | None:
        block = self._block
        incoming = denying(info.imports, block.deny_imports)
        outgoing = denying(info.exports, block.deny_exports)
        try:
            return LeafRules(incoming, outgoing)
        except ValueError as error:
            self._report(errors.BAD_ARGUMENTS, f"permissions that make no sense: {error}")
            return None
