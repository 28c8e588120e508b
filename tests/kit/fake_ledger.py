"""A ledger in memory with switches for trouble, behind ``Peer``; for outbox and follower.

It takes what the real one takes and says what the real one says, as far as they look at it.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from breakglass.errors import UnavailableError
from breakglass.http.client import Incoming, Outgoing, Peer, Reply
from breakglass.submit.blob_upload import PERMIT, read_permit
from breakglass.submit.record_header import COMMIT, NO_PREV, POSTED, read_numbering, text_digest
from breakglass.tlog.checkpoint import Checkpoint, sign_checkpoint
from breakglass.tlog.cosignature import cosign
from breakglass.tlog.hashing import leaf_hash
from breakglass.tlog.merkle import inclusion_path, root_of
from breakglass.tlog.note import COSIGNATURE, Note, SignerKey
from breakglass.tlog.policy import TlogPolicy, parse_policy
from breakglass.tlog.proof import TlogProof
from breakglass.tlog.tiles import decode_bundle

LOG = SignerKey.generate("ledger.example/fake")
WITNESS = SignerKey.generate("witness.example", COSIGNATURE)
POLICY: TlogPolicy = parse_policy(f"log {LOG.verifier}\nwitness w {WITNESS.verifier}\nquorum w\n")


@dataclass
class FakeLedger(Peer):
    """One submitter's ledger. ``trouble`` is looked at for each append."""

    trouble: list[str] = field(default_factory=list)  # one word per append to come
    away: bool = False
    notes: list[bytes] = field(default_factory=list)
    commits: list[tuple[int, bytes, list[bytes]]] = field(default_factory=list)
    attachments: dict[str, bytes] = field(default_factory=dict)
    refuse: set[str] = field(default_factory=set)  # ids to be refused for good
    appends: list[list[bytes]] = field(default_factory=list)
    posted: list[bool] = field(default_factory=list)  # whether nobody waited for it, by append
    wanted: list[bool] = field(default_factory=list)  # whether its commit was, by append

    def __post_init__(self) -> None:
        super().__init__("http://127.0.0.1:1", name="ledger")
        self.changed = threading.Condition()

    def send(
        self,
        method: str,
        path: str,
        body: bytes | Outgoing = b"",
        content_type: str = "",
        *,
        within: timedelta | None = None,
        headers: Mapping[str, str] | None = None,
        into: Incoming | None = None,
        signed: bool = False,
    ) -> Reply:
        body = body if isinstance(body, bytes) else b"".join(body.parts())
        if self.away:
            raise UnavailableError("'ledger' cannot be reached", name="unreachable")
        if method == "PUT":
            permit = read_permit((headers or {})[PERMIT])
            assert (permit.digest, permit.size) == (path.rpartition("/")[2], len(body))
            self.attachments[path.rpartition("/")[2]] = body
            return self.said(200, {})
        if path.startswith("/attachment/"):
            return Reply(200, self.attachments[path.rpartition("/")[2]], "", "'ledger'")
        if path.startswith("/submitter/"):
            return self.said(200, self.place())
        if path.startswith("/entries"):
            return self.entries(path, within or timedelta(seconds=1))
        with self.changed:
            self.posted.append(POSTED in (headers or {}))
            self.wanted.append(COMMIT in (headers or {}))
            reply = self.append(decode_bundle(body))
            if reply.status == 200 and self.wanted[-1]:
                return self.said(200, {**reply.json(), "commit": self.shown(self.commits[-1])})
            return reply

    def entries(self, path: str, within: timedelta) -> Reply:
        start = int(path.partition("from=")[2].partition("&")[0])
        with self.changed:
            self.changed.wait_for(lambda: len(self.notes) > start or self.away, 0.2)
            found = [self.shown(each) for each in self.commits if each[0] >= start]
        return self.said(200, {"commits": found})

    @staticmethod
    def shown(commit: tuple[int, bytes, list[bytes]]) -> dict[str, object]:
        """Return a commit as the ledger's answers carry it."""
        first, head, notes = commit
        return {
            "first": first,
            "head": head.decode(),
            "entries": [note.decode() for note in notes],
        }

    def append(self, run: list[bytes]) -> Reply:
        self.appends.append(run)
        trouble = self.trouble.pop(0) if self.trouble else ""
        if trouble == "lose request":
            raise UnavailableError("'ledger' did not answer", name="unanswered")
        reply = self.take(run, trouble)
        self.changed.notify_all()
        if trouble == "lose reply":
            raise UnavailableError("'ledger' did not answer", name="unanswered")
        return reply

    def take(self, run: list[bytes], trouble: str) -> Reply:
        indices: list[int] = []
        refused: dict[str, object] | None = None
        new: list[bytes] = []
        for note in run:
            refused = self.refusal(note, new)
            if refused:
                break
            known = [*self.notes, *new]
            if note in known:
                indices.append(known.index(note))
            else:
                indices.append(len(known))
                new.append(note)
        if new:
            self.commit(new)
        if trouble == "unwitnessed":
            return self.said(503, {"error": "unwitnessed", "message": "no quorum"})
        if refused and not indices:
            return self.said(int(str(refused.pop("status"))), refused)
        head = self.commits[-1][1]
        leaves = list(map(leaf_hash, self.notes))
        proofs = [TlogProof(at, tuple(inclusion_path(leaves, at)), head) for at in indices]
        return self.said(
            200,
            {
                "first": indices[0],
                "count": len(indices),
                "proofs": [proof.encoded().decode() for proof in proofs],
                "refused": refused and {"at": len(indices), **refused},
            },
        )

    def refusal(self, note: bytes, new: list[bytes]) -> dict[str, object] | None:
        numbering = read_numbering(Note.parse(note).text)
        place = self.place(new)
        for stored in [*self.notes, *new]:
            if read_numbering(Note.parse(stored).text).id == numbering.id and stored != note:
                return {"status": 409, "error": "id_taken", "message": "taken", **place}
        if note in self.notes or note in new:
            return None
        if numbering.id in self.refuse:
            return {"status": 413, "error": "too_large", "message": "refused"}
        for digest, _ in numbering.attachments:
            if digest not in self.attachments:
                return {"status": 403, "error": "attachment_missing", "message": digest}
        if (numbering.seq, numbering.prev) != (place["next"], place["prev"]):
            return {"status": 409, "error": "bad_seq", "message": "wrong", **place}
        return None

    def place(self, new: list[bytes] | None = None) -> dict[str, object]:
        notes = [*self.notes, *(new or [])]
        prev = text_digest(Note.parse(notes[-1]).text) if notes else NO_PREV
        return {"next": len(notes), "prev": prev, "seq": len(notes) - 1 if notes else None}

    def commit(self, notes: list[bytes]) -> None:
        """Commit notes of any make."""
        first = len(self.notes)
        self.notes.extend(notes)
        self.commits.append((first, head_of(self.notes), notes))

    def ids(self) -> list[str]:
        """Name what is recorded, in order."""
        return [read_numbering(Note.parse(note).text).id for note in self.notes]

    @staticmethod
    def said(status: int, value: dict[str, object]) -> Reply:
        return Reply(status, json.dumps({"hint": "", **value}).encode(), "", "'ledger'")


def head_of(notes: list[bytes], *, signer: SignerKey = LOG, witness: SignerKey = WITNESS) -> bytes:
    """Make a cosigned head over these notes."""
    root = root_of([leaf_hash(note) for note in notes])
    note = sign_checkpoint(Checkpoint(LOG.name, len(notes), root), signer)
    return note.with_lines(cosign(note.text, witness, datetime.now(UTC))).encoded()


def digest(data: bytes) -> str:
    """Return hex SHA-256."""
    return hashlib.sha256(data).hexdigest()
