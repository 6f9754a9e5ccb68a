"""How a session lets a client in: guests, nonces, slow answers, refusals held back, expiry."""

from __future__ import annotations

import base64
import json
from typing import Any

import bcrypt
import pytest
from nacl.signing import SigningKey

from broker import nkeys
from broker.blocks import AccountBlock, UserBlock
from broker.doorman import FREE_FAILURES, Doorman
from broker.errors import Closed
from broker.handshake import ConnectOptions
from broker.hook import Hook
from broker.identity import Answer, Identity
from broker.permissions import Permissions, Rules
from tests.support.house import Client, House, enter

OWNER = SigningKey(b"\3" * 32)
NKEY = nkeys.encode(nkeys.USER, bytes(OWNER.verify_key))
HASH = bcrypt.hashpw(b"pw", bcrypt.gensalt(4)).decode()
USERS = (UserBlock("ann", "pw"), UserBlock("bob", HASH), UserBlock(nkey=NKEY))
VIOLATION = b"-ERR 'Authorization Violation'\r\n"


def connect(**fields: Any) -> bytes:
    quiet = {"verbose": False, "pedantic": False}
    return b"CONNECT " + json.dumps(quiet | fields).encode() + b"\r\n"


ANN = connect(user="ann", **{"pass": "pw"})
BOB = connect(user="bob", **{"pass": "pw"})


def infos(client: Client) -> list[dict[str, Any]]:
    lines = b"".join(client.session.link.take_output()).splitlines()
    return [json.loads(line[5:]) for line in lines if line.startswith(b"INFO")]


def greeted(house: House) -> tuple[Client, dict[str, Any]]:
    client = Client(house)
    client.session.open(0.0)
    return client, infos(client)[0]


def answering(answer: Answer) -> House:
    return House(authenticator=Hook(lambda credentials: answer, blocks=False))  # type: ignore[arg-type,return-value]  # identities only


# --- INFO


def test_info_gives_something_new_to_sign_where_there_are_nkeys() -> None:
    house = House(users=USERS)
    nonces = {greeted(house)[1]["nonce"] for _ in range(50)}
    assert 50 == len(nonces)
    assert {15} == set(map(len, nonces))
    assert "nonce" not in greeted(House(users=USERS[:1]))[1]


def test_only_the_greeting_of_a_server_with_a_guest_does_not_ask_who_is_there() -> None:
    client, info = greeted(House(users=USERS, no_auth_user="ann"))
    assert "auth_required" not in info
    client.send(connect(protocol=1) + b"PING\r\n")
    (later,) = infos(client)
    assert later["auth_required"]
    assert "nonce" not in later


def test_the_second_info_tells_the_account_whether_it_is_the_systems_and_what_it_may_send() -> None:
    account = AccountBlock("A", (UserBlock("ann", "pw"),), max_payload=10)
    house = House(accounts=(account,), system_account="A")
    client, _ = greeted(house)
    client.send(connect(protocol=1, user="ann", **{"pass": "pw"}) + b"PING\r\n")
    (info,) = infos(client)
    assert ("A", True, 10) == (info["remote_account"], info["acc_is_sys"], info["max_payload"])


# --- nkeys


def test_a_signature_of_the_nonce_lets_its_owner_in() -> None:
    client, info = greeted(House(users=USERS))
    signature = OWNER.sign(info["nonce"].encode()).signature
    sig = base64.urlsafe_b64encode(signature).decode().rstrip("=")
    assert b"PONG\r\n" == client.say(connect(nkey=NKEY, sig=sig) + b"PING\r\n")
    assert [NKEY] == [identity.user for identity in client.identities]


def test_the_signature_of_another_connections_nonce_does_not() -> None:
    house = House(users=USERS)
    _, other = greeted(house)
    client, _ = greeted(house)
    sig = base64.urlsafe_b64encode(OWNER.sign(other["nonce"].encode()).signature).decode()
    assert VIOLATION == client.say(connect(nkey=NKEY, sig=sig) + b"PING\r\n")


# --- the guest


