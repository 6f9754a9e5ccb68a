"""The monitor: HTTP over TCP against a broker in this process."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from broker import Broker
from broker.config import Options
from broker.monitor import Monitor
from broker.server import Server
from broker.usage import resident_bytes
from reactor import Reactor
from tests.support import tls_files
from tests.support.certificates import CLIENT, SERVERS
from tests.support.certificates import HOST as HOST_NAME
from tests.support.raw_client import RawClient

QUIET = b'CONNECT {"verbose":false}\r\n'
HOST = b"Host: x\r\n\r\n"


@pytest.fixture
def broker() -> Iterator[Broker]:
    with Broker(port=0, http_port=0) as running:
        yield running


class Answer:
    """One HTTP response, read whole."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def json(self) -> dict[str, Any]:
        page: dict[str, Any] = json.loads(self.body)
        return page


def address(broker: Broker) -> tuple[str, int]:
    assert broker.http_port is not None
    return "127.0.0.1", broker.http_port


def connect(broker: Broker) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(*address(broker), timeout=10)


def get(broker: Broker, target: str, method: str = "GET", body: bytes | None = None) -> Answer:
    connection = connect(broker)
    try:
        connection.request(method, target, body=body)
        return Answer(connection.getresponse())
    finally:
        connection.close()


def page(broker: Broker, target: str) -> dict[str, Any]:
    return get(broker, target).json()


def raw(broker: Broker, *pieces: bytes) -> bytes:
    """Send the pieces and return everything up to the end, which is asked for after the last."""
    with socket.create_connection(address(broker), timeout=10) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            client.sendall(piece)
        client.shutdown(socket.SHUT_WR)
        received = bytearray()
        while piece := client.recv(65536):
            received += piece
    return bytes(received)


# -------------------------------------------------------------------------------------------- pages


def test_health_is_ok_in_nats_servers_very_bytes(broker: Broker) -> None:
    answer = get(broker, "/healthz")
    assert (200, b'{"status":"ok"}') == (answer.status, answer.body)
    assert "application/json" == answer.headers["Content-Type"]
    assert "*" == answer.headers["Access-Control-Allow-Origin"]


def test_counters_are_exact(broker: Broker) -> None:
    with RawClient(broker.port) as one, RawClient(broker.port) as other:
        one.ask(b'CONNECT {"verbose":false,"headers":true}\r\nSUB a 1\r\nSUB b 2\r\n')
        other.ask(QUIET + b"SUB a 1\r\nPUB a 3\r\nxyz\r\nPUB c 4\r\nlost\r\n")
        one.ask(b"HPUB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\n")
        general = page(broker, "/varz")
        rows = page(broker, "/connz")["connections"]
    counters = ("in_msgs", "in_bytes", "out_msgs", "out_bytes")
    # The second receiver did not ask for headers, so the last message reaches it without its 12.
    assert [3, 21, 4, 22] == [general[name] for name in counters]
    assert [[1, 14, 2, 17], [2, 7, 2, 5]] == [[row[name] for name in counters] for row in rows]
    assert (2, 2, 3) == (
        general["connections"],
        general["total_connections"],
        general["subscriptions"],
    )


def test_requests_are_counted_by_page(broker: Broker) -> None:
    for target in ("/healthz", "/varz", "/varz?x=1", "/nowhere", "/connz?limit=1", "/"):
        get(broker, target)
    for target in ("/subsz", "/subscriptionsz"):
        get(broker, target)
    expected = {"/": 1, "/connz": 1, "/healthz": 1, "/subsz": 2, "/varz": 3}
    assert expected == page(broker, "/varz")["http_req_stats"]


def test_the_general_page_tells_what_the_process_costs(broker: Broker) -> None:
    general = page(broker, "/varz")
    assert general["mem"] == pytest.approx(resident_bytes(), rel=0.5)
    assert general["cores"] >= 1
    assert general["cpu"] >= 0
    assert (broker.port, broker.http_port) == (general["port"], general["http_port"])


