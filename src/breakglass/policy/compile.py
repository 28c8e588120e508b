"""From the files of a bundle to something that decides: read, linted, and handed to Cedar once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

import cedarpy

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError
from breakglass.policy.bundle import bundle_digest, pack_bundle
from breakglass.policy.cedar_files import ExtraPolicy, read_extras
from breakglass.policy.facts import NO_ROSTERS
from breakglass.policy.lint import lint_bundle
from breakglass.policy.lint_finding import Level
from breakglass.policy.parse import Bundle, parse_bundle
from breakglass.policy.people import Rosters
from breakglass.policy.schema import SCHEMA, entities_of, rules_of


@dataclass(frozen=True, eq=False)
class CompiledPolicy:
    """A bundle that may decide. ``digest`` is the policy digest of statements and cards.

    ``rules`` holds one Cedar policy set per glass, so a decision costs the same in a bundle of
    two glasses and of two hundred.
    """

    bundle: Bundle
    digest: str
    extras: tuple[ExtraPolicy, ...]
    schema: cedarpy.Schema = field(repr=False)
    rules: Mapping[str, cedarpy.PolicySet] = field(repr=False)
    entities: cedarpy.Entities = field(repr=False)

    def says(self, policy_id: str) -> str:
        """Return what an extra policy tells whom it refuses; empty if it tells nothing."""
        return next((each.says for each in self.extras if each.id == policy_id), "")

    def entities_under(self, rosters: Rosters) -> cedarpy.Entities:
        """Return the people and groups as they are under these rosters; built once for each."""
        if not rosters:
            return self.entities
        return _entities(self, tuple(sorted((name, tuple(on)) for name, on in rosters.items())))


def compile_policy(files: Mapping[str, bytes], *, now: datetime | None = None) -> CompiledPolicy:
    """Read, lint and compile a bundle.

    Args:
        files: file name to content, as ``read_bundle`` or ``unpack_bundle`` returns them.
        now: adds the findings that depend on a date; none becomes an error later, so a bundle that
            once compiled still does when a decision is made again years later.

    Raises:
        MalformedError: the first thing that is wrong, with its place; lint errors all at once.
    """
    bundle = parse_bundle(files)
    errors = [each for each in lint_bundle(bundle, now=now) if each.level is Level.ERROR]
    if errors:
        raise MalformedError(
            "\n".join(map(str, errors)),
            name=ErrorName.LINT,
            hint=errors[0].hint or "see every finding with: breakglass policy check",
        )
    schema = cedarpy.Schema.from_str(SCHEMA)
    extras = read_extras(bundle, schema)
    return CompiledPolicy(
        bundle,
        bundle_digest(pack_bundle(files)),
        extras,
        schema,
        _rules(bundle, extras, schema),
        cedarpy.Entities.from_json_str(entities_of(bundle, NO_ROSTERS), schema),
    )


def _rules(
    bundle: Bundle, extras: tuple[ExtraPolicy, ...], schema: cedarpy.Schema
) -> dict[str, cedarpy.PolicySet]:
    found = {}
    more = "\n".join(extra.text for extra in extras)
    for glass in bundle.glasses.values():
        machines = [each for each in bundle.machines.values() if each.glass == glass.name]
        rules = rules_of(glass, machines)
        # Cedar validates each policy by itself, and the extras were, once and not for each glass.
        result = cedarpy.validate_policies(rules, schema)
        if not result.validation_passed:
            place = bundle.place(f"glasses.{glass.name}")
            raise MalformedError(
                f"{place}: glasses.{glass.name}: expected rules that fit the schema,"
                f" got {result.errors[0].error}",
                name=ErrorName.NOT_VALID,
            )
        found[glass.name] = cedarpy.PolicySet.from_str(f"{rules}\n{more}")
    return found


@lru_cache(maxsize=64)
def _entities(
    policy: CompiledPolicy, rosters: tuple[tuple[str, tuple[str, ...]], ...]
) -> cedarpy.Entities:
    text = entities_of(policy.bundle, dict(rosters))
    return cedarpy.Entities.from_json_str(text, policy.schema)
