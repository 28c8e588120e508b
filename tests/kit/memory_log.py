"""A log in memory with real keys: entries, heads, proofs; any of them can be forged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from breakglass.records.fold.context import Entry
from breakglass.tlog.checkpoint import Checkpoint, sign_checkpoint
from breakglass.tlog.cosignature import cosign
from breakglass.tlog.edge import TreeEdge
from breakglass.tlog.merkle import inclusion_path, leaf_hash
from breakglass.tlog.note import SignerKey
from breakglass.tlog.proof import TlogProof


@dataclass
class MemoryLog:
    """Entries in order. ``witnesses`` is by the trust file's names, the archiver among them."""

    signer: SignerKey
    witnesses: Mapping[str, SignerKey]
    notes: list[bytes] = field(default_factory=list)
    leaves: list[bytes] = field(default_factory=list)
    covered: list[dict[str, datetime]] = field(default_factory=list)
    attachments: dict[str, bytes] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Entries so far."""
        return len(self.notes)

    def append(self, note: bytes, at: datetime, *, by: Iterable[str] | None = None) -> int:
        """Store an entry that the witnesses ``by`` (all, if not said) cosign at ``at``."""
        self.notes.append(note)
        self.leaves.append(leaf_hash(note))
        self.covered.append(dict.fromkeys(self.witnesses if by is None else by, at))
        return len(self.notes) - 1

    def head(
        self,
        at: datetime | Mapping[str, datetime],
        *,
        by: Iterable[str] | None = None,
        size: int | None = None,
        signer: SignerKey | None = None,
    ) -> bytes:
        """Sign a head of ``size`` entries, cosigned by ``by`` at one time, or each at its own."""
        edge = TreeEdge()
        edge.extend(self.leaves[:size])
        signer = signer or self.signer
        checkpoint = Checkpoint(signer.name, edge.size, edge.root())
        note = sign_checkpoint(checkpoint, signer)
        times = at if isinstance(at, Mapping) else dict.fromkeys(by or self.witnesses, at)
        lines = [cosign(note.text, self.witnesses[name], time) for name, time in times.items()]
        return note.with_lines(*lines).encoded()

    def proof(
        self,
        index: int,
        at: datetime | Mapping[str, datetime],
        *,
        by: Iterable[str] | None = None,
        size: int | None = None,
        signer: SignerKey | None = None,
    ) -> bytes:
        """Prove entry ``index`` under the head that ``head`` gives with the same arguments."""
        path = tuple(inclusion_path(self.leaves[:size], index))
        return TlogProof(index, path, self.head(at, by=by, size=size, signer=signer)).encoded()

    def entries(self, start: int = 0) -> list[Entry]:
        """Return the entries as a follower hands them to the fold."""
        return [
            Entry(index, self.notes[index], self.covered[index], self.attachments)
            for index in range(start, self.size)
        ]


SECOND = timedelta(seconds=1)
