"""Reading accounts, what they share, and mappings from a configuration's tree.

The idea: as in `broker.confusers`, a function for each block. What several accounts must agree upon
(an import needs its export; `broker.checks` knows) is said of the whole ``accounts`` block, which
is where nats-server says it.

Neighbours: `broker.confread` calls `accounts` and `mappings`. Pure and linear, but for the look
from each import to its export.
"""

from __future__ import annotations

import re
from typing import Any

from broker.blocks import (
    DEFAULT_ACCOUNT,
    AccountBlock,
    Export,
    Import,
    MappingBlock,
    Target,
    UserBlock,
)
from broker.checks import crossing_problems
from broker.conf import ConfError, Node
from broker.confusers import is_subject, permissions, users, with_permissions
from broker.confvalues import Walk, entries, go_type, items, seconds, shown, text
from broker.subject import is_valid_publish
from broker.transform import compile as compile_transform

__all__ = ["accounts", "mappings"]

_RESPONSES = {
    "single": "single",
    "singleton": "single",
    "stream": "stream",
    "chunk": "chunked",
    "chunked": "chunked",
}


# ---------------------------------------------------------------- mappings


def mappings(walk: Walk, node: Node) -> tuple[MappingBlock, ...]:
    """A ``mappings`` block: which subject goes where."""
    read = [
        walk.attempt(_mapping, walk, node, source, value)
        for source, value in entries(node, "Expected mappings to be a map")
    ]
    return tuple(mapping for mapping in read if mapping is not None)


def _mapping(walk: Walk, block: Node, source: str, node: Node) -> MappingBlock:
    if not is_subject(source):
        raise block.wrong(f'Subject "{source}" is not a valid subject')
    adding = f'Error adding mapping for "{source}"'
    if isinstance(node.value, str):
        targets = [Target(node.value.encode())]
        adding += f' to "{node.value}"'
    else:
        entry = node.value if isinstance(node.value, list) else [node]
        targets = [_target(walk, value) for value in entry]
    problem = _mapping_problem(source, targets)
    if problem is not None:
        raise node.wrong(f"{adding} : {problem}")
    return MappingBlock(source.encode(), tuple(targets))


def _target(walk: Walk, node: Node) -> Target:
    if not isinstance(node.value, dict):
        raise node.wrong("Expected an entry for the mapping destination")
    noted = len(walk.errors)
    fields = walk.block(node, "target", {"weight": _weight})
    subject = fields.get("subject") or ""
    if len(walk.errors) > noted:
        raise walk.errors.pop()
    if "weight" not in fields:
        raise node.wrong(f'Missing weight for mapping destination "{subject}"')
    return Target(subject.encode(), fields["weight"])


def _mapping_problem(source: str, targets: list[Target]) -> str | None:
    seen: set[str] = set()
    for target in targets:
        subject = target.subject.decode()
        if subject in seen:
            return f'duplicate entry for "{subject}"'
        seen.add(subject)
        problem = _destination_problem(source, subject)
        if problem is not None:
            return problem
    if sum(target.weight for target in targets) > 100:
        return "total weight needs to be <= 100"
    return None


def _destination_problem(source: str, subject: str) -> str | None:
    try:
        compile_transform(source.encode(), subject.encode())
    except ValueError as error:
        return str(error)
    return None


def _weight(node: Node) -> int:
    weight: Any = node.value
    if isinstance(weight, str):
        digits = weight.removesuffix("%")
        if not re.fullmatch(r"[+-]?[0-9]{1,9}", digits):
            raise node.wrong(f'Invalid weight "{digits}" for mapping destination')
        weight = int(digits)
    if isinstance(weight, bool) or not isinstance(weight, int):
        raise node.wrong(f"Unknown entry type for weight of {shown(node)}")
    if not 0 <= weight <= 100:
        raise node.wrong(f"Invalid weight {weight} for mapping destination")
    return weight


# ---------------------------------------------------------------- accounts


