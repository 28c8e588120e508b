"""What a glass asks and gives, in rows of a label and a text: for who explains or compares it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

from breakglass.policy.conditions import IncidentFrom, Ticket
from breakglass.policy.denial_reasons import names
from breakglass.policy.early_ends import CLOSED_FOR
from breakglass.policy.facts import NO_ROSTERS
from breakglass.policy.glass import Glass
from breakglass.policy.mint import Mint
from breakglass.policy.parse import Bundle
from breakglass.policy.review_deadline import due_of
from breakglass.policy.rosters import groups_of
from breakglass.policy.yaml_fields import say_span
from breakglass.records.card import Tier

Counts = Callable[[str], bool]
"""Says whether somebody counts on the day in question."""


def terms(bundle: Bundle, glass: Glass, counts: Counts = lambda _: True) -> list[tuple[str, str]]:
    """Return the rows of one glass: for how long and with whom, when, how it is asked for, …

    Args:
        bundle: that has the glass.
        glass: of that bundle.
        counts: leaves out of the number of people who cannot act that day.
    """
    due = due_of(bundle, glass, "")
    within = say_span(due) if isinstance(due, timedelta) else str(due)
    reader = ", and a second reader" if glass.review.second_reader else ""
    gates = ", ".join(glass.opens_gates) or "none"
    mints = ", ".join(map(_mint, glass.mints)) or "nothing"
    found = [
        ("for", f"{say_span(glass.for_)} at most, {_people(bundle, glass, counts)}"),
        ("when", _when(glass)),
    ]
    if glass.ask_need:
        found.append(("asked", _asked(bundle, glass, counts)))
    found += _rosters(bundle, glass)
    if ends := _ends(glass):
        found.append(("ends", ends))
    if glass.life.together:
        together = say_span(glass.life.together)
        found.append(("follows", f"asks in a row give {together} together at most"))
    return [
        *found,
        ("opens", f"gates: {gates}; mints: {mints}"),
        ("alerts", ", ".join(bundle.channels_of(glass)) or "nobody"),
        ("review", f"within {within} by {names(glass.review.by)}{reader}"),
    ]


def beside(glass: Glass) -> str:
    """Say who signs beside the breaker: ``alone``, ``with 1 of group:leads``."""
    if not glass.need:
        return "alone"
    custodians = "custodian of" if glass.need == 1 else "custodians of"
    who = custodians if glass.tier is Tier.SEALED else "of"
    return f"with {glass.need} {who} {names(glass.second_signers)}"


def _people(bundle: Bundle, glass: Glass, counts: Counts) -> str:
    able = "" if not glass.need else f", {_able(bundle, glass, counts)}"
    return f"{beside(glass)} ({glass.blast_radius}{able})"


def _able(bundle: Bundle, glass: Glass, counts: Counts) -> str:
    able = [who for who in bundle.directory.everybody(glass.second_signers) if counts(who)]
    return f"{len(able)} able to sign: {names(able)}"


def _when(glass: Glass) -> str:
    when = glass.when
    incident = " or ".join(when.incident) or "none needed"
    if when.incident_source is IncidentFrom.OUTSIDE:
        incident += ", from an outside source"
    ticket = "; a ticket" if when.ticket is Ticket.REQUIRED else ""
    age = f", signed within {say_span(when.mfa_age)}" if when.mfa_age else ""
    down = "; only while MFA is declared down" if glass.mfa_down else ""
    return f"incident: {incident}; factor: {glass.least}{age}{ticket}{down}"


def _asked(bundle: Bundle, glass: Glass, counts: Counts) -> str:
    of = names(glass.second_signers)
    ahead = f", {say_span(glass.ahead)} ahead at most" if glass.ahead else ""
    able = _able(bundle, glass, counts)
    return (
        f"with {glass.ask_need} of {of} ({able}), unanswered after {say_span(glass.silence)}{ahead}"
    )


def _rosters(bundle: Bundle, glass: Glass) -> Iterator[tuple[str, str]]:
    """Say of each rostered group of a glass where it comes from, and who counts without it."""
    directory = bundle.directory
    for group in groups_of(directory, (*glass.who, *glass.second_signers)):
        if group.roster and group.at_most_old:
            without = names(directory.present(group.fallback, NO_ROSTERS))
            old = say_span(group.at_most_old)
            source = f"{group.name} from {group.roster}, {old} old at most"
            yield "roster", f"{source}; without one: {without}"


def _ends(glass: Glass) -> str:
    found = []
    if glass.life.with_incident:
        closed = say_span(CLOSED_FOR)
        found.append(f"when its incident is closed ({closed} later, at once by its holder's word)")
    if glass.life.idle:
        found.append(f"when it was not used for {say_span(glass.life.idle)}")
    return " or ".join(found)


def _mint(mint: Mint) -> str:
    acts = f" ({names(mint.act_names)})" if mint.acts else ""
    return f"{mint.platform} by {mint.minter}{acts}"