def test_a_connection_is_found_by_its_number_with_its_subscriptions(broker: Broker) -> None:
    with RawClient(broker.port) as client:
        client.ask(QUIET + b"SUB a.* q 7\r\n")
        cid = client.info["client_id"]
        found = page(broker, f"/connz?cid={cid}&subs=detail")
    (row,) = found["connections"]
    expected = [{"subject": "a.*", "qgroup": "q", "sid": "7", "msgs": 0, "cid": cid}]
    assert expected == row["subscriptions_list_detail"]


def test_closed_connections_are_listed_and_no_longer_among_the_open_ones(broker: Broker) -> None:
    with RawClient(broker.port) as client:
        client.send(b"NONSENSE\r\n")
        client.read_to_end()
    assert [] == page(broker, "/connz")["connections"]
    (row,) = page(broker, "/connz?state=closed")["connections"]
    assert "Protocol Violation" == row["reason"]


def test_subjects_that_are_no_utf_8_are_shown_as_well_as_can_be(broker: Broker) -> None:
    with RawClient(broker.port) as client:
        client.ask(QUIET + b"SUB a.\xff 1\r\n")
        (row,) = page(broker, "/connz?subs=1")["connections"]
    assert ["a.\ufffd"] == row["subscriptions_list"]


def test_the_first_page_links_to_the_others(broker: Broker) -> None:
    answer = get(broker, "/")
    assert "text/html; charset=utf-8" == answer.headers["Content-Type"]
    for target in (b"varz", b"connz", b"healthz"):
        assert b'href="./%s"' % target in answer.body


@pytest.mark.parametrize(
    "target",
    ["/accountz", "/accstatz", "/subsz", "/routez", "/leafz", "/gatewayz", "/jsz", "/healthz"],
)
def test_every_page_of_nats_servers_is_served(broker: Broker, target: str) -> None:
    answer = get(broker, target)
    assert (200, "application/json") == (answer.status, answer.headers["Content-Type"])
    assert answer.json()


def test_the_one_account_has_the_brokers_numbers(broker: Broker) -> None:
    with RawClient(broker.port) as client:
        client.ask(QUIET + b"SUB a 1\r\nPUB a 3\r\nxyz\r\n")
        (row,) = page(broker, "/accstatz")["account_statz"]
    expected = ("$G", 1, 1, 1, 3)
    assert expected == (
        row["acc"],
        row["conns"],
        row["num_subscriptions"],
        row["sent"]["msgs"],
        row["received"]["bytes"],
    )


def test_prometheus_reads_the_metrics(broker: Broker) -> None:
    with RawClient(broker.port) as client:
        client.ask(b'CONNECT {"verbose":false,"name":"ann"}\r\nSUB a 1\r\nPUB a 3\r\nxyz\r\n')
        answer = get(broker, "/metrics?connections=1")
    assert "text/plain; version=0.0.4; charset=utf-8" == answer.headers["Content-Type"]
    families = text_string_to_metric_families(answer.body.decode())
    values = {sample.name: sample.value for family in families for sample in family.samples}
    names = ("nats_connections", "nats_in_bytes_total", "nats_connection_out_messages_total")
    assert [1, 3, 1] == [values[name] for name in names]
    assert values["process_cpu_seconds_total"] > 0


def test_a_publish_leaves_a_flow_to_be_seen(broker: Broker) -> None:
    with RawClient(broker.port) as client:
        client.ask(QUIET + b"SUB a.* 1\r\nPUB a.b 0\r\n\r\n")
        (row,) = page(broker, "/flowz?detail=1")["flows"]
        cid = client.info["client_id"]
    assert ("a.*", [{"cid": cid, "sid": "1", "msgs": 1}]) == (row["pattern"], row["plain_list"])


def test_a_subject_is_traced_to_those_who_would_get_it(broker: Broker) -> None:
    with RawClient(broker.port) as client:
        client.ask(b'CONNECT {"verbose":false,"name":"ann"}\r\nSUB a.* 1\r\n')
        found = page(broker, "/trace?subject=a.b")
    (row,) = found["plain"]
    assert ("ann", "a.*", "* takes b") == (row["name"], row["subject"], row["why"])


