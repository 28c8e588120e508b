"""Where incidents come from besides a person's word: each source, and how its messages are known.

A source's digest or key is what the monitor's own subscription is known by; no broker holds that
secret, since who holds it can write the source's messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from breakglass.error_names import ErrorName
from breakglass.policy import yaml_fields
from breakglass.policy.people import key
from breakglass.policy.yaml_nodes import Fields, Node, wrong
from breakglass.records.encoding.text_types import Pattern

_HEX = Pattern("64 lower-case hexadecimal digits, a SHA-256", r"[0-9a-f]{64}")
SOURCES_AT_MOST = 32


class SourceType(StrEnum):
    """What sends the messages, and so who reads them. ``generic`` signs its own with a key."""

    PAGERDUTY = "pagerduty"
    ALERTMANAGER = "alertmanager"
    GENERIC = "generic"


@dataclass(frozen=True)
class IncidentSource:
    """One source. Exactly one of ``secret_sha256`` and ``key`` is there."""

    name: str
    type: SourceType
    secret_sha256: str = ""
    key: str = ""


def parse_incident_sources(node: Node) -> dict[str, IncidentSource]:
    """Read ``incident_sources:``.

    Raises:
        MalformedError: with the place: an unknown type, a digest of another form, a key of another
            kind, or one secret or key of two sources.
    """
    sources = yaml_fields.named(node, "incident sources", _source)
    if len(sources) > SOURCES_AT_MOST:
        raise wrong(node, f"{SOURCES_AT_MOST} incident sources at most", str(len(sources)))
    _refuse_shared(node, sources)
    return sources


def _source(name: str, node: Node) -> IncidentSource:
    at = yaml_fields.fields(
        node, "an incident source", need=("type",), may=("secret_sha256", "key")
    )
    kind = yaml_fields.choice(at["type"], SourceType)
    wanted = "key" if kind is SourceType.GENERIC else "secret_sha256"
    if set(at) != {"type", wanted}:
        other = ", ".join(sorted(set(at) - {"type"})) or "neither"
        raise wrong(node, f"'{wanted}', and only it, beside type '{kind}'", other)
    if kind is SourceType.GENERIC:
        found = key(at["key"])
        if not found.startswith("ssh-ed25519 "):
            # A machine has nobody who touches a key for it.
            raise wrong(
                at["key"], "an ssh-ed25519 key", repr(found.split()[0]), name=ErrorName.BAD_KEY
            )
        return IncidentSource(name, kind, key=found)
    return IncidentSource(name, kind, secret_sha256=yaml_fields.matching(at[wanted], _HEX))


def _refuse_shared(node: Node, sources: Mapping[str, IncidentSource]) -> None:
    owner: dict[str, str] = {}
    for name, source in sources.items():
        mark = source.secret_sha256 or source.key
        if mark in owner:
            # Who learns one source's secret would speak for both.
            at = node.entries[name] if isinstance(node, Fields) else node
            raise wrong(
                at,
                "each source with a secret or key of its own",
                f"that of {owner[mark]!r} again",
                name=ErrorName.SHARED_KEY,
            )
        owner[mark] = name
