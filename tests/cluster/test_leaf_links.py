"""Leaf links between whole servers: logins, TLS, what is denied, loops, losses, longer chains.

Every case runs in the pairings of ours and nats-server in which one of ours takes part.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.broker.test_seeds import PUBLIC, SEED, credentials
from tests.support import jwts, tls_files
from tests.support.leafworld import (
    OURS,
    REAL,
    Node,
    joined,
    messages,
    publish,
    received,
    subscribe,
)
from tests.support.raw_client import RawClient

#: Make of the leaf, make of the hub.
PAIRINGS = [(REAL, OURS), (OURS, REAL), (OURS, OURS)]

pytestmark = pytest.mark.parametrize(
    ("leaf_make", "hub_make"),
    PAIRINGS,
    ids=["real-under-ours", "ours-under-real", "ours-under-ours"],
)


@pytest.fixture
def world() -> Iterator[ExitStack]:
    """What is entered here ends with the test."""
    with ExitStack() as stack:
        yield stack


def hub_of(world: ExitStack, make: str, leafnodes: str = "", rest: str = "") -> Node:
    text = f'server_name: HUB\n{rest}\nleafnodes {{ listen: "127.0.0.1:-1"\n {leafnodes} }}'
    return world.enter_context(Node(make, text))


def leaf_of(
    world: ExitStack, make: str, remote: str, rest: str = "", name: str = "LEAF", door: str = ""
) -> Node:
    text = (
        f"server_name: {name}\n{rest}\n"
        f'leafnodes {{ reconnect: "100ms"\n {door}\n remotes: [ {{ {remote} }} ] }}'
    )
    return world.enter_context(Node(make, text))


def url(hub: Node, login: str = "") -> str:
    return f'url: "nats-leaf://{login}127.0.0.1:{hub.leaf_port}"'


def ends(world: ExitStack, *nodes: Node, **connect: str) -> list[RawClient]:
    """A client of each server, all of them joined with the first both ways."""
    clients = [world.enter_context(node.client(**connect)) for node in nodes]
    for client in clients[1:]:
        joined(clients[0], client)
        joined(client, clients[0])
    return clients


def meet(here: RawClient, there: RawClient) -> None:
    """Messages pass both ways."""
    joined(here, there)
    joined(there, here)


# --- logins


def test_one_user(world: ExitStack, leaf_make: str, hub_make: str) -> None:
    hub = hub_of(world, hub_make, "authorization { user: u, password: s3cret }")
    leaf = leaf_of(world, leaf_make, url(hub, "u:s3cret@"))
    meet(*ends(world, hub, leaf))


def test_a_wrong_password_is_refused_and_said(
    world: ExitStack, leaf_make: str, hub_make: str
) -> None:
    hub = hub_of(world, hub_make, "authorization { user: u, password: s3cret }")
    leaf = leaf_of(world, leaf_make, url(hub, "u:wr0ng@"))
    leaf.logged("Authorization Violation")
    hub.logged("authentication error")
    assert not [line for line in [*hub.log, *leaf.log] if "s3cret" in line or "wr0ng" in line]


def test_a_key(world: ExitStack, leaf_make: str, hub_make: str) -> None:
    hub = hub_of(world, hub_make, f"authorization {{ nkey: {PUBLIC} }}")
    leaf = leaf_of(world, leaf_make, f"{url(hub)}, nkey: {SEED}")
    meet(*ends(world, hub, leaf))


def test_whoever_may_be_a_client_may_be_a_leaf(
    world: ExitStack, leaf_make: str, hub_make: str
) -> None:
    hub = hub_of(world, hub_make, rest="authorization { user: ann, password: p }")
    leaf = leaf_of(world, leaf_make, url(hub, "ann:p@"))
    above = world.enter_context(hub.client(user="ann", **{"pass": "p"}))
    below = world.enter_context(leaf.client())
    meet(above, below)


def test_a_token_in_the_url(world: ExitStack, leaf_make: str, hub_make: str) -> None:
    hub = hub_of(world, hub_make, rest="authorization { token: t0ken }")
    leaf = leaf_of(world, leaf_make, url(hub, "t0ken@"))
    above = world.enter_context(hub.client(auth_token="t0ken"))
    below = world.enter_context(leaf.client())
    meet(above, below)


def test_a_bcrypt_hash(world: ExitStack, leaf_make: str, hub_make: str) -> None:
    import bcrypt

    hashed = bcrypt.hashpw(b"s3cret", bcrypt.gensalt(4)).decode()
    hub = hub_of(world, hub_make, f"authorization {{ user: u, password: '{hashed}' }}")
    leaf = leaf_of(world, leaf_make, url(hub, "u:s3cret@"))
    meet(*ends(world, hub, leaf))


def test_a_jwt_and_the_key_of_its_user(
    world: ExitStack, leaf_make: str, hub_make: str, tmp_path: Path
) -> None:
    preload = {jwts.ACCOUNT.key: jwts.account({"limits": {**jwts.UNLIMITED, "leaf": -1}})}
    hub = hub_of(world, hub_make, rest=jwts.configuration(preload))
    token = jwts.ACCOUNT.vouch("user", PUBLIC, {"subs": -1, "data": -1, "payload": -1})
    path = tmp_path / "leaf.creds"
    path.write_text(credentials(token, SEED))
    leaf = leaf_of(world, leaf_make, f"{url(hub)}, credentials: '{path}'")
    above = world.enter_context(RawClient(hub.port))
    above.ask(jwts.hello(jwts.user(), above.info["nonce"]))
    meet(above, world.enter_context(leaf.client()))
    assert not [line for line in [*hub.log, *leaf.log] if SEED in line or token in line]


# --- TLS


def files(folder: Path) -> dict[str, str]:
    """The server's and a client's certificates, and the authority's."""
    block = tls_files.block(folder, verify=True)
    certificate, key = folder / "ann.pem", folder / "ann-key.pem"
    certificate.write_bytes(b"".join(pem.bytes() for pem in tls_files.CLIENT.cert_chain_pems))
    key.write_bytes(tls_files.CLIENT.private_key_pem.bytes())
    return {
        "cert": block.cert_file,
        "key": block.key_file,
        "ca": block.ca_file or "",
        "ann": str(certificate),
        "ann_key": str(key),
    }


