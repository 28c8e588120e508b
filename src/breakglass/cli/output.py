"""How commands speak: data to standard output, talk to standard error, JSON for machines."""

from __future__ import annotations

import errno
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any, TypeVar

import click

from breakglass.errors import MisconfiguredError
from breakglass.shown_text import TEXT_AT_MOST, all_seen, shown, shown_lines

F = TypeVar("F", bound=Callable[..., Any])
LABEL_COLUMNS = 10


def says_json(command: F) -> F:
    """Give a command ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")(
        command
    )


def tell_rows(rows: Iterable[tuple[str, str]]) -> None:
    """Print labelled lines: ``granted    orders-repair on …``; wrapped where somebody reads."""
    found = [(_cell(label), _cell(value)) for label, value in rows]
    width = max([LABEL_COLUMNS, *(len(label) for label, _ in found)])
    for label, value in found:
        for number, line in enumerate(_wrapped(value, width + 1)):
            head = f"{label if number == 0 else '':<{width}}"
            click.echo(f"{_dim(head)} {line}".rstrip())


def _wrapped(text: str, indent: int) -> list[str]:
    if not sys.stdout.isatty():
        return [text]  # a program reads it: one line is one fact
    import shutil
    import textwrap

    room = max(30, shutil.get_terminal_size().columns - indent)
    return textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]


def tell_json(value: Any) -> None:
    """Print one JSON value, in the form that people can read too."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    # JSON leaves bare what moves a terminal's cursor (U+009B) or turns words round (U+202E), and
    # what a narrow code page cannot say must stay JSON.
    plain = all_seen(text.replace("\n", "")) and _can_be_said(text)
    click.echo(text if plain else json.dumps(value, indent=2))


def _can_be_said(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def tell_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns under a head; the last column may be as long as it likes."""
    rows = [[_cell(each) for each in row] for row in rows]
    widths = [max(len(row[at]) for row in [head, *rows]) for at in range(len(head) - 1)]
    for number, row in enumerate([head, *rows]):
        cells = [f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)]
        line = "  ".join([*cells, row[-1]]).rstrip()
        click.echo(_dim(line) if number == 0 else line)


def tell_wrapped(
    head: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int], columns: int
) -> None:
    """Print a table whose cells are wrapped, the last column as wide as ``columns`` leaves it.

    Wrapped for programs too: it is a table for people, and JSON is beside it.
    """
    import textwrap

    gap = 2
    widths = [*widths, columns - sum(widths) - gap * len(widths)]
    for number, row in enumerate([head, *rows]):
        cells = [
            textwrap.wrap(_cell(cell), width, break_on_hyphens=False) or [""]
            for cell, width in zip(row, widths, strict=True)
        ]
        for line in range(max(map(len, cells))):
            parts = [
                f"{cell[line] if line < len(cell) else '':<{width}}"
                for cell, width in zip(cells, widths, strict=True)
            ]
            text = (" " * gap).join(parts).rstrip()
            click.echo(_dim(text) if number == 0 else text)


def talk(text: str) -> None:
    """Say something to the person, beside the data."""
    click.echo(f"breakglass: {shown_lines(text)}", err=True)


def tell_error(name: str, message: str, hint: str, as_json: bool) -> None:
    """Say on standard error why it did not work and what helps."""
    if as_json:
        click.echo(json.dumps({"error": name, "message": message, "hint": hint}), err=True)
        return
    error = "error" if _colourless(sys.stderr) else click.style("error", fg="red", bold=True)
    click.echo(f"breakglass: {error}: {shown_lines(message)}", err=True)
    if hint:
        click.echo(f"breakglass: hint: {shown_lines(hint)}", err=True)


def keep_traceback(error: Exception) -> str:
    """Write an internal error to a file that only its owner reads; returns its path, or ''."""
    import traceback

    try:
        folder = state_folder()
        path = folder / f"debug-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}.txt"
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.writelines(traceback.format_exception(error))
    except (OSError, MisconfiguredError):
        return ""
    return str(path)


def state_folder() -> Path:
    """Return ``$XDG_STATE_HOME/breakglass``, made 0700 if it was not there.

    Raises:
        MisconfiguredError: it cannot be made, or there is no home folder.
    """
    base = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    folder = Path(base) / "breakglass"
    try:
        if not folder.is_absolute():
            raise FileNotFoundError(errno.ENOENT, "no home folder, HOME is not set to one")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise MisconfiguredError(
            f"{str(folder)!r}, where grants are kept, cannot be made: {error.strerror}",
            hint="name another folder: 'state' in client.toml, or XDG_STATE_HOME",
        ) from error
    return folder


def clock_time(moment: datetime, now: datetime) -> str:
    """Write a time for people: ``03:44 UTC``; with seconds where minutes say too little.

    Where the machine's zone is another it comes first, as the clock on the wall does:
    ``05:44 (03:44 UTC)``.
    """
    form = "%H:%M:%S" if abs((moment - now).total_seconds()) < 120 else "%H:%M"
    there, here = moment.astimezone(UTC), moment.astimezone()
    if not here.utcoffset():
        return f"{there:{form}} UTC"
    return f"{here:{form}} ({there:{form}} UTC)"


def day_and_time(moment: datetime, zone: tzinfo | None = None) -> str:
    """Write a day and a time for people: in their own zone, and in UTC.

    >>> day_and_time(datetime(2026, 12, 5, 21, tzinfo=UTC), UTC)
    '2026-12-05 21:00 (21:00 UTC)'
    """
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M} ({moment.astimezone(UTC):%H:%M} UTC)"


def time_left(moment: datetime, now: datetime) -> str:
    """Write how long something lasts: ``18 min left, until 03:44 UTC``."""
    seconds = (moment - now).total_seconds()
    if seconds <= 0:
        return f"over since {clock_time(moment, now)}"
    return f"{duration(seconds)} left, until {clock_time(moment, now)}"


def duration(seconds: float) -> str:
    """Write a length of time in the unit a person would say.

    >>> duration(1800), duration(8), duration(5400), duration(7200), duration(604800)
    ('30 min', '8 s', '90 min', '2 h', '7 d')
    """
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200 or (whole % 3600 and whole < 36000):
        return f"{round(whole / 60)} min"
    if whole >= 172_800 and whole % 86_400 == 0:
        return f"{whole // 86_400} d"
    return f"{round(whole / 3600)} h"


def somebody_is_there() -> bool:
    """Say whether a person sits at a terminal and may be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def _cell(text: str) -> str:
    return shown(text, TEXT_AT_MOST)


def _dim(text: str) -> str:
    return text if _colourless(sys.stdout) else click.style(text, dim=True)


def _colourless(stream: Any) -> bool:
    return bool(os.environ.get("NO_COLOR")) or not stream.isatty()
