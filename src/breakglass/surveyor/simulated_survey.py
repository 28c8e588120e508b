"""A target that is simulated in one SQLite file, with switches for trouble; the contract's twin.

Where the file is a simulated minter's, the accounts in it that may log in are found too.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from breakglass.errors import MisconfiguredError, UnavailableError
from breakglass.process.database import connected
from breakglass.surveyor.survey import Inventory, Thing

_SCHEMA = """
create table if not exists privileges(
    category text not null, name text not null, holder text not null, place text not null,
    templates text not null, primary key (category, name, holder, place)
) strict;
create table if not exists unread(
    category text not null, place text not null, why text not null, primary key (category, place)
) strict;
create table if not exists surveyor(
    one integer primary key, away integer not null, may_write integer not null
) strict;
"""


class SimulatedSurvey:
    """See the module and ``Survey``. Several processes may open one ``file``."""

    def __init__(self, file: Path) -> None:
        """Open the file, or make it.

        Raises:
            UnavailableError: it cannot be used.
        """
        self._path = file
        with self._open():
            pass

    def survey(self, templates: Sequence[str]) -> Inventory:
        """Look once; see ``Survey.survey``."""
        with self._open() as file:
            away, may_write = file.execute("select away, may_write from surveyor").fetchone() or (
                0,
                0,
            )
            if away:
                raise UnavailableError("the simulated target does not answer")
            if may_write:
                raise MisconfiguredError("the surveyor may write at the simulated target")
            unread = {
                (category, place): why
                for category, place, why in file.execute("select * from unread")
            }
            things = {
                Thing(category, name, holder, place, _both(given, templates))
                for category, name, holder, place, given in file.execute("select * from privileges")
                if (category, place) not in unread
            }
            if file.execute("select 1 from sqlite_schema where name = 'accounts'").fetchone():
                accounts = "select handle from accounts where password is not null"
                things |= {Thing("login", "login", name) for (name,) in file.execute(accounts)}
        return Inventory(tuple(sorted(things)), unread)

    def close(self) -> None:
        """Do nothing: each look opens the file and closes it."""

    def put(self, *things: Thing) -> None:
        """Have these stand at the target."""
        with self._open() as file:
            for each in things:
                row = (each.category, each.name, each.holder, each.database)
                file.execute(
                    "insert or replace into privileges values (?, ?, ?, ?, ?)",
                    (*row, json.dumps(each.templates)),
                )

    def take(self, *things: Thing) -> None:
        """Have these stand there no more."""
        with self._open() as file:
            for each in things:
                file.execute(
                    "delete from privileges where category = ? and name = ? and holder = ?"
                    " and place = ?",
                    each.key,
                )

    def hide(self, category: str, database: str = "", why: str = "permission denied") -> None:
        """Let a part be unreadable."""
        with self._open() as file:
            file.execute(
                "insert or replace into unread values (?, ?, ?)", (category, database, why)
            )

    def trouble(self, *, away: bool = False, may_write: bool = False) -> None:
        """Set the switches; those that are not named are off."""
        with self._open() as file:
            file.execute(
                "insert or replace into surveyor values (1, ?, ?)", (int(away), int(may_write))
            )

    def _open(self) -> closing[sqlite3.Connection]:
        try:
            return closing(connected(self._path, "off", _SCHEMA))
        except (sqlite3.Error, OSError) as error:
            raise UnavailableError(f"the simulated target cannot be read: {error}") from error


def _both(given: str, asked: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(set(json.loads(given)) & set(asked)))
