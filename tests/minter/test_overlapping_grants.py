"""Grants of many people whose lives overlap end each at its own time, and no other with it.

On the simulator, with the minter's own steps; a real PostgreSQL's are in test_postgres_churn.py.
"""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from breakglass.errors import RefusedError
from breakglass.minter.grant_store import Stage
from tests.kit.one_minter import SECOND, OneMinter

WHOLE = ["intent", "minted", "usable", "ended", "dead"]
SHORTEST_S, LONGEST_S = 600, 1200


@pytest.mark.parametrize("count", [100, pytest.param(1_000, marks=pytest.mark.long)])
def test_so_many_overlapping_grants_end_each_at_its_own_time_with_tail_and_evidence(
    minter: OneMinter, count: int
) -> None:
    """Each has a live session; a third is handed back, a third of the cuts fails at first."""
    dice = random.Random(count)
    living = {}
    for _ in range(count):
        broken = minter.break_glass(for_s=dice.randint(SHORTEST_S, LONGEST_S))
        row = minter.mint(broken)
        living[broken.grant] = (broken, row, minter.log_in(row))
    assert len(minter.platform.handles()) == count, "all live at one time"
    over = []
    for grant in dice.sample(sorted(living), count // 3):
        broken, row, session = living.pop(grant)
        minter.end(broken, minter.done(broken))
        over.append((broken, row, session))
        assert all(minter.platform.alive(other) for _, _, other in living.values())
    while living:
        minter.trouble(cuts_that_fail=dice.randint(0, 2))
        minter.pass_time(timedelta(seconds=30))
        minter.reconcile()
        minter.trouble()
        minter.pass_time(SECOND)
        minter.reconcile()  # what failed is tried again
        for grant, (broken, _, session) in list(living.items()):
            ends = broken.intent.not_after
            if minter.true.at <= ends:
                assert minter.platform.alive(session), f"{grant} ended before its time"
            elif minter.stage(broken) is Stage.DEAD:
                over.append(living.pop(grant))
    assert minter.platform.handles() == []
    assert minter.sessions() == set()
    assert len(over) == count
    for broken, row, session in over:
        assert not minter.platform.alive(session)
        with pytest.raises(RefusedError):
            minter.log_in(row)
        found = minter.table.find(broken.grant)
        assert found is not None
        assert (found.stage, found.sessions) == (Stage.DEAD, 1)
        assert found.tail_ms is not None
        assert 0 <= found.tail_ms <= 60_000
        assert found.evidence is not None
        assert "refused" in found.evidence
        assert minter.said(broken) == WHOLE
