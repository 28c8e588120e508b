"""A git history read as bypasses and passages: every change of the main line is one passage.

The main line's first parents in committer time, as in ``data/bypass``: a change was landed by its
committer's day, and bypassed those gates whose signs its message shows. Each gate's life begins
with the repository's first change; ``meta.json`` can be edited where it began later.
"""

from __future__ import annotations

import subprocess
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, MisconfiguredError
from breakglass.verdicts.history import Bypass, monday, quarter
from breakglass.verdicts.imports.pseudonyms import without_addresses
from breakglass.verdicts.imports.rules import Rule, Rules, footers, unquoted

_FIELD, _RECORD = "\x1f", "\x1e"
FORMAT = f"%H{_FIELD}%cI{_FIELD}%an <%ae>{_FIELD}%B{_RECORD}"
LONGEST_REASON = 180


@dataclass(frozen=True)
class Change:
    """One landed change: commit id, when it landed, who wrote it, its message."""

    commit: str
    at: datetime
    person: str
    message: str


@dataclass
class Imported:
    """Everything that a history folder needs; ``people`` holds changes per quarter and person."""

    events: list[Bypass] = field(default_factory=list)
    passages: dict[str, dict[date, float]] = field(default_factory=dict)
    people: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    as_of: datetime | None = None
    left_out: int = 0


def read_log(repository: Path, branch: str, since: str = "") -> Iterator[Change]:
    """Run ``git log`` on ``repository`` and return its changes, newest first.

    Raises:
        MisconfiguredError: git is not there, or does not know the repository or the branch.
    """
    command = ["git", "-C", str(repository), "log", "--first-parent", f"--format={FORMAT}"]
    command += [f"--since={since}"] if since else []
    try:
        # The branch stands after --end-of-options: a name with a dash must not become an option.
        done = subprocess.run(
            [*command, "--end-of-options", branch, "--"], capture_output=True, check=False
        )
    except FileNotFoundError as error:
        raise MisconfiguredError("'git' is not installed; nothing was read") from error
    if done.returncode != 0:
        told = done.stderr.decode("utf-8", "replace").strip().split("\n")[0]
        raise MisconfiguredError(
            f"git cannot read branch '{branch}' of '{repository}': {told}",
            name=ErrorName.NO_REPOSITORY,
            hint="name another branch with --branch, or clone with its history (no --depth)",
        )
    return parse_log(done.stdout.decode("utf-8", "replace"))


def parse_log(text: str) -> Iterator[Change]:
    """Read what ``git log --format=FORMAT`` prints."""
    for number, record in enumerate(text.split(_RECORD), 1):
        if not record.strip():
            continue
        parts = record.lstrip("\n").split(_FIELD, 3)
        if len(parts) != 4:
            raise MalformedError(f"git log record {number} has {len(parts)} of 4 fields")
        commit, at, person, message = parts
        yield Change(commit, datetime.fromisoformat(at).astimezone(UTC), person, message.strip())


def from_changes(
    changes: Iterable[Change], rules: Rules, who: Callable[[str], str], *, hidden: bool
) -> Imported:
    """Return the history that ``rules`` see in ``changes``; bots are left out of both sides.

    Args:
        changes: in any order.
        rules: from ``read_rules``.
        who: from a person's name and address to the name to be written.
        hidden: addresses are taken out of reasons, too.
    """
    found = Imported()
    weeks: Counter[date] = Counter()
    seasons: dict[str, Counter[str]] = defaultdict(Counter)
    for change in changes:
        found.as_of = max(found.as_of or change.at, change.at)
        if rules.is_bot(change.person):
            found.left_out += 1
            continue
        person = who(change.person)
        weeks[monday(change.at.date())] += 1
        seasons[quarter(change.at.date())][person] += 1
        found.events += _bypasses(change, rules, person, hidden=hidden)
    for gate in rules.gates:
        found.passages[gate] = {week: float(n) for week, n in weeks.items()}
        found.people[gate] = {
            season: {name: float(n) for name, n in people.items()}
            for season, people in seasons.items()
        }
    return found


def _bypasses(change: Change, rules: Rules, person: str, *, hidden: bool) -> list[Bypass]:
    text = unquoted(change.message)
    feet = footers(text)
    gates = [gate for gate, signs in rules.gates.items() if any(s.found(feet, text) for s in signs)]
    if not gates:
        return []
    reason = _told(rules.reason, feet, text) or text.split("\n")[0]
    reason = " ".join(reason.split())[:LONGEST_REASON]
    sanctioned = any(sign.found(feet, text) for sign in rules.sanctioned)
    incident = _told(rules.incident, feet, text)
    return [
        Bypass(
            id=f"{change.commit[:12]}-{gate}",
            time=change.at,
            gate=gate,
            person=person,
            incident=incident if incident.lower() not in {"none", "n/a", "-"} else "",
            reason=without_addresses(reason) if hidden else reason,
            sanctioned=sanctioned,
        )
        for gate in gates
    ]


def _told(signs: tuple[Rule, ...], feet: list[tuple[str, str]], text: str) -> str:
    """Return what the first sign that is there says: a footer's value, a pattern's first group."""
    for sign in signs:
        if sign.pattern is not None:
            match = sign.pattern.search(text)
            if match:
                return (match[1] if match.re.groups else match[0]) or ""
        for name, value in feet:
            if name == sign.footer and value and (not sign.value or sign.value.search(value)):
                return value.split(",")[0].strip()
    return ""