def accounts(walk: Walk, node: Node) -> tuple[AccountBlock, ...]:
    """The ``accounts`` block: an array of names, or a map of blocks."""
    if isinstance(node.value, list):
        return _named(walk, node)
    noted = len(walk.errors)
    read: list[AccountBlock] = []
    for name, value in entries(node, "Expected accounts to be a map or an array of names"):
        # A key within the block that serves as a variable is no account.
        if not value.used:
            block = walk.attempt(_account, walk, name, value)
            read += [block] if block is not None else []
    # As nats-server: what one account says of another only makes sense when all are sound.
    if len(walk.errors) == noted:
        walk.errors += [node.wrong(problem) for problem in crossing_problems(read)]
    return tuple(read)


def _named(walk: Walk, node: Node) -> tuple[AccountBlock, ...]:
    read: dict[str, AccountBlock] = {}
    for value in items(node, ""):
        name = walk.attempt(text, value)
        if name == DEFAULT_ACCOUNT:
            walk.errors.append(value.wrong(f'"{name}" is a Reserved Account'))
        elif name in read:
            walk.errors.append(value.wrong(f"Duplicate Account Entry: {name}"))
        elif name is not None:
            read[name] = AccountBlock(name)
    return tuple(read.values())


def _account(walk: Walk, name: str, node: Node) -> AccountBlock:
    if not isinstance(node.value, dict):
        raise node.wrong("Expected map entries for accounts")
    if name == DEFAULT_ACCOUNT:
        raise node.wrong(f'"{name}" is a Reserved Account')
    flat: dict[str, Any] = {}  # what stands in blocks of its own, and not in the record
    readers = {
        "users": lambda value: _users(walk, value, name),
        "exports": lambda value: _exports(walk, value),
        "imports": lambda value: _imports(walk, value),
        "mappings": lambda value: mappings(walk, value),
        "default_permissions": lambda value: permissions(walk, value),
        "limits": lambda value: flat.update(_limits(walk, value)),
        "msg_trace": lambda value: flat.update(_trace(walk, value)),
    }
    fields = walk.block(node, "account", readers)
    fields["users"] = with_permissions(fields.get("users", ()), fields.get("default_permissions"))
    return AccountBlock(name=name, **fields, **flat)


def _users(walk: Walk, node: Node, name: str) -> tuple[UserBlock, ...]:
    read = users(walk, node, name)
    walk.users.append((node, read))
    return read


def _limits(walk: Walk, node: Node) -> dict[str, Any]:
    if not isinstance(node.value, dict):
        raise node.wrong(f"Expected account limits to be a map/struct, got {shown(node)}")
    return walk.block(node, "limits")


def _trace(walk: Walk, node: Node) -> dict[str, Any]:
    if isinstance(node.value, str):
        return {"trace_destination": _destination(node)}
    wanted = "Expected account message trace to be a string or a map/struct"
    readers = {"dest": _destination, "sampling": _sampling}
    noted = len(walk.errors)
    fields = walk.block(node, "msg_trace", readers, wanted)
    if len(walk.errors) > noted:
        return {}
    if "trace_sampling" in fields and "trace_destination" not in fields:
        walk.warn(node, "Trace destination sampling ignored since no destination was set")
    return fields


def _destination(node: Node) -> bytes:
    if not isinstance(node.value, str):
        raise node.wrong(f'Field "dest" should be a string, got {go_type(node)}')
    subject = node.value.encode()
    if not is_valid_publish(subject) or re.search(rb"\s", subject):
        raise node.wrong(f'Trace destination "{node.value}" is not valid')
    return subject


def _sampling(node: Node) -> int:
    share: Any = node.value
    if isinstance(share, str):
        if not re.fullmatch(r"[+-]?[0-9]{1,9}%?", share):
            raise node.wrong(f'Invalid trace destination sampling value "{share}"')
        share = int(share.removesuffix("%"))
    if isinstance(share, bool) or not isinstance(share, int):
        raise node.wrong(
            'Trace destination sampling field "sampling" should be an integer or a percentage, '
            f"got {go_type(node)}"
        )
    if not 1 <= share <= 100:
        # The first word is nats-server's, letter by letter.
        raise node.wrong(
            f"Ttrace destination sampling value {share} is invalid, needs to be [1..100]"
        )
    return share


def _exports(walk: Walk, node: Node) -> tuple[Export, ...]:
    read = [
        walk.attempt(_export, walk, value) for value in items(node, "Exports should be an array")
    ]
    return tuple(export for export in read if export is not None)