TLS_CASES = {
    "upgrade": ("", ""),
    "mutual": ("verify: true, ca_file: '{ca}'", "cert_file: '{ann}', key_file: '{ann_key}'"),
    "first": ("handshake_first: true", "handshake_first: true"),
    "first-or-not": ("handshake_first: '300ms'", ""),
}


@pytest.mark.parametrize("case", TLS_CASES)
def test_tls(world: ExitStack, leaf_make: str, hub_make: str, tmp_path: Path, case: str) -> None:
    paths = files(tmp_path)
    of_hub, of_leaf = (text.format(**paths) for text in TLS_CASES[case])
    hub = hub_of(
        world,
        hub_make,
        f"tls {{ cert_file: '{paths['cert']}', key_file: '{paths['key']}', {of_hub} }}",
    )
    leaf = leaf_of(world, leaf_make, f"{url(hub)}, tls {{ ca_file: '{paths['ca']}', {of_leaf} }}")
    meet(*ends(world, hub, leaf))


def test_pinned_certificates(
    world: ExitStack, leaf_make: str, hub_make: str, tmp_path: Path
) -> None:
    if leaf_make == REAL:
        pytest.skip("nats-server has its pins in leafnodes, not in a remote")
    paths = files(tmp_path)
    public = x509.load_pem_x509_certificate(Path(paths["cert"]).read_bytes()).public_key()
    key = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pin = hashlib.sha256(key).hexdigest()
    hub = hub_of(
        world, hub_make, f"tls {{ cert_file: '{paths['cert']}', key_file: '{paths['key']}' }}"
    )
    trusting = f"{url(hub)}, tls {{ ca_file: '{paths['ca']}', pinned_certs: "
    leaf = leaf_of(world, leaf_make, f"{trusting} ['{pin}'] }}")
    meet(*ends(world, hub, leaf))
    other = leaf_of(world, leaf_make, f"{trusting} ['{'0' * 64}'] }}", name="OTHER")
    other.logged("certificate not pinned")


