"""The ``cluster`` block of a configuration.

Neighbours: `broker.confread` reads this block with it; `broker.clusterblock` judges what comes out.
Pure. Source: ``parseCluster`` in ``server/opts.go`` of nats-server.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from broker.blocks import ClusterBlock, TlsBlock
from broker.clusterblock import problem_of
from broker.conf import Node
from broker.confusers import permissions
from broker.confvalues import Walk, go_type, number_of_seconds, texts
from broker.permissions import Rules

__all__ = ["cluster"]


def cluster(walk: Walk, node: Node, tls: Callable[[Walk, Node], TlsBlock]) -> ClusterBlock | None:
    """A ``cluster`` block; ``tls`` reads a block of that name.

    Raises:
        ConfError: something is wrong with it as a whole.
    """
    readers = {
        "routes": lambda value: _routes(walk, value),
        "authorization": lambda value: _authorization(walk, value),
        "tls": lambda value: tls(walk, value),
        "permissions": lambda value: _permissions(walk, value),
    }
    noted = len(walk.errors)
    wanted = f"Expected map to define cluster, got {go_type(node)}"
    fields = walk.block(node, "cluster", readers, wanted)
    if len(walk.errors) > noted:
        return None
    if "port" not in fields:
        raise node.wrong("cluster needs a port, or nobody finds it; 6222 is the usual one")
    block = ClusterBlock(**{name: value for name, value in fields.items() if value is not None})
    problem = problem_of(block)
    if problem:
        raise node.wrong(problem)
    return block


def _routes(walk: Walk, node: Node) -> tuple[str, ...]:
    """Each once, in the order of the file."""
    found = texts(node, "error parsing routes: ")
    seen: dict[str, None] = {}
    for url in found:
        if url in seen:
            walk.warn(node, f'invalid use of field "{url}": Duplicate route entry detected')
        seen[url] = None
    return tuple(seen)


def _authorization(walk: Walk, node: Node) -> tuple[Any, Any, Any]:
    timeout = "error parsing authorization config, 'timeout' "
    readers = {"timeout": lambda value: number_of_seconds(value, timeout)}
    fields = walk.block(node, "cluster authorization", readers)
    return fields.get("user"), fields.get("password"), fields.get("auth_timeout")


def _permissions(walk: Walk, node: Node) -> tuple[Rules, Rules]:
    read = permissions(walk, node)
    if read.responses is not None:
        raise node.wrong("Cluster permissions do not support dynamic responses")
    return read.publish, read.subscribe