def test_whoever_does_not_begin_with_connect_is_the_guest() -> None:
    client = enter(users=USERS, no_auth_user="ann")
    assert b"+OK\r\nPONG\r\n" == client.say(b"SUB a 1\r\nPING\r\n")
    assert ["ann"] == [identity.user for identity in client.identities]


def test_a_guest_that_then_says_connect_starts_anew() -> None:
    client = enter(users=USERS, no_auth_user="ann")
    assert b"+OK\r\n" == client.say(b"SUB a 1\r\n")
    assert b"PONG\r\n" == client.say(ANN + b"PUB a 1\r\nx\r\nPING\r\n")


def test_a_guest_that_then_gives_a_wrong_password_must_go() -> None:
    client = enter(b"PING\r\n", users=USERS, no_auth_user="ann")
    assert VIOLATION == client.say(connect(user="ann", **{"pass": "no"}))
    assert [Closed.AUTHENTICATION_FAILURE] == client.closes


def test_a_connect_without_credentials_is_the_guests_even_in_pieces() -> None:
    client = enter(users=USERS, no_auth_user="ann")
    client.send(b"C")
    assert [] == client.identities
    assert b"PONG\r\n" == client.say(connect()[1:] + b"PING\r\n")
    assert ["ann"] == [identity.user for identity in client.identities]


# --- answers that take long


def test_what_follows_a_connect_waits_for_the_answer_in_order() -> None:
    client = enter(users=USERS)
    assert b"" == client.say(BOB + b"SUB a 1\r\nPUB a 1\r\nx\r\n")
    assert client.session.waiting
    assert b"" == client.say(b"PUB a 1\r\ny\r\nPI")
    assert b"" == client.say(b"NG\r\n")
    assert b"MSG a 1 1\r\nx\r\nMSG a 1 1\r\ny\r\nPONG\r\n" == client.answer()
    assert not client.session.waiting
    assert ["bob"] == [identity.user for identity in client.identities]


def test_a_slow_refusal_drops_what_followed() -> None:
    client = enter(users=USERS)
    client.send(connect(user="bob", **{"pass": "no"}) + b"PING\r\n")
    client.send(b"PING\r\n")
    assert VIOLATION == client.answer()
    assert [Closed.AUTHENTICATION_FAILURE] == client.closes


def test_two_connects_in_one_read_are_asked_about_one_after_the_other() -> None:
    client = enter(BOB + BOB + b"PING\r\n", users=USERS)
    assert 1 == len(client.questions)
    assert b"" == client.answer()
    assert b"PONG\r\n" == client.answer()


def test_an_answer_that_comes_too_late_changes_nothing() -> None:
    client = enter(BOB, users=USERS)
    client.session.on_auth_timer()
    assert b"-ERR 'Authentication Timeout'\r\n" == client.hear()
    assert b"" == client.answer()
    assert [] == client.identities
    assert client.session.identity is None


def test_where_too_many_wait_already_the_next_is_refused() -> None:
    house = House(users=USERS)
    client = house.enter()
    house.busy = True
    assert VIOLATION == client.say(BOB)


def test_a_second_connect_hears_nothing_while_it_waits() -> None:
    house = House(users=USERS)
    ann = house.enter(ANN)
    bob = house.enter(BOB)
    bob.answer()
    bob.send(b"SUB a 1\r\n" + BOB)
    ann.send(b"PUB a 1\r\nx\r\n")
    assert b"" == bob.answer()


# --- refusals held back


def test_an_address_that_failed_often_waits_for_its_refusal() -> None:
    house = House(users=USERS)
    house.doorman = Doorman()
    for _ in range(FREE_FAILURES):
        house.doorman.failed("192.0.2.1", house.wall)
    client = Client(house, ip="192.0.2.1")
    client.session.open(0.0)
    client.hear()
    assert b"" == client.say(connect(user="ann", **{"pass": "no"}) + b"PING\r\n")
    ((seconds, go_on),) = client.held_back
    assert 0.1 == seconds
    client.session.on_auth_timer()
    assert [] == client.closes
    go_on()
    assert VIOLATION == client.hear()
    assert [Closed.AUTHENTICATION_FAILURE] == client.closes


