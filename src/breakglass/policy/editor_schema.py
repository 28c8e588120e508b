"""The form of ``breakglass.yaml`` as a JSON Schema, so that an editor completes and underlines it.

It says less than the readers, which alone decide: names that must be known, sums and dates are
theirs. A test reads bundles and holds each table of fields that a reader asks for against this.

Source: JSON Schema, draft 2020-12.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, TypeAlias

from breakglass.policy.alert_routes import ALERT_CLASSES, ChannelType
from breakglass.policy.certification import Then
from breakglass.policy.conditions import IncidentFrom, Ticket
from breakglass.policy.factors import Kind
from breakglass.policy.gates import Fail
from breakglass.policy.glass import BlastRadius, Passkeys
from breakglass.policy.incident_sources import SourceType
from breakglass.policy.review_rules import Overdue
from breakglass.policy.yaml_fields import CODE_OR_SEVERITY
from breakglass.records.card import Output
from breakglass.records.encoding.text_types import Code, Handle, Severity
from breakglass.records.platforms import PLATFORMS, SOURCE
from breakglass.records.signing.signature import Factor

SCHEMA_FILE = "breakglass.schema.json"
EDITOR_LINE = f"# yaml-language-server: $schema={SCHEMA_FILE}"
"""What a bundle's first line may be: an editor then reads the schema that lies beside it."""

Schema: TypeAlias = dict[str, Any]


