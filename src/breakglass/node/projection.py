"""What a process keeps of the log beside the fold: open grants, history, reviews."""

from __future__ import annotations

from typing import Protocol

from breakglass.canonical import Json
from breakglass.records.fold.context import Entry
from breakglass.records.fold.fold import Judged
from breakglass.records.fold.state import State


class Projection(Protocol):
    """What a process keeps of the log beside the fold; no judge reads it.

    It is made from the entries alone, so that the same entries give the same projection: no clock,
    no settings that change. Its owner reads it under ``Replica.reading`` or a lock of its own.

    Attributes:
        name: of this projection in a snapshot; unique in its process.
    """

    name: str

    def take(self, judged: Judged, entry: Entry, state: State) -> None:
        """Take the next entry.

        Called once for every entry, in order, on replay too, under the view's lock and before
        ``Replica.wait_for`` returns: quick, and never back into ``wait_for``. What it raises stops
        the view for good.
        """
        ...

    def form(self) -> Json:
        """Return all of it, for the snapshot: called under the view's lock, so quick too.

        Nothing that is returned may change afterwards; it is written down without the lock.
        """
        ...

    def restore(self, form: Json, state: State) -> None:
        """Become what ``form`` returned at the state's size; from an empty projection alone.

        Raises:
            MalformedError: it is not ours. The caller calls ``forget`` and folds from entry 0.
        """
        ...

    def digest(self) -> str:
        """Return a digest that is equal for whoever took the same entries."""
        ...

    def forget(self) -> None:
        """Be empty again, before a fold from entry 0."""
        ...
