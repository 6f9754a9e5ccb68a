"""Who comes in by a JWT, with which rights, and who does not."""

from __future__ import annotations

from typing import Any

import pytest

from broker.auth import accounts_of, make_authenticator
from broker.blocks import Export, Import, IngressLimit, JwtBlock, MappingBlock, Target
from broker.config import Options, OptionsError
from broker.errors import AUTHORIZATION_VIOLATION
from broker.handshake import ConnectOptions
from broker.identity import Answer, Credentials, Identity
from broker.jwtauth import JwtUsers, account_blocks
from broker.permissions import Permissions, Responses, Rules
from tests.support.jwts import ACCOUNT, OPERATOR, UNLIMITED, USER, Signer, account, block, user

NONCE = "nonce"
WELCOME = Identity(account=ACCOUNT.key, user=USER.key, shown=USER.key)
OTHER = Signer("A", 7)
WALL = 2000.0


def ask(
    token: str, settings: JwtBlock | None = None, *, sig: str | None = None, **at: Any
) -> Answer:
    signature = USER.sign(NONCE.encode()) if sig is None else sig
    connect = ConnectOptions(jwt=token, sig=signature)
    given = {"nonce": NONCE, "ip": "10.1.2.3", "wall": WALL, **at}
    authenticator = JwtUsers(settings or block())
    assert not authenticator.slow(Credentials(connect, **given))
    return authenticator.authenticate(Credentials(connect, **given))


def test_a_user_signed_by_an_account_signed_by_the_operator_is_let_in() -> None:
    assert WELCOME == ask(user())


def test_tokens_of_version_1_are_as_good() -> None:
    first = {"sub": OPERATOR.key, "type": "operator"}
    second = {"sub": ACCOUNT.key, "type": "account", "nats": {"limits": UNLIMITED}}
    third = {"sub": USER.key, "type": "user", "nats": {"src": "10.0.0.0/8"}}
    preload = {ACCOUNT.key: OPERATOR.token(second, version=1)}
    settings = JwtBlock((OPERATOR.token(first, version=1),), preload)
    assert WELCOME == ask(ACCOUNT.token(third, version=1), settings)


def test_the_options_choose_it_and_the_accounts_are_named_by_their_keys() -> None:
    options = Options(jwt=block(), ingress=IngressLimit(5))
    authenticator = make_authenticator(options)
    assert authenticator.required
    assert authenticator.wants_nonce
    assert not authenticator.has_guest
    assert [ACCOUNT.key] == [account.name for account in accounts_of(options)]
    assert () == accounts_of(Options())


@pytest.mark.parametrize(
    "nats", [{"signing_keys": [OTHER.key]}, {"signing_keys": [OTHER.key, ACCOUNT.key]}]
)
def test_a_signing_key_of_the_account_may_sign_users_in_its_name(nats: Any) -> None:
    token = user({"issuer_account": ACCOUNT.key}, by=OTHER)
    assert WELCOME == ask(token, block(account(nats)))
    assert AUTHORIZATION_VIOLATION == ask(token)


def test_a_signing_key_of_the_operator_may_sign_accounts() -> None:
    signer = Signer("O", 8)
    assert WELCOME == ask(user(), block(account(by=signer), {"signing_keys": [signer.key]}))


def test_a_strict_operator_wants_signing_keys_used_on_all_floors() -> None:
    signer = Signer("O", 8)
    operator = {"signing_keys": [signer.key], "strict_signing_key_usage": True}
    settings = block(account({"signing_keys": [OTHER.key]}, by=signer), operator)
    assert WELCOME == ask(user({"issuer_account": ACCOUNT.key}, by=OTHER), settings)
    assert AUTHORIZATION_VIOLATION == ask(user(), settings)
    with pytest.raises(ValueError, match="not signed by an operator"):
        JwtUsers(block(account(), operator))


def test_a_bearer_need_not_sign_unless_the_account_does_not_take_bearers() -> None:
    token = user({"bearer_token": True})
    assert WELCOME == ask(token, sig="")
    wary = account({"limits": {**UNLIMITED, "disallow_bearer": True}})
    assert AUTHORIZATION_VIOLATION == ask(token, block(wary))


