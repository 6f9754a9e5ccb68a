"""Leaf nodes: the door for servers below us, and the connections to those above.

The idea: `LeafBlock` says where the door is and which hubs there are; each hub is dialled for ever
(`broker.leafhub`). Here both kinds of link are made and known, those that come again replace their
former selves, and each account has its secret subject by which loops are found.

Who may come in: whom the block names; if it names nobody, whoever may come in as a client, with the
permissions that it has as one.

Neighbours: `broker.server` has one if its options say so; `broker.leaf` is a link,
`broker.leafconn` its connection; `broker.leafz` shows them. Loop thread only.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from random import Random
from typing import TYPE_CHECKING, Any

from broker.blocks import LeafBlock, RemoteBlock, RemoteTls, UserBlock
from broker.dialer import Dial
from broker.doors import address as shown
from broker.doors import explained
from broker.handshake import advertised
from broker.identity import Authenticator
from broker.leaf import LeafSession
from broker.leafaccepted import AcceptedLeaf
from broker.leafconn import AcceptedConnection, DialledConnection
from broker.leafdialled import DialledLeaf
from broker.leafhub import Hub
from broker.leafrules import LOOP
from broker.leafz import LeafInfo
from broker.logs import logger
from broker.peerconn import PeerConnection
from broker.peerinfo import PeerInfo
from broker.peerurl import PeerUrl
from broker.users import Users
from reactor import Listener
from reactor.errors import DescriptorLimitError

if TYPE_CHECKING:
    import ssl

    from broker.server import Server
    from broker.tlscontext import ServerContext

__all__ = ["Leafnodes"]


class Leafnodes:
    """One server's leaf links. Silent until `start`. A `LeafHome` to its sessions.

    ``port`` is where the door is, 0 if there is none. ``dial`` is how hubs are reached, unless by
    TCP.
    """

    def __init__(
        self,
        server: Server,
        block: LeafBlock,
        *,
        dial: Dial | None = None,
        rng: Random | None = None,
    ) -> None:
        self.block = block
        self.port = 0
        self.server_id = server.server_id
        self.server_name = server.name
        self._server = server
        self._loops: dict[str, bytes] = {}
        self._connections: dict[PeerConnection, Hub | None] = {}
        self._ready: dict[LeafSession, PeerConnection] = {}
        self._listener: Listener | None = None
        self._tls: ServerContext | None = None
        self._contexts: dict[RemoteTls, ssl.SSLContext] = {}
        self._closed = False
        rng = rng or Random()
        self.hubs = [
            Hub(server.reactor, block, remote, self._dialled_at(remote), dial=dial, rng=rng)
            for remote in block.remotes
        ]

    def _dialled_at(self, block: RemoteBlock) -> Callable[[Any, PeerUrl], object]:
        return lambda sock, url: self._dialled(block, sock, url)

    # --- beginning and end ----------------------------------------------------------------------

    def start(self) -> None:
        """Open the door, if there is to be one, and dial the hubs.

        Raises:
            OSError: an address or port cannot be listened on, or a certificate not be read.
            ValueError: a certificate and its key do not fit.
        """
        for remote in self.block.remotes:
            if remote.tls is not None:
                self._context(remote.tls)
        if self.block.port is not None:
            self._listen()
        self.solicit()

    def solicit(self) -> None:
        """Dial the hubs."""
        for hub in self.hubs:
            hub.start()

    def _listen(self) -> None:
        block, server = self.block, self._server
        if block.tls is not None:
            from broker.tlscontext import server_context

            self._tls = server_context(block.tls)
        where = self._host(), max(block.port or 0, 0)
        try:
            self._listener = Listener(server.reactor, where, self.admit)
        except OSError as error:
            trouble = f"Error listening on leafnode port: {shown(*where)}"
            raise explained(trouble, error) from error
        self.port = self._listener.port
        logger.info("Listening for leafnode connections on %s", shown(self._host(), self.port))

    def _host(self) -> str:
        return self.block.host or self._server.options.host

    def close(self) -> None:
        """Let nobody in, and dial no hub any more. The links that there are end with the server's
        other connections. Idempotent.
        """
        self._closed = True
        if self._listener is not None:
            self._listener.close()
        for hub in self.hubs:
            hub.close()

    # --- who comes ------------------------------------------------------------------------------

    def admit(self, sock: Any, address: Any) -> None:
        """Serve a server that has dialled us."""
        block, server = self.block, self._server
        cid = server.next_number()

        def make_session(connection: AcceptedConnection) -> AcceptedLeaf:
            return AcceptedLeaf(
                cid,
                self,
                connection.ip,
                plane=server.plane,
                switchboard=server.switchboard,
                limits=server.options,
                wire=connection,
                authenticator=self._authenticator(),
                doorman=server.doorman,
                isolated=block.isolate,
            )

        tls = None
        if block.tls is not None and self._tls is not None:
            tls = block.tls, self._tls
        patience = block.auth_timeout
        if block.tls is not None:
            patience = max(patience, block.tls.timeout + 1.0)

        def make() -> PeerConnection:
            return AcceptedConnection(
                server,
                cid,
                sock,
                address,
                make_session,
                gone=self._gone,
                patience=patience,
                tls=tls,
            )

        self._carry(make, None, sock, f"{address[0]} - lid:{cid}")

    def _authenticator(self) -> Authenticator:
        """Who says who may come in."""
        block = self.block
        users = block.users
        if block.user:
            users = (UserBlock(block.user, block.password, account=block.account),)
        elif block.nkey:
            users = (UserBlock(nkey=block.nkey, account=block.account),)
        if not users:
            return self._server.authenticator
        mapped = block.tls is not None and block.tls.verify_and_map
        return Users(
            users,
            accounts=self._server.options.accounts,
            mapped=frozenset(["LEAFNODE"] if mapped else []),
        )

    def _dialled(self, block: RemoteBlock, sock: Any, url: PeerUrl) -> None:
        server = self._server
        cid = server.next_number()
        hub = next(hub for hub in self.hubs if hub.block is block)
        tls = block.tls or RemoteTls()

        def make_session(connection: DialledConnection) -> DialledLeaf:
            return DialledLeaf(
                cid,
                self,
                block,
                hub.login,
                plane=server.plane,
                switchboard=server.switchboard,
                limits=server.options,
                wire=connection,
                secured=tls.first,
                wants_tls=url.tls,
            )

        def make() -> PeerConnection:
            return DialledConnection(
                server,
                cid,
                sock,
                (url.host, url.port),
                make_session,
                gone=self._gone,
                block=tls,
                context=lambda: self._context(tls),
                host=hub.tls_name,
            )

        self._carry(make, hub, sock, f"{url} - lid:{cid}")

    def _context(self, block: RemoteTls) -> ssl.SSLContext:
        if block not in self._contexts:
            from broker.tlscontext import remote_context

            self._contexts[block] = remote_context(block)
        return self._contexts[block]

    def _carry(
        self, make: Callable[[], PeerConnection], hub: Hub | None, sock: Any, label: str
    ) -> None:
        try:
            connection = make()
        except DescriptorLimitError as error:
            logger.error("%s - cannot be served: %s", label, error)
            sock.close()
            if hub is not None:
                hub.lost(())
            return
        self._connections[connection] = hub
        self._server.carry(connection)

    def _gone(self, connection: PeerConnection) -> None:
        """A link is over: dial its hub again."""
        hub = self._connections.pop(connection, None)
        session = connection.session
        if hub is not None and isinstance(session, DialledLeaf) and not self._closed:
            hub.lost(session.urls, session.retry_after)

    # --- as the home of its sessions ------------------------------------------------------------

    @property
    def cluster(self) -> str:
        """See `LeafHome.cluster`; who has hubs and no cluster is one of its own, as nats-server."""
        cluster = self._server.info.cluster
        return cluster or (self.server_name if self.block.remotes else "")

    def info(self) -> PeerInfo:
        """See `LeafHome.info`."""
        block, server = self.block, self._server
        host, port = advertised(block.advertise or "", self._host(), self.port)
        return PeerInfo(
            server_id=self.server_id,
            server_name=self.server_name,
            go=server.info.go,
            host=host,
            port=port,
            headers=True,
            auth_required=True,
            tls_required=block.tls is not None,
            tls_verify=block.tls is not None and (block.tls.verify or block.tls.verify_and_map),
            max_payload=server.options.max_payload,
            ip=shown(host, port),
            cluster=self._server.info.cluster,
            info_on_connect=True,
            leafnode_urls=(shown(host, port),),
        )

    def loop_subject(self, account: str) -> bytes:
        """See `LeafHome.loop_subject`."""
        if account not in self._loops:
            self._loops[account] = LOOP + secrets.token_hex(11).encode()
        return self._loops[account]

    def stir(self) -> None:
        """See `LeafHome.stir`; what is said now leaves at the turn's end."""
        self._server.before_input()

    def enter(self, session: LeafSession) -> None:
        """See `LeafHome.enter`."""
        connection = next(one for one in self._connections if one.session is session)
        if not session.solicited:
            for old in [*self._ready]:
                if not old.solicited and old.same_as(session):
                    connection.note("Replacing connection from same server")
                    old.replace()
        self._ready[session] = connection

    def leave(self, session: LeafSession) -> None:
        """See `LeafHome.leave`."""
        self._ready.pop(session, None)

    # --- insight --------------------------------------------------------------------------------

    def __len__(self) -> int:
        """How many links there are."""
        return len(self._ready)

    def infos(self) -> Iterator[LeafInfo]:
        """The links that there are, in the order in which they came.  O(links + interest)."""
        for session, connection in self._ready.items():
            link = session.link
            yield LeafInfo(
                id=connection.cid,
                name=session.remote_name,
                is_spoke=session.spoke,
                is_isolated=session.isolated,
                account=session.account,
                ip=connection.ip,
                port=connection.port,
                rtt=session.rtt,
                in_msgs=link.in_msgs,
                out_msgs=link.out_msgs,
                in_bytes=link.in_bytes,
                out_bytes=link.out_bytes,
                subscriptions=tuple(
                    one.filter.decode("utf-8", "replace")
                    for one in self._server.switchboard.subscriptions(link)
                ),
            )
