"""Answers to what is asked below `$SYS.REQ.`.

The idea: a subject names a page, the payload holds its options, and the page is the one that the
monitor serves over HTTP, put into an envelope. What no page has (who am I, send that client away)
is a method here.

What is answered, and what is not, is nats-server's choice: a request without a reply subject gets
none, one that selects other servers gets none, an order that cannot be read is logged and gets
none; everything else that is wrong is answered with a code and a text. Where the error comes from
the page, the answer has ``data`` too, which is null.

What is about processes written in Go is refused or empty: profiles, queues between goroutines.
Answers are compressed with gzip if the request says ``Accept-Encoding: gzip``; who asks for another
encoding only is told that it is ``identity``.

Neighbours: `broker.sysservice` makes one when it is first asked, and hands in messages of accounts
that may ask. Loop thread only.
"""

from __future__ import annotations

import dataclasses
import gzip
from collections.abc import Callable
from typing import TYPE_CHECKING

from broker import sysoptions
from broker.accountz import accstatz
from broker.errors import Closed
from broker.events import user_info
from broker.logs import logger
from broker.monitorpages import Pages
from broker.queries import QueryError
from broker.sysoptions import BadOptions, Request
from broker.taps import Message
from broker.varz import healthz

if TYPE_CHECKING:
    from broker.events import Body
    from broker.sysservice import SystemService

__all__ = ["Desk"]

_BAD_REQUEST = 400
_FAILED = 500

_NO_PROFILES = "Profile {name!r} not found: this server is not written in Go"


class Refused(Exception):  # noqa: N818 # it is an answer, not an accident
    """The request is answered with an error; the text says which."""


