"""A table as people export it: any delimiter, headings in any case, their encoding, their dates.

What can be found out from the file is found out; what cannot (a day that reads two ways, a time
without a zone) is refused or told, with both readings and the option that settles it.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, MisconfiguredError

DELIMITERS = ",;\t|"

_NUMERIC = re.compile(r"(\d{1,2})([./])(\d{1,2})\2(\d{4})(?:[ ,T]+(.+))?")
_NAMED = re.compile(r"(\d{1,2})[/ -]([A-Za-z]{3})[A-Za-z]*[/ -](\d{2}|\d{4})(?:[ ,]+(.+))?")
_WEEK = re.compile(r"(\d{4})-?W(\d{2})")
_MONTH = re.compile(r"(\d{4})-(\d{2})")
_CLOCK = ("%H:%M:%S", "%H:%M", "%I:%M %p", "%I:%M:%S %p")
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]


@dataclass
class Reading:
    """How the files of one import are read, and what was noticed while reading.

    ``time_format`` is that of ``strptime`` and wins over all that is guessed; ``zone`` is where
    times without one were written down.
    """

    zone: str = ""
    encoding: str = ""
    time_format: str = ""
    no_zone: int = 0
    place: ZoneInfo = field(init=False)

    def __post_init__(self) -> None:
        """Find the zone.

        Raises:
            MisconfiguredError: no zone has this name.
        """
        try:
            self.place = ZoneInfo(self.zone or "UTC")
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise MisconfiguredError(
                f"'{self.zone}' is no time zone; nothing was read",
                hint="such as --zone Europe/Berlin",
            ) from error

    def moment(self, text: str, where: str) -> datetime:
        """Return the time that a cell tells, in UTC.

        Raises:
            MalformedError: no time, or a day that reads two ways.
        """
        text = text.strip()
        found = self._known(text, where)
        if found is None:
            raise MalformedError(
                f"{where}: {text[:40]!r} is not a time such as 2026-06-22T03:14:09Z",
                name=ErrorName.BAD_TIME,
                hint="say how it is written: --time-format '%d.%m.%Y %H:%M'",
            )
        if found.tzinfo is None:
            self.no_zone += 1
            found = found.replace(tzinfo=self.place)
        return found.astimezone(UTC)

    def _known(self, text: str, where: str) -> datetime | None:
        if self.time_format:
            try:
                return datetime.strptime(text, self.time_format)  # noqa: DTZ007
            except ValueError:
                pass  # another table of the same import may still have the standard's form
        try:
            week = _WEEK.fullmatch(text)
            if week:
                day = date.fromisocalendar(int(week[1]), int(week[2]), 1)
                return datetime(day.year, day.month, day.day, tzinfo=UTC)
            return datetime.fromisoformat(text)
        except ValueError:
            if self.time_format:
                return None
        numeric, named = _NUMERIC.fullmatch(text), _NAMED.fullmatch(text)
        try:
            if numeric:
                return self._numeric(numeric, where)
            if named and named[2].lower() in _MONTHS:
                year = int(named[3]) + (2000 if len(named[3]) == 2 else 0)
                return _at(year, _MONTHS.index(named[2].lower()) + 1, int(named[1]), named[4])
        except ValueError:
            return None
        return None

    def _numeric(self, match: re.Match[str], where: str) -> datetime:
        first, dot, second, year = int(match[1]), match[2] == ".", int(match[3]), int(match[4])
        if not dot and first <= 12 and second <= 12 and first != second:
            raise MalformedError(
                f"{where}: {match[0][:40]!r} is {year}-{first:02d}-{second:02d} or "
                f"{year}-{second:02d}-{first:02d}",
                name=ErrorName.BAD_TIME,
                hint="say which: --time-format '%d/%m/%Y' or '%m/%d/%Y' (with '%H:%M' behind it)",
            )
        day, month = (first, second) if dot or first > 12 else (second, first)
        return _at(year, month, day, match[5])


def _at(year: int, month: int, day: int, clock: str | None) -> datetime:
    if not clock:
        return datetime(year, month, day)  # noqa: DTZ001 - the zone is added by the caller
    for shape in _CLOCK:
        try:
            told = datetime.strptime(clock.strip().upper(), shape)  # noqa: DTZ007
        except ValueError:
            continue
        return told.replace(year=year, month=month, day=day)
    raise ValueError(clock)


def month_of(text: str) -> tuple[date, date] | None:
    """Return the first days of a month written ``2025-03`` and of the next one, else nothing."""
    match = _MONTH.fullmatch(text.strip())
    if match is None or not 1 <= int(match[2]) <= 12:
        return None
    first = date(int(match[1]), int(match[2]), 1)
    return first, (first + timedelta(days=32)).replace(day=1)


def rows_of(
    path: Path,
    columns: Mapping[str, tuple[str, ...]],
    mapped: Mapping[str, str],
    needed: tuple[str, ...],
    reading: Reading,
) -> Iterator[tuple[str, dict[str, str]]]:
    """Return each row by role, with its file and line.

    Args:
        path: the table; its first line names the columns, in any case.
        columns: the names that each role is known by.
        mapped: roles whose column the owner named.
        needed: roles without which the table says nothing.
        reading: how it is encoded.

    Raises:
        MisconfiguredError: the file is not there.
        MalformedError: its encoding or its columns are not known.
    """
    text = _text(path, reading.encoding)
    head = text.partition("\n")[0]
    delimiter = max(DELIMITERS, key=head.count) if head else ","
    # A file, not lines: a cell may hold a line break, and U+2028 in a reason is none.
    table = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    names = [name.strip() for name in table.fieldnames or [] if name is not None]
    table.fieldnames = names
    known = {name.lower(): name for name in names}
    chosen = {}
    for role, usual in columns.items():
        wanted = (mapped[role],) if role in mapped else usual
        hit = next((known[name.lower()] for name in wanted if name.lower() in known), None)
        if hit is not None:
            chosen[role] = hit
        elif role in needed:
            raise MalformedError(
                f"{path}:1: no column for '{role}', wanted one of {', '.join(wanted)}; "
                f"got {', '.join(names) or 'nothing'}",
                name=ErrorName.NO_COLUMN,
                hint=f"name it with --map {role}=COLUMN",
            )
    for row in table:
        where = f"{path}:{table.line_num}"
        yield where, {role: " ".join((row.get(c) or "").split()) for role, c in chosen.items()}


def count_in(text: str, where: str) -> float:
    """Return a count; ``1,389`` and ``1 389`` are thousands, ``1.389`` is refused as unclear."""
    text = text.strip()
    plain = re.sub(r"(?<=\d)[,'\u00a0\u202f ](?=\d{3}(?:\D|$))", "", text)
    try:
        if re.fullmatch(r"[1-9]\d{0,2}(?:\.\d{3})+", text):
            raise MalformedError(
                f"{where}: {text!r} is {text.replace('.', '')} or a part of "
                f"{int(float(text.split('.')[0])) + 1}",
                name=ErrorName.BAD_NUMBER,
                hint="write counts without signs between the thousands",
            )
        value = float(plain)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e15:
        raise MalformedError(f"{where}: {text[:40]!r} is not a count", name=ErrorName.BAD_NUMBER)
    return value


def _text(path: Path, encoding: str) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise MisconfiguredError(f"'{path}' cannot be read: {error.strerror}") from error
    kind = encoding or ("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    try:
        return raw.decode(kind)
    except (UnicodeDecodeError, LookupError) as error:
        raise MalformedError(
            f"'{path}' is not {encoding or 'UTF-8'} text: {error}",
            hint="name its encoding, such as --encoding cp1252",
        ) from error
