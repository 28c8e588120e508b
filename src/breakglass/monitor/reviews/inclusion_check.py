"""The proof behind ``audit_verified``: made from what was followed, and checked as a gate would."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from breakglass.errors import BreakglassError
from breakglass.monitor.root_history import RootHistory
from breakglass.records.kinds.intent import Intent
from breakglass.records.proven import prove
from breakglass.records.trust import Trust
from breakglass.tlog.checkpoint import parse_checkpoint
from breakglass.tlog.proof import TlogProof


@dataclass(frozen=True)
class Audit:
    """What checking one intent's place in the ledger came to; ``problem`` is empty if it holds."""

    index: int
    log: str
    size: int = 0
    witnesses: tuple[str, ...] = ()
    archiver: str = ""
    at: datetime | None = None
    problem: str = ""

    def __str__(self) -> str:
        if self.problem:
            return f"NO — entry {self.index} of {self.log}: {self.problem}"
        archived = f", archived by {self.archiver}" if self.archiver else ", NOT archived"
        return (
            f"YES — entry {self.index} of {self.log}: inclusion under the head of size {self.size}"
            f" checked, seen in time by {', '.join(self.witnesses) or 'no witness'}{archived}"
        )


def audit(
    index: int, log: str, note: bytes, head: bytes, roots: RootHistory, trust: Trust
) -> Audit:
    """Prove an intent again: submitter, log signature, witnesses in time, inclusion.

    Args:
        index: the intent's entry.
        log: the log's origin.
        note: the entry's bytes as the log stores them.
        head: the cosigned head that first covered it.
        roots: of the followed log, at least as long as the head says.
        trust: the trust file that was in force at the intent.
    """
    try:
        size = parse_checkpoint(head)[0].size
        proof = TlogProof(index, tuple(roots.inclusion(index, size)), head)
        proven = prove(Intent, note, proof.encoded(), trust, "broker")
    except BreakglassError as error:
        return Audit(index, log, problem=f"{error} [{error.name}]")
    archived = trust.archiver in proven.cosigned
    return Audit(
        index,
        log,
        size,
        tuple(sorted(name for name in proven.cosigned if name != trust.archiver)),
        trust.archiver if archived else "",
        min(proven.cosigned.values()),
    )
