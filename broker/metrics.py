"""The monitor's ``/metrics``: the same numbers as the other pages, as Prometheus reads them.

The idea: Prometheus asks for plain text and keeps the history itself, so a page is a table of
families, each a name, a type, a sentence of help and its samples. The format is version 0.0.4 of
the text exposition (prometheus.io/docs/instrumenting/exposition_formats); its rules that concern
us: counters end in ``_total``, units are base units (bytes, seconds), a label's value escapes
backslash, quote and line feed.

Numbers of single connections are there only where they were asked for (``?connections=1``): each
client would leave a dozen series behind in Prometheus for ever.

Neighbours: `broker.monitorpages` fills a `Scrape` and calls `exposition`. No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from broker.flow import FlowTableStats
from broker.link import PlaneStats
from broker.snapshots import AccountInfo, BrokerStats, ConnectionInfo
from broker.switchboard import SwitchboardStats
from broker.varz import ProcessUsage

__all__ = ["CONTENT_TYPE", "Scrape", "exposition"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Scrape:
    """All that one page is made from. ``cpu_seconds`` is what the process has used so far."""

    stats: BrokerStats
    usage: ProcessUsage
    cpu_seconds: float
    plane: PlaneStats
    flows: FlowTableStats
    switchboard: SwitchboardStats
    accounts: tuple[AccountInfo, ...]
    connections: tuple[ConnectionInfo, ...] = ()


@dataclass(frozen=True)
class _Family:
    """Samples of one name: labels and value of each."""

    name: str
    help: str
    samples: Sequence[tuple[_Labels, float]]

    def lines(self) -> Iterator[str]:
        kind = "counter" if self.name.endswith("_total") else "gauge"
        yield f"# HELP {self.name} {self.help}"
        yield f"# TYPE {self.name} {kind}"
        for labels, value in self.samples:
            written = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels)
            yield f"{self.name}{{{written}}} {value}" if written else f"{self.name} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def exposition(scrape: Scrape) -> str:
    """The page as text. O(accounts + connections)."""
    families = [*_broker(scrape), *_process(scrape), *_accounts(scrape.accounts)]
    if scrape.connections:
        families += _connections(scrape.connections)
    return "".join(f"{line}\n" for family in families for line in family.lines())


def _broker(scrape: Scrape) -> Iterator[_Family]:
    stats = scrape.stats
    who = (
        ("server_id", stats.server_id),
        ("server_name", stats.server_name),
        ("version", stats.version),
    )
    yield _Family("nats_server_info", "Who this broker is; always 1.", [(who, 1)])
    for name, value, help in (
        ("connections", stats.connections, "Clients that are connected."),
        ("connections_total", stats.total_connections, "Clients that have connected so far."),
        ("subscriptions", stats.subscriptions, "Subscriptions of all clients."),
        ("in_messages_total", stats.in_msgs, "Messages that clients published."),
        ("in_bytes_total", stats.in_bytes, "Bytes that clients published, headers included."),
        ("out_messages_total", stats.out_msgs, "Messages that were delivered to clients."),
        ("out_bytes_total", stats.out_bytes, "Bytes that were delivered, headers included."),
        ("dropped_messages_total", scrape.plane.dropped, "Deliveries a slow client lost."),
        ("slow_consumers_total", stats.slow_consumers, "Clients cut off as too slow."),
        ("stale_connections_total", stats.stale_connections, "Clients that answered no PING."),
        ("flows", scrape.flows.flows, "Flows in the flow table."),
        ("flow_capacity", scrape.flows.capacity, "Flows that the table has room for."),
        ("flows_installed_total", scrape.flows.installed, "Flows put into the table."),
        ("flows_evicted_total", scrape.flows.evicted, "Flows dropped as subscriptions changed."),
        ("flows_displaced_total", scrape.flows.displaced, "Flows dropped for want of room."),
        ("misses_total", scrape.plane.misses, "Publishes that no flow could settle."),
        ("resolutions_total", scrape.switchboard.resolved, "Subjects that were resolved."),
        ("no_responders_total", scrape.switchboard.unheard, "Requests answered by a 503."),
    ):
        yield _Family(f"nats_{name}", help, [((), value)])


def _process(scrape: Scrape) -> Iterator[_Family]:
    """Under the names that Prometheus' own clients give these."""
    for name, value, help in (
        ("start_time_seconds", scrape.stats.start, "When the broker started, Unix time."),
        ("resident_memory_bytes", scrape.usage.memory, "Memory that the process occupies."),
        ("cpu_seconds_total", scrape.cpu_seconds, "Processor time that the process used."),
    ):
        yield _Family(f"process_{name}", help, [((), value)])


def _accounts(accounts: Iterable[AccountInfo]) -> Iterator[_Family]:
    infos = [((("account", info.name),), info) for info in accounts]
    for name, field, help in (
        ("connections", "connections", "Clients of the account that are connected."),
        ("subscriptions", "subscriptions", "Subscriptions of the account."),
        ("in_messages_total", "in_msgs", "Messages that the account's clients published."),
        ("in_bytes_total", "in_bytes", "Bytes that the account's clients published."),
        ("out_messages_total", "out_msgs", "Messages delivered to the account's clients."),
        ("out_bytes_total", "out_bytes", "Bytes delivered to the account's clients."),
        ("slow_consumers_total", "slow_consumers", "Clients of the account cut off as too slow."),
    ):
        samples = [(labels, getattr(info, field)) for labels, info in infos]
        yield _Family(f"nats_account_{name}", help, samples)


def _connections(connections: Iterable[ConnectionInfo]) -> Iterator[_Family]:
    infos = [
        ((("cid", str(info.cid)), ("name", info.name), ("account", info.account)), info)
        for info in connections
    ]
    for name, field, help in (
        ("pending_bytes", "pending_bytes", "Bytes that wait for the client."),
        ("subscriptions", "subscriptions", "Subscriptions of the client."),
        ("rtt_seconds", "rtt", "Round trip time at the last PING."),
        ("in_messages_total", "in_msgs", "Messages that the client published."),
        ("in_bytes_total", "in_bytes", "Bytes that the client published."),
        ("out_messages_total", "out_msgs", "Messages delivered to the client."),
        ("out_bytes_total", "out_bytes", "Bytes delivered to the client."),
    ):
        samples = [(labels, getattr(info, field)) for labels, info in infos]
        yield _Family(f"nats_connection_{name}", help, samples)
