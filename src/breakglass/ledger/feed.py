"""What followers may see: commits under cosigned heads, and a wait for the next one."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from breakglass.clock import Deadline
from breakglass.ledger.journal import Head, Journal

_KEPT = 64
_BYTES_AT_ONCE = 1024 * 1024


@dataclass(frozen=True)
class Published:
    """Entries from ``first`` on, up to the size of their cosigned head."""

    first: int
    head: Head
    notes: Sequence[bytes]


class Feed:
    """The newest cosigned head, and commits since; safe under threads."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._changed = threading.Condition()
        self._recent: deque[Published] = deque(maxlen=_KEPT)
        self._newest = journal.newest_cosigned()
        self._newest_first = self._newest.size if self._newest else 0
        self._told = True  # whether who waits was woken for the newest head
        self._closed = False

    @property
    def newest(self) -> Head | None:
        """The newest head that anybody may see."""
        with self._changed:
            return self._newest

    @property
    def size(self) -> int:
        """Its size; 0 if there is none."""
        newest = self.newest
        return newest.size if newest else 0

    @property
    def newest_first(self) -> int:
        """The first entry that it was the first to hold."""
        with self._changed:
            return self._newest_first

    def publish(self, published: Published) -> None:
        """Show a commit, whose cosigned head is durable, and wake who waits."""
        self.show(published)
        self.wake()

    def show(self, published: Published) -> None:
        """Show a commit, whose cosigned head is durable; who waits sleeps on until ``wake``."""
        with self._changed:
            self._newest, self._newest_first = published.head, published.first
            self._recent.append(published)
            self._told = False

    def wake(self) -> None:
        """Wake who waits, if anything was shown since the last time."""
        with self._changed:
            if not self._told:
                self._told = True
                self._changed.notify_all()

    def after(self, start: int, wait: timedelta) -> list[Published]:
        """Return commits that hold entry ``start`` and what follows; waits if there are none yet.

        Empty when the time is up. About 1 MiB at once, whole commits; the first may be cut at
        its beginning so that it starts at ``start``.
        """
        deadline = Deadline(wait)
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or (self._newest and self._newest.size > start),
                deadline.left,
            )
            if self._newest is None or self._newest.size <= start:
                return []
            recent = [each for each in self._recent if each.head.size > start]
            if recent and recent[0].first == start:
                return _some(recent)
        return self._stored(start)

    def holding(self, index: int) -> Published | None:
        """Return the commit that holds an entry; ``None``: it is none of the newest."""
        with self._changed:
            found = (each for each in self._recent if each.first <= index < each.head.size)
            return next(found, None)

    def release(self) -> None:
        """Let everybody go who waits, for good."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _stored(self, start: int) -> list[Published]:
        found: list[Published] = []
        at, taken = start, 0
        while taken < _BYTES_AT_ONCE and (head := self._journal.cosigned_after(at)):
            notes = self._journal.notes(at, head.size)
            found.append(Published(at, head, notes))
            taken += sum(map(len, notes)) + len(head.signed)
            at = head.size
        return found


def _some(commits: Sequence[Published]) -> list[Published]:
    found, taken = [], 0
    for each in commits:
        if taken >= _BYTES_AT_ONCE:
            break
        found.append(each)
        taken += sum(map(len, each.notes))
    return found
