"""One log folded three ways: as everybody folds it, without ever dropping anything, and by no time.

The *oracle* keeps everything and goes by the same rules; the *elephant* knows no rule of time at
all. What holds must hold for the oracle too, by the same names, and nothing may hold that the
elephant would call void.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from breakglass.records.fold import forgetting
from breakglass.records.fold.context import Entry
from breakglass.records.fold.fold import Judged, apply
from breakglass.records.fold.state import State

_FOR_EVER = timedelta(days=36_500)
_CONSTANTS = ("STATEMENT_KEPT", "GRANT_KEPT", "INCIDENT_KEPT", "ROSTER_GRACE")


@contextmanager
def without_horizon() -> Iterator[None]:
    """Let nothing have its time meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        for name in _CONSTANTS:
            patch.setattr(forgetting, name, _FOR_EVER)
        yield


@dataclass
class Twins:
    """The three states of one log; ``take`` folds an entry in all of them and compares."""

    genesis: str
    forgetter: State = field(init=False)
    oracle: State = field(init=False)
    elephant: State = field(init=False)

    def __post_init__(self) -> None:
        self.forgetter = State(self.genesis)
        self.oracle = State(self.genesis, forgets=False)
        self.elephant = State(self.genesis, forgets=False)

    def take(self, entry: Entry) -> Judged:
        """Fold one entry three times.

        Raises:
            AssertionError: the forgetting fold judged otherwise than it may.
        """
        judged, wanted = apply(self.forgetter, entry), apply(self.oracle, entry)
        with without_horizon():
            remembered = apply(self.elephant, entry)
        assert (judged.void, judged.quiet) == (wanted.void, wanted.quiet), (
            f"entry {entry.index}: {judged.void!r} ({judged.why}), the oracle says"
            f" {wanted.void!r} ({wanted.why})"
        )
        assert not judged.holds or remembered.holds, (
            f"entry {entry.index} holds, and was void by {remembered.void!r} ({remembered.why})"
        )
        return judged


def alike(genesis: str, entries: Iterable[Entry]) -> Twins:
    """Fold a whole log three ways, comparing at every entry."""
    twins = Twins(genesis)
    for entry in entries:
        twins.take(entry)
    return twins
