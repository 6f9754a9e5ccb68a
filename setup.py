"""The extension of this distribution, and nothing else: all metadata is in pyproject.toml.

`_epoll_ext` is optional. Where it cannot be built, for want of a compiler, the installation says so
and goes on: the pure-Python demultiplexers serve. The environment variable REACTOR_EXT decides:

    unset    try, and go on without it if that fails
    0        do not try
    1        it must be built: a failure is the installation's failure (as in CI)
"""

from __future__ import annotations

import os
import sys
from typing import Any

from setuptools import setup
from setuptools.command.build_ext import build_ext

WANTED = os.environ.get("REACTOR_EXT", "")
if WANTED not in ("", "0", "1"):
    raise SystemExit(f"REACTOR_EXT={WANTED!r} is neither 0 (skip), 1 (must be built) nor unset")


class OptionalExtensions(build_ext):
    """Builds what can be built, unless it must be."""

    def finalize_options(self) -> None:
        """Tell setuptools whether a failure matters."""
        super().finalize_options()
        for extension in self.extensions or ():
            extension.optional = WANTED != "1"

    def build_extension(self, ext: Any) -> None:
        """Build one, and explain a failure; setuptools decides what it means."""
        try:
            super().build_extension(ext)
        except Exception as error:
            print(
                f"reactor: {ext.name} was not built ({error}). Everything works without it; the"
                " backends 'epoll_c' and 'io_uring' need it. To have them, install a C compiler and"
                " Python's headers, and install again.",
                file=sys.stderr,
            )
            raise


options: dict[str, Any] = {}
if WANTED != "0":
    options = {
        "cffi_modules": ["_epoll_ext/build.py:ffi"],
        "cmdclass": {"build_ext": OptionalExtensions},
    }
setup(**options)
