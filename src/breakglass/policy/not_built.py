"""What a bundle may say and this version does not do: one table, a row for each part to come.

A row goes when its part is built; with it go the advice of `policy lint`, the refusal of
`policy check`, `policy sign` and `policy activate`, the finding of `doctor`, and the line of
docs/reference/not-built-yet.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from breakglass.policy.conditions import IncidentFrom
from breakglass.policy.lint_finding import Desk, LintFinding
from breakglass.policy.parse import Bundle
from breakglass.records.platforms import PLATFORMS

_UNBOUND = [name for name, each in PLATFORMS.items() if not each.binds_source]
PAGE = "docs/reference/not-built-yet.md"


def _always(bundle: Bundle, path: str) -> bool:
    return True


def _outside(bundle: Bundle, path: str) -> bool:
    return any(
        path.startswith(f"glasses.{glass.name}.when.")
        and glass.when.incident_source is IncidentFrom.OUTSIDE
        for glass in bundle.glasses.values()
    )


@dataclass(frozen=True)
class NotBuilt:
    """One part to come.

    Attributes:
        what: the part, in words.
        pattern: matches the paths of a bundle at which it is asked for.
        meanwhile: what happens where it stands.
        refused: somebody would rely on it at night; else it is kept and only spoken of.
        asked: whether what stands at such a path asks for it; it always does, if left out.
    """

    what: str
    pattern: str
    meanwhile: str
    refused: bool = False
    asked: Callable[[Bundle, str], bool] = _always

    def places(self, bundle: Bundle) -> list[str]:
        """Return the paths of ``bundle`` at which it is asked for, in the order of the file."""
        found = [
            path
            for path in bundle.places
            if re.fullmatch(self.pattern, path) and self.asked(bundle, path)
        ]
        return sorted(found, key=lambda path: (bundle.places[path].line, path))


NOT_BUILT = (
    NotBuilt(
        "sealed glasses",
        r"glasses\.[^:]+\.seal",
        "no ceremony opens a seal: the glass stays shut",
        refused=True,
    ),
    NotBuilt(
        "minters of other platforms than postgres, ssh and command",
        r"glasses\.[^:]+\.mint\.(kubernetes|aws|azure|gcp)",
        "no minter serves this platform: nothing is minted",
        refused=True,
    ),
    NotBuilt(
        "acts of a minter",
        r"glasses\.[^:]+\.mint\.[a-z]+\.acts",
        "no minter runs acts",
        refused=True,
    ),
    NotBuilt(
        "credentials of other platforms than ssh bound to networks",
        rf"glasses\.[^:]+\.mint\.({'|'.join(_UNBOUND)})\.source",
        "this platform binds no credential to networks: it would work from everywhere",
        refused=True,
    ),
    NotBuilt(
        "incidents from outside",
        r"glasses\.[^:]+\.when\.incident_source",
        "every incident is self-declared: the glass stays shut",
        refused=True,
        asked=_outside,
    ),
    NotBuilt(
        "incident sources", r"incident_sources\.[^:]+\.type", "nothing listens to it", refused=True
    ),
    NotBuilt(
        "machines", r"machines\.[^:]+\.glass", "nothing evaluates its condition", refused=True
    ),
    NotBuilt(
        "custodians of the policy", r"custodians\.of", "the trust file's custodians open the door"
    ),
    NotBuilt(
        "how long a check may take",
        r"gates\.[^:]+\.could_not_evaluate_after",
        "a gate's own command says it",
    ),
    NotBuilt("sanctioned ways", r"gates\.[^:]+\.sanctioned", "the way stays shut"),
    NotBuilt(
        "a second reader", r"glasses\.[^:]+\.review\.second_reader", "one reader closes a review"
    ),
    NotBuilt("age recipients", r"people\.[^:]+\.age", "no share is encrypted to it"),
    NotBuilt("signing in", r"people\.[^:]+\.oidc", "nobody signs in with it"),
    NotBuilt("overdue reviews", r"reviews\.overdue", "an overdue review changes nothing"),
)


def unused_fields(bundle: Bundle) -> Iterator[LintFinding]:
    """Yield one advice for each part that is not built, where it is asked for first."""
    desk = Desk(bundle)
    for each in NOT_BUILT:
        for path in each.places(bundle)[:1]:
            yield desk.advice(path, f"not used by this version yet: {each.meanwhile}")


def refused_fields(bundle: Bundle) -> Iterator[LintFinding]:
    """Yield an error for each place that asks for what this version cannot do, in file order."""
    desk = Desk(bundle)
    found = [
        desk.error(path, f"not built yet: {each.what}; {each.meanwhile}", f"see {PAGE}")
        for each in NOT_BUILT
        if each.refused
        for path in each.places(bundle)
    ]
    yield from sorted(found, key=lambda each: (each.place.line, each.place.column))


def page() -> str:
    """Write docs/reference/not-built-yet.md."""
    rows = [
        f"| {each.what} | `{_shown(each.pattern)}` |"
        f" {'**refused**' if each.refused else 'kept'} | {each.meanwhile} |"
        for each in NOT_BUILT
    ]
    return "\n".join([_HEAD, *rows, ""])


_HEAD = """\
# Not built yet

What a policy may say and this version does not do. This page is written from
`src/breakglass/policy/not_built.py` (`python -m tests.kit.not_built_page`); a test compares them.

- **refused**: somebody would rely on it at night. `breakglass policy check`, `policy sign` and
  `policy activate` name the place by line and column, end with exit code 3, and sign and activate
  nothing; `doctor` fails.
  The form of such a policy can be checked all the same: an error in it ends with exit code 2.
- *kept*: read, checked for its form, and named by `policy lint` in one line of advice.

Two things hang on the installation and not on the version: a channel that the monitor's settings
do not have, and a minter that the broker does not know. They are refused in the same way.

| part | where | | meanwhile |
| --- | --- | --- | --- |"""


def _shown(pattern: str) -> str:
    """Write a pattern of paths for people."""
    text = re.sub(r"\[\^[:.]+\]\+", "NAME", pattern).replace("[a-z]+", "…")
    return re.sub(r"\((.*)\)", lambda found: found[1].replace("|", ", "), text.replace("\\.", "."))
