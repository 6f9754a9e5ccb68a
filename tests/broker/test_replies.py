"""Grants to answer: how many, how long, and how many of them are kept."""

from __future__ import annotations

from broker import replies as module
from broker.permissions import Responses
from broker.plane import PythonPlane
from broker.replies import MAX_GRANTS, Replies

LINK, OTHER = (PythonPlane().open(number, 0) for number in (1, 2))


def test_a_grant_is_used_up() -> None:
    replies = Replies()
    replies.grant(LINK, b"r", Responses(2, 10.0), 0.0)
    assert [True, True, False, False] == [replies.use(LINK, b"r", 1.0) for _ in range(4)]
    assert 0 == len(replies)


def test_a_grant_without_a_limit_is_not() -> None:
    replies = Replies()
    replies.grant(LINK, b"r", Responses(-1, -1.0), 0.0)
    assert all(replies.use(LINK, b"r", 1e9) for _ in range(100))


def test_a_grant_expires() -> None:
    replies = Replies()
    replies.grant(LINK, b"r", Responses(2, 10.0), 5.0)
    assert replies.use(LINK, b"r", 14.9)
    assert not replies.use(LINK, b"r", 15.0)


def test_a_grant_is_for_one_link_and_one_subject() -> None:
    replies = Replies()
    replies.grant(LINK, b"r", Responses(), 0.0)
    assert not replies.use(OTHER, b"r", 0.0)
    assert not replies.use(LINK, b"q", 0.0)
    assert replies.use(LINK, b"r", 0.0)


def test_a_new_request_grants_anew() -> None:
    replies = Replies()
    replies.grant(LINK, b"r", Responses(1, 10.0), 0.0)
    replies.use(LINK, b"r", 0.0)
    replies.grant(LINK, b"r", Responses(1, 10.0), 9.0)
    assert replies.use(LINK, b"r", 18.0)


def test_the_oldest_grant_goes_when_there_are_too_many() -> None:
    replies = Replies()
    for number in range(MAX_GRANTS + 1):
        replies.grant(LINK, b"r%d" % number, Responses(), 0.0)
    assert MAX_GRANTS == module.MAX_GRANTS == len(replies)
    assert not replies.use(LINK, b"r0", 0.0)
    assert replies.use(LINK, b"r1", 0.0)


def test_a_link_that_goes_leaves_nothing() -> None:
    replies = Replies()
    replies.grant(LINK, b"r", Responses(), 0.0)
    replies.forget(LINK)
    replies.forget(LINK)
    assert 0 == len(replies)
