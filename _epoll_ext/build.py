"""How the C is built: read by cffi from `setup.py`, or by hand with ``python _epoll_ext/build.py``.

The flags are chosen for a build that succeeds everywhere; CI adds ``-Werror`` and the sanitizers
through CFLAGS.
"""

from __future__ import annotations

from pathlib import Path

from cffi import FFI

HERE = Path(__file__).parent

ffi = FFI()
ffi.cdef((HERE / "epoll.cdef.h").read_text())
ffi.set_source(
    "_epoll_ext._native",
    '#include "epoll.h"',
    sources=["_epoll_ext/epoll.c"],
    depends=["_epoll_ext/epoll.h", "_epoll_ext/epoll.cdef.h"],
    include_dirs=["_epoll_ext"],
    extra_compile_args=["-std=gnu11", "-O2", "-Wall", "-Wextra"],
)

if __name__ == "__main__":
    ffi.compile(tmpdir=str(HERE.parent), verbose=True)
