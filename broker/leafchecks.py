"""Whether a ``leafnodes`` block makes sense, by itself and with the accounts there are.

The idea: a file is read key by key (`broker.confleaf`), and a program writes records; what holds
for both is asked here, where `Options` are made, and nothing is dialled that could never work.

Pure; O(users + remotes). Neighbours: `broker.config` calls `check_leafnodes`. Source of the texts:
``server/leafnode.go`` of nats-server 2.15.1.
"""

from __future__ import annotations

from collections.abc import Set

from broker.blocks import LeafBlock, RemoteBlock
from broker.checks import OptionsError, port
from broker.nkeys import ACCOUNT, have_ed25519, is_public
from broker.passwords import have_bcrypt, is_bcrypt
from broker.peerurl import PeerUrl
from broker.subject import is_valid_filter

__all__ = ["LEAF_PORT", "check_leafnodes"]

#: Where nats-server's hubs listen for leaves.
LEAF_PORT = 7422


def check_leafnodes(block: LeafBlock, accounts: Set[str] | None) -> None:
    """Refuse what cannot be served.  `accounts` are those there are; None: only their JWTs tell.

    Raises OptionsError.
    """
    if block.port is not None:
        port("leafnodes", block.port)
    elif not block.remotes:
        raise OptionsError(
            "leafnodes",
            f"needs a port, or remotes, or it connects nobody; {LEAF_PORT} is the usual port",
        )
    _check_users(block, accounts)
    _check_libraries(block)
    for remote in block.remotes:
        _check_remote(remote, accounts)


def _check_users(block: LeafBlock, accounts: Set[str] | None) -> None:
    if accounts is None and block.users:
        raise OptionsError(
            "leafnodes", "operator mode does not allow specifying users in leafnode config"
        )
    if accounts is None:
        return
    for name in (block.account, *(user.account for user in block.users)):
        _check_account(name, accounts, "authorization")


def _check_libraries(block: LeafBlock) -> None:
    passwords = [block.password, *(user.password or "" for user in block.users)]
    if any(map(is_bcrypt, passwords)) and not have_bcrypt():
        raise OptionsError(
            "leafnodes", "a user has a bcrypt hash; install reactor-broker[auth] to compare with it"
        )
    signs = any(remote.nkey or remote.credentials for remote in block.remotes)
    if (block.nkey or signs) and not have_ed25519():
        raise OptionsError("leafnodes", "nkeys need PyNaCl; install reactor-broker[auth]")


def _check_account(name: str, accounts: Set[str], where: str) -> None:
    if name not in accounts:
        raise OptionsError(
            "leafnodes", f'cannot find local account "{name}" specified in leafnode {where}'
        )


def _check_remote(remote: RemoteBlock, accounts: Set[str] | None) -> None:
    if accounts is not None:
        _check_account(remote.account, accounts, "remote")
    elif not is_public(remote.account, ACCOUNT):
        raise OptionsError(
            "leafnodes",
            "operator mode requires account nkeys in remotes. Please add an `account` key to each "
            "remote in your `leafnodes` section, to assign it to an account. Each account value "
            "should be a 56 character public key, starting with the letter 'A'",
        )
    if not remote.urls:
        raise OptionsError("leafnodes", "a remote needs urls, or there is nothing to connect to")
    for url in remote.urls:
        try:
            PeerUrl.parse(url, LEAF_PORT)
        except ValueError as problem:
            raise OptionsError("leafnodes", str(problem)) from None
    for subject in remote.deny_imports + remote.deny_exports:
        if not is_valid_filter(subject):
            raise OptionsError("leafnodes", f'subject "{subject.decode()}" is not a valid subject')
