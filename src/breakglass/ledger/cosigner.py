"""One witness, or the archiver, as the ledger sees it: brought to a head, it cosigns.

Source: C2SP tlog-witness v1.0.0, add-checkpoint. The archiver answers in the same way to
``/add-segment``, whose body holds the entries too (``archiver/segment.py`` reads it).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, UnavailableError, UnprovenError
from breakglass.http.client import Peer, Reply
from breakglass.ledger.journal import Head, Journal
from breakglass.ledger.journal_tiles import JournalTiles
from breakglass.tlog.checkpoint import Checkpoint, check_log_signature, parse_checkpoint
from breakglass.tlog.cosignature import verify_cosignature
from breakglass.tlog.note import Note, SignatureLine, VerifierKey, parse_signature_lines
from breakglass.tlog.spelling import print_base64
from breakglass.tlog.tiles import consistency_from_tiles

log = logging.getLogger("breakglass.ledger")
_TRIES = 3
_SIZE = "text/x.tlog.size"


Lines = Mapping[str, tuple[SignatureLine, datetime]]
"""Cosignatures with their times, by the policy's name of the key."""


class AheadError(UnprovenError):
    """A cosigner holds a head, signed by our own key, that our journal does not lead to."""

    default_name = ErrorName.ROLLED_BACK


@dataclass(frozen=True)
class CosignTarget:
    """A head to be cosigned, with what most cosigners need to get there from the head before."""

    head: Head
    before: int
    proof: tuple[bytes, ...]  # consistency, from ``before``
    notes: tuple[bytes, ...]  # the entries from ``before`` on


class Cosigner:
    """Brings one witness to our head. Used by one thread at a time.

    Args:
        vkeys: the policy's names for it, each with the key whose line we want; two while it
            changes its key.
        neighbour: where it is.
        own: our log keys; what it shows of our log must be signed by one of them.
        journal: for a witness that is further behind than the head before.
    """

    path = "/add-checkpoint"

    def __init__(
        self,
        vkeys: Mapping[str, VerifierKey],
        neighbour: Peer,
        own: Sequence[VerifierKey],
        journal: Journal,
    ) -> None:
        self.name = next(iter(vkeys))
        self.vkeys = dict(vkeys)
        self.confirmed = False  # whether it was seen to know nothing that we do not
        self._neighbour = neighbour
        self._own = own
        self._journal = journal
        self._tiles = JournalTiles(journal)
        self._size = 0

    def confirm(self, ours: Callable[[Checkpoint], bool], within: timedelta) -> None:
        """Ask for the last head of our log that it cosigned, and check that we lead to it.

        Raises:
            AheadError: it knows a larger size, or another root, under our own signature.
            UnavailableError: no answer, or one that proves nothing.
        """
        known = self._known(within)
        if known is not None:
            if not ours(known):
                raise AheadError(
                    f"{self.name!r} has cosigned size {known.size} of {known.origin!r} and our"
                    " journal does not lead there: it was rolled back or replaced",
                    hint="restore the journal from its newest copy, or from the archive",
                )
            self._size = known.size
        self.confirmed = True

    def _known(self, within: timedelta) -> Checkpoint | None:
        origin = hashlib.sha256(self._own[0].name.encode()).hexdigest()
        reply = self._neighbour.send("GET", f"/{origin}/checkpoint", within=within)
        return None if reply.status == 404 else self._believed(reply)

    def bring(self, target: CosignTarget, within: timedelta) -> Lines:
        """Bring it to ``target`` and return its cosignatures, checked, with their times.

        One for each of its keys that it has; at least one.

        Raises:
            AheadError: as in ``confirm``.
            UnavailableError: no cosignature within that time, for whatever reason.
        """
        for _ in range(_TRIES):
            reply = self._ask(target, within)
            if reply.status == 200:
                self._size = target.head.size
                return self._lines(reply, target)
            if reply.status != 409:
                raise UnavailableError(
                    f"{self.name!r} answered {reply.status}:"
                    f" {reply.body[:200].decode('utf-8', 'replace').strip()}",
                    name=ErrorName.NOT_COSIGNED,
                )
            self._size = _size(reply)
            if self._size > target.head.size:
                # A bare number proves nothing; the head behind it, with our signature, does.
                self.confirm(lambda known: known.size <= target.head.size, within)
                raise UnavailableError(f"{self.name!r} claims size {self._size} without proof")
        raise UnavailableError(
            f"{self.name!r} keeps changing its size", name=ErrorName.NOT_COSIGNED
        )

    def _ask(self, target: CosignTarget, within: timedelta) -> Reply:
        old, new = self._size, target.head.size
        proof: tuple[bytes, ...] | list[bytes] = target.proof
        if old != target.before:
            proof = consistency_from_tiles(self._tiles, old, new)
        lines = "".join(f"{print_base64(each)}\n" for each in proof)
        body = f"old {old}\n{lines}\n".encode() + target.head.signed
        return self._neighbour.send("POST", self.path, body, "text/plain", within=within)

    def _lines(self, reply: Reply, target: CosignTarget) -> Lines:
        found: dict[str, tuple[SignatureLine, datetime]] = {}
        known = {(key.name, key.key_id): name for name, key in self.vkeys.items()}
        text = Note.parse(target.head.signed).text
        try:
            for line in parse_signature_lines(reply.body.decode()):
                name = known.get((line.name, line.key_id))
                if name is not None:
                    found[name] = line, verify_cosignature(text, line, self.vkeys[name])
        except (UnicodeDecodeError, MalformedError, UnprovenError) as error:
            raise UnavailableError(
                f"{self.name!r} gave no cosignature that holds: {error}", name=ErrorName.NONSENSE
            ) from error
        if not found:
            raise UnavailableError(
                f"{self.name!r} gave no line of its key", name=ErrorName.NONSENSE
            )
        return found

    def _believed(self, reply: Reply) -> Checkpoint:
        try:
            checkpoint, note = parse_checkpoint(reply.body)
            check_log_signature(checkpoint, note, self._own)
        except (MalformedError, UnprovenError) as error:
            raise UnavailableError(
                f"{self.name!r} shows no head that our key signed: {error}", name=ErrorName.NONSENSE
            ) from error
        return checkpoint


