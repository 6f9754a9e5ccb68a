"""What the keys of ``leafnodes`` become, and what is refused.

What nats-server says of the same files is asked in test_conffile_alike.
"""

from __future__ import annotations

import pytest

from broker.blocks import LeafBlock, RemoteBlock, RemoteTls, TlsBlock, UserBlock
from broker.conf import ConfError, parse
from broker.config import Options, OptionsError
from broker.confread import read
from tests.broker.test_seeds import PUBLIC, SEED


def no_files(name: str, including: str) -> str:
    raise FileNotFoundError(2, "No such file or directory", name)


def leafnodes(text: str) -> LeafBlock:
    found = read(parse(f"leafnodes {{ {text} }}", "f", no_files, {}))["leafnodes"]
    assert isinstance(found, LeafBlock)
    return found


def remote(text: str) -> RemoteBlock:
    return leafnodes(f"remotes: [ {{ {text} }} ]").remotes[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("port: -1", LeafBlock(port=-1)),
        ("listen: 'localhost:7422'", LeafBlock(host="localhost", port=7422)),
        ("port: 1, compression: off", LeafBlock(port=1)),
        ("port: 1, compression: false", LeafBlock(port=1)),
        ("port: 1, reconnect: 5s, isolate: true", LeafBlock(port=1, reconnect=5.0, isolate=True)),
        ("port: 1, advertise: 'a:1'", LeafBlock(port=1, advertise="a:1")),
        (
            "port: 1, authorization { user: a, pass: b, account: A, timeout: 3 }",
            LeafBlock(port=1, user="a", password="b", account="A", auth_timeout=3.0),
        ),
        ("port: 1, authorization { timeout: 0 }", LeafBlock(port=1)),
        (
            "port: 1, authorization { users: [ {user: a, password: b, account: A}, {user: c} ] }",
            LeafBlock(port=1, users=(UserBlock("a", "b", account="A"), UserBlock("c"))),
        ),
        (
            "port: 1, tls { cert_file: c, key_file: k }",
            LeafBlock(port=1, tls=TlsBlock("c", "k")),
        ),
    ],
)
def test_the_door_for_leaves(text: str, expected: LeafBlock) -> None:
    assert expected == leafnodes(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("url: 'nats://a:1'", RemoteBlock(("nats://a:1",))),
        ("urls: ['nats://a:1', 'b:2']", RemoteBlock(("nats://a:1", "b:2"))),
        ("urls: ['nats://a:1', 'nats://a:1']", RemoteBlock(("nats://a:1",))),
        ("url: a, local: A, hub: true", RemoteBlock(("a",), account="A", hub=True)),
        (f"url: a, seed: {SEED}", RemoteBlock(("a",), nkey=SEED)),
        ("url: a, creds: /c.creds", RemoteBlock(("a",), credentials="/c.creds")),
        (
            "url: a, deny_import: 'a.>', deny_exports: [b, c.*]",
            RemoteBlock(("a",), deny_imports=(b"a.>",), deny_exports=(b"b", b"c.*")),
        ),
        (
            "url: a, no_randomize: true, ignore_discovered_servers: true, disabled: true",
            RemoteBlock(("a",), no_randomize=True, ignore_discovered=True, disabled=True),
        ),
        (
            "url: a, first_info_timeout: 2s, dial_timeout: 500ms",
            RemoteBlock(("a",), first_info_timeout=2.0, dial_timeout=0.5),
        ),
        (
            "url: a, isolate: true, request_isolation: true",
            RemoteBlock(("a",), isolate=True, request_isolation=True),
        ),
        (
            "url: a, tls { ca_file: c, insecure: true, timeout: 3, first: true }",
            RemoteBlock(("a",), tls=RemoteTls(ca_file="c", insecure=True, timeout=3.0, first=True)),
        ),
        (
            "url: a, tls { cert_file: c, key_file: k, min_version: '1.3' }",
            RemoteBlock(("a",), tls=RemoteTls(cert_file="c", key_file="k", min_version="1.3")),
        ),
    ],
)
def test_a_hub(text: str, expected: RemoteBlock) -> None:
    assert expected == remote(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("port: 1, compression: s2_fast", "compression is not there yet"),
        ("port: 1, compression: true", "compression is not there yet"),
        ("port: 1, no_advertise: true", "cannot be served"),
        ("remotes: []", "needs a port, or remotes"),
        ("remotes: [ {url: a, tls { cert_file: c }} ]", "missing 'key_file'"),
        ("remotes: [ {url: a, tls { key_file: c }} ]", "missing 'cert_file'"),
        ("remotes: [ {url: a, tls { verify: true }} ]", "always looked at"),
        ("remotes: [ {url: a, creds: c, nkey: NKEY} ]", "can not have both creds and nkey"),
        ("remotes: [ {url: a, nkey: SUA} ]", "not a valid seed"),
        ("remotes: [ {urls: []} ]", "a remote needs urls"),
        ("remotes: [ {url: a, ur: b} ]", 'did you mean "urls"'),
    ],
)
def test_what_cannot_be_served_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ConfError, match=problem):
        leafnodes(text.replace("NKEY", SEED))


def test_duplicates_are_told_without_secrets() -> None:
    with pytest.raises(ConfError, match="duplicate remote") as caught:
        leafnodes(
            f"remotes: [ {{url: 'nats://u:pass@a', nkey: {SEED}}},"
            f" {{url: 'nats://u:pass@a', nkey: {SEED}, hub: true}} ]"
        )
    assert "pass" not in str(caught.value)
    assert SEED not in str(caught.value)


def test_secrets_are_not_shown() -> None:
    block = leafnodes(
        "port: 1, authorization { user: a, password: secret }, "
        f"remotes: [ {{url: 'nats://u:secret@a', nkey: {SEED}}} ]"
    )
    assert "secret" not in repr(block)
    assert SEED not in repr(block)


@pytest.mark.parametrize(
    "block",
    [
        LeafBlock(),
        LeafBlock(port=70000),
        LeafBlock(port=1, account="NOPE"),
        LeafBlock(port=1, users=(UserBlock("a", account="NOPE"),)),
        LeafBlock(remotes=(RemoteBlock(()),)),
        LeafBlock(remotes=(RemoteBlock(("a",), account="NOPE"),)),
        LeafBlock(remotes=(RemoteBlock(("nats://",)),)),
        LeafBlock(remotes=(RemoteBlock(("a",), deny_imports=(b"a..b",)),)),
    ],
)
def test_options_refuse_leafnodes_that_make_no_sense(block: LeafBlock) -> None:
    with pytest.raises(OptionsError, match="leafnodes"):
        Options(leafnodes=block)


@pytest.mark.parametrize(
    ("library", "block"),
    [
        ("have_bcrypt", LeafBlock(port=1, user="a", password="$2b$04$" + "a" * 53)),
        ("have_ed25519", LeafBlock(port=1, nkey=PUBLIC)),
        ("have_ed25519", LeafBlock(remotes=(RemoteBlock(("a",), nkey=SEED),))),
        ("have_ed25519", LeafBlock(remotes=(RemoteBlock(("a",), credentials="/c"),))),
    ],
)
def test_what_needs_a_library_says_so(
    monkeypatch: pytest.MonkeyPatch, library: str, block: LeafBlock
) -> None:
    assert block == Options(leafnodes=block).leafnodes
    monkeypatch.setattr(f"broker.leafchecks.{library}", lambda: False)
    with pytest.raises(OptionsError, match=r"install reactor-broker\[auth\]"):
        Options(leafnodes=block)
