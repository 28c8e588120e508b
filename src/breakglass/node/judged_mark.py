"""The newest place that a process has judged, kept apart from its snapshot.

A snapshot may be an old one: a backup that was put back. While the ledger answers that costs only
time. While it is away, whoever was suspended since would not be: so a process whose state is older
than this mark takes no door and mints nothing until it has caught up with it.

Not written per entry. A mark that lags says less than was judged, and matters only where state and
cache were lost or put back as well; so once a second, and at once for what stops somebody.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from pathlib import Path

from breakglass.canonical import canonical, parse_canonical
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, UnavailableError, UnprovenError
from breakglass.node.kept_lines import KeptLines
from breakglass.process.folder import write_whole
from breakglass.records.encoding.text_types import Digest
from breakglass.strict_json import Count, MaybeTime, read, write
from breakglass.tlog.signer import SignerKey

log = logging.getLogger("breakglass.following")
HEADER = "breakglass.dev/judged/v1"


@dataclass(frozen=True)
class JudgedMark:
    """How many entries were judged, their root, and the greatest witnessed time among them."""

    genesis: Digest
    size: Count
    root: Digest
    witnessed: MaybeTime


def require_judged_again(judged: int, again: int, withheld: str) -> None:
    """Check that all that this process has ever judged is in its state again.

    Args:
        judged: entries that it has ever judged, as far as it remembers.
        again: entries in its state.
        withheld: what is not done meanwhile, for the message: ``minted``.

    Raises:
        UnavailableError: ``behind_judged``.
    """
    if again < judged:
        raise UnavailableError(
            f"this process has judged {judged} entries, of which {again} are read again; nothing"
            f" was {withheld}",
            name=ErrorName.BEHIND_JUDGED,
            hint="its local copy was lost or is an old one, and only the ledger can bring it up"
            " to date; until then ask another broker or minter",
        )


class MarkFile:
    """The mark on disk; safe under threads.

    Args:
        path: the file; deleting it forgets the mark.
        key: the process's own.
        genesis: of the log; a mark of another one is none.
    """

    def __init__(self, path: Path, key: SignerKey, genesis: str) -> None:
        self._path = path
        self._form = KeptLines(HEADER, key)
        self._lock = threading.Lock()
        self._kept = self._newest = self._read(genesis) or JudgedMark(genesis, 0, "0" * 64, "")

    @property
    def newest(self) -> JudgedMark:
        """The newest that was judged, on disk or about to be."""
        return self._newest

    def judged(self, mark: JudgedMark, *, at_once: bool) -> None:
        """Take note of a place that was judged; on disk when this returns if ``at_once``.

        A disk that refuses keeps nobody from following.
        """
        with self._lock:
            if mark.size > self._newest.size:
                self._newest = mark
        if at_once:
            self.keep()

    def keep(self) -> None:
        """Write down the newest, if it is not yet."""
        with self._lock:
            if self._newest == self._kept:
                return
            line = canonical(write(self._newest)).encode()
            try:
                # A crash before the rename inside leaves the mark before, a second old.
                write_whole(self._path, self._form.encoded([line]))
            except OSError as error:
                log.error("the newest judged entry cannot be kept: %s; following goes on", error)
                return
            self._kept = self._newest

    def check(self, size: int, root: bytes) -> None:
        """Check that the log of ``size`` entries, if the mark is of so many, is the one we judged.

        Raises:
            UnprovenError: ``another_history``; a cache that was deleted must not make us forget.
        """
        if size == self._newest.size and size and root.hex() != self._newest.root:
            raise UnprovenError(
                f"the first {size} entries are not those that this process judged before;"
                " following stopped",
                name=ErrorName.ANOTHER_HISTORY,
                hint=f"call whoever owns the ledger; what was judged stands in {self._path}",
            )

    def _read(self, genesis: str) -> JudgedMark | None:
        try:
            (line,) = self._form.parse(self._path.read_bytes())
            mark = read(JudgedMark, parse_canonical(line.decode(), "mark"), "mark")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, BreakglassError) as error:
            log.warning("%s is not believed: %s", self._path, error)
            return None
        if mark.genesis != genesis:
            log.warning("%s is of another log and not believed", self._path)
            return None
        return mark
