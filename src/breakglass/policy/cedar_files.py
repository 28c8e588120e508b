"""The ``*.cedar`` files of a bundle: read one policy at a time, so each error has its line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import cedarpy

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError
from breakglass.policy.parse import Bundle
from breakglass.policy.yaml_nodes import Place, wrong_at

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._:/-]{0,99}", re.ASCII)
_ENTITY = re.compile(r'\b(Person|Group|Glass|Machine)\s*::\s*"([^"]*)"')
_NETWORK = re.compile(r'\bcontext\s*\.\s*network\s*[!=]=\s*"([^"]+)"')
_TOKEN = re.compile(r'"(?:\\.|[^"\\])*"?|//[^\n]*|\s+|\w+|.', re.DOTALL | re.ASCII)
_WORD = re.compile(r"\w+", re.ASCII)
# cedarpy 4.12 overflows its stack, and takes the process with it, from 128 brackets in a thread
# of 1 MiB and from some 1,000 branches.
_DEPTH_AT_MOST = 16
_BRANCHES_AT_MOST = 32
# Cedar writes ``has a.b.c`` out as ``has a && a has b && a.b has c``: 800 names take seconds and
# 1 GB, twice as many four times that. The schema goes two names deep.
_NAMES_IN_A_CHAIN = 4
_CHARACTERS_AT_MOST = 8192
# Each glass is compiled with every extra policy: 2 MiB of these take three seconds.
_CHARACTERS_OF_ALL_GLASSES = 2 * 1024 * 1024
# Python's reader of JSON ends at its recursion limit, which counts the callers' frames too: what
# is read here has to be read by every follower, wherever it calls from.
_JSON_DEPTH_AT_MOST = 768
_JSON_TEXT = re.compile(r'"(?:\\.|[^"\\])*"')


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
    owned = bundle.sanctioned_files
    found: dict[str, ExtraPolicy] = {}
    room = _CHARACTERS_OF_ALL_GLASSES // max(1, len(bundle.glasses))
    for file, text in bundle.cedar.items():
        for place, source in _split(file, text):
            extra = _read(place, source, validated=file not in owned, schema=schema)
            _refuse_unknown_names(bundle, extra)
            if extra.id in found:
                raise _wrong(place, "each @id once", f"{extra.id!r} again", ErrorName.DUPLICATE_ID)
            if file not in owned:
                found[extra.id] = extra
                room -= len(source)
            if room < 0:
                most = _CHARACTERS_OF_ALL_GLASSES // len(bundle.glasses)
                expected = f"{most} characters of Cedar beside {len(bundle.glasses)} glasses"
                raise _wrong(place, expected, "more", ErrorName.TOO_LARGE)
    return tuple(found.values())


def _read(place: Place, source: str, *, validated: bool, schema: cedarpy.Schema) -> ExtraPolicy:
    try:
        written = cedarpy.policies_to_json_str(source)
        if _depth(written) > _JSON_DEPTH_AT_MOST:
            raise _wrong(place, "a policy of few operators", "too many", ErrorName.TOO_DEEP)
        document = json.loads(written)
    except ValueError as error:
        problem = " ".join(str(error).split())[:300]
        raise _wrong(place, "a Cedar policy", problem, ErrorName.NOT_CEDAR) from error
    if document["templates"] or len(document["staticPolicies"]) != 1:
        raise _wrong(
            place, "one policy without slots", "a template or nothing", ErrorName.NOT_CEDAR
        )
    (policy,) = document["staticPolicies"].values()
    annotations: Mapping[str, str | None] = policy.get("annotations", {})
    name = annotations.get("id") or ""
    if not _ID.fullmatch(name):
        raise MalformedError(
            f'{place}: policy: expected an annotation such as @id("change-freeze"), got {name!r}',
            name=ErrorName.NO_ID,
            hint="decisions are recorded by these ids; a position in a file says nothing",
        )
    if validated:
        result = cedarpy.validate_policies(source, schema)
        if not result.validation_passed:
            problem = "; ".join(dict.fromkeys(_plain(each.error) for each in result.errors))
            raise _wrong(place, "a policy that fits the schema", problem[:400], ErrorName.NOT_VALID)
    forbids = policy["effect"] == "forbid"
    return ExtraPolicy(name, annotations.get("says") or "", forbids, source, place)


def _refuse_unknown_names(bundle: Bundle, extra: ExtraPolicy) -> None:
    known: Mapping[str, Mapping[str, object]] = {
        "Person": bundle.directory.people,
        "Group": bundle.directory.groups,
        "Glass": bundle.glasses,
        "Machine": bundle.machines,
        "Network": bundle.networks,
    }
    networks = (("Network", name) for name in _NETWORK.findall(extra.text))
    for kind, name in (*_ENTITY.findall(extra.text), *networks):
        if name not in known[kind]:
            # A forbid on a name with a slip of the pen would forbid nobody, silently.
            raise _wrong(
                extra.place, f"a {kind.lower()} of this bundle", repr(name), ErrorName.UNKNOWN_NAME
            )


def _split(file: str, text: str) -> Iterator[tuple[Place, str]]:
    """Yield each policy up to its semicolon, without comments, with the place where it begins.

    Raises:
        MalformedError: a policy that Cedar's parser might not survive.
    """
    pieces: list[str] = []
    line = begun = 1
    depth = branches = names = 0
    before = ""
    for match in _TOKEN.finditer(text):
        token = match[0]
        if pieces or not (token.isspace() or token.startswith("//")):
            begun = begun if pieces else line
            pieces.append(" " if token.startswith("//") else token)
        line += token.count("\n")
        depth += (token in "([{") - (token in ")]}")
        branches += token == "if"
        if not (token.isspace() or token.startswith("//")):
            names, before = _names(names, before, token), token
        if names > _NAMES_IN_A_CHAIN:
            expected = f"{_NAMES_IN_A_CHAIN} names in a chain at most"
            raise _wrong(Place(file, begun), expected, "more", ErrorName.TOO_DEEP)
        if depth > _DEPTH_AT_MOST or branches > _BRANCHES_AT_MOST:
            raise _wrong(Place(file, begun), "a policy of few brackets and branches", "too many",
                         ErrorName.TOO_DEEP)  # fmt: skip
        if token == ";":
            yield Place(file, begun), _bounded(file, begun, pieces)
            pieces, depth, branches = [], 0, 0
    if pieces:
        yield Place(file, begun), _bounded(file, begun, pieces)


def _names(names: int, before: str, token: str) -> int:
    """Return how many names the chain has that ``token`` goes on, or begins."""
    if token == ".":
        return names
    if not _WORD.fullmatch(token):
        return 0
    return names + 1 if before == "." else 1


def _bounded(file: str, line: int, pieces: list[str]) -> str:
    source = "".join(pieces)
    if len(source) > _CHARACTERS_AT_MOST:
        expected = f"{_CHARACTERS_AT_MOST} characters at most"
        raise _wrong(Place(file, line), expected, str(len(source)), ErrorName.TOO_LARGE)
    return source


def _depth(text: str) -> int:
    """Return how deep the brackets of a JSON text go."""
    deepest = depth = 0
    for bracket in re.findall(r"[\[{}\]]", _JSON_TEXT.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _plain(error: str) -> str:
    return re.sub(r"^for policy `policy\d+`, ", "", " ".join(error.split()))


def _wrong(place: Place, expected: str, got: str, name: ErrorName) -> MalformedError:
    return wrong_at(place, "policy", expected, got, name=name)
