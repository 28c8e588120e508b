"""A policy in a few lines of words: what a person may do on some day, and what a glass asks.

Suspensions stand in the ledger and in no policy, so nothing here knows of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError
from breakglass.policy.certification import Then, stale_groups
from breakglass.policy.compile import CompiledPolicy
from breakglass.policy.denial_reasons import names
from breakglass.policy.glass import Glass
from breakglass.policy.glass_terms import terms
from breakglass.policy.parse import Bundle
from breakglass.policy.people import GROUP, Person
from breakglass.policy.standings import standings
from breakglass.policy.yaml_fields import say_span
from breakglass.records.card import Tier

_LABEL = 7  # columns


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
    about = policy.bundle.glasses.values() if glass is None else [policy.bundle.glasses[glass]]
    lines = [
        line
        for each in about
        for line in _glass(policy.bundle, each, found, as_of, asked_for=glass is not None)
    ]
    lines = lines or [f"{found.name!r} may break no glass and approve none"]
    return [*_days(found, as_of), *_stale(policy.bundle, found, as_of), *lines]


def _days(person: Person, as_of: datetime) -> list[str]:
    if not person.counts_at(as_of):
        since, until = person.starts or "the beginning", person.until or "further notice"
        return [f"{person.name!r} may not act on {as_of:%Y-%m-%d}: only from {since} to {until}"]
    if person.ends is None:
        return []
    left = (person.ends - as_of) // timedelta(days=1)
    more = "1 day" if left == 1 else f"{left} days"
    return [f"{person.name!r} may act until {person.until}: {more} more"]


def _stale(bundle: Bundle, person: Person, as_of: datetime) -> Iterator[str]:
    certify = bundle.certify
    for name in stale_groups(certify, bundle.directory.groups, as_of):
        last = bundle.directory.groups[name].certified
        if certify and last and person.name in bundle.directory.everybody([GROUP + name]):
            nobody = ": it counts for nobody" if certify.then is Then.REFUSE else ""
            yield (
                f"{GROUP}{name} was certified {last.on}, the policy asks for it every"
                f" {say_span(certify.every)}{nobody}"
            )


def _glass(
    bundle: Bundle, glass: Glass, person: Person, as_of: datetime, *, asked_for: bool
) -> Iterator[str]:
    directory = bundle.directory
    breaks, signs = (
        standings(directory, refs).get(person.name) for refs in (glass.who, glass.second_signers)
    )
    if breaks is None and signs is None and not asked_for:
        return

    def counts(who: str) -> bool:
        return directory.people[who].counts_at(as_of)

    if breaks is not None:
        yield f"{person.name!r} may break {glass.name!r}{breaks}: {glass.does}"
    elif asked_for:
        who = names(each for each in directory.everybody(glass.who) if counts(each))
        yield f"{person.name!r} may not break {glass.name!r}; who may: {who}"
    if signs is not None:
        verb = "hold a share of" if glass.tier is Tier.SEALED else "approve"
        yield f"{person.name!r} may {verb} {glass.name!r}{signs}, never for themselves"
    if breaks is not None or asked_for:
        for label, text in terms(bundle, glass, counts):
            yield f"  {label:<{_LABEL}} {text}"
