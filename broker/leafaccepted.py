"""The handshake of a leaf link that came to our door.

    we:    INFO, with something to sign
    they:  CONNECT, with their credentials and who they are
    we:    INFO once more, with the account and what may pass; LS+ for all that is wanted here

The idea: whoever may come in, and into which account, is asked of an authenticator, as for a client
(`broker.inquiry`): it may take its time, and refusals are held back.

Source: ``server/leafnode.go`` of nats-server 2.15, whose texts and order of checks these are.

Neighbours: `broker.leaf` goes on from here; `broker.leafnodes` makes them. One thread.
"""

from __future__ import annotations

import dataclasses
from typing import Protocol

from broker import errors, ops
from broker.accounts import effective
from broker.codec import info_line
from broker.config import Options
from broker.doorman import Doorman
from broker.errors import Closed, ProtocolError, WireError
from broker.handshake import ConnectOptions
from broker.identity import Answer, Authenticator, Identity
from broker.inquiry import Inquiry, Wire
from broker.leaf import CLUSTER_WITH_BLANKS, SAME_CLUSTER, LeafHome, LeafSession
from broker.leafrules import LeafRules, denying
from broker.peer import PeerWire
from broker.peerinfo import PeerConnect
from broker.permissions import Rules
from broker.plane import DataPlane
from broker.switchboard import Switchboard

__all__ = ["AcceptedLeaf", "AcceptedWire"]

WRONG_PORT = WireError(b"attempted to connect to leaf node port", Closed.WRONG_PORT)


class AcceptedWire(PeerWire, Wire, Protocol):
    """What such a session asks of the owner of its stream: what a client's session does, too."""


class AcceptedLeaf(LeafSession):
    """A server that came to us: a leaf, unless it says that it is our hub."""

    def __init__(
        self,
        link_id: int,
        home: LeafHome,
        ip: str,
        *,
        plane: DataPlane,
        switchboard: Switchboard,
        limits: Options,
        wire: AcceptedWire,
        authenticator: Authenticator,
        doorman: Doorman,
        isolated: bool,
    ) -> None:
        super().__init__(
            link_id,
            home,
            plane=plane,
            switchboard=switchboard,
            limits=limits,
            wire=wire,
            solicited=False,
            isolated=isolated,
        )
        self._connect_wire = wire
        self._inquiry = Inquiry(ip, authenticator=authenticator, wire=wire, doorman=doorman)
        self._farewell = errors.USER_EXPIRED
        self._told = PeerConnect()

    def on_expiry_timer(self) -> None:
        """Ends the link of a leaf whose credentials were good until now."""
        self._report(self._farewell)

    def _begin(self, now: float) -> None:
        info = dataclasses.replace(
            self._home.info(), client_id=self.link.id, nonce=self._inquiry.nonce
        )
        self._say(info_line(info.json()))

    def _info(self, op: ops.Info, now: float) -> None:
        """Some say INFO before CONNECT, to agree on a compression that we have not offered."""

    def _connect(self, op: ops.Connect, now: float) -> None:
        if self._connected:
            self._report(errors.BAD_ARGUMENTS, "a second CONNECT")
            return
        try:
            told = self._told = PeerConnect.parse(op.json)
        except ProtocolError as failure:
            self._report(failure.error, str(failure))
            return
        self._connected = True
        self._inquiry.collect(
            ConnectOptions(
                user=told.user,
                password=told.password,
                auth_token=told.auth_token,
                nkey=told.nkey,
                jwt=told.jwt,
                sig=told.sig,
                name=told.name,
                lang=told.lang,
            )
        )
        self.waiting = True
        self._inquiry.ask(self._answered)

    def _answered(self, answer: Answer) -> None:
        self.waiting = False
        if self.closed is not None:
            return
        if isinstance(answer, WireError):
            self.waiting = True
            self._inquiry.refuse(lambda: self._report(answer, "authentication error"))
            return
        error = self._misfit()
        if error is not None:
            self._report(error)
        else:
            self._admit(answer)

    def _misfit(self) -> WireError | None:
        told, cluster = self._told, self._home.cluster
        if told.lang:
            return WRONG_PORT
        if " " in told.cluster:
            return CLUSTER_WITH_BLANKS
        if cluster and told.cluster == cluster:
            return SAME_CLUSTER
        if told.gateway:
            text = f'Rejecting connection from gateway "{told.gateway}" on the leafnode port'
            return WireError(text.encode("utf-8", "replace"), Closed.WRONG_PORT)
        return None

    def _admit(self, identity: Identity) -> None:
        told = self._told
        may = effective(identity.permissions)
        denied = [subject.encode() for subject in told.deny_pub]
        try:
            rules = LeafRules(may.publish, denying(may.subscribe, denied), may.responses)
        except ValueError as error:
            self._report(errors.AUTHORIZATION_VIOLATION, f"permissions make no sense: {error}")
            return
        left = self._inquiry.left(identity)
        if left is not None and left <= 0:
            self._report(identity.farewell)
            return
        self._farewell = identity.farewell
        self._connect_wire.set_expiry_timer(left)
        self.account = identity.account
        self.remote_name = told.name
        self.remote_account = told.remote_account
        self.spoke = told.is_hub
        self.isolated = self.isolated or told.isolate
        info = dataclasses.replace(
            self._home.info(),
            client_id=self.link.id,
            connect_info=True,
            remote_account=identity.account,
            imports=_some(may.subscribe),
            exports=_some(may.publish),
        )
        self._say(info_line(info.json()))
        self._settle(rules, cluster=told.cluster, headers=told.headers)


def _some(rules: Rules) -> Rules | None:
    return None if rules == Rules() else rules
