"""The grammar of configuration files: what each spelling means, and what a broken one is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.conf import MAX_DEPTH, ConfError, Node, parse


def no_files(name: str, including: str) -> str:
    raise FileNotFoundError(2, "No such file or directory", name)


def plain(node: Node) -> Any:
    """A node without its places."""
    if isinstance(node.value, dict):
        return {key: plain(value) for key, value in node.value.items()}
    if isinstance(node.value, list):
        return [plain(value) for value in node.value]
    return node.value


def read(text: str, environ: Mapping[str, str] | None = None, **files: str) -> Any:
    def load(name: str, including: str) -> str:
        return files[name] if name in files else no_files(name, including)

    return plain(parse(text, "dir/s.conf", load, environ or {}))


def refusal(text: str, environ: Mapping[str, str] | None = None, **files: str) -> str:
    with pytest.raises(ConfError) as caught:
        read(text, environ, **files)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("# nothing\n// at all", {}),
        ("port: 4222", {"port": 4222}),
        ("port = 4222", {"port": 4222}),
        ("port 4222", {"port": 4222}),
        ("port=4222", {"port": 4222}),
        ('"port": 4222', {"port": 4222}),
        ("'port' 4222", {"port": 4222}),
        ('{ "port": 4222, "debug": true }', {"port": 4222, "debug": True}),
        ('{\n "port": 4222\n "debug": true\n}\n', {"port": 4222, "debug": True}),
        ("a: 1, b: 2; c: 3\nd: 4", {"a": 1, "b": 2, "c": 3, "d": 4}),
        ("a: 1 # one\nb: 2 // two\n", {"a": 1, "b": 2}),
        ("a: 1\r\nb: 2\r\n", {"a": 1, "b": 2}),
        ("a: yes, b: On, c: TRUE", {"a": True, "b": True, "c": True}),
        ("a: no, b: off, c: False", {"a": False, "b": False, "c": False}),
        ("a: 'yes'", {"a": "yes"}),
        ("a: -1", {"a": -1}),
        ("a: 1.5, b: -0.5", {"a": 1.5, "b": -0.5}),
        ("a: 1k, b: 1kb, c: 1ki, d: 1KiB", {"a": 1000, "b": 1024, "c": 1024, "d": 1024}),
        ("a: 2m, b: 2MB", {"a": 2_000_000, "b": 2 << 20}),
        ("a: 1g, b: 1gib, c: 1t, d: 1tb", {"a": 10**9, "b": 1 << 30, "c": 10**12, "d": 1 << 40}),
        ("a: 10s", {"a": "10s"}),
        ("a: 100ms", {"a": "100ms"}),
        ("a: 127.0.0.1:4222", {"a": "127.0.0.1:4222"}),
        ("a: localhost:4222", {"a": "localhost:4222"}),
        ("a: nats://u:p@h:1/x#y", {"a": "nats://u:p@h:1/x#y"}),
        ("a: foo.*.>", {"a": "foo.*.>"}),
        (r'a: "x\ty\n\"\\\x41"', {"a": 'x\ty\n"\\A'}),
        (r"a: 'x\ty'", {"a": r"x\ty"}),
        (r"a: x\ty", {"a": "x\ty"}),
        ("a: ''", {"a": ""}),
        ("a: [1, 2,3]", {"a": [1, 2, 3]}),
        ("a: [\n 1 # one\n 2,\n]", {"a": [1, 2]}),
        ("a: [ 'x', y, {b: 1} ]", {"a": ["x", "y", {"b": 1}]}),
        ("a []", {"a": []}),
        ("a {}", {"a": {}}),
        ("a { b: 1\n c { d: 2 } }\ne: 3", {"a": {"b": 1, "c": {"d": 2}}, "e": 3}),
        ("a\n{\n b:\n 1\n}", {"a": {"b": 1}}),
        ("a: 1\na: 2", {"a": 2}),
        ("a: (\nline # one\nline ) two\n)\nb: 1", {"a": "\nline # one\nline ) two\n", "b": 1}),
        ("x: 5\na: $x", {"x": 5, "a": 5}),
        ("x: 5\na { b: $x }", {"x": 5, "a": {"b": 5}}),
        ("x: 5\na { x: 6, b: $x }", {"x": 5, "a": {"x": 6, "b": 6}}),
        ("x: [1, 2]\na: $x", {"x": [1, 2], "a": [1, 2]}),
        ("a: '$x'", {"a": "$x"}),
        ("a: $2a$11$abc", {"a": "$2a$11$abc"}),
        ("a: $2b$11$abc", {"a": "$2b$11$abc"}),
    ],
)
def test_a_text_means_this_tree(text: str, expected: object) -> None:
    assert expected == read(text)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("4333", 4333), ("a b", None), ("'a b'", "a b"), ("true", True), ("[1, 2]", [1, 2])],
)
def test_a_variable_may_come_from_the_environment(value: str, expected: object) -> None:
    if expected is None:
        assert "variable reference for 'X' on line 1 could not be parsed" in refusal(
            "a: $X", {"X": value}
        )
    else:
        assert {"a": expected} == read("a: $X", {"X": value})


def test_variables_of_the_environment_that_ask_for_one_another_are_refused() -> None:
    text = refusal("a: $X", {"X": "$Y", "Y": "$X"})
    assert "variable reference cycle for 'X'" in text


def test_a_variable_that_was_asked_for_is_marked_as_used() -> None:
    tree = parse("x: 5\ny: 6\na: $x", "f", no_files, {}).value
    assert isinstance(tree, dict)
    assert [True, False, False] == [node.used for node in tree.values()]


def test_an_include_puts_the_keys_of_another_file_in_its_place() -> None:
    expected = {"a": 1, "users": {"b": 2}, "c": {"b": 2}}
    assert expected == read("a: 1\nusers { include 'x' }\ninclude y", x="b: 2", y="c { include x }")


def test_a_later_key_overrides_that_of_an_include() -> None:
    assert {"a": 2} == read("include x\na: 2", x="a: 1")


def test_an_included_key_knows_its_own_file() -> None:
    tree = parse("include 'sub/x'", "dir/s.conf", lambda *_: "\n  a: 1", {}).value
    assert isinstance(tree, dict)
    assert ("dir/sub/x", 2, 3) == (tree["a"].file, tree["a"].line, tree["a"].column)


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        ("a: 1", ["a"], (1, 0)),
        ("a: 1, b: 2", ["b"], (1, 6)),
        ("\n  a: 1", ["a"], (2, 3)),
        ("a: 1\n'b': 1", ["b"], (2, 2)),
        ("a {\n  b: 1\n}", ["a", "b"], (2, 3)),
        ("a: [ {b: 1} ]", ["a", 0], (1, 11)),
        ("a: [\n {b: 1}\n]", ["a", 0], (2, 8)),
        ("a: [\n x\n]", ["a", 0], (2, 2)),
    ],
)
def test_places_are_the_ones_nats_server_reports(
    text: str, path: list[Any], expected: tuple[int, int]
) -> None:
    node: Any = parse(text, "f", no_files, {})
    for step in path:
        node = node.value[step]
    assert expected == (node.line, node.column)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "port: 4222 debug: true",
            "Parse error on line 1: 'Expected a top-level value to end with a new line, comment "
            "or EOF, but got 'd' instead.' (dir/s.conf:1:11)",
        ),
        ("a {\n b: 1 c: 2 }", 'Expected a map value terminator "," or a map terminator "}"'),
        ("a [1 2]", 'Expected an array value terminator "," or an array terminator "]"'),
        ("a [1; 2]", "but got ';' instead"),
        ("a [1,,2]", "Unexpected array value terminator ','."),
        (": 1", "Unexpected key separator ':'"),
        ("a: 1,, b: 2", "Unexpected ',' where a key should stand"),
        ("a: 1\n}", "Unexpected '}' where a key should stand"),
        ("a:\n1", "Expected value but found new line"),
        ("a", "Expected a value but the file ends"),
        ("a:", "Expected a value but the file ends"),
        ("a: ,", "Expected a value but found ','"),
        ("a: 'x", "Parse error on line 1: 'Unexpected EOF.'"),
        ('a: "x', "Parse error on line 1: 'Unexpected EOF.'"),
        ("'a: 1", "Unexpected EOF processing quoted map key."),
        ("a {\n b: 1\n", "Parse error on line 3: 'Unexpected EOF processing map.'"),
        ("{\n b: 1\n", "Unexpected EOF processing map."),
        ("a [\n 1\n", "Unexpected EOF processing array."),
        ("a: (\nx", "Unexpected EOF processing block."),
        ("a: .5", "Floats must start with a digit"),
        ("a: -x", "put a text that begins with a dash in quotes"),
        (r'a: "\q"', "Invalid escape character 'q'"),
        (r'a: "\x4"', r"Expected two hexadecimal digits after '\x'"),
        ("a: 9223372036854775808", "integer '9223372036854775808' is out of the range"),
        ("a: 10e", "integer '10e' is out of the range"),
        ("a: " + "9" * 5000, "is out of the range"),
        (
            "port: $NOPE",
            "variable reference for 'NOPE' on line 1 can not be found (dir/s.conf:1:11)",
        ),
        (
            'include "nope.conf"',
            "error parsing include file 'nope.conf', open dir/nope.conf: no such file or directory",
        ),
        ("include {", "Expected include value"),
        ("a: " + "[" * 1000, f"may lie {MAX_DEPTH} deep in one another"),
        ("a {" * 1000, f"may lie {MAX_DEPTH} deep in one another"),
    ],
)
def test_a_broken_text_is_told_what_and_where(text: str, expected: str) -> None:
    assert expected in refusal(text)


def test_a_mistake_in_an_include_names_both_files() -> None:
    expected = (
        "error parsing include file 'x', Parse error on line 2: 'Expected a value but the file "
        "ends' (dir/x:2:3)"
    )
    assert expected == refusal("include x", x="\na:")


@pytest.mark.parametrize(
    "files", [{"x": "include x"}, {"x": "include s.conf"}, {"x": "include y", "y": "include x"}]
)
def test_an_include_of_itself_is_refused(files: dict[str, str]) -> None:
    assert "it includes itself" in refusal("include x", None, **files)


_PIECES = st.sampled_from(
    [
        *"{}[](),;:=#'\"\\\n\r\t .$-0a",
        "//",
        "1k",
        "1.2",
        "include ",
        "include x\n",
        "$a",
        "a: 1\n",
        "a {",
        "\\x",
        "\n)\n",
        "yes",
        "é",
        "٣",
    ]
)


@settings(deadline=None)
@given(st.lists(_PIECES, max_size=30).map("".join))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    try:
        tree = parse(text, "f", lambda *_: "a: [1, {b: $c}]", {"c": "1"})
    except ConfError as error:
        assert 1 <= error.line <= text.count("\n") + 1
        assert error.column >= 0
    else:
        assert isinstance(tree.value, dict)


_JSON = st.recursive(
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text(st.characters(min_codepoint=32, exclude_characters='"\\'), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("abcxyz", min_size=1, max_size=4), inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(st.dictionaries(st.text("abcxyz", min_size=1, max_size=4), _JSON, max_size=4))
def test_json_is_a_part_of_the_language(tree: dict[str, Any]) -> None:
    import json

    assert tree == read(json.dumps(tree, ensure_ascii=False))
