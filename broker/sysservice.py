"""The system account: who comes and goes is told there, and questions about us are answered.

The idea: an observer of connections that publishes, and taps that are asked. Both use what
everybody may use (`Server.observer`, `Switchboard.tap` and `emit`), so nothing else in the broker
knows that there is a system account, and messages do not pass through here.

What it costs: an event is put together only if somebody would get it, so a broker whose system
account is empty pays one look-up for each connection that comes or goes. The beat that sends
`STATSZ` starts with the first client in the system account and ends with the last. What writes
events (`broker.events`) and answers questions (`broker.sysdesk`) is imported when somebody listens
or asks for the first time: a start has no use for it.

Who may ask: the system account everything, from every node of a cluster. In every other account
four subjects are heard, and their answers speak of that account, or of the client, alone, and no
account gets much of our time by asking (`broker.askers`). Everything else below `$SYS.` is like any
other subject there, and whoever waits for an answer is told that nobody listens.

`CONNS` differs from nats-server's in one point: it is sent at the end of a turn and at most every
`REST` seconds for one account, with the numbers of that moment, because counting an account of ten
thousand clients for each of them who comes would take longer than serving them. The last state is
always told.

Invariants: a sequence number is given once; after `closing` nothing is told any more.

Source: subjects and periods are nats-server's. Neighbours: each `broker.server` has one. Loop
thread only.
"""

from __future__ import annotations

from collections.abc import Callable
from random import SystemRandom
from typing import TYPE_CHECKING

from broker.askers import Askers
from broker.blocks import DEFAULT_ACCOUNT, SYSTEM_ACCOUNT
from broker.errors import Closed
from broker.hooks import Silent
from broker.logs import logger
from broker.snapshots import AccountInfo, ConnectionInfo
from broker.subject import is_valid_publish
from broker.taps import Message

if TYPE_CHECKING:
    from broker.events import Body, Herald
    from broker.server import Server
    from broker.sysdesk import Desk
    from reactor import Timer

__all__ = ["ACCOUNT_PAGES", "PAGES", "REST", "STATSZ_PERIOD", "SystemService"]

#: Seconds between two `STATSZ`, and beats of that after which accounts tell their `CONNS` anyway.
STATSZ_PERIOD = 10.0
CONNS_BEATS = 3

#: Seconds between two `CONNS` of one account.
REST = 0.1

#: What `$SYS.REQ.SERVER.<id>.…` and `$SYS.REQ.SERVER.PING.…` end with.
PAGES = (
    *("IDZ", "STATSZ", "VARZ", "SUBSZ", "CONNZ", "ROUTEZ", "GATEWAYZ", "LEAFZ", "ACCOUNTZ", "JSZ"),
    *("HEALTHZ", "PROFILEZ", "IPQUEUESZ", "RAFTZ"),
)

#: What may be ordered of one server.
ORDERS = ("KICK", "LDM", "RELOAD")

#: What `$SYS.REQ.ACCOUNT.<account>.…` ends with.
ACCOUNT_PAGES = ("CONNZ", "SUBSZ", "LEAFZ", "JSZ", "INFO", "STATZ", "CONNS")

#: What may be asked in every account, about oneself.
OPEN_TO_ALL = (
    b"$SYS.REQ.USER.INFO",
    b"$SYS.REQ.SERVER.PING.CONNZ",
    b"$SYS.REQ.ACCOUNT.PING.CONNZ",
    b"$SYS.REQ.ACCOUNT.PING.STATZ",
)


