"""Whose yes counts: distinct, present, not suspended, and never the breaker's own."""

from __future__ import annotations

from dataclasses import replace

from breakglass.policy.facts import Facts
from breakglass.policy.glass import BlastRadius, Glass
from breakglass.policy.parse import Bundle


def suspended(facts: Facts, who: str, glass: str) -> tuple[str, ...]:
    """Return what stops this person or glass: the entries that are meant for either."""
    found = []
    for entry in sorted(facts.suspended):
        kind, _, name = entry.partition(":")
        ours = {"person": name == who, "glass": name == glass}
        if ours.get(kind, True):
            found.append(entry)
    return tuple(found)


def valid_approvals(bundle: Bundle, glass: Glass, facts: Facts) -> tuple[str, ...]:
    """Return the people whose approval counts, each once under their one name, sorted."""
    directory = bundle.directory
    breaker = directory.canonical(facts.who)
    nobody = bundle.counting_for_nobody(facts.now)
    may = set(directory.present(glass.second_signers, facts.rosters, nobody=nobody))
    found = {directory.canonical(name) for name in facts.approvals} & may - {breaker}
    return tuple(
        sorted(
            name
            for name in found
            if name
            and directory.people[name].counts_at(facts.now)
            and f"person:{name}" not in facts.suspended
        )
    )


def could_sign(bundle: Bundle, glass: Glass, facts: Facts) -> tuple[str, ...]:
    """Return who could still sign beside the breaker now, sorted."""
    everybody = bundle.directory.present(glass.second_signers, facts.rosters)
    return valid_approvals(bundle, glass, replace(facts, approvals=everybody))


def needed(glass: Glass, facts: Facts) -> int:
    """Return how many must sign beside the breaker on this path, for this incident."""
    need = glass.ask_need if facts.asks else glass.need
    if second_signer_for_own_word(glass, facts):
        need = max(need, 1)
    return need


def second_signer_for_own_word(glass: Glass, facts: Facts) -> bool:
    """Say whether the breaker's own word for the incident is too little for this glass."""
    own_word = facts.incident is not None and facts.incident.self_declared
    return own_word and glass.blast_radius is not BlastRadius.CONTAINED
