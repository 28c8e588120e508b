"""The exports of a forge, read at the edge: JSON lists, JSON lines, or a CSV of the same."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, MisconfiguredError
from breakglass.verdicts.history import monday, quarter
from breakglass.verdicts.imports.imported import Imported

Row = dict[str, Any]


def objects(path: Path, wanted: str) -> list[tuple[str, Row]]:
    """Return the objects of an export with their place; ``wanted`` is a key that one must have.

    Raises:
        MisconfiguredError: the file cannot be read.
        MalformedError: neither JSON nor CSV, or none of its objects has the key: another export.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise MisconfiguredError(f"'{path}' cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise MalformedError(f"'{path}' is not UTF-8 text: {error}") from error
    rows = _json(path, text) if text.lstrip()[:1] in ("[", "{") else _csv(path, text)
    for where, row in rows:
        if not isinstance(row, dict):
            raise MalformedError(f"{where}: wanted a JSON object", name=ErrorName.NOT_JSON)
    if rows and not any(wanted in row for _, row in rows):
        keys = ", ".join(sorted({key for _, row in rows[:50] for key in row})[:12])
        raise MalformedError(
            f"'{path}' has no '{wanted}' in any of {len(rows)} entries; its keys are {keys}",
            hint="give the list itself, as the how-to exports it; docs/how-to/import-a-history.md",
        )
    return rows


def _json(path: Path, text: str) -> list[tuple[str, Row]]:
    try:
        if text.lstrip().startswith("["):
            return [(f"{path}: entry {i}", row) for i, row in enumerate(json.loads(text), 1)]
        lines = [(i, line) for i, line in enumerate(text.split("\n"), 1) if line.strip()]
        if len(lines) > 1 and not lines[0][1].rstrip().endswith("}"):
            return [(f"{path}:1", json.loads(text))]  # one object over many lines
        return [(f"{path}:{number}", json.loads(line)) for number, line in lines]
    except (json.JSONDecodeError, RecursionError) as error:
        raise MalformedError(
            f"'{path}' is neither a JSON list nor one JSON object a line: {error}",
            name=ErrorName.NOT_JSON,
        ) from error


def _csv(path: Path, text: str) -> list[tuple[str, Row]]:
    table = csv.DictReader(io.StringIO(text, newline=""))
    return [(f"{path}:{table.line_num}", {k: v for k, v in row.items() if k}) for row in table]


def login(value: object) -> str:
    """Return the name under which a forge knows somebody."""
    if isinstance(value, dict):
        return str(value.get("login") or value.get("username") or value.get("name") or "")
    return str(value or "")


def is_robot(value: object) -> bool:
    """Return whether a forge, or the name itself, says that this is a machine."""
    if isinstance(value, dict) and (value.get("is_bot") or value.get("type") == "Bot"):
        return True
    name = login(value).lower()
    return name.startswith("app/") or name.endswith(("[bot]", "-bot", "_bot", "bot-user"))


def moment(value: object, where: str) -> datetime:
    """Return a time as exports write it: ISO, or milliseconds since 1970.

    Raises:
        MalformedError: it is no time.
    """
    try:
        if isinstance(value, (int, float)) or str(value).isdigit():
            return datetime.fromtimestamp(float(str(value)) / 1000, UTC)
        found = datetime.fromisoformat(str(value).replace(" UTC", "+00:00"))
    except (ValueError, OverflowError, OSError) as error:
        raise MalformedError(
            f"{where}: {value!r} is not a time", name=ErrorName.BAD_TIME
        ) from error
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)


@dataclass
class Traffic:
    """Passages a week and people a quarter, counted as an export is read."""

    weeks: Counter[date] = field(default_factory=Counter)
    seasons: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def count(self, at: datetime, person: str, who: Callable[[str], str]) -> None:
        """Count one passage of ``person``."""
        self.weeks[monday(at.date())] += 1
        self.seasons[quarter(at.date())][who(person)] += 1

    def write(self, found: Imported, gate: str) -> None:
        """Give ``gate`` these passages."""
        found.passages[gate] = {week: float(n) for week, n in self.weeks.items()}
        found.people[gate] = {
            season: {name: float(n) for name, n in people.items()}
            for season, people in self.seasons.items()
        }
