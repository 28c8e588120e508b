"""YAML as a small tree in which every value knows its place; nothing is guessed, nothing repeats.

Only the syntax of YAML is used here. Types come from whoever reads the tree, so ``on`` stays
``on`` and ``1.10`` stays ``1.10``. Anchors, aliases, tags, merge keys and a second document are
refused: each lets a reviewer see another policy than the one that takes force.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, MisconfiguredError
from breakglass.policy.bundle import PACKED_BYTES_AT_MOST

BYTES_AT_MOST = PACKED_BYTES_AT_MOST
DEPTH_AT_MOST = 12
NODES_AT_MOST = 500_000  # 10,000 people with 50 values each


@dataclass(frozen=True)
class Place:
    """Where something stands: file, line and column, both counted from one."""

    file: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Scalar:
    """One value. ``plain`` says that it stood without quotes."""

    text: str
    plain: bool
    place: Place
    path: str

    @property
    def nothing(self) -> bool:
        """Whether the value was left out: empty, ``~`` or ``null``."""
        return self.plain and self.text in {"", "~", "null", "Null", "NULL"}


@dataclass(frozen=True)
class Items:
    """A list."""

    items: tuple[Node, ...]
    place: Place
    path: str


@dataclass(frozen=True)
class Fields:
    """A mapping, in the order of the file; ``keys`` says where each key stands."""

    entries: Mapping[str, Node]
    keys: Mapping[str, Place]
    place: Place
    path: str


Node: TypeAlias = Scalar | Items | Fields


def wrong(
    node: Node,
    expected: str,
    got: str = "",
    *,
    name: ErrorName = ErrorName.BAD_POLICY,
    hint: str = "",
) -> MalformedError:
    """Make the one error of this room: ``file:line:column: path: expected … got …``."""
    return wrong_at(node.place, node.path, expected, got or describe(node), name=name, hint=hint)


def wrong_at(
    place: Place,
    path: str,
    expected: str,
    got: str,
    *,
    name: ErrorName = ErrorName.BAD_POLICY,
    hint: str = "",
) -> MalformedError:
    """As ``wrong``, for a place without a node."""
    return MalformedError(
        f"{place}: {path or 'bundle'}: expected {expected}, got {got}",
        name=name,
        hint=hint,
    )


def describe(node: Node) -> str:
    """Name what stands there, for the *got* of an error."""
    if isinstance(node, Items):
        return "a list"
    if isinstance(node, Fields):
        return "a mapping"
    return "nothing" if node.nothing else repr(node.text[:60])


def parse_yaml(file: str, content: bytes) -> Fields:
    """Read one YAML file whose top is a mapping.

    Raises:
        MalformedError: not UTF-8, not YAML, too large or deep, or a part of YAML that is refused.
        MisconfiguredError: the one parser that policies are read by is not installed.
    """
    if len(content) > BYTES_AT_MOST:
        raise wrong_at(
            Place(file),
            "",
            f"{BYTES_AT_MOST} bytes at most",
            str(len(content)),
            name=ErrorName.TOO_LARGE,
        )
    if not hasattr(yaml, "CSafeLoader"):
        raise MisconfiguredError(
            "PyYAML was built without libyaml here; no policy is read",
            hint="install a wheel: pip install --force-reinstall --only-binary :all: pyyaml",
        )
    try:
        text = content.decode("utf-8")
        builder = _Builder(file, yaml.parse(text, Loader=yaml.CSafeLoader))
        root = builder.document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file)
        problem = (error.problem or "something else").replace("\n", " ")[:200]
        raise wrong_at(place, "", "YAML", problem, name=ErrorName.NOT_YAML) from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # UnicodeDecodeError, characters that YAML forbids, escapes beyond Unicode.
        problem = " ".join(str(error).split())[:200]
        raise wrong_at(
            Place(file), "", "YAML in UTF-8", problem, name=ErrorName.NOT_YAML
        ) from error
    if not isinstance(root, Fields):
        raise wrong(root, "a mapping with 'version', 'people', 'glasses' …")
    return root


@dataclass
class _Builder:
    """Turns the parser's events into nodes, counting as it goes."""

    file: str
    events: Iterator[Event]
    nodes: int = field(default=0)

    def document(self) -> Node:
        root: Node = Scalar("", True, Place(self.file), "")
        documents = 0
        for event in self.events:
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise wrong_at(self._place(event), "", "one document", "a second '---'")
                root = self._node(next(self.events), "", 0)
        return root

    def _node(self, event: Event, path: str, depth: int) -> Node:
        place = self._place(event)
        self._refuse(event, place, path, depth)
        if isinstance(event, ScalarEvent):
            return Scalar(event.value, not event.style, place, path)
        if isinstance(event, SequenceStartEvent):
            return self._items(place, path, depth)
        return self._fields(place, path, depth)

    def _items(self, place: Place, path: str, depth: int) -> Items:
        items: list[Node] = []
        while not isinstance(event := next(self.events), SequenceEndEvent):
            items.append(self._node(event, f"{path}[{len(items)}]", depth + 1))
        return Items(tuple(items), place, path)

    def _fields(self, place: Place, path: str, depth: int) -> Fields:
        entries: dict[str, Node] = {}
        keys: dict[str, Place] = {}
        while not isinstance(event := next(self.events), MappingEndEvent):
            key = self._node(event, path, depth + 1)
            if not isinstance(key, Scalar) or key.nothing:
                raise wrong(key, "a name as key")
            if key.text in entries:
                raise wrong(
                    key,
                    "each key once",
                    f"{key.text[:60]!r} again (first in line {keys[key.text].line})",
                    name=ErrorName.DUPLICATE_KEY,
                )
            if key.plain and key.text == "<<":
                raise wrong(
                    key, "no merge keys", name=ErrorName.MERGE_KEY, hint="write the fields out"
                )
            below = f"{path}.{key.text}" if path else key.text
            entries[key.text] = self._node(next(self.events), below, depth + 1)
            keys[key.text] = key.place
        return Fields(entries, keys, place, path)

    def _refuse(self, event: Event, place: Place, path: str, depth: int) -> None:
        self.nodes += 1
        if self.nodes > NODES_AT_MOST:
            raise wrong_at(
                place, path, f"{NODES_AT_MOST} values at most", "more", name=ErrorName.TOO_LARGE
            )
        if depth > DEPTH_AT_MOST:
            raise wrong_at(
                place, path, f"{DEPTH_AT_MOST} levels at most", "more", name=ErrorName.TOO_DEEP
            )
        if isinstance(event, AliasEvent) or getattr(event, "anchor", None):
            # Ten lines of nested aliases stand for a billion values.
            raise wrong_at(
                place,
                path,
                "no anchors",
                "an anchor or alias",
                name=ErrorName.ANCHOR,
                hint="write the value out; what is reviewed must be what is read",
            )
        if tag := getattr(event, "tag", None):
            raise wrong_at(place, path, "no tags", repr(str(tag)[:40]), name=ErrorName.TAG)

    def _place(self, event: Event) -> Place:
        mark = event.start_mark
        return Place(self.file, mark.line + 1, mark.column + 1) if mark else Place(self.file)
