"""A policy in a few lines of words: what a person may do, and what a glass asks."""

from __future__ import annotations

from datetime import datetime, timedelta

from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError
from breakglass.policy.compile import CompiledPolicy
from breakglass.policy.conditions import IncidentFrom, Ticket
from breakglass.policy.denial_reasons import names
from breakglass.policy.facts import NO_ROSTERS
from breakglass.policy.glass import Glass
from breakglass.policy.mint import Mint
from breakglass.policy.people import Person
from breakglass.policy.review_deadline import due_of, review_due
from breakglass.policy.rosters import groups_of
from breakglass.policy.yaml_fields import say_span
from breakglass.records.card import Tier

__all__ = ["explain", "review_due"]


def explain(policy: CompiledPolicy, person: str, glass: str | None, as_of: datetime) -> list[str]:
    """Say in short lines what ``person`` may do, with one glass or with each.

    Args:
        policy: compiled.
        person: a name or an alias.
        glass: one glass, or none for all that touch this person.
        as_of: the moment in question, aware.

    Raises:
        RefusedError: no such person or glass.
    """
    directory = policy.bundle.directory
    found = directory.people.get(directory.canonical(person) or "")
    if found is None:
        raise RefusedError(
            f"the policy knows nobody called {person[:60]!r}",
            name=ErrorName.UNKNOWN_PERSON,
            hint=f"it knows: {names(sorted(directory.people))}",
        )
    if glass is not None and glass not in policy.bundle.glasses:
        raise RefusedError(
            f"there is no glass {glass[:60]!r}",
            name=ErrorName.UNKNOWN_GLASS,
            hint=f"there are: {names(sorted(policy.bundle.glasses))}",
        )
    lines = _days(found, as_of)
    for each in policy.bundle.glasses.values() if glass is None else [policy.bundle.glasses[glass]]:
        lines += _glass(policy, each, found, asked_for=glass is not None)
    return lines or [f"{found.name!r} may break no glass and approve none"]


def _days(person: Person, as_of: datetime) -> list[str]:
    if person.counts_at(as_of):
        return []
    since, until = person.starts or "the beginning", person.until or "further notice"
    return [f"{person.name!r} may not act on {as_of:%Y-%m-%d}: only from {since} to {until}"]


def _glass(policy: CompiledPolicy, glass: Glass, person: Person, *, asked_for: bool) -> list[str]:
    directory = policy.bundle.directory
    ever = person.name in directory.everybody(glass.who)
    now = person.name in directory.present(glass.who, NO_ROSTERS)
    signs = person.name in directory.everybody(glass.second_signers)
    if not (ever or signs or asked_for):
        return []
    lines = []
    if now:
        lines.append(f"{person.name!r} may break {glass.name!r}: {glass.does}")
    elif ever:
        lines.append(f"{person.name!r} may break {glass.name!r} while on the roster: {glass.does}")
    elif asked_for:
        who = names(directory.everybody(glass.who))
        lines.append(f"{person.name!r} may not break {glass.name!r}; who may: {who}")
    if signs:
        verb = "hold a share of" if glass.tier is Tier.SEALED else "approve"
        lines.append(f"{person.name!r} may {verb} {glass.name!r}, never for themselves")
    if ever or asked_for:
        lines += [f"  {line}" for line in _terms(policy, glass)]
    return lines


def _terms(policy: CompiledPolicy, glass: Glass) -> list[str]:
    when = glass.when
    incident = " or ".join(when.incident) or "none needed"
    if when.incident_source is IncidentFrom.OUTSIDE:
        incident += ", from an outside source"
    ticket = "; a ticket" if when.ticket is Ticket.REQUIRED else ""
    age = f", signed within {say_span(when.mfa_age)}" if when.mfa_age else ""
    signers = f"with {glass.need} of {names(glass.second_signers)}"
    people = {
        Tier.SELF: signers if glass.need else "alone",
        Tier.TWO: signers,
        Tier.SEALED: f"with {glass.need} custodians of {names(glass.second_signers)}",
    }[glass.tier]
    gates = ", ".join(glass.opens_gates) or "none"
    mints = ", ".join(map(_mint, glass.mints)) or "nothing"
    due = due_of(policy, glass, "")
    within = say_span(due) if isinstance(due, timedelta) else str(due)
    return [
        f"for     {say_span(glass.for_)} at most, {people} ({glass.blast_radius})",
        f"when    incident: {incident}; factor: {glass.least}{age}{ticket}",
        *_asking(glass),
        *_rosters(policy, glass),
        f"opens   gates: {gates}; mints: {mints}",
        f"alerts  {', '.join(policy.bundle.channels_of(glass))}",
        f"review  within {within} by {names(glass.review.by)}",
    ]


def _asking(glass: Glass) -> list[str]:
    if not glass.ask_need:
        return []
    ahead = f", {say_span(glass.ahead)} ahead at most" if glass.ahead else ""
    of = names(glass.second_signers)
    silence = say_span(glass.silence)
    return [f"asked   with {glass.ask_need} of {of}, unanswered after {silence}{ahead}"]


def _rosters(policy: CompiledPolicy, glass: Glass) -> list[str]:
    """Say of each rostered group of a glass where it comes from, and who counts without it."""
    lines = []
    directory = policy.bundle.directory
    for group in groups_of(directory, (*glass.who, *glass.second_signers)):
        if group.roster and group.at_most_old:
            old = say_span(group.at_most_old)
            without = names(directory.present(group.fallback, NO_ROSTERS))
            source = f"{group.name} from {group.roster}, {old} old at most"
            lines.append(f"roster  {source}; without one: {without}")
    return lines


def _mint(mint: Mint) -> str:
    acts = f" ({names(mint.act_names)})" if mint.acts else ""
    return f"{mint.platform} by {mint.minter}{acts}"
