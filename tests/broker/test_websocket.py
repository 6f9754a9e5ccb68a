"""The door for WebSockets and what lies behind it, in virtual time; the listener over TCP."""

from __future__ import annotations

import json
import logging
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from wsproto.frame_protocol import FrameProtocol

from broker.blocks import WebsocketBlock
from broker.deflate import STEP, Inflater
from broker.errors import Closed
from broker.runqueue import PIECES
from broker.websocket import WebsocketListener
from broker.wstransport import CODES, FRAME, FRAMES
from reactor import Reactor
from tests.support import raw_websocket as raw
from tests.support import tls_files
from tests.support.virtual_broker import QUIET, VirtualBroker, VirtualWebsocket

OPEN = WebsocketBlock(no_tls=True)


@pytest.fixture(autouse=True)
def nothing_fails_unseen(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    yield
    assert [] == [one for one in caplog.records if one.name == "reactor" or one.exc_info]


def knock(block: WebsocketBlock = OPEN, **settings: Any) -> VirtualWebsocket:
    """A client at the door of a new broker."""
    return VirtualWebsocket(VirtualBroker(**settings), block)


def enter(
    block: WebsocketBlock = OPEN, *, request: bytes | None = None, **settings: Any
) -> VirtualWebsocket:
    """A client that was let in, has read its INFO, and wants no +OK."""
    client = knock(block, **settings)
    client.ask(request or raw.request())
    client.send(raw.frame(QUIET))
    return client


def deflating(**settings: Any) -> VirtualWebsocket:
    """A client that was let in and compresses."""
    offer = raw.request(Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits")
    return enter(WebsocketBlock(no_tls=True, compression=True), request=offer, **settings)


def split(answer: bytes) -> tuple[list[str], bytes]:
    """The lines of an HTTP answer's head, and what follows."""
    head, _, rest = answer.partition(b"\r\n\r\n")
    return head.decode().split("\r\n"), rest


# ----------------------------------------------------------------------------------- the request


def test_a_right_request_is_granted_and_info_comes_in_a_frame() -> None:
    head, rest = split(knock().ask(raw.request()))
    assert [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {raw.ACCEPT}",
    ] == head
    assert raw.text(rest).startswith(b"INFO {")


def test_info_names_the_address_of_this_door() -> None:
    _, rest = split(knock().ask(raw.request()))
    info = json.loads(raw.text(rest)[5:])
    assert ("127.0.0.1", 8080) == (info["host"], info["port"])
    assert {"tls_required", "tls_available"}.isdisjoint(info)


def test_a_request_may_come_byte_by_byte_and_names_are_in_any_case() -> None:
    client = knock()
    for byte in raw.request().replace(b"Upgrade: websocket", b"upgrade: x, WebSocket"):
        client.send(bytes([byte]))
    assert client.take().startswith(b"HTTP/1.1 101 ")


def test_what_follows_the_request_at_once_is_not_lost() -> None:
    _, rest = split(knock().ask(raw.request() + raw.frame(QUIET + b"PING\r\n")))
    assert raw.text(rest).endswith(b"PONG\r\n")


@pytest.mark.parametrize(
    ("status", "request_"),
    [
        ("405 Method Not Allowed", raw.request("POST")),
        ("400 Bad Request", raw.request(without="Upgrade")),
        ("400 Bad Request", raw.request(Upgrade="h2c")),
        ("400 Bad Request", raw.request(without="Connection")),
        ("400 Bad Request", raw.request(without="Sec-WebSocket-Key")),
        ("400 Bad Request", raw.request(Sec_WebSocket_Key="c2hvcnQ=")),
        ("400 Bad Request", raw.request(Sec_WebSocket_Key="=")),
        ("400 Bad Request", raw.request(without="Sec-WebSocket-Version")),
        ("400 Bad Request", raw.request(Sec_WebSocket_Version="8")),
        ("404 Not Found", raw.request(path="/mqtt")),
        ("404 Not Found", raw.request(path="/leafnode?x")),
    ],
)
def test_a_wrong_request_gets_the_status_that_nats_server_gives(
    status: str, request_: bytes
) -> None:
    client = knock()
    head, body = split(client.ask(request_))
    assert f"HTTP/1.1 {status}" == head[0]
    assert "Sec-Websocket-Version: 13" in head
    assert f"{status.partition(' ')[2]}\n".encode() == body
    assert client.ended
    assert 0 == client.broker.server._cids


@pytest.mark.parametrize("garbage", [b"PUB a 1\r\nx\r\n\r\n", b"\x16\x03\x01\x00\x05hello\r\n\r\n"])
def test_what_is_no_http_gets_a_bare_answer(garbage: bytes) -> None:
    client = knock()
    head, body = split(client.ask(garbage))
    assert ["HTTP/1.1 400 Bad Request", b"400 Bad Request"] == [head[0], body]
    assert client.ended


def test_a_request_without_end_is_cut_off_at_16_kib() -> None:
    client = knock()
    assert client.ask(b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000).startswith(b"HTTP/1.1 400 ")
    assert client.ended


def test_whoever_asks_for_nothing_is_cut_off_in_time() -> None:
    client = knock(WebsocketBlock(no_tls=True, handshake_timeout=0.5))
    client.send(b"GET / HT")
    client.reactor.run_for(0.6)
    assert client.ended
    assert [client.door] == client.doors


def test_the_time_for_the_request_ends_with_it() -> None:
    client = enter(WebsocketBlock(no_tls=True, handshake_timeout=0.5))
    client.reactor.run_for(1.0)
    assert b"PONG\r\n" == raw.text(client.ask(raw.frame(b"PING\r\n")))


@pytest.mark.parametrize(
    ("status", "origin"),
    [(101, None), (101, "http://chat.example"), (403, "https://chat.example"), (403, "null")],
)
def test_only_listed_origins_are_let_in(status: int, origin: str | None) -> None:
    client = knock(WebsocketBlock(no_tls=True, allowed_origins=("http://chat.example",)))
    headers = {} if origin is None else {"Origin": origin}
    assert client.ask(raw.request(**headers)).startswith(b"HTTP/1.1 %d " % status)


def test_one_client_too_many_is_turned_away_in_a_frame() -> None:
    broker = VirtualBroker(max_connections=1)
    broker.accept()
    client = VirtualWebsocket(broker, OPEN)
    _, rest = split(client.ask(raw.request()))
    assert raw.text(rest).endswith(b"-ERR 'maximum connections exceeded'\r\n")
    assert (1008, "Maximum Connections Exceeded") == raw.closing(rest)


# --------------------------------------------------------------------------------------- cookies


def test_credentials_may_come_in_cookies() -> None:
    block = WebsocketBlock(
        no_tls=True, jwt_cookie="j", user_cookie="u", pass_cookie="p", token_cookie="t"
    )
    client = enter(block, request=raw.request(Cookie='u=ann; x; p="a=b"; t=tok; j=e.y.J; other=1'))
    known = client.connection.credentials()
    assert "WEBSOCKET" == known.kind
    found = known.connect
    assert ("ann", "a=b", "tok", "e.y.J") == (
        found.user,
        found.password,
        found.auth_token,
        found.jwt,
    )


def test_cookies_that_the_block_does_not_name_are_ignored() -> None:
    client = enter(request=raw.request(Cookie="=anonymous; user=ann"))
    assert ("", "") == (
        client.connection.credentials().connect.user,
        client.connection.credentials().connect.jwt,
    )


# ---------------------------------------------------------------------------------------- frames


def test_messages_travel_in_frames_both_ways() -> None:
    client = enter()
    answer = client.ask(raw.frame(b"SUB a 1\r\nPUB a 5\r\nhello\r\n"))
    assert [raw.Received(raw.BINARY, b"MSG a 1 5\r\nhello\r\n")] == raw.frames(answer)


def test_a_message_goes_from_a_websocket_to_tcp_and_back() -> None:
    broker = VirtualBroker()
    web, tcp = VirtualWebsocket(broker, OPEN), broker.connect(QUIET + b"SUB a 1\r\n")
    web.ask(raw.request())
    web.send(raw.frame(QUIET + b"SUB b 2\r\nPUB a 2\r\nhi\r\n"))
    assert b"MSG a 1 2\r\nhi\r\n" == tcp.take()
    tcp.send(b"PUB b 2\r\nyo\r\n")
    assert b"MSG b 2 2\r\nyo\r\n" == raw.text(web.take())


def test_frames_may_be_cut_anywhere_and_operations_too() -> None:
    client = enter()
    whole = b"SUB a 1\r\nPUB a 5\r\nhello\r\nPING\r\n"
    data = b"".join(raw.frame(whole[at : at + 3]) for at in range(0, len(whole), 3))
    for byte in data:
        client.send(bytes([byte]))
    assert b"MSG a 1 5\r\nhello\r\nPONG\r\n" == raw.text(client.take())


def test_fragments_and_text_frames_are_bytes_of_nats_too() -> None:
    client = enter()
    first = raw.frame(b"PI", raw.TEXT, final=False)
    ping = raw.frame(b"mid", raw.PING)
    answer = raw.frames(client.ask(first + ping + raw.frame(b"NG\r\n", 0)))
    assert [raw.Received(raw.PONG, b"mid"), raw.Received(raw.BINARY, b"PONG\r\n")] == answer


def test_an_empty_frame_means_nothing() -> None:
    assert b"PONG\r\n" == raw.text(enter().ask(raw.frame(b"") + raw.frame(b"PING\r\n")))


def test_a_large_message_leaves_in_frames_of_at_most_64_kib() -> None:
    client = enter()
    payload = bytes(range(256)) * 1000
    answer = client.ask(raw.frame(b"SUB a 1\r\nPUB a %d\r\n%s\r\n" % (len(payload), payload)))
    sizes = [len(one.payload) for one in raw.frames(answer)]
    assert 65536 == max(sizes)
    assert b"MSG a 1 %d\r\n%s\r\n" % (len(payload), payload) == raw.text(answer)


def test_more_than_a_turn_allows_is_done_in_order_and_nothing_is_lost() -> None:
    client = enter()
    many = b"".join(b"SUB a%d %d\r\n" % (n, n) for n in range(500))
    published = b"".join(b"PUB a%d 0\r\n\r\n" % n for n in range(500))
    answer = client.ask(raw.frame(many) + raw.frame(published) + raw.frame(b"PING\r\n"))
    expected = b"".join(b"MSG a%d %d 0\r\n\r\n" % (n, n) for n in range(500))
    assert expected + b"PONG\r\n" == raw.text(answer)


def test_a_clients_close_is_answered_with_its_own_code() -> None:
    client = enter()
    answer = client.ask(raw.frame(b"PING\r\n") + raw.frame(b"\x03\xe9bye", raw.CLOSE))
    assert (1001, "bye") == raw.closing(answer)
    assert b"PONG\r\n" == raw.text(answer)
    assert client.ended
    assert ["Client Closed"] == client.broker.reasons()


def test_a_close_without_a_code_is_answered_without_one() -> None:
    client = enter()
    assert [raw.Received(raw.CLOSE, b"")] == raw.frames(client.ask(raw.frame(b"", raw.CLOSE)))


def test_a_client_that_leaves_without_a_close_is_forgotten() -> None:
    client = enter()
    client.socket.close()
    client.reactor.settle()
    assert 1 == len(client.broker.reasons())
    assert [] == list(client.broker.server.opened())


@pytest.mark.parametrize(
    "wrong",
    [
        raw.frame(b"PING\r\n", masked=False),
        raw.frame(b"PING\r\n", opcode=3),
        raw.frame(b"x" * 126, raw.PING),
        raw.frame(b"x", raw.PING, final=False),
        raw.frame(b"x", 0),
        raw.frame(b"x", compressed=True),
        raw.frame(b"PI", final=False) + raw.frame(b"NG\r\n"),
    ],
    ids=["unmasked", "opcode", "long ping", "cut ping", "continues nothing", "rsv1", "two at once"],
)
def test_a_violation_of_the_framing_is_1002(wrong: bytes, caplog: pytest.LogCaptureFixture) -> None:
    client = enter()
    code, _ = raw.closing(client.ask(wrong))
    assert 1002 == code
    assert client.ended
    assert "WebSocket error: " in caplog.text


# --------------------------------------------------------------------------------------- endings


def test_a_wrong_token_is_told_in_a_frame_and_closed_with_1008() -> None:
    client = knock(token="t")
    client.ask(raw.request())
    answer = client.ask(raw.frame(b'CONNECT {"auth_token":"x"}\r\n'))
    assert b"-ERR 'Authorization Violation'\r\n" == raw.text(answer)
    assert (1008, "Authentication Failure") == raw.closing(answer)
    assert client.ended


@pytest.mark.parametrize(
    ("code", "wrong"), [(1002, b"NONSENSE\r\n"), (1009, b"PUB a 1001\r\n"), (1008, b"SUB a" * 2000)]
)
def test_the_close_code_tells_what_was_wrong(code: int, wrong: bytes) -> None:
    client = enter(max_payload=1000)
    assert code == raw.closing(client.ask(raw.frame(wrong)))[0]


def test_a_server_that_closes_says_1001() -> None:
    client = enter()
    client.broker.server.close()
    client.reactor.settle()
    assert (1001, "Server Shutdown") == raw.closing(client.take())


def test_every_code_that_has_one_in_the_table_is_one_that_may_be_sent() -> None:
    assert {1000, 1001, 1002, 1008, 1009} == set(CODES.values())
    assert Closed.TLS_HANDSHAKE not in CODES


def test_a_subscriber_that_reads_too_slowly_is_cut_off() -> None:
    broker = VirtualBroker(max_payload=1 << 20, max_pending=1 << 20)
    slow = VirtualWebsocket(broker, OPEN)
    slow.ask(raw.request())
    slow.send(raw.frame(QUIET + b"SUB a 1\r\n"))
    publisher = broker.connect()
    for _ in range(40):
        publisher.send(b"PUB a 100000\r\n%s\r\n" % (b"x" * 100_000))
    assert ["Slow Consumer (Pending Bytes)"] == broker.reasons()
    assert b"PONG\r\n" == publisher.ask(b"PING\r\n")


def test_a_flood_of_frames_is_worked_off_a_few_in_a_turn() -> None:
    client = enter()
    pings = [b"%d" % number for number in range(5 * FRAMES * PIECES)]
    client.socket.send(b"".join(raw.frame(ping, raw.PING) for ping in pings))
    answered = []
    for _ in range(20):
        client.reactor.run_once(0)
        try:
            answer = client.socket.recv(1 << 20)
        except BlockingIOError:
            continue
        answered.append([one.payload for one in raw.frames(answer)])
    assert max(map(len, answered)) <= FRAMES * PIECES
    assert pings == [payload for turn in answered for payload in turn]


def test_who_asks_for_answers_and_takes_none_does_not_fill_our_memory() -> None:
    client = enter()
    for _ in range(100):
        client.send(raw.frame(b"x" * 125, raw.PING) * 500)
    assert client.connection.stream.pending <= FRAME + FRAMES * 127
    client.take()
    assert b"PONG\r\n" == raw.text(client.ask(raw.frame(b"PING\r\n")))


# ----------------------------------------------------------------------------------- compression


def test_compression_is_agreed_to_as_nats_server_does() -> None:
    block = WebsocketBlock(no_tls=True, compression=True)
    head, rest = split(
        knock(block).ask(raw.request(Sec_WebSocket_Extensions="x, permessage-deflate; a=1"))
    )
    assert (
        "Sec-WebSocket-Extensions: permessage-deflate;"
        " server_no_context_takeover; client_no_context_takeover"
    ) == head[-1]
    assert [True] == [one.compressed for one in raw.frames(rest)]


def test_compression_is_not_agreed_to_unless_asked_for_and_configured() -> None:
    block = WebsocketBlock(no_tls=True, compression=True)
    assert b"Extensions" not in knock(block).ask(raw.request())
    offer = raw.request(Sec_WebSocket_Extensions="permessage-deflate")
    assert b"Extensions" not in knock().ask(offer)


def test_compressed_messages_travel_both_ways_and_small_ones_stay_plain() -> None:
    client = deflating()
    sent = b"SUB a 1\r\nPUB a 1000\r\n%s\r\n" % (b"x" * 1000)
    answer = client.ask(raw.frame(raw.deflated(sent), compressed=True) + raw.frame(b"PING\r\n"))
    assert b"MSG a 1 1000\r\n%s\r\nPONG\r\n" % (b"x" * 1000) == raw.text(answer)
    assert len(answer) < 200
    small = raw.frames(client.ask(raw.frame(b"PING\r\n")))
    assert [raw.Received(raw.BINARY, b"PONG\r\n", compressed=False)] == small


def test_a_compressed_message_may_come_in_fragments_byte_by_byte() -> None:
    client = deflating()
    packed = raw.deflated(b"PING\r\n" * 100)
    first = raw.frame(packed[:7], final=False, compressed=True)
    for byte in first + raw.frame(packed[7:], 0):
        client.send(bytes([byte]))
    assert b"PONG\r\n" * 100 == raw.text(client.take())


def test_a_bomb_is_1009_and_never_inflated() -> None:
    client = deflating(max_payload=1000)
    bomb = raw.deflated(b"x" * 50_000_000)
    code, _ = raw.closing(client.ask(raw.frame(bomb, compressed=True)))
    assert 1009 == code
    assert client.ended


@pytest.mark.parametrize("opcode", [raw.TEXT, raw.BINARY])
@pytest.mark.parametrize("size", [STEP - 6, STEP, STEP + 6, 2 * STEP, 5 * STEP])
@pytest.mark.parametrize("cut", [1, 7, 1_000_000])
def test_a_message_of_many_steps_comes_whole_and_is_followed_by_the_next(
    size: int, opcode: int, cut: int
) -> None:
    client = deflating(max_payload=1 << 20)
    for _ in range(2):
        length = size - (15 if size < 100_000 else 16)
        text = b"PUB a %d\r\n%b\r\n" % (length, b"x" * length)
        assert size == len(text)
        packed = raw.deflated(text)
        client.send(raw.frame(packed[:cut], opcode, final=cut > len(packed), compressed=True))
        if cut < len(packed):
            client.send(raw.frame(packed[cut:], 0))
        assert b"PONG\r\n" == raw.text(client.ask(raw.frame(b"PING\r\n")))
    assert not client.ended


def test_no_more_than_a_step_is_inflated_at_once() -> None:
    inflater = Inflater(10 * STEP)
    protocol = FrameProtocol(client=False, extensions=[inflater])
    text = bytes(5 * STEP)
    protocol.receive_bytes(raw.frame(raw.deflated(text), compressed=True))
    frame = next(protocol.received_frames())
    assert isinstance(frame.payload, bytes)
    parts = [frame.payload]
    while inflater.pending:
        parts.append(inflater.more())
    assert STEP == max(map(len, parts))
    assert text == b"".join(parts)


def test_what_cannot_be_inflated_is_1007() -> None:
    client = deflating()
    assert 1007 == raw.closing(client.ask(raw.frame(b"\xff\xff\xff", compressed=True)))[0]


# --------------------------------------------------------------------------------------- insight


def test_the_monitor_calls_it_a_websocket_and_the_log_counts_its_id_apart(
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = enter()
    record = client.connection.info()
    assert ("Client", "websocket") == (record.kind, record.type)
    assert " - wid:1" in caplog.text


# -------------------------------------------------------------------------------------- listener


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    with Reactor() as reactor:
        yield reactor


class Guests:
    """A server that only counts who came."""

    def __init__(self, reactor: Reactor) -> None:
        from broker.complaints import Complaints
        from broker.config import Options
        from broker.runqueue import RunQueue

        self.run_queue = RunQueue(reactor)
        self.complaints = Complaints(reactor)
        self.options = Options(host="127.0.0.1")
        self.count = 0

    def admit(self, sock: Any, address: Any) -> None:
        self.count += 1
        sock.close()


def test_the_listener_takes_any_free_port_and_closes_with_those_at_the_door(
    reactor: Reactor,
) -> None:
    listener = WebsocketListener(reactor, Guests(reactor), WebsocketBlock(port=-1, no_tls=True))
    with socket.create_connection(("127.0.0.1", listener.port), timeout=5) as client:
        while not listener._doors:
            reactor.run_once(1)
        listener.close()
        reactor.run_once(0)
        assert b"" == client.recv(1)
    assert set() == listener._doors


def test_the_listener_hands_over_who_was_let_in(reactor: Reactor) -> None:
    guests = Guests(reactor)
    listener = WebsocketListener(reactor, guests, WebsocketBlock(port=-1, no_tls=True))
    with socket.create_connection(("127.0.0.1", listener.port), timeout=5) as client:
        client.sendall(raw.request())
        while not guests.count:
            reactor.run_once(1)
    assert set() == listener._doors
    listener.close()


def test_a_certificate_that_is_not_there_is_told_before_anybody_listens(
    reactor: Reactor, tmp_path: Path
) -> None:
    block = tls_files.block(tmp_path)
    Path(block.cert_file).unlink()
    with pytest.raises(FileNotFoundError, match=r"server\.pem"):
        WebsocketListener(reactor, Guests(reactor), WebsocketBlock(port=-1, tls=block))


def test_without_the_library_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("broker.websocket", "broker.wsdoor", "broker.wstransport", "broker.deflate"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    for name in [name for name in sys.modules if name.partition(".")[0] == "wsproto"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "wsproto", None)
    with pytest.raises(ModuleNotFoundError, match=r"install reactor-broker\[websocket\]"):
        __import__("broker.websocket")
