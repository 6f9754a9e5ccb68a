"""The monitor's pages: which there are, and what each is made from.

The idea: a table from path to method. A method reads the query, asks the server for snapshots, and
has a pure function (`broker.varz`, `broker.connz` and their like) make the page of them; so nothing
here knows HTTP but status and content type, and nothing there knows the server.

``/gatewayz`` and ``/jsz`` tell, as nats-server does where it has none, that there are no gateways
and streams: tools read them without asking first.

Invariants: a page is made within one call on the loop's thread, so it shows one moment; a mistake
of the visitor is answered by 400 with nats-server's words, a mistake of ours by 500 and a log
entry. With a base path, nothing is served outside it.

Neighbours: `broker.monitor` speaks HTTP and calls `Pages.answer`; `broker.sysdesk` takes the data
of a page, as a `sheet`; `broker.server` is the `Source`. Loop thread only.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol
from urllib.parse import parse_qsl

from broker import queries
from broker.accountz import accountz, accstatz
from broker.blocks import DEFAULT_ACCOUNT
from broker.config import Options
from broker.connz import ConnzQuery, Row, connz
from broker.dashboard import dashboard
from broker.flowz import FlowzQuery, flowz
from broker.indented import indented
from broker.leafz import LeafInfo, leafz
from broker.logs import logger
from broker.metrics import CONTENT_TYPE, Scrape, exposition
from broker.plane import DataPlane
from broker.queries import QueryError
from broker.routez import RoutezQuery, routez
from broker.snapshots import AccountInfo, BrokerStats, Explanation, RouteInfo
from broker.subject import is_literal
from broker.subsz import Routing, SubszQuery, subsz
from broker.switchboard import Switchboard
from broker.topics import Topics, topicsz
from broker.tracez import trace
from broker.usage import CpuMeter, cpu_seconds, resident_bytes
from broker.varz import ProcessUsage, gatewayz, healthz, jsz, varz

__all__ = ["HTML", "JSON", "TEXT", "Page", "Pages", "Source", "base_path"]

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"

_Parameters = Mapping[str, str]

#: Title and path of what the first page links to.
_LINKS = (
    ("Dashboard", "dashboard"),
    ("General", "varz"),
    ("Connections", "connz"),
    ("Accounts", "accountz"),
    ("Account traffic", "accstatz"),
    ("Subscriptions", "subsz"),
    ("Routes", "routez"),
    ("Leaf nodes", "leafz"),
    ("Gateways", "gatewayz"),
    ("Streams", "jsz"),
    ("Health", "healthz"),
    ("Metrics for Prometheus", "metrics"),
    ("Flows", "flowz"),
    ("Top subjects", "topicsz"),
    ("Who gets what is published to a.b", "trace?subject=a.b"),
)

_INDEX = """<!DOCTYPE html>
<html lang="en">
<head><title>reactor-broker</title></head>
<body>
<h1>reactor-broker</h1>
<ul>
{links}
</ul>
</body>
</html>
"""

#: Other names of pages, which are counted under the first.
_ALIASES = {"/subscriptionsz": "/subsz"}

#: Switches of /healthz. Whatever they are set to, there is no stream that could be ill.
_HEALTH_SWITCHES = ("js-enabled", "js-enabled-only", "js-server-only", "js-meta-only", "details")


class Source(Protocol):
    """What the pages show: the server, as far as they need it."""

    options: Options
    plane: DataPlane
    switchboard: Switchboard
    topics: Topics | None  # fed by the connections while it is there; pages set it

    def stats(self) -> BrokerStats:
        """The whole broker in numbers."""

    def opened(self) -> Iterable[Row]:
        """The open connections."""

    def closed(self) -> Iterable[Row]:
        """Records of connections that ended, the oldest first; a bounded number of them."""

    def accounts(self) -> Iterable[AccountInfo]:
        """All accounts, those without connections included."""

    def leafs(self) -> Iterable[LeafInfo]:
        """The links to servers above and below."""

    def routes(self) -> Iterable[RouteInfo]:
        """The routes to other nodes of our cluster."""

    def zones(self) -> Mapping[int, str]:
        """The account of each zone."""

    def explain(self, account: str, subject: bytes) -> Explanation:
        """What would become of a message. Raises KeyError: there is no such account."""


class Page:
    """One answer before it becomes HTTP: status, content type, body; and of what is HTML, the
    security policy, which allows nothing unless the page needs it.
    """

    __slots__ = ("body", "content_type", "policy", "status")

    def __init__(
        self, status: int, content_type: str, body: str, policy: str = "default-src 'none'"
    ) -> None:
        self.status = status
        self.content_type = content_type
        self.policy = policy
        self.body = body.encode("utf-8", "replace")


def base_path(text: str) -> str:
    """The configured ``http_base_path`` as paths begin with it: empty, or ``/mon``."""
    return "".join(f"/{part}" for part in text.split("/") if part)


class Pages:
    """All pages of one monitor. Loop thread only."""

    def __init__(self, source: Source, now: Callable[[], float]) -> None:
        """``now`` is the clock by which the connections feed ``source.topics``."""
        self._source = source
        self._now = now
        self._base = base_path(source.options.http_base_path)
        self._requests: Counter[str] = Counter()
        self._cpu = CpuMeter()
        self._table: dict[str, Callable[[_Parameters], Page]] = {
            "/": self._index,
            "/healthz": self._healthz,
            "/dashboard": self._dashboard,
            "/metrics": self._metrics,
        }
        self._sheets: dict[str, Callable[[_Parameters], dict[str, Any]]] = {
            "/varz": self._varz,
            "/connz": self._connz,
            "/accountz": self._accountz,
            "/accstatz": self._accstatz,
            "/subsz": self._subsz,
            "/routez": self._routez,
            "/leafz": self._leafz,
            "/gatewayz": self._gatewayz,
            "/jsz": self._jsz,
            "/flowz": self._flowz,
            "/trace": self._trace,
            "/topicsz": self._topicsz,
        }

    def sheet(self, name: str, parameters: _Parameters) -> dict[str, Any]:
        """The data of a page of JSON, by its path, without counting a visit.

        Raises QueryError for parameters that are unusable, KeyError for a page that is no JSON.
        """
        return self._sheets[name](parameters)

    def usage(self) -> ProcessUsage:
        """What the process costs; its share of a core is that since somebody last asked."""
        return ProcessUsage(resident_bytes(), self._cpu.percent(), os.cpu_count() or 1)

    def answer(self, target: str) -> Page:
        """The answer to a request for a path with an optional query string."""
        path, _, query = target.partition("?")
        name = self._name(path)
        name = _ALIASES.get(name, name)
        make = self._table.get(name)
        if make is None and name not in self._sheets:
            return Page(404, TEXT, "404 page not found\n")
        self._requests[name] += 1
        try:
            parameters = _parameters(query)
            return _json(self.sheet(name, parameters)) if make is None else make(parameters)
        except QueryError as error:
            return Page(400, TEXT, str(error))
        except Exception:
            logger.exception("the monitor failed to make the page %s", name)
            return Page(500, TEXT, "500 internal error; the broker's log has the details\n")

    def _name(self, path: str) -> str:
        """The path below the base path; empty where there is none, which no page is called."""
        if not self._base:
            return path or "/"
        if path == self._base:
            return "/"
        rest = path.removeprefix(self._base)
        return rest if rest != path and rest != "/" else ""

    # --- nats-server's pages ----------------------------------------------------------------------

    def _index(self, parameters: _Parameters) -> Page:
        # Relative to the last part of the base path, so that links work behind a proxy, too.
        here = "." + "".join(f"/{part}" for part in self._base.split("/")[-1:] if part)
        links = "\n".join(f'<li><a href="{here}/{path}">{title}</a></li>' for title, path in _LINKS)
        return Page(200, HTML, _INDEX.format(links=links))

    def _varz(self, parameters: _Parameters) -> dict[str, Any]:
        source = self._source
        return varz(source.stats(), source.options, self._requests, self.usage())

    def _connz(self, parameters: _Parameters) -> dict[str, Any]:
        query = ConnzQuery.read(parameters)
        source = self._source
        return connz(query, source.stats(), source.opened(), source.closed())

    def _accountz(self, parameters: _Parameters) -> dict[str, Any]:
        source = self._source
        system = source.options.system_account
        account = parameters.get("acc", "")
        return accountz(account, source.stats(), source.accounts(), system)

    def _accstatz(self, parameters: _Parameters) -> dict[str, Any]:
        unused = queries.boolean(parameters, "unused")
        return accstatz(unused, self._source.stats(), self._source.accounts())

    def _subsz(self, parameters: _Parameters) -> dict[str, Any]:
        query = SubszQuery.read(parameters)
        source, plane = self._source, self._source.plane
        routing = Routing(source.switchboard.stats(), plane.stats(), plane.flows, source.zones())
        return subsz(query, source.stats(), routing, source.opened())

    def _routez(self, parameters: _Parameters) -> dict[str, Any]:
        query = RoutezQuery.read(parameters)
        return routez(query, self._source.stats(), self._source.routes())

    def _leafz(self, parameters: _Parameters) -> dict[str, Any]:
        subjects = queries.boolean(parameters, "subs")
        source, account = self._source, parameters.get("acc", "")
        return leafz(source.stats(), source.leafs(), account, subjects=subjects)

    def _gatewayz(self, parameters: _Parameters) -> dict[str, Any]:
        queries.boolean(parameters, "accs")
        return gatewayz(self._source.stats())

    def _jsz(self, parameters: _Parameters) -> dict[str, Any]:
        return jsz(self._source.stats())

    def _healthz(self, parameters: _Parameters) -> Page:
        for switch in _HEALTH_SWITCHES:
            queries.boolean(parameters, switch)
        return Page(200, JSON, json.dumps(healthz(), separators=(",", ":")))

    # --- our own ----------------------------------------------------------------------------------

    def _dashboard(self, parameters: _Parameters) -> Page:
        text, policy = dashboard()
        return Page(200, HTML, text, policy)

    def _metrics(self, parameters: _Parameters) -> Page:
        source, plane = self._source, self._source.plane
        connections = source.opened() if queries.boolean(parameters, "connections") else ()
        scrape = Scrape(
            stats=source.stats(),
            usage=self.usage(),
            cpu_seconds=cpu_seconds(),
            plane=plane.stats(),
            flows=plane.flows.stats(),
            switchboard=source.switchboard.stats(),
            accounts=tuple(source.accounts()),
            connections=tuple(row.info() for row in connections),
        )
        return Page(200, CONTENT_TYPE, exposition(scrape))

    def _flowz(self, parameters: _Parameters) -> dict[str, Any]:
        query = FlowzQuery.read(parameters)
        source, flows = self._source, self._source.plane.flows
        return flowz(query, source.stats(), flows.stats(), flows, source.zones())

    def _trace(self, parameters: _Parameters) -> dict[str, Any]:
        subject = parameters.get("subject", "")
        account = parameters.get("acc", "") or DEFAULT_ACCOUNT
        if not subject or not is_literal(subject.encode()):
            raise QueryError(
                f"invalid subject, must be valid publish subject: {subject}; ask /trace?subject=a.b"
            )
        try:
            explanation = self._source.explain(account, subject.encode())
        except KeyError:
            raise QueryError(f"Account {account} does not exist") from None
        cids = explanation.cids()
        names = {row.cid: row.info().name for row in self._source.opened() if row.cid in cids}
        if explanation.peers:
            names |= {route.rid: route.remote_name for route in self._source.routes()}
        return trace(explanation, self._source.stats(), names)

    def _topicsz(self, parameters: _Parameters) -> dict[str, Any]:
        number = queries.limit(parameters)
        now = self._now()
        topics = self._source.topics
        if topics is None:
            topics = self._source.topics = Topics(now, self._stop_counting)
        return topicsz(topics, number, now, self._source.stats())

    def _stop_counting(self) -> None:
        self._source.topics = None


def _parameters(query: str) -> dict[str, str]:
    """Names and values; of a name that is given twice the first counts, as in Go."""
    return dict(reversed(parse_qsl(query, keep_blank_values=True)))


def _json(page: dict[str, Any]) -> Page:
    return Page(200, JSON, indented(page))
