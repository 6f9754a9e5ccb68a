"""Links that go with very many subscriptions: nobody waits for it, and nobody sees a trace."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from broker.blocks import DEFAULT_ACCOUNT
from broker.leaving import BUDGET
from broker.link import Link
from tests.support.switch import Switch
from tests.support.virtual_broker import VirtualBroker

MANY = 3 * BUDGET


class Later:
    """What was put off, a turn at a time."""

    def __init__(self, switch: Switch) -> None:
        self._calls: deque[Callable[[], None]] = deque()
        switch.board.defer_by(self._calls.append)

    def turn(self) -> bool:
        """Do what was put off until now; whether there is more."""
        for _ in range(len(self._calls)):
            self._calls.popleft()()
        return bool(self._calls)


def crowded(switch: Switch, subject: bytes = b"a", account: str = DEFAULT_ACCOUNT) -> Link:
    link = switch.connect(account)
    switch.say(link, *(b"SUB %b %d" % (subject, number) for number in range(MANY)))
    return link


def filed(switch: Switch) -> int:
    """How many subscriptions are held, of whomever."""
    account = switch.board.account(DEFAULT_ACCOUNT)
    assert account is not None
    return len(account.trie)


def test_a_turn_takes_away_no_more_than_its_budget() -> None:
    switch = Switch()
    later = Later(switch)
    switch.disconnect(crowded(switch))
    left = [filed(switch)]
    while later.turn():
        left.append(filed(switch))
    assert [MANY - BUDGET, MANY - 2 * BUDGET] == left
    assert 0 == filed(switch)


def test_what_is_still_to_be_taken_away_is_counted_nowhere() -> None:
    switch = Switch()
    later = Later(switch)
    gone = crowded(switch)
    switch.disconnect(gone)
    account = switch.board.account(DEFAULT_ACCOUNT)
    assert account is not None
    stats = switch.board.stats()
    assert later.turn()
    assert (0, 0, 0) == (stats.subscriptions, stats.links, account.info().subscriptions)
    assert (0, []) == (switch.board.count(gone), list(switch.board.subscriptions(gone)))


def test_nothing_is_delivered_to_who_is_gone_and_everything_to_who_is_not() -> None:
    switch = Switch()
    later = Later(switch)
    gone, stays = crowded(switch), switch.connect()
    switch.say(stays, b"SUB a 1", b"SUB a q 2", b"PUB a 0", b"")
    assert (MANY, 2) == (len(switch.heard(gone)), len(switch.heard(stays)))
    switch.disconnect(gone)
    heard = 0
    while True:
        switch.say(stays, b"PUB a 0", b"")
        heard += len(switch.heard(stays))
        found = switch.board.explain(DEFAULT_ACCOUNT, b"a")
        assert found is not None
        assert (1, 1) == (len(found.plain), len(found.picks))
        if not later.turn():
            break
    assert (4, []) == (heard, switch.heard(gone))


def test_a_queue_group_goes_on_with_its_other_members() -> None:
    switch = Switch()
    later = Later(switch)
    gone, stays = crowded(switch, b"a q"), switch.connect()
    switch.say(stays, b"SUB a q 1", b"PUB a 0", b"")
    switch.disconnect(gone)
    stays.take_output()
    switch.say(stays, *[b"PUB a 0", b""] * 20)
    assert later.turn()
    assert 20 == len(switch.heard(stays))


def test_a_request_that_only_who_is_gone_would_have_heard_is_unheard() -> None:
    switch = Switch()
    Later(switch)
    switch.disconnect(crowded(switch))
    asks = switch.connect(no_responders=True)
    switch.say(asks, b"SUB r 1", b"PUB a r 0", b"")
    assert [b"NATS/1.0 503\r\nNats-Subject: a\r\n\r\n"] == [m.head for m in switch.heard(asks)]


def test_who_subscribes_takes_away_what_others_left() -> None:
    switch = Switch()
    Later(switch)
    switch.disconnect(crowded(switch))
    left = filed(switch)
    comes = switch.connect()
    switch.say(comes, *(b"SUB b %d" % number for number in range(left)))
    assert left == filed(switch) == len(switch.board)


def test_an_account_that_nobody_configured_goes_with_its_last_subscription() -> None:
    switch = Switch()
    later = Later(switch)
    switch.disconnect(crowded(switch, account="passing"))
    assert switch.board.account("passing") is not None
    while later.turn():
        pass
    assert switch.board.account("passing") is None


def test_a_link_that_comes_back_into_such_an_account_keeps_it() -> None:
    switch = Switch()
    later = Later(switch)
    switch.disconnect(crowded(switch, account="passing"))
    link = switch.connect("passing")
    switch.say(link, b"SUB a 1")
    while later.turn():
        pass
    switch.say(link, b"PUB a 0", b"")
    assert 1 == len(switch.heard(link))


def test_a_broker_goes_on_serving_while_a_crowd_of_subscriptions_goes() -> None:
    broker = VirtualBroker()
    goes, stays = broker.connect(capacity=1 << 20), broker.connect()
    goes.send(b"".join(b"SUB a.%d %d\r\n" % (n, n) for n in range(20 * BUDGET)))
    goes.socket.close()
    assert b"PONG\r\n" == stays.ask(b"PING\r\n")
    assert 0 == broker.server.stats().subscriptions


def test_who_says_connect_again_starts_anew_however_much_there_was() -> None:
    broker = VirtualBroker()
    client = broker.connect(capacity=1 << 20)
    client.send(b"".join(b"SUB a %d\r\n" % n for n in range(20 * BUDGET)))
    assert b"PONG\r\n" == client.ask(
        b'CONNECT {"verbose":false}\r\nPUB a 1\r\nx\r\nSUB a 1\r\nPING\r\n'
    )
    assert 1 == broker.server.stats().subscriptions
    assert b"MSG a 1 1\r\nx\r\n" == client.ask(b"PUB a 1\r\nx\r\n")
