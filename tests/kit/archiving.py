"""A log and its archiver over any store, without HTTP between them."""

from __future__ import annotations

import hashlib

from breakglass.archiver.archive import Archive
from breakglass.archiver.archived_log import ArchivedLog
from breakglass.archiver.cosigning import ArchiveCosigning
from breakglass.archiver.object_store import ObjectStore
from breakglass.clock import SystemClock
from breakglass.errors import UnavailableError
from breakglass.http.client import Incoming, Peer, Reply
from breakglass.http.routes import Response
from breakglass.tlog.checkpoint import Checkpoint, parse_checkpoint, sign_checkpoint
from breakglass.tlog.cosignature import cosign, verify_cosignature
from breakglass.tlog.hashing import leaf_hash
from breakglass.tlog.merkle import root_of
from breakglass.tlog.note import COSIGNATURE, SignerKey, parse_signature_lines
from tests.kit.processes import draft, signed

LOG = SignerKey.generate("ledger.example/one")
ARCHIVER = SignerKey.generate("archiver.example", COSIGNATURE)
WITNESS = SignerKey.generate("witness.example", COSIGNATURE)
SUBMITTER = SignerKey.generate("submitter.example")
PREFIX = hashlib.sha256(LOG.name.encode()).hexdigest()


class _Attachments(Peer):
    def __init__(self, held: dict[str, bytes]) -> None:
        super().__init__("http://127.0.0.1:1", name="ledger")
        self.held = held

    def send(self, method: str, path: str, *args: object, **given: object) -> Reply:
        data = self.held.get(path.rpartition("/")[2])
        if data is None:
            raise UnavailableError("ledger is away")
        into = given["into"]
        assert isinstance(into, Incoming)
        into.file.write(data)
        return Reply(200, b"", "application/octet-stream", "ledger")


class ArchivedWorld:
    """A log whose commits are pushed to an archiver on ``store``."""

    def __init__(self, store: ObjectStore) -> None:
        self.store = store
        self.entries: list[bytes] = []
        self.archived = 0
        self.last = b""
        self.attachments: dict[str, bytes] = {}
        self.restart()

    def restart(self) -> None:
        """Start the archiver anew, from what is stored."""
        self.archiver = ArchiveCosigning(
            [ARCHIVER],
            lambda origin: Archive(self.store, origin, b"genesis\n"),
            {LOG.name: [LOG.verifier]},
            _Attachments(self.attachments),
            SystemClock(),
        )

    def push(self, count: int = 1, attachments: tuple[bytes, ...] = ()) -> Response:
        """Append entries and push them as one commit."""
        for data in attachments:
            self.attachments[hashlib.sha256(data).hexdigest()] = data
            note = draft(f"e{len(self.entries)}", LOG.name, attachments=(data,))
            self.entries.append(signed(note, SUBMITTER, len(self.entries), "0" * 64))
        self.entries += [f"entry {len(self.entries) + at}".encode() for at in range(count)]
        return self.push_again()

    def push_again(self) -> Response:
        """Push what is not archived yet."""
        size = len(self.entries)
        head = self.head(size)
        sizes = f"old {self.archived}\nhead {len(head)}\nlast {len(self.last)}\n\n"
        framed = [len(each).to_bytes(2, "big") + each for each in self.entries[self.archived :]]
        answer = self.archiver.add_segment(sizes.encode() + head + self.last + b"".join(framed))
        if answer.status == 200:
            (line,) = parse_signature_lines(answer.body.decode())
            checkpoint, note = parse_checkpoint(head)
            verify_cosignature(checkpoint.text, line, ARCHIVER.verifier)
            seen = cosign(note.text, WITNESS, SystemClock().now())
            self.archived, self.last = size, note.with_lines(line, seen).encoded()
        return answer

    def checkpoint(self, size: int) -> Checkpoint:
        """The log's tree of this size."""
        return Checkpoint(
            LOG.name, size, root_of([leaf_hash(each) for each in self.entries[:size]])
        )

    def head(self, size: int) -> bytes:
        """That, signed."""
        return sign_checkpoint(self.checkpoint(size), LOG).encoded()

    def archived_log(self, expected: Checkpoint | None = None) -> ArchivedLog:
        """What stands in the store, for reading."""
        return ArchivedLog(self.store, LOG.name, [LOG.verifier], expected)
