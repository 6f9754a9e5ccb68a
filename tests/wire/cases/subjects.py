"""Subjects: which are refused, and which subscription hears which message."""

from __future__ import annotations

from tests.wire.case import QUIET, Case, Freedom, talk

LOOSE = b'CONNECT {"verbose":false,"pedantic":false}\r\n'
_INVALID = b"-ERR 'Invalid Subject'\r\n"
_TO_ALL = "subscriptions of one connection are served in no promised order"


def _refused(name: str, subject: bytes) -> Case:
    """SUB says so and stays; nothing is heard on that sid."""
    return talk(
        name,
        LOOSE + b"SUB " + subject + b" 1\r\nPUB " + subject + b" 1\r\nx\r\nPING\r\n",
        _INVALID + b"PONG\r\n",
    )


def _heard(name: str, filter_: bytes, *subjects: bytes) -> Case:
    """A subscription that hears all of these subjects."""
    return _matched(name, filter_, subjects, subjects)


def _unheard(name: str, filter_: bytes, *subjects: bytes) -> Case:
    """A subscription that hears none of these subjects."""
    return _matched(name, filter_, subjects, ())


def _matched(
    name: str, filter_: bytes, subjects: tuple[bytes, ...], heard: tuple[bytes, ...]
) -> Case:
    published = b"".join(b"PUB " + subject + b" 1\r\nx\r\n" for subject in subjects)
    messages = b"".join(b"MSG " + subject + b" 1 1\r\nx\r\n" for subject in heard)
    return talk(
        name,
        LOOSE + b"SUB " + filter_ + b" 1\r\n" + published + b"PING\r\n",
        messages + b"PONG\r\n",
    )


REFUSED: tuple[Case, ...] = (
    _refused("SUB refuses an empty token within", b"a..b"),
    _refused("SUB refuses an empty token in front", b".a"),
    _refused("SUB refuses an empty token at the end", b"a."),
    _refused("SUB refuses a lone dot", b"."),
    _refused("SUB refuses > before the end", b">.a"),
    _refused("SUB refuses > in the middle", b"a.>.b"),
    _refused("SUB refuses two >", b"a.>.>"),
    _refused("SUB refuses an empty token after a wildcard", b"*."),
    _refused("SUB refuses an empty token before >", b"a..>"),
    talk(
        "SUB to a refused subject with a queue says so",
        QUIET + b"SUB a..b q 1\r\nPING\r\n",
        _INVALID + b"PONG\r\n",
    ),
    talk(
        "a refused SUB leaves its sid free",
        QUIET + b"SUB a..b 1\r\nSUB a 1\r\nPUB a 1\r\nx\r\nPING\r\n",
        _INVALID + b"MSG a 1 1\r\nx\r\nPONG\r\n",
    ),
)

