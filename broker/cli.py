"""The command line: nats-server's flags, read by the rules of Go's ``flag`` package.

The rules, which differ from ``argparse`` enough that it cannot be bent to them: one dash or two
make no difference; a value follows after ``=`` or in the next argument, even if that begins with a
dash (``-p -1``); a switch takes a value only with ``=`` (``-D=false``); letters are not bundled
(``-DV`` is a flag of its own); the last of several equal flags wins; the first argument that is no
flag ends the flags.

What is a flag stands in one table, `FLAGS`, from which the help text, the reading and the
suggestions all come. A flag means what it means to nats-server or is refused: a flag of
nats-server's that we do not have says just that, and does not pass for a typing error.

What comes out is a `Request`: the fields of `Options` that flags have set and no others, because
with ``-c`` a file comes between the defaults and them; `broker.conffile` joins the three.

One deliberate difference: ``-p 0`` takes any free port, as everywhere else on Unix, where
nats-server takes it for "not given". (``-m 0`` means "no monitor" to both.)

Cost: microseconds. Pure: prints nothing, exits nowhere, touches no file; `broker.__main__` does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from broker import __version__
from broker.blocks import TlsBlock
from broker.config import LOCAL_SYSLOG, Options, OptionsError
from broker.suggest import nearest

__all__ = [
    "FLAGS",
    "PROGRAM",
    "Flag",
    "Request",
    "UsageError",
    "help_text",
    "options_of",
    "parse",
    "version_text",
]

#: The name of the console script, as messages show it.
PROGRAM = "reactor-broker"


class UsageError(ValueError):
    """A command line that cannot be understood. The text names the flag and the mend; exit status
    2.
    """


@dataclass(frozen=True)
class Request:
    """What a command line asks for.

    ``options_given`` are fields of `Options`; ``show`` is a text to print instead of starting;
    ``signal`` what to tell a running server (as in ``reload=1234``); ``config`` the file to read;
    ``test``: only check it.
    """

    options_given: Mapping[str, Any] = field(default_factory=dict)
    show: str | None = None
    signal: str | None = None
    config: str | None = None
    test: bool = False


@dataclass(frozen=True)
class Flag:
    """One flag: its names, best known last; the Options fields it sets; its value's name (None: a
    switch).

    A field that begins with a point is none of Options': it is for `parse` to understand.
    """

    names: tuple[str, ...]
    fields: tuple[str, ...]
    value: str | None
    help: str
    convert: Callable[[str], Any]


def _integer(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise ValueError("it takes a whole number") from None


def _port(text: str) -> int:
    number = _integer(text)
    if not -1 <= number <= 65_535:
        raise ValueError("it takes a port from 1 to 65535, or -1 for any free one")
    return number


def _monitor_port(text: str) -> int | None:
    # Off is what 0 means to nats-server here, while Options asks for any free port with it.
    return _port(text) or None


def _text(text: str) -> str:
    if not text:
        raise ValueError("it takes a text that is not empty")
    return text


def _backend(text: str) -> str:
    from reactor.demux import BACKENDS

    if text not in BACKENDS:
        raise ValueError(f"choose one of {', '.join(BACKENDS)}")
    return text


def _signal(text: str) -> str:
    command = text.partition("=")[0]
    if command not in _SIGNALS:
        raise ValueError(f"choose one of {', '.join(_SIGNALS)}, and =PID, =FILE or =GLOB* after it")
    return text


def _syslog(text: str) -> str | None:
    return LOCAL_SYSLOG if _boolean(text) else None


def _boolean(text: str) -> bool:
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise ValueError("a switch takes true or false, or no value at all")


#: What a running server can be told.
_SIGNALS = ("stop", "quit", "term", "reopen", "reload", "ldm")

SECTIONS: tuple[tuple[str, tuple[Flag, ...]], ...] = (
    (
        "Server",
        (
            Flag(
                ("a", "net", "addr"), ("host",), "HOST", "listen on this address (0.0.0.0)", _text
            ),
            Flag(
                ("p", "port"),
                ("port",),
                "PORT",
                "listen on this port (4222; -1: any free one)",
                _port,
            ),
            Flag(
                ("m", "http_port"),
                ("http_port",),
                "PORT",
                "serve /varz, /connz, /healthz on this port (off; -1: any)",
                _monitor_port,
            ),
            Flag(
                ("ms", "https_port"),
                ("https_port",),
                "PORT",
                "serve the same with TLS on this port (off)",
                _monitor_port,
            ),
            Flag(
                ("n", "name", "server_name"),
                ("server_name",),
                "NAME",
                "the server's name (its id)",
                _text,
            ),
            Flag(
                ("client_advertise",),
                ("client_advertise",),
                "HOST:PORT",
                "tell clients this address in INFO",
                _text,
            ),
            Flag(("c", "config"), (".config",), "FILE", "read this configuration file", _text),
            Flag(("t",), (".test",), None, "check the configuration file, and no more", _boolean),
            Flag(
                ("sl", "signal"),
                (".signal",),
                "COMMAND[=PID]",
                "tell a running server to stop, quit, reopen, reload or ldm",
                _signal,
            ),
            Flag(("P", "pid"), ("pid_file",), "FILE", "write the process id to this file", _text),
            Flag(
                ("ports_file_dir",),
                ("ports_file_dir",),
                "DIR",
                "write the ports to a file in this directory",
                _text,
            ),
            Flag(
                ("backend",),
                ("backend",),
                "NAME",
                "wait by select, poll or epoll (the best there is)",
                _backend,
            ),
        ),
    ),
    (
        "Logging",
        (
            Flag(
                ("l", "log"), ("log_file",), "FILE", "append log lines to this file (stderr)", _text
            ),
            Flag(("D", "debug"), ("debug",), None, "log what happens to each connection", _boolean),
            Flag(("V", "trace"), ("trace",), None, "log every protocol line", _boolean),
            Flag(("DV",), ("debug", "trace"), None, "both of these", _boolean),
            Flag(
                ("T", "logtime"), ("logtime",), None, "begin log lines with the time (on)", _boolean
            ),
            Flag(("logtime_utc",), ("logtime_utc",), None, "in UTC (local time)", _boolean),
            Flag(("s", "syslog"), ("syslog",), None, "log to this machine's syslog", _syslog),
            Flag(
                ("r", "remote_syslog"),
                ("syslog",),
                "URL",
                "log to another's, as in udp://host:514",
                _text,
            ),
            Flag(
                ("max_traced_msg_len",),
                ("max_traced",),
                "BYTES",
                "cut messages in traces after this many bytes (0: never)",
                _integer,
            ),
        ),
    ),
    (
        "Authorization",
        (
            Flag(("user",), ("user",), "USER", "let in only this user", _text),
            Flag(("pass",), ("password",), "PASSWORD", "with this password", str),
            Flag(("auth",), ("token",), "TOKEN", "let in only who knows this token", _text),
        ),
    ),
    (
        "TLS",
        (
            Flag(("tls",), (".tls",), None, "encrypt connections (needs the next two)", _boolean),
            Flag(("tlscert",), (".tlscert",), "FILE", "our certificate, PEM", _text),
            Flag(("tlskey",), (".tlskey",), "FILE", "its private key, PEM", _text),
            Flag(("tlsverify",), (".tlsverify",), None, "ask clients for a certificate", _boolean),
            Flag(("tlscacert",), (".tlscacert",), "FILE", "who vouches for theirs, PEM", _text),
        ),
    ),
    (
        "Common",
        (
            Flag(("h", "help"), (), None, "show this message", _boolean),
            Flag(("v", "version"), (), None, "show the version", _boolean),
        ),
    ),
)

#: Every name of every flag.
FLAGS: dict[str, Flag] = {
    name: flag for _, flags in SECTIONS for flag in flags for name in flag.names
}

#: What nats-server has and we do not.
# fmt: off
ELSEWHERE = frozenset([
    "VV", "DVV", "log_size_limit", "js", "jetstream", "sd", "store_dir", "routes", "cluster",
    "cluster_name", "no_advertise", "cluster_advertise", "connect_retries", "cluster_listen",
    "profile", "help_tls",
])
# fmt: on


def parse(arguments: Sequence[str]) -> Request:
    """Read a command line, without the program's name.

    Raises:
        UsageError: a flag is unknown or its value unusable.
    """
    values: dict[str, Any] = {}
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--" and not rest:
            break
        if word == "--" or not word.startswith("-") or word == "-":
            return Request(show=_command(rest[0] if word == "--" else word))
        name, equals, text = word.lstrip("-").partition("=")
        flag = _find(word, name)
        value = _value(word, flag, text if equals else None, rest)
        if not flag.fields and value:
            return Request(show=_show(flag))
        values.update(dict.fromkeys(flag.fields, value))
    return _request(values)


def _request(values: dict[str, Any]) -> Request:
    """The flags' values, sorted into what each is for."""
    given = {name: value for name, value in values.items() if not name.startswith(".")}
    config, test = values.get(".config"), bool(values.get(".test"))
    if test and config is None:
        raise UsageError(
            "must specify [-c, --config] option to check configuration file syntax with -t"
        )
    _tls(values, given)
    return Request(given, signal=values.get(".signal"), config=config, test=test)


