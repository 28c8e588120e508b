"""The witnesses' own view of the log, beside ours: one history, or proof that there are two.

The ledger could show us one history and others another, each consistent in itself. Every witness
and the archiver is asked for the head it cosigned last; it must be a head of the log we followed.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from breakglass.clock import Clock
from breakglass.errors import BreakglassError, UnavailableError
from breakglass.http.client import Peer
from breakglass.monitor.alerts.alert import Alert
from breakglass.monitor.alerts.dispatch import Dispatch
from breakglass.monitor.checkpoint_store import CheckpointStore, Head
from breakglass.monitor.fork_latch import ForkLatch
from breakglass.monitor.root_history import RootHistory
from breakglass.node.replica import Replica
from breakglass.tlog.checkpoint import check_log_signature, parse_checkpoint
from breakglass.tlog.note import VerifierKey

log = logging.getLogger("breakglass.monitor")
WITHHELD_AFTER = timedelta(seconds=60)


@dataclass
class Seen:
    """What one party said last: the size of its head, or why there is none."""

    size: int = -1
    error: str = ""
    ahead_since: float | None = None  # monotonic


def read_head(by: str, note: bytes, keys: Sequence[VerifierKey]) -> Head:
    """Read a head and check that the log signed it.

    Raises:
        MalformedError: the bytes are no head.
        UnprovenError: the log did not sign it; so it says nothing about the log.
    """
    checkpoint, parsed = parse_checkpoint(note)
    check_log_signature(checkpoint, parsed, keys)
    return Head(by, checkpoint, note)


def witness_path(origin: str) -> str:
    """Return where a witness serves the last head of a log.

    Source: C2SP tlog-witness v1.0.0, «monitoring».
    """
    return f"/{hashlib.sha256(origin.encode()).hexdigest()}/checkpoint"


class SplitViewCheck:
    """Asks everybody for their head and holds it against the followed log.

    Args:
        parties: gives them by name, with the path of their head: witnesses, the archiver, the
            ledger. Asked at each look, since one may move to another host.
        view: the followed log.
        roots: its roots; changed under the view's lock.
        kept: where heads and evidence go.
        belief: ended when two heads contradict.
        ringing: told of what is wrong.
        clock: for the times in files.
    """

    def __init__(
        self,
        parties: Callable[[], Mapping[str, tuple[Peer, str]]],
        view: Replica,
        roots: RootHistory,
        kept: CheckpointStore,
        belief: ForkLatch,
        ringing: Dispatch,
        clock: Clock,
    ) -> None:
        self._parties = parties
        self._view = view
        self._roots = roots
        self._kept = kept
        self._belief = belief
        self._ringing = ringing
        self._clock = clock
        self.seen = {name: Seen() for name in parties()}

    def compare(self) -> None:
        """Ask everybody once. One that is away or talks nonsense is noted and changes nothing."""
        for name, (party, path) in self._parties().items():
            seen = self.seen.setdefault(name, Seen())
            try:
                note = party.get(path).body
                keys = [log.vkey for log in self._view.trust().tlog.logs]
                head = read_head(name, note, keys)
            except BreakglassError as error:
                seen.error = str(error)
                continue
            seen.size, seen.error = head.checkpoint.size, ""
            # (1) Keep it, whatever it turns out to be. A full disk does not blind us.
            try:
                self._kept.keep(head, self._clock.now())
            except UnavailableError as error:
                log.error("%s", error)
            # (2) Hold it against the log that we followed.
            self._hold(head, seen)

    def _hold(self, theirs: Head, seen: Seen) -> None:
        with self._view.reading():
            size = self._roots.size
            same = (
                theirs.checkpoint.size > size
                or self._roots.root(theirs.checkpoint.size) == theirs.checkpoint.root
            )
        if not same:
            self._contradicts(theirs)
        elif theirs.checkpoint.size <= size:
            seen.ahead_since = None
        elif seen.ahead_since is None:
            seen.ahead_since = time.monotonic()
        elif time.monotonic() - seen.ahead_since > WITHHELD_AFTER.total_seconds():
            self._withheld(theirs, size)

    def _contradicts(self, theirs: Head) -> None:
        if self._belief.broken:
            return
        ours = self._our_head()
        unkept = ""
        try:
            with self._view.reading():
                name = self._kept.accuse(ours, theirs, self._roots, self._clock.now())
        except UnavailableError as error:
            # It goes out with the message, then: what proves it is all that counts.
            name, unkept = "", f"; {error}; the other head is {theirs.note.decode()!r}"
        why = (
            f"{theirs.by!r} holds a head of size {theirs.checkpoint.size}, signed by the log, that"
            f" does not fit the log followed here to size {ours.checkpoint.size}{unkept}"
        )
        self._belief.end(why, name, theirs.checkpoint.size)

    def _our_head(self) -> Head:
        # The head that covers the last entry: signed, cosigned, and checked when it was followed.
        with self._view.reading() as state:
            last = next(iter(self._view.entries(state.size - 1)))
        checkpoint, _ = parse_checkpoint(last.head)
        return Head("ledger", checkpoint, last.head)

    def _withheld(self, theirs: Head, size: int) -> None:
        text = (
            f"The ledger withholds entries: {theirs.by!r} has cosigned {theirs.checkpoint.size}"
            f" entries, the monitor was shown {size}, for {WITHHELD_AFTER.total_seconds():.0f} s"
            " now. No alert is sent for what is withheld. Restart the ledger; if it goes on, treat"
            " its host as compromised."
        )
        news = Alert("withheld", "ledger", size, "ledger", self._clock.now(), text, stated=False)
        self._ringing.ring([news])
