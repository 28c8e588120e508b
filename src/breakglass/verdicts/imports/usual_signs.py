"""The signs of bypasses that many repositories use, for who has written no rule file yet."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError
from breakglass.verdicts.imports.imported import Imported
from breakglass.verdicts.imports.rules import Rules, read_rules

_YES = "'true|yes|1'"
USUAL = rf"""
gates:
  tryjobs:
    - footer: No-Try
      value: {_YES}
    - footer: NOTRY
      value: {_YES}
  presubmit:
    - footer: No-Presubmit
      value: {_YES}
    - footer: NOPRESUBMIT
      value: {_YES}
  tree-status:
    - footer: No-Tree-Checks
      value: {_YES}
    - footer: NOTREECHECKS
      value: {_YES}
    - pattern: '\bCLOSED TREE\b'
      where: placed
  ci:
    - footer: skip-checks
      value: {_YES}
    - pattern: '\[(?:skip[ -]ci|ci[ -]skip|no ci|skip actions|actions skip)\]'
      where: placed
    - pattern: '\[(?:skip (?:travis|azp|circleci)|travis skip)\]'
      where: placed
    - pattern: '\*\*\*NO_CI\*\*\*'
      where: placed
    - pattern: '\bDONTBUILD\b'
      where: placed
  review:
    - footer: TBR
      value: '[\w.@+-]+(?:\s*,\s*[\w.@+-]+)*'
  review-bot-stamp:
    - footer: Bot-Commit
      value: '[\w.@+-]+(?:\s*\([^)]*\))?'
  owners:
    - footer: Owners-Override
incident:
  - footer: Bug
  - footer: Incident
  - pattern: '\b(INC-[0-9]+)\b'
reason:
  - footer: Bypass-Reason
sanctioned:
  - pattern: '^Revert "'
bots:
  - '*[bot]*'
  - '*autoroll*'
  - '*-bot <*'
  - '*-bot@*'
  - '*bot <*bot@*'
  - '*robot@*'
  - '*commit-queue*'
  - '*commit-bot*'
  - '*merge-bot*'
  - '*@*.iam.gserviceaccount.com>'
  - 'dependabot*'
  - 'github-actions*'
  - 'mergify*'
  - 'renovate*'
  - 'semantic-release*'
  - 'bors <*'
  - 'homu <*'
  - 'jenkins <*'
"""
FEWEST, FEWEST_PEOPLE = 3, 2  # signs and people, before a gate that nobody named is believed


def usual_rules() -> Rules:
    """Return the rules that an import uses where no rule file is named."""
    return read_rules(USUAL, "the usual signs")


def gates_gone_round(found: Imported) -> Imported:
    """Leave out the gates of which fewer than three signs by two people were seen.

    Whether a repository has such a gate at all is not known: one sign may be talk, and none is no
    health.

    Raises:
        RefusedError: ``no_signs``: no gate is left.
    """
    signs = Counter(event.gate for event in found.events)
    people = {gate: {e.person for e in found.events if e.gate == gate} for gate in signs}
    gates = {g for g, n in signs.items() if n >= FEWEST and len(people[g]) >= FEWEST_PEOPLE}
    if not gates:
        raise RefusedError(
            f"{len(found.events)} changes show a usual sign of a bypass (No-Try, [skip ci], TBR, "
            f"…), wanted {FEWEST} of one gate by {FEWEST_PEOPLE} people; nothing was written",
            name=ErrorName.NO_SIGNS,
            hint="name your own signs with --rules; docs/how-to/import-a-history.md has an example",
        )
    found.tell(
        "left out, too few signs (name them with --rules if the gate is real)",
        [f"{g} ({n} by {len(people[g])})" for g, n in sorted(signs.items()) if g not in gates],
    )
    return _only(found, gates)


def gates_seen(found: Imported, rules: Rules) -> Imported:
    """Tell the signs that never showed, and leave out the gates of which none did.

    A rule with a typing error would read as a healthy gate.

    Raises:
        RefusedError: ``no_signs``: no sign of the rule file showed.
    """
    gates = {event.gate for event in found.events}
    if not gates:
        raise RefusedError(
            "no change shows a sign of your rule file; nothing was written",
            name=ErrorName.NO_SIGNS,
            hint="check how the signs are written in your commits: git log --grep=No-Try",
        )
    found.tell("never seen, check the rule", [s for s in rules.signs if not found.seen[s]])
    found.tell("left out, no sign was seen", sorted(rules.gates.keys() - gates))
    return _only(found, gates)


def _only(found: Imported, gates: set[str]) -> Imported:
    return replace(
        found,
        events=[event for event in found.events if event.gate in gates],
        passages={gate: weeks for gate, weeks in found.passages.items() if gate in gates},
        people={gate: people for gate, people in found.people.items() if gate in gates},
    )
