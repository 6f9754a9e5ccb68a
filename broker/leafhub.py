"""Where a hub is: the addresses of one remote, tried in turn for as long as it takes.

The idea: a `Dialer` keeps trying one address; a remote has several, those of the configuration and
those that the hub tells of, and after each failure it is the next one's turn. A hub that has told
us of a loop, or that we harm, is left alone for longer.

Neighbours: `broker.leafnodes` has one for each remote. Loop thread only.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from functools import partial
from random import Random
from typing import Any

from broker.blocks import LeafBlock, RemoteBlock
from broker.dialer import Dial, Dialer, dial_tcp
from broker.leafchecks import LEAF_PORT
from broker.leafdialled import Login
from broker.logs import logger
from broker.peerurl import PeerUrl
from reactor import Reactor

__all__ = ["Hub"]

#: Of how many failures in a row one is told by an error; the rest is for who debugs.
REPORT_EVERY = 60


class Hub:
    """One remote. Silent until `start`.

    ``on_socket`` gets each socket, with the address that was dialled; ``dial`` is how, unless by
    TCP.
    """

    def __init__(
        self,
        reactor: Reactor,
        leafnodes: LeafBlock,
        block: RemoteBlock,
        on_socket: Callable[[Any, PeerUrl], object],
        *,
        dial: Dial | None,
        rng: Random,
    ) -> None:
        self.block = block
        self.dialer: Dialer
        given = [PeerUrl.parse(url, LEAF_PORT) for url in block.urls]
        if not block.no_randomize:
            rng.shuffle(given)
        self._given = self._urls = given
        self._on_socket = on_socket
        self._wait = leafnodes.reconnect
        timeout = leafnodes.dial_timeout if block.dial_timeout is None else block.dial_timeout
        self.dialer = Dialer(
            reactor,
            (given[0].host, given[0].port),
            self._connected,
            failed=self._failed,
            wait=self._wait,
            rng=rng,
            dial=dial or partial(dial_tcp, timeout=timeout),
        )

    @property
    def url(self) -> PeerUrl:
        """The address whose turn it is."""
        return self._urls[0]

    @property
    def tls_name(self) -> str:
        """The name that the certificate at this address must be for.

        Addresses that the hub tells of are numbers; their certificate is for the name that we know
        it by.
        """
        named = (url.host for url in (self.url, *self._given) if not _is_number(url.host))
        return next(named, self.url.host)

    @property
    def login(self) -> Login:
        """Who we are at this address; where the hub told of it, as at one that we were given."""
        url = next((url for url in (self.url, *self._given) if url.user), self.url)
        return Login(url.user, url.password)

    def start(self) -> None:
        """Dial, unless the remote is disabled."""
        if not self.block.disabled:
            self.dialer.start()

    def lost(self, told: Iterable[str], wait: float = 0.0) -> None:
        """The connection is over: dial the next address after ``wait`` seconds, or as many as is
        usual. ``told`` are the addresses that the hub told us of.
        """
        if told and not self.block.ignore_discovered:
            self._discover(told)
        self._next()
        self.dialer.lost(wait or self._wait)

    def close(self) -> None:
        """Dial no more. Idempotent."""
        self.dialer.close()

    def _discover(self, told: Iterable[str]) -> None:
        known = {str(url) for url in self._given}
        found = []
        for text in told:
            try:
                url = PeerUrl.parse(text, LEAF_PORT)
            except ValueError as problem:
                logger.error("the hub told us of an address that is none: %s", problem)
                continue
            if str(url) not in known:
                found.append(url)
        current = self.url
        self._urls = [*found, *self._given]
        # Go on behind the one that was just used.
        while self.url != current and current in self._urls:
            self._urls.append(self._urls.pop(0))

    def _next(self) -> None:
        self._urls = [*self._urls[1:], self._urls[0]]
        self.dialer.address = self.url.host, self.url.port

    def _connected(self, sock: Any) -> None:
        logger.debug("Connected to the hub at %s", self.url)
        self._on_socket(sock, self.url)

    def _failed(self, number: int, error: OSError) -> None:
        text = 'Error trying to connect as leafnode to remote server "%s" (attempt %d): %s'
        say = logger.error if number % REPORT_EVERY == 1 else logger.debug
        say(text, self.url, number, error)
        self._next()


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