def test_a_certificate_may_be_the_login(
    world: ExitStack, leaf_make: str, hub_make: str, tmp_path: Path
) -> None:
    paths = files(tmp_path)
    hub = hub_of(
        world,
        hub_make,
        f"""tls {{ cert_file: '{paths["cert"]}', key_file: '{paths["key"]}',
            ca_file: '{paths["ca"]}', verify_and_map: true }}
        authorization {{ users: [ {{user: "ann@school.example", account: A}} ] }}""",
        "accounts { A { users: [{user: a, password: a}] } }",
    )
    leaf = leaf_of(
        world,
        leaf_make,
        f"""{url(hub)}, tls {{ ca_file: '{paths["ca"]}',
            cert_file: '{paths["ann"]}', key_file: '{paths["ann_key"]}' }}""",
    )
    above = world.enter_context(hub.client(user="a", **{"pass": "a"}))
    meet(above, world.enter_context(leaf.client()))


def test_a_hub_that_nobody_vouches_for_is_not_joined(
    world: ExitStack, leaf_make: str, hub_make: str, tmp_path: Path
) -> None:
    paths = files(tmp_path)
    hub = hub_of(
        world, hub_make, f"tls {{ cert_file: '{paths['cert']}', key_file: '{paths['key']}' }}"
    )
    leaf = leaf_of(world, leaf_make, url(hub))
    leaf.logged("TLS")
    hub.logged("handshake error")


# --- what may pass

LIMITED = """
accounts { A { users: [
  {user: all, password: p}
  {user: some, password: p, permissions: {
    publish: { allow: ["up.>", "probe.>"], deny: "up.secret" }
    subscribe: { allow: ["down.>", "probe.>"], deny: "down.secret" }
  }}
] } }
"""


def test_permissions_hold_at_both_ends(world: ExitStack, leaf_make: str, hub_make: str) -> None:
    hub = hub_of(world, hub_make, rest=LIMITED)
    leaf = leaf_of(world, leaf_make, url(hub, "some:p@"))
    above = world.enter_context(hub.client(user="all", **{"pass": "p"}))
    below = world.enter_context(leaf.client())
    for client in (above, below):
        for sid, filter in (("1", "up.*"), ("2", "down.*"), ("3", "other")):
            subscribe(client, filter, sid)
    meet(above, below)
    subjects = ["up.a", "up.secret", "down.a", "down.secret", "other"]
    for here, there, may in ((above, below, b"down.a"), (below, above, b"up.a")):
        for subject in subjects:
            publish(here, subject)
        heard = [frame.split()[1] for frame in messages(there, 1)]
        assert [may] == heard
    # The link has survived.
    meet(above, below)


def test_what_a_leaf_denies_to_come_does_not_come(
    world: ExitStack, leaf_make: str, hub_make: str
) -> None:
    hub = hub_of(world, hub_make)
    leaf = leaf_of(world, leaf_make, f'{url(hub)}, deny_imports: ["no.in", "not.>"]')
    above, below = ends(world, hub, leaf)
    for sid, filter in (("1", "no.*"), ("2", "no.in"), ("3", "no.out"), ("4", "not.x")):
        subscribe(below, filter, sid)
    joined(above, below)
    for subject in ("no.in", "no.out", "not.x"):
        publish(above, subject)
    assert [b"no.out", b"no.out"] == [frame.split()[1] for frame in received(above, below)]


def test_what_a_leaf_denies_to_go_does_not_go(
    world: ExitStack, leaf_make: str, hub_make: str
) -> None:
    hub = hub_of(world, hub_make)
    leaf = leaf_of(world, leaf_make, f'{url(hub)}, deny_exports: ["no.out", "not.>"]')
    above, below = ends(world, hub, leaf)
    for sid, filter in (("1", "no.*"), ("2", "no.in"), ("3", "no.out"), ("4", "not.x")):
        subscribe(above, filter, sid)
    joined(below, above)
    for subject in ("no.in", "no.out", "not.x"):
        publish(below, subject)
    assert [b"no.in", b"no.in"] == [frame.split()[1] for frame in received(below, above)]


# --- who is above


