"""Checks a ledger's own journal, says what is wrong with it, and mends what is derived.

Entries and heads are history: nothing here ever writes one, and while one is wrong nothing at all
is mended. Tiles and the indices of ids and submitters follow from the entries and can be made anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, MalformedError, RefusedError, UnprovenError
from breakglass.ledger.journal import Head, Journal, Place
from breakglass.ledger.merkle_frontier import GrowingTree
from breakglass.submit.record_header import Numbering, read_numbering, text_digest
from breakglass.tlog.checkpoint import Checkpoint, check_log_signature, parse_checkpoint
from breakglass.tlog.hashing import HASH_BYTES, leaf_hash
from breakglass.tlog.note import Note, VerifierKey
from breakglass.tlog.tiles import TILE_WIDTH

_TOLD = 20  # of one kind; a damaged disk makes thousands
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class JournalFinding:
    """One thing that is wrong, in words for a person."""

    name: str  # missing_entry, altered_entry, no_head, head; tile, index, unreadable; attachment…
    what: str
    history: bool  # an entry or a head is wrong: nothing here can help
    label: str = ""  # for people: wrong, derived, lost (not here any more), left (harmless)


@dataclass
class Derived:
    """What follows from the entries and stands in the journal otherwise, or not at all."""

    tiles: list[tuple[int, int, bytes]] = field(default_factory=list)
    ids: list[tuple[str, str, int]] = field(default_factory=list)
    places: dict[str, Place] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)  # attachments, named and not kept for good

    def __bool__(self) -> bool:
        return bool(self.tiles or self.ids or self.places or self.waiting)


@dataclass
class Examined:
    """What an examination has found."""

    size: int
    findings: list[JournalFinding] = field(default_factory=list)
    more: int = 0  # findings beyond the first of each kind
    derived: Derived = field(default_factory=Derived)
    named: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Attachments that entries name: SHA-256, to bytes and the first such entry."""

    @property
    def sound(self) -> bool:
        """Whether history is whole, whatever else is wrong."""
        return not any(finding.history for finding in self.findings)

    def add(self, name: str, what: str, *, history: bool = True, label: str = "") -> None:
        """Note a finding, or count it if there are many like it."""
        label = label or ("wrong" if history else "derived")
        if sum(each.name == name for each in self.findings) < _TOLD:
            self.findings.append(JournalFinding(name, what, history, label))
        else:
            self.more += 1


class Mendable(Journal, Protocol):
    """A journal whose derived parts can be written again."""

    def mend(
        self,
        tiles: Sequence[tuple[int, int, bytes]],
        ids: Sequence[tuple[str, str, int]],
        places: Mapping[str, Place],
    ) -> None:
        """Write these in place of what stands, all or none; entries and heads stay as they are.

        Raises:
            JournalError: the store failed.
        """
        ...


def examine(
    journal: Journal, own: Sequence[VerifierKey], progress: Progress = lambda done, of: None
) -> Examined:
    """Read the whole journal and compare everything with everything.

    Args:
        journal: may be in use; what is committed after the start is left out.
        own: the log's keys, of all times.
        progress: told entries done, and entries in all.

    Raises:
        JournalError: it could not be read.
    """
    newest = journal.newest()
    found = Examined(newest.size if newest else 0)
    reading = _Reading(journal, found)
    for head in _heads(journal, found.size):
        checkpoint = _signed(head, own, found)
        if checkpoint is None or not reading.grow(head.size):
            return found
        if checkpoint.root != reading.tree.root():
            reading.blame(head.size)
            return found
        reading.accept()
        progress(head.size, found.size)
    beyond = journal.notes(found.size, found.size + 1)
    if beyond and journal.newest() == newest:  # else a commit came meanwhile
        found.add("no_head", f"entry {found.size} stands under no head")
    reading.finish()
    return found


def mend(journal: Mendable, examined: Examined) -> None:
    """Write anew what is derived and was found wrong; again is harmless.

    Raises:
        RefusedError: history is damaged; nothing was written.
    """
    if not examined.sound:
        first = next(each for each in examined.findings if each.history)
        raise RefusedError(
            f"history is damaged: {first.what}; nothing was mended",
            name=ErrorName.JOURNAL_DAMAGED,
            hint="restore a copy, or rebuild from the archive; history is never repaired",
        )
    made = examined.derived
    if made:
        journal.mend(made.tiles, made.ids, made.places)


