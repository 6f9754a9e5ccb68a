"""The extensions of this distribution, and nothing else: all metadata is in pyproject.toml.

There are none yet. Everything runs in pure Python, so no compiler is needed to install, and the
list below says so in the one place where a reader looks for it. The C path to epoll joins this
list as an *optional* extension: where it cannot be built, the pure-Python twin serves.
"""

from __future__ import annotations

from setuptools import setup

setup(ext_modules=[])
