"""The history folder, read once at the edge and written again: four files anybody can make.

``events.jsonl``, ``opportunities.csv``, ``people.csv`` and ``meta.json`` as in DEVIANCE.md,
"History format"; ``reviews.jsonl`` beside them holds what gate reviews decided, and
``grants.jsonl`` the uses of glasses that open no gate, in the form of events.
``meta.json`` may also say ``gates``: per name ``born``, ``retired``, ``changes``
(``on``, ``what``), ``siblings`` and ``counted_to``.
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from breakglass.clock import format_time
from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, MisconfiguredError
from breakglass.verdicts.history import KINDS, Bypass, Gate, GateChange, GateReview, History, monday
from breakglass.verdicts.rows import (
    csv_rows,
    day_in,
    is_yes,
    json_lines,
    json_object,
    number_in,
    text_in,
    time_in,
    word_in,
)

FILES = (
    "events.jsonl",
    "opportunities.csv",
    "people.csv",
    "meta.json",
    "reviews.jsonl",
    "grants.jsonl",
)
"""Every file that a history folder may hold."""


def read_folder(folder: Path, at: datetime | None = None) -> History:
    """Read a history folder; events after ``as_of`` and weeks that start after it are left out.

    ``at`` looks at the history as it stood at an earlier time than its own ``as_of``.

    Raises:
        MisconfiguredError: the folder or one of the files that it needs is not there.
        MalformedError: a line is not of the form; the message names the file and the line.
    """
    if not folder.is_dir():
        raise MisconfiguredError(
            f"'{folder}' is not a folder; nothing was read",
            name=ErrorName.NO_HISTORY,
            hint="make one with: breakglass gate import git REPO --rules rules.yaml --out DIR",
        )
    meta = json_object(text_in(folder / "meta.json"), f"{folder / 'meta.json'}:1")
    as_of = time_in(meta.get("as_of"), "as_of", f"{folder / 'meta.json'}:1")
    if at is not None:
        as_of = min(at, as_of)
    events = _events(folder / "events.jsonl", as_of)
    passages = _passages(folder / "opportunities.csv", as_of)
    people = _people(folder / "people.csv")
    told = meta.get("gates")
    told = told if isinstance(told, dict) else {}
    where = f"{folder / 'meta.json'}:1"
    names = sorted({*events, *passages, *told})
    gates = tuple(
        Gate(
            name=name,
            events=tuple(sorted(events.get(name, []), key=lambda event: (event.time, event.id))),
            passages=dict(sorted(passages.get(name, {}).items())),
            people=people.get(name, {}),
            **_life(told.get(name) or {}, where),
        )
        for name in names
    )
    reviews = read_reviews(folder / "reviews.jsonl", as_of)
    return History(as_of, gates, reviews, _grants(folder / "grants.jsonl", as_of))


def read_reviews(path: Path, as_of: datetime) -> tuple[GateReview, ...]:
    """Read the decisions of gate reviews up to ``as_of``, oldest first; no file means none."""
    if not path.exists():
        return ()
    found = []
    for where, row in json_lines(path):
        at = time_in(row.get("at"), "at", where)
        look_again = row.get("look_again")
        if at <= as_of:
            found.append(
                GateReview(
                    gate=word_in(row, "gate", where),
                    at=at,
                    verdict=word_in(row, "verdict", where),
                    decision=word_in(row, "decision", where),
                    by=word_in(row, "by", where),
                    look_again=day_in(look_again, "look_again", where) if look_again else None,
                )
            )
    return tuple(sorted(found, key=lambda review: (review.at, review.gate)))


def append_review(folder: Path, review: GateReview) -> None:
    """Add one decision to ``reviews.jsonl``; earlier lines are never touched."""
    line = {
        "kind": "gate_reviewed",
        "gate": review.gate,
        "at": format_time(review.at),
        "verdict": review.verdict,
        "decision": review.decision,
        "by": review.by,
        "look_again": review.look_again.isoformat() if review.look_again else None,
    }
    with (folder / "reviews.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")


def write_folder(
    folder: Path,
    as_of: datetime,
    events: list[Bypass],
    passages: Mapping[str, Mapping[date, float]],
    people: Mapping[str, Mapping[str, Mapping[str, float]]],
    gates: Mapping[str, Mapping[str, Any]] | None = None,
    grants: Sequence[Bypass] = (),
) -> None:
    """Write the four files, sorted, so that the same history is the same bytes.

    Raises:
        MisconfiguredError: the folder already holds a history; nothing is written over it.
    """
    if (folder / "events.jsonl").exists():
        raise MisconfiguredError(
            f"'{folder}' already holds a history; nothing was written",
            name=ErrorName.HISTORY_EXISTS,
            hint="give another folder with --out, or remove the old one first",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MisconfiguredError(
            f"'{folder}' cannot be made: {error.strerror}; nothing was written",
            name=ErrorName.NO_HISTORY,
            hint="give another folder with --out",
        ) from error
    with (folder / "events.jsonl").open("w", encoding="utf-8") as file:
        for event in sorted(events, key=lambda e: (e.time, e.gate, e.id)):
            file.write(json.dumps(_event_row(event), ensure_ascii=False) + "\n")
    if grants:
        rows = [json.dumps(_event_row(grant), ensure_ascii=False) + "\n" for grant in grants]
        (folder / "grants.jsonl").write_text("".join(rows), encoding="utf-8")
    with (folder / "opportunities.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["gate", "week_start", "opportunities"])
        for gate in sorted(passages):
            table.writerows([gate, week, f"{n:g}"] for week, n in sorted(passages[gate].items()))
    with (folder / "people.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["quarter", "gate", "person", "activity_share"])
        for gate in sorted(people):
            for season in sorted(people[gate]):
                for person, share in sorted(people[gate][season].items()):
                    table.writerow([season, gate, person, f"{share:.6g}"])
    meta: dict[str, Any] = {"as_of": as_of.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
    if gates:
        meta["gates"] = {name: dict(gates[name]) for name in sorted(gates)}
    (folder / "meta.json").write_text(json.dumps(meta, indent=1) + "\n", encoding="utf-8")


def _event_row(event: Bypass) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": event.id,
        "time": event.time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "gate": event.gate,
        "person": event.person,
        "incident": event.incident or None,
        "reason": event.reason,
    }
    extra = {
        "parent_incident": event.parent_incident,
        "reason_code": event.reason_code,
        "sanctioned": event.sanctioned,
        "kind": event.kind if event.kind != "bypass" else "",
    }
    return row | {key: value for key, value in extra.items() if value}


def _events(path: Path, as_of: datetime) -> dict[str, list[Bypass]]:
    found: dict[str, list[Bypass]] = defaultdict(list)
    for where, row in json_lines(path):
        moment = time_in(row.get("time"), "time", where)
        if moment > as_of:
            continue
        kind = str(row.get("kind") or "bypass")
        if kind not in KINDS:
            raise MalformedError(
                f"{where}: 'kind' is {kind!r}, wanted one of {', '.join(KINDS)}",
                name=ErrorName.BAD_KIND,
            )
        gate = word_in(row, "gate", where)
        found[gate].append(
            Bypass(
                id=str(row.get("id") or where.rpartition(":")[2]),
                time=moment,
                gate=gate,
                person=str(row.get("person") or ""),
                incident=str(row.get("incident") or ""),
                parent_incident=str(row.get("parent_incident") or ""),
                reason=str(row.get("reason") or ""),
                reason_code=str(row.get("reason_code") or ""),
                sanctioned=is_yes(row.get("sanctioned")),
                kind=kind,
            )
        )
    return found


def _grants(path: Path, as_of: datetime) -> tuple[Bypass, ...]:
    if not path.exists():
        return ()
    found = [grant for grants in _events(path, as_of).values() for grant in grants]
    return tuple(sorted(found, key=lambda grant: (grant.time, grant.id)))


def _passages(path: Path, as_of: datetime) -> dict[str, dict[date, float]]:
    found: dict[str, dict[date, float]] = defaultdict(dict)
    for where, row in csv_rows(path, ("gate", "week_start", "opportunities")):
        week = monday(day_in(row["week_start"], "week_start", where))
        if week > as_of.date():
            continue
        gate = row["gate"].strip()
        count = number_in(row["opportunities"], "opportunities", where)
        found[gate][week] = found[gate].get(week, 0.0) + count
    return found


def _people(path: Path) -> dict[str, dict[str, dict[str, float]]]:
    found: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    if not path.exists():
        return found
    for where, row in csv_rows(path, ("gate", "person", "activity_share")):
        weights = found[row["gate"].strip()][(row.get("quarter") or "").strip()]
        share = number_in(row["activity_share"], "activity_share", where)
        weights[row["person"].strip()] = weights.get(row["person"].strip(), 0.0) + share
    return found


def _life(told: Mapping[str, Any], where: str) -> dict[str, Any]:
    return {
        "born": day_in(told["born"], "born", where) if told.get("born") else None,
        "retired": day_in(told["retired"], "retired", where) if told.get("retired") else None,
        "changes": tuple(
            GateChange(day_in(change.get("on"), "on", where), str(change.get("what") or "changed"))
            for change in told.get("changes") or []
        ),
        "counted_to": (
            day_in(told["counted_to"], "counted_to", where) if told.get("counted_to") else None
        ),
        "siblings": tuple(str(name) for name in told.get("siblings") or []),
    }
