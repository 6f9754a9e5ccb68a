"""How subjects are rewritten; the transcripts of the wire suite hold the functions against
nats-server.
"""

from __future__ import annotations

from random import Random

import pytest

from broker.blocks import MappingBlock, Target
from broker.transform import Mapper, compile, fnv1a, numbered, reversed_import


@pytest.mark.parametrize(
    ("data", "expected"), [(b"", 0x811C9DC5), (b"a", 0xE40C292C), (b"foobar", 0xBF9CF968)]
)
def test_the_hash_has_the_values_that_its_authors_publish(data: bytes, expected: int) -> None:
    assert expected == fnv1a(data)


@pytest.mark.parametrize(
    ("source", "destination", "subject", "expected"),
    [
        (b"a", b"b", b"a", b"b"),
        (b"a.*.*", b"b.$2.$1", b"a.x.y", b"b.y.x"),
        (b"a.*.*", b"b.{{wildcard(2)}}.$2", b"a.x.y", b"b.y.y"),
        (b"a.>", b"b.c.>", b"a.x.y", b"b.c.x.y"),
        (b">", b"b.>", b"x.y", b"b.x.y"),
        (b"*.>", b"$1.$1.>", b"x.y.z", b"x.x.y.z"),
        (b"a.*", b"$x.$1", b"a.*", b"$x.*"),
        (b"p.*", b"p.{{partition(3,1)}}", b"p.foo", b"p.%d" % (fnv1a(b"foo") % 3)),
        (b"p.*", b"p.{{partition(3)}}", b"p.foo", b"p.%d" % (fnv1a(b"p.foo") % 3)),
        (b"p.*", b"p.{{partition(0,1)}}", b"p.foo", b"p.0"),
        (b"a.*", b"{{ Split( 1 , - ) }}", b"a.-x--y-", b"x.y"),
        (b"a.*", b"{{SliceFromLeft(1, 2)}}", b"a.12345", b"12.34.5"),
        (b"a.*", b"{{SliceFromRight(1, 2)}}", b"a.12345", b"1.23.45"),
        (b"a.*", b"{{random(1)}}.$1", b"a.x", b"0.x"),
    ],
)
def test_a_subject_that_fits_the_source_becomes_the_destination(
    source: bytes, destination: bytes, subject: bytes, expected: bytes
) -> None:
    assert expected == compile(source, destination).apply(subject, Random(1))


@pytest.mark.parametrize(
    ("source", "destination", "what"),
    [
        (b"a..b", b"c", "invalid subject"),
        (b"a", b"b.*", "invalid subject"),
        (b"a.>", b"b", "invalid subject"),
        (b"a", b"b.>", "invalid subject"),
        (b"a", b"b.$1", r"wildcard index out of range in \$1"),
        (b"a.*", b"b.{{wildcard(2)}}", "wildcard index out of range"),
        (b"a.*", b"b.{{wildcard()}}", "not enough arguments"),
        (b"a.*", b"b.{{wildcard(1,1)}}", "too many arguments"),
        (b"a.*", b"b.{{wildcard(x)}}", "argument is invalid or in the wrong format"),
        (b"a.*", b"b.{{split(1, )}}", "argument is invalid or in the wrong format"),
        (b"a.*", b"b.{{nothing(1)}}", "unknown function"),
        (b"a.*", b"b.{{nothing}}", "unknown function"),
        (b"a.*", b"b.{{partition(99999999999,1)}}", "argument is invalid"),
    ],
)
def test_what_cannot_be_rewritten_is_refused_in_words(
    source: bytes, destination: bytes, what: str
) -> None:
    with pytest.raises(ValueError, match=what):
        compile(source, destination)


def test_the_first_mapping_that_matches_is_applied_and_only_that() -> None:
    mapper = Mapper(
        MappingBlock(source, (Target(target),))
        for source, target in ((b"a.*", b"b"), (b"a.b", b"c"), (b"b", b"d"))
    )
    assert [b"b", b"b", b"d", b"x"] == [
        mapper.map(subject, Random(1)) for subject in (b"a.b", b"a.x", b"b", b"x")
    ]
    assert (b"a.*", b"a.b", b"b") == mapper.sources


def shares(*targets: Target) -> dict[bytes, float]:
    mapper, rng = Mapper([MappingBlock(b"a.*", targets)]), Random(7)
    drawn = [mapper.map(b"a.x", rng) for _ in range(4000)]
    return {subject: round(drawn.count(subject) / 4000, 1) for subject in set(drawn)}


def test_targets_are_chosen_by_weight_and_the_rest_stays() -> None:
    assert {b"b": 0.2, b"c": 0.5, b"a.x": 0.3} == shares(Target(b"b", 20), Target(b"c", 50))


def test_a_share_of_the_source_itself_means_that_the_rest_is_lost() -> None:
    assert {b"b": 0.2, b"a.x": 0.3, b"": 0.5} == shares(Target(b"b", 20), Target(b"a.$1", 30))


def test_weights_beyond_a_hundred_are_refused() -> None:
    with pytest.raises(ValueError, match="total weight needs to be <= 100"):
        shares(Target(b"b", 60), Target(b"c", 60))


def test_stars_are_numbered_in_order() -> None:
    assert b"a.$1.b.$2.>" == numbered(b"a.*.b.*.>")


@pytest.mark.parametrize(
    ("remote", "local", "source", "destination"),
    [
        (b"req", b"my.req", b"my.req", b"req"),
        (b"w.*.*", b"v.$2.$1", b"v.*.*", b"w.$2.$1"),
        (b"w.*.*.*", b"v.$2.$3.{{wildcard(1)}}", b"v.*.*.*", b"w.$3.$1.$2"),
        (b"up.>", b"down.>", b"down.>", b"up.>"),
        (b"w.*", b"w.*", b"w.*", b"w.$1"),
    ],
)
def test_a_service_import_is_turned_round(
    remote: bytes, local: bytes, source: bytes, destination: bytes
) -> None:
    assert (source, destination) == reversed_import(remote, local)


def test_a_service_import_must_use_every_star() -> None:
    with pytest.raises(ValueError, match="not using all of the token wildcard"):
        reversed_import(b"w.*.*", b"v.$1")
