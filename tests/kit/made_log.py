"""An honest log with honest witnesses, in memory: gives real proofs to tests of other rooms."""

from __future__ import annotations

from datetime import UTC, datetime

from breakglass.tlog.checkpoint import Checkpoint, sign_checkpoint
from breakglass.tlog.cosignature import cosign
from breakglass.tlog.merkle import inclusion_path, leaf_hash, root_of
from breakglass.tlog.note import COSIGNATURE, SignerKey
from breakglass.tlog.policy import TlogPolicy, parse_policy
from breakglass.tlog.proof import TlogProof

NOON = datetime(2026, 6, 22, 12, 0, 0, tzinfo=UTC)


class MadeLog:
    """Appends entries, signs heads, cosigns them with the witnesses asked for.

    Keys follow from the names, so that two runs give the same bytes.
    """

    def __init__(
        self, origin: str = "ledger.example/made", witnesses: int = 3, quorum: int = 2
    ) -> None:
        self.signer = _signer(origin, 0x01)
        self.witnesses = {
            f"w{place}": _signer(f"w{place}.example", COSIGNATURE) for place in range(witnesses)
        }
        lines = [f"log {self.signer.verifier}"]
        lines += [f"witness {name} {key.verifier}" for name, key in self.witnesses.items()]
        lines += [f"group all-witnesses {quorum} {' '.join(self.witnesses)}"]
        self.policy: TlogPolicy = parse_policy("\n".join([*lines, "quorum all-witnesses", ""]))
        self.entries: list[bytes] = []

    def append(self, entry: bytes) -> int:
        """Add an entry; return its index."""
        self.entries.append(entry)
        return len(self.entries) - 1

    def checkpoint(self, size: int | None = None) -> Checkpoint:
        """Return the head of the first ``size`` entries, or of all."""
        leaves = [leaf_hash(entry) for entry in self.entries[:size]]
        return Checkpoint(self.signer.name, len(leaves), root_of(leaves))

    def head(
        self, at: datetime = NOON, by: tuple[str, ...] | None = None, size: int | None = None
    ) -> bytes:
        """Return a head's note, cosigned at ``at`` by the witnesses named, or by all."""
        checkpoint = self.checkpoint(size)
        names = self.witnesses if by is None else by
        lines = [cosign(checkpoint.text, self.witnesses[name], at) for name in names]
        return sign_checkpoint(checkpoint, self.signer).with_lines(*lines).encoded()

    def proof(
        self,
        index: int,
        at: datetime = NOON,
        by: tuple[str, ...] | None = None,
        size: int | None = None,
    ) -> TlogProof:
        """Return the proof of entry ``index`` under such a head."""
        leaves = [leaf_hash(entry) for entry in self.entries[:size]]
        return TlogProof(index, tuple(inclusion_path(leaves, index)), self.head(at, by, size))


def _signer(name: str, kind: int) -> SignerKey:
    return SignerKey(name, kind, leaf_hash(f"made key {name}".encode()))