@pytest.mark.parametrize("sig", ["", "AAAA", OTHER.sign(NONCE.encode()), USER.sign(b"other")])
def test_others_must_have_signed_this_nonce(sig: str) -> None:
    assert AUTHORIZATION_VIOLATION == ask(user(), sig=sig)


@pytest.mark.parametrize(
    "token",
    ["", "a.b.c", account(), user(by=OTHER), user({"issuer_account": OTHER.key})],
)
def test_what_is_no_user_of_an_account_here_is_refused(token: str) -> None:
    assert AUTHORIZATION_VIOLATION == ask(token)


@pytest.mark.parametrize(
    ("of_user", "of_account", "expires"),
    [(0, 0, None), (3000, 0, 3000.0), (0, 2500, 2500.0), (3000, 2500, 2500.0)],
)
def test_a_login_ends_with_the_first_of_its_tokens(
    of_user: int, of_account: int, expires: float | None
) -> None:
    answer = ask(user(exp=of_user), block(account(exp=of_account)))
    assert isinstance(answer, Identity)
    assert expires == answer.expires


@pytest.mark.parametrize(
    ("token", "of_account"),
    [
        (user(exp=2000), account()),
        (user(nbf=2001), account()),
        (user(), account(exp=1999)),
        (user(), account({"limits": {**UNLIMITED, "conn": 0}})),
        (user(), account({"revocations": {USER.key: 1000}})),
        (user(), account({"revocations": {"*": 1001}})),
        (user(), account({"revocations": {"*": "now"}})),
    ],
)
def test_what_has_ended_has_not_begun_or_is_revoked_is_refused(token: str, of_account: str) -> None:
    assert AUTHORIZATION_VIOLATION == ask(token, block(of_account))


def test_a_revocation_does_not_hold_for_what_was_issued_later() -> None:
    assert WELCOME == ask(user(), block(account({"revocations": {USER.key: 999, "*": 500}})))


# The credentials' time is 00:33:20 in UTC, on the first day of the epoch.
@pytest.mark.parametrize(
    "nats",
    [
        {"allowed_connection_types": ["standard", "MQTT"]},
        {"src": ["192.168.0.0/16", "10.1.2.3/8"]},
        {"times": [{"start": "00:00:00", "end": "01:00:00"}]},
        {"times": [{"start": "23:00:00", "end": "01:00:00"}], "times_location": "UTC"},
        {"times": [{"start": "01:00:00", "end": "02:00:00"}], "times_location": "Europe/Paris"},
    ],
)
def test_who_keeps_to_where_and_when_is_let_in(nats: Any) -> None:
    assert WELCOME == ask(user(nats))


@pytest.mark.parametrize(
    "nats",
    [
        {"allowed_connection_types": ["WEBSOCKET"]},
        {"allowed_connection_types": "STANDARD"},
        {"src": ["192.168.0.0/16"]},
        {"src": ["somewhere"]},
        {"times": [{"start": "01:00:00", "end": "02:00:00"}]},
        {"times": [{"start": "01:00:00+01:00", "end": "02:00:00"}]},
        {"times": ["always"]},
        {"times": [{"start": "00:00:00", "end": "01:00:00"}], "times_location": "No/Where"},
        {"proxy_required": True},
        {"bearer_token": "yes"},
        {"subs": 0},
        {"payload": "much"},
        {"payload": 10**400},
        {"pub": {"allow": ["a..b"]}},
        {"pub": {"allow": ["a b"]}},
        {"pub": {"deny": [5]}},
        {"sub": "all"},
    ],
)
def test_who_does_not_or_what_cannot_be_understood_is_refused(nats: Any) -> None:
    assert AUTHORIZATION_VIOLATION == ask(user(nats))


def test_permissions_and_limits_come_with_the_token() -> None:
    nats = {
        "pub": {"allow": ["a.>"], "deny": ["a.b"]},
        "sub": {"allow": ["c q"]},
        "resp": {"max": 3, "ttl": 2_000_000_000},
        "subs": 7,
        "payload": 100,
    }
    answer = ask(user(nats), block(account({"limits": {**UNLIMITED, "subs": 5}})))
    permissions = Permissions(Rules((b"a.>",), (b"a.b",)), Rules((b"c q",)), Responses(3, 2.0))
    assert isinstance(answer, Identity)
    assert permissions == answer.permissions
    assert (5, 100) == (answer.max_subscriptions, answer.max_payload)


