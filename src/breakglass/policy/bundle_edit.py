"""Small changes to ``breakglass.yaml`` that keep every comment, the order, and all other bytes.

Each finds its place by the reader that everybody reads bundles with. What does not stand in the
form that is changed here is refused with its place and the line to write: a person's edit is
better than a guess.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError
from breakglass.policy.bundle import MAIN_FILE
from breakglass.policy.yaml_nodes import Fields, Items, Node, Place, Scalar, parse_yaml
from breakglass.records.signing.person_key import without_comment

_PLAIN = re.compile(r"(group:)?[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)
_LISTS = re.compile(
    r"groups\.[^:]+\.(members|else)|glasses\.[^:]+\.(who|approvers\.from|review\.by)|kill|readers"
)
_ONES = re.compile(
    r"gates\.[^:]+\.owner|groups\.[^:]+\.certified\.by|factors\.down\.approved_by"
    r"|(maintainers|custodians)\.of\[\d+\]|glasses\.[^:]+\.seal\.custodians\[\d+\]"
)


def with_version(text: str, version: int) -> str:
    """Return the file with another version.

    Raises:
        RefusedError: ``by_hand``: it does not stand as a plain number.
    """
    return _with_number(text, "version", version)


def with_need(text: str, need: int) -> str:
    """Return the file with another number of maintainers who have to sign.

    Raises:
        RefusedError: ``by_hand``: it does not stand as a plain number.
    """
    return _with_number(text, "maintainers.need", need)


def with_people(text: str, path: str, names: Sequence[str]) -> str:
    """Return the file with ``names`` as the list at ``path``: ``kill``, ``maintainers.of``.

    Raises:
        RefusedError: ``by_hand``: it is no list in brackets on one line, or nobody would be left.
    """
    node = _at(text, path)
    wanted = f"[{', '.join(map(_written, names))}]"
    line = text.splitlines()[node.place.line - 1][node.place.column - 1 :]
    end = line.find("]") + 1
    if not isinstance(node, Items) or not line.startswith("[") or not end or not names:
        raise by_hand(node.place, f"{path.rpartition('.')[2]}: {wanted}")
    return _spliced(text, node.place, end, wanted)


def with_member(text: str, path: str, name: str) -> str:
    """Return the file with ``name`` in the list at ``path``; unchanged if there.

    Raises:
        RefusedError: ``by_hand``; see ``with_people``.
    """
    standing = [each.text for each in _scalars(_at(text, path))]
    return text if name in standing else with_people(text, path, [*standing, name])


def with_person(text: str, name: str, keys: Sequence[str], shown: str = "") -> str:
    """Return the file with one person more, behind the line ``people:``; unchanged if there.

    Args:
        text: the file.
        name: their handle.
        keys: their public keys.
        shown: how people are told of them; the handle if empty.

    Raises:
        RefusedError: ``by_hand``: people do not stand one below the other; ``person``: they are
            there with other keys.
    """
    node = _at(text, "people")
    if isinstance(node, Fields) and name in node.entries:
        theirs = _at(text, f"people.{name}.keys")
        found = {without_comment(each.text) for each in _scalars(theirs)}
        if {without_comment(each) for each in keys} <= found:
            return text
        raise by_hand(theirs.place, f"keys: [{', '.join(map(json.dumps, keys))}]")
    root = parse_yaml(MAIN_FILE, text.encode())
    head = root.keys["people"].line
    entry = f"{name}: {{name: {json.dumps(shown or name)}, keys: [{', '.join(map(_key, keys))}]}}"
    first = (
        min((each.line for each in node.keys.values()), default=head)
        if isinstance(node, Fields)
        else head
    )
    if not isinstance(node, Fields) or first == head:
        raise by_hand(node.place, entry)
    indent = " " * (min(each.column for each in node.keys.values()) - 1)
    lines = text.split("\n")
    return "\n".join([*lines[:head], f"{indent}{entry}", *lines[head:]])


def with_channel(text: str, name: str, written: str) -> str:
    """Return the file with one channel as ``written``, in the place of one of that name.

    Args:
        text: the file.
        name: the channel's.
        written: its fields, such as ``{webhook: "secret:chat"}``.

    Raises:
        RefusedError: ``by_hand``: channels do not stand one below the other.
    """
    root = parse_yaml(MAIN_FILE, text.encode())
    node, head, entry = root.entries["channels"], root.keys["channels"].line, f"{name}: {written}"
    if not isinstance(node, Fields) or min(each.line for each in node.keys.values()) == head:
        raise by_hand(node.place, entry)
    lines = text.split("\n")
    if name not in node.entries:
        indent = " " * (min(each.column for each in node.keys.values()) - 1)
        return "\n".join([*lines[:head], f"{indent}{entry}", *lines[head:]])
    place, line = node.entries[name].place, lines[node.entries[name].place.line - 1]
    end = line.find("}", place.column - 1) + 1
    if place.line != node.keys[name].line or not end or line[place.column - 1] != "{":
        raise by_hand(node.keys[name], entry)
    return _spliced(text, place, end - place.column + 1, written)


def without_person(text: str, name: str) -> str:
    """Return the file without a person, wherever they stand; unchanged if they do not.

    Raises:
        RefusedError: ``by_hand``, with the place: somebody else has to take a place of theirs
            first, a list would be left empty, or the place is of another form.
    """
    text = _out_of_lists(text, name)
    root = parse_yaml(MAIN_FILE, text.encode())
    people = root.entries["people"]
    if not isinstance(people, Fields) or name not in people.entries:
        return text
    begin = people.keys[name].line
    if begin == root.keys["people"].line:
        raise by_hand(people.keys[name], f"people without {name}")
    after = [each.line for each in (*people.keys.values(), *root.keys.values())]
    lines = text.split("\n")
    end = min((line for line in after if line > begin), default=len(lines) + 1)
    while end - 1 > begin and not lines[end - 2].split("#")[0].strip():
        end -= 1  # a comment or an empty line above the next one is that one's
    return "\n".join([*lines[: begin - 1], *lines[end - 1 :]])


def by_hand(place: Place, line: str) -> RefusedError:
    """Make the error that says where to write what."""
    return RefusedError(
        f"{place}: this place is better changed by hand; nothing was written",
        name=ErrorName.BY_HAND,
        hint=f"write there: {line}",
    )


def _with_number(text: str, path: str, number: int) -> str:
    node = _at(text, path)
    if not isinstance(node, Scalar) or not node.plain or not node.text.isdecimal():
        raise by_hand(node.place, f"{path.rpartition('.')[2]}: {number}")
    return _spliced(text, node.place, len(node.text), str(number))


def _out_of_lists(text: str, name: str) -> str:
    for node in _all(parse_yaml(MAIN_FILE, text.encode())):
        if isinstance(node, Scalar) and node.text == name and _ONES.fullmatch(node.path):
            raise by_hand(node.place, f"somebody else in the place of {name}")
    while True:
        standing = next(
            (
                node
                for node in _all(parse_yaml(MAIN_FILE, text.encode()))
                if isinstance(node, Items)
                and _LISTS.fullmatch(node.path)
                and name in [each.text for each in _scalars(node)]
            ),
            None,
        )
        if standing is None:
            return text
        left = [each.text for each in _scalars(standing) if each.text != name]
        text = with_people(text, standing.path, left)


def _at(text: str, path: str) -> Node:
    for node in _all(parse_yaml(MAIN_FILE, text.encode())):
        if node.path == path:
            return node
    raise RefusedError(
        f"there is no {path!r} in this policy; nothing was written", name=ErrorName.BY_HAND
    )


def _all(node: Node) -> list[Node]:
    found: list[Node] = [node]
    below = node.items if isinstance(node, Items) else ()
    below = tuple(node.entries.values()) if isinstance(node, Fields) else below
    for each in below:
        found += _all(each)
    return found


def _scalars(node: Node) -> list[Scalar]:
    return [each for each in _all(node) if isinstance(each, Scalar)]


def _spliced(text: str, place: Place, length: int, new: str) -> str:
    lines = text.split("\n")
    line, at = lines[place.line - 1], place.column - 1
    lines[place.line - 1] = f"{line[:at]}{new}{line[at + length :]}"
    return "\n".join(lines)


def _key(text: str) -> str:
    return json.dumps(without_comment(text))


def _written(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else json.dumps(name)