@pytest.mark.parametrize(
    ("query", "trouble"),
    [
        ("", b"invalid subject"),
        ("subject=a.*", b"invalid subject, must be valid publish subject: a.*"),
        ("subject=a&acc=NOPE", b"Account NOPE does not exist"),
    ],
)
def test_what_cannot_be_traced_is_refused(broker: Broker, query: str, trouble: bytes) -> None:
    answer = get(broker, f"/trace?{query}")
    assert 400 == answer.status
    assert answer.body.startswith(trouble)


def test_subjects_are_counted_from_the_first_look_on(broker: Broker) -> None:
    with RawClient(broker.port) as client:
        client.ask(QUIET + b"PUB before 0\r\n\r\n")
        assert [] == page(broker, "/topicsz")["topics"]
        client.ask(b"PUB after 0\r\n\r\n" * 3)
        (row,) = page(broker, "/topicsz")["topics"]
    assert "after" == row["subject"]
    assert row["msgs_per_second"] > 0


@pytest.mark.parametrize("given", ["mon", "/mon", "/mon/", "//mon//"])
def test_with_a_base_path_all_pages_are_below_it(given: str) -> None:
    with Broker(port=0, http_port=0, http_base_path=given) as broker:
        assert b"ok" in get(broker, "/mon/healthz").body
        assert b'href="./mon/varz"' in get(broker, "/mon").body
        outside = ("/", "/healthz", "/monhealthz", "/mon/", "/mon/mon/healthz")
        assert [404] * 5 == [get(broker, target).status for target in outside]
        assert {"/": 1, "/healthz": 1, "/varz": 1} == page(broker, "/mon/varz")["http_req_stats"]


def test_a_page_may_do_what_its_policy_says_which_is_nothing_unless_it_has_scripts(
    broker: Broker,
) -> None:
    assert "default-src 'none'" == get(broker, "/").headers["Content-Security-Policy"]
    policy = get(broker, "/dashboard").headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert get(broker, "/varz").headers["Content-Security-Policy"] is None


@pytest.mark.parametrize("target", ["/nowhere", "/varz/", "/VARZ", "//varz"])
def test_other_pages_do_not_exist(broker: Broker, target: str) -> None:
    answer = get(broker, target)
    assert (404, b"404 page not found\n") == (answer.status, answer.body)


def test_an_unusable_parameter_is_refused(broker: Broker) -> None:
    answer = get(broker, "/connz?state=bogus")
    assert (400, b"Error decoding state for bogus") == (answer.status, answer.body)


