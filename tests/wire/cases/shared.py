"""Conversations between users of several accounts; the words stand in `*.txt` beside this file.

`PERMISSIONS` is one account whose users may do different things; `SHARED` are accounts that export
to one another; `MAPPINGS` is an account that renames.
"""

from __future__ import annotations

from pathlib import Path

from broker.blocks import AccountBlock, Export, Import, MappingBlock, Target, UserBlock
from broker.permissions import Permissions, Responses, Rules
from tests.wire.transcripts import Transcript, read


def _user(name: str, permissions: Permissions | None = None) -> UserBlock:
    """A user whose password is its name."""
    return UserBlock(name, name, permissions=permissions)


_A_SHARED = (
    Export(b"pub.>", service=False),
    Export(b"star.*.*", service=False),
    Export(b"private", service=False, accounts=("C",)),
    Export(b"req", service=True),
    Export(b"many", service=True, response="stream"),
    Export(b"w.*.*", service=True),
    Export(b"up.>", service=True),
    Export(b"m1", service=True),
)

PERMISSIONS = (
    AccountBlock(
        "A",
        users=(
            _user("free"),
            _user("pub", Permissions(Rules((b"ok", b"in.*", b"deep.>")))),
            _user("nopub", Permissions(Rules(None, (b"no", b"no.>")))),
            _user("both", Permissions(Rules((b"s.*",), (b"s.no",)))),
            _user("sub", Permissions(subscribe=Rules((b"s.*", b"_I.>")))),
            _user("nosub", Permissions(subscribe=Rules(None, (b"s.*", b"no")))),
            _user("mix", Permissions(subscribe=Rules((b"s.*",), (b"s.no",)))),
            _user(
                "group",
                Permissions(subscribe=Rules((b"q.> g", b"r.*", b"r.* rg", b"w v.*"))),
            ),
            _user("nogroup", Permissions(subscribe=Rules(None, (b"s.x bad",)))),
            _user("all", Permissions(Rules((b"bar",), (b">",)), Rules((b"foo",), (b">",)))),
            _user("answer", Permissions(responses=Responses(2, 60.0))),
            _user("fixed", Permissions(Rules((b"fix",)), Rules(), Responses(1, 60.0))),
            _user(
                "denied",
                Permissions(Rules(None, (b"no",)), Rules(), Responses(1, 60.0)),
            ),
            _user("ever", Permissions(responses=Responses(-1, 60.0))),
        ),
    ),
)

SHARED = (
    AccountBlock(
        "A",
        users=(
            _user("ann"),
            _user("al"),
            _user("resp", Permissions(responses=Responses(1, 60.0))),
        ),
        exports=_A_SHARED,
        mappings=(MappingBlock(b"m1", (Target(b"m2"),)),),
    ),
    AccountBlock(
        "B",
        users=(
            _user("bob"),
            _user("few", Permissions(Rules((b"my.req",)))),
            _user("deaf", Permissions(subscribe=Rules(None, (b"from.a.pub.no",)))),
        ),
        exports=(Export(b"from.a.>", service=False), Export(b"my.req", service=True)),
        imports=(
            Import("A", b"pub.>", service=False, prefix=b"from.a"),
            Import("A", b"star.*.*", service=False, to=b"seen.$2.$1"),
            Import("A", b"req", service=True, to=b"my.req"),
            Import("A", b"many", service=True),
            Import("A", b"w.*.*", service=True, to=b"v.$2.$1"),
            Import("A", b"up.>", service=True),
            Import("A", b"m1", service=True),
        ),
        mappings=(MappingBlock(b"lm", (Target(b"my.req"),)),),
    ),
    AccountBlock(
        "C",
        users=(_user("cid"),),
        imports=(
            Import("B", b"from.a.>", service=False),
            Import("A", b"private", service=False),
            Import("B", b"my.req", service=True, to=b"c.req"),
        ),
    ),
    AccountBlock("D", users=(_user("dan"),)),
)

MAPPINGS = (
    AccountBlock(
        "A",
        users=(
            _user("ann"),
            _user("target", Permissions(Rules((b"mapped",)))),
            _user("origin", Permissions(Rules((b"mp",)))),
        ),
        mappings=tuple(
            MappingBlock(source, (Target(target, 0 if target == source else 100),))
            for source, target in (
                (b"mp", b"mapped"),
                (b"mapped", b"again"),
                (b"swap.*.*", b"swapped.$2.$1"),
                (b"wild.*.*", b"wild.{{wildcard(2)}}.{{wildcard(1)}}"),
                (b"tail.*.>", b"{{wildcard(1)}}.tail.>"),
                (b"p.*", b"pp.{{partition(3,1)}}.$1"),
                (b"p2.*.*", b"pp2.{{partition(5,1,2)}}.$1.$2"),
                (b"pw.*", b"ppw.{{partition(4)}}"),
                (b"split.*", b"cut.{{split(1,-)}}"),
                (b"sfl.*", b"cut.{{SplitFromLeft(1,2)}}"),
                (b"sfr.*", b"cut.{{splitfromright(1,2)}}"),
                (b"slfl.*", b"cut.{{sliceFromLeft(1,3)}}"),
                (b"slfr.*", b"cut.{{slicefromright(1,3)}}"),
                (b"left.*", b"cut.{{left(1,2)}}"),
                (b"right.*", b"cut.{{right(1,2)}}"),
                (b"drop.*", b"dropped"),
                (b"gone", b"gone"),
            )
        ),
    ),
)

_FILES = (("permissions", PERMISSIONS), ("shared", SHARED), ("mappings", MAPPINGS))

TRANSCRIPTS: tuple[Transcript, ...] = tuple(
    transcript
    for name, accounts in _FILES
    for transcript in read(Path(__file__).with_name(f"{name}.txt"), accounts)
)
