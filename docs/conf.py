"""Sphinx configuration: `make docs` builds with warnings as errors and without a network.

Two hooks keep the reference page true without anybody's care: it lists the modules that exist
(a module cannot be forgotten), and it takes docstrings as the plain prose that they are.
"""

from __future__ import annotations

import importlib
import pkgutil
import re

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

project = "reactor-broker"
author = "the reactor-broker authors"
copyright = author
release = "0.1.0"

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
# An annotation gives a class's last name only, and two modules may each have one of that name.
suppress_warnings = ["ref.python"]
html_theme = "furo"
html_title = "reactor-broker"
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "signature"

_MODULES_OF = re.compile(r"^%modules (\w+)$", re.MULTILINE)
_MODULE = """\
### {name}

```{{eval-rst}}
.. automodule:: {name}
   :members:
   :inherited-members: {foreign}
   :show-inheritance:
```
"""
#: Classes whose methods are told at their own place, and not again at those that inherit them.
_FOREIGN = ("object", "BaseException", "Enum", "tuple", "Mapping", "BaseSelector", "Handler")
_TOLD = ("Reactor", "Demultiplexer", "StreamHandler", "Instrument", "Delivery")
_MARKED = re.compile(r"(`+)(.+?)\1|(\*\*?)(?=[A-Za-z])[^*`]*[\w.:;?!]\3(?!\w)", re.DOTALL)
_SPECIAL = re.compile(r"([\\*|])|(?<=\w)(_)(?!\w)")
_LAID_OUT = re.compile(r"^(\s|[-*+|=>] |\w+[.)] )")


def list_modules(_app: Sphinx, _name: str, source: list[str]) -> None:
    """Replace each line `%modules PACKAGE` by the reference of every public module in it."""
    source[0] = _MODULES_OF.sub(lambda found: _reference(found[1]), source[0])


def _reference(package: str) -> str:
    foreign = ", ".join(_FOREIGN + _TOLD)
    return "\n".join(_MODULE.format(name=name, foreign=foreign) for name in _module_names(package))


def _module_names(package: str) -> list[str]:
    path = importlib.import_module(package).__path__
    # What cannot be imported is listed all the same, for autodoc to report.
    modules = pkgutil.walk_packages(path, f"{package}.", onerror=lambda _name: None)
    found = (module.name for module in modules)
    return sorted(name for name in found if "._" not in name)


def plain_prose(
    _app: Sphinx, _what: str, _name: str, _obj: object, _options: object, lines: list[str]
) -> None:
    """Turn a docstring written as plain text into markup that shows it as it was written."""
    blocks = "\n".join(lines).split("\n\n")
    lines[:] = "\n\n".join(map(_as_markup, blocks)).split("\n")


def _as_markup(block: str) -> str:
    """A block that its author laid out (a table, a drawing, code) is kept; the rest is prose."""
    rows = block.strip("\n").split("\n")
    if rows[0].startswith("* ") and all(row.startswith(("* ", "  ")) for row in rows):
        items = re.split(r"^\* ", "\n".join(rows), flags=re.MULTILINE)[1:]
        return "".join(f"* {_escaped(item)}" for item in items)
    if any(_LAID_OUT.match(row) for row in rows):
        return "::\n\n" + "\n".join(f"    {row}" for row in rows)
    prose = "\n".join(rows)
    return _escaped(prose[:-1] if prose.endswith("::") else prose)


def _escaped(prose: str) -> str:
    """Prose with `literals` and *emphasis* as meant, and every other special character escaped."""
    parts = []
    end = 0
    for found in _MARKED.finditer(prose):
        before = prose[end : found.start()]
        marked = f"``{found[2].strip()}``" if found[1] else found[0]
        parts += [_SPECIAL.sub(r"\\\1\2", before), marked]
        end = found.end()
    return "".join([*parts, _SPECIAL.sub(r"\\\1\2", prose[end:])])


def setup(app: Sphinx) -> None:
    """Connect the two hooks (Sphinx calls this)."""
    app.add_lexer("conf", TextLexer)  # nobody has one for nats-server's configuration files
    app.connect("source-read", list_modules)
    app.connect("autodoc-process-docstring", plain_prose)
