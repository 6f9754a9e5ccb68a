"""The monitor's pages: which there are, and what each is made from.

The idea: a table from path to method. A method reads the query, asks the server for snapshots, and
has a pure function (`broker.varz`, `broker.connz` and their like) make the page of them; so nothing
here knows HTTP but status and content type, and nothing there knows the server.

``/routez``, ``/leafz``, ``/gatewayz`` and ``/jsz`` tell, as nats-server does where it has none,
that there are no routes, leaf nodes, gateways and streams: tools read them without asking first.

Invariants: a page is made within one call on the loop's thread, so it shows one moment; a mistake
of the visitor is answered by 400 with nats-server's words, a mistake of ours by 500 and a log
entry. With a base path, nothing is served outside it.

Neighbours: `broker.monitor` speaks HTTP and calls `Pages.answer`; `broker.server` is the `Source`.
Loop thread only.
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
from broker.config import Options
from broker.connz import ConnzQuery, Row, connz
from broker.logs import logger
from broker.plane import DataPlane
from broker.queries import QueryError
from broker.snapshots import AccountInfo, BrokerStats
from broker.subsz import Routing, SubszQuery, subsz
from broker.switchboard import Switchboard
from broker.usage import CpuMeter, resident_bytes
from broker.varz import ProcessUsage, gatewayz, healthz, jsz, leafz, routez, varz

__all__ = ["HTML", "JSON", "TEXT", "Page", "Pages", "Source", "base_path"]

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"

_Parameters = Mapping[str, str]

#: Title and path of what the first page links to.
_LINKS = (
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

#: Switches of /healthz. Whatever they are set to, there is no stream that could be ill.
_HEALTH_SWITCHES = ("js-enabled", "js-enabled-only", "js-server-only", "js-meta-only", "details")


class Source(Protocol):
    """What the pages show: the server, as far as they need it."""

    options: Options
    plane: DataPlane
    switchboard: Switchboard

    def stats(self) -> BrokerStats:
        """The whole broker in numbers."""

    def opened(self) -> Iterable[Row]:
        """The open connections."""

    def closed(self) -> Iterable[Row]:
        """Records of connections that ended, the oldest first; a bounded number of them."""

    def accounts(self) -> Iterable[AccountInfo]:
        """All accounts, those without connections included."""

    def zones(self) -> Mapping[int, str]:
        """The account of each zone."""


class Page:
    """One answer before it becomes HTTP: status, content type, body."""

    __slots__ = ("body", "content_type", "status")

    def __init__(self, status: int, content_type: str, body: str) -> None:
        self.status = status
        self.content_type = content_type
        self.body = body.encode("utf-8", "replace")


def base_path(text: str) -> str:
    """The configured ``http_base_path`` as paths begin with it: empty, or ``/mon``."""
    return "".join(f"/{part}" for part in text.split("/") if part)


class Pages:
    """All pages of one monitor. Loop thread only."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._base = base_path(source.options.http_base_path)
        self._requests: Counter[str] = Counter()
        self._cpu = CpuMeter()
        self._table: dict[str, Callable[[_Parameters], Page]] = {
            "/": self._index,
            "/varz": self._varz,
            "/connz": self._connz,
            "/accountz": self._accountz,
            "/accstatz": self._accstatz,
            "/subsz": self._subsz,
            "/subscriptionsz": self._subsz,
            "/routez": self._routez,
            "/leafz": self._leafz,
            "/gatewayz": self._gatewayz,
            "/jsz": self._jsz,
            "/healthz": self._healthz,
        }

    def answer(self, target: str) -> Page:
        """The answer to a request for a path with an optional query string."""
        path, _, query = target.partition("?")
        name = self._name(path)
        make = self._table.get(name)
        if make is None:
            return Page(404, TEXT, "404 page not found\n")
        self._requests[name] += 1
        try:
            return make(_parameters(query))
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

    def _varz(self, parameters: _Parameters) -> Page:
        source = self._source
        return _json(varz(source.stats(), source.options, self._requests, self._usage()))

    def _connz(self, parameters: _Parameters) -> Page:
        query = ConnzQuery.read(parameters)
        source = self._source
        return _json(connz(query, source.stats(), source.opened(), source.closed()))

    def _accountz(self, parameters: _Parameters) -> Page:
        source = self._source
        system = source.options.system_account
        account = parameters.get("acc", "")
        return _json(accountz(account, source.stats(), source.accounts(), system))

    def _accstatz(self, parameters: _Parameters) -> Page:
        unused = queries.boolean(parameters, "unused")
        return _json(accstatz(unused, self._source.stats(), self._source.accounts()))

    def _subsz(self, parameters: _Parameters) -> Page:
        query = SubszQuery.read(parameters)
        source, plane = self._source, self._source.plane
        routing = Routing(source.switchboard.stats(), plane.stats(), plane.flows, source.zones())
        return _json(subsz(query, source.stats(), routing, source.opened()))

    def _routez(self, parameters: _Parameters) -> Page:
        if parameters.get("subs", "").lower() != "detail":
            queries.boolean(parameters, "subs")
        return _json(routez(self._source.stats()))

    def _leafz(self, parameters: _Parameters) -> Page:
        queries.boolean(parameters, "subs")
        return _json(leafz(self._source.stats()))

    def _gatewayz(self, parameters: _Parameters) -> Page:
        queries.boolean(parameters, "accs")
        return _json(gatewayz(self._source.stats()))

    def _jsz(self, parameters: _Parameters) -> Page:
        return _json(jsz(self._source.stats()))

    def _healthz(self, parameters: _Parameters) -> Page:
        for switch in _HEALTH_SWITCHES:
            queries.boolean(parameters, switch)
        return Page(200, JSON, json.dumps(healthz(), separators=(",", ":")))

    def _usage(self) -> ProcessUsage:
        return ProcessUsage(resident_bytes(), self._cpu.percent(), os.cpu_count() or 1)


def _parameters(query: str) -> dict[str, str]:
    """Names and values; of a name that is given twice the first counts, as in Go."""
    return dict(reversed(parse_qsl(query, keep_blank_values=True)))


def _json(page: dict[str, Any]) -> Page:
    return Page(200, JSON, json.dumps(page, indent=2, ensure_ascii=False))
