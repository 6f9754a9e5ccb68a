"""The C programs of this folder, built when they are needed.

Each is one file of `bench/load`, compiled with `$CC` or `cc` into `bench/_build`, which ignores
itself, and again whenever a source there is newer. Nothing else of the project is needed, and no
build system: a program that does not compile here raises `NotBuiltError`, whose text says what to
install, and is left out of the measurement.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

SOURCES = Path(__file__).parent / "load"
BUILD = Path(__file__).parent / "_build"
FLAGS = ("-O2", "-std=gnu11", "-Wall", "-Wextra")

#: What each program is linked with, and the Debian package that brings it.
LIBRARIES = {
    "echo_libevent": ("-levent", "libevent-dev"),
    "ring_libevent": ("-levent", "libevent-dev"),
    "echo_libev": ("-lev", "libev-dev"),
    "echo_libuv": ("-luv", "libuv1-dev"),
}


class NotBuiltError(Exception):
    """A program cannot be had here; the text says why and what to install."""


def build(name: str) -> Path:
    """Return the program `name`, compiled if it was not yet. Raises `NotBuiltError`."""
    program = BUILD / name
    source = SOURCES / f"{name}.c"
    newest = max(path.stat().st_mtime for path in (source, *SOURCES.glob("*.h")))
    if program.exists() and program.stat().st_mtime >= newest:
        return program
    _prepare()
    flag, package = LIBRARIES.get(name, ("", ""))
    fresh = program.with_suffix(f".{os.getpid()}")
    command = [*_compiler(), *FLAGS, "-o", str(fresh), str(source), *([flag] if flag else [])]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        problem = next((line for line in result.stderr.splitlines() if "error" in line), "")
        hint = f"apt-get install {package}" if package else "see the compiler's message"
        raise NotBuiltError(f"{hint} ({problem.strip() or shlex.join(command)})")
    fresh.replace(program)  # at once, so that nobody ever runs half a program
    return program


def _prepare() -> None:
    BUILD.mkdir(exist_ok=True)
    (BUILD / ".gitignore").write_text("*\n")


def _compiler() -> list[str]:
    command = shlex.split(os.environ.get("CC", "cc"))
    if not command or shutil.which(command[0]) is None:
        raise NotBuiltError("apt-get install gcc (or set CC): there is no C compiler here")
    return command
