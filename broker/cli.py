"""The command line: nats-server's flags, read by the rules of Go's ``flag`` package.

The rules, which differ from ``argparse`` enough that it cannot be bent to them: one dash or two
make no difference; a value follows after ``=`` or in the next argument, even if that begins with a
dash (``-p -1``); a switch takes a value only with ``=`` (``-D=false``); letters are not bundled
(``-DV`` is a flag of its own); the last of several equal flags wins; the first argument that is no
flag ends the flags.

What is a flag stands in one table, `FLAGS`, from which the help text, the reading and the
suggestions all come. A flag means what it means to nats-server or is refused: a flag of
nats-server's that we do not have says just that, and does not pass for a typing error.

One deliberate difference: ``-p 0`` takes any free port, as everywhere else on Unix, where
nats-server takes it for "not given". (``-m 0`` means "no monitor" to both.)

Cost: microseconds. Pure: prints nothing, exits nowhere, touches no file; `broker.__main__` does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from broker import __version__
from broker.blocks import TlsBlock
from broker.config import Options, OptionsError

__all__ = ["FLAGS", "PROGRAM", "Flag", "UsageError", "help_text", "parse", "version_text"]

#: The name of the console script, as messages show it.
PROGRAM = "reactor-broker"


class UsageError(ValueError):
    """A command line that cannot be understood. The text names the flag and the mend; exit status
    2.
    """


@dataclass(frozen=True)
class Flag:
    """One flag: its names, best known last; the Options fields it sets; its value's name (None: a
    switch).
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


def _boolean(text: str) -> bool:
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise ValueError("a switch takes true or false, or no value at all")


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
                ("n", "name", "server_name"),
                ("server_name",),
                "NAME",
                "the server's name (its id)",
                _text,
            ),
            Flag(("P", "pid"), ("pid_file",), "FILE", "write the process id to this file", _text),
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
            Flag(("tls",), ("tls",), None, "encrypt, without asking for certificates", _boolean),
            Flag(("tlscert",), ("tls",), "FILE", "the server's certificate (PEM)", _text),
            Flag(("tlskey",), ("tls",), "FILE", "its private key (PEM)", _text),
            Flag(
                ("tlsverify",),
                ("tls",),
                None,
                "encrypt, and ask clients for certificates",
                _boolean,
            ),
            Flag(("tlscacert",), ("tls",), "FILE", "who vouches for clients (PEM)", _text),
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
    "ms", "https_port", "c", "config", "t", "sl", "signal", "client_advertise", "ports_file_dir",
    "T", "logtime", "logtime_utc", "s", "syslog", "r", "remote_syslog", "VV", "DVV",
    "log_size_limit", "js", "jetstream", "sd", "store_dir", "routes", "cluster", "cluster_name",
    "no_advertise", "cluster_advertise", "connect_retries", "cluster_listen", "profile", "help_tls",
])
# fmt: on


def parse(arguments: Sequence[str]) -> Options | str:
    """Read a command line (without the program's name): options to start with, or a text to print
    instead.

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
            return _command(rest[0] if word == "--" else word)
        name, equals, text = word.lstrip("-").partition("=")
        flag = _find(word, name)
        value = _value(word, flag, text if equals else None, rest)
        if not flag.fields and value:
            return _show(flag)
        if flag.fields == ("tls",):
            values.setdefault("tls", {})[flag.names[-1]] = value
        else:
            values.update(dict.fromkeys(flag.fields, value))
    return _options(values)


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
    import difflib  # slow to import, and only needed for a mistake

    lowered = {known.lower(): known for known in reversed(FLAGS)}
    close = difflib.get_close_matches(name.replace("-", "_").lower(), lowered, n=1)
    return f"; did you mean {_spell(lowered[close[0]])}?" if close else "; --help lists them all"


def _spell(name: str) -> str:
    return f"-{name}" if len(name) == 1 or name == "DV" else f"--{name}"


def _value(word: str, flag: Flag, text: str | None, rest: list[str]) -> Any:
    shown = word.partition("=")[0]
    if text is None:
        if flag.value is None:
            return True
        if not rest:
            raise UsageError(f"{shown} needs a value: {shown} {flag.value}")
        text = rest.pop(0)
    try:
        return flag.convert(text)
    except ValueError as error:
        raise UsageError(f"{shown} cannot be {text!r}: {error}") from None


def _tls(given: dict[str, Any]) -> TlsBlock | None:
    """The TLS flags as one block; as with nats-server, files alone do not turn it on."""
    verify = given.get("tlsverify", False)
    if not (given.get("tls") or verify):
        return None
    for name, what in (("tlscert", "certificate"), ("tlskey", "private key")):
        if name not in given:
            raise UsageError(
                f"TLS Server {what} must be present and valid; give {_spell(name)} FILE"
            )
    return TlsBlock(
        given["tlscert"], given["tlskey"], ca_file=given.get("tlscacert"), verify=verify
    )


def _options(values: dict[str, Any]) -> Options:
    values["tls"] = _tls(values.pop("tls", {}))
    try:
        return Options(**values)
    except OptionsError as error:
        raise UsageError(f"{_flag_of(error.field)}: {error.message}") from None


def _flag_of(field: str) -> str:
    return next(_spell(flag.names[-1]) for flag in FLAGS.values() if field in flag.fields)


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
