"""Tables read as a history: one of bypasses, one of passages, one of people.

Columns are known by several names each, so that the public sets in ``data/bypass`` and most exports
need no renaming; what is called otherwise is named on the command line (``--map time=when``).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from pathlib import Path

from breakglass.verdicts.history import WEEK, Bypass, midnight, monday
from breakglass.verdicts.imports.imported import Imported
from breakglass.verdicts.imports.masks import masked
from breakglass.verdicts.imports.table_files import Reading, count_in, month_of, rows_of

NAMES: dict[str, tuple[str, ...]] = {
    "id": ("id", "key", "number"),
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
    "week_start": ("week_start", "week", "month"),
    "opportunities": ("opportunities", "passages", "changes_all", "runs", "total"),
    "bots": ("changes_bot",),
    "quarter": ("quarter",),
    "activity": ("activity_share", "share", "changes", "count"),
}

ROUTINE_KINDS = frozenset({"revert", "backout", "roll"})  # what a policy sanctions beforehand


def from_tables(
    events: Path,
    weekly: Path | None,
    people: Path | None,
    who: Callable[[str], str],
    mapped: Mapping[str, str],
    *,
    hidden: bool,
    reading: Reading | None = None,
) -> Imported:
    """Return the history that three tables hold.

    A table of passages or people without a gate's column counts for every gate. Rows of machines
    (``actor`` is ``bot``) are left out, and so are their passages (``changes_bot``). A row whose
    ``id`` was there already is left out. Without a table of passages no rate can be known.

    Raises:
        MisconfiguredError: a file is not there.
        MalformedError: a needed column is missing or a value cannot be read; names file and line.
    """
    found, reading = Imported(), reading or Reading()
    ids, twice = set[tuple[str, str]](), list[str]()
    for where, row in rows_of(events, NAMES, mapped, ("time", "gate"), reading):
        if row.get("actor", "").lower() == "bot":
            found.left_out += 1
            continue
        at = reading.moment(row["time"], where)
        own = (row.get("id", ""), row["gate"])
        if own[0] and own in ids:
            twice.append(f"{own[0]} ({where})")
            continue
        ids.add(own)
        found.as_of = max(found.as_of or at, at)
        found.names.add(row.get("person", ""))
        found.events.append(
            Bypass(
                id="-".join(own) if own[0] else f"{events.stem}-{where.rpartition(':')[2]}",
                time=at,
                gate=row["gate"],
                person=who(row.get("person", "")),
                incident=row.get("incident", ""),
                parent_incident=row.get("parent_incident", ""),
                reason=row.get("reason", ""),
                reason_code=row.get("reason_code", ""),
                sanctioned=row.get("sanctioned", "").lower() in {"1", "true", "yes"}
                or row.get("change_kind", "").lower() in ROUTINE_KINDS,
                kind=row.get("kind", "") or "bypass",
            )
        )
    found.tell("left out, its id was there already", twice)
    gates = sorted({event.gate for event in found.events})
    if weekly is None:
        found.notes.append("no passages were given: no rate can be known of any gate")
    else:
        _weeks(weekly, mapped, gates, found, reading)
    if people is not None:
        _shares(people, mapped, gates, who, found, reading)
    if reading.no_zone:
        found.notes.append(
            f"{reading.no_zone} times have no zone and were read as {reading.zone or 'UTC'} "
            "(another: --zone)"
        )
    if hidden:
        found.events = masked(found.events, found.names)
    return found


def _weeks(
    path: Path, mapped: Mapping[str, str], gates: list[str], found: Imported, reading: Reading
) -> None:
    passages: dict[str, dict[date, float]] = defaultdict(lambda: defaultdict(float))
    ends: date | None = None
    named, again = set[tuple[str, str]](), list[str]()
    for where, row in rows_of(path, NAMES, mapped, ("week_start", "opportunities"), reading):
        count = count_in(row["opportunities"], where) - count_in(row.get("bots", "") or "0", where)
        first, end = _weeks_of(row["week_start"], where, reading)
        ends = max(ends or end, end)
        gate = row.get("gate", "")
        if (gate, row["week_start"]) in named:
            again.append(f"{gate or 'all gates'} {row['week_start']} ({where})")
        named.add((gate, row["week_start"]))
        for each in [gate] if gate else gates:
            for week, n in _spread(first, end, max(0.0, count)):
                passages[each][week] += n
    found.passages = {gate: dict(weeks) for gate, weeks in passages.items()}
    found.tell("named twice, both were added up", again)
    found.tell("bypassed, but no passages under this name", sorted(set(gates) - set(passages)))
    found.tell("passed, but no bypass under this name", sorted(set(passages) - set(gates)))
    if ends is not None:
        # The last week was counted whole, so the history stands at its end.
        found.as_of = max(found.as_of or midnight(ends), midnight(ends))


def _weeks_of(text: str, where: str, reading: Reading) -> tuple[date, date]:
    """Return the first day of a week or a month, and of the next one."""
    month = month_of(text)
    if month is not None:
        return month
    # A day alone is a day, in whatever zone it was written.
    day = Reading(time_format=reading.time_format).moment(text, where).date()
    return monday(day), monday(day) + WEEK


def _spread(first: date, end: date, count: float) -> list[tuple[date, float]]:
    """Return a count laid evenly on the weeks that its days fall into."""
    days = [first + timedelta(days=n) for n in range((end - first).days)]
    weeks = Counter(monday(day) for day in days)
    return [(week, count * n / len(days)) for week, n in sorted(weeks.items())]


def _shares(
    path: Path,
    mapped: Mapping[str, str],
    gates: list[str],
    who: Callable[[str], str],
    found: Imported,
    reading: Reading,
) -> None:
    people: dict[str, dict[str, dict[str, float]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(float))
    )
    for where, row in rows_of(path, NAMES, mapped, ("person", "activity"), reading):
        weight = count_in(row["activity"], where)
        found.names.add(row["person"])
        for gate in [row["gate"].strip()] if row.get("gate") else gates:
            people[gate][row.get("quarter", "").strip()][who(row["person"])] += weight
    found.people = {
        gate: {season: dict(shares) for season, shares in seasons.items()}
        for gate, seasons in people.items()
    }
