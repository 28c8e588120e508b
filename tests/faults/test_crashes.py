"""Fifty kills, each followed by a look at everything; ``make crash N=1000`` does many more."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.crash import run

# Four portions, so that workers share them: 50 kills in all.
PORTIONS = [(1, 14, 0), (2, 14, 0), (3, 14, 0), (4, 8, 1)]


@pytest.mark.parametrize(
    ("seed", "rounds", "postgres_every"),
    PORTIONS,
    ids=["sqlite-1", "sqlite-2", "sqlite-3", "postgres"],
)
def test_fifty_kills_lose_nothing_double_nothing_and_raise_no_false_alarm(
    tmp_path: Path, seed: int, rounds: int, postgres_every: int
) -> None:
    summary = run(tmp_path, rounds, seed, postgres_every=postgres_every, rounds_each=7)
    assert summary.why == []
    assert summary.rounds == rounds
    assert summary.kills.total() == rounds
    # It was no idle log that was killed.
    assert summary.told["acknowledged"] > rounds
    assert summary.signatures > summary.told["acknowledged"]
