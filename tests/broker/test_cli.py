"""The command line: what each flag sets, and what a broken one is told."""

from __future__ import annotations

import dataclasses

import pytest

from broker import __version__
from broker.blocks import ClusterBlock, TlsBlock
from broker.cli import ELSEWHERE, FLAGS, Request, UsageError, help_text, options_of, parse
from broker.config import Options
from reactor.demux import available

PAIR = TlsBlock("c", "k")


def options(*arguments: str) -> Options:
    request = parse(arguments)
    assert request.show is None
    return options_of(request)


def refusal(*arguments: str) -> str:
    with pytest.raises(UsageError) as caught:
        options_of(parse(arguments))
    return str(caught.value)


def test_no_flags_give_the_defaults() -> None:
    assert Options() == options()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-a", "127.0.0.1"], {"host": "127.0.0.1"}),
        (["--addr", "::1"], {"host": "::1"}),
        (["--net=10.0.0.1"], {"host": "10.0.0.1"}),
        (["-p", "4333"], {"port": 4333}),
        (["-port=4333"], {"port": 4333}),
        (["--port", "4333"], {"port": 4333}),
        (["-p", "-1"], {"port": -1}),
        (["-p=-1"], {"port": -1}),
        (["-m", "8222"], {"http_port": 8222}),
        (["--http_port=-1"], {"http_port": -1}),
        (["-m", "0"], {"http_port": None}),
        (["-n", "nova"], {"server_name": "nova"}),
        (["--name", "nova"], {"server_name": "nova"}),
        (["--server_name=nova"], {"server_name": "nova"}),
        (["-D"], {"debug": True}),
        (["--debug=true"], {"debug": True}),
        (["-D", "-D=false"], {"debug": False}),
        (["-V"], {"trace": True}),
        (["--trace"], {"trace": True}),
        (["-DV"], {"debug": True, "trace": True}),
        (["--DV=1"], {"debug": True, "trace": True}),
        (["-l", "x.log"], {"log_file": "x.log"}),
        (["--log=x.log"], {"log_file": "x.log"}),
        (["-P", "x.pid"], {"pid_file": "x.pid"}),
        (["--pid", "x.pid"], {"pid_file": "x.pid"}),
        (["--user", "u", "--pass", "p"], {"user": "u", "password": "p"}),
        (["-user=u", "-pass=a=b"], {"user": "u", "password": "a=b"}),
        (["--user", "u", "--pass="], {"user": "u", "password": ""}),
        (["--auth", "-secret"], {"token": "-secret"}),
        (["--backend", "poll"], {"backend": "poll"}),
        (["--max_traced_msg_len", "16"], {"max_traced": 16}),
        (["-p", "1", "-p", "2"], {"port": 2}),
        (["-D", "--"], {"debug": True}),
        (["-ms", "8223", "--tlscert", "c", "--tlskey", "k"], {"https_port": 8223, "tls": PAIR}),
        (["--ports_file_dir", "d"], {"ports_file_dir": "d"}),
        (["--client_advertise", "h:1"], {"client_advertise": "h:1"}),
        (["-T=false"], {"logtime": False}),
        (["--logtime_utc"], {"logtime_utc": True}),
        (["-s"], {"syslog": "/dev/log"}),
        (["-s", "-s=false"], {"syslog": None}),
        (["-r", "udp://h:514"], {"syslog": "udp://h:514"}),
        (["--tls", "--tlscert", "c", "--tlskey", "k"], {"tls": PAIR}),
        (["--tls", "--tlscert", "c", "--tlskey", "k", "--tls=false"], {"tls": None}),
        (
            ["--tlscert=c", "--tlskey=k", "--tlsverify", "--tlscacert=a"],
            {"tls": TlsBlock("c", "k", ca_file="a", verify=True)},
        ),
    ],
)
def test_flags_set_options(arguments: list[str], expected: dict[str, object]) -> None:
    assert Options().replace(**expected) == options(*arguments)


@pytest.mark.parametrize(
    "arguments", [["-v"], ["--version"], ["version"], ["-p", "1", "-v"], ["--", "version"]]
)
def test_the_version_is_shown_instead_of_starting(arguments: list[str]) -> None:
    assert f"reactor-broker: v{__version__}\n" == parse(arguments).show


@pytest.mark.parametrize("arguments", [["-h"], ["--help"], ["help"]])
def test_help_is_shown_instead_of_starting(arguments: list[str]) -> None:
    assert help_text() == parse(arguments).show


def test_a_request_holds_only_what_flags_have_set() -> None:
    assert Request({"port": 1}, config="x.conf") == parse(["-c", "x.conf", "-p", "1"])
    assert Request({}, config="x.conf", test=True) == parse(["--config=x.conf", "-t"])
    assert Request({}, signal="reload=12") == parse(["--signal", "reload=12"])
    assert Request({}, signal="ldm") == parse(["-sl", "ldm"])


def test_turning_tls_off_is_said_to_whatever_a_file_says() -> None:
    assert {"tls": None} == parse(["--tls=false", "-c", "x.conf"]).options_given


