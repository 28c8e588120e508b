"""Whose end comes next: what is killed now stands behind no backlog, no sweep and no tidying."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from breakglass.minter.grant_store import Claim, GrantStore, Stage
from breakglass.minter.platforms.platform import Account, Order
from breakglass.minter.settings import MinterSettings
from breakglass.minter.tidying import Tidying
from breakglass.records.kinds.ended import Ended, EndedWhy
from tests.kit.one_minter import MINUTE, RING_AFTER, SECOND, OneMinter
from tests.kit.organisation import Broken
from tests.kit.processes import until

LIFE = 300 * SECOND


class LaterThread:
    """Keeps what it is given, until it is told to do the first of it."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], Any]] = []

    def submit(self, doing: Callable[..., Any], *values: Any) -> Future[Any]:
        self.waiting.append(lambda: doing(*values))
        return Future()

    def do_one(self) -> None:
        self.waiting.pop(0)()


def kill(minter: OneMinter, broken: Broken) -> None:
    now = minter.true.now()
    minter.table.end(now, (_killed(broken), now))


def test_what_is_killed_now_is_ended_before_what_waits_for_a_worker(minter: OneMinter) -> None:
    workers = LaterThread()
    minter.reconciler._workers = workers  # type: ignore[assignment]
    expired = [minter.break_glass(for_s=300) for _ in range(3)]
    killed = minter.break_glass(for_s=600)
    for each in (*expired, killed):
        minter.mint(each)
    minter.pass_time(LIFE + SECOND)
    minter.reconcile()
    assert len(workers.waiting) == 3
    kill(minter, killed)
    minter.reconcile()
    assert len(workers.waiting) == 4
    workers.do_one()
    assert minter.stage(killed) is Stage.DEAD
    assert {minter.stage(each) for each in expired} == {Stage.ENDED}
    while workers.waiting:
        workers.do_one()
    assert {minter.stage(each) for each in expired} == {Stage.DEAD}


def test_what_is_killed_now_comes_before_an_outage_that_is_told_to_end_later(
    tmp_path: Path,
) -> None:
    store, now = GrantStore(tmp_path / "grants.sqlite"), datetime.fromisoformat("2026-06-22T04Z")
    grants = [
        f"g-{chr(97 + number // 26)}{chr(97 + number % 26)}aaaaaaaaaa" for number in range(60)
    ]
    for number, grant in enumerate(grants):  # the first is killed, the others were over before
        over, told = now - MINUTE * number, now + SECOND * number  # and are told so bit by bit
        store.claim(Claim(grant, f"bg_{number}", "mira", "g", "", number, over), now)
        store.end(told, (Ended(grant, EndedWhy.EXPIRED, "", None), over))
    assert [each.grant for each in store.due(now + MINUTE, 2)] == grants[:2]
    store.close()


def test_an_error_inside_is_put_off_and_rung_for(
    minter: OneMinter, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = minter.break_glass(for_s=300)
    minter.mint(broken)

    def broken_cut(account: Account) -> int:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(minter.platform, "cut", broken_cut)
    minter.pass_time(LIFE + RING_AFTER + SECOND)
    minter.reconcile()
    row = minter.table.find(broken.grant)
    assert row is not None
    assert (row.stage, row.tries) == (Stage.ENDED, 1)
    assert minter.rings() == [("outlived", broken.grant)]


def test_a_sweep_that_hangs_takes_no_turn_of_an_ending_and_is_not_begun_twice(
    minter: OneMinter, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []
    over = threading.Event()

    def hang() -> list[str]:
        begun.append(1)
        over.wait(5)
        return []

    monkeypatch.setattr(minter.platform, "handles", hang)
    broken = minter.break_glass(for_s=300)
    minter.mint(broken)
    minter.pass_time(LIFE + SECOND)
    with ThreadPoolExecutor(1) as sweeper:
        minter.reconciler._sweeper = sweeper
        for _ in range(3):
            minter.reconciler._swept = float("-inf")
            minter.reconcile()
        until(lambda: begun)
        assert minter.stage(broken) is Stage.DEAD
        over.set()
    assert len(begun) == 1


def test_a_target_that_invents_accounts_gets_so_many_in_each_sweep(minter: OneMinter) -> None:
    now = minter.true.now()
    minter.trouble(undeletable=True)
    for number in range(25):
        order = Order(f"g-{number}", f"bg_{number}", "x", {"a": ("b",)}, now, now + 60 * MINUTE)
        minter.platform.mint(order)
    minter.sweep()
    assert len(minter.rings()) == 20


def test_what_still_stands_keeps_no_dead_grant_from_its_record(
    minter: OneMinter, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = minter.break_glass(for_s=300)
    minter.mint(broken)
    kill(minter, broken)
    minter.platform.cut(Account(broken.intent.handle))
    minter.table.dead(broken.grant, 1, "refused")
    over = threading.Event()
    monkeypatch.setattr(minter.platform, "cut", lambda account: over.wait(30))
    tidying = Tidying(minter.table, minter.platform, minter.locks, minter.saying, lambda step: None)
    try:
        for number in range(5):
            tidying.again(f"bg_old{number}", cut=True)
        tidying.soon(broken.grant)
        until(lambda: _left(minter, broken) is not None, 10)
    finally:
        over.set()
        tidying.close()


@pytest.mark.parametrize("key", ["ending_threads", "endings_per_second"])
def test_a_minter_that_would_end_nothing_does_not_start(key: str) -> None:
    few: dict[str, Any] = {key: 0}
    with pytest.raises(ValueError, match=f"'{key}' is 0, wanted 1 or more"):
        MinterSettings("orders-db", "log", "ledger", platform="simulated", **few)


def _killed(broken: Broken) -> Ended:
    return Ended(broken.grant, EndedWhy.KILLED, "", None)


def _left(minter: OneMinter, broken: Broken) -> tuple[str, ...] | None:
    row = minter.table.find(broken.grant)
    return row.left_behind if row is not None else None
