"""The dashboard: one page, put together from the files in ``broker/pages``, and what it may do.

The idea: a page without assets from elsewhere works behind every proxy and offline, but nobody
wants to read a thousand lines of markup, style and scripts in one file. So each is a file of its
own, which the markup refers to as usual, and the references are replaced by what they refer to.

The policy names the style and the scripts by their hashes. Whatever a client called itself, and
whatever mistake of ours took that for markup, a browser runs nothing but these. Connections go to
the monitor that the page came from, and to WebSockets anywhere: the console's user types where.

Neighbours: `broker.monitorpages` serves it, `broker.monitor` sends the policy along. Thread-safe;
the first call reads the files, and later ones cost nothing.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files

__all__ = ["dashboard"]

_REFERENCE = re.compile(
    r'<link rel="stylesheet" href="(?P<style>[a-z]+\.css)">'
    r'|<script src="(?P<script>[a-z]+\.js)"></script>'
)

_POLICY = (
    "default-src 'none'; script-src {script}; style-src {style}; connect-src 'self' ws: wss:; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@cache
def dashboard() -> tuple[str, str]:
    """The page as one text, and its Content-Security-Policy."""
    folder = files("broker") / "pages"
    hashes: dict[str, list[str]] = {"style": [], "script": []}

    def put_in(reference: re.Match[str]) -> str:
        tag = reference.lastgroup
        assert tag is not None  # each alternative has a name
        text = (folder / reference[tag]).read_text("utf-8")
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        hashes[tag].append(f"'sha256-{digest}'")
        return f"<{tag}>{text}</{tag}>"

    page = _REFERENCE.sub(put_in, (folder / "dashboard.html").read_text("utf-8"))
    return page, _POLICY.format(**{tag: " ".join(found) for tag, found in hashes.items()})
