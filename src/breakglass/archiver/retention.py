"""For how long objects are kept: records seven years, recordings thirteen months, both settable."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from breakglass.archiver.attachment_names import RECORDINGS

SEVEN_YEARS_DAYS = 2557  # with two leap days: what auditors of accounts ask for
THIRTEEN_MONTHS_DAYS = 397  # a year to look back on, and the month in which one looks
PROBES = "doctor"  # objects by which ``archiver doctor`` tries the lock; kept for a day


@dataclass(frozen=True)
class FilesSettings:
    """The table ``[files]``. Nothing locks a folder: these say what may be deleted, and when."""

    records_kept_days: int = SEVEN_YEARS_DAYS
    recordings_kept_days: int = THIRTEEN_MONTHS_DAYS

    def __post_init__(self) -> None:
        check_kept("files", self.records_kept_days, self.recordings_kept_days)

    def kept(self, name: str) -> timedelta:
        """Return how long the object ``name`` is kept, from its put."""
        return kept_for(name, self.records_kept_days, self.recordings_kept_days)


def check_kept(table: str, records_days: int, recordings_days: int) -> None:
    """Refuse times that keep nothing.

    Raises:
        ValueError: with the name of the settings' table.
    """
    if min(records_days, recordings_days) < 1:
        raise ValueError(f"{table!r} keeps records and recordings for at least 1 day")


def kept_for(name: str, records_days: int, recordings_days: int) -> timedelta:
    """Return how long the object ``name``, without a store's own prefix, is kept."""
    first, _, rest = name.partition("/")
    if first == PROBES:
        return timedelta(days=1)
    if rest.startswith(f"{RECORDINGS}/"):
        return timedelta(days=recordings_days)
    return timedelta(days=records_days)
