"""Tables read as a history: one of bypasses, one of passages, one of people.

Columns are known by several names each, so that the public sets in ``data/bypass`` and most exports
need no renaming; what is called otherwise is named on the command line (``--map time=when``).
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, MisconfiguredError
from breakglass.verdicts.history import Bypass, monday
from breakglass.verdicts.imports.git_log import Imported
from breakglass.verdicts.imports.pseudonyms import without_addresses

NAMES: dict[str, tuple[str, ...]] = {
    "time": ("time", "committed_at", "timestamp", "at", "created_at", "date"),
    "gate": ("gate", "check", "control"),
    "person": ("person", "user", "actor_id", "author", "who"),
    "incident": ("incident", "bug", "ticket", "issue"),
    "parent_incident": ("parent_incident", "problem"),
    "reason": ("reason", "why", "comment", "justification"),
    "reason_code": ("reason_code", "code"),
    "sanctioned": ("sanctioned", "policy_approved", "auto_footer_revert"),
    "change_kind": ("change_kind",),
    "kind": ("kind",),
    "actor": ("actor",),
    "week_start": ("week_start", "week"),
    "opportunities": ("opportunities", "passages", "changes_all", "runs", "total"),
    "bots": ("changes_bot",),
    "quarter": ("quarter",),
    "activity": ("activity_share", "share", "changes", "count"),
}

ROUTINE_KINDS = frozenset({"revert", "backout", "roll"})  # what a policy sanctions beforehand


def from_tables(
    events: Path,
    weekly: Path,
    people: Path | None,
    who: Callable[[str], str],
    mapped: Mapping[str, str],
    *,
    hidden: bool,
) -> Imported:
    """Return the history that three tables hold.

    A table of passages or people without a gate's column counts for every gate. Rows of machines
    (``actor`` is ``bot``) are left out, and so are their passages (``changes_bot``).

    Raises:
        MisconfiguredError: a file is not there.
        MalformedError: a needed column is missing or a value cannot be read; names file and line.
    """
    found = Imported()
    for where, row in _read(events, mapped, ("time", "gate")):
        if row.get("actor", "").lower() == "bot":
            found.left_out += 1
            continue
        at = _moment(row["time"], where)
        reason = row.get("reason", "")
        found.as_of = max(found.as_of or at, at)
        found.events.append(
            Bypass(
                id=row.get("id") or f"{events.stem}-{where.rpartition(':')[2]}",
                time=at,
                gate=row["gate"].strip(),
                person=who(row.get("person", "")),
                incident=row.get("incident", "").strip(),
                parent_incident=row.get("parent_incident", "").strip(),
                reason=without_addresses(reason) if hidden else reason,
                reason_code=row.get("reason_code", "").strip(),
                sanctioned=row.get("sanctioned", "").strip().lower() in {"1", "true", "yes"}
                or row.get("change_kind", "").strip().lower() in ROUTINE_KINDS,
                kind=row.get("kind", "").strip() or "bypass",
            )
        )
    gates = sorted({event.gate for event in found.events})
    last = _weeks(weekly, mapped, gates, found)
    if people is not None:
        _shares(people, mapped, gates, who, found)
    if last is not None:
        end = datetime(last.year, last.month, last.day, tzinfo=UTC)
        found.as_of = max(found.as_of or end, end)
    return found


def _weeks(path: Path, mapped: Mapping[str, str], gates: list[str], found: Imported) -> date | None:
    passages: dict[str, dict[date, float]] = defaultdict(lambda: defaultdict(float))
    last: date | None = None
    for where, row in _read(path, mapped, ("week_start", "opportunities")):
        week = monday(_moment(row["week_start"], where).date())
        last = max(last or week, week)
        count = _count(row["opportunities"], where) - _count(row.get("bots", "") or "0", where)
        for gate in [row["gate"].strip()] if row.get("gate") else gates:
            passages[gate][week] += max(0.0, count)
    found.passages = {gate: dict(weeks) for gate, weeks in passages.items()}
    return last


def _shares(
    path: Path,
    mapped: Mapping[str, str],
    gates: list[str],
    who: Callable[[str], str],
    found: Imported,
) -> None:
    people: dict[str, dict[str, dict[str, float]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(float))
    )
    for where, row in _read(path, mapped, ("person", "activity")):
        weight = _count(row["activity"], where)
        for gate in [row["gate"].strip()] if row.get("gate") else gates:
            people[gate][row.get("quarter", "").strip()][who(row["person"])] += weight
    found.people = {
        gate: {season: dict(shares) for season, shares in seasons.items()}
        for gate, seasons in people.items()
    }


def _read(
    path: Path, mapped: Mapping[str, str], needed: tuple[str, ...]
) -> list[tuple[str, dict[str, str]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise MisconfiguredError(f"'{path}' cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise MalformedError(f"'{path}' is not UTF-8 text: {error}") from error
    table = csv.DictReader(text.splitlines())
    columns = table.fieldnames or []
    chosen = {}
    for role, names in NAMES.items():
        wanted = (mapped[role],) if role in mapped else names
        hit = next((name for name in wanted if name in columns), None)
        if hit is not None:
            chosen[role] = hit
        elif role in needed:
            raise MalformedError(
                f"{path}:1: no column for '{role}', wanted one of {', '.join(wanted)}; "
                f"got {', '.join(columns) or 'nothing'}",
                name=ErrorName.NO_COLUMN,
                hint=f"name it with --map {role}=COLUMN",
            )
    rows = []
    for row in table:
        told = {role: (row.get(column) or "") for role, column in chosen.items()}
        rows.append((f"{path}:{table.line_num}", told))
    return rows


def _moment(text: str, where: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise MalformedError(
            f"{where}: {text[:40]!r} is not a time such as 2026-06-22T03:14:09Z",
            name=ErrorName.BAD_TIME,
        ) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def _count(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e15:
        raise MalformedError(f"{where}: {text[:40]!r} is not a count", name=ErrorName.BAD_NUMBER)
    return value
