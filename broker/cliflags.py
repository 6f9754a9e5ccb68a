"""Every flag of the command line, as one table.

The idea: a flag is said once: its names, what it takes, which settings it makes, what it means. The
help text, the reading and the suggestions of `broker.cli` all come from here, and the guide's table
is compared with it.

Neighbours: `broker.cli` reads by it. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from broker.clusterblock import RouteUrl
from broker.config import LOCAL_SYSLOG

__all__ = ["ELSEWHERE", "FLAGS", "SECTIONS", "Flag"]


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


def _cluster_url(text: str) -> RouteUrl:
    # No URL has a negative port, so it stands for any free one only until it is read.
    random = text.endswith(":-1")
    url = RouteUrl.read(text[:-2] + "0" if random else text)
    if url.user and not url.password:
        raise ValueError("expected cluster password to be set")
    return replace(url, port=-1) if random else url


def _urls(text: str) -> tuple[str, ...]:
    urls = tuple(url.strip() for url in text.split(",") if url.strip())
    for url in urls:
        RouteUrl.read(url)
    return urls


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
                ("sd", "store_dir"),
                (".store_dir",),
                "DIR",
                "without effect, as there is no JetStream",
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
        "Cluster",
        (
            Flag(
                ("cluster", "cluster_listen"),
                (".cluster.listen",),
                "URL",
                "be a node, where others connect to nats://HOST:PORT",
                _cluster_url,
            ),
            Flag(
                ("cluster_name",),
                (".cluster.name",),
                "NAME",
                "the cluster's name (that of the others)",
                _text,
            ),
            Flag(
                ("routes",),
                (".cluster.routes",),
                "URL,...",
                "other nodes to connect to",
                _urls,
            ),
            Flag(
                ("cluster_advertise",),
                (".cluster.advertise",),
                "HOST:PORT",
                "tell other nodes this address",
                _text,
            ),
            Flag(
                ("no_advertise",),
                (".cluster.no_advertise",),
                None,
                "tell clients of no other node",
                _boolean,
            ),
            Flag(
                ("connect_retries",),
                (".cluster.connect_retries",),
                "COUNT",
                "of connecting to a node known by hearsay",
                _integer,
            ),
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
    "VV", "DVV", "log_size_limit", "js", "jetstream", "profile", "help_tls",
])
# fmt: on
