"""Once a day: fold the whole log again, in a child process, and compare.

A snapshot's code says who wrote it, not that it is right. A bit that flipped in memory, or whoever
can use this process's key, would go from one snapshot into the next for ever. The child folds the
followed log from its first entry, at the lowest priority; it gets the folder, the genesis and a
size, and no secret.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from breakglass.canonical import canonical
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, MisconfiguredError, UnavailableError, UnprovenError
from breakglass.node.snapshot import Noted, digest
from breakglass.process.parent import die_with_parent
from breakglass.records.encoding.whole_form import form_bytes
from breakglass.records.fold.context import Entry
from breakglass.records.fold.fold import apply, attachments_read
from breakglass.records.fold.state import State
from breakglass.records.fold.state_form import STATE
from breakglass.records.record import parse_outer
from breakglass.replica.attachment_cache import kept_attachment
from breakglass.replica.follower_cache import FollowedCache
from breakglass.strict_json import read_body, write
from breakglass.tlog.edge import TreeEdge
from breakglass.tlog.merkle import leaf_hash

log = logging.getLogger("breakglass.following")
_LOWEST = 19


class WholeFold:
    """Runs the child and compares; safe under threads.

    Args:
        folder: the follower's.
        genesis: of the log.
        noted: writes down what the state is now; ``None`` if it cannot.
        differs: told once if the log gives something else.
    """

    def __init__(
        self,
        folder: Path,
        genesis: str,
        noted: Callable[[], Noted | None],
        differs: Callable[[BreakglassError], None],
    ) -> None:
        self._folder = folder
        self._genesis = genesis
        self._noted = noted
        self._differs = differs
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._closed = False

    def compare(self) -> bool:
        """Fold and compare; say whether that came to an end and all is well."""
        wanted = self._noted()
        if wanted is None:
            return False
        found = self._folded(wanted.size)
        if found is None:
            return False
        if found == wanted:
            log.info("the whole log of %d entries gives the state in memory", wanted.size)
            return True
        self._differs(_difference(wanted, found, self._folder))
        return False

    def close(self) -> None:
        """End the child."""
        with self._lock:
            self._closed = True
            if self._child is not None:
                self._child.kill()

    def _folded(self, size: int) -> Noted | None:
        asked = json.dumps([os.getpid(), str(self._folder), self._genesis, size]).encode()
        with self._lock:
            if self._closed:
                return None
            self._child = subprocess.Popen(
                [sys.executable, "-I", "-m", "breakglass.node.whole_fold"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={},  # no credential's place, no proxy, nothing that another's library reads
            )
        said, trouble = self._child.communicate(asked)
        if self._child.returncode or not said:
            if not self._closed:
                last = trouble.decode("utf-8", "replace").strip().rpartition("\n")[2]
                log.error("the whole log was not folded: %s; it is tried again", last[:300])
            return None
        return read_body(Noted, said)


def _difference(wanted: Noted, found: Noted, folder: Path) -> BreakglassError:
    if wanted.root != found.root:
        return MisconfiguredError(
            f"the cache in {str(folder)!r} does not lead to the root of {wanted.size} entries that"
            " was followed; following stopped",
            name=ErrorName.CACHE_DAMAGED,
            hint="stop, keep a copy of the folder, delete it: it is read again from the ledger",
        )
    return UnprovenError(
        f"the log of {wanted.size} entries, folded whole, gives another state than the one that"
        f" this process decides on ({found.digest[:16]}, not {wanted.digest[:16]}); following"
        " stopped and the snapshot is thrown away",
        name=ErrorName.STATE_DIFFERS,
        hint="find out who can write into the process's folder; a restart folds the whole log",
    )


def fold_whole(folder: Path, genesis: str, size: int) -> Noted:
    """Fold the first ``size`` entries of a follower's cache.

    Raises:
        UnavailableError: the cache holds fewer, or not the attachments that the fold reads.
    """
    state, edge = State(genesis), TreeEdge()
    for commit in FollowedCache(folder / "followed.sqlite").commits(0):
        if edge.size >= size:
            break
        edge.extend(map(leaf_hash, commit.notes))
        for index, note in enumerate(commit.notes, start=commit.first):
            try:
                outer = parse_outer(note)
            except BreakglassError:
                outer = None  # the fold says what is wrong with it
            named = attachments_read(state, outer) if outer else ()
            attachments = {each.digest: _attachment(folder, each.digest) for each in named}
            apply(state, Entry(index, note, commit.cosigned, attachments), outer)
    if state.size != size:
        raise UnavailableError(f"the cache holds {state.size} entries, wanted {size}")
    return Noted(size, edge.root().hex(), digest(form_bytes(STATE.of(state))))


def _attachment(folder: Path, name: str) -> bytes:
    found = kept_attachment(folder, name)
    if found is None:
        raise UnavailableError(f"the cache does not hold attachment {name}")
    return found


def main() -> int:
    """Fold what standard input names, and print what came of it."""
    parent, folder, genesis, size = json.load(sys.stdin)
    die_with_parent(parent)
    os.nice(_LOWEST)
    try:
        found = fold_whole(Path(folder), genesis, size)
    except BreakglassError as error:
        print(f"breakglass: error: {error}", file=sys.stderr)
        return error.exit_code
    print(canonical(write(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