def test_a_refusal_held_back_is_forgotten_when_the_client_leaves() -> None:
    house = House(users=USERS)
    house.doorman = Doorman()
    for _ in range(FREE_FAILURES):
        house.doorman.failed("192.0.2.1", house.wall)
    client = Client(house, ip="192.0.2.1")
    client.session.open(0.0)
    client.send(connect())
    client.session.on_closed()
    ((_, go_on),) = client.held_back
    go_on()
    assert [] == client.closes


# --- what an identity brings


def test_an_identity_that_ends_ends_the_connection() -> None:
    house = answering(Identity(expires=1_000_060.0))
    client = house.enter(connect())
    assert [60.0] == client.expiries
    client.session.on_expiry_timer()
    assert b"-ERR 'User Authentication Expired'\r\n" == client.hear()
    assert [Closed.AUTHENTICATION_EXPIRED] == client.closes


def test_an_identity_that_has_ended_does_not_begin() -> None:
    client = answering(Identity(expires=999_999.0)).enter()
    assert b"-ERR 'User Authentication Expired'\r\n" == client.say(connect() + b"PING\r\n")


def test_an_identity_without_end_takes_the_timer_away() -> None:
    client = answering(Identity()).enter(connect())
    assert [None] == client.expiries
    client.session.on_expiry_timer()
    assert [] == client.closes


def test_the_stricter_of_two_limits_holds() -> None:
    house = answering(Identity(max_payload=3, max_subscriptions=1))
    client = house.enter(connect())
    said = client.say(b"SUB a 1\r\nSUB b 2\r\nPUB a 3\r\nxxx\r\nPUB a 4\r\nxxxx\r\n")
    expected = b"-ERR 'maximum subscriptions exceeded'\r\nMSG a 1 3\r\nxxx\r\n"
    assert expected + b"-ERR 'Maximum Payload Violation'\r\n" == said
    assert ["maximum subscriptions exceeded"] == client.complaints


def test_what_a_connect_leaves_out_may_come_by_cookie() -> None:
    client = enter(users=USERS)
    client.cookies = ConnectOptions(user="ann", password="pw")
    assert b"PONG\r\n" == client.say(connect() + b"PING\r\n")
    assert "ann" == client.session.options.user


def test_what_a_connect_says_goes_before_a_cookie() -> None:
    client = enter(users=USERS)
    client.cookies = ConnectOptions(user="ann", password="pw")
    assert b"" == client.say(connect(user="eve") + b"PING\r\n")
    assert VIOLATION == client.answer()


@pytest.mark.parametrize(
    ("subject", "refused"), [(b"a", False), (b"a.b", False), (b"a.b.c", True), (b"a.b.>", True)]
)
def test_a_subscription_may_have_so_many_tokens(subject: bytes, refused: bool) -> None:
    client = enter(connect(), max_sub_tokens=2)
    text = b'Permissions Violation for Subscription to "%s", too many tokens' % subject
    expected = b"-ERR '%s'\r\n" % text if refused else b""
    assert expected == client.say(b"SUB %s 7\r\n" % subject)
    line = f'Subscription Violation Too Many Tokens - Subject "{subject.decode()}", SID 7'
    assert ([line] if refused else []) == client.complaints


def test_an_account_that_is_full_lets_nobody_in_any_more() -> None:
    blocks = (AccountBlock("A", users=(UserBlock("ann", "pw"),), max_connections=1),)
    house = House(accounts=blocks)
    assert [] == house.enter(ANN).closes
    assert [Closed.MAX_ACCOUNT_CONNECTIONS] == house.enter(ANN).closes


def test_permissions_that_make_no_sense_refuse_the_client_and_say_why() -> None:
    wrong = Identity(permissions=Permissions(publish=Rules(allow=(b"a..b",))))
    client = answering(wrong).enter(ANN)
    assert [Closed.AUTHENTICATION_FAILURE] == client.closes
    assert "permissions make no sense" in client.complaints[0]
