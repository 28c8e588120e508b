"""Fields of a bundle that this version keeps and nothing reads yet, so that nobody relies on them.

A row goes when something reads its field.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from breakglass.policy.lint_finding import Desk, LintFinding
from breakglass.policy.parse import Bundle

# Where the field stands, and what would be promised by it.
UNUSED = (
    (r"alerts\.[a-z]+", "every channel of the monitor's settings hears all news"),
    (r"channels\.[^.]+\.to", "the monitor's settings say whom mail goes to"),
    (r"custodians\.of", "the trust file's custodians open the door"),
    (r"factors\.down\.approved_by", "no declaration of theirs is asked for"),
    (r"gates\.[^:]+\.could_not_evaluate_after", "a gate's own command says how long it may take"),
    (r"gates\.[^:]+\.sanctioned", "the way stays shut"),
    (r"glasses\.[^:]+\.mint\.[a-z]+\.acts", "no minter runs acts"),
    (r"glasses\.[^:]+\.mint\.[a-z]+\.source", "no minter binds a credential to networks"),
    (r"glasses\.[^:]+\.review\.second_reader", "one reader closes a review"),
    (r"glasses\.[^:]+\.seal", "no ceremony opens a seal"),
    (r"groups\.[^:]+\.roster", "'else' counts, as when no roster is fresh enough"),
    (r"incident_sources\.[^.]+", "every incident is self-declared"),
    (r"machines\.[^:]+\.condition", "nothing evaluates it"),
    (r"networks\.[^.]+", "the broker records no network's name"),
    (r"people\.[^:]+\.age", "no share is encrypted to it"),
    (r"people\.[^:]+\.oidc", "nobody signs in with it"),
    (r"reasons", "the client asks for one of them, and the broker takes any coded word"),
    (r"reviews\.overdue", "an overdue review changes nothing"),
)


def unused_fields(bundle: Bundle) -> Iterator[LintFinding]:
    """Yield one advice for each field that nothing reads yet, where it stands first."""
    desk = Desk(bundle)
    for pattern, meanwhile in UNUSED:
        standing = [path for path in bundle.places if re.fullmatch(pattern, path)]
        if standing:
            first = min(standing, key=lambda path: bundle.places[path].line)
            yield desk.advice(first, f"not used by this version yet: {meanwhile}")
