"""Lines and rows read at the edge: every complaint names the file, the line, wanted and got."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, MisconfiguredError


def text_in(path: Path) -> str:
    """Return a file's text, without a byte order mark; a missing or unreadable file is told."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise MisconfiguredError(
            f"'{path}' is missing; a history has events.jsonl, opportunities.csv and meta.json",
            name=ErrorName.NO_HISTORY,
            hint="the format is in docs/how-to/import-a-history.md",
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise MalformedError(f"'{path}' cannot be read as UTF-8 text: {error}") from error


def json_object(text: str, where: str) -> dict[str, Any]:
    """Return the one JSON object that ``text`` holds; ``where`` is file and line."""
    try:
        row = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise MalformedError(f"{where}: not JSON: {error}", name=ErrorName.NOT_JSON) from error
    if not isinstance(row, dict):
        raise MalformedError(
            f"{where}: wanted a JSON object, got {text[:40]!r}", name=ErrorName.NOT_JSON
        )
    return row


def json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return each line's object with its file and line; empty lines are passed over."""
    for number, line in enumerate(text_in(path).split("\n"), 1):
        if line.strip():
            yield f"{path}:{number}", json_object(line, f"{path}:{number}")


def csv_rows(path: Path, needed: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    """Return each row of a table with its file and line; ``needed`` columns must be there."""
    table = csv.DictReader(text_in(path).splitlines())
    missing = [name for name in needed if name not in (table.fieldnames or [])]
    if missing:
        raise MalformedError(
            f"{path}:1: no column '{missing[0]}', got {', '.join(table.fieldnames or ['nothing'])}",
            name=ErrorName.NO_COLUMN,
        )
    for row in table:
        where = f"{path}:{table.line_num}"
        if any(row[name] is None for name in needed):
            raise MalformedError(f"{where}: the row is short of a value", name=ErrorName.SHORT_ROW)
        yield where, {key: value or "" for key, value in row.items() if isinstance(key, str)}


def word_in(row: Mapping[str, Any], key: str, where: str) -> str:
    """Return the word under ``key``; an empty one or another type is told."""
    value = row.get(key)
    if not isinstance(value, str) or not value.strip():
        raise MalformedError(
            f"{where}: '{key}' is {value!r}, wanted a name", name=ErrorName.NO_VALUE
        )
    return value.strip()


def is_yes(value: object) -> bool:
    """Return whether a flag is set: ``true``, ``1`` or ``yes``."""
    return value is True or str(value).strip().lower() in {"true", "1", "yes"}


def number_in(text: str, key: str, where: str) -> float:
    """Return a number of zero or more; an empty cell is zero."""
    try:
        value = float(text or 0)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e15:
        raise MalformedError(
            f"{where}: '{key}' is {text!r}, wanted a number of zero or more",
            name=ErrorName.BAD_NUMBER,
        )
    return value


def day_in(value: object, key: str, where: str) -> date:
    """Return a day, also from a time of day."""
    try:
        return date.fromisoformat(str(value).strip()[:10])
    except ValueError as error:
        raise MalformedError(
            f"{where}: '{key}' is {value!r}, wanted a day such as 2026-06-22",
            name=ErrorName.BAD_TIME,
        ) from error


def time_in(value: object, key: str, where: str) -> datetime:
    """Return an aware time in UTC; one without a zone is taken as UTC."""
    try:
        moment = datetime.fromisoformat(str(value).strip())
    except ValueError as error:
        raise MalformedError(
            f"{where}: '{key}' is {value!r}, wanted a time such as 2026-06-22T03:14:09Z",
            name=ErrorName.BAD_TIME,
        ) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
