"""The Cedar side of a bundle: the schema, the entities, and the rules that each glass becomes.

A glass becomes one *permit* (its ``when:``) and several *forbids*, its floors. An extra permit of
the bundle may widen ``when:``; nothing passes a floor, because a card says the same to gates that
have no policy.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from breakglass.clock import format_time
from breakglass.policy.conditions import IncidentFrom, Ticket
from breakglass.policy.glass import Glass
from breakglass.policy.machines import Machine
from breakglass.policy.parse import Bundle
from breakglass.policy.people import GROUP, Directory, Person, Rosters
from breakglass.records.grant import Path
from breakglass.records.signing.signature import Factor

SCHEMA = """
entity Group in [Group];
entity Person in [Group] { from?: datetime, until?: datetime };
entity Machine;
entity Glass { radius: String, tier: String, gates: Set<String>, longest: duration };
type Incident = { id: String, severity: String, self_declared: Bool, open: Bool };
type Asking = {
  incident?: Incident, ticket: String, factor: Long, factor_age: duration, lasts: duration,
  asks: Bool, starts?: datetime, ahead?: duration, network: String,
  minter: String, act: String, dimensions: Set<String>, reach: Set<String>,
  approvals: Set<Person>, suspended: Bool, mfa_down: Bool, now: datetime
};
action "ask", "break", "drill" appliesTo { principal: Person, resource: Glass, context: Asking };
action "act" appliesTo { principal: Machine, resource: Glass, context: Asking };
"""

ACTIONS = {Path.JIT: "ask", Path.GLASS: "break", Path.DRILL: "drill", Path.MACHINE: "act"}
FACTOR_LEVELS = {factor: level for level, factor in enumerate(Factor, start=1)}

_GLOBAL = """
@id("person/eligible")
forbid (principal is Person, action, resource) when {
  (principal has from && context.now < principal.from) ||
  (principal has until && context.now >= principal.until)
};
@id("suspended")
forbid (principal, action, resource) when { context.suspended };
@id("glass/longest")
forbid (principal, action, resource) when { context.lasts > resource.longest };
"""


def rules_of(glass: Glass, machines: Iterable[Machine]) -> str:
    """Write the Cedar policies that stand for one glass, floors included."""
    resource = f"resource == Glass::{quoted(glass.name)}"
    rules = [
        _GLOBAL,
        _rule(f"{glass.name}/when", "permit", "principal is Person, action", resource,
              f"when {{ {_conditions(glass)} }}"),
        _rule(f"{glass.name}/who", "forbid", "principal is Person, action", resource,
              f"unless {{ {_one_of(glass.who)} }}"),
        _rule(f"{glass.name}/scope", "forbid", "principal, action", resource,
              f"unless {{ {_scope(glass)} }}"),
        _rule(f"{glass.name}/ask", "forbid", "principal, action", resource,
              f"when {{ {_asking(glass)} }}"),
        _rule(f"{glass.name}/factor", "forbid", "principal is Person, action", resource,
              f"when {{ context.factor < {FACTOR_LEVELS[glass.least]} }}"),
    ]  # fmt: skip
    if glass.mfa_down:
        rules.append(
            _rule(f"{glass.name}/mfa-down", "forbid", "principal, action", resource,
                  "unless { context.mfa_down }")
        )  # fmt: skip
    for machine in machines:
        who = f"principal == Machine::{quoted(machine.name)}, action"
        act = (
            f"when {{ context.minter == {quoted(machine.minter)}"
            f" && context.act == {quoted(machine.act)} }}"
        )
        rules.append(_rule(f"{glass.name}/{machine.name}", "permit", who, resource, act))
    return "\n".join(rules)


def entities_of(bundle: Bundle, rosters: Rosters) -> str:
    """Write people, groups, machines and glasses as Cedar's JSON entities."""
    directory = bundle.directory
    found = [_entity("Group", name, {}, _parents_of_group(name, directory))
             for name in directory.groups]  # fmt: skip
    for person in directory.people.values():
        found.append(_entity("Person", person.name, _days(person), []))
    by_name = {each["uid"]["id"]: each for each in found if each["uid"]["type"] == "Person"}
    for name in directory.groups:
        for member in directory.present([GROUP + name], rosters):
            by_name[member]["parents"].append({"type": "Group", "id": name})
    found += [_entity("Machine", name, {}, []) for name in bundle.machines]
    found += [_entity("Glass", glass.name, _about(glass), []) for glass in bundle.glasses.values()]
    return json.dumps(found)


