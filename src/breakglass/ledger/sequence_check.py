"""Puts admitted runs in order: ids, numbers and hashes, judged against all that came before."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, RefusedError
from breakglass.http.routes import StatusError
from breakglass.ledger.admission import Admitted, Run
from breakglass.ledger.journal import Entry, Journal, Place


@dataclass(frozen=True)
class Accepted:
    """What became of a run: the place and proof of its first notes, and why it ended there."""

    indices: tuple[int, ...]
    proofs: tuple[bytes, ...]
    refusal: BreakglassError | None


@dataclass
class Waiting:
    """A run whose sender waits; ``posted``: nobody waits for the sender, and it may be held.

    ``came`` is by the monotonic clock, in seconds.
    """

    run: Run
    posted: bool = False
    came: float = field(default_factory=time.monotonic)
    done: Future[Accepted] = field(default_factory=Future)
    indices: list[int] = field(default_factory=list)
    refusal: BreakglassError | None = None


@dataclass
class Batch:
    """What one commit will hold."""

    before: int
    entries: list[Entry] = field(default_factory=list)
    ids: dict[tuple[str, str], int] = field(default_factory=dict)


class Ordering:
    """Knows every submitter's place. Used by the sequencer alone; dropped when a commit fails."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._places: dict[str, Place] = {}

    def order(self, runs: Sequence[Waiting], before: int) -> Batch:
        """Give indices to the notes of ``runs``, from ``before`` on.

        Each run learns its indices, and its refusal: at the first note that does not fit.
        """
        batch = Batch(before)
        for waiting in runs:
            waiting.indices, waiting.refusal = [], waiting.run.refusal
            for note in waiting.run.notes:
                try:
                    waiting.indices.append(self._index(note, batch))
                except BreakglassError as error:
                    waiting.refusal = error
                    break
        return batch

    def _index(self, note: Admitted, batch: Batch) -> int:
        entry = note.entry
        key = (entry.submitter, entry.id)
        place = self._place(entry.submitter)
        known = batch.ids.get(key)
        if known is None:
            known = self._journal.find(*key)
        if known is not None:
            self._check_same(entry, known, batch, place)
            return known
        if entry.seq != place.next or note.prev != place.prev:
            name = ErrorName.BAD_SEQ if entry.seq != place.next else ErrorName.BAD_PREV
            raise _conflict(
                f"record {entry.id!r} has seq {entry.seq}, wanted {place.next} after the text"
                f" {place.prev[:16]}…; it is not recorded",
                name,
                place,
            )
        index = batch.before + len(batch.entries)
        batch.entries.append(entry)
        batch.ids[key] = index
        self._places[entry.submitter] = Place(entry.seq + 1, entry.digest)
        return index

    def _check_same(self, entry: Entry, known: int, batch: Batch, place: Place) -> None:
        # The stored bytes themselves are compared: an index of hashes could be edited apart
        # from them, and hand out receipts for what is not in the log.
        if known >= batch.before:
            stored = [batch.entries[known - batch.before].note]
        else:
            stored = self._journal.notes(known, known + 1)
        if stored != [entry.note]:
            raise _conflict(
                f"record {entry.id!r} already exists, as entry {known} and with other bytes",
                ErrorName.ID_TAKEN,
                place,
                known,
            )

    def _place(self, submitter: str) -> Place:
        place = self._places.get(submitter)
        if place is None:
            place = self._places[submitter] = self._journal.place(submitter)
        return place


def _conflict(message: str, name: ErrorName, place: Place, index: int | None = None) -> StatusError:
    more = {"next": place.next, "prev": place.prev}
    if index is not None:
        more["index"] = index
    return StatusError(RefusedError(message, name=name), 409, **more)
