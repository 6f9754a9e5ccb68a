"""The `cluster` block of a configuration, as nats-server's documentation writes it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from broker.blocks import ClusterBlock, TlsBlock
from broker.conf import ConfError, parse
from broker.confread import read, reading
from broker.permissions import Rules


def _nothing(name: str, including: str) -> str:
    raise AssertionError(f"{including} includes {name}")


def said(text: str, variables: Mapping[str, str] | None = None) -> object:
    return read(parse(text, "f", _nothing, variables or {})).get("cluster")


def test_every_key_has_its_field() -> None:
    text = """
        cluster {
          name: C1, listen: "127.0.0.1:6300"
          routes: [ "nats-route://u:pw@10.0.0.1:6222", "nats-route://10.0.0.2:6222" ]
          authorization { user: u, password: pw, timeout: 3 }
          tls { cert_file: c, key_file: k, ca_file: a }
          permissions { import: { allow: "in.>" }, export: { allow: ["out.>"], deny: "out.x" } }
          cluster_advertise: "h:1", no_advertise: true, connect_retries: 20, connect_backoff: true
        }
    """
    assert said(text) == ClusterBlock(
        "C1",
        "127.0.0.1",
        6300,
        ("nats-route://u:pw@10.0.0.1:6222", "nats-route://10.0.0.2:6222"),
        "u",
        "pw",
        3.0,
        Rules((b"in.>",)),
        Rules((b"out.>",), (b"out.x",)),
        TlsBlock("c", "k", ca_file="a"),
        "h:1",
        True,
        20,
        True,
    )


def test_a_port_is_enough() -> None:
    assert ClusterBlock(port=6222) == said("cluster { port: 6222 }")
    assert ClusterBlock(port=-1) == said("cluster { port: -1 }")


def test_a_route_that_stands_twice_is_odd() -> None:
    text = 'cluster { port: 1, routes: ["nats://a:1", "nats://a:1"] }'
    found = reading(parse(text, "f", _nothing, {}))
    assert ClusterBlock(port=1, routes=("nats://a:1",)) == found.fields["cluster"]
    assert ["Duplicate route entry detected"] == [line[-30:] for line in found.warnings]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("cluster: 1", "Expected map to define cluster, got int64"),
        ("cluster { name: x }", "cluster needs a port"),
        ('cluster { port: 1, name: "a b" }', "cluster name cannot contain spaces"),
        ("cluster { port: 1, prot: 2 }", 'unknown field "prot"; did you mean "port"?'),
        ('cluster { port: 1, routes: ["nowhere"] }', "error parsing route url"),
        ("cluster { port: 1, pool_size: 3 }", "one connection carries all accounts"),
        ("cluster { port: 1, compression: s2_fast }", "not compressed"),
        ("cluster { port: 1, authorization { token: t } }", "does not support tokens"),
        ("cluster { port: 1, authorization { users: [] } }", "does not allow multiple users"),
        (
            "cluster { port: 1, permissions { allow_responses: true } }",
            "Cluster permissions do not support dynamic responses",
        ),
    ],
)
def test_what_cannot_be_served_is_told_by_its_place(text: str, problem: str) -> None:
    with pytest.raises(ConfError, match=r"^f:1:") as caught:
        said(text)
    assert problem in str(caught.value)
