"""Conversations of several users in several accounts, written down as they are read.

The idea: a transcript is text. `ann> SUB a 1` is what the user ann says, `bob< MSG a 7 2` what bob
then hears; a payload is a line of its own. Lines of one user that follow one another are sent at
once. All that is heard comes behind the lines that caused it, user by user in the order of their
first words. The answers were recorded from nats-server 2.15.1.

What servers choose for themselves is written as a name: `_R_` stands for a reply subject that a
server made up, and in what a user says `<reply>` for the last one that this user heard; of the
header `Nats-Request-Info` the round trip is left out, and the sizes of a message that has it.

`play` needs only something to talk to (a `Phone`), so the same transcript is played by the real
server over TCP and by our switchboard without a socket.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

from broker.blocks import AccountBlock, UserBlock
from broker.permissions import Permissions, Rules

__all__ = ["Phone", "Transcript", "configuration", "permissions_of", "plain", "play", "read"]

_MADE_UP = re.compile(rb"_R_\.\w{6}\.\w{6}")
_SIZES = re.compile(rb"(HMSG [^\r]*?)(\d+) (\d+)(\r\n(?:[^\r]+\r\n)*Nats-Request-Info: )")
_RTT = re.compile(rb',?"rtt":\d+')


@dataclasses.dataclass(frozen=True)
class Transcript:
    """One conversation, in the accounts of `accounts`. Immutable."""

    name: str
    accounts: tuple[AccountBlock, ...]
    text: str

    def steps(self) -> list[tuple[str, list[bytes]]]:
        """Who says what, in order."""
        pairs = [line.partition(">") for line in self.lines()]
        said = [(user, text[1:]) for user, _, text in pairs if "<" not in user]
        return [
            (user, [text.encode() for _, text in group])
            for user, group in groupby(said, key=lambda pair: pair[0])
        ]

    def lines(self) -> list[str]:
        """The transcript, line by line, without indentation."""
        return [line.strip() for line in self.text.splitlines() if line.strip()]


def read(path: Path, accounts: tuple[AccountBlock, ...]) -> list[Transcript]:
    """The transcripts of a file; each begins with a line `== name`."""
    parts = re.split(r"^== (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [
        Transcript(name, accounts, text)
        for name, text in zip(parts[1::2], parts[2::2], strict=True)
    ]


class Phone(Protocol):
    """One user's connection."""

    def say(self, lines: list[bytes]) -> None:
        """Send the lines, each completed by CRLF, and wait until they were understood."""

    def hear(self) -> bytes:
        """All that has come since, without the answers to PINGs of our own."""


def play(transcript: Transcript, dial: Callable[[str], Phone]) -> list[str]:
    """The lines that a server makes of what is said in `transcript`."""
    phones: dict[str, Phone] = {}
    replies: dict[str, bytes] = {}
    written = []
    for user, _ in transcript.steps():
        phones.setdefault(user, dial(user))
    for user, said in transcript.steps():
        phones[user].say([line.replace(b"<reply>", replies.get(user, b"")) for line in said])
        written += [f"{user}> {line.decode()}".strip() for line in said]
        for other, phone in phones.items():
            heard = phone.hear()
            made_up = _MADE_UP.findall(heard)
            if made_up:
                replies[other] = made_up[-1]
            written += [f"{other}< {line}" for line in plain(heard).decode().split("\r\n") if line]
    return written


def plain(heard: bytes) -> bytes:
    """What was heard, without what a server chooses for itself."""
    return _RTT.sub(b"", _MADE_UP.sub(b"_R_", _SIZES.sub(rb"\1n n\4", heard)))


def permissions_of(accounts: tuple[AccountBlock, ...], name: str) -> tuple[str, Permissions]:
    """Account and permissions of a user."""
    for account in accounts:
        for user in account.users:
            if user.user == name:
                return (
                    account.name,
                    user.permissions or account.default_permissions or Permissions(),
                )
    raise LookupError(f"no account has a user {name!r}")


# --- the configuration of the real server, in JSON, of which its grammar is a superset


def configuration(accounts: tuple[AccountBlock, ...]) -> str:
    """`accounts` as nats-server reads them."""
    return json.dumps({"accounts": {block.name: _account(block) for block in accounts}})


def _account(block: AccountBlock) -> dict[str, Any]:
    given: dict[str, Any] = {"users": [_user(user) for user in block.users]}
    given["exports"] = [
        {("service" if one.service else "stream"): one.subject.decode()}
        | ({"response_type": one.response} if one.service else {})
        | ({"accounts": list(one.accounts)} if one.accounts is not None else {})
        for one in block.exports
    ]
    given["imports"] = [
        {
            ("service" if one.service else "stream"): {
                "account": one.account,
                "subject": one.subject.decode(),
            }
        }
        | ({"to": one.to.decode()} if one.to else {})
        | ({"prefix": one.prefix.decode()} if one.prefix else {})
        for one in block.imports
    ]
    given["mappings"] = {
        one.source.decode(): [
            {"destination": target.subject.decode(), "weight": f"{target.weight}%"}
            for target in one.targets
        ]
        for one in block.mappings
    }
    return {name: value for name, value in given.items() if value}


def _user(user: UserBlock) -> dict[str, Any]:
    given: dict[str, Any] = {"user": user.user, "password": user.password}
    if user.permissions is not None:
        rules = user.permissions
        given["permissions"] = {
            "publish": _rules(rules.publish),
            "subscribe": _rules(rules.subscribe),
        }
        if rules.responses is not None:
            expires = rules.responses.expires
            given["permissions"]["allow_responses"] = {
                "max": rules.responses.max,
                "expires": f"{expires}s",
            }
            if rules.publish == Rules():
                del given["permissions"]["publish"]
    return given


def _rules(rules: Rules) -> dict[str, list[str]]:
    given = {"deny": [entry.decode() for entry in rules.deny]}
    if rules.allow is not None:
        given["allow"] = [entry.decode() for entry in rules.allow]
    return {name: entries for name, entries in given.items() if entries or name == "allow"}
