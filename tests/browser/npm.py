"""NATS's JavaScript client as one file that a page can load.

The package is made for Node's modules; a page's build bundles it, and so does this, with esbuild.
Both come by npm when the first of the tests needs them, into `build/browser` (which git ignores),
and stay there.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

PACKAGES = {"@nats-io/nats-core": "3.4.0", "esbuild": "0.25.0"}

_FOLDER = Path(__file__).resolve().parents[2] / "build" / "browser"
_ENTRY = 'export { wsconnect } from "@nats-io/nats-core";\n'


def bundle() -> bytes:
    """The client as a module of JavaScript. Skips the test where there is no npm."""
    made = _FOLDER / "nats-core.js"
    if _installed() != PACKAGES or not made.exists():
        if not (shutil.which("node") and shutil.which("npm")):
            pytest.skip("node and npm are not installed: NATS's JavaScript client comes by npm")
        _install(made)
    return made.read_bytes()


def _installed() -> dict[str, str]:
    manifests = {name: _FOLDER / "node_modules" / name / "package.json" for name in PACKAGES}
    return {
        name: json.loads(path.read_text())["version"]
        for name, path in manifests.items()
        if path.exists()
    }


def _install(made: Path) -> None:
    _FOLDER.mkdir(parents=True, exist_ok=True)
    wanted = [f"{name}@{version}" for name, version in PACKAGES.items()]
    options = ["--no-audit", "--no-fund", "--no-save", "--prefix", str(_FOLDER)]
    subprocess.run(["npm", "install", *options, *wanted], check=True, timeout=100)
    entry = _FOLDER / "entry.mjs"
    entry.write_text(_ENTRY)
    esbuild = _FOLDER / "node_modules" / ".bin" / "esbuild"
    command = [str(esbuild), str(entry), "--bundle", "--format=esm", f"--outfile={made}"]
    subprocess.run([*command, "--log-level=warning"], check=True, timeout=60)