def _tls(values: Mapping[str, Any], given: dict[str, Any]) -> None:
    """What the flags say of TLS replaces the whole of what a file says."""
    if values.get(".tls") is False:
        given["tls"] = None
        return
    if not any(name.startswith(".tls") for name in values):
        return
    if ".tlscert" not in values:
        raise UsageError("TLS Server certificate must be present and valid; add --tlscert FILE")
    if ".tlskey" not in values:
        raise UsageError("TLS Server private key must be present and valid; add --tlskey FILE")
    given["tls"] = TlsBlock(
        values[".tlscert"],
        values[".tlskey"],
        ca_file=values.get(".tlscacert"),
        verify=values.get(".tlsverify", False),
    )


def _command(word: str) -> str:
    """nats-server understands the words ``help`` and ``version`` too, and nothing else that is not
    a flag.
    """
    if word in ("help", "version"):
        return _show(FLAGS[word])
    raise UsageError(f"{word!r} is not a flag; every setting is given by one (see --help)")


def _show(flag: Flag) -> str:
    return help_text() if "help" in flag.names else version_text()


def _find(word: str, name: str) -> Flag:
    shown = word.partition("=")[0]
    dashes = len(word) - len(word.lstrip("-"))
    flag = FLAGS.get(name)
    if flag is not None and dashes <= 2:
        return flag
    if flag is not None:
        raise UsageError(f"{shown} has too many dashes; write {_spell(name)}")
    if name in ELSEWHERE:
        raise UsageError(
            f"{shown} is a flag of nats-server that {PROGRAM} does not have; leave it out"
        )
    raise UsageError(f"there is no flag {shown}{_suggestion(name)}")


