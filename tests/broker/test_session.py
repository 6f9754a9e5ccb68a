"""What each operation means, and when a connection ends; as nats-server 2.15.1 does it."""

from __future__ import annotations

import pytest

from broker import errors
from broker.errors import Closed
from broker.session import OPERATION_BUDGET
from tests.support.house import HEADERS, PROTO1, QUIET, Client, House, enter

# --- the handshake


def test_the_server_speaks_first() -> None:
    client = Client(House())
    client.session.open(0.0)
    line = b"".join(client.session.link.take_output())
    assert line.startswith(b'INFO {"server_id":"NID",')
    assert line.endswith(b'"client_id":1,"client_ip":"127.0.0.1"} \r\n')


def test_without_authentication_connect_may_be_left_out_and_everything_is_acknowledged() -> None:
    client = enter()
    assert b"PONG\r\n" == client.say(b"PING\r\n")
    assert b"+OK\r\n" == client.say(b"SUB a 1\r\n")
    assert b"+OK\r\nMSG a 1 1\r\nx\r\n" == client.say(b"PUB a 1\r\nx\r\n")
    assert b"+OK\r\n" == client.say(b"UNSUB 1\r\n")
    assert b"+OK\r\n" == client.say(b"CONNECT {}\r\n")
    assert client.session.identity is not None


def test_what_was_subscribed_before_the_first_connect_stays() -> None:
    client = enter()
    assert b"+OK\r\nMSG a 1 1\r\nx\r\n" == client.say(b"SUB a 1\r\n" + QUIET + b"PUB a 1\r\nx\r\n")


def test_a_second_connect_silently_drops_all_subscriptions() -> None:
    client = enter(QUIET)
    data = b"SUB a 1\r\nUNSUB 1 5\r\n" + QUIET + b"PUB a 1\r\nx\r\nSUB a 1\r\nPUB a 1\r\ny\r\n"
    assert b"MSG a 1 1\r\ny\r\n" == client.say(data)
    assert 1 == client.house.switchboard.count(client.session.link)


def test_a_second_connect_keeps_the_options_it_does_not_name() -> None:
    client = enter(HEADERS)
    data = b"CONNECT {}\r\nSUB a 1\r\nHPUB a 1 1\r\nx\r\nPING\r\n"
    assert b"HMSG a 1 1 1\r\nx\r\nPONG\r\n" == client.say(data)


def test_the_first_ping_of_a_protocol_1_client_is_followed_by_a_second_info() -> None:
    client = enter(PROTO1)
    client.send(b"PING\r\nPING\r\n")
    pong, info, again = b"".join(client.session.link.take_output()).split(b"\r\n")[:3]
    assert (b"PONG", b"PONG") == (pong, again)
    assert b'"connect_info":true,"remote_account":"$G"} ' in info


def test_a_ping_before_connect_does_not_count_as_the_first() -> None:
    client = enter(b"PING\r\n")
    assert b"PONG\r\nINFO\r\n" == client.say(PROTO1 + b"PING\r\n")


def test_a_protocol_0_client_is_never_sent_a_second_info() -> None:
    client = enter(QUIET)
    assert b"PONG\r\nPONG\r\n" == client.say(b"PING\r\n" + PROTO1 + b"PING\r\n")


@pytest.mark.parametrize(
    ("connect", "answer", "reason"),
    [
        (b"bad", b"", Closed.PROTOCOL_VIOLATION),
        (b'{"verbose":1}', b"", Closed.PROTOCOL_VIOLATION),
        (b'{"protocol":2}', b"-ERR 'invalid client protocol'\r\n", Closed.BAD_CLIENT_PROTOCOL),
        (b'{"protocol":-1}', b"-ERR 'invalid client protocol'\r\n", Closed.BAD_CLIENT_PROTOCOL),
        (
            b'{"no_responders":true}',
            b"-ERR 'no responders requires headers support'\r\n",
            Closed.NO_RESPONDERS_NEEDS_HEADERS,
        ),
        (
            b'{"account":"x"}',
            b"-ERR 'Authorization Violation'\r\n",
            Closed.AUTHENTICATION_FAILURE,
        ),
        (
            b'{"new_account":true,"protocol":2}',
            b"-ERR 'Authorization Violation'\r\n",
            Closed.AUTHENTICATION_FAILURE,
        ),
    ],
)
@pytest.mark.parametrize("first", [b"", QUIET])
def test_a_connect_that_is_refused(
    first: bytes, connect: bytes, answer: bytes, reason: Closed
) -> None:
    client = enter(first)
    assert answer == client.say(b"CONNECT " + connect + b"\r\nPING\r\n")
    assert [reason] == client.closes
    assert reason is client.session.closed


# --- authentication

