"""Bundles with real keys, and the facts of an ordinary night, for the tests of this room."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from breakglass.policy import yaml_fields
from breakglass.policy.bundle import MAIN_FILE
from breakglass.policy.compile import CompiledPolicy, compile_policy
from breakglass.policy.facts import Facts, IncidentFacts
from breakglass.policy.folder import read_bundle
from breakglass.policy.parse import parse_bundle
from breakglass.policy.yaml_nodes import Node
from breakglass.records.signing.signature import Factor
from tests.kit.people import SoftKey, SoftSecurityKey

NOW = datetime(2026, 6, 22, 3, 14, 9, 221000, UTC)  # a Monday
SEV1 = IncidentFacts("INC-4821", "SEV1", self_declared=False, open=True)
OWN_WORD = IncidentFacts("INC-4822", "SEV1", self_declared=True, open=True)
EXAMPLE = Path(__file__).parents[2] / "docs" / "example-bundle"
_BUNDLES = Path(__file__).parent / "bundles"


def with_keys(text: str) -> bytes:
    """Write a real key in place of each ``sk:NAME`` and ``soft:NAME``."""
    text = re.sub(r"\bsk:(\w+)", lambda match: SoftSecurityKey.of(match[1]).public, text)
    return re.sub(r"\bsoft:(\w+)", lambda match: SoftKey.of(match[1]).public, text).encode()


@cache
def text_of(name: str) -> str:
    """Return a bundle's text: ``example`` is the one of the documentation, without its Cedar."""
    path = EXAMPLE / "breakglass.yaml" if name == "example" else _BUNDLES / f"{name}.yaml"
    return path.read_text()


def files_of(name: str, *changes: tuple[str, str], cedar: Mapping[str, str] | None = None) -> Any:
    """Return a bundle's files, each change applied exactly once to its text."""
    text = text_of(name)
    for old, new in changes:
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times"
        text = text.replace(old, new)
    files = {"breakglass.yaml": with_keys(text)}
    return files | {each: code.encode() for each, code in (cedar or {}).items()}


def policy_of(
    name: str, *changes: tuple[str, str], cedar: Mapping[str, str] | None = None
) -> CompiledPolicy:
    """Return a compiled bundle, changed as said."""
    return compile_policy(files_of(name, *changes, cedar=cedar))


def facts(**changes: Any) -> Facts:
    """Return an ordinary, allowed request of the example and demo bundles, changed as said."""
    ordinary: dict[str, Any] = {
        "who": "mira",
        "glass": "deploy-rollback",
        "incident": SEV1,
        "factor": Factor.TWO,
        "age": timedelta(seconds=4),
        "path": "glass",
        "for_": timedelta(minutes=10),
        "now": NOW,
    }
    return Facts(**(ordinary | changes))


def tables_of_readers(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[set[str], set[str]]]:
    """Read the example, and return each table of fields that a reader asks for, by its path."""
    found: dict[str, tuple[set[str], set[str]]] = {}
    real = yaml_fields.fields

    def noted(
        node: Node, what: str, *, need: Collection[str] = (), may: Collection[str] = ()
    ) -> Mapping[str, Node]:
        if node.place.file == MAIN_FILE:
            found[node.path] = (set(map(str, need)), set(map(str, may)))
        return real(node, what, need=need, may=may)

    monkeypatch.setattr(yaml_fields, "fields", noted)
    parse_bundle(read_bundle(EXAMPLE))
    return found
