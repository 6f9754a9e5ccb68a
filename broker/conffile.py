"""From a configuration file's name to `Options`: the one place that opens what it speaks of.

The idea: the grammar, the keys and the checks are pure and stand elsewhere; here the file is read,
with its includes, and the files of certificates and operator JWTs that it names are looked at, so
that a missing one is told by the line that asks for it and not by the first client.

The defaults are overridden by the file, and the file by the command line, at each reload again.

Relative names in a configuration are relative to where the program was started, as with
nats-server; only an include's is relative to the including file.

The digest is that of the bytes read, includes and all, in the order of reading: it tells whether
anything has changed, which is all that anybody does with it. (nats-server's own is of the values.)

Neighbours: `broker.__main__` calls `load` and `check`; `broker.reloading` calls `load` again.
Blocks while it reads files. Not on any hot path.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

from broker.blocks import JwtBlock, TlsBlock
from broker.clusterblock import with_flags
from broker.conf import ConfError, Node, parse
from broker.config import ConfigError, Options, OptionsError
from broker.confread import Reading, reading
from broker.jwt import read as read_jwt
from broker.jwtfields import text
from broker.nkeys import have_ed25519

__all__ = ["check", "load"]

_JWT_WITHIN = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")


def load(
    path: str, flags: Mapping[str, Any], warn: Callable[[str], object] | None = None
) -> Options:
    """The options that a file and the command line's fields, which override it, make together.

    `warn` is told what is odd and yet served, a line at a time.

    Raises:
        ConfigError: the file cannot be read, or what it says cannot be served.
    """
    source = _Source()
    try:
        text = source.open(path)
        found = reading(parse(text, path, source.include, os.environ))
        for line in found.warnings:
            (warn or _unheard)(line)
        return _options(path, source.digest(), found, flags)
    except ConfError as error:
        raise ConfigError(str(error)) from None
    except OSError as error:
        raise ConfigError(_go_error(error, path)) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: it is not a text in UTF-8 (byte {error.start})") from None


def check(path: str, flags: Mapping[str, Any] | None = None) -> str:
    """What ``-t`` says of a file that can be served. Here a warning is a mistake.

    Raises:
        ConfigError: it cannot be served.
    """
    warnings: list[str] = []
    try:
        options = load(path, flags or {}, warnings.append)
    except ConfigError as error:
        raise ConfigError("\n".join([*warnings, str(error)])) from None
    if warnings:
        raise ConfigError("\n".join(warnings))
    return f"configuration file {path} is valid ({options.digest})"


def _unheard(line: str) -> None:
    """For callers who do not want to hear warnings."""


class _Source:
    """The files that one configuration consists of, as they are read."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def open(self, path: str) -> str:
        with open(path, "rb") as file:
            data = file.read()
        self._hash.update(data)
        return data.decode("utf-8-sig")

    def include(self, name: str, including: str) -> str:
        return self.open(os.path.join(os.path.dirname(including), name))

    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"


def _options(path: str, digest: str, found: Reading, flags: Mapping[str, Any]) -> Options:
    fields = {name: value for name, value in found.fields.items() if value is not None}
    if "jwt" in fields:
        fields["jwt"] = _with_operators(fields["jwt"], found.places["jwt"])
        _check_preload(fields["jwt"], found.places.get("preload", found.places["jwt"]))
        fields.setdefault("system_account", _system_account(fields["jwt"]))
    try:
        given = with_flags(fields, flags)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    try:
        options = Options(**{**given, "config_file": path, "digest": digest})
    except OptionsError as error:
        place = found.places.get(error.field)
        if place is None or error.field in flags:
            raise ConfigError(str(error)) from None
        said = error.message.startswith(error.field)
        raise place.wrong(error.message if said else str(error)) from None
    _look_at(options.tls, None if "tls" in flags else found.places.get("tls"))
    if options.websocket is not None:
        _look_at(options.websocket.tls, found.places.get("websocket"))
    if options.leafnodes is not None:
        _look_at(options.leafnodes.tls, found.places.get("leafnodes"))
    if options.cluster is not None:
        _look_at(options.cluster.tls, found.places.get("cluster"))
    return options


def _with_operators(block: Any, node: Node) -> Any:
    """A JwtBlock whose operators are JWTs: where a file was named, what stands in it."""
    try:
        operators = tuple(_operator(given) for given in block.operators)
    except (OSError, ValueError) as error:
        shown = _go_error(error, "") if isinstance(error, OSError) else str(error)
        raise node.wrong(f"error parsing operator JWT: {shown}") from None
    return dataclasses.replace(block, operators=operators)


def _operator(given: str) -> str:
    if given.startswith("eyJ"):
        return _verified(given)
    with open(given, encoding="utf-8") as file:
        found = _JWT_WITHIN.search(file.read())
    if found is None:
        raise ValueError(f"there is no JWT in {given}")
    return _verified(found[0])


def _system_account(block: JwtBlock) -> str | None:
    """The account that the operator names as the system's, if there is but one operator."""
    if len(block.operators) != 1 or not have_ed25519():
        return None
    return text(read_jwt(block.operators[0]).nats, "system_account") or None


def _check_preload(block: JwtBlock, node: Node) -> None:
    for key, token in block.preload.items():
        try:
            _verified(token)
        except ValueError as error:
            raise node.wrong(f"invalid account JWT of {key}: {error}") from None


def _verified(token: str) -> str:
    """The token, if it is one. Without the library to tell, the authenticator will say so."""
    if have_ed25519():
        read_jwt(token)
    return token


def _look_at(block: TlsBlock | None, node: Node | None) -> None:
    """Refuse a block whose files cannot be used. Those of flags have no place (and no node)."""
    if block is None:
        return
    from broker.tlscontext import server_context  # ssl is slow to import

    pair = "error parsing X509 certificate/key pair: "
    for path, problem in ((block.cert_file, pair), (block.key_file, pair), (block.ca_file, "")):
        if path is None:
            continue
        try:
            with open(path, "rb"):
                pass
        except OSError as error:
            text = problem + _go_error(error, path)
            if node is None:
                raise ConfigError(text) from None
            raise node.wrong(text) from None
    try:
        server_context(block)
    except (OSError, ValueError) as error:
        if node is None:
            raise ConfigError(str(error)) from None
        raise node.wrong(str(error)) from None


def _go_error(error: OSError, path: str) -> str:
    return f"open {error.filename or path}: {(error.strerror or str(error)).lower()}"
