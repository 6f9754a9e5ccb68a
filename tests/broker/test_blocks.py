"""The records of the configuration and of authentication: values, and discreet ones."""

from __future__ import annotations

from broker.blocks import AccountBlock, Export, MappingBlock, Target, UserBlock
from broker.config import Options
from broker.handshake import ConnectOptions
from broker.identity import Credentials
from broker.permissions import FREE, Permissions, Rules


def test_equal_blocks_are_one_value() -> None:
    def make() -> AccountBlock:
        rules = Rules(allow=(b"a.>",), deny=(b"a.b",))
        user = UserBlock("ann", "s3cret", permissions=Permissions(publish=rules), account="A")
        mapping = MappingBlock(b"a", (Target(b"b", 10),))
        return AccountBlock("A", (user,), (Export(b"s", service=True),), mappings=(mapping,))

    assert 1 == len({make(), make()})


def test_free_permissions_restrict_nothing() -> None:
    assert FREE == Permissions(Rules(None, ()), Rules(None, ()), None)


def test_a_password_is_not_shown_by_whatever_holds_its_user() -> None:
    user, bob = UserBlock("ann", "s3cret"), UserBlock("bob", "s3cret")
    options = Options(users=(user,), accounts=(AccountBlock("A", (bob,)),))
    assert "s3cret" not in repr(options)
    assert "'ann'" in repr(options)


def test_credentials_do_not_show_what_connect_said() -> None:
    connect = ConnectOptions(user="ann", password="s3cret", auth_token="t0ken", jwt="j.w.t")
    shown = repr(Credentials(connect, ip="127.0.0.1"))
    assert [] == [secret for secret in ("s3cret", "t0ken", "j.w.t") if secret in shown]
    assert "127.0.0.1" in shown