def test_a_switch_turned_off_asks_for_nothing() -> None:
    assert Options() == options("-v=false", "-h=0")


def test_the_help_names_every_flag_and_fits_a_terminal() -> None:
    text = help_text()
    for name in FLAGS:
        assert f"-{name}" in text
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--prot", "1"], "there is no flag --prot; did you mean --port?"),
        (["--Port", "1"], "there is no flag --Port; did you mean --port?"),
        (["--http-port=1"], "there is no flag --http-port; did you mean --http_port?"),
        (["--bakend", "poll"], "there is no flag --bakend; did you mean --backend?"),
        (["--zzz"], "there is no flag --zzz; --help lists them all"),
        (["---port", "1"], "---port has too many dashes; write --port"),
        (["-p"], "-p needs a value: -p PORT"),
        (["--port="], "--port cannot be '': it takes a whole number"),
        (["-p", "abc"], "-p cannot be 'abc': it takes a whole number"),
        (
            ["-p", "65536"],
            "-p cannot be '65536': it takes a port from 1 to 65535, or -1 for any free one",
        ),
        (
            ["--backend", "kqueue"],
            f"--backend cannot be 'kqueue': choose one of {', '.join(available())}",
        ),
        (["-a", ""], "-a cannot be '': it takes a text that is not empty"),
        (["-D=maybe"], "-D cannot be 'maybe': a switch takes true or false, or no value at all"),
        (["-D", "true"], "'true' is not a flag; every setting is given by one (see --help)"),
        (["start"], "'start' is not a flag; every setting is given by one (see --help)"),
        (["-"], "'-' is not a flag; every setting is given by one (see --help)"),
        (["--", "-p"], "'-p' is not a flag; every setting is given by one (see --help)"),
        (
            ["-js"],
            "-js is a flag of nats-server that reactor-broker does not have; leave it out",
        ),
        (["--tls"], "TLS Server certificate must be present and valid; add --tlscert FILE"),
        (
            ["--tlscert", "c"],
            "TLS Server private key must be present and valid; add --tlskey FILE",
        ),
        (
            ["--signal", "jump"],
            "--signal cannot be 'jump': choose one of stop, quit, term, reopen, reload, ldm, "
            "and =PID, =FILE or =GLOB* after it",
        ),
        (
            ["-t"],
            "must specify [-c, --config] option to check configuration file syntax with -t",
        ),
        (["--pass", "p"], "--pass: needs a user to belong to; set user as well"),
        (
            ["--auth", "t", "--user", "u"],
            "--auth: cannot be combined with a user or password; choose one way to log in",
        ),
        (["-n", "a b"], "--server_name: 'a b' is not usable; give a name without blanks"),
        (
            ["--max_traced_msg_len=-1"],
            "--max_traced_msg_len: -1 is not usable; "
            "give a whole number of at least 0 (0 means no limit)",
        ),
    ],
)
def test_a_broken_flag_names_itself_and_the_mend(arguments: list[str], expected: str) -> None:
    assert expected == refusal(*arguments)


def test_no_flag_is_both_ours_and_declared_missing() -> None:
    assert frozenset() == ELSEWHERE & FLAGS.keys()


def test_every_flag_sets_fields_that_exist() -> None:
    fields = {field.name for field in dataclasses.fields(Options)}
    for flag in FLAGS.values():
        assert {name for name in flag.fields if not name.startswith(".")} <= fields


# --- clusters


def test_the_flags_of_a_cluster_make_its_block() -> None:
    found = options(
        *["--cluster", "nats://u:pw@127.0.0.1:6300", "--cluster_name=C1", "--no_advertise"],
        *["--routes", "nats-route://a:1, nats-route://b:2", "--cluster_advertise=h:9"],
        *["--connect_retries", "20"],
    ).cluster
    assert (
        ClusterBlock(
            "C1",
            "127.0.0.1",
            6300,
            ("nats-route://a:1", "nats-route://b:2"),
            "u",
            "pw",
            advertise="h:9",
            no_advertise=True,
            connect_retries=20,
        )
        == found
    )


def test_a_cluster_may_take_any_free_port() -> None:
    block = options("--cluster_listen", "nats://127.0.0.1:-1").cluster
    assert block is not None
    assert -1 == block.port


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--routes", "nats://a:1"], "Solicited routes require cluster capabilities"),
        (["--cluster", "127.0.0.1:6222"], "--cluster cannot be '127.0.0.1:6222': give it as"),
        (["--cluster", "nats://u@h:1"], "expected cluster password to be set"),
        (["--cluster", "nats://h:1", "--routes", "x"], "--routes cannot be 'x'"),
        (["--cluster", "nats://h:1", "--cluster_name", "a b"], "cannot contain spaces"),
    ],
)
def test_flags_of_a_cluster_that_make_no_sense(arguments: list[str], problem: str) -> None:
    assert problem in refusal(*arguments)


def test_a_directory_for_a_store_is_taken_as_there_is_none() -> None:
    assert parse(["-p", "1"]) == parse(["--store_dir", "somewhere", "-p", "1"])
