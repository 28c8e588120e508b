"""What a process is told of its view of the ledger: the table ``[following]`` of its settings."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class Following:
    """How often a view writes down what it is, and is held against the whole log.

    Attributes:
        snapshot_every: a snapshot is written that often, if anything changed, and at each stop; a
            start folds what came since the last one.
        whole_fold_every: how often a child process folds the whole log and compares; within a week,
            since nothing else would show a wrong state.
    """

    snapshot_every: timedelta = timedelta(minutes=10)
    whole_fold_every: timedelta = timedelta(days=1)

    def __post_init__(self) -> None:
        """Refuse what would keep a disk or a core busy, or never look.

        Raises:
            ValueError: with the limits.
        """
        if self.snapshot_every < timedelta(seconds=10):
            raise ValueError("'following.snapshot_every_s' is at least 10")
        if not timedelta(minutes=1) <= self.whole_fold_every <= timedelta(days=7):
            raise ValueError("'following.whole_fold_every_s' is 60 to 604800")
