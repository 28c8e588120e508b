"""add-segment: check, store beyond deletion, and only then cosign.

The statuses are those of C2SP add-checkpoint, so the ledger treats the archiver as one witness
more, that wants to see the entries.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import BinaryIO

from breakglass.archiver.archive import Archive
from breakglass.archiver.segment import Pushed, parse_pushed
from breakglass.clock import Clock
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, MalformedError, UnavailableError, UnprovenError
from breakglass.http.client import Peer
from breakglass.http.routes import Response, text_response
from breakglass.submit.blob_upload import ATTACHMENT_BYTES_AT_MOST, get_attachment
from breakglass.submit.record_header import read_numbering
from breakglass.tlog.checkpoint import Checkpoint, check_log_signature, parse_checkpoint
from breakglass.tlog.cosignature import cosign
from breakglass.tlog.note import Note, SignatureLine, Signer, VerifierKey

log = logging.getLogger("breakglass.archiver")
_TURN_WITHIN_S = 5.0  # the ledger asks again anyway


class ArchiveCosigning:
    """Takes segments, one at a time.

    Args:
        signers: our cosigner's key, which is no witness's; and the next one while it changes.
        open_archive: opens the archive of an origin.
        logs: keys of those that we serve.
        ledger: where attachments are fetched.
        clock: for the time on cosignatures.
    """

    def __init__(
        self,
        signers: Sequence[Signer],
        open_archive: Callable[[str], Archive],
        logs: Mapping[str, Sequence[VerifierKey]],
        ledger: Peer,
        clock: Clock,
    ) -> None:
        self._signers = tuple(signers)
        self._open = open_archive
        self._logs = logs
        self._ledger = ledger
        self._clock = clock
        self.stored: Callable[[], None] = lambda: None  # told of each commit that was archived
        self._lock = threading.Lock()
        self._archives = {origin: open_archive(origin) for origin in logs}

    def add_segment(self, body: bytes) -> Response:
        """Answer one request."""
        # (1) Form.
        try:
            pushed = parse_pushed(body)
            checkpoint, note = parse_checkpoint(pushed.head)
            if pushed.old > checkpoint.size:
                raise MalformedError(f"old size {pushed.old} is over {checkpoint.size}")
        except MalformedError as error:
            return text_response(f"{error}\n", 400)
        # (2) A log that we serve, and its signature.
        keys = self._logs.get(checkpoint.origin)
        if keys is None:
            return text_response("unknown log\n", 404)
        try:
            check_log_signature(checkpoint, note, keys)
        except UnprovenError:
            return text_response("invalid signature of the log\n", 403)
        # One at a time. Storing 64 MiB takes longer than the ledger waits: it asks again, and those
        # that asked in vain must not pile up here.
        if not self._lock.acquire(timeout=_TURN_WITHIN_S):
            return text_response("storing what came before; ask again\n", 503)
        try:
            return self._add(pushed, checkpoint, note)
        except UnprovenError as error:
            log.error("not archived: %s", error)
            return text_response(f"{error}\n", 422)
        except BreakglassError as error:
            # What of it was stored is unknown: read the archive again.
            self._archives.pop(checkpoint.origin, None)
            return text_response(f"{error}\n", 503)
        finally:
            self._lock.release()

    def checkpoint(self, origin: str) -> bytes:
        """Return the last head that is archived, with our cosignature; empty if there is none."""
        archive = self._archives.get(origin)  # whoever watches us does not wait for 64 MiB
        if archive is None:
            with self._lock:
                archive = self._archive(origin)
        if not archive.last_note:
            return b""
        note = Note.parse(archive.last_note)
        return note.with_lines(*self._cosigned(note)).encoded()

    def _cosigned(self, note: Note) -> list[SignatureLine]:
        now = self._clock.now()
        return [cosign(note.text, signer, now) for signer in self._signers]

    def keep_final(self, checkpoint: bytes) -> bool:
        """Keep a cosigned checkpoint if it is the last archived head; say whether it was.

        Raises:
            MalformedError: no checkpoint.
            UnprovenError: not signed by a log that we serve; or ``split_view``, another root than
                the archive's for this size, or ``archive_differs``. Nothing was kept.
            UnavailableError: the store fails.
        """
        found, note = parse_checkpoint(checkpoint)
        check_log_signature(found, note, self._logs.get(found.origin, ()))
        with self._lock:
            archive = self._archive(found.origin)
            if found.size != archive.last.size:
                return False
            if found.root != archive.last.root:
                raise UnprovenError(f"two roots for size {found.size}", name=ErrorName.SPLIT_VIEW)
            archive.keep_final(found.size, checkpoint)
            return True

    def _archive(self, origin: str) -> Archive:
        if origin not in self._archives:
            self._archives[origin] = self._open(origin)
        return self._archives[origin]

    def _add(self, pushed: Pushed, checkpoint: Checkpoint, note: Note) -> Response:
        archive = self._archive(checkpoint.origin)
        stored = archive.last
        # (3) From where we stand.
        if pushed.old != stored.size:
            return text_response(f"{stored.size}\n", 409, "text/x.tlog.size")
        if checkpoint.size == stored.size:
            # Stored before, and the answer was lost. Another root for it is a second history.
            if checkpoint.root != stored.root or pushed.entries:
                raise UnprovenError(f"two roots for size {stored.size}", name=ErrorName.SPLIT_VIEW)
        else:
            archive.grown(checkpoint, pushed.entries)
            # (4) What the entries name, before them. A crash leaves attachments without entries.
            for digest, size in _attachments(pushed.entries).items():
                archive.keep_attachment(digest, partial(self._fetch, digest, size))
            self._keep_final(archive, pushed.last, stored)
            # (5) The entries themselves, written once, synced.
            archive.add(checkpoint, pushed.head, pushed.entries)
            self.stored()
        # (6) All of it is durable: cosign. A crash before loses an answer, and the same head is
        #     cosigned when asked again.
        return text_response("".join(map(str, self._cosigned(note))))

    def _keep_final(self, archive: Archive, last: bytes, stored: Checkpoint) -> None:
        if not last:
            return
        try:
            final, note = parse_checkpoint(last)
            check_log_signature(final, note, self._logs[stored.origin])
        except (MalformedError, UnprovenError) as error:
            raise UnprovenError(
                f"earlier head does not hold: {error}", name=ErrorName.SEGMENT
            ) from error
        if final.origin != stored.origin or final.size > stored.size:
            raise UnprovenError(
                "earlier head is of another log or not yet stored", name=ErrorName.SEGMENT
            )
        archive.keep_final(final.size, last)

    def _fetch(self, digest: str, size: int, into: BinaryIO) -> None:
        try:
            get_attachment(self._ledger, digest, size, into)
        except BreakglassError as error:
            if error.name == ErrorName.OTHER_BYTES:
                raise UnprovenError(error.message, name=ErrorName.ATTACHMENT) from error
            raise UnavailableError(f"attachment {digest} cannot be fetched: {error}") from error


def _attachments(entries: Sequence[bytes]) -> dict[str, int]:
    """Return what the entries name: SHA-256, and bytes."""
    found: dict[str, int] = {}
    for entry in entries:
        if b"\nattach sha256:" not in entry:
            continue
        try:
            for digest, size in read_numbering(Note.parse(entry).text).attachments:
                if size > ATTACHMENT_BYTES_AT_MOST:
                    raise MalformedError(f"attachment {digest} of {size} bytes")
                found[digest] = size
        except MalformedError as error:
            # The ledger takes no such note; one that sends it is no ledger of ours.
            raise UnprovenError(
                f"an entry is no record: {error}", name=ErrorName.SEGMENT
            ) from error
    return found