def _export(walk: Walk, node: Node) -> Export | None:
    values = _one_of(node, "Export", 'Detected {new} "{text}" but already saw a {old}')
    service = values.get("service")
    for name in ("response", "threshold", "allow_trace"):
        if name in values and service is None:
            said = name if name == "allow_trace" else "response"
            raise values[name].wrong(f"Detected {said} directive on non-service")
    noted = len(walk.errors)
    readers = {"response": _response, "threshold": _threshold}
    fields = walk.block(node, "export", readers)
    if len(walk.errors) > noted or "subject" not in fields:
        return None
    subject = _subject(service or values["stream"], fields.pop("subject"))
    return Export(subject, service is not None, **fields)


def _subject(node: Node, word: str | None) -> bytes:
    if not word or not is_subject(word):
        raise node.wrong(f'subject "{word or ""}" is not a valid subject')
    return word.encode()


def _one_of(node: Node, what: str, clash: str) -> dict[str, Node]:
    """The values of an export or import by lower name; it is of a stream or of a service."""
    wanted = f"{what} Items should be a map with type entry"
    values = {name.lower(): value for name, value in entries(node, wanted)}
    kinds = [name for name in values if name in ("stream", "service")]
    if len(kinds) > 1:
        second = values[kinds[1]]
        shown_text = second.value if isinstance(second.value, str) else ""
        raise second.wrong(clash.format(new=kinds[1], old=kinds[0], text=shown_text))
    return values


def _response(node: Node) -> str:
    word = text(node)
    if word.lower() not in _RESPONSES:
        raise node.wrong(f'Unknown response type: "{word}"; give single, stream or chunked')
    return _RESPONSES[word.lower()]


def _threshold(node: Node) -> float:
    wanted = "Expected response threshold to be a parseable time duration, got "
    if not isinstance(node.value, str):
        raise node.wrong(wanted + go_type(node))
    try:
        return seconds(node)
    except ConfError:
        raise node.wrong(f'{wanted}"{node.value}"') from None


def _imports(walk: Walk, node: Node) -> tuple[Import, ...]:
    read: list[Import] = []
    for value in items(node, "Imports should be an array"):
        block = walk.attempt(_import, walk, value)
        if block is None:
            continue
        twin = next((other for other in read if _same_service(block, other)), None)
        if twin is None:
            read.append(block)
            continue
        walk.errors.append(
            value.wrong(
                f'Duplicate service import subject "{_here(block)}", previously used in import '
                f'for account "{twin.account}", subject "{twin.subject.decode()}"'
            )
        )
    return tuple(read)


def _same_service(a: Import, b: Import) -> bool:
    return a.service and b.service and (a.account, _here(a)) == (b.account, _here(b))


def _here(block: Import) -> str:
    return (block.to or block.subject).decode()


def _import(walk: Walk, node: Node) -> Import | None:
    values = _one_of(node, "Import", "Detected {new} but already saw a {old}")
    kind = next((name for name in ("stream", "service") if name in values), None)
    if kind == "service" and "allow_trace" in values:
        raise values["allow_trace"].wrong("Detected allow_trace directive on a non-stream")
    noted = len(walk.errors)
    source: dict[str, Any] = {}
    reader = {"stream": lambda value: source.update(_source(walk, value))}
    reader["service"] = reader["stream"]
    fields = walk.block(node, "import", reader)
    if len(walk.errors) > noted or kind is None:
        return None
    if kind == "stream" and fields.get("prefix") and fields.get("to"):
        raise values["to"].wrong("Stream import can not have a 'prefix' and a 'to' property")
    fields = {name: _bytes(value) for name, value in fields.items() if value is not None}
    subject = _subject(values[kind], source["subject"])
    return Import(source["account"], subject, kind == "service", **fields)


def _bytes(value: str | bool) -> bytes | bool:
    return value.encode() if isinstance(value, str) else value


def _source(walk: Walk, node: Node) -> dict[str, Any]:
    fields = walk.block(node, "source", wanted="Stream entry should be an account map")
    if not fields.get("account") or not fields.get("subject"):
        raise node.wrong("Expect an account name and a subject")
    return fields
