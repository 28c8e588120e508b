"""The signs of bypasses that many repositories use, for who has written no rule file yet."""

from __future__ import annotations

from dataclasses import replace

from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError
from breakglass.verdicts.imports.git_log import Imported
from breakglass.verdicts.imports.rules import Rules, read_rules

_USUAL = r"""
gates:
  tryjobs:
    - footer: No-Try
      value: 'true'
    - footer: NOTRY
      value: 'true'
  presubmit:
    - footer: No-Presubmit
      value: 'true'
  tree-status:
    - footer: No-Tree-Checks
      value: 'true'
    - pattern: '\bCLOSED TREE\b'
  ci:
    - pattern: '\[(?:skip ci|ci skip|no ci|skip actions)\]'
    - pattern: '\bDONTBUILD\b'
  review:
    - footer: TBR
incident:
  - footer: Bug
  - footer: Incident
  - pattern: '\b(INC-[0-9]+)\b'
reason:
  - footer: Bypass-Reason
sanctioned:
  - pattern: '^Revert "'
bots: ['*-autoroll@*', '*[bot]*']
"""


def usual_rules() -> Rules:
    """Return the rules that an import uses where no rule file is named."""
    return read_rules(_USUAL, "the usual signs")


def gates_gone_round(found: Imported) -> Imported:
    """Leave out the gates that no change went round.

    Whether a repository has such a gate at all is not known, so it cannot be called healthy.

    Raises:
        RefusedError: ``no_signs``: no change shows any of the usual signs.
    """
    gates = {event.gate for event in found.events}
    if not gates:
        raise RefusedError(
            "no change shows a usual sign of a bypass (No-Try, [skip ci], TBR, …);"
            " nothing was written",
            name=ErrorName.NO_SIGNS,
            hint="name your own signs with --rules; docs/how-to/import-a-history.md has an example",
        )
    return replace(
        found,
        passages={gate: weeks for gate, weeks in found.passages.items() if gate in gates},
        people={gate: people for gate, people in found.people.items() if gate in gates},
    )
