"""GitHub's own exports read as a history: merges without review, and administrators' overrides.

Two files that an owner can make without us: pull requests (``gh pr list --state merged --limit 5000
--json number,title,mergedAt,mergedBy,author,reviews,labels,baseRefName``) and the audit log as JSON
or as one object a line. Both are read offline; we ask for no token.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, MisconfiguredError
from breakglass.verdicts.history import Bypass, monday, quarter
from breakglass.verdicts.imports.git_log import LONGEST_REASON, Imported
from breakglass.verdicts.imports.pseudonyms import without_addresses

REVIEW, PROTECTION = "review", "branch-protection"
# An administrator merged or pushed in spite of an unmet requirement of branch protection.
OVERRIDES = frozenset({"protected_branch.policy_override"})


def from_github(
    pulls: Path, audit: Path | None, who: Callable[[str], str], *, hidden: bool
) -> Imported:
    """Return the gates ``review`` and, with an audit log, ``branch-protection``.

    A merge with no approval but its own author's is a bypass of ``review``; a passage is a merge.
    Machines' pull requests (logins that end in ``[bot]``) are left out of both sides.

    Raises:
        MisconfiguredError: a file is not there.
        MalformedError: a file is not of these forms; names the file and the entry.
    """
    found = Imported()
    weeks: Counter[date] = Counter()
    seasons: dict[str, Counter[str]] = defaultdict(Counter)
    for where, pull in _objects(pulls):
        if not pull.get("mergedAt"):
            continue
        at, author = _moment(pull["mergedAt"], where), _login(pull.get("author"))
        found.as_of = max(found.as_of or at, at)
        if author.endswith("[bot]") or author.startswith("app/"):
            found.left_out += 1
            continue
        weeks[monday(at.date())] += 1
        seasons[quarter(at.date())][who(author)] += 1
        if not _approved(pull, author):
            found.events.append(_unreviewed(pull, at, author, who, hidden=hidden))
    gates = [REVIEW]
    if audit is not None:
        gates.append(PROTECTION)
        found.events += [
            event for event in _overrides(audit, who, hidden=hidden) if event.person != ""
        ]
        found.as_of = max([e.time for e in found.events] + ([found.as_of] if found.as_of else []))
    for gate in gates:
        found.passages[gate] = {week: float(n) for week, n in weeks.items()}
        found.people[gate] = {
            season: {name: float(n) for name, n in people.items()}
            for season, people in seasons.items()
        }
    return found


def _unreviewed(
    pull: dict[str, Any], at: datetime, author: str, who: Callable[[str], str], *, hidden: bool
) -> Bypass:
    title = " ".join(str(pull.get("title") or "").split())[:LONGEST_REASON]
    return Bypass(
        id=f"pull-{pull.get('number', '')}",
        time=at,
        gate=REVIEW,
        person=who(_login(pull.get("mergedBy")) or author),
        reason=without_addresses(title) if hidden else title,
    )


def _approved(pull: dict[str, Any], author: str) -> bool:
    reviews = pull.get("reviews")
    return isinstance(reviews, list) and any(
        isinstance(review, dict)
        and review.get("state") == "APPROVED"
        and _login(review.get("author")) not in {"", author}
        for review in reviews
    )


def _overrides(path: Path, who: Callable[[str], str], *, hidden: bool) -> list[Bypass]:
    events = []
    for where, entry in _objects(path):
        if entry.get("action") not in OVERRIDES:
            continue
        actor = str(entry.get("actor") or entry.get("user") or "")
        told = str(entry.get("reason") or entry.get("message") or "")
        parts = [str(entry["action"]), str(entry.get("repo") or ""), str(entry.get("branch") or "")]
        reason = " ".join((told or " ".join(parts)).split())[:LONGEST_REASON]
        events.append(
            Bypass(
                id=str(entry.get("_document_id") or where),
                time=_moment(entry.get("@timestamp", entry.get("created_at")), where),
                gate=PROTECTION,
                person=who(actor),
                reason=without_addresses(reason) if hidden else reason,
                kind="machine" if actor.endswith("[bot]") else "bypass",
            )
        )
    return events


def _objects(path: Path) -> list[tuple[str, dict[str, Any]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise MisconfiguredError(f"'{path}' cannot be read: {error.strerror}") from error
    try:
        if text.lstrip().startswith("["):
            rows = [(f"{path}: entry {i}", row) for i, row in enumerate(json.loads(text), 1)]
        else:
            lines = [(i, line) for i, line in enumerate(text.split("\n"), 1) if line.strip()]
            rows = []
            for number, line in lines:
                rows.append((f"{path}:{number}", json.loads(line)))
    except (json.JSONDecodeError, RecursionError) as error:
        raise MalformedError(
            f"'{path}' is neither a JSON list nor one JSON object a line: {error}",
            name=ErrorName.NOT_JSON,
        ) from error
    for where, row in rows:
        if not isinstance(row, dict):
            raise MalformedError(f"{where}: wanted a JSON object", name=ErrorName.NOT_JSON)
    return rows


def _login(value: object) -> str:
    return str(value.get("login") or "") if isinstance(value, dict) else str(value or "")


def _moment(value: object, where: str) -> datetime:
    try:
        if isinstance(value, (int, float)):
            # The audit log counts milliseconds.
            return datetime.fromtimestamp(value / 1000, UTC)
        moment = datetime.fromisoformat(str(value))
    except (ValueError, OverflowError, OSError) as error:
        raise MalformedError(
            f"{where}: {value!r} is not a time", name=ErrorName.BAD_TIME
        ) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
