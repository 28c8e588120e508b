"""A proposal as a change of the bundle's text: other bytes stay, and the result is read again."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta

from breakglass.policy.bundle import MAIN_FILE
from breakglass.policy.bundle_edit import by_hand, with_version
from breakglass.policy.factors import MFA_DOWN
from breakglass.policy.parse import Bundle, parse_bundle
from breakglass.policy.used.proposal import Proposal
from breakglass.policy.yaml_nodes import Fields, Items, Node, Place, Scalar, parse_yaml
from breakglass.records.platforms import MAY

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*", re.ASCII)


def narrowed_files(files: Mapping[str, bytes], proposal: Proposal) -> dict[str, bytes]:
    """Return the bundle's files with the proposal in them, under the next version.

    Raises:
        RefusedError: ``by_hand``, with the place and the line to write: something stands in a form
            that is not changed here, or the text would then say something else than was proposed.
        MalformedError: the bundle cannot be read.
    """
    before = parse_bundle(files)
    text = files[MAIN_FILE].decode()
    glass = f"glasses.{proposal.glass.name}"
    mint = f"{glass}.mint.{proposal.mint.platform}"
    limits = proposal.mint.limits
    for field, dimension in limits.dimensions.items():
        values = proposal.scope.get(dimension, ())
        if dimension in proposal.scope and values != proposal.mint.scope[dimension]:
            text = _with_values(text, f"{mint}.{field}", values)
    for field, word in limits.allows.items():
        if word in proposal.mint.scope.get(MAY, ()) and word not in proposal.scope.get(MAY, ()):
            text = _without_field(text, mint, field)
    if proposal.for_ != proposal.glass.for_:
        text = _with_span(text, f"{glass}.for", proposal.for_)
    text = with_version(text, before.version + 1)
    after = {**files, MAIN_FILE: text.encode()}
    _check(before, parse_bundle(after), proposal)
    return after


def unified_diff(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> Iterator[str]:
    """Yield the lines of a diff that ``patch -p1`` takes in the bundle's folder."""
    for name in sorted(after):
        old, new = before[name].decode(), after[name].decode()
        for line in difflib.unified_diff(
            old.splitlines(True), new.splitlines(True), f"a/{name}", f"b/{name}"
        ):
            yield line.removesuffix("\n")
            if not line.endswith("\n"):
                yield "\\ No newline at end of file"


def span_text(span: timedelta) -> str:
    """Write a length of time as a bundle does.

    >>> span_text(timedelta(minutes=90)), span_text(timedelta(hours=2))
    ('90m', '2h')
    """
    seconds = int(span.total_seconds())
    for letter, each in (("h", 3600), ("m", 60)):
        if seconds % each == 0:
            return f"{seconds // each}{letter}"
    return f"{seconds}s"


def _check(before: Bundle, after: Bundle, proposal: Proposal) -> None:
    """See that the text says what was proposed, and that nothing else of the bundle changed."""
    glass, mint = proposal.glass, proposal.mint
    wanted = replace(
        glass,
        for_=proposal.for_,
        mints=tuple(
            replace(each, scope=proposal.scope) if each == mint else each for each in glass.mints
        ),
    )
    stays = {*before.glasses} - {glass.name, glass.name + MFA_DOWN}
    same = replace(after, version=before.version, glasses=before.glasses) == before
    if (
        not same
        or {*after.glasses} != {*before.glasses}
        or any(before.glasses[each] != after.glasses[each] for each in stays)
        or after.glasses[glass.name] != wanted
    ):
        raise by_hand(before.place(f"glasses.{glass.name}"), "what the rows above say")


def _with_values(text: str, path: str, values: tuple[str, ...]) -> str:
    node = _node(text, path)
    written = [_written(each) for each in values]
    wanted = written[0] if len(written) == 1 else f"[{', '.join(written)}]"
    field = path.rpartition(".")[2]
    if isinstance(node, Scalar):
        return _spliced(text, node, node.place, _length(text, node), wanted)
    line = text.splitlines()[node.place.line - 1][node.place.column - 1 :]
    end = line.find("]") + 1
    if isinstance(node, Items) and line.startswith("[") and end and "#" not in line[:end]:
        return _spliced(text, node, node.place, end, wanted)
    raise by_hand(node.place, f"{field}: {wanted}")


def _with_span(text: str, path: str, span: timedelta) -> str:
    node = _node(text, path)
    return _spliced(text, node, node.place, _length(text, node), span_text(span))


def _without_field(text: str, path: str, field: str) -> str:
    node = _node(text, path)
    assert isinstance(node, Fields)
    key, value = node.keys[field], node.entries[field]
    lines = text.split("\n")
    line = lines[key.line - 1]
    if line.strip().split("#")[0].rstrip() == f"{field}: true":
        return "\n".join([*lines[: key.line - 1], *lines[key.line :]])
    at, end = key.column - 1, value.place.column - 1 + len("true")
    if key.line != value.place.line or line[at:end].split() != [f"{field}:", "true"]:
        raise by_hand(key, f"the mint without '{field}'")
    if behind := re.match(r"\s*,\s*", line[end:]):
        end += behind.end()
    elif before := re.search(r"\s*,\s*$", line[:at]):
        at = before.start()
    else:
        raise by_hand(key, f"the mint without '{field}'")
    lines[key.line - 1] = line[:at] + line[end:]
    return "\n".join(lines)


def _length(text: str, node: Node) -> int:
    """Return how long a scalar is as it stands, quotes included."""
    assert isinstance(node, Scalar)
    rest = text.split("\n")[node.place.line - 1][node.place.column - 1 :]
    for form in (node.text, f'"{node.text}"', f"'{node.text}'"):
        if rest.startswith(form):
            return len(form)
    raise by_hand(node.place, "it without escapes, on one line")


def _node(text: str, path: str) -> Node:
    node: Node = parse_yaml(MAIN_FILE, text.encode())
    for each in _steps(path):
        assert isinstance(node, Fields)
        node = node.entries[each]
    return node


def _steps(path: str) -> list[str]:
    """Split a path of keys; the name of a glass may have dots in it."""
    _, _, rest = path.partition("glasses.")
    name, *fields = re.split(r"\.(?=mint\.|mint$|for$)", rest, maxsplit=1)
    return ["glasses", name, *(fields[0].split(".") if fields else [])]


def _spliced(text: str, node: Node, place: Place, length: int, new: str) -> str:
    lines = text.split("\n")
    line, at = lines[place.line - 1], place.column - 1
    lines[place.line - 1] = f"{line[:at]}{new}{line[at + length :]}"
    return "\n".join(lines)


def _written(value: str) -> str:
    plain = _PLAIN.fullmatch(value) and value.lower() != "null"
    return value if plain else json.dumps(value, ensure_ascii=False)