RIGHT = b'CONNECT {"user":"ann","pass":"pw","verbose":false,"pedantic":false}\r\n'
WRONG = b'CONNECT {"user":"ann","pass":"no"}\r\n'


def test_with_authentication_info_says_so_and_the_right_credentials_open_the_door() -> None:
    client = Client(House(user="ann", password="pw"))
    client.session.open(0.0)
    assert b'"auth_required":true' in b"".join(client.session.link.take_output())
    assert b"PONG\r\n" == client.say(RIGHT + b"PING\r\n")
    assert client.session.identity is not None
    assert "ann" == client.session.identity.user


@pytest.mark.parametrize(
    "data",
    [
        b"P",
        b"SUB a 1\r\n",
        WRONG,
        b"CONNECT {}\r\n",
        b'CONNECT {"user":"ann","pass":"no","protocol":2}\r\n',
        b'CONNECT {"user":"ann","pass":"pw","account":"x"}\r\n',
        RIGHT + WRONG,
    ],
)
def test_whoever_does_not_prove_who_it_is_is_turned_away(data: bytes) -> None:
    client = enter(user="ann", password="pw")
    assert b"-ERR 'Authorization Violation'\r\n" == client.say(data)
    assert [Closed.AUTHENTICATION_FAILURE] == client.closes
    assert client.session.identity is None


def test_an_authentication_that_takes_too_long_ends_the_connection() -> None:
    client = enter(token="t")
    client.session.on_auth_timer()
    assert b"-ERR 'Authentication Timeout'\r\n" == client.hear()
    assert [Closed.AUTHENTICATION_TIMEOUT] == client.closes


@pytest.mark.parametrize(
    ("greeting", "options"), [(RIGHT, {"user": "ann", "password": "pw"}), (b"", {})]
)
def test_the_authentication_timer_is_harmless_to_those_who_are_in_or_need_not_be(
    greeting: bytes, options: dict[str, str]
) -> None:
    client = enter(greeting, **options)
    client.session.on_auth_timer()
    assert [] == client.closes
    assert b"PONG\r\n" == client.say(b"PING\r\n")


def test_a_refused_client_is_greeted_and_then_told_why() -> None:
    client = Client(House())
    client.session.refuse(errors.CONNECTIONS_EXCEEDED)
    assert b"INFO\r\n-ERR 'maximum connections exceeded'\r\n" == client.hear()
    assert [Closed.MAX_CONNECTIONS] == client.closes
    assert not client.session.receive(b"PING\r\n", 0.0)
    assert b"" == client.hear()