def test_who_may_answer_and_has_no_list_may_only_answer() -> None:
    answer = ask(user({"resp": {"max": -1}}))
    assert isinstance(answer, Identity)
    assert Permissions(Rules(()), responses=Responses(-1)) == answer.permissions


def test_the_permissions_of_the_account_hold_for_those_without() -> None:
    settings = block(account({"default_permissions": {"pub": {"deny": ["x"]}}}))
    answer = ask(user(), settings)
    assert isinstance(answer, Identity)
    assert Permissions(Rules(deny=(b"x",))) == answer.permissions


def test_an_account_brings_what_it_shares_and_maps() -> None:
    nats = {
        "exports": [
            {"subject": "s.>", "type": "stream"},
            {"subject": "q", "type": "service", "response_type": "Stream"},
        ],
        "imports": [
            {"account": "X", "subject": "a", "type": "stream", "to": "p"},
            {"account": "X", "subject": "b", "type": "stream", "local_subject": "l"},
            {"account": "X", "subject": "mine", "type": "service", "to": "theirs", "share": True},
            {"account": "X", "subject": "theirs", "type": "service", "local_subject": "mine"},
        ],
        "mappings": {"m": [{"subject": "n", "weight": 40}, {"subject": "o"}]},
        "limits": {**UNLIMITED, "conn": 3, "payload": 9},
    }
    (found,) = account_blocks(block(account(nats)))
    assert (Export(b"s.>", False), Export(b"q", True, response="stream")) == found.exports
    expected = (
        Import("X", b"a", False, prefix=b"p"),
        Import("X", b"b", False, to=b"l"),
        Import("X", b"theirs", True, to=b"mine", share=True),
        Import("X", b"theirs", True, to=b"mine"),
    )
    assert expected == found.imports
    assert (MappingBlock(b"m", (Target(b"n", 40), Target(b"o"))),) == found.mappings
    assert (3, 0, 9) == (found.max_connections, found.max_subscriptions, found.max_payload)


@pytest.mark.parametrize(
    ("nats", "words"),
    [
        ({"signing_keys": [{"kind": "user_scope"}]}, "scoped signing keys are not served"),
        ({"signing_keys": ["A"]}, "not a public account key"),
        ({"exports": [{"subject": "a", "type": "stream", "token_req": True}]}, "'token_req'"),
        ({"exports": [{"subject": "a", "type": "x"}]}, "neither a service nor a stream"),
        ({"exports": [{"subject": "a", "type": "service", "response_type": "x"}]}, "not known"),
        ({"exports": ["a"]}, "where a JSON object belongs"),
        ({"mappings": {"a": [{"subject": "b", "cluster": "c"}]}}, "for a cluster is not served"),
        ({"limits": {**UNLIMITED, "subs": 0}}, "the limit 'subs' of 0"),
    ],
)
def test_what_is_not_served_is_refused_by_the_name_of_its_account(nats: Any, words: str) -> None:
    with pytest.raises(OptionsError, match=f"account {ACCOUNT.key}: .*{words}"):
        make_authenticator(Options(jwt=block(account(nats))))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (block(account(by=Signer("O", 9))), "not signed by an operator of this broker"),
        (block(user()), "its JWT is of user"),
        (JwtBlock((account(),), {}), "kind 'account'"),
        (JwtBlock((Signer("O", 9).vouch("operator", OPERATOR.key),), {}), "operator's own key"),
    ],
)
def test_a_chain_that_does_not_hold_is_refused_in_words(settings: JwtBlock, words: str) -> None:
    with pytest.raises(OptionsError, match=words):
        accounts_of(Options(jwt=settings))


def test_an_operator_whose_time_is_over_vouches_for_nobody() -> None:
    def until(end: int) -> JwtBlock:
        own = OPERATOR.vouch("operator", OPERATOR.key, exp=end)
        return JwtBlock((own,), {ACCOUNT.key: account()})

    assert AUTHORIZATION_VIOLATION == ask(user(), until(1999))
    admitted = ask(user(), until(2001))
    assert isinstance(admitted, Identity)
    assert 2001.0 == admitted.expires
