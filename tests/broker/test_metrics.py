"""The page for Prometheus, read by the parser of Prometheus' own client."""

from __future__ import annotations

import dataclasses

from prometheus_client.parser import text_string_to_metric_families

from broker.flow import FlowTableStats
from broker.link import PlaneStats
from broker.metrics import Scrape, exposition
from broker.snapshots import AccountInfo, ConnectionInfo
from broker.switchboard import SwitchboardStats
from broker.varz import ProcessUsage
from tests.broker.test_varz import STATS

SCRAPE = Scrape(
    stats=STATS,
    usage=ProcessUsage(memory=4096, cpu=1.5, cores=2),
    cpu_seconds=1.25,
    plane=PlaneStats(
        links=2, in_msgs=8, in_bytes=80, out_msgs=0, out_bytes=0, misses=21, dropped=22
    ),
    flows=FlowTableStats(flows=31, capacity=32, masks=1, installed=33, evicted=34, displaced=35),
    switchboard=SwitchboardStats(
        subscriptions=4, links=2, inserted=7, removed=3, resolved=41, published=2, unheard=42
    ),
    accounts=(
        AccountInfo("$G", 1, 2, 3, 4, 5, 6, 7, 8),
        AccountInfo("A", 11, 12, 13, 14, 15, 16, 17, 18),
    ),
)
CLIENT = ConnectionInfo(
    cid=7, ip="::1", port=1, start=0.0, last_activity=0.0, rtt=0.5, name='a "b"\\\nc', out_msgs=9
)
BUSY = dataclasses.replace(SCRAPE, connections=(CLIENT,))


def samples(scrape: Scrape) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(exposition(scrape))
        for sample in family.samples
    }


def test_the_brokers_numbers_are_read_back() -> None:
    expected = {
        "nats_connections": 2,
        "nats_connections_total": 4,
        "nats_subscriptions": 3,
        "nats_in_messages_total": 10,
        "nats_in_bytes_total": 100,
        "nats_out_messages_total": 20,
        "nats_out_bytes_total": 200,
        "nats_dropped_messages_total": 22,
        "nats_slow_consumers_total": 1,
        "nats_stale_connections_total": 2,
        "nats_flows": 31,
        "nats_flow_capacity": 32,
        "nats_flows_installed_total": 33,
        "nats_flows_evicted_total": 34,
        "nats_flows_displaced_total": 35,
        "nats_misses_total": 21,
        "nats_resolutions_total": 41,
        "nats_no_responders_total": 42,
        "process_start_time_seconds": 1_700_000_000,
        "process_resident_memory_bytes": 4096,
        "process_cpu_seconds_total": 1.25,
    }
    found = samples(SCRAPE)
    assert expected == {name: value for (name, labels), value in found.items() if not labels}


def test_the_broker_says_who_it_is() -> None:
    who = (("server_id", "ID"), ("server_name", "NAME"), ("version", "0.1.0"))
    assert 1 == samples(SCRAPE)["nats_server_info", who]


def test_every_account_has_its_series() -> None:
    found = samples(SCRAPE)
    assert [1, 11] == [found["nats_account_connections", (("account", a),)] for a in ("$G", "A")]
    names = [f"nats_account_{name}_total" for name in ("in_bytes", "out_messages")]
    assert [15, 16] == [found[name, (("account", "A"),)] for name in names]


def test_connections_have_series_only_when_asked_for() -> None:
    assert not [name for name, _ in samples(SCRAPE) if name.startswith("nats_connection_")]


def test_whatever_a_client_calls_itself_its_label_is_read_back() -> None:
    labels = (("account", "$G"), ("cid", "7"), ("name", 'a "b"\\\nc'))
    found = samples(BUSY)
    assert (9, 0.5) == (
        found["nats_connection_out_messages_total", labels],
        found["nats_connection_rtt_seconds", labels],
    )


def test_every_family_tells_its_type_and_counters_are_called_total() -> None:
    families = list(text_string_to_metric_families(exposition(BUSY)))
    assert all(family.documentation for family in families)
    for family in families:
        counts = any(sample.name.endswith("_total") for sample in family.samples)
        assert ("counter" if counts else "gauge") == family.type


def test_no_series_is_there_twice() -> None:
    lines = [line for line in exposition(BUSY).splitlines() if not line.startswith("#")]
    assert len(lines) == len(samples(BUSY))