def test_who_dials_may_be_the_hub(world: ExitStack, leaf_make: str, hub_make: str) -> None:
    hub = hub_of(world, hub_make)
    leaf = leaf_of(world, leaf_make, f"{url(hub)}, hub: true")
    above, below = ends(world, hub, leaf)
    subscribe(below, "work", "near", "g")
    subscribe(above, "work", "far", "g")
    meet(above, below)
    own = publish(above, "work")
    assert [b"MSG work far 0\r\n\r\n"] == own
    assert [] == received(above, below)


def test_three_in_a_row(world: ExitStack, leaf_make: str, hub_make: str) -> None:
    hub = hub_of(world, hub_make)
    middle = leaf_of(world, leaf_make, url(hub), name="MIDDLE", door='listen: "127.0.0.1:-1"')
    low = leaf_of(world, hub_make, url(middle), name="LOW")
    top, _, bottom = clients = ends(world, hub, middle, low)
    for client in clients:
        subscribe(client, "all.*")
    for one, other in itertools.permutations(clients, 2):
        joined(one, other)
    for number, client in enumerate(clients):
        own = publish(client, f"all.{number}")
        for other in clients:
            heard = received(client, other) if other is not client else own
            assert [f"MSG all.{number} 1 0\r\n\r\n".encode()] == heard
    subscribe(top, "inbox", "in")
    subscribe(bottom, "service", "s", "workers")
    joined(top, bottom)
    publish(top, "service", "?", "inbox")
    assert [b"MSG service s inbox 1\r\n?\r\n"] == messages(bottom, 1)
    joined(bottom, top)
    publish(bottom, "inbox", "!")
    assert [b"MSG inbox in 1\r\n!\r\n"] == messages(top, 1)


def test_two_leaves_of_one_hub_hear_each_other_once(
    world: ExitStack, leaf_make: str, hub_make: str
) -> None:
    hub = hub_of(world, hub_make)
    one = leaf_of(world, leaf_make, url(hub), name="ONE")
    two = leaf_of(world, OURS if leaf_make == REAL else REAL, url(hub), name="TWO")
    first, _, second = ends(world, one, hub, two)
    for client in (first, second):
        subscribe(client, "chat")
        subscribe(client, "job", "j", "workers")
    meet(first, second)
    for here, there in ((first, second), (second, first)):
        own = publish(here, "chat", "x")
        assert [b"MSG chat 1 1\r\nx\r\n"] == own
        assert [b"MSG chat 1 1\r\nx\r\n"] == received(here, there)
    done = [frame for _ in range(20) for frame in publish(first, "job")]
    assert 20 == len(done + received(first, second))


# --- loops


def test_a_ring_is_found(world: ExitStack, leaf_make: str, hub_make: str) -> None:
    """Two servers, each of which takes the other for its hub."""
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    hub = world.enter_context(
        Node(
            hub_make,
            f'server_name: HUB\nleafnodes {{ listen: "127.0.0.1:-1", reconnect: "100ms"\n'
            f'remotes: [ {{ url: "nats-leaf://127.0.0.1:{port}" }} ] }}',
        )
    )
    leaf = leaf_of(world, leaf_make, url(hub), door=f'listen: "127.0.0.1:{port}"')
    ours = hub if hub_make == OURS else leaf
    ours.logged("Loop detected for leafnode account=")