MATCHING: tuple[Case, ...] = (
    _heard("a literal hears itself", b"a.b.c", b"a.b.c"),
    _unheard("a literal hears nothing else", b"a.b", b"a", b"a.b.c", b"a.c", b"b.a", b"ab", b"A.b"),
    _heard("* hears any one token", b"*", b"a", b"bcd", "课堂".encode()),
    _unheard("* hears one token only", b"*", b"a.b", b"a.b.c"),
    _heard("* in the middle hears any token there", b"a.*.c", b"a.b.c", b"a.x.c", b"a.abc.c"),
    _unheard("* in the middle needs a token", b"a.*.c", b"a.c", b"a.b.b.c", b"a.b", b"a.b.d"),
    _heard("* in front hears any token there", b"*.b", b"a.b", b"b.b"),
    _heard("several * hear any tokens", b"*.*.*", b"a.b.c", b"x.y.z"),
    _unheard("several * hear so many tokens", b"*.*", b"a", b"a.b.c"),
    _heard("> hears everything", b">", b"a", b"a.b", b"a.b.c.d.e.f.g"),
    _heard("> at the end hears one token and more", b"a.>", b"a.b", b"a.b.c", b"a.b.c.d"),
    _unheard("> at the end needs a token", b"a.>", b"a", b"b.c", b"ab.c"),
    _heard("* and > together", b"*.b.>", b"a.b.c", b"x.b.y.z"),
    _unheard("* and > together need their tokens", b"*.b.>", b"a.b", b"a.c.d", b"b.c"),
    _heard("a * within a token is a letter", b"a*.b", b"a*.b"),
    _unheard("a * within a token is no wildcard", b"a*.b", b"ax.b", b"a.b"),
    _heard("a > within a token is a letter", b"a.>b", b"a.>b"),
    _unheard("a > within a token is no wildcard", b"a.>b", b"a.xb", b"a.b"),
    _heard("two stars are letters", b"**", b"**"),
    _unheard("two stars are no wildcard", b"**", b"ab", b"a"),
    _heard("subjects may be UTF-8", "课堂.*".encode(), "课堂.心跳".encode()),
    _heard("subjects may be of any bytes above 32", b"\xff\x80.!\"#$%&'()", b"\xff\x80.!\"#$%&'()"),
    _heard("a subject may have many tokens", b".".join([b"t"] * 200), b".".join([b"t"] * 200)),
    _heard("a wildcard may stand after many tokens", b"t." * 100 + b">", b"t." * 120 + b"t"),
    talk(
        "all matching subscriptions hear a message once each",
        LOOSE
        + b"SUB a.b 1\r\nSUB *.b 2\r\nSUB a.* 3\r\nSUB *.* 4\r\nSUB a.> 5\r\nSUB > 6\r\n"
        + b"SUB a 7\r\nSUB a.b.c 8\r\nSUB a.b.> 9\r\nPUB a.b 1\r\nx\r\nPING\r\n",
        b"".join(b"MSG a.b %d 1\r\nx\r\n" % sid for sid in range(1, 7)) + b"PONG\r\n",
        freedom=Freedom.ORDER,
        reason=_TO_ALL,
    ),
    talk(
        "of several wildcards each hears its own",
        LOOSE
        + b"SUB *.teacher.heartbeat 1\r\nSUB c1.> 2\r\nPUB c1.teacher.heartbeat 1\r\nx\r\n"
        + b"PUB c2.teacher.heartbeat 1\r\ny\r\nPUB c1.student 1\r\nz\r\nPING\r\n",
        b"MSG c1.teacher.heartbeat 1 1\r\nx\r\nMSG c1.teacher.heartbeat 2 1\r\nx\r\n"
        b"MSG c2.teacher.heartbeat 1 1\r\ny\r\nMSG c1.student 2 1\r\nz\r\nPONG\r\n",
        freedom=Freedom.ORDER,
        reason=_TO_ALL,
    ),
    talk(
        "a subscription that comes later hears a subject that was resolved before",
        LOOSE
        + b"SUB a.* 1\r\nPUB a.b 1\r\nx\r\nSUB a.b 2\r\nUNSUB 1\r\nPUB a.b 1\r\ny\r\nPUB a.c 1\r\n"
        + b"z\r\nPING\r\n",
        b"MSG a.b 1 1\r\nx\r\nMSG a.b 2 1\r\ny\r\nPONG\r\n",
    ),
    talk(
        "a wildcard that comes later hears a subject that nobody heard before",
        LOOSE + b"PUB a.b.c 1\r\nx\r\nSUB a.> 1\r\nPUB a.b.c 1\r\ny\r\nPING\r\n",
        b"MSG a.b.c 1 1\r\ny\r\nPONG\r\n",
    ),
)

PUBLISHED: tuple[Case, ...] = (
    talk(
        "PUB to a wildcard is heard by wildcards, as a literal",
        LOOSE
        + b"SUB a.* 1\r\nSUB a.> 2\r\nSUB a.x 3\r\nPUB a.* 1\r\nx\r\nPUB a.> 1\r\ny\r\nPING\r\n",
        b"MSG a.* 1 1\r\nx\r\nMSG a.* 2 1\r\nx\r\nMSG a.> 1 1\r\ny\r\nMSG a.> 2 1\r\ny\r\nPONG\r\n",
        freedom=Freedom.ORDER,
        reason=_TO_ALL,
    ),
    _unheard(
        "PUB to a subject with an empty token is heard by nobody",
        b">",
        b"a..b",
        b".a",
        b"a.",
        b".",
        b"..",
    ),
    _unheard(
        "PUB to a subject with an empty token is heard by no star", b"*.*", b".a", b"a.", b"."
    ),
    talk(
        "PUB to a subject with an empty token leaves the connection open",
        LOOSE + b"SUB a 1\r\nPUB a..b 1\r\nx\r\nPUB a 1\r\ny\r\nPING\r\n",
        b"MSG a 1 1\r\ny\r\nPONG\r\n",
    ),
)

CASES: tuple[Case, ...] = REFUSED + MATCHING + PUBLISHED
