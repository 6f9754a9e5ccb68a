"""The grammar of nats-server's configuration files: text in, a tree of nodes out.

The idea: this file knows how a configuration is *written* and not one key of it; `broker.confread`
knows the keys and never sees text. Between them stands the `Node`: a value that remembers where it
came from, so that whoever finds it wanting can say so by file, line and column.

The grammar, in short. A file is a map without its braces, or with them, which makes JSON a part of
the language. A key is a word or quoted; ``:``, ``=`` or just a blank follows it, then a value: a
quoted text, a bare word, a number with or without a size (``8k`` is 8000, ``8kb`` 8192), ``true``
``yes`` ``on`` and their opposites, a block of lines in round brackets, an ``[array]`` or a
``{map}``. Values end at a line's end, a comma or a semicolon. ``#`` and ``//`` begin a comment
where a key or a separator could stand. ``$NAME`` is the value of the key NAME in the same map or
one around it, else of the environment; ``include "file"`` puts another file's keys in its place.

Positions are the ones that nats-server reports: the key's for what has a key, the closing brace's
for a map in an array; columns count from 0 in the first line and from 1 below it, an oddity that
scripts which compare messages would notice if we mended it.

Stricter than nats-server where it would let a slip pass: an unclosed brace around the whole file, a
brace that was never opened, an empty bare value. More lenient in ``[1,2]`` (there the bracket
becomes part of the 2) and with an include by its absolute path.

Invariants: `parse` is a pure function of its arguments (files are read by the caller's `Load`), and
whatever the text, it returns or raises `ConfError`. Cost: linear in the text. Source:
``conf/lex.go`` and ``conf/parse.go`` of nats-server 2.15.1, whose behaviour is followed.
"""

from __future__ import annotations

import posixpath
import re
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn, Union

__all__ = ["ConfError", "Load", "Node", "Value", "parse"]

#: Reads the text of an included file: (its name as written, the including file) -> text.
Load = Callable[[str, str], str]

Value = Union[str, int, float, bool, "dict[str, Node]", "list[Node]"]

#: How deep maps, arrays and includes may lie in one another: far below Python's own limit.
MAX_DEPTH = 64

_SIZES = {"": 1} | {
    letter + unit: (1000 if not unit else 1024) ** power
    for power, letter in enumerate("kmgtpe", start=1)
    for unit in ("", "b", "i", "ib")
}
_SWITCHES = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", '"': '"', "\\": "\\"}

_BLANKS = re.compile(r"[ \t]*")
_SPACE = re.compile(r"\s*")
_KEY = re.compile(r"[^\s:=]+")
_COMMENT = re.compile(r"(?:#|//)[^\r\n]*")
_NUMBER = re.compile(r"(-?\d+)([kmgtpe](?:b|ib?)?)?(?=[\s,;}\]]|\Z)", re.IGNORECASE)
_FLOAT = re.compile(r"-?\d+\.\d+(?![\d.])")
_ADDRESS = re.compile(r"\d+\.\d+\.[\d.:-]*")
_BARE_END = re.compile(r"[\s;,\]}']|\Z")
_QUOTED_END = re.compile(r'["\\]')
_INCLUDED = re.compile(r"""'([^']*)'|"([^"]*)"|([^\s;}'"\[{(\\\d-][^\s;}']*)'?""")
_BLOCK_END = re.compile(r"\n\)(?=\n|\Z)")
_HEX = re.compile(r"[0-9A-Fa-f]{2}")
_BCRYPT = re.compile(r"\$2[aby]\$")


class ConfError(ValueError):
    """What is wrong with a configuration, and where.

    The text begins with ``file:line:column:``, except that of a mistake in the writing itself,
    which nats-server words without a place; there it stands in brackets at the end.
    """

    def __init__(
        self, file: str, line: int, column: int, problem: str, *, grammar: bool = False
    ) -> None:
        place = f"{file}:{line}:{column}"
        super().__init__(f"{problem} ({place})" if grammar else f"{place}: {problem}")
        self.file = file
        self.line = line
        self.column = column
        self.problem = problem


