"""What is asked of a note before its place in the log is: form, signature, size, attachments.

Reads no further than the note's signature, ``log``, ``id``, ``seq``, ``prev`` and attach lines.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from breakglass.error_names import ErrorName
from breakglass.errors import (
    BreakglassError,
    MalformedError,
    RefusedError,
    UnavailableError,
)
from breakglass.http.routes import StatusError
from breakglass.ledger.attachments import Attachments
from breakglass.ledger.journal import Entry
from breakglass.ledger.settings import KnownSubmitter, KnownSubmitters
from breakglass.submit.record_header import (
    NOTE_BYTES_AT_MOST,
    Numbering,
    read_numbering,
    text_digest,
)
from breakglass.tlog.key import check_signature
from breakglass.tlog.note import Note, SignatureLine, VerifierKey
from breakglass.tlog.tiles import decode_bundle

_LONG_RUN = 16  # notes; fewer are checked sooner than threads wake
_CORES_AT_MOST = 4


@dataclass(frozen=True)
class Admitted:
    """A note that may enter the log if its number fits; ``prev`` is what it claims."""

    entry: Entry
    prev: str


@dataclass(frozen=True)
class Run:
    """Notes of one submitter in the order it signed them, up to the first that was refused."""

    submitter: str
    notes: tuple[Admitted, ...]
    refusal: BreakglassError | None = None


@dataclass(frozen=True)
class _Read:
    """A note in its form, of a submitter that we know; its signature is not checked yet."""

    data: bytes
    text: str
    signature: bytes
    submitter: KnownSubmitter
    numbering: Numbering

    def admitted(self) -> Admitted:
        numbering = self.numbering
        digest = text_digest(self.text)
        entry = Entry(self.data, self.submitter.vkey.label, numbering.id, numbering.seq, digest)
        return Admitted(entry, numbering.prev)


class Admission:
    """Admits runs; safe under threads.

    Args:
        origin: the log's name, which each note must say.
        submitters: who may append, at this moment.
        attachments: where named attachments must lie.
    """

    def __init__(
        self, origin: str, submitters: Callable[[], KnownSubmitters], attachments: Attachments
    ) -> None:
        self._origin = origin
        self._submitters = submitters
        self._attachments = attachments
        self._quota = _Quota()
        self._signatures = _Signatures()

    def admit(self, body: bytes) -> Run:
        """Read the body of ``POST /append``.

        Raises:
            MalformedError: no bundle of 1 to 256 entries.
            BreakglassError: the first note is refused, with the status that says why. If a later
                one is, the run ends before it and carries the reason.
        """
        read, refusal = self._read_all(decode_bundle(body), self._submitters())
        # A stranger costs us one signature: the rest is looked at behind a first one that holds.
        self._signatures.check(read[0])
        admitted: list[Admitted] = []
        for note, wrong in zip(read, [None, *self._signatures.wrong(read[1:])], strict=True):
            try:
                if wrong is not None:
                    raise wrong
                self._check_attachments(note.numbering, note.submitter)
                self._quota.take(note.submitter, note.data)
                # From here on they are not forgotten. A crash before the commit leaves attachments
                # that no record names; the same note, sent again, finds them.
                self._attachments.keep([digest for digest, _ in note.numbering.attachments])
            except BreakglassError as error:
                if not admitted:
                    raise
                refusal = error
                break
            admitted.append(note.admitted())
        return Run(read[0].submitter.vkey.label, tuple(admitted), refusal)

    def _read_all(
        self, bundle: Sequence[bytes], submitters: KnownSubmitters
    ) -> tuple[list[_Read], BreakglassError | None]:
        """Read the notes up to the first that has no form; that one's error, unless it is alone."""
        read: list[_Read] = []
        for data in bundle:
            try:
                read.append(self._read(data, submitters, read[0].submitter if read else None))
            except BreakglassError as error:
                if not read:
                    raise
                return read, error
        return read, None

    def _read(self, data: bytes, submitters: KnownSubmitters, own: KnownSubmitter | None) -> _Read:
        if len(data) > NOTE_BYTES_AT_MOST:
            raise _too_large(len(data), NOTE_BYTES_AT_MOST)
        note = Note.parse(data)
        note.check_spelling()  # else a carrier's spelling would take the number of the honest one
        submitter, line = _submitter(note, submitters)
        if len(note.lines) != 1:
            # Likewise: with a line more it would be another leaf of the same text.
            raise MalformedError(
                f"a record carries its submitter's line alone; this has {len(note.lines)} lines",
                name=ErrorName.EXTRA_LINES,
            )
        if own is not None and submitter.vkey != own.vkey:
            raise MalformedError(
                f"a run is of one submitter, got {own.vkey.name!r} and {submitter.vkey.name!r}",
                name=ErrorName.TWO_SUBMITTERS,
            )
        if len(data) > submitter.note_bytes:
            raise _too_large(len(data), submitter.note_bytes)
        numbering = read_numbering(note.text)
        if numbering.log != self._origin:
            raise RefusedError(
                f"record {numbering.id!r} is for log {numbering.log!r}, this is {self._origin!r}",
                name=ErrorName.OTHER_LOG,
            )
        return _Read(data, note.text, line.signature, submitter, numbering)

    def _check_attachments(self, numbering: Numbering, submitter: KnownSubmitter) -> None:
        if numbering.attachments and not submitter.attachments:
            raise RefusedError(
                f"submitter {submitter.vkey.name!r} may not attach anything",
                name=ErrorName.ATTACHMENTS,
            )
        for digest, size in numbering.attachments:
            stored = self._attachments.size(digest)
            if stored != size:
                raise RefusedError(
                    f"record {numbering.id!r} names attachment {digest} of {size} bytes, stored are"
                    f" {'none' if stored is None else stored}",
                    name=ErrorName.ATTACHMENT_MISSING,
                    hint="put attachments first: PUT /attachment/<sha256>",
                )


