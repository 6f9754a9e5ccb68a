"""The command line: nats-server's flags, read by the rules of Go's ``flag`` package.

The rules, which differ from ``argparse`` enough that it cannot be bent to them: one dash or two
make no difference; a value follows after ``=`` or in the next argument, even if that begins with a
dash (``-p -1``); a switch takes a value only with ``=`` (``-D=false``); letters are not bundled
(``-DV`` is a flag of its own); the last of several equal flags wins; the first argument that is no
flag ends the flags.

What is a flag stands in one table, `broker.cliflags`, from which the help text, the reading and the
suggestions all come. A flag means what it means to nats-server or is refused: a flag of
nats-server's that we do not have says just that, and does not pass for a typing error.

What comes out is a `Request`: the fields of `Options` that flags have set and no others, because
with ``-c`` a file comes between the defaults and them; `broker.conffile` joins the three.

One deliberate difference: ``-p 0`` takes any free port, as everywhere else on Unix, where
nats-server takes it for "not given". (``-m 0`` means "no monitor" to both.)

Cost: microseconds. Pure: prints nothing, exits nowhere, touches no file; `broker.__main__` does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from broker import __version__
from broker.blocks import TlsBlock
from broker.cliflags import ELSEWHERE, FLAGS, SECTIONS, Flag
from broker.clusterblock import ClusterFlags, with_flags
from broker.config import Options, OptionsError
from broker.suggest import nearest

__all__ = [
    "ELSEWHERE",
    "FLAGS",
    "PROGRAM",
    "SECTIONS",
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

    ``options_given`` are fields of `Options`, of which ``cluster`` is a `ClusterFlags`; ``show`` is
    a text to print instead of starting; ``signal`` what to tell a running server (as in
    ``reload=1234``); ``config`` the file to read; ``test``: only check it.
    """

    options_given: Mapping[str, Any] = field(default_factory=dict)
    show: str | None = None
    signal: str | None = None
    config: str | None = None
    test: bool = False


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
    cluster = {name[9:]: value for name, value in values.items() if name.startswith(".cluster.")}
    if cluster:
        given["cluster"] = ClusterFlags(**cluster)
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
        return Options(**with_flags({}, request.options_given))
    except OptionsError as error:
        raise UsageError(f"{_flag_of(error.field)}: {error.message}") from None
    except ValueError as error:
        raise UsageError(str(error)) from None


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
