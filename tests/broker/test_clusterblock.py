"""A cluster's settings: URLs, what cannot be, and what flags change."""

from __future__ import annotations

import pytest

from broker.blocks import ClusterBlock, TlsBlock
from broker.clusterblock import ClusterFlags, RouteUrl, problem_of, with_flags
from broker.config import Options, OptionsError
from broker.permissions import Rules


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("nats-route://10.0.0.1:6300", RouteUrl("10.0.0.1", 6300)),
        ("nats://host", RouteUrl("host", 6222)),
        (" nats-route://u:p%40w@h:1/ ", RouteUrl("h", 1, "u", "p@w")),
        ("nats-route://[::1]:7", RouteUrl("::1", 7)),
    ],
)
def test_a_route_is_a_url(url: str, expected: RouteUrl) -> None:
    assert expected == RouteUrl.read(url)


@pytest.mark.parametrize("url", ["", "host:6222", "nats-route://", "nats-route://h:port", "//h:1"])
def test_what_is_no_route_is_told_how_to_be_one(url: str) -> None:
    with pytest.raises(ValueError, match="nats-route://host:port"):
        RouteUrl.read(url)


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        (ClusterBlock("a b"), "cluster name cannot contain spaces"),
        (ClusterBlock("_"), 'cluster name cannot be "_"'),
        (ClusterBlock(routes=("x",)), "error parsing route url ['x']"),
        (ClusterBlock(auth_timeout=0), "auth_timeout must be more than 0"),
        (ClusterBlock(user="u"), "a user and a password go together"),
        (ClusterBlock(imports=Rules((b"a..b",))), "cluster import: "),
        (ClusterBlock(exports=Rules(None, (b"",))), "cluster export: "),
        (ClusterBlock(routes=("nats://h:0",)), "nobody is at port 0"),
        (ClusterBlock(tls=TlsBlock("c", "k", first=True)), "handshake_first is for clients"),
        (ClusterBlock(tls=TlsBlock("c", "k", verify_and_map=True)), "verify_and_map is for"),
        (ClusterBlock(port=70_000), "give a port from 1 to"),
    ],
)
def test_what_cannot_be_is_refused_by_name(block: ClusterBlock, problem: str) -> None:
    with pytest.raises(OptionsError, match="cluster") as caught:
        Options(cluster=block)
    assert problem in str(caught.value)


def test_no_password_is_shown() -> None:
    block = ClusterBlock(routes=("nats-route://u:secret@h:x",), user="u", password="secret")
    assert "secret" not in repr(block) + repr(RouteUrl("h", 1, "u", "secret")) + problem_of(block)


def test_flags_prevail_over_a_file() -> None:
    file = ClusterBlock("C", "10.0.0.1", 1, ("nats://a:1",), user="u", password="pw")
    flags = ClusterFlags(RouteUrl("10.0.0.2", 2), routes=("nats://b:2",), no_advertise=True)
    expected = ClusterBlock("C", "10.0.0.2", 2, ("nats://b:2",), no_advertise=True)
    assert {"port": 4, "cluster": expected} == with_flags(
        {"cluster": file}, {"port": 4, "cluster": flags}
    )
    assert {"cluster": file} == with_flags({"cluster": file}, {})


def test_routes_need_a_place_where_others_can_connect() -> None:
    with pytest.raises(ValueError, match="Solicited routes require cluster capabilities"):
        with_flags({}, {"cluster": ClusterFlags(routes=("nats://a:1",))})
    assert {"cluster": None} == with_flags({}, {"cluster": ClusterFlags(name="C")})