class SystemService(Silent):
    """One server's voice in its system account, ``account``. Loop thread only."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.account = server.options.system_account or SYSTEM_ACCOUNT
        self._board = server.switchboard
        self._over = False
        self._beat: Timer | None = None
        self._beats = 0
        self._resting: dict[str, bool] = {}  # by account: whether it has changed meanwhile
        self._herald: Herald | None = None
        self._desk: Desk | None = None
        self._askers = Askers(server.reactor, self._asked)
        self._listen()

    def _listen(self) -> None:
        board, here = self._board, f"$SYS.REQ.SERVER.{self.server.server_id}."
        subjects = ["$SYS.REQ.SERVER.PING"]
        subjects += [here + name for name in (*PAGES, *ORDERS)]
        subjects += [f"$SYS.REQ.SERVER.PING.{name}" for name in PAGES]
        subjects += [f"$SYS.REQ.ACCOUNT.*.{name}" for name in ACCOUNT_PAGES]
        for subject in subjects:
            board.tap(self.account, subject.encode(), self._asked, across=True)
        board.tap(self.account, b"$SYS.REQ.USER.*.INFO", self._asked)
        for filter in OPEN_TO_ALL:
            board.tap(None, filter, self._asked_by_all)

    # --- events ---------------------------------------------------------------------------------

    def connected(self, info: ConnectionInfo) -> None:
        """Tell `CONNECT`, and that there is one more. O(resolve) if nobody listens."""
        self._changed(info.account)
        subject = f"$SYS.ACCOUNT.{info.account}.CONNECT"
        self._tell(subject, lambda herald: herald.connect(info))
        if self._beat is None and self._is_watched():
            self._beat = self.server.reactor.call_later(STATSZ_PERIOD, self._on_beat)

    def ended(self, info: ConnectionInfo, authenticated: bool) -> None:
        """Tell `DISCONNECT`, of those who never logged in as well. O(resolve) if nobody listens."""
        if authenticated:
            self._changed(info.account)
        subject = f"$SYS.ACCOUNT.{info.account or DEFAULT_ACCOUNT}.DISCONNECT"
        self._tell(subject, lambda herald: herald.disconnect(info))

    def auth_failed(self, info: ConnectionInfo) -> None:
        """Tell `CLIENT.AUTH.ERR`; but not of a client that said nothing until it was too late."""
        if info.reason == Closed.AUTHENTICATION_FAILURE.value:
            self._tell(self._subject("CLIENT.AUTH.ERR"), lambda herald: herald.disconnect(info))

    def lame_duck(self) -> None:
        """Tell `LAMEDUCK`."""
        self._tell(self._subject("LAMEDUCK"), lambda herald: herald.stamp())

    def closing(self) -> None:
        """Tell `SHUTDOWN`, and nothing after it."""
        self._tell(self._subject("SHUTDOWN"), lambda herald: herald.stamp())
        self._over = True
        if self._beat is not None:
            self._beat.cancel()

    def tell_statsz(self) -> None:
        """Tell `STATSZ`, now."""
        self._tell(self._subject("STATSZ"), lambda herald: self.desk().statsz())

    def _subject(self, event: str) -> str:
        return f"$SYS.SERVER.{self.server.server_id}.{event}"

    def _tell(self, subject: str, make: Callable[[Herald], Body]) -> None:
        """Publish what ``make`` has the herald say, if anybody would get it."""
        name = subject.encode()
        if self._over or not self._board.heard(self.account, name):
            return
        if not is_valid_publish(name) or any(map(str.isspace, subject)):
            return  # an account whose name is no token: nobody could have asked for it
        self.server.before_input()
        herald = self.herald()
        self._board.emit(self.account, name, herald.encode(make(herald)))

    # --- how many there are in an account -------------------------------------------------------

    def _changed(self, account: str) -> None:
        if account == DEFAULT_ACCOUNT:
            return  # nats-server does not count it either
        if account in self._resting:
            self._resting[account] = True
        else:
            self._resting[account] = False
            self.server.reactor.call_soon(self._tell_conns, account)

    def _tell_conns(self, account: str) -> None:
        self._resting[account] = False
        body: Body = {}

        def make(herald: Herald) -> Body:
            if body:
                body["server"] = herald.stamp()
            else:
                body.update(herald.conns(self.census(account)))
            return body

        self._tell(f"$SYS.SERVER.ACCOUNT.{account}.CONNS", make)
        self._tell(f"$SYS.ACCOUNT.{account}.SERVER.CONNS", make)
        if body:
            self.server.reactor.call_later(REST, self._rested, account)
        else:
            del self._resting[account]

    def _rested(self, account: str) -> None:
        if self._resting.pop(account):
            self._tell_conns(account)

    def census(self, account: str) -> AccountInfo:
        """An account in numbers; one that nobody is in any more has none. O(links in it)."""
        known = self._board.account(account)
        return AccountInfo(account, 0, 0, 0, 0, 0, 0, 0, 0) if known is None else known.info()

    # --- the beat -------------------------------------------------------------------------------

    def _is_watched(self) -> bool:
        """Whether somebody is in the system account, or may hear its streams from elsewhere."""
        place = self._board.account(self.account)
        if place is None or self._over:
            return False
        exports = place.block.exports if place.block else ()
        return bool(place.members) or any(not export.service for export in exports)

    def _on_beat(self) -> None:
        self._beat = None
        if not self._is_watched():
            return
        self._beat = self.server.reactor.call_later(STATSZ_PERIOD, self._on_beat)
        self._beats += 1
        self.tell_statsz()
        if self._beats % CONNS_BEATS == 0:
            for account in self._board.accounts():
                if account.members:
                    self._changed(account.name)

    # --- questions ------------------------------------------------------------------------------

    def now(self) -> float:
        """The wall-clock time."""
        return self.server.wall(self.server.reactor.now())

    def herald(self) -> Herald:
        """What puts bodies together."""
        if self._herald is None:
            from broker.events import Herald  # only where somebody listens or asks

            server = self.server
            self._herald = Herald(
                server.name,
                server.info.host,
                server.server_id,
                server.info.version,
                self.now,
                SystemRandom(),
            )
        return self._herald

    def desk(self) -> Desk:
        """What answers questions."""
        if self._desk is None:
            from broker.sysdesk import Desk  # the pages come with it

            self._desk = Desk(self)
        return self._desk

    def _asked(self, message: Message) -> None:
        """Somebody in the system account asks."""
        self.server.before_input()
        try:
            self.desk().serve(message)
        except Exception:
            logger.exception("no answer to %r", message.subject)

    def _asked_by_all(self, message: Message) -> None:
        """Somebody asks about themselves; in the system account only who they are."""
        if message.account != self.account:
            self.desk()  # its import is not to be counted
            self._askers.ask(message)
        elif message.subject == OPEN_TO_ALL[0]:
            self._asked(message)