# --- the meaning of the verbs


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (b"SUB a 1\r\nPUB a 1\r\nx\r\n", b"MSG a 1 1\r\nx\r\n"),
        (b"SUB a 1\r\nSUB b 1\r\nPUB a 1\r\nx\r\nPUB b 1\r\ny\r\n", b"MSG a 1 1\r\nx\r\n"),
        (b"SUB a 1\r\nSUB a..b 1\r\n", b""),
        (b"SUB a..b 1\r\n", b"-ERR 'Invalid Subject'\r\n"),
        (b"SUB .a 1\r\nPING\r\n", b"-ERR 'Invalid Subject'\r\nPONG\r\n"),
        (
            b"SUB a _sys_ 1\r\n",
            b'-ERR \'Permissions Violation for Subscription to "a" using queue "_sys_"\'\r\n',
        ),
        (b"SUB a q..x 1\r\nPUB a 1\r\nx\r\n", b"MSG a 1 1\r\nx\r\n"),
        (b"UNSUB 7\r\nPING\r\n", b"PONG\r\n"),
        (
            b"SUB a 1\r\nUNSUB 1 2\r\nPUB a 1\r\nx\r\nPUB a 1\r\ny\r\nPUB a 1\r\nz\r\n",
            b"MSG a 1 1\r\nx\r\nMSG a 1 1\r\ny\r\n",
        ),
        (b"PONG\r\n+OK\r\nINFO {}\r\nPING\r\n", b"PONG\r\n"),
        (b"PUB a..b 1\r\nx\r\nPUB a.* 1\r\nx\r\nPING\r\n", b"PONG\r\n"),
        (
            b"PUB _GR_.x 1\r\nx\r\n",
            b"-ERR 'Permissions Violation for Publish to \"_GR_.x\"'\r\n",
        ),
        (b"PUB $GR.a 1\r\nx\r\n", b"-ERR 'Permissions Violation for Publish to \"$GR.a\"'\r\n"),
        (
            b"PUB $NRG.* 0\r\n\r\n",
            b"-ERR 'Permissions Violation for Publish to \"$NRG.*\"'\r\n",
        ),
        (b"PUB $NRG. 1\r\nx\r\n", b"-ERR 'Permissions Violation for Publish to \"$NRG.\"'\r\n"),
        (b"PUB _GR_. 1\r\nx\r\nPUB $GR. 1\r\nx\r\nPUB $NRG 1\r\nx\r\nPUB _GR_ 1\r\nx\r\n", b""),
        *[
            (
                b"PUB a " + reply + b" 1\r\nx\r\n",
                b"-ERR 'Permissions Violation for Publish with Reply of \"" + reply + b"\"'\r\n",
            )
            for reply in (b"$JS.ACK.x", b"_R_.x", b"_R_.", b"_GR_.x", b"$GR.x")
        ],
        *[
            (b"PUB a " + reply + b" 1\r\nx\r\n", b"")
            for reply in (b"$JS.ACK.", b"$JS.ACK", b"_R_", b"_GR_.", b"$GR.", b"$NRG.x")
        ],
        (b"PUB $JS.ACK.x 1\r\nx\r\nPUB _R_.x 1\r\nx\r\n", b""),
        (b"SUB $SYS.x 1\r\nPUB $SYS.x 1\r\nx\r\n", b"MSG $SYS.x 1 1\r\nx\r\n"),
    ],
)
def test_what_a_quiet_client_hears(data: bytes, answer: bytes) -> None:
    client = enter(QUIET)
    assert answer == client.say(data)
    assert [] == client.closes


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (b"SUB a..b 1\r\n", b"-ERR 'Invalid Subject'\r\n"),
        (b"SUB a 1\r\nSUB a..b 1\r\n", b"+OK\r\n+OK\r\n"),
        (b"UNSUB 9\r\n", b"+OK\r\n"),
        (b"PING\r\n", b"PONG\r\n"),
        (b"PUB a.* 1\r\nx\r\n", b"-ERR 'Invalid Publish Subject'\r\n+OK\r\n"),
        (b"PUB a r.* 1\r\nx\r\n", b"+OK\r\n"),
        (
            b"SUB a.* 1\r\nPUB a.* 1\r\nx\r\n",
            b"+OK\r\n-ERR 'Invalid Publish Subject'\r\n+OK\r\nMSG a.* 1 1\r\nx\r\n",
        ),
        (
            b"PUB $NRG.* 0\r\n\r\n",
            b"-ERR 'Invalid Publish Subject'\r\n"
            b"-ERR 'Permissions Violation for Publish to \"$NRG.*\"'\r\n",
        ),
        (
            b"PUB a _R_.x 1\r\nx\r\n",
            b"-ERR 'Permissions Violation for Publish with Reply of \"_R_.x\"'\r\n",
        ),
    ],
)
def test_what_a_verbose_and_pedantic_client_hears(data: bytes, answer: bytes) -> None:
    assert answer == enter(b"CONNECT {}\r\n").say(data)


@pytest.mark.parametrize(
    ("data", "answer", "reason"),
    [
        (b"X", b"-ERR 'Unknown Protocol Operation'\r\n", Closed.PROTOCOL_VIOLATION),
        (b"\r\n", b"-ERR 'Unknown Protocol Operation'\r\n", Closed.PROTOCOL_VIOLATION),
        (b"\n", b"-ERR 'Unknown Protocol Operation'\r\n", Closed.PROTOCOL_VIOLATION),
        (b"SUB a\r\n", b"", Closed.PROTOCOL_VIOLATION),
        (b"INFO bad\r\n", b"", Closed.PROTOCOL_VIOLATION),
        (b"-ERR 'you'\r\n", b"", Closed.PARSE_ERROR),
        (b"HPUB a 1 1\r\nx\r\n", b"", Closed.PROTOCOL_VIOLATION),
        (b"PUB a 2000000\r\n", b"-ERR 'Maximum Payload Violation'\r\n", Closed.MAX_PAYLOAD),
        (
            b"SUB " + b"a" * 5000,
            b"-ERR 'maximum control line exceeded'\r\n",
            Closed.MAX_CONTROL_LINE,
        ),
    ],
)
def test_what_ends_the_connection(data: bytes, answer: bytes, reason: Closed) -> None:
    client = enter(QUIET)
    assert b"PONG\r\n" + answer == client.say(b"PING\r\n" + data + b"\r\nPING\r\n")
    assert [reason] == client.closes
    assert b"" == client.say(b"PING\r\n")
    assert [reason] == client.closes


def test_the_limit_on_subscriptions_comes_before_all_other_questions_but_the_queue() -> None:
    client = enter(QUIET, max_subscriptions=2)
    full = b"-ERR 'maximum subscriptions exceeded'\r\n"
    assert full * 3 == client.say(b"SUB a 1\r\nSUB b 2\r\nSUB c 3\r\nSUB b 2\r\nSUB a..b 4\r\n")
    assert b"Permissions" in client.say(b"SUB c _sys_ 3\r\n")
    assert b"" == client.say(b"UNSUB 1\r\nSUB c 3\r\n")


