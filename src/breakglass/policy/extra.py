"""The ``*.cedar`` files of a bundle: read one policy at a time, so each error has its line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import cedarpy

from breakglass.errors import MalformedError
from breakglass.policy.parse import Bundle
from breakglass.policy.tree import Place, wrong_at

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._:/-]{0,99}", re.ASCII)
_ENTITY = re.compile(r'\b(Person|Group|Glass|Machine)::"([^"]*)"')


@dataclass(frozen=True)
class ExtraPolicy:
    """One permit or forbid of the bundle. ``says`` is shown to whom it refuses."""

    id: str
    says: str
    forbids: bool
    text: str
    place: Place


def read_extras(bundle: Bundle, schema: cedarpy.Schema) -> tuple[ExtraPolicy, ...]:
    """Read and validate the extra policies of every file that no gate's sanctioned way owns.

    Raises:
        MalformedError: with file and line of the policy: not Cedar, against the schema, without
            an ``@id`` of its own, a template, or a name that the bundle does not know.
    """
    owned = {way.cedar for gate in bundle.gates.values() for way in gate.sanctioned}
    found: dict[str, ExtraPolicy] = {}
    for file, text in bundle.cedar.items():
        for place, source in _split(file, text):
            extra = _read(place, source, validated=file not in owned, schema=schema)
            _refuse_unknown_names(bundle, extra)
            if extra.id in found:
                raise _wrong(place, "each @id once", f"{extra.id!r} again", "duplicate_id")
            if file not in owned:
                found[extra.id] = extra
    return tuple(found.values())


def _read(place: Place, source: str, *, validated: bool, schema: cedarpy.Schema) -> ExtraPolicy:
    try:
        document = json.loads(cedarpy.policies_to_json_str(source))
    except ValueError as error:
        problem = " ".join(str(error).split())[:300]
        raise _wrong(place, "a Cedar policy", problem, "not_cedar") from error
    if document["templates"] or len(document["staticPolicies"]) != 1:
        raise _wrong(place, "one policy without slots", "a template or nothing", "not_cedar")
    (policy,) = document["staticPolicies"].values()
    annotations: Mapping[str, str | None] = policy.get("annotations", {})
    name = annotations.get("id") or ""
    if not _ID.fullmatch(name):
        raise MalformedError(
            f'{place}: policy: expected an annotation such as @id("change-freeze"), got {name!r}',
            name="no_id",
            hint="decisions are recorded by these ids; a position in a file says nothing",
        )
    if validated:
        result = cedarpy.validate_policies(source, schema)
        if not result.validation_passed:
            problem = "; ".join(dict.fromkeys(_plain(each.error) for each in result.errors))
            raise _wrong(place, "a policy that fits the schema", problem[:400], "not_valid")
    forbids = policy["effect"] == "forbid"
    return ExtraPolicy(name, annotations.get("says") or "", forbids, source, place)


def _refuse_unknown_names(bundle: Bundle, extra: ExtraPolicy) -> None:
    known: Mapping[str, Mapping[str, object]] = {
        "Person": bundle.directory.people,
        "Group": bundle.directory.groups,
        "Glass": bundle.glasses,
        "Machine": bundle.machines,
    }
    for kind, name in _ENTITY.findall(extra.text):
        if name not in known[kind]:
            # A forbid on a name with a slip of the pen would forbid nobody, silently.
            raise _wrong(
                extra.place, f"a {kind.lower()} of this bundle", repr(name), "unknown_name"
            )


def _split(file: str, text: str) -> Iterator[tuple[Place, str]]:
    """Yield each policy up to its semicolon, with the place where it begins."""
    start, at, line, begun = 0, 0, 1, 1
    empty = True
    while at < len(text):
        char = text[at]
        if text.startswith("//", at):
            at = text.find("\n", at)
            if at < 0:
                break
            continue
        if empty and not char.isspace():
            start, begun, empty = at, line, False
        if char == '"':
            end = _end_of_string(text, at)
            line += text.count("\n", at, end)
            at = end
            continue
        line += char == "\n"
        at += 1
        if char == ";":
            yield Place(file, begun), text[start:at]
            empty = True
    if not empty:
        yield Place(file, begun), text[start:]


def _end_of_string(text: str, at: int) -> int:
    at += 1
    while at < len(text) and text[at] != '"':
        at += 2 if text[at] == "\\" else 1
    return min(at + 1, len(text))


def _plain(error: str) -> str:
    return re.sub(r"^for policy `policy\d+`, ", "", " ".join(error.split()))


def _wrong(place: Place, expected: str, got: str, name: str) -> MalformedError:
    return wrong_at(place, "policy", expected, got, name=name)
