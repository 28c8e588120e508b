"""The trust files that took force, for whoever fetches them: signed files need no reader."""

from __future__ import annotations

from dataclasses import dataclass, field

from breakglass.node.memory_projection import MemoryProjection
from breakglass.node.replica import Replica
from breakglass.records.fold.context import Entry
from breakglass.records.fold.fold import Judged
from breakglass.records.fold.state import State
from breakglass.records.kinds.trust import TrustActivated

AT_ONCE = 16


@dataclass
class Versions:
    """SHA-256 (hex) of the file of each version."""

    digests: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TrustFilesView:
    """Signed notes, in the order of their versions; ``more`` where there are others behind."""

    files: tuple[str, ...]
    more: bool


class TrustFiles(MemoryProjection[Versions]):
    """Remembers which attachment is which version."""

    def __init__(self) -> None:
        super().__init__("trust_files", Versions)

    def take(self, judged: Judged, entry: Entry, state: State) -> None:
        """Take the next entry."""
        record = judged.record
        if record is None or not judged.holds or not isinstance(record.body, TrustActivated):
            return
        with self._lock:
            self.kept.digests[str(record.body.version)] = record.attachments[0].digest

    def after(self, version: int, view: Replica) -> TrustFilesView:
        """Return the files behind ``version``, some at once.

        Raises:
            UnavailableError: the ledger is away, and one is not in the cache.
        """
        with self._lock:
            wanted = sorted(each for each in map(int, self.kept.digests) if each > version)
            digests = [self.kept.digests[str(each)] for each in wanted[:AT_ONCE]]
        files = tuple(view.attachment(each).decode() for each in digests)
        return TrustFilesView(files, len(wanted) > AT_ONCE)
