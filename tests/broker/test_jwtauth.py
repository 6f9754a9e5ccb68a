"""Who comes in by a JWT, with which rights, and who does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from broker.auth import accounts_of, issues_of, make_authenticator, next_change_of
from broker.blocks import IngressLimit, JwtBlock
from broker.config import Options, OptionsError
from broker.errors import (
    ACCOUNT_CONNECTIONS_EXCEEDED,
    ACCOUNT_EXPIRED,
    AUTHORIZATION_VIOLATION,
    USER_EXPIRED,
    USER_REVOKED,
    WireError,
)
from broker.handshake import ConnectOptions
from broker.identity import Answer, Credentials, Identity
from broker.jwtauth import JwtUsers
from broker.permissions import Permissions, Responses, Rules
from tests.support.jwts import ACCOUNT, OPERATOR, UNLIMITED, USER, Signer, account, block, user

NONCE = "nonce"
OTHER = Signer("A", 7)
WELCOME = Identity(account=ACCOUNT.key, user=USER.key, shown=USER.key, issuer=ACCOUNT.key)
BY_OTHER = replace(WELCOME, issuer=OTHER.key)
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
    found = accounts_of(options, authenticator, WALL)
    assert [ACCOUNT.key] == [account.name for account in found]
    assert next_change_of(options, authenticator, WALL) is None
    assert () == issues_of(options, authenticator)


def test_options_without_an_operator_have_no_accounts_by_jwt() -> None:
    options = Options()
    authenticator = make_authenticator(options)
    assert () == accounts_of(options, authenticator, WALL)
    assert () == issues_of(options, authenticator)
    assert next_change_of(options, authenticator, WALL) is None


def test_an_account_with_faults_lets_nobody_in_and_the_log_tells_why() -> None:
    export = {"subject": "a", "type": "stream"}
    token = account({"limits": {**UNLIMITED, "exports": 0}, "exports": [export]})
    options = Options(jwt=block(token))
    authenticator = make_authenticator(options)
    expected = (
        f"Account [{ACCOUNT.key}] has validation issues:",
        "  - the account contains more exports than allowed by the operator",
    )
    assert expected == issues_of(options, authenticator)
    assert () == accounts_of(options, authenticator, WALL)
    assert AUTHORIZATION_VIOLATION == ask(user(), block(token))


@pytest.mark.parametrize(
    "nats", [{"signing_keys": [OTHER.key]}, {"signing_keys": [OTHER.key, ACCOUNT.key]}]
)
def test_a_signing_key_of_the_account_may_sign_users_in_its_name(nats: Any) -> None:
    token = user({"issuer_account": ACCOUNT.key}, by=OTHER)
    assert BY_OTHER == ask(token, block(account(nats)))
    assert AUTHORIZATION_VIOLATION == ask(token)


def test_a_signing_key_of_the_operator_may_sign_accounts() -> None:
    signer = Signer("O", 8)
    assert WELCOME == ask(user(), block(account(by=signer), {"signing_keys": [signer.key]}))


def test_a_strict_operator_wants_signing_keys_used_on_all_floors() -> None:
    signer = Signer("O", 8)
    operator = {"signing_keys": [signer.key], "strict_signing_key_usage": True}
    settings = block(account({"signing_keys": [OTHER.key]}, by=signer), operator)
    assert BY_OTHER == ask(user({"issuer_account": ACCOUNT.key}, by=OTHER), settings)
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
    ("of_user", "of_account", "expires", "farewell"),
    [
        (0, 0, None, USER_EXPIRED),
        (3000, 0, 3000.0, USER_EXPIRED),
        (0, 2500, 2500.0, ACCOUNT_EXPIRED),
        (3000, 2500, 2500.0, ACCOUNT_EXPIRED),
        (2500, 3000, 2500.0, USER_EXPIRED),
    ],
)
def test_a_login_ends_with_the_first_of_its_tokens_and_is_told_which(
    of_user: int, of_account: int, expires: float | None, farewell: WireError
) -> None:
    answer = ask(user(exp=of_user), block(account(exp=of_account)))
    assert isinstance(answer, Identity)
    assert (expires, farewell) == (answer.expires, answer.farewell)


def test_a_login_ends_with_the_hours_in_which_it_may_be() -> None:
    times = [{"start": "00:00:00", "end": "01:00:00"}]
    answer = ask(user({"times": times, "times_location": "UTC"}, exp=9000))
    assert isinstance(answer, Identity)
    assert (3600.0, USER_EXPIRED) == (answer.expires, answer.farewell)


@pytest.mark.parametrize(
    ("token", "of_account"),
    [
        (user(exp=2000), account()),
        (user(nbf=2001), account()),
        (user(), account(exp=1999)),
        (user(), account({"revocations": {"*": "now"}})),
    ],
)
def test_what_has_ended_or_has_not_begun_is_refused(token: str, of_account: str) -> None:
    assert AUTHORIZATION_VIOLATION == ask(token, block(of_account))


@pytest.mark.parametrize("revocations", [{USER.key: 1000}, {"*": 1001}])
def test_what_is_revoked_is_refused_as_such(revocations: Any) -> None:
    assert USER_REVOKED == ask(user(), block(account({"revocations": revocations})))


@pytest.mark.parametrize("limits", [{**UNLIMITED, "conn": 0}, {}])
def test_an_account_for_no_connections_has_room_for_none(limits: Any) -> None:
    assert ACCOUNT_CONNECTIONS_EXCEEDED == ask(user(), block(account({"limits": limits})))


def test_a_revocation_does_not_hold_for_what_was_issued_later() -> None:
    assert WELCOME == ask(user(), block(account({"revocations": {USER.key: 999, "*": 500}})))


@pytest.mark.parametrize(
    "nats",
    [
        {"allowed_connection_types": ["WEBSOCKET"]},
        {"src": ["192.168.0.0/16"]},
        {"times": [{"start": "01:00:00", "end": "02:00:00"}], "times_location": "UTC"},
        {"bearer_token": "yes"},
        {"payload": 0},
        {"payload": "much"},
        {"payload": 10**400},
        {"pub": {"deny": [5]}},
    ],
)
def test_who_comes_another_way_or_cannot_be_understood_is_refused(nats: Any) -> None:
    assert AUTHORIZATION_VIOLATION == ask(user(nats))


def test_a_limit_of_no_subscriptions_is_one() -> None:
    answer = ask(user({"subs": 0}))
    assert isinstance(answer, Identity)
    assert -1 == answer.max_subscriptions


# --- scoped signing keys


def scoped(template: Any, by: Signer = OTHER, **body: Any) -> str:
    scope = {"kind": "user_scope", "key": by.key, "role": "any", "template": template}
    return account({"signing_keys": [scope]}, **body)


def test_a_user_of_a_scoped_key_has_the_rights_of_its_template() -> None:
    template = {"pub": {"allow": ["{{name()}}.>"]}, "subs": 3, "payload": 9}
    token = OTHER.vouch("user", USER.key, {"issuer_account": ACCOUNT.key}, name="ann")
    answer = ask(token, block(scoped(template)))
    assert isinstance(answer, Identity)
    assert Permissions(Rules((b"ann.>",))) == answer.permissions
    assert (3, 9) == (answer.max_subscriptions, answer.max_payload)


def test_the_template_says_whether_a_bearer_will_do_and_where_from() -> None:
    token = OTHER.vouch("user", USER.key, {"issuer_account": ACCOUNT.key})
    settings = block(scoped({"bearer_token": True, "src": ["10.0.0.0/8"]}))
    assert BY_OTHER == ask(token, settings, sig="")
    assert AUTHORIZATION_VIOLATION == ask(token, settings, sig="", ip="11.1.1.1")
    assert AUTHORIZATION_VIOLATION == ask(token, block(scoped({})), sig="")


@pytest.mark.parametrize(
    "nats",
    [{"subs": -1}, {"bearer_token": True}, {"pub": {"allow": ["a"]}}, {"resp": {"max": 1}}],
)
def test_a_user_of_a_scoped_key_claims_no_rights_of_its_own(nats: Any) -> None:
    token = OTHER.vouch("user", USER.key, {"issuer_account": ACCOUNT.key, **nats})
    assert AUTHORIZATION_VIOLATION == ask(token, block(scoped({})))


def test_a_denial_that_cannot_be_filled_in_keeps_the_user_out() -> None:
    token = OTHER.vouch("user", USER.key, {"issuer_account": ACCOUNT.key})
    settings = block(scoped({"pub": {"deny": ["{{tag(team)}}.>"]}}))
    assert AUTHORIZATION_VIOLATION == ask(token, settings)


# --- what the tokens grant


def test_the_monitoring_pages_may_show_who_signed_and_what_it_is_called() -> None:
    answer = ask(user({"tags": ["a:b"]}, name="ann"), block(account(name="school")))
    assert replace(WELCOME, title="ann", tags=("a:b",), account_name="school") == answer


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
        make_authenticator(Options(jwt=settings))


def test_an_operator_whose_time_is_over_vouches_for_nobody() -> None:
    def until(end: int) -> JwtBlock:
        own = OPERATOR.vouch("operator", OPERATOR.key, exp=end)
        return JwtBlock((own,), {ACCOUNT.key: account()})

    assert AUTHORIZATION_VIOLATION == ask(user(), until(1999))
    admitted = ask(user(), until(2001))
    assert isinstance(admitted, Identity)
    assert 2001.0 == admitted.expires
