"""One witness, or the archiver, as the ledger sees it: brought to a head, it cosigns.

Source: C2SP tlog-witness v1.0.0, add-checkpoint. The archiver answers in the same way to
``/add-segment``, whose body holds the entries too (``archiver/segment.py`` reads it).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from breakglass.errors import MalformedError, UnavailableError, UnprovenError
from breakglass.ledger.journal import Head, Journal
from breakglass.ledger.journal_tiles import JournalTiles
from breakglass.tlog.checkpoint import Checkpoint, check_log_signature, parse_checkpoint
from breakglass.tlog.cosignature import verify_cosignature
from breakglass.tlog.note import Note, SignatureLine, VerifierKey, parse_signature_lines
from breakglass.tlog.spelling import print_base64
from breakglass.tlog.tiles import consistency_from_tiles
from breakglass.wire.calling import Neighbour, Reply

log = logging.getLogger("breakglass.ledger")
_TRIES = 3
_SIZE = "text/x.tlog.size"


class AheadError(UnprovenError):
    """A cosigner holds a head, signed by our own key, that our journal does not lead to."""

    default_name = "rolled_back"


@dataclass(frozen=True)
class Target:
    """A head to be cosigned, with what most cosigners need to get there from the head before."""

    head: Head
    before: int
    proof: tuple[bytes, ...]  # consistency, from ``before``
    notes: tuple[bytes, ...]  # the entries from ``before`` on


class Cosigner:
    """Brings one witness to our head. Used by one thread at a time.

    Args:
        name: the policy's name for it.
        vkey: the key whose line we want.
        neighbour: where it is.
        own: our log key; what it shows of our log must be signed by it.
        journal: for a witness that is further behind than the head before.
    """

    path = "/add-checkpoint"

    def __init__(
        self, name: str, vkey: VerifierKey, neighbour: Neighbour, own: VerifierKey, journal: Journal
    ) -> None:
        self.name = name
        self.vkey = vkey
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
        origin = hashlib.sha256(self._own.name.encode()).hexdigest()
        reply = self._neighbour.send("GET", f"/{origin}/checkpoint", within=within)
        if reply.status != 404:
            known = self._believed(reply)
            if not ours(known):
                raise AheadError(
                    f"{self.name!r} has cosigned size {known.size} of {known.origin!r} and our"
                    " journal does not lead there: it was rolled back or replaced",
                    hint="restore the journal from its newest copy, or from the archive",
                )
            self._size = known.size
        self.confirmed = True

    def bring(self, target: Target, within: timedelta) -> tuple[SignatureLine, datetime]:
        """Bring it to ``target`` and return its cosignature, checked, with its time.

        Raises:
            AheadError: as in ``confirm``.
            UnavailableError: no cosignature within that time, for whatever reason.
        """
        for _ in range(_TRIES):
            reply = self._ask(target, within)
            if reply.status == 200:
                self._size = target.head.size
                return self._line(reply, target)
            if reply.status != 409:
                raise UnavailableError(
                    f"{self.name!r} answered {reply.status}:"
                    f" {reply.body[:200].decode('utf-8', 'replace').strip()}",
                    name="not_cosigned",
                )
            self._size = _size(reply)
            if self._size > target.head.size:
                # A bare number proves nothing; the head behind it, with our signature, does.
                self.confirm(lambda known: known.size <= target.head.size, within)
                raise UnavailableError(f"{self.name!r} claims size {self._size} without proof")
        raise UnavailableError(f"{self.name!r} keeps changing its size", name="not_cosigned")

    def _ask(self, target: Target, within: timedelta) -> Reply:
        old, new = self._size, target.head.size
        proof: tuple[bytes, ...] | list[bytes] = target.proof
        if old != target.before:
            proof = consistency_from_tiles(self._tiles, old, new)
        lines = "".join(f"{print_base64(each)}\n" for each in proof)
        body = f"old {old}\n{lines}\n".encode() + target.head.signed
        return self._neighbour.send("POST", self.path, body, "text/plain", within=within)

    def _line(self, reply: Reply, target: Target) -> tuple[SignatureLine, datetime]:
        try:
            for line in parse_signature_lines(reply.body.decode()):
                if (line.name, line.key_id) == (self.vkey.name, self.vkey.key_id):
                    text = Note.parse(target.head.signed).text
                    return line, verify_cosignature(text, line, self.vkey)
        except (UnicodeDecodeError, MalformedError, UnprovenError) as error:
            raise UnavailableError(
                f"{self.name!r} gave no cosignature that holds: {error}", name="nonsense"
            ) from error
        raise UnavailableError(f"{self.name!r} gave no line of its key", name="nonsense")

    def _believed(self, reply: Reply) -> Checkpoint:
        try:
            checkpoint, note = parse_checkpoint(reply.body)
            check_log_signature(checkpoint, note, [self._own])
        except (MalformedError, UnprovenError) as error:
            raise UnavailableError(
                f"{self.name!r} shows no head that our key signed: {error}", name="nonsense"
            ) from error
        return checkpoint


class ArchivingCosigner(Cosigner):
    """The archiver: gets every commit's entries, one segment each, before it cosigns."""

    path = "/add-segment"

    def _ask(self, target: Target, within: timedelta) -> Reply:
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
        raise UnavailableError(f"{reply.by} answered 409 without a size", name="nonsense")
    return int(text)
