"""What comes by npm: NATS's JavaScript client as one file that a page can load, and axe.

The client's package is made for Node's modules; a page's build bundles it, and so does this, with
esbuild. axe-core judges whether a page can be used by everybody. All come when the first of the
tests needs them, into `build/browser` (which git ignores), and stay there.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

PACKAGES = {"@nats-io/nats-core": "3.4.0", "axe-core": "4.14.1", "esbuild": "0.25.0"}

_FOLDER = Path(__file__).resolve().parents[2] / "build" / "browser"
_MODULES = _FOLDER / "node_modules"
_ENTRY = 'export { wsconnect } from "@nats-io/nats-core";\n'


def axe() -> str:
    """The script that defines `axe`. Skips the test where there is no npm."""
    _install()
    return (_MODULES / "axe-core" / "axe.min.js").read_text()


def client() -> bytes:
    """NATS's client as a module of JavaScript. Skips the test where there is no npm."""
    _install()
    made, entry = _FOLDER / "nats-core.js", _FOLDER / "entry.mjs"
    if not made.exists():
        entry.write_text(_ENTRY)
        esbuild = [str(_MODULES / ".bin" / "esbuild"), "--bundle", "--format=esm"]
        command = [*esbuild, "--log-level=warning", f"--outfile={made}", str(entry)]
        subprocess.run(command, check=True, timeout=60)
    return made.read_bytes()


def _install() -> None:
    if _installed() == PACKAGES:
        return
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node and npm are not installed: NATS's JavaScript client and axe come by npm")
    _FOLDER.mkdir(parents=True, exist_ok=True)
    (_FOLDER / "nats-core.js").unlink(missing_ok=True)  # of another version
    wanted = [f"{name}@{version}" for name, version in PACKAGES.items()]
    options = ["--no-audit", "--no-fund", "--no-save", "--prefix", str(_FOLDER)]
    subprocess.run(["npm", "install", *options, *wanted], check=True, timeout=100)


def _installed() -> dict[str, str]:
    manifests = {name: _MODULES / name / "package.json" for name in PACKAGES}
    return {
        name: json.loads(path.read_text())["version"]
        for name, path in manifests.items()
        if path.exists()
    }