def test_a_page_that_fails_is_our_mistake_and_logged(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("broker.monitorpages.healthz", lambda: 1 // 0)
    assert 500 == get(broker, "/healthz").status
    (record,) = caplog.records
    assert "the monitor failed to make the page /healthz" == record.getMessage()
    assert record.exc_info is not None


# --------------------------------------------------------------------------------------------- HTTP


def test_a_head_request_gets_the_headers_of_a_get(broker: Broker) -> None:
    answer = get(broker, "/healthz", method="HEAD")
    assert (200, b"", "15") == (answer.status, answer.body, answer.headers["Content-Length"])


def test_any_other_method_is_answered_like_a_get(broker: Broker) -> None:
    answer = get(broker, "/healthz", method="POST", body=b"whatever")
    assert (200, b'{"status":"ok"}') == (answer.status, answer.body)


def test_a_connection_is_kept_for_further_requests(broker: Broker) -> None:
    connection = connect(broker)
    try:
        sockets = []
        for _ in range(3):
            connection.request("GET", "/healthz")
            assert 200 == Answer(connection.getresponse()).status
            sockets.append(connection.sock)
        assert 1 == len(set(map(id, sockets)))
    finally:
        connection.close()


def test_requests_sent_together_are_answered_in_order(broker: Broker) -> None:
    received = raw(broker, b"GET /healthz HTTP/1.1\r\n" + HOST + b"GET /nope HTTP/1.1\r\n" + HOST)
    first, second = received.index(b"200"), received.index(b"404")
    assert first < second


def test_a_request_may_come_byte_by_byte(broker: Broker) -> None:
    request = b"GET /healthz HTTP/1.1\r\n" + HOST
    received = raw(broker, *(request[i : i + 1] for i in range(len(request))))
    assert received.endswith(b'{"status":"ok"}')


def test_http_1_0_gets_one_answer_and_the_end(broker: Broker) -> None:
    with socket.create_connection(address(broker), timeout=10) as client:
        client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        received = bytearray()
        while piece := client.recv(65536):
            received += piece
    assert received.endswith(b'{"status":"ok"}')


@pytest.mark.parametrize(
    "wrong",
    [
        b"nonsense\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        b"GET /" + b"x" * 100_000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
)
def test_bad_http_is_refused_and_costs_one_connection(broker: Broker, wrong: bytes) -> None:
    other = connect(broker)
    try:
        other.request("GET", "/healthz")
        other.getresponse().read()
        status = raw(broker, wrong).split()[1]
        assert status in (b"400", b"431")
        other.request("GET", "/healthz")
        assert 200 == other.getresponse().status
    finally:
        other.close()


def test_visitors_are_shown_out_when_the_broker_stops() -> None:
    with Broker(port=0, http_port=0) as broker:
        client = socket.create_connection(address(broker), timeout=10)
        client.sendall(b"GET /healthz HTTP/1.1\r\n" + HOST)
        assert client.recv(65536).startswith(b"HTTP/1.1 200")
    with client:
        assert b"" == client.recv(10)


def test_with_certificates_the_monitor_speaks_https_and_nothing_else(tmp_path: Path) -> None:
    reactor = Reactor()
    block = tls_files.block(tmp_path)
    server = Server(reactor, Options(host="127.0.0.1", port=0, https_port=0, tls=block))
    monitor = Monitor(reactor, server, tls=SERVERS["TLSv1.3"])
    thread = threading.Thread(target=reactor.run)
    thread.start()
    try:
        request = b"GET /healthz HTTP/1.0\r\n\r\n"
        with socket.create_connection(("127.0.0.1", monitor.port), timeout=10) as plain:
            plain.sendall(request)
            assert b"HTTP" not in b"".join(iter(lambda: plain.recv(100), b""))
        with (
            socket.create_connection(("127.0.0.1", monitor.port), timeout=10) as sock,
            CLIENT.wrap_socket(sock, server_hostname=HOST_NAME) as client,
        ):
            client.sendall(request)
            received = b"".join(iter(lambda: client.recv(65536), b""))
        assert received.endswith(b'{"status":"ok"}')
    finally:
        reactor.call_threadsafe(monitor.close)
        reactor.call_threadsafe(reactor.stop)
        thread.join(10)
        reactor.close()


@pytest.mark.parametrize("length", [b"0", b"5", b"400"])
def test_what_follows_a_request_with_two_ends_is_not_answered(
    broker: Broker, length: bytes
) -> None:
    ends = b"Content-Length: " + length + b"\r\nTransfer-Encoding: chunked\r\n"
    hidden = b"GET /healthz HTTP/1.1\r\n" + HOST
    received = raw(broker, b"POST /x HTTP/1.1\r\n" + ends + HOST + b"0\r\n\r\n" + hidden)
    assert 1 == received.count(b"HTTP/1.1 ")
    assert b"\r\nConnection: close\r\n" in received


def test_a_visitor_who_asks_much_at_once_and_listens_gets_every_answer(broker: Broker) -> None:
    """The kernel takes more in one turn than may wait for a visitor."""
    requests = 200
    last = b"GET /varz HTTP/1.1\r\nConnection: close\r\n" + HOST
    received = bytearray()
    with socket.create_connection(address(broker), timeout=10) as client:
        client.sendall((b"GET /varz HTTP/1.1\r\n" + HOST) * (requests - 1) + last)
        while piece := client.recv(65536):
            received += piece
    assert requests == received.count(b"HTTP/1.1 200")
