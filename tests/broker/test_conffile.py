"""A configuration from its file to the options, and the program that is started with one."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from broker.blocks import TlsBlock
from broker.conffile import check, load
from broker.config import ConfigError, Options
from tests.support import jwts

ROOT = Path(__file__).resolve().parents[2]


def _write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def digest(*texts: str) -> str:
    return "sha256:" + hashlib.sha256("".join(texts).encode()).hexdigest()


def refusal(path: str, **flags: object) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path, flags)
    return str(caught.value)


def test_flags_override_the_file_and_the_file_the_defaults(tmp_path: Path) -> None:
    text = "port: 1, max_payload: 2kb, server_name: nova"
    path = _write(tmp_path / "s.conf", text)
    expected = Options(
        port=7, max_payload=2048, server_name="nova", config_file=path, digest=digest(text)
    )
    assert expected == load(path, {"port": 7})


def test_includes_are_relative_to_the_including_file_and_count_in_the_digest(
    tmp_path: Path,
) -> None:
    (tmp_path / "sub").mkdir()
    texts = ["include sub/a.conf", "include b.conf", "port: 5"]
    path = _write(tmp_path / "s.conf", texts[0])
    _write(tmp_path / "sub" / "a.conf", texts[1])
    _write(tmp_path / "sub" / "b.conf", texts[2])
    options = load(path, {})
    assert (5, digest(*texts)) == (options.port, options.digest)


def test_a_missing_file_is_told_in_the_words_of_nats_server() -> None:
    assert "open /nope.conf: no such file or directory" == refusal("/nope.conf")


def test_a_missing_include_is_told_by_its_name(tmp_path: Path) -> None:
    path = _write(tmp_path / "s.conf", "include nope.conf")
    expected = (
        f"error parsing include file 'nope.conf', open {tmp_path}/nope.conf: no such file or "
        f"directory ({path}:1:17)"
    )
    assert expected == refusal(path)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s.conf").write_bytes(b"port: 1\n\xff\xfe")
    path = str(tmp_path / "s.conf")
    assert f"{path}: it is not a text in UTF-8 (byte 8)" == refusal(path)


def test_a_variable_of_the_environment_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKER_TEST_PORT", "5")
    assert 5 == load(_write(tmp_path / "s.conf", "port: $BROKER_TEST_PORT"), {}).port


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("port: 70000", ":1:0: port: 70000 is not usable; give a port from 1 to 65535, or 0"),
        ("\nmax_pending: 5", "max_payload: 1048576 is more than max_pending (5)"),
        (
            "lame_duck_grace_period: '5m'",
            ":1:0: lame_duck_grace: lame duck grace period (5m0s) should be strictly lower than "
            "lame duck duration (2m0s)",
        ),
        ("websocket {port: 5}", ":1:0: websocket requires TLS configuration"),
        (
            "no_auth_user: b, authorization {users: [{user: a}]}",
            ':1:0: no_auth_user: "b" not present as user or nkey in authorization block',
        ),
        (
            "tls {cert_file: /nope, key_file: /nope}",
            ":1:0: error parsing X509 certificate/key pair: open /nope: no such file or directory",
        ),
        (
            "ws {port: 5, tls {cert_file: /nope, key_file: /nope}}",
            ":1:0: error parsing X509 certificate/key pair: open /nope: no such file or directory",
        ),
        (
            "resolver: MEMORY, operator: /nope",
            ":1:18: error parsing operator JWT: open /nope: no such file or directory",
        ),
    ],
)
def test_what_the_options_refuse_is_told_by_its_place(
    tmp_path: Path, text: str, expected: str
) -> None:
    assert expected in refusal(_write(tmp_path / "s.conf", text))


def test_what_a_flag_breaks_is_not_blamed_on_the_file(tmp_path: Path) -> None:
    path = _write(tmp_path / "s.conf", "max_payload: 5")
    assert refusal(path, max_payload=0).startswith("max_payload: 0 is not usable")


def test_certificates_of_flags_are_looked_at_as_well(tmp_path: Path) -> None:
    path = _write(tmp_path / "s.conf", "tls {cert_file: /other, key_file: /other}")
    expected = "error parsing X509 certificate/key pair: open /nope: no such file or directory"
    assert expected == refusal(path, tls=TlsBlock("/nope", "/nope"))


def test_an_operator_may_be_named_by_a_file_with_words_around_the_jwt(tmp_path: Path) -> None:
    token = jwts.OPERATOR.vouch("operator", jwts.OPERATOR.key)
    operator = _write(tmp_path / "o.jwt", f"-----BEGIN JWT-----\n{token}\n------END JWT------\n")
    path = _write(tmp_path / "s.conf", f"resolver: MEM\noperators: ['{operator}', {token}]")
    jwt = load(path, {}).jwt
    assert jwt is not None
    assert (token, token) == jwt.operators


@pytest.mark.parametrize(("given", "expected"), [("", jwts.ACCOUNT.key), ("S", "S")])
def test_the_operator_names_the_systems_account_unless_the_file_does(
    given: str, expected: str, tmp_path: Path
) -> None:
    text = jwts.configuration(
        {jwts.ACCOUNT.key: jwts.account()}, {"system_account": jwts.ACCOUNT.key}
    )
    path = _write(tmp_path / "c.conf", text + (f"system_account: {given}\n" if given else ""))
    assert expected == load(path, {}).system_account


def test_a_file_without_a_jwt_is_no_operator(tmp_path: Path) -> None:
    operator = _write(tmp_path / "o.jwt", "nothing")
    path = _write(tmp_path / "s.conf", f"resolver: MEM\noperator: '{operator}'")
    expected = f"{path}:2:1: error parsing operator JWT: there is no JWT in {operator}"
    assert expected == refusal(path)


def test_an_operator_that_did_not_sign_is_refused_by_its_line(tmp_path: Path) -> None:
    token = jwts.OPERATOR.vouch("operator", jwts.OPERATOR.key).rpartition(".")[0] + ".AAAA"
    path = _write(tmp_path / "s.conf", f"resolver: MEM\noperator: {token}")
    words = "error parsing operator JWT: the signature of the JWT is not its issuer's"
    assert f"{path}:2:1: {words}" == refusal(path)


def test_a_preloaded_account_that_nobody_signed_is_refused_by_its_line(tmp_path: Path) -> None:
    token = jwts.OPERATOR.vouch("operator", jwts.OPERATOR.key)
    forged = jwts.account().rpartition(".")[0] + ".AAAA"
    preload = f"resolver_preload: {{ {jwts.ACCOUNT.key}: {forged} }}"
    path = _write(tmp_path / "s.conf", f"resolver: MEM\noperator: {token}\n{preload}")
    problem = f"invalid account JWT of {jwts.ACCOUNT.key}: the signature of the JWT is not"
    assert f"{path}:3:1: {problem} its issuer's" == refusal(path)


def test_a_warning_is_told_and_served_but_fails_a_check(tmp_path: Path) -> None:
    path = _write(tmp_path / "s.conf", "ping_interval: 5")
    heard: list[str] = []
    assert 5.0 == load(path, {}, heard.append).ping_interval
    assert 1 == len(heard)
    with pytest.raises(ConfigError) as caught:
        check(path)
    assert heard == [str(caught.value)]


def test_a_check_of_a_sound_file_shows_its_digest(tmp_path: Path) -> None:
    path = _write(tmp_path / "s.conf", "port: 5")
    assert f"configuration file {path} is valid ({digest('port: 5')})" == check(path)


def run(*flags: str) -> tuple[int, str, str]:
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-m", "broker", *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
    )
    return ended.returncode, ended.stdout, ended.stderr


def test_the_program_checks_a_file(tmp_path: Path) -> None:
    path = _write(tmp_path / "s.conf", "port: 5")
    expected = f"reactor-broker: configuration file {path} is valid ({digest('port: 5')})\n"
    assert (0, "", expected) == run("-t", "-c", path)


def test_the_program_refuses_a_broken_file_with_status_1(tmp_path: Path) -> None:
    path = _write(tmp_path / "s.conf", "prot: 5")
    expected = f'reactor-broker: {path}:1:0: unknown field "prot"; did you mean "port"?\n'
    assert (1, "", expected) == run("-c", path)
    assert (1, "", expected) == run("-t", "-c", path)
