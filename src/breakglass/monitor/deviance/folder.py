"""The history folder, read once at the edge and written again: four files anybody can make.

``events.jsonl``, ``opportunities.csv``, ``people.csv`` and ``meta.json`` as in DEVIANCE.md, "History
format"; ``reviews.jsonl`` beside them holds what gate reviews decided. ``meta.json`` may also say
``gates``: per name ``born``, ``retired``, ``changes`` (``on``, ``what``) and ``siblings``.
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from breakglass.clock import format_time
from breakglass.errors import MalformedError, MisconfiguredError
from breakglass.monitor.deviance.history import (
    KINDS,
    Bypass,
    Gate,
    GateChange,
    GateReview,
    History,
    monday,
)


def read_folder(folder: Path) -> History:
    """Read a history folder; events after ``as_of`` and weeks that start after it are left out.

    Raises:
        MisconfiguredError: the folder or one of the files that it needs is not there.
        MalformedError: a line is not of the form; the message names the file and the line.
    """
    if not folder.is_dir():
        raise MisconfiguredError(
            f"'{folder}' is not a folder; nothing was read",
            name="no_history",
            hint="make one with: breakglass gates import git REPO --rules rules.yaml --out DIR",
        )
    meta = _object(_text(folder / "meta.json"), f"{folder / 'meta.json'}:1")
    as_of = _time(meta.get("as_of"), "as_of", f"{folder / 'meta.json'}:1")
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
    return History(as_of, gates, read_reviews(folder / "reviews.jsonl", as_of))


def read_reviews(path: Path, as_of: datetime) -> tuple[GateReview, ...]:
    """Read the decisions of gate reviews up to ``as_of``, oldest first; no file means none."""
    if not path.exists():
        return ()
    found = []
    for where, row in _lines(path):
        at = _time(row.get("at"), "at", where)
        look_again = row.get("look_again")
        if at <= as_of:
            found.append(
                GateReview(
                    gate=_word(row, "gate", where),
                    at=at,
                    verdict=_word(row, "verdict", where),
                    decision=_word(row, "decision", where),
                    by=_word(row, "by", where),
                    look_again=_day(look_again, "look_again", where) if look_again else None,
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
) -> None:
    """Write the four files, sorted, so that the same history is the same bytes.

    Raises:
        MisconfiguredError: the folder already holds a history; nothing is written over it.
    """
    if (folder / "events.jsonl").exists():
        raise MisconfiguredError(
            f"'{folder}' already holds a history; nothing was written",
            name="history_exists",
            hint="give another folder with --out, or remove the old one first",
        )
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "events.jsonl").open("w", encoding="utf-8") as file:
        for event in sorted(events, key=lambda e: (e.time, e.gate, e.id)):
            file.write(json.dumps(_event_row(event), ensure_ascii=False) + "\n")
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
    for where, row in _lines(path):
        moment = _time(row.get("time"), "time", where)
        if moment > as_of:
            continue
        kind = str(row.get("kind") or "bypass")
        if kind not in KINDS:
            raise MalformedError(
                f"{where}: 'kind' is {kind!r}, wanted one of {', '.join(KINDS)}", name="bad_kind"
            )
        gate = _word(row, "gate", where)
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
                sanctioned=_yes(row.get("sanctioned")),
                kind=kind,
            )
        )
    return found


def _passages(path: Path, as_of: datetime) -> dict[str, dict[date, float]]:
    found: dict[str, dict[date, float]] = defaultdict(dict)
    for where, row in _rows(path, ("gate", "week_start", "opportunities")):
        week = monday(_day(row["week_start"], "week_start", where))
        if week > as_of.date():
            continue
        gate = row["gate"].strip()
        count = _number(row["opportunities"], "opportunities", where)
        found[gate][week] = found[gate].get(week, 0.0) + count
    return found


def _people(path: Path) -> dict[str, dict[str, dict[str, float]]]:
    found: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    if not path.exists():
        return found
    for where, row in _rows(path, ("gate", "person", "activity_share")):
        weights = found[row["gate"].strip()][(row.get("quarter") or "").strip()]
        share = _number(row["activity_share"], "activity_share", where)
        weights[row["person"].strip()] = weights.get(row["person"].strip(), 0.0) + share
    return found


def _life(told: Mapping[str, Any], where: str) -> dict[str, Any]:
    return {
        "born": _day(told["born"], "born", where) if told.get("born") else None,
        "retired": _day(told["retired"], "retired", where) if told.get("retired") else None,
        "changes": tuple(
            GateChange(_day(change.get("on"), "on", where), str(change.get("what") or "changed"))
            for change in told.get("changes") or []
        ),
        "siblings": tuple(str(name) for name in told.get("siblings") or []),
    }


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise MisconfiguredError(
            f"'{path}' is missing; a history has events.jsonl, opportunities.csv and meta.json",
            name="no_history",
            hint="the format is in docs/how-to/import-a-history.md",
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise MalformedError(f"'{path}' cannot be read as UTF-8 text: {error}") from error


def _object(text: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise MalformedError(f"{where}: not JSON: {error}", name="not_json") from error
    if not isinstance(row, dict):
        raise MalformedError(f"{where}: wanted a JSON object, got {text[:40]!r}", name="not_json")
    return row


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(_text(path).split("\n"), 1):
        if line.strip():
            yield f"{path}:{number}", _object(line, f"{path}:{number}")


def _rows(path: Path, needed: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    table = csv.DictReader(_text(path).splitlines())
    missing = [name for name in needed if name not in (table.fieldnames or [])]
    if missing:
        raise MalformedError(
            f"{path}:1: no column '{missing[0]}', got {', '.join(table.fieldnames or ['nothing'])}",
            name="no_column",
        )
    for row in table:
        where = f"{path}:{table.line_num}"
        if any(row[name] is None for name in needed):
            raise MalformedError(f"{where}: the row is short of a value", name="short_row")
        yield where, {key: value or "" for key, value in row.items() if isinstance(key, str)}


def _word(row: Mapping[str, Any], key: str, where: str) -> str:
    value = row.get(key)
    if not isinstance(value, str) or not value.strip():
        raise MalformedError(f"{where}: '{key}' is {value!r}, wanted a name", name="no_value")
    return value.strip()


def _yes(value: object) -> bool:
    return value is True or str(value).strip().lower() in {"true", "1", "yes"}


def _number(text: str, key: str, where: str) -> float:
    try:
        value = float(text or 0)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e15:
        raise MalformedError(
            f"{where}: '{key}' is {text!r}, wanted a number of zero or more", name="bad_number"
        )
    return value


def _day(value: object, key: str, where: str) -> date:
    try:
        return date.fromisoformat(str(value).strip()[:10])
    except ValueError as error:
        raise MalformedError(
            f"{where}: '{key}' is {value!r}, wanted a day such as 2026-06-22", name="bad_time"
        ) from error


def _time(value: object, key: str, where: str) -> datetime:
    try:
        moment = datetime.fromisoformat(str(value).strip())
    except ValueError as error:
        raise MalformedError(
            f"{where}: '{key}' is {value!r}, wanted a time such as 2026-06-22T03:14:09Z",
            name="bad_time",
        ) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