def test_nobody_answers_a_request_with_a_503() -> None:
    client = enter(HEADERS)
    answer = b"HMSG r 1 38 38\r\nNATS/1.0 503\r\nNats-Subject: nobody\r\n\r\n\r\n"
    assert answer * 2 == client.say(b"SUB r 1\r\n" + b"PUB nobody r 1\r\nx\r\n" * 2)
    assert 0 == client.session.link.out_msgs


def test_a_request_that_only_its_own_silenced_subscription_hears_is_answered_by_nobody() -> None:
    client = enter(HEADERS[:-3] + b',"echo":false}\r\n')
    assert client.say(b"SUB r 1\r\nPUB r r 1\r\nx\r\n").startswith(b"HMSG r 1 33 33\r\n")


def test_messages_reach_other_clients() -> None:
    house = House()
    one, two = house.enter(QUIET), house.enter(QUIET)
    two.send(b"SUB a.> 9\r\n")
    one.send(b"PUB a.b r 2\r\nhi\r\n")
    assert b"MSG a.b 9 r 2\r\nhi\r\n" == two.hear()
    assert b"" == one.hear()


@pytest.mark.parametrize("cut", [11, 12, 13])
def test_a_pedantic_client_hears_of_a_wrong_subject_before_its_payload_and_only_once(
    cut: int,
) -> None:
    client = enter(b'CONNECT {"verbose":false}\r\n')
    data = b"PUB a.* 2\r\nxy\r\n"
    assert b"-ERR 'Invalid Publish Subject'\r\n" == client.say(data[:cut])
    assert b"" == client.say(data[cut:-1])
    assert b"" == client.say(data[-1:])
    assert b"-ERR 'Invalid Publish Subject'\r\n" == client.say(data)


def test_a_pedantic_client_hears_of_a_wrong_subject_even_if_its_payload_is_wrong_too() -> None:
    answer = b"-ERR 'Invalid Publish Subject'\r\n-ERR 'Unknown Protocol Operation'\r\n"
    assert answer == enter().say(b"PUB a.* 2\r\nxyz\r\n")


# --- the end


def test_a_connection_that_ended_hears_nothing_and_leaves_no_subscription() -> None:
    house = House()
    one, two = house.enter(QUIET), house.enter(QUIET)
    two.send(b"SUB a 1\r\n")
    two.session.on_closed(Closed.READ_ERROR)
    two.session.on_closed()
    two.session.close(Closed.KICKED)
    assert Closed.READ_ERROR is two.session.closed
    assert [] == two.closes
    one.send(b"PUB a 1\r\nx\r\n")
    assert b"" == two.hear()
    assert 0 == len(house.switchboard)


def test_a_session_closed_from_our_side_asks_the_wire_once() -> None:
    client = enter(QUIET)
    client.session.close(Closed.SERVER_SHUTDOWN)
    client.session.close(Closed.KICKED)
    client.session.on_closed()
    assert [Closed.SERVER_SHUTDOWN] == client.closes


def test_a_slow_consumer_is_cut_off_without_a_word_and_the_publisher_notices_nothing() -> None:
    house = House(max_pending=2000, max_payload=1000)
    publisher, slow = house.enter(QUIET), house.enter(QUIET)
    slow.send(b"SUB a 1\r\n")
    message = b"PUB a 900\r\n" + b"x" * 900 + b"\r\n"
    publisher.send(message * 2)
    assert [] == house.plane.take_overflowed()
    publisher.send(message)
    assert [slow.session.link] == house.plane.take_overflowed()
    slow.session.on_overflow()
    assert [Closed.SLOW_CONSUMER_PENDING] == slow.closes
    assert b"MSG a 1 900\r\n" + b"x" * 900 + b"\r\n" == slow.hear()[: len(message) + 2]
    assert b"PONG\r\n" == publisher.say(message + b"PING\r\n")


# --- budgets


@pytest.mark.parametrize("operation", [b"PING\r\n", b"PUB x 1\r\nx\r\n"])
def test_a_session_that_leaves_for_another_turn_loses_nothing(operation: bytes) -> None:
    client = enter(b"CONNECT {}\r\n")
    count = OPERATION_BUDGET * 2 + 3
    assert client.session.receive(operation * count, 0.0)
    first = client.hear()
    assert OPERATION_BUDGET == first.count(b"\r\n")
    assert client.session.receive(operation, 0.0)
    second = client.hear()
    assert client.session.resume(0.0) is False
    third = client.hear()
    assert count + 1 == (first + second + third).count(b"\r\n")
