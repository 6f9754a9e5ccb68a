"""The monitor's ``/accountz`` and ``/accstatz``: which accounts there are, what each shares with
the others, and its share of the traffic.

The fields, their names and their order are nats-server 2.15's. What we have not (JetStream, JWT
claims of accounts) is zero or absent, as there; so are the imports that nats-server
gives every account for its own system services.

In ``/accstatz`` *sent* is what the broker sent to clients of the account, *received* what came from
them.

Neighbours: `broker.monitorpages` and `broker.events` call these with the server's records.
No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from broker.blocks import SYSTEM_ACCOUNT, Export, Import, MappingBlock, Target
from broker.gotime import timestamp
from broker.queries import QueryError
from broker.snapshots import AccountInfo, BrokerStats

__all__ = ["account_stat", "accountz", "accstatz"]

_RESPONSES = {"single": "Singleton", "stream": "Stream", "chunked": "Chunked"}


def accountz(
    account: str, stats: BrokerStats, infos: Iterable[AccountInfo], system: str | None
) -> dict[str, Any]:
    """The names of all accounts, or one in detail unless ``account`` is empty. O(accounts).

    Raises:
        QueryError: there is no such account.
    """
    page: dict[str, Any] = {
        "server_id": stats.server_id,
        "now": timestamp(stats.now),
        "system_account": system or SYSTEM_ACCOUNT,
    }
    known = {info.name: info for info in infos}
    if not account:
        return page | {"accounts": list(known)}
    if account not in known:
        raise QueryError(f"Account {account} does not exist")
    return page | {"account_detail": _detail(known[account], stats, page["system_account"])}


def _detail(info: AccountInfo, stats: BrokerStats, system: str) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "account_name": info.name,
        # Accounts are made when the configuration is read, which so far is when we start.
        "update_time": timestamp(stats.start),
        "is_system": info.name == system,
        "expired": False,
        "complete": True,
        "jetstream_enabled": False,
        "leafnode_connections": info.leafnodes,
        "client_connections": info.connections,
        "subscriptions": info.subscriptions,
        "mappings": {_text(block.source): _targets(block) for block in info.mappings},
        "exports": [_export(export) for export in info.exports],
        "imports": [_import(imported) for imported in info.imports],
        "name_tag": info.title or info.name,
    }
    for name in ("is_system", "mappings", "exports", "imports"):
        if not fields[name]:
            del fields[name]
    return fields


def _targets(block: MappingBlock) -> list[dict[str, Any]]:
    """Where a mapping leads; what the weights leave stays where it was."""
    targets = list(block.targets)
    left = 100 - sum(target.weight for target in targets)
    if left > 0:
        targets.append(Target(block.source, left))
    return [{"subject": _text(target.subject), "weight": target.weight} for target in targets]


def _export(export: Export) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "subject": _text(export.subject),
        "type": "service" if export.service else "stream",
    }
    if export.token:
        fields["token_req"] = True
    if export.service:
        fields["response_type"] = _RESPONSES.get(export.response, export.response)
    if export.position:
        fields["account_token_position"] = export.position
    if export.accounts:
        fields["approved_accounts"] = list(export.accounts)
    return fields


def _import(imported: Import) -> dict[str, Any]:
    local = _text(imported.to or imported.subject)
    if imported.prefix:
        local = _text(imported.prefix) + "." + _text(imported.subject)
    fields: dict[str, Any] = {"subject": _text(imported.subject), "account": imported.account}
    if imported.service:
        fields["to"] = local
    return fields | {
        "local_subject": local,
        "type": "service" if imported.service else "stream",
        "invalid": False,
        "share": imported.share,
        "tracking": False,
    }


def _text(subject: bytes) -> str:
    return subject.decode("utf-8", "replace")


def accstatz(unused: bool, stats: BrokerStats, infos: Iterable[AccountInfo]) -> dict[str, Any]:
    """The traffic of each account; of idle ones only if ``unused``. O(accounts)."""
    return {
        "server_id": stats.server_id,
        "now": timestamp(stats.now),
        "account_statz": [
            account_stat(info) for info in infos if unused or info.connections or info.leafnodes
        ],
    }


def account_stat(info: AccountInfo) -> dict[str, Any]:
    """One account's traffic: a row of the page, and what the system account is told."""
    return {
        "acc": info.name,
        "name": info.title or info.name,
        "conns": info.connections,
        "leafnodes": info.leafnodes,
        # Those of the moment: clients and leaf nodes together.
        "total_conns": info.connections + info.leafnodes,
        "num_subscriptions": info.subscriptions,
        "sent": _traffic(info.out_msgs, info.out_bytes),
        "received": _traffic(info.in_msgs, info.in_bytes),
        "slow_consumers": info.slow_consumers,
    }


def _traffic(messages: int, size: int) -> dict[str, Any]:
    nobody = {"msgs": 0, "bytes": 0}
    return {"msgs": messages, "bytes": size, "gateways": nobody, "routes": nobody, "leafs": nobody}