def _suggestion(name: str) -> str:
    close = nearest(name, FLAGS)
    return f"; did you mean {_spell(close)}?" if close else "; --help lists them all"


def _spell(name: str) -> str:
    return f"-{name}" if len(name) == 1 or name == "DV" else f"--{name}"


def _value(word: str, flag: Flag, text: str | None, rest: list[str]) -> Any:
    shown = word.partition("=")[0]
    if text is None:
        if flag.value is None:
            return flag.convert("true")
        if not rest:
            raise UsageError(f"{shown} needs a value: {shown} {flag.value}")
        text = rest.pop(0)
    try:
        return flag.convert(text)
    except ValueError as error:
        raise UsageError(f"{shown} cannot be {text!r}: {error}") from None


def options_of(request: Request) -> Options:
    """The options of a request without a configuration file.

    Raises:
        UsageError: the flags contradict each other.
    """
    try:
        return Options(**request.options_given)
    except OptionsError as error:
        raise UsageError(f"{_flag_of(error.field)}: {error.message}") from None


def _flag_of(name: str) -> str:
    names = (_spell(flag.names[-1]) for flag in FLAGS.values() if name in flag.fields)
    return next(names, f"--{name}")


def version_text() -> str:
    """What ``-v`` prints."""
    return f"{PROGRAM}: v{__version__}\n"


def help_text() -> str:
    """What ``-h`` prints: every flag once, in the order of the table."""
    lines = [f"Usage: {PROGRAM} [flags]", "", "A message broker that NATS clients can use."]
    for title, flags in SECTIONS:
        lines += ["", f"{title}:"]
        lines += [f"    {_names(flag):<36} {flag.help}" for flag in flags]
    lines += ["", "One dash or two, a blank or = before a value: all the same."]
    return "\n".join(lines) + "\n"


def _names(flag: Flag) -> str:
    names = ", ".join(_spell(name) for name in flag.names)
    return f"{names} {flag.value}" if flag.value else names
