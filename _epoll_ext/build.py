"""How the C is built: read by cffi from `setup.py`, or by hand with ``python _epoll_ext/build.py``.

The flags are chosen for a build that succeeds everywhere; CI adds ``-Werror`` and the sanitizers
through CFLAGS.
"""

from __future__ import annotations

from pathlib import Path

from cffi import FFI

HERE = Path(__file__).parent
HEADERS = (
    "messages.h",
    "epoll.h",
    "epoll.cdef.h",
    "uring.h",
    "uring.cdef.h",
    "uring_parts.h",
)

ffi = FFI()
ffi.cdef((HERE / "epoll.cdef.h").read_text())
ffi.cdef((HERE / "uring.cdef.h").read_text())
ffi.set_source(
    "_epoll_ext._native",
    '#include "epoll.h"\n#include "uring.h"',
    sources=[f"_epoll_ext/{name}.c" for name in ("epoll", "uring", "uring_ring", "uring_slots")],
    depends=[f"_epoll_ext/{name}" for name in HEADERS],
    include_dirs=["_epoll_ext"],
    extra_compile_args=["-std=gnu11", "-O2", "-Wall", "-Wextra"],
)

if __name__ == "__main__":
    ffi.compile(tmpdir=str(HERE.parent), verbose=True)
