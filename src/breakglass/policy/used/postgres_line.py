"""One entry of PostgreSQL's csvlog or jsonlog, the same from both, of versions 15 to 18.

Source: PostgreSQL's documentation, «Using CSV-Format Log Output» and «Using JSON-Format Log
Output». A row of csvlog may go over many lines: it ends where its quotes are closed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from breakglass.policy.used.log_file import (
    LINE_BYTES_AT_MOST,
    LogForm,
    LogPlace,
    json_object,
    lines,
    said,
)

_COLUMNS = 26  # of versions 14 to 18
_FIELD = re.compile(r'"((?:[^"]|"")*)"|([^",]*)')
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}")
_ZONES = ("UTC", "GMT", "Etc/UTC")
_NUMBER = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)
# In another language of lc_messages the same words mean nothing to us, so they are not guessed at.
SEVERITIES = frozenset(
    ("LOG", "ERROR", "FATAL", "PANIC", "WARNING", "NOTICE", "INFO", "DEBUG", "DEBUG1", "DEBUG2",
     "DEBUG3", "DEBUG4", "DEBUG5")
)  # fmt: skip


@dataclass(frozen=True)
class PostgresLine:
    """One entry.

    Attributes:
        form, place: of which log, and where.
        at: when, by the target's clock.
        user, database: whom the session logs in as, and where; fixed when it begins, whatever it
            sets afterwards. Empty in the server's own processes.
        session: the server's id of the session.
        number: counted from one in each session: a number that is missing is a lost entry.
        severity, message: as written.
        context: inside which code of a session it was written; empty where the server itself wrote.
        query: the statement that an error comes from.
        application: what the session calls itself.
    """

    form: LogForm
    place: LogPlace
    at: datetime
    user: str
    database: str
    session: str
    number: int
    severity: str
    message: str
    context: str
    query: str
    application: str


def postgres_lines(path: Path, form: LogForm) -> Iterator[PostgresLine]:
    """Yield the entries of a log, streaming.

    Raises:
        MalformedError: with file and line, what is no entry of this form.
    """
    return _of_csv(path) if form is LogForm.CSVLOG else _of_json(path)


def csv_fields(text: str) -> list[str] | None:
    """Split one row of CSV as PostgreSQL writes it; ``None`` if it is none.

    >>> csv_fields('a,"b,""c",')
    ['a', 'b,"c', '']
    """
    found, at = [], 0
    while True:
        match = _FIELD.match(text, at)
        assert match is not None  # the second part matches nothing, too
        quoted, plain = match.groups()
        found.append(plain if quoted is None else quoted.replace('""', '"'))
        at = match.end()
        if at == len(text):
            return found
        if text[at] != ",":
            return None
        at += 1


def _of_csv(path: Path) -> Iterator[PostgresLine]:
    begun: list[bytes] = []
    begins, quotes, size = LogPlace(str(path), 1), 0, 0
    for place, line in lines(path):
        begins = begins if begun else place
        begun.append(line)
        quotes, size = quotes + line.count(b'"'), size + len(line)
        if size > LINE_BYTES_AT_MOST:
            raise begins.wrong("a row of csvlog of 64 MiB at most", said(begun[0]))
        if quotes % 2:
            continue  # a line break inside quotes: of a statement, and so no end of a row
        row = _text(b"\n".join(begun))
        begun, quotes, size = [], 0, 0
        yield _csv_line(begins, row)
    if begun:
        raise begins.wrong("a row of csvlog with its end", said(begun[0]))


def _csv_line(place: LogPlace, row: str) -> PostgresLine:
    at = csv_fields(row)
    if at is None or len(at) != _COLUMNS:
        count = "other" if at is None else str(len(at))
        raise place.wrong(f"{_COLUMNS} columns of csvlog", f"{count} columns: {row[:60]}")
    return PostgresLine(
        LogForm.CSVLOG, place, _time(place, at[0]), at[1], at[2], at[5], _number(place, at[6]),
        _severity(place, at[11]), at[13], at[18], at[19], at[22],
    )  # fmt: skip


def _of_json(path: Path) -> Iterator[PostgresLine]:
    for place, line in lines(path):
        at = json_object(place, line)

        def text(name: str, of: dict[str, object] = at, here: LogPlace = place) -> str:
            found = of.get(name, "")
            if not isinstance(found, str):
                raise here.wrong(f"a text as {name!r}", str(found))
            return found

        number = at.get("line_num")
        if isinstance(number, bool) or not isinstance(number, int):
            raise place.wrong("a number as 'line_num'", str(number))
        yield PostgresLine(
            LogForm.JSONLOG, place, _time(place, text("timestamp")), text("user"), text("dbname"),
            text("session_id"), _number(place, str(number)),
            _severity(place, text("error_severity")), text("message"), text("context"),
            text("statement"), text("application_name"),
        )  # fmt: skip


def _time(place: LogPlace, text: str) -> datetime:
    moment, _, zone = text.partition(" UTC")
    moment, zone = (moment, "UTC") if not zone and moment != text else (text[:23], text[24:])
    if not _TIME.fullmatch(moment) or zone not in _ZONES:
        raise place.wrong(
            "a time such as '2026-12-01 03:14:09.123 UTC'",
            text,
            "set log_timezone = 'UTC': the letters of another zone name more than one",
        )
    try:
        return datetime.fromisoformat(moment).replace(tzinfo=UTC)
    except ValueError as error:
        raise place.wrong("a day and time that there is", text) from error


def _number(place: LogPlace, text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise place.wrong("the number of an entry in its session", text)
    return int(text)


def _severity(place: LogPlace, text: str) -> str:
    if text not in SEVERITIES:
        raise place.wrong(
            "a severity such as LOG or ERROR", text, "set lc_messages = 'C' in postgresql.conf"
        )
    return text


def _text(row: bytes) -> str:
    # Sessions of another encoding than UTF-8 write their own bytes; a name with such is not used.
    return row.decode("utf-8", "surrogateescape")
