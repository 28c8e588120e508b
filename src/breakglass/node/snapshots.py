"""The snapshot and the mark of one view, on disk: read at the start, written now and then.

Every state of a crash is one that the next start takes: the snapshot is whole or the one before,
and what lies behind it is folded from the cache.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from breakglass.errors import BreakglassError, UnavailableError
from breakglass.node.judged_mark import MarkFile
from breakglass.node.snapshot import Noted, SnapshotForm, Still
from breakglass.process.folder import write_whole
from breakglass.replica.follower import Follower
from breakglass.tlog.signer import SignerKey

log = logging.getLogger("breakglass.following")
SNAPSHOT = "snapshot"

At = Callable[[str], None]


class Snapshots:
    """See the module; safe under threads.

    Args:
        folder: the follower's, where the snapshot lies. The mark lies beside the folder, which may
            be deleted while nothing runs.
        key: the process's own.
        genesis: of the log.
        projections: names.
        at: told each numbered step of writing; for tests alone.
    """

    def __init__(
        self, folder: Path, key: SignerKey, genesis: str, projections: Sequence[str], at: At
    ) -> None:
        self._path = folder / SNAPSHOT
        self.mark = MarkFile(folder.with_name(f"{folder.name}.judged"), key, genesis)
        self._form = SnapshotForm(key, genesis, projections)
        self._at = at
        self._writing = threading.Lock()
        self._noted: Noted | None = None
        self._wrong = False

    @property
    def noted(self) -> Noted | None:
        """What the state was at the newest snapshot that was read or written."""
        return self._noted

    def read(self, follower: Follower) -> Still | None:
        """Return the snapshot, if it is ours, whole and of what the cache holds; else say why not.

        One that is not believed is deleted; the log is folded from its first entry then.
        """
        for torn in self._path.parent.glob(f".{SNAPSHOT}.*"):
            torn.unlink(missing_ok=True)  # of a crash while it was written
        try:
            still, noted = self._form.parse(self._path.read_bytes())
            if not follower.cached(still.place):
                raise UnavailableError("the cache does not hold the log up to it")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, BreakglassError) as error:
            self.discard(str(error), follower.known)
            return None
        self._noted = noted
        log.info("snapshot of %d entries read, of %d", noted.size, follower.known)
        return still

    def discard(self, why: str, to_fold: int, *, for_good: bool = False) -> None:
        """Throw the snapshot away, and say so; ``for_good``: this state is never written again."""
        with self._writing:
            self._wrong = self._wrong or for_good
            self._noted = None
            self._path.unlink(missing_ok=True)
        log.warning("snapshot thrown away: %s; %d entries are to be folded", why, to_fold)

    def write(self, still: Still, follower: Follower) -> Noted | None:
        """Write a snapshot; returns what its state is, or ``None`` if the disk refused.

        Args:
            still: the view as it was copied, between two commits.
            follower: whose cache holds the log up to there.
        """
        with self._writing:
            if self._wrong:
                return None
            if self._noted is not None and self._noted.size == still.place.size:
                return self._noted
            try:
                self._at("copied")
                # (1) The form, in memory. A crash up to (4) leaves the snapshot before.
                data, noted = self._form.encoded(still)
                self._at("encoded")
                # (2) The cache first: a snapshot of more than the cache holds is thrown away.
                follower.sync()
                self._at("cache_synced")
                # (3) The mark, which no snapshot may be ahead of.
                self.mark.keep()
                self._at("marked")
                # (4) Temporary file, fsync, rename, fsync of the folder. A crash inside leaves
                #     either snapshot, whole, and perhaps a file that the next start deletes.
                write_whole(self._path, data)
                self._at("written")
            except (OSError, BreakglassError) as error:
                log.error("no snapshot: %s; a start folds more", error)
                return None
            self._noted = noted
            return noted