def test_a_server_that_dials_itself_gives_up(
    world: ExitStack, leaf_make: str, hub_make: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    make = OURS if hub_make == OURS else leaf_make
    node = world.enter_context(
        Node(
            make,
            f'server_name: SELF\nleafnodes {{ listen: "127.0.0.1:{port}"\n'
            f'remotes: [ {{ url: "nats-leaf://127.0.0.1:{port}" }} ] }}',
        )
    )
    node.logged("remote leafnode has same cluster name")
    with node.client() as client:
        subscribe(client, "once")
        assert [b"MSG once 1 1\r\nx\r\n"] == publish(client, "once", "x")


# --- losses


def test_a_hub_that_comes_back_is_found_again(
    world: ExitStack, leaf_make: str, hub_make: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    hub = world.enter_context(
        Node(hub_make, f'server_name: HUB\nleafnodes {{ listen: "127.0.0.1:{port}" }}')
    )
    leaf = leaf_of(world, leaf_make, url(hub))
    _, below = ends(world, hub, leaf)
    subscribe(below, "news.*")
    hub.kill()
    leaf.logged("Error trying to connect as leafnode")
    hub.start()
    above = world.enter_context(hub.client())
    joined(above, below)
    publish(above, "news.a", "x")
    assert [b"MSG news.a 1 1\r\nx\r\n"] == received(above, below)


def test_a_leaf_that_goes_takes_its_interest_along(
    world: ExitStack, leaf_make: str, hub_make: str
) -> None:
    hub = hub_of(world, hub_make)
    leaf = leaf_of(world, leaf_make, url(hub))
    above, below = ends(world, hub, leaf)
    subscribe(above, "inbox", "in")
    subscribe(below, "service")
    joined(above, below)
    leaf.kill()
    answers = (publish(above, "service", "?", "inbox") for _ in range(10_000))
    assert any(b"503" in answer[0] for answer in answers if answer)


# --- accounts


SHARED = """
accounts {
  S { users: [{user: s, password: s}], exports: [{service: "svc.>"}, {stream: "news.>"}] }
  U { users: [{user: u, password: u}], imports: [
    {service: {account: S, subject: "svc.add"}, to: "add"}
    {stream: {account: S, subject: "news.>"}, prefix: "of.s"}
  ] }
}
mappings { "old.>": "new.>" }
"""


def test_imports_work_across_a_link(world: ExitStack, leaf_make: str, hub_make: str) -> None:
    """The leaf is joined to the account that imports; who exports is above."""
    hub = hub_of(
        world,
        hub_make,
        "authorization { user: u, password: p, account: U }",
        SHARED,
    )
    leaf = leaf_of(world, leaf_make, url(hub, "u:p@"))
    service = world.enter_context(hub.client(user="s", **{"pass": "s"}))
    below = world.enter_context(leaf.client())
    above = world.enter_context(hub.client(user="u", **{"pass": "u"}))
    subscribe(service, "svc.add", "s")
    subscribe(below, "inbox.*", "in")
    subscribe(below, "of.s.news.*", "n")
    meet(above, below)
    publish(below, "add", "1+1", "inbox.1")
    request = messages(service, 1)[0].split(b"\r\n")[0].split()
    assert (b"svc.add", b"s") == (request[1], request[2])
    publish(service, request[3].decode(), "2")
    answer = messages(below, 1)[0]
    assert answer.startswith(b"MSG inbox.1 in 1\r\n2")
    publish(service, "news.a", "x")
    assert [b"MSG of.s.news.a n 1\r\nx\r\n"] == messages(below, 1)


# --- what is shown


def page(node: Node, path: str) -> dict[str, Any]:
    line = node.logged("monitor on ")
    with urllib.request.urlopen(f"http://{line.rpartition(' ')[2]}/{path}") as answer:
        shown: dict[str, Any] = json.load(answer)
    return shown


def test_leafz_shows_the_link_at_both_ends(world: ExitStack, leaf_make: str, hub_make: str) -> None:
    hub = hub_of(world, hub_make, rest="http: '127.0.0.1:-1'")
    leaf = leaf_of(world, leaf_make, url(hub), "http: '127.0.0.1:-1'")
    above, below = ends(world, hub, leaf)
    subscribe(below, "from.below")
    joined(above, below)
    publish(above, "from.below", "12345")
    received(above, below)
    for node, name, spoke in ((hub, "LEAF", False), (leaf, "HUB", True)):
        shown = page(node, "leafz?subs=1")
        assert 1 == shown["leafnodes"]
        link = shown["leafs"][0]
        assert (name, "$G", "127.0.0.1", spoke) == (
            link["name"],
            link["account"],
            link["ip"],
            link["is_spoke"],
        )
        assert link["subscriptions"] == len(link["subscriptions_list"])
        assert 1 == page(node, "varz")["leafnodes"]
    assert "from.below" in page(hub, "leafz?subs=1")["leafs"][0]["subscriptions_list"]
    assert [] == page(hub, "leafz?acc=nobody")["leafs"]
    remotes = page(leaf, "varz")["leaf"]["remotes"]
    assert [f"127.0.0.1:{hub.leaf_port}"] == [one.rpartition("/")[2] for one in remotes[0]["urls"]]