class Desk:
    """Answers for one server. Loop thread only."""

    def __init__(self, service: SystemService) -> None:
        self._service = service
        self._server = service.server
        self._herald = service.herald()
        self._pages = Pages(service.server, service.server.reactor.now)

    def serve(self, message: Message) -> None:
        """Answer, if there is something to answer."""
        _, _, realm, whom, *rest = message.subject.decode("utf-8", "replace").split(".")
        if realm == "USER":
            self._reply(message, self._user_info(message, whom))
        elif message.account != self._service.account:
            self._about_account(message, rest[0], message.account)
        elif realm == "ACCOUNT":
            self._about_account(message, rest[0], whom)
        else:
            self._about_server(message, rest[0] if rest else "STATSZ")

    # --- envelopes ------------------------------------------------------------------------------

    def _answer(self, message: Message, what: str, make: Callable[[Request], Body | None]) -> None:
        """Read the options, have the answer made of them, and send it. ``make`` returns None where
        there is nothing to say, and may raise `QueryError` or `Refused`.
        """
        if not message.reply:
            return
        try:
            asked = sysoptions.read(what, message.payload)
            if not asked.selection.fits(self._herald.name, self._herald.host):
                return
            body = make(asked)
        except (BadOptions, QueryError, Refused) as problem:
            self._reply(message, self._failure(problem))
            return
        if body is not None:
            self._reply(message, body, _encoding(message.headers))

    def _reply(self, message: Message, body: Body, encoding: str = "") -> None:
        if not message.reply:
            return
        text, headers = self._herald.encode(body), b""
        if encoding:
            headers = f"NATS/1.0\r\nContent-Encoding: {encoding}\r\n\r\n".encode()
        if encoding == "gzip":
            text = gzip.compress(text)
        self._server.switchboard.emit(message.account, message.reply, text, headers=headers)

    def _failure(self, problem: ValueError | Refused) -> Body:
        code = _BAD_REQUEST if isinstance(problem, BadOptions) else _FAILED
        asked = isinstance(problem, QueryError)
        return self._herald.failure(code, str(problem), asked=asked)

    def _data(self, data: Body | None) -> Body:
        return self._herald.answer(data)

    # --- about this server ----------------------------------------------------------------------

    def _about_server(self, message: Message, what: str) -> None:
        if what == "IDZ":
            self._reply(message, self._herald.idz())
        elif what == "STATSZ":
            if message.reply:
                # As it is: nats-server never compresses this one.
                bare = dataclasses.replace(message, headers=b"")
                self._answer(bare, what, lambda asked: self.statsz())
            else:
                self._service.tell_statsz()
        elif what in ("KICK", "LDM"):
            self._about_client(message, what)
        elif what == "RELOAD":
            self._answer(message, what, lambda asked: self._reload())
        else:
            self._answer(message, what, lambda asked: self._data(self._page(what, asked)))

    def statsz(self) -> Body:
        """The body of `STATSZ`. O(connections)."""
        server = self._server
        return self._herald.statsz(server.stats(), self._pages.usage(), server.accounts())

    def _page(self, what: str, asked: Request) -> Body:
        if what == "HEALTHZ":
            return healthz() | {"status_code": 200}
        if what == "PROFILEZ":
            name = asked.name
            problem = _NO_PROFILES.format(name=name) if name else "Profile name not specified"
            return {"profile": None, "error": problem}
        if what in ("IPQUEUESZ", "RAFTZ"):
            return {}
        return self._pages.sheet("/" + what.lower(), asked.parameters)

    # --- about an account -----------------------------------------------------------------------

    def _about_account(self, message: Message, what: str, account: str) -> None:
        if what == "CONNS":
            self._conns(message, account)
        elif what == "STATZ":
            self._answer(message, what, lambda asked: self._statz(message, account, asked))
        else:
            self._answer(message, what, lambda asked: self._data(self._of(account, what, asked)))

    def _of(self, account: str, what: str, asked: Request) -> Body:
        parameters = dict(asked.parameters, acc=account)
        if what == "INFO":
            detail: Body = self._pages.sheet("/accountz", parameters)["account_detail"]
            return detail
        if what == "SUBSZ":
            parameters["subs"] = "1"
        if what == "JSZ":
            raise QueryError("jetstream not enabled")
        return self._pages.sheet("/" + what.lower(), parameters)

    def _statz(self, message: Message, account: str, asked: Request) -> Body | None:
        """Of one account, or (`PING`) of those that the system account names; idle ones only if
        they are asked for, and nothing where that leaves nobody.
        """
        server = self._server
        unused = asked.parameters.get("unused") == "true"
        wanted: tuple[str, ...] = (account,)
        if account == "PING" and message.account == self._service.account:
            wanted = asked.accounts
        infos = [info for info in server.accounts() if not wanted or info.name in wanted]
        page = accstatz(unused, server.stats(), infos)
        return self._data(page) if page["account_statz"] or unused else None

    def _conns(self, message: Message, account: str) -> None:
        """As the event, for whoever asks; an account without connections says nothing."""
        asked = self._read("account connections", "CONNS", message.payload)
        if asked is None or asked.parameters.get("acc", account) != account:
            return
        known = self._server.switchboard.account(account)
        if known is not None and known.members:
            self._reply(message, self._herald.conns(self._service.census(account)))

    # --- about a client -------------------------------------------------------------------------

    def _user_info(self, message: Message, whom: str) -> Body:
        """Who asks. Asked about somebody else there is nobody, as nats-server has it."""
        link = message.link
        connection = None if link is None else self._server.census.find(link.id)
        known = None if connection is None or whom != "INFO" else connection.session.identity
        return self._data(user_info(known, self._service.now()))

    def _about_client(self, message: Message, order: str) -> None:
        """`KICK` and `LDM`: what cannot be read is only logged, since nobody can be meant."""
        asked = self._read(f"{order.lower()} client", order, message.payload or b" ")
        if asked is not None:
            cid, act = asked.cid, self._kick if order == "KICK" else self._send_away
            self._answer(message, order, lambda _: act(cid))

    def _read(self, name: str, what: str, payload: bytes) -> Request | None:
        """The request, or None and a line in the log, as there is nobody to be told."""
        try:
            return sysoptions.read(what, payload)
        except BadOptions as problem:
            logger.error("SYSTEM - Error unmarshalling %s request: %s", name, problem)
            return None

    def _kick(self, cid: int) -> Body:
        server = self._server
        if server.census.find(cid) is None:
            raise Refused("no such client or leafnode id")
        # In a moment: it may be the one who asks, and is owed an answer.
        server.reactor.call_soon(server.dismiss, cid, Closed.KICKED)
        return self._data(None)

    def _send_away(self, cid: int) -> Body:
        if self._server.census.find(cid) is None:
            raise Refused("no such client id")
        if not self._server.tell_lame_duck(cid):
            raise Refused(
                "client does not support Lame Duck Mode or is not ready to receive the notification"
            )
        return self._data(None)

    def _reload(self) -> Body:
        try:
            self._server.reread()
        except Exception as problem:  # whatever it is, it goes to who asked
            raise Refused(str(problem)) from None
        return self._data(None)


def _encoding(headers: bytes) -> str:
    """What a request's ``Accept-Encoding`` comes to here; empty if it has none."""
    for line in headers.lower().split(b"\r\n"):
        if line.startswith(b"accept-encoding:"):
            return "gzip" if b"gzip" in line else "identity"
    return ""
