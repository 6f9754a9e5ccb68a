"""C programs that are built when they are needed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from bench import native

needs_a_compiler = pytest.mark.skipif(
    shutil.which("cc") is None, reason="what is tested is the building of C, and there is no cc"
)


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(native, "SOURCES", tmp_path)
    monkeypatch.setattr(native, "BUILD", tmp_path / "_build")
    (tmp_path / "some.c").write_text("int main(void) { return 0; }\n")
    return tmp_path


@needs_a_compiler
def test_a_program_is_built_into_a_folder_that_ignores_itself(own_folders: Path) -> None:
    program = native.build("some")
    assert own_folders / "_build" / "some" == program
    assert program.exists()
    assert "*\n" == (own_folders / "_build" / ".gitignore").read_text()


@needs_a_compiler
def test_a_program_is_built_again_only_after_a_source_or_a_header_became_newer(
    own_folders: Path,
) -> None:
    program = native.build("some")
    program.write_text("left alone")
    native.build("some")
    assert "left alone" == program.read_text()
    header = own_folders / "shared.h"
    header.write_text("")
    later = program.stat().st_mtime + 10
    os.utime(header, (later, later))
    native.build("some")
    assert b"left alone" != program.read_bytes()


@needs_a_compiler
def test_what_does_not_compile_says_which_package_to_install(
    own_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(native.LIBRARIES, "some", ("-lm", "libsome-dev"))
    (own_folders / "some.c").write_text('#include "no_such_header.h"\n')
    with pytest.raises(native.NotBuiltError, match=r"apt-get install libsome-dev .*no_such_header"):
        native.build("some")


def test_without_a_compiler_it_says_that_one_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(native.NotBuiltError, match="there is no C compiler"):
        native.build("some")
