"""A small, strict part of YAML: nested mappings and lists of plain or quoted words, lines kept.

Enough for a rule file, without a dependency, and every complaint can name its line. Not read:
anchors, tags, block scalars, several documents. Everything is text; nobody's ``no`` turns false.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError


@dataclass(frozen=True)
class Text:
    """A word or sentence, and the line it stands on."""

    value: str
    line: int


@dataclass(frozen=True)
class Items:
    """A list."""

    values: tuple[Node, ...]
    line: int


@dataclass(frozen=True)
class Table:
    """A mapping; keys are unique."""

    values: dict[str, Node]
    line: int


Node = Text | Items | Table

_KEY = re.compile(
    r"""(?P<key>"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s:#'"\[{&*!|>%@`-][^:#]*?)\s*:(?:\s+|$)"""
)


@dataclass
class _Line:
    number: int
    indent: int
    text: str


def parse_rules(text: str, name: str) -> Table:
    """Read ``text`` into a tree; ``name`` is the file's name for messages.

    Raises:
        MalformedError: a line outside this part of YAML; the message names file and line.
    """
    lines = []
    for number, raw in enumerate(text.split("\n"), 1):
        if "\t" in raw[: len(raw) - len(raw.lstrip())]:
            raise _wrong(name, number, "a tab before the first word, wanted spaces")
        stripped = _without_comment(raw.rstrip("\r"))
        if stripped.strip() and stripped.strip() != "---":
            lines.append(_Line(number, len(stripped) - len(stripped.lstrip()), stripped.strip()))
    if not lines:
        raise _wrong(name, 1, "the file is empty")
    reader = _Reader(lines, name)
    node = reader.block(lines[0].indent)
    if reader.at < len(lines):
        raise _wrong(name, lines[reader.at].number, "the indentation fits nothing above")
    if not isinstance(node, Table):
        raise _wrong(name, 1, "wanted 'key: value' lines at the top")
    return node


class _Reader:
    def __init__(self, lines: list[_Line], name: str) -> None:
        self.lines, self.name, self.at = lines, name, 0

    def block(self, indent: int) -> Node:
        if self.lines[self.at].text.startswith(("- ", "-\x00")) or self.lines[self.at].text == "-":
            return self._items(indent)
        return self._table(indent)

    def _items(self, indent: int) -> Items:
        first, values = self.lines[self.at].number, []
        while self.at < len(self.lines) and self.lines[self.at].indent == indent:
            line = self.lines[self.at]
            if not (line.text.startswith("- ") or line.text == "-"):
                break
            rest = line.text[1:].strip()
            if rest and not _KEY.match(rest):
                values.append(self._scalar(rest, line.number))
                self.at += 1
            elif rest:
                # "- key: value": the mapping starts where its first key stands.
                inner = indent + len(line.text) - len(line.text[1:].lstrip())
                self.lines[self.at] = _Line(line.number, inner, rest)
                values.append(self._table(inner))
            else:
                values.append(self._below(indent, line.number))
        return Items(tuple(values), first)

    def _table(self, indent: int) -> Table:
        first = self.lines[self.at].number
        values: dict[str, Node] = {}
        while self.at < len(self.lines) and self.lines[self.at].indent == indent:
            line = self.lines[self.at]
            match = _KEY.match(line.text)
            if match is None:
                if line.text.startswith("- "):
                    break
                raise _wrong(self.name, line.number, f"wanted 'key: value', got {line.text[:40]!r}")
            key = self._plain(match["key"], line.number)
            if key in values:
                raise _wrong(self.name, line.number, f"'{key}' stands here a second time")
            rest = line.text[match.end() :].strip()
            if rest:
                values[key] = self._scalar(rest, line.number)
                self.at += 1
            else:
                values[key] = self._below(indent, line.number)
        return Table(values, first)

    def _below(self, indent: int, number: int) -> Node:
        self.at += 1
        if self.at < len(self.lines):
            line = self.lines[self.at]
            deeper = line.indent > indent
            if deeper or (line.indent == indent and line.text.startswith("- ")):
                return self.block(line.indent)
        return Text("", number)

    def _scalar(self, text: str, number: int) -> Node:
        if text.startswith("["):
            if not text.endswith("]"):
                raise _wrong(self.name, number, "a list in brackets must end on its own line")
            parts = re.findall(r"""\s*("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^,'"]+)""", text[1:-1])
            words = [part.strip() for part in parts if part.strip()]
            return Items(tuple(Text(self._plain(w, number), number) for w in words), number)
        if text[0] in "{&*!|>%@`":
            raise _wrong(self.name, number, f"{text[0]!r} is not read here; quote the value")
        return Text(self._plain(text, number), number)

    def _plain(self, text: str, number: int) -> str:
        if text.startswith('"'):
            try:
                return str(json.loads(text))
            except json.JSONDecodeError as error:
                hint = "a backslash in double quotes is doubled; single quotes keep it as it is"
                raise _wrong(
                    self.name, number, f"{text[:40]} does not end or escapes wrongly", hint
                ) from error
        if text.startswith("'"):
            if not re.fullmatch(r"'(?:[^']|'')*'", text):
                raise _wrong(self.name, number, f"{text[:40]} does not end")
            return text[1:-1].replace("''", "'")
        return text.strip()


def _without_comment(line: str) -> str:
    quote = ""
    for at, sign in enumerate(line):
        if quote:
            quote = "" if sign == quote and line[at - 1] != "\\" else quote
        elif sign in "\"'" and (at == 0 or line[at - 1] in " :[,-"):
            quote = sign
        elif sign == "#" and (at == 0 or line[at - 1] in " \t"):
            return line[:at].rstrip()
    return line.rstrip()


def _wrong(name: str, number: int, what: str, hint: str = "") -> MalformedError:
    return MalformedError(f"{name}:{number}: {what}", name=ErrorName.BAD_RULE_FILE, hint=hint)
