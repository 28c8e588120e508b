"""Grants that a minter could not end: its table and its target as a long outage leaves them."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

from breakglass.clock import format_time
from breakglass.records.grant import handle_of

TOLD = 7
"""Every record of it was appended already: nothing is said any more."""
MINTED = 1
"""Its ``minted`` and ``usable`` were: ``ended`` and ``dead`` are to come."""


def fill(data: Path, count: int, said: int = TOLD, ago: timedelta = timedelta(minutes=5)) -> None:
    """Write ``count`` expired grants, each with an account and a session at the simulated target.

    Args:
        data: the folder ``data`` of a minter that does not run.
        count: how many.
        said: which of their records stand already.
        ago: since when they are over.
    """
    over = format_time(datetime.now(UTC) - ago)
    letters = str.maketrans("0123456789", "abcdefghij")
    ids = [f"g-old{number:09}".translate(letters) for number in range(count)]
    grants = [(each, handle_of(each)) for each in ids]
    with sqlite3.connect(data / "grants.sqlite") as file:
        file.executemany(
            "insert into grants(grant_id, handle, who, glass, incident, index_, stage, expires,"
            " asked_at, sealed, connect, ids, probe, minted_ms, usable_ms, said) values"
            " (?, ?, 'mira', 'orders-repair', '', 1, 'minted', ?, ?, x'00', '{}', '{}', 'p', 1, 1,"
            " ?)",
            [(grant, handle, over, over, said) for grant, handle in grants],
        )
    with sqlite3.connect(data / "simulated.sqlite") as file:
        file.executemany(
            "insert into accounts values (?, 'orders-db', 'x', ?, ?, 's', '{}', '')",
            [(handle, over, over) for _, handle in grants],
        )
        file.executemany(
            "insert into sessions(handle) values (?)", [(handle,) for _, handle in grants]
        )


def clear(data: Path) -> None:
    """Take all of it away again."""
    with sqlite3.connect(data / "grants.sqlite") as file:
        file.execute("delete from grants where grant_id like 'g-old%'")
    with sqlite3.connect(data / "simulated.sqlite") as file:
        for table in ("sessions", "accounts"):
            file.execute(f"delete from {table} where handle like 'bg\\_old%' escape '\\'")