def quoted(text: str) -> str:
    """Write a Cedar string. Control characters never come this far: records refuse them."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def instant(moment: datetime) -> dict[str, Any]:
    """Write a time as Cedar's ``datetime``, in milliseconds of UTC."""
    return {"__extn": {"fn": "datetime", "arg": format_time(moment)}}


def length(span: timedelta) -> dict[str, Any]:
    """Write a length of time as Cedar's ``duration``, in milliseconds."""
    return {"__extn": {"fn": "duration", "arg": f"{span // timedelta(milliseconds=1)}ms"}}


def reach(minter: str, scope: Iterable[tuple[str, Sequence[str]]]) -> list[str]:
    """Write a scope as a set of texts that Cedar can compare."""
    return [f"{minter}/{dimension}={value}" for dimension, values in scope for value in values]


def _rule(name: str, effect: str, who: str, resource: str, condition: str) -> str:
    return f"@id({quoted(name)})\n{effect} ({who}, {resource}) {condition};"


def _conditions(glass: Glass) -> str:
    when = glass.when
    found = []
    if when.incident:
        found.append("context has incident && context.incident.open")
        found.append(f"{_set(when.incident)}.contains(context.incident.severity)")
        if when.incident_source is IncidentFrom.OUTSIDE:
            found.append("!context.incident.self_declared")
    if when.mfa_age is not None:
        milliseconds = when.mfa_age // timedelta(milliseconds=1)
        found.append(f'context.factor_age <= duration("{milliseconds}ms")')
    if when.ticket is Ticket.REQUIRED:
        found.append('context.ticket != ""')
    return " && ".join(found) or "true"


def _one_of(refs: Iterable[str]) -> str:
    groups = [ref.removeprefix(GROUP) for ref in refs if ref.startswith(GROUP)]
    people = [ref for ref in refs if not ref.startswith(GROUP)]
    found = [f"principal in Group::{quoted(name)}" for name in groups]
    found += [f"principal == Person::{quoted(name)}" for name in people]
    return " || ".join(found)


def _scope(glass: Glass) -> str:
    nothing = "context.dimensions.isEmpty() && context.reach.isEmpty()"
    found = [f'(context.minter == "" && context.act == "" && {nothing})']
    for mint in glass.mints:
        at = (
            f"context.minter == {quoted(mint.minter)}"
            f" && {_set(mint.act_names)}.contains(context.act)"
        )
        if not mint.scope:
            found.append(f"({at} && {nothing})")
            continue
        dimensions = _set(sorted(mint.scope))
        widest = _set(reach(mint.minter, mint.scope.items()))
        found.append(
            f"({at} && context.dimensions == {dimensions} && {widest}.containsAll(context.reach))"
        )
        if mint.acts:  # a machine's statement names no scope: its act is the whole of it
            found.append(f"(principal is Machine && {at} && {nothing})")
    return " || ".join(found)


def _asking(glass: Glass) -> str:
    if not glass.ask_need:
        return "context.asks || context has ahead"
    # What starts ahead opens no gate: without a minter it would be nothing at all.
    longest = glass.ahead // timedelta(milliseconds=1)
    return (
        '(context has ahead) && (!context.asks || context.minter == ""'
        ' || context.ahead <= duration("0ms")'
        f' || context.ahead > duration("{longest}ms"))'
    )


def _set(texts: Iterable[str]) -> str:
    return "[" + ", ".join(map(quoted, texts)) + "]"


def _entity(kind: str, name: str, attributes: dict[str, Any], parents: list[Any]) -> dict[str, Any]:
    return {"uid": {"type": kind, "id": name}, "attrs": attributes, "parents": parents}


def _parents_of_group(name: str, directory: Directory) -> list[dict[str, str]]:
    # People stand directly under every group that holds them; groups need no parents for that.
    # They keep them so that an extra policy may say ``Group::"a" in Group::"b"`` of named groups.
    return [
        {"type": "Group", "id": other.name}
        for other in directory.groups.values()
        if GROUP + name in other.members and not other.roster
    ]


def _days(person: Person) -> dict[str, Any]:
    found = {}
    if person.begins is not None:
        found["from"] = instant(person.begins)
    if person.ends is not None:
        found["until"] = instant(person.ends)
    return found


def _about(glass: Glass) -> dict[str, Any]:
    return {
        "radius": glass.blast_radius.value,
        "tier": glass.tier.value,
        "gates": list(glass.opens_gates),
        "longest": length(glass.for_),
    }
