"""Each step of ``Reconciler``: what is tried again, how often, who is rung, what a sweep ends."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from breakglass.errors import RefusedError, UnavailableError
from breakglass.minter.grant_store import Row, Stage
from breakglass.minter.platforms.platform import Order
from breakglass.records.fold.context import Entry
from breakglass.records.kinds.ended import EndedWhy
from breakglass.records.statement import Target
from tests.kit.one_minter import MINUTE, RING_AFTER, SECOND, Crash, OneMinter
from tests.kit.organisation import Broken

from .conftest import Make

WHOLE = ["intent", "minted", "usable", "ended", "dead"]
LIFE = 300 * SECOND
STEPS = ["told", "cut", "probed", "dead", "said", "tidied", "left", "told dead"]


def minted(minter: OneMinter) -> tuple[Broken, Row]:
    broken = minter.break_glass(for_s=300)
    return broken, minter.mint(broken)


def found(minter: OneMinter, broken: Broken) -> Row:
    row = minter.table.find(broken.grant)
    assert row is not None
    return row


def test_a_grant_past_its_end_is_cut_tried_and_told_with_its_tail(minter: OneMinter) -> None:
    broken, row = minted(minter)
    session = minter.log_in(row)
    minter.reconcile()
    assert minter.platform.alive(session)
    minter.pass_time(LIFE + 2 * SECOND)
    minter.reconcile()
    assert not minter.platform.alive(session)
    assert minter.platform.handles() == []
    assert minter.said(broken) == WHOLE
    over = found(minter, broken)
    assert (over.stage, over.tail_ms, over.sessions) == (Stage.DEAD, 2000, 1)
    assert over.ended is not None
    assert over.ended.why is EndedWhy.EXPIRED
    assert over.made is None or over.made.sealed == b""
    assert minter.rings() == []


def test_a_session_that_survives_its_cut_is_never_called_dead(minter: OneMinter) -> None:
    broken, row = minted(minter)
    minter.log_in(row)
    minter.trouble(stubborn=True)
    minter.end(broken, minter.done(broken))
    assert minter.stage(broken) is Stage.ENDED
    assert minter.said(broken) == WHOLE[:4]
    minter.trouble()
    minter.pass_time(SECOND)
    minter.reconcile()
    assert minter.said(broken) == WHOLE
    assert minter.sessions() == set()


def test_a_target_away_is_tried_less_and_less_often_and_never_given_up(minter: OneMinter) -> None:
    broken, row = minted(minter)
    minter.log_in(row)
    minter.trouble(away=True)
    minter.pass_time(LIFE)

    def tries_within(time: timedelta, step: timedelta) -> int:
        before = found(minter, broken).tries
        for _ in range(time // step):
            minter.true.at += step
            minter.reconcile()
        return found(minter, broken).tries - before

    first = tries_within(MINUTE, SECOND / 5)
    # 0.2 s, doubled each time, up to a fifth longer or shorter: eight or nine in a minute.
    assert 6 <= first <= 11
    later = tries_within(20 * MINUTE, 5 * SECOND)
    # Then one in 48 to 77 s, which is how often the clock of this test looks.
    assert 15 <= later <= 25
    minter.trouble()
    assert tries_within(2 * MINUTE, 5 * SECOND) == 0
    minter.pass_time(SECOND)
    assert minter.stage(broken) is Stage.DEAD
    assert minter.sessions() == set()


def test_somebody_is_rung_once_for_each_grant_that_outlives_its_end(minter: OneMinter) -> None:
    (one, first), (two, _) = minted(minter), minted(minter)
    minter.log_in(first)
    minter.trouble(away=True)
    minter.pass_time(LIFE + RING_AFTER)
    minter.reconcile()
    assert minter.rings() == []  # no longer than may be
    for _ in range(5):
        minter.pass_time(2 * MINUTE)
        minter.reconcile()
    assert found(minter, one).tries > 4
    assert sorted(minter.rings()) == sorted(("outlived", each.grant) for each in (one, two))
    minter.restart()
    minter.pass_time(2 * MINUTE)
    minter.reconcile()
    assert len(minter.rings()) == 2


def test_the_end_is_told_at_once_also_while_the_target_is_away(minter: OneMinter) -> None:
    broken, _ = minted(minter)
    minter.trouble(away=True)
    minter.end(broken, minter.done(broken))
    assert minter.said(broken) == WHOLE[:4]


def test_what_an_ending_left_behind_is_named_and_tried_again_by_each_sweep(
    minter: OneMinter,
) -> None:
    broken, row = minted(minter)
    minter.trouble(undeletable=True)
    minter.end(broken, minter.done(broken))
    assert minter.said(broken) == WHOLE
    assert found(minter, broken).left_behind == (f"account {broken.intent.handle!r}",)
    with pytest.raises(RefusedError, match="login failed"):
        minter.log_in(row)
    minter.sweep()
    assert minter.platform.handles() == [broken.intent.handle]
    minter.trouble()
    minter.sweep()
    assert minter.platform.handles() == []
    assert minter.said(broken) == WHOLE


def test_an_account_that_a_restored_target_brings_back_is_cut_by_the_next_sweep(
    minter: OneMinter,
) -> None:
    broken, _ = minted(minter)
    minter.trouble(undeletable=True)
    minter.end(broken, minter.done(broken))
    minter.platform._do("update accounts set password = 'as it was'")
    minter.sweep()
    assert minter.accounts() == {}
    assert minter.said(broken) == WHOLE


def test_a_sweep_ends_and_rings_for_an_account_that_no_grant_explains(minter: OneMinter) -> None:
    broken, _ = minted(minter)
    now = minter.true.now()
    orphan = Order("g-orphan", "bg_orphan", "x", {"a": ("b",)}, now, now + 60 * MINUTE)
    minter.platform.mint(orphan)
    minter.trouble(undeletable=True)
    for _ in range(3):
        minter.sweep()
    assert minter.rings() == [("orphan", "bg_orphan")]  # once, though it still stands
    assert list(minter.accounts()) == [broken.intent.handle]
    minter.trouble()
    minter.sweep()
    assert minter.platform.handles() == [broken.intent.handle]
    assert list(minter.accounts()) == [broken.intent.handle]


def test_a_sweep_leaves_alone_what_is_being_minted_and_what_lives(minter: OneMinter) -> None:
    _, row = minted(minter)
    broken = minter.break_glass(for_s=300)

    def sweep_meanwhile(step: str) -> None:
        if step == "minted":
            minter.at = lambda step: None
            sweeping = threading.Thread(target=minter.reconciler.sweep)
            sweeping.start()
            sweeping.join()

    minter.at = sweep_meanwhile
    minter.log_in(minter.mint(broken))
    minter.log_in(row)
    assert minter.rings() == []


def test_a_table_that_was_lost_is_made_up_from_the_ledger(minter: OneMinter) -> None:
    broken, row = minted(minter)
    session = minter.log_in(row)
    minter.close()
    for file in minter.folder.glob("grants.sqlite*"):
        file.unlink()
    minter._start()
    minter.reconcile()
    assert ("forgotten", broken.grant) in minter.rings()
    minter.pass_time(LIFE + SECOND)
    minter.reconcile()
    assert not minter.platform.alive(session)
    assert minter.said(broken) == WHOLE


@pytest.mark.parametrize("target", list(Target))
def test_a_suspension_ends_what_lives_under_it_and_nothing_else(
    minter: OneMinter, target: Target
) -> None:
    broken, row = minted(minter)
    other = minter.break_glass(who="teo", for_s=300)
    session, others = minter.log_in(row), minter.log_in(minter.mint(other))
    name = {"person": "mira", "glass": broken.intent.glass, "grant": broken.grant}[target.value]
    minter.suspend(target, name)
    minter.reconcile()
    assert not minter.platform.alive(session)
    assert minter.said(broken) == WHOLE
    over = found(minter, broken).ended
    assert over is not None
    assert over.why is EndedWhy.KILLED
    assert minter.platform.alive(others) is (target is not Target.GLASS)


@pytest.mark.parametrize("lifted", [False, True])
def test_everything_that_lives_ends_with_everything_lifted_meanwhile_or_not(
    all_minter: OneMinter, lifted: bool
) -> None:
    minter = all_minter
    broken, row = minted(minter)
    other = minter.break_glass(who="teo", for_s=300)
    sessions = [minter.log_in(row), minter.log_in(minter.mint(other))]
    minter.stop_everything()
    if lifted:
        minter.stop_everything(lift=True)
        later = minter.log_in(minter.mint(minter.break_glass(for_s=300)))
    minter.reconcile()
    assert not any(minter.platform.alive(each) for each in sessions)
    assert minter.said(broken) == minter.said(other) == WHOLE
    over = found(minter, broken).ended
    assert over is not None
    assert over.why is EndedWhy.KILLED
    if lifted:
        assert minter.platform.alive(later)


def test_what_others_ended_in_the_ledger_is_cut_and_not_told_twice(minter: OneMinter) -> None:
    broken = minter.break_glass(for_s=300)
    minter.crash_at("kept")
    with pytest.raises(Crash):
        minter.mint(broken)
    minter.give_up(broken.grant)
    minter.restart()
    minter.reconcile()
    assert minter.platform.handles() == []
    assert minter.said(broken) == ["intent", "ended", "dead"]


def test_an_end_needs_the_word_of_the_holder_or_of_who_may_kill(minter: OneMinter) -> None:
    broken, row = minted(minter)
    other = minter.break_glass(who="teo", for_s=300)
    with pytest.raises(RefusedError, match="of another grant"):
        minter.end(broken, minter.done(other))
    assert minter.platform.alive(minter.log_in(row))
    assert minter.end(broken, minter.kill(Target.GRANT, broken.grant)).stage is Stage.DEAD
    assert minter.said(broken) == WHOLE


def test_giving_up_waits_takes_back_and_lasts(minter: OneMinter) -> None:
    broken = minter.break_glass(for_s=300)
    minter.view.follow()
    with pytest.raises(RefusedError, match="is given up after 60 s") as caught:
        minter.early_end.forgo(broken.grant, broken.intent_digest)
    assert caught.value.name == "too_early"
    minter.crash_at("minted")
    with pytest.raises(Crash):
        minter.mint(broken)
    minter.restart()
    minter.pass_time(MINUTE)
    minter.trouble(away=True)
    with pytest.raises(UnavailableError):
        minter.early_end.forgo(broken.grant, broken.intent_digest)
    assert minter.stage(broken) is Stage.CLAIMED
    minter.trouble()
    with pytest.raises(RefusedError, match="nothing was given up") as caught:
        minter.early_end.forgo(broken.grant, "0" * 64)
    assert caught.value.name == "wrong_intent"
    assert minter.early_end.forgo(broken.grant, broken.intent_digest) is False
    minter.reconcile()
    assert minter.platform.handles() == []
    with pytest.raises(RefusedError, match="never minted again"):
        minter.mint(broken)
    living, _ = minted(minter)
    assert minter.early_end.forgo(living.grant, living.intent_digest) is True


@pytest.mark.parametrize("step", STEPS)
def test_a_crash_at_any_step_of_an_ending_ends_after_the_restart(
    minter: OneMinter, step: str
) -> None:
    broken, row = minted(minter)
    session = minter.log_in(row)
    minter.crash_at(step)
    with pytest.raises(Crash):
        minter.end(broken, minter.done(broken))
    minter.restart()
    minter.reconcile()
    assert not minter.platform.alive(session)
    assert minter.platform.handles() == []
    assert minter.said(broken) == WHOLE
    with pytest.raises(RefusedError, match="never minted again"):
        minter.mint(broken)


def test_a_minter_whose_clock_is_behind_ends_when_the_witnesses_say_so(make: Make) -> None:
    minter = make(ahead={"minter": -100 * SECOND})
    broken, row = minted(minter)
    session = minter.log_in(row)
    minter.true.at += LIFE + SECOND
    minter.reconcile()
    assert minter.platform.alive(session)  # nobody has said yet how late it is
    with pytest.raises(RefusedError, match="not in its time"):
        minter.log_in(row)
    minter.pass_time(SECOND)
    minter.reconcile()
    assert not minter.platform.alive(session)
    assert minter.said(broken) == WHOLE


def test_one_witness_that_is_ahead_ends_nobodys_grant(minter: OneMinter) -> None:
    _, row = minted(minter)
    session = minter.log_in(row)
    at = minter.true.now()
    entry = Entry(0, b"", {"a": at, "b": at, "c": at + 365 * 24 * 60 * MINUTE}, {})
    assert entry.witnessed == at
    with minter.watch._lock:
        before = minter.watch.kept.passed
    minter.watch.take(minter.org.judged[-1], entry, minter.view._state)
    assert minter.watch.newest is not None
    assert minter.watch.newest > at
    assert minter.watch.passed == max(at, before or at)
    minter.reconcile()
    assert minter.platform.alive(session)


def test_tidying_that_hangs_or_fails_keeps_no_proof_back(minter: OneMinter) -> None:
    broken, _ = minted(minter)
    other, _ = minted(minter)

    def away_before_tidying(step: str) -> None:
        if step == "said":
            minter.trouble(away=True)

    minter.at = away_before_tidying
    minter.end(broken, minter.done(broken))
    minter.at = lambda step: None
    assert minter.said(broken) == WHOLE
    (left,) = found(minter, broken).left_behind or ()
    assert left.startswith(f"account {broken.intent.handle!r} is not tidied yet: ")
    minter.trouble()
    minter.sweep()
    assert minter.platform.handles() == [other.intent.handle]


def test_no_lock_that_an_end_needs_is_held_while_somebody_tidies(minter: OneMinter) -> None:
    broken, _ = minted(minter)
    free: list[bool] = []

    def another(step: str) -> None:
        if step == "tidied":
            # Another thread, for another grant that shares this one's lock.
            def look() -> None:
                with minter.locks.free(broken.grant) as held:
                    free.append(held)

            looking = threading.Thread(target=look)
            looking.start()
            looking.join()

    minter.at = another
    minter.view.follow()
    minter.early_end.end(broken.grant, minter.done(broken))
    assert free == [True]
    minter.at = lambda step: None
    minter.send()
    assert minter.said(broken) == WHOLE


def test_before_the_view_is_current_nobody_is_an_orphan(minter: OneMinter) -> None:
    _, row = minted(minter)
    session = minter.log_in(row)
    minter.close()
    for file in minter.folder.glob("grants.sqlite*"):
        file.unlink()
    minter._start()
    minter.current = False
    minter.sweep()
    assert minter.platform.alive(session)
    assert minter.rings() == []
    minter.current = True
    for _ in range(2):
        minter.sweep()
        assert minter.platform.alive(session)
    assert [about for about, _ in minter.rings()] == ["forgotten"]
