"""SQLite as every process uses it: one way to open a file, and to change it whole or not at all."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from breakglass.errors import MisconfiguredError

Durability = Literal["full", "off"]
"""``full``: a commit is on disk when it returns. ``off``: a power cut may take it, or the file."""

BUSY = timedelta(seconds=5)  # how long a statement waits for another process's transaction


def connected(
    path: Path, durability: Durability, schema: str = "", busy: timedelta = BUSY
) -> sqlite3.Connection:
    """Open a file, made with mode 0600 if it is not there, for any thread; run ``schema``.

    Nothing is begun implicitly: a transaction takes ``begin``.

    Raises:
        sqlite3.Error, OSError: it cannot be used.
    """
    # Only a new file is opened here: closing it would let go of SQLite's locks on an old one.
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    wait = busy.total_seconds()
    file = sqlite3.connect(path, timeout=wait, isolation_level=None, check_same_thread=False)
    try:
        file.execute("pragma journal_mode = wal")
        file.execute(f"pragma synchronous = {durability}")
        file.executescript(schema)
    except BaseException:
        file.close()
        raise
    return file


@contextmanager
def transaction(path: Path, durability: Durability, schema: str) -> Iterator[sqlite3.Connection]:
    """Open a file for one transaction and close it: for what several processes use now and then.

    Raises:
        sqlite3.Error, OSError: it cannot be used; nothing was changed.
    """
    with closing(connected(path, durability, schema)) as file, file:
        file.execute("begin immediate")
        yield file


class Database:
    """A process's own connection to a file, and its lock; safe under threads.

    Methods raise ``sqlite3.Error``: what that means to people is for each store to say.

    Args:
        path: in a folder that is there.
        what: the file's name for people.
        durability: whether a commit outlives a power cut.
        schema: run each time; makes what is not there yet.
        hint: what helps if it cannot be used.
        busy: how long a statement waits for another process.
        reads_apart: whether what is read waits for no commit of another thread: it comes by a
            connection of its own, and sees all that was committed before.

    Raises:
        MisconfiguredError: it cannot be used.
    """

    def __init__(
        self,
        path: Path,
        *,
        what: str,
        durability: Durability,
        schema: str,
        hint: str = "",
        busy: timedelta = BUSY,
        reads_apart: bool = False,
    ) -> None:
        self._lock = threading.RLock()
        self._changer = 0  # the thread that is inside ``changing``: it reads what it wrote
        self._reader_lock = threading.Lock()
        try:
            self.connection = connected(path, durability, schema, busy)
            self._reader = connected(path, durability, "", busy) if reads_apart else None
        except (sqlite3.Error, OSError) as error:
            raise MisconfiguredError(
                f"{what} {str(path)!r} cannot be used: {error}; not started", hint=hint
            ) from error

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Do what is inside as one transaction; an error of any kind leaves nothing of it."""
        with self._lock, self.connection:
            self.connection.execute("begin immediate")
            self._changer = threading.get_ident()
            try:
                yield
            finally:
                self._changer = 0

    def do(self, statement: str, *values: object) -> sqlite3.Cursor:
        """Run a statement; alone it is a transaction by itself."""
        with self._lock:
            return self.connection.execute(statement, values)

    def all(self, query: str, *values: object) -> list[Any]:
        """Return all rows."""
        if self._reader is None or self._changer == threading.get_ident():
            with self._lock:
                return self.connection.execute(query, values).fetchall()
        with self._reader_lock:
            return self._reader.execute(query, values).fetchall()

    def by_name(self) -> None:
        """Have rows answer to the names of their columns."""
        for each in filter(None, (self.connection, self._reader)):
            each.row_factory = sqlite3.Row

    def one(self, query: str, *values: object) -> Any:
        """Return the first row, or ``None``."""
        return next(iter(self.all(query, *values)), None)

    def close(self) -> None:
        """Close the file."""
        with self._lock, self._reader_lock:
            if self._reader is not None:
                self._reader.close()
            self.connection.close()
