"""A target's log as a stream of bytes, and which of the forms it has that are read here.

Two forms of PostgreSQL and two of sshd are read. What they have in common is that text of others
cannot end an entry: csvlog quotes it, the JSON forms escape it, sshd writes its control characters
as codes. PostgreSQL's plain text does neither: a statement with a line break in it makes whatever
line it likes, so such a file is refused. Source: PostgreSQL's documentation, «Error Reporting and
Logging»; OpenSSH 9.2, ``do_log`` in log.c.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, reason
from breakglass.shown_text import shown

LINE_BYTES_AT_MOST = 64 * 1024 * 1024  # a statement may be long; a row without an end is none
_SHOWN = 80
_CSV = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8}\.[0-9]{3} [A-Za-z0-9+-]+,")
_SYSLOG = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}")


class LogForm(StrEnum):
    """A form of log that is read."""

    CSVLOG = "csvlog"
    JSONLOG = "jsonlog"
    JOURNAL = "journal"
    SYSLOG = "syslog"

    @property
    def platform(self) -> str:
        """Return whose log it is."""
        return "postgres" if self in (LogForm.CSVLOG, LogForm.JSONLOG) else "ssh"


@dataclass(frozen=True)
class LogPlace:
    """Where something stands: the file, and its line from one."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    def wrong(self, expected: str, got: str, hint: str = "") -> MalformedError:
        """Make the error of this place; nothing of the file was counted."""
        return MalformedError(
            f"{self}: expected {expected}, got {shown(got, _SHOWN)!r}; nothing was proposed",
            name=ErrorName.BAD_LINES,
            hint=hint,
        )


def lines(path: Path) -> Iterator[tuple[LogPlace, bytes]]:
    """Yield each line with its place, without its line break.

    Raises:
        MalformedError: it cannot be read, a line has more than 64 MiB, or the last one has no
            line break: then the file was copied while it was written.
    """
    place = LogPlace(str(path), 0)
    try:
        with path.open("rb") as file:
            while line := file.readline(LINE_BYTES_AT_MOST):
                place = LogPlace(place.file, place.line + 1)
                if not line.endswith(b"\n"):
                    raise place.wrong(
                        "a line with its end",
                        said(line),
                        "copy the log once its server writes the next file",
                    )
                yield place, line[:-1]
    except OSError as error:
        raise MalformedError(
            f"log {str(path)!r} cannot be read: {reason(error)}", name=ErrorName.UNREADABLE
        ) from error


def form_of(path: Path) -> LogForm:
    """Return the form of a log by its first line.

    Raises:
        MalformedError: it has none of the forms that are read, or no line at all.
    """
    for place, line in lines(path):
        if _CSV.match(line):
            return LogForm.CSVLOG
        if _SYSLOG.match(line):
            return LogForm.SYSLOG
        if line.startswith(b"{"):
            found = json_object(place, line)
            if "session_id" in found and "error_severity" in found:
                return LogForm.JSONLOG
            if "__REALTIME_TIMESTAMP" in found:
                return LogForm.JOURNAL
        raise place.wrong(
            "a line of csvlog, jsonlog, 'journalctl -o json', or of syslog with year and zone",
            said(line),
            "plain text of PostgreSQL is not read: a statement can write lines of its own into it;"
            " set log_destination = 'csvlog' and log_timezone = 'UTC'",
        )
    raise LogPlace(str(path), 1).wrong("a line", "nothing")


def json_object(place: LogPlace, line: bytes) -> dict[str, object]:
    """Read one line as a JSON object that has each key once.

    Raises:
        MalformedError: it is none.
    """
    try:
        found = json.loads(line.decode("utf-8"), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise place.wrong("one JSON object", said(line)) from error
    if not isinstance(found, dict):
        raise place.wrong("one JSON object", said(line))
    return found


def said(line: bytes) -> str:
    """Return the beginning of a line as text, for an error."""
    return line[: 2 * _SHOWN].decode("utf-8", "replace")


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key twice")
    return found