class _Reading:
    """Walks the entries once; what is derived waits until the head above it was found right."""

    def __init__(self, journal: Journal, found: Examined) -> None:
        self.tree = GrowingTree(_NoTiles(), 0)
        self._journal = journal
        self._found = found
        self._start = 0
        self._leaves: list[bytes] = []
        self._notes: list[bytes] = []
        self._full: list[tuple[int, int, bytes]] = []
        self._places: dict[str, Place] = {}

    def grow(self, size: int) -> bool:
        """Read the entries up to ``size``; false if one is missing."""
        self._start = self.tree.size
        self._notes = self._journal.notes(self._start, size)
        if len(self._notes) != size - self._start:
            self._found.add(
                "missing_entry",
                f"{size - self._start - len(self._notes)} of the entries {self._start} to"
                f" {size - 1} are missing",
            )
            return False
        self._leaves = [leaf_hash(note) for note in self._notes]
        self._full = self.tree.extend(self._leaves)
        self.tree.forget()
        return True

    def blame(self, size: int) -> None:
        """Name the altered entry, if a stored tile tells which; else the commit it is in."""
        for at, leaf in enumerate(self._leaves, start=self._start):
            tile = self._journal.tile(0, at // TILE_WIDTH)
            place = at % TILE_WIDTH * HASH_BYTES
            if tile is not None and tile[place : place + HASH_BYTES] != leaf:
                self._found.add("altered_entry", f"entry {at} is not the one that was logged")
                return
        self._found.add(
            "altered_entry",
            f"entries {self._start} to {size - 1} are not those that the head of size {size} signs",
        )

    def accept(self) -> None:
        """Compare what is derived from entries that are proven right by now."""
        for level, n, hashes in self._full:
            stored = self._journal.tile(level, n)
            if stored != hashes:
                wrong = "is missing" if stored is None else "does not hold the hashes below it"
                self._found.add("tile", f"tile {n} of level {level} {wrong}", history=False)
                self._found.derived.tiles.append((level, n, hashes))
        for at, note in enumerate(self._notes, start=self._start):
            self._accept(at, note)

    def finish(self) -> None:
        """Compare every submitter's last place."""
        for key, place in self._places.items():
            if self._journal.place(key) != place:
                self._found.add(
                    "index", f"submitter {key!r} goes on at seq {place.next}", history=False
                )
                self._found.derived.places[key] = place

    def _accept(self, at: int, data: bytes) -> None:
        try:
            note = Note.parse(data)
            numbering = read_numbering(note.text)
        except MalformedError as error:
            # Admitted under other rules than today's: told, and no reason to distrust the log.
            self._found.add("unreadable", f"entry {at}: {error}", history=False)
            return
        key = self._submitter(note, numbering, at)
        if self._journal.find(key, numbering.id) != at:
            self._found.add("index", f"id {numbering.id!r} is entry {at}", history=False)
            self._found.derived.ids.append((key, numbering.id, at))
        self._places[key] = Place(numbering.seq + 1, text_digest(note.text))
        for digest, size in numbering.attachments:
            self._found.named.setdefault(digest, (size, at))

    def _submitter(self, note: Note, numbering: Numbering, at: int) -> str:
        """Find who sent this note; people may have signed it too."""
        keys = [line.label for line in note.lines]
        if len(keys) == 1:
            return keys[0]
        here = Place(numbering.seq, numbering.prev)
        continued = [key for key in keys if self._places.get(key) == here]
        indexed = [key for key in keys if self._journal.find(key, numbering.id) == at]
        return (continued or indexed or keys)[0]


def _heads(journal: Journal, size: int) -> Iterator[Head]:
    at = 0
    while at < size and (head := journal.head_after(at)):
        yield head
        at = head.size


def _signed(head: Head, own: Sequence[VerifierKey], found: Examined) -> Checkpoint | None:
    """Check a head's own form, and that its cosigned form says the same."""
    try:
        checkpoint, note = parse_checkpoint(head.signed)
        check_log_signature(checkpoint, note, own)
        if checkpoint.size != head.size:
            raise UnprovenError(f"it says size {checkpoint.size}")
        if head.cosigned is not None:
            again, cosigned = parse_checkpoint(head.cosigned)
            check_log_signature(again, cosigned, own)
            if cosigned.text != note.text:
                raise UnprovenError("its cosigned form says something else")
    except BreakglassError as error:
        found.add("head", f"head of size {head.size} does not hold: {error}")
        return None
    return checkpoint


class _NoTiles:
    """The tiles before the first entry."""

    def hashes(self, level: int, start: int, stop: int) -> Sequence[bytes]:
        raise AssertionError("unreachable: the tree grows from nothing")