class ArchivingCosigner(Cosigner):
    """The archiver: gets every commit's entries, one segment each, before it cosigns."""

    path = "/add-segment"

    def _ask(self, target: CosignTarget, within: timedelta) -> Reply:
        if not self._size and target.before:
            # Asked for the first time since the policy changed. To begin at its first segment would
            # show it heads of a key that it may have been told to forget.
            known = self._known(within)
            self._size = min(known.size, target.head.size) if known else 0
        # Behind, after an outage: every commit that it lacks, in order, one segment each.
        while self._size < target.before:
            head = self._journal.head_after(self._size)
            assert head is not None
            notes = self._journal.notes(self._size, head.size)
            reply = self._send(self._size, head, notes, within)
            if reply.status != 200:
                return reply
            self._size = head.size
        if self._size == target.head.size:  # it stored this one; its answer was lost
            return self._send(self._size, target.head, (), within)
        return self._send(target.before, target.head, target.notes, within)

    def _send(
        self, old: int, head: Head, notes: tuple[bytes, ...] | list[bytes], within: timedelta
    ) -> Reply:
        # A head's final cosignatures travel with the commit after it: alone in the archive,
        # segments and these rebuild what every follower saw. An archiver that begins late gets
        # them for every head of the past too, or nobody could fold the records from it.
        last = self._journal.head_at(old) if notes and old else None
        cosigned = last.cosigned if last and last.cosigned else b""
        parts = [f"old {old}\nhead {len(head.signed)}\nlast {len(cosigned)}\n\n".encode()]
        parts += [head.signed, cosigned]
        for note in notes:
            parts += [len(note).to_bytes(2, "big"), note]
        body = b"".join(parts)
        kind = "application/octet-stream"
        return self._neighbour.send("POST", self.path, body, kind, within=within)


def _size(reply: Reply) -> int:
    text = reply.body.strip()
    if not reply.content_type.startswith(_SIZE) or not text.isdigit() or len(text) > 18:
        raise UnavailableError(f"{reply.by} answered 409 without a size", name=ErrorName.NONSENSE)
    return int(text)