def editor_schema() -> Schema:
    """Return the schema of ``breakglass.yaml``."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "a policy bundle of breakglass",
        **_object(
            {
                "version": _whole(1, 10**9),
                "organisation": _TEXT,
                "people": _named(_person()),
                "glasses": _named(_glass()),
                "channels": _named(_channel()),
                "alerts": _object({}, {name: _list(_NAME) for name in ALERT_CLASSES}),
                "maintainers": _QUORUM,
            },
            {
                "groups": _named(_group()),
                "factors": _factors(),
                "reasons": _named(_TEXT, Code),
                "networks": _named(_list(_TEXT, 1)),
                "incident_sources": _named(
                    _object({"type": _one_of(SourceType)}, {"secret_sha256": _HEX, "key": _TEXT})
                ),
                "gates": _named(_gate()),
                "machines": _named(_machine()),
                "kill": _WHO,
                "readers": _WHO,
                "custodians": _QUORUM,
                "reviews": _object(
                    {},
                    {
                        "default": _named(_DUE, CODE_OR_SEVERITY),
                        "holidays": {"anyOf": [_list(_DAY), _TEXT]},
                        "overdue": _one_of(Overdue),
                    },
                ),
                "certify": _object({"every": _SPAN, "then": _one_of(Then)}),
            },
        ),
    }


def schema_text() -> str:
    """Write the schema as the file that lies beside a new bundle; no part of what is signed."""
    return json.dumps(editor_schema(), indent=2) + "\n"


def _person() -> Schema:
    return _object(
        {"name": _TEXT, "keys": _list(_TEXT, 1)},
        {"aliases": _list(_TEXT), "oidc": _TEXT, "from": _DAY, "until": _DAY, "age": _TEXT},
    )


def _group() -> Schema:
    certified = _object({"by": _TEXT, "on": _DAY})
    return _object(
        {},
        {
            "members": _WHO,
            "roster": _TEXT,
            "at_most_old": _SPAN,
            "else": _WHO,
            "certified": certified,
        },
    )


def _factors() -> Schema:
    down = _object({"approved_by": _TEXT, "glasses": _list(_NAME, 1), "for": _SPAN})
    kinds = _list(_one_of(Kind))
    return _object({}, {"two": kinds, "phishing_resistant": kinds, "down": down})


def _gate() -> Schema:
    way = _object({"when": _TEXT, "cedar": _TEXT})
    return _object(
        {"protects": _TEXT, "owner": _TEXT, "fail": _one_of(Fail)},
        {
            "reason": _TEXT,
            "could_not_evaluate_after": _SPAN,
            "siblings": _list(_NAME),
            "sanctioned": _list(way),
        },
    )


def _glass() -> Schema:
    return _object(
        {"does": _TEXT, "blast_radius": _one_of(BlastRadius), "who": _WHO},
        {
            "opens_gates": _list(_NAME),
            "mint": _object({}, {name: _mint(name) for name in PLATFORMS}),
            "for": _SPAN,
            "when": _object(
                {},
                {
                    "incident": _list(_ruled(Severity), 1),
                    "incident_source": _one_of(IncidentFrom),
                    "ticket": _one_of(Ticket),
                    "mfa_age": _SPAN,
                    "factor": _one_of(Factor),
                },
            ),
            "approvers": _object(
                {"from": _WHO}, {"need": _whole(0, 16), "ask_need": _whole(0, 16)}
            ),
            "wait": _SPAN,
            "silence": _SPAN,
            "ahead": _SPAN,
            "ends_with_incident": {"type": "boolean"},
            "idle": _SPAN,
            "extend": _object({"at_most": _SPAN}),
            "review": _object({}, {"due": _DUE, "by": _WHO, "second_reader": {"type": "boolean"}}),
            "seal": _object(
                {"name": _NAME, "threshold": _whole(1, 16), "custodians": _list(_TEXT, 1)}
            ),
            "passkeys": _one_of(Passkeys),
        },
    )


def _mint(name: str) -> Schema:
    platform = PLATFORMS[name]
    one_or_more = {"anyOf": [_TEXT, _list(_TEXT, 1)]}
    act = _object({"run": _list(_TEXT, 1), "within": _SPAN}, {"output": _one_of(Output)})
    need = [each for each in platform.dimensions if each not in platform.optional]
    return _object(
        {"minter": _NAME, **dict.fromkeys(need, one_or_more)},
        {
            **dict.fromkeys(platform.optional, one_or_more),
            **{each: {"const": True} for each in platform.allows},
            SOURCE: _list(_NAME, 1),
            "acts": _named(act),
        },
    )


def _machine() -> Schema:
    return _object(
        {
            "glass": _NAME,
            "condition": _TEXT,
            "prometheus": _TEXT,
            "sustained": _SPAN,
            "cool_down": _SPAN,
            "at_most": {"type": "string", "pattern": "^[0-9]+ per (hour|day|week)$"},
            "act": _NAME,
        },
        {"key": _TEXT, "minter": _NAME},
    )


def _channel() -> Schema:
    return _object({}, {**dict.fromkeys(map(str, ChannelType), _TEXT), "to": _list(_TEXT, 1)})


def _object(need: Mapping[str, Schema], may: Mapping[str, Schema] | None = None) -> Schema:
    return {
        "type": "object",
        "properties": {**need, **(may or {})},
        "required": sorted(need),
        "additionalProperties": False,
    }


def _named(each: Schema, rule: Any = Handle) -> Schema:
    return {
        "type": "object",
        "propertyNames": {"pattern": _ruled(rule)["pattern"]},
        "additionalProperties": each,
    }


def _list(each: Schema, least: int = 0) -> Schema:
    return {"type": "array", "items": each, **({"minItems": least} if least else {})}


def _one_of(words: Iterable[StrEnum]) -> Schema:
    return {"enum": [each.value for each in words]}


def _whole(least: int, most: int) -> Schema:
    return {"type": "integer", "minimum": least, "maximum": most}


def _ruled(rule: Any) -> Schema:
    """Take the pattern of a record's own type: there is one rule for a name."""
    (pattern,) = getattr(rule, "__metadata__", (rule,))
    # A name of digits alone is a number to an editor, where it stands without quotes.
    digits = re.fullmatch(pattern.expression, "7", re.ASCII)
    kind = ["string", "number"] if digits else "string"
    return {"type": kind, "pattern": f"^({pattern.expression})$"}


# What stands without quotes is a word to the readers, and a number or a flag to an editor.
_TEXT: Schema = {"type": ["string", "number", "boolean"]}
_NAME = _ruled(Handle)
_WHO = _list(_TEXT)
_SPAN: Schema = {"type": "string", "pattern": "^(0|[1-9][0-9]*) ?(s|m|h|d)$"}
_DUE: Schema = {
    "type": "string",
    "pattern": "^((0|[1-9][0-9]*) ?(s|m|h|d)|[1-9][0-9]* business days?)$",
}
_DAY: Schema = {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}
_HEX: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_QUORUM = _object({"need": _whole(1, 64), "of": _list(_TEXT, 1)})