@dataclass
class Node:
    """A value and where it stands. `used`: some ``$NAME`` has asked for it. Owned by one thread."""

    value: Value
    line: int
    column: int
    file: str
    quoted: bool = False
    used: bool = False

    def wrong(self, problem: str) -> ConfError:
        """The error that this value is."""
        return ConfError(self.file, self.line, self.column, problem)


def parse(text: str, file: str, load: Load, environ: Mapping[str, str]) -> Node:
    """Read a whole configuration: a node that is a map. `file` is shown in errors, and includes
    are found relative to it.

    Raises:
        ConfError: the text, or that of an included file, is not a configuration.
    """
    return Node(_Parser(text, file, load, environ, ()).top(), 1, 0, file)


class _Parser:
    """Recursive descent over one text; a parser of its own reads each include and each variable of
    the environment. `above` are the names of those being read, the outermost first.
    """

    def __init__(
        self, text: str, file: str, load: Load, environ: Mapping[str, str], above: tuple[str, ...]
    ) -> None:
        self._text = text
        self._file = file
        self._load = load
        self._environ = environ
        self._above = above
        self._at = 0
        self._depth = len(above)
        self._maps: list[dict[str, Node]] = []
        self._newlines = [match.start() for match in re.finditer("\n", text)]

    # ------------------------------------------------------------ maps and arrays

    def top(self) -> dict[str, Node]:
        """The whole text: keys, with or without braces around them."""
        entries: dict[str, Node] = {}
        self._maps.append(entries)
        while self._skip_to_something():
            if self._take("{"):
                self._entries(entries, closed_by="}")
            else:
                self._entry(entries)
                self._end_of_value(
                    "", "Expected a top-level value to end with a new line, comment or EOF"
                )
        return entries

    def _entries(self, entries: dict[str, Node], closed_by: str) -> None:
        """The keys of a map, up to and with its closing brace."""
        while True:
            if not self._skip_to_something():
                self._fail("Unexpected EOF processing map.")
            if self._take(closed_by):
                return
            self._entry(entries)
            self._end_of_value(
                closed_by, 'Expected a map value terminator "," or a map terminator "}"'
            )

    def _entry(self, entries: dict[str, Node]) -> None:
        start, key, quoted = self._key()
        if key.lower() == "include" and not quoted and self._peek() in " \t\r\n" and self._peek():
            self._include(entries)
            return
        self._skip(_SPACE)
        if self._peek() in (":", "="):
            self._at += 1
            # In a map the value may stand in the next line, at the top it may not.
            self._skip(_SPACE if len(self._maps) > 1 else _BLANKS)
        node = self._value()
        node.line, node.column = self._place(start)
        entries[key] = node

    def _key(self) -> tuple[int, str, bool]:
        quote = self._peek()
        if quote in ("'", '"'):
            start = self._at + 1
            end = self._text.find(quote, start)
            if end < 0:
                self._fail("Unexpected EOF processing quoted map key.")
            self._at = end + 1
            return start, self._text[start:end], True
        found = _KEY.match(self._text, self._at)
        if found is None:
            self._fail(f"Unexpected key separator '{quote}'")
        if quote in ",;]}":
            self._fail(f"Unexpected '{quote}' where a key should stand")
        self._at = found.end()
        return found.start(), found[0], False

    def _end_of_value(self, closing: str, expected: str) -> None:
        """What may follow a value: a separator (taken), a closing bracket (left), or a comment."""
        self._skip(_BLANKS)
        if self._skip(_COMMENT):
            return
        after = self._peek()
        if after and after in ",;\r\n":
            self._at += 1
        elif after != closing:
            self._fail(f"{expected}, but got '{after or 'EOF'}' instead.")

    def _array(self) -> list[Node]:
        nodes: list[Node] = []
        while True:
            if not self._skip_to_something():
                self._fail("Unexpected EOF processing array.")
            if self._take("]"):
                return nodes
            if self._peek() == ",":
                self._fail("Unexpected array value terminator ','.")
            nodes.append(self._value())
            self._skip(_BLANKS)
            if self._peek() == ";":
                self._fail("Expected ',' or ']' in an array, but got ';' instead.")
            self._end_of_value(
                "]", 'Expected an array value terminator "," or an array terminator "]"'
            )

    # ------------------------------------------------------------ values

    def _value(self) -> Node:
        """One value, at which the position stands; the node has the place of its first character,
        and a map that of its end.
        """
        first = self._peek()
        if first and first in "\r\n":
            self._fail("Expected value but found new line")
        if not first:
            self._fail("Expected a value but the file ends")
        start = self._at
        if first in "[{":
            return self._nested(first)
        if first == "'":
            return self._node(start + 1, self._upto("'"), quoted=True)
        if first == '"':
            return self._node(start + 1, self._escaped(), quoted=True)
        if first == "(":
            return self._node(start + 1, self._block(), quoted=True)
        if first == ".":
            self._fail("Floats must start with a digit")
        if first == "-" or first.isdecimal():
            return self._number()
        return self._bare()

    def _nested(self, first: str) -> Node:
        start = self._at
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._fail(f"Maps and arrays may lie {MAX_DEPTH} deep in one another, and no deeper")
        self._at += 1
        node = self._node(start, [])
        if first == "[":
            node.value = self._array()
        else:
            entries: dict[str, Node] = {}
            node.value = entries
            self._maps.append(entries)
            self._entries(entries, closed_by="}")
            self._maps.pop()
            node.line, node.column = self._place(self._at)
        self._depth -= 1
        return node

    def _number(self) -> Node:
        start = self._at
        if address := _ADDRESS.match(self._text, start):
            self._at = address.end()
            return self._node(start, address[0])
        if number := _FLOAT.match(self._text, start):
            self._at = number.end()
            return self._node(start, float(number[0]))
        if number := _NUMBER.match(self._text, start):
            self._at = number.end()
            return self._node(start, self._integer(number[1], number[2] or ""))
        if self._peek() == "-":
            self._fail("Expected a digit after '-'; put a text that begins with a dash in quotes")
        return self._bare()

    def _integer(self, digits: str, size: str) -> int:
        # Twenty digits are out of range whatever they are, and Python's int() refuses thousands.
        number = int(digits) * _SIZES[size.lower()] if len(digits) <= 20 else 1 << 63
        if not -(1 << 63) <= number < 1 << 63:
            self._fail(f"integer '{digits[:40]}{size}' is out of the range")
        return number

    def _bare(self) -> Node:
        """A word without quotes: a switch, a variable or a text."""
        start = self._at
        parts: list[str] = []
        while True:
            end = _BARE_END.search(self._text, self._at)
            stop = len(self._text) if end is None else end.start()
            escape = self._text.find("\\", self._at, stop)
            if escape < 0:
                break
            parts += (self._text[self._at : escape], self._escape(escape))
        word = "".join(parts) + self._text[self._at : stop]
        self._at = stop
        if self._peek() == "'":
            self._at += 1
        elif not word:
            self._fail(f"Expected a value but found '{self._peek()}'")
        if parts:
            return self._node(start, word)
        if word.lower() in _SWITCHES:
            return self._node(start, _SWITCHES[word.lower()])
        if word.startswith("$") and not _BCRYPT.match(word):
            return self._variable(start, word[1:])
        return self._node(start, word)

    def _upto(self, quote: str) -> str:
        start = self._at + 1
        end = self._text.find(quote, start)
        if end < 0:
            self._fail("Unexpected EOF.")
        self._at = end + 1
        return self._text[start:end]

    def _escaped(self) -> str:
        """A text in double quotes, in which a backslash begins an escape."""
        parts: list[str] = []
        self._at += 1
        while True:
            end = _QUOTED_END.search(self._text, self._at)
            if end is None:
                self._fail("Unexpected EOF.")
            parts.append(self._text[self._at : end.start()])
            if end[0] == '"':
                self._at = end.end()
                return "".join(parts)
            parts.append(self._escape(end.start()))

    def _escape(self, at: int) -> str:
        """The character meant by the backslash at `at`; the position moves behind its letters."""
        letter = self._text[at + 1 : at + 2]
        self._at = at + 2
        if letter in _ESCAPES:
            return _ESCAPES[letter]
        if letter != "x":
            self._fail(
                f"Invalid escape character '{letter}'. Only the following escape characters are "
                r"allowed: \xXX, \t, \n, \r, \", \\."
            )
        digits = _HEX.match(self._text, self._at)
        if digits is None:
            self._fail(r"Expected two hexadecimal digits after '\x'")
        self._at = digits.end()
        return chr(int(digits[0], 16))

    def _block(self) -> str:
        """Lines in round brackets; the closing one stands alone at the beginning of a line."""
        start = self._at + 1
        end = _BLOCK_END.search(self._text, self._at)
        if end is None:
            self._fail("Unexpected EOF processing block.")
        self._at = end.end()
        return self._text[start : end.start() + 1]

    # ------------------------------------------------------------ variables and includes

    def _variable(self, start: int, name: str) -> Node:
        for entries in reversed(self._maps):
            if name in entries:
                entries[name].used = True
                return self._node(start, entries[name].value, quoted=entries[name].quoted)
        line = self._place(start)[0]
        reference = f"variable reference for '{name}' on line {line}"
        if f"${name}" in self._above:
            self._stop(f"{reference} could not be parsed: variable reference cycle for '{name}'")
        if name not in self._environ:
            self._stop(f"{reference} can not be found")
        inner = self._inner(f"x={self._environ[name]}", self._file, f"${name}")
        try:
            node = inner.top()["x"]
        except ConfError as error:
            self._stop(f"{reference} could not be parsed: {error.problem}")
        return self._node(start, node.value, quoted=node.quoted)

    def _include(self, entries: dict[str, Node]) -> None:
        self._skip(_BLANKS)
        found = _INCLUDED.match(self._text, self._at)
        if found is None:
            self._fail("Expected include value, the name of a file")
        self._at = found.end()
        name = found[1] or found[2] or found[3] or ""
        failed = f"error parsing include file '{name}'"
        path = posixpath.normpath(posixpath.join(posixpath.dirname(self._file), name))
        if path in self._above or path == self._file:
            self._stop(f"{failed}, it includes itself")
        try:
            text = self._load(name, self._file)
        except OSError as error:
            self._stop(f"{failed}, open {path}: {(error.strerror or str(error)).lower()}")
        try:
            entries.update(self._inner(text, path, path).top())
        except ConfError as error:
            raise ConfError(
                error.file, error.line, error.column, f"{failed}, {error.problem}", grammar=True
            ) from None

    def _inner(self, text: str, file: str, name: str) -> _Parser:
        if self._depth >= MAX_DEPTH:
            self._fail(f"Includes may lie {MAX_DEPTH} deep in one another, and no deeper")
        above = (*self._above, self._file, name) if not self._above else (*self._above, name)
        return _Parser(text, file, self._load, self._environ, above)

    # ------------------------------------------------------------ characters and places

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self, character: str) -> bool:
        if self._peek() != character:
            return False
        self._at += 1
        return True

    def _skip(self, what: re.Pattern[str]) -> bool:
        found = what.match(self._text, self._at)
        if found is None:
            return False
        self._at = found.end()
        return True

    def _skip_to_something(self) -> bool:
        """Past blanks, lines and comments; whether anything follows."""
        self._skip(_SPACE)
        while self._skip(_COMMENT):
            self._skip(_SPACE)
        return self._at < len(self._text)

    def _place(self, at: int) -> tuple[int, int]:
        line = bisect_right(self._newlines, at - 1)
        return line + 1, at - (self._newlines[line - 1] if line else 0)

    def _node(self, start: int, value: Value, *, quoted: bool = False) -> Node:
        return Node(value, *self._place(start), self._file, quoted)

    def _fail(self, problem: str) -> NoReturn:
        line = self._place(min(self._at, len(self._text)))[0]
        self._stop(f"Parse error on line {line}: '{problem}'")

    def _stop(self, problem: str) -> NoReturn:
        raise ConfError(self._file, *self._place(self._at), problem, grammar=True)