def _submitter(note: Note, submitters: KnownSubmitters) -> tuple[KnownSubmitter, SignatureLine]:
    found = [
        (submitters[line.name, line.key_id], line)
        for line in note.lines
        if (line.name, line.key_id) in submitters and submitters[line.name, line.key_id].appends
    ]
    if not found:
        names = ", ".join(repr(line.name) for line in note.lines[:4])
        raise RefusedError(
            f"signed by {names}: no submitter of this log",
            name=ErrorName.UNKNOWN_SUBMITTER,
            hint="the ledger's file 'submitters' names who may append",
        )
    if len(found) > 1:
        raise MalformedError("two submitters signed one note", name=ErrorName.TWO_SUBMITTERS)
    return found[0]


def _too_large(got: int, most: int) -> StatusError:
    error = MalformedError(f"note of {got} bytes, {most} at most", name=ErrorName.TOO_LARGE)
    return StatusError(error, 413)


class _Signatures:
    """Checks signatures, those of a long run on all cores: OpenSSL lets go of the interpreter."""

    def __init__(self) -> None:
        self._cores = min(len(os.sched_getaffinity(0)), _CORES_AT_MOST)
        self._pool = ThreadPoolExecutor(self._cores, "signatures")

    def check(self, read: _Read) -> None:
        check_signature(read.submitter.vkey, read.text.encode(), read.signature)

    def wrong(self, read: Sequence[_Read]) -> list[BreakglassError | None]:
        """Return what is wrong with each, ``None`` where the signature holds."""
        if len(read) < _LONG_RUN or self._cores == 1:
            return self._each(read)
        step = -(-len(read) // self._cores)
        parts = [read[at : at + step] for at in range(0, len(read), step)]
        return [each for found in self._pool.map(self._each, parts) for each in found]

    def _each(self, read: Sequence[_Read]) -> list[BreakglassError | None]:
        return [self._error(each) for each in read]

    def _error(self, read: _Read) -> BreakglassError | None:
        try:
            self.check(read)
        except BreakglassError as error:
            return error
        return None


class _Quota:
    """Counts the notes of each submitter in the last hour, where a number is set.

    The same bytes count once: who repeats an unanswered append, as it must, spends nothing by it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: dict[VerifierKey, dict[bytes, float]] = {}  # key: SHA-256 of a note: when

    def take(self, submitter: KnownSubmitter, note: bytes) -> None:
        if submitter.notes_per_hour is None:
            return
        now, digest = time.monotonic(), hashlib.sha256(note).digest()
        with self._lock:
            taken = self._taken.setdefault(submitter.vkey, {})
            while taken and now - next(iter(taken.values())) > 3600:
                del taken[next(iter(taken))]
            if digest in taken:
                return
            if len(taken) >= submitter.notes_per_hour:
                error = UnavailableError(
                    f"submitter {submitter.vkey.name!r} has had its {submitter.notes_per_hour}"
                    " notes of this hour",
                    name=ErrorName.QUOTA,
                )
                raise StatusError(error, 429)
            taken[digest] = now
