"""Each step of ``Minting`` refuses what it should, leaves what it says, and survives its crash."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from breakglass.clock import SystemClock
from breakglass.errors import BreakglassError, RefusedError, UnavailableError
from breakglass.minter.grant_store import Stage
from breakglass.minter.platforms.platform import Credential, Order
from breakglass.minter.platforms.simulated import LIMITS, Simulated
from breakglass.records.statement import Target
from tests.kit.one_minter import MINUTE, SECOND, Crash, OneMinter
from tests.kit.organisation import NOW, SKEW
from tests.records.folding import holds

from .conftest import Make

WHOLE = ["intent", "minted", "usable", "ended", "dead"]


def test_a_token_gives_one_sealed_credential_that_works_and_is_told(minter: OneMinter) -> None:
    broken = minter.break_glass()
    row = minter.mint(broken)
    assert minter.platform.alive(minter.log_in(row))
    assert minter.said(broken) == ["intent", "minted", "usable"]
    assert minter.mint(broken) == minter.table.find(broken.grant)
    assert minter.opened(minter.mint(broken)) == minter.opened(row)
    assert minter.accounts() == {broken.intent.handle: broken.intent.not_after}


@pytest.mark.parametrize("behind", [60, 119])
def test_a_target_whose_clock_is_behind_within_the_skew_lets_the_holder_in_at_once(
    make: Make, behind: int
) -> None:
    minter = make(ahead={"target": -timedelta(seconds=behind)})
    row = minter.mint(minter.break_glass())
    assert minter.platform.alive(minter.log_in(row))


@pytest.mark.parametrize("ahead", [-SKEW - 5 * SECOND, timedelta(hours=1)])
def test_a_target_whose_clock_is_wrong_beyond_the_skew_gets_nothing_handed_out(
    make: Make, ahead: timedelta
) -> None:
    minter = make(ahead={"target": ahead})
    with pytest.raises(BreakglassError) as caught:
        minter.mint(minter.break_glass())
    assert caught.value.name in ("not_usable", "life")
    assert minter.accounts() == {}


def test_the_end_at_the_target_is_the_intents_and_no_skew_moves_it(make: Make) -> None:
    minter = make(ahead={"target": -60 * SECOND, "minter": -60 * SECOND})
    broken = minter.break_glass(for_s=300)
    row = minter.mint(broken)
    assert minter.accounts() == {broken.intent.handle: broken.intent.not_after}
    minter.pass_time(361 * SECOND)
    with pytest.raises(RefusedError, match="not in its time"):
        minter.log_in(row)


def test_a_life_longer_than_the_target_honours_is_refused_before_it_is_asked(make: Make) -> None:
    minter = make(limits=replace(LIMITS, longest=10 * MINUTE))
    broken = minter.break_glass(for_s=601)
    with pytest.raises(RefusedError, match="can give 1 s to 600 s") as caught:
        minter.mint(broken)
    assert caught.value.name == "limits"
    assert minter.stage(broken) is None
    fits = minter.break_glass(for_s=600)
    assert minter.mint(fits).stage is Stage.MINTED


def test_a_rest_of_life_shorter_than_the_target_honours_is_refused(make: Make) -> None:
    minter = make(limits=replace(LIMITS, shortest=MINUTE))
    broken = minter.break_glass(for_s=300)
    minter.pass_time(241 * SECOND)
    with pytest.raises(RefusedError, match="has 59 s left") as caught:
        minter.mint(broken)
    assert caught.value.name == "limits"
    assert minter.stage(broken) is None


def test_the_simulator_itself_refuses_a_life_beyond_its_limits(make: Make) -> None:
    minter = make(limits=replace(LIMITS, longest=10 * MINUTE, shortest=MINUTE))
    order = minter.minting._order  # what a minter would ask for that checks nothing
    for for_s in (601, 59):
        broken = minter.break_glass(for_s=for_s)
        shown: Any = type("Shown", (), {"intent": broken.intent})
        with pytest.raises(RefusedError, match="a life of") as caught:
            minter.platform.mint(order(shown, b""))
        assert caught.value.name == "life"
    assert minter.accounts() == {}


def test_what_the_target_has_only_begun_is_pending_and_the_same_token_goes_on(
    minter: OneMinter,
) -> None:
    minter.trouble(pending_mints=2)
    broken = minter.break_glass()
    for _ in range(2):
        with pytest.raises(UnavailableError, match="has taken the order") as caught:
            minter.mint(broken)
        assert caught.value.name == "pending"
        assert caught.value.hint == f"in 1 s: breakglass break --again {broken.grant}"
        minter.sweep()
        minter.restart()
        minter.platform.trouble = replace(minter.platform.trouble, pending_mints=1)
        assert minter.stage(broken) is Stage.CLAIMED
    minter.trouble()
    assert minter.mint(broken).stage is Stage.MINTED


def test_a_simulated_target_of_a_release_before_goes_on(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "target")) as file:
        file.executescript(
            "create table accounts(handle text primary key, minter text not null, password text,"
            " not_before text not null, expires text not null, session text not null, scope text"
            " not null) strict;"
        )
    target = Simulated(tmp_path / "target", "orders-db", SystemClock())
    now = SystemClock().now()
    order = Order("g-1", "bg_1", "s", {"a": ("b",)}, now, now + MINUTE, ("192.0.2.0/24",))
    made = target.mint(order)
    assert isinstance(made, Credential)
    with pytest.raises(RefusedError, match=r"not from 127\.0\.0\.1"):
        target.log_in("bg_1", str(made.secret["password"]))
    target.close()


def test_what_is_pending_at_its_end_was_never_minted(minter: OneMinter) -> None:
    minter.trouble(pending_mints=1)
    broken = minter.break_glass(for_s=300)
    with pytest.raises(UnavailableError):
        minter.mint(broken)
    minter.pass_time(301 * SECOND)
    minter.reconcile()
    assert minter.stage(broken) is Stage.DEAD
    assert minter.org.state.grants.by_id[broken.grant].minted_at is None


def test_the_order_carries_the_holder_the_networks_and_the_token(minter: OneMinter) -> None:
    intent = minter.break_glass().intent
    scope = {**intent.scope, "source": ("192.0.2.0/24",)}
    shown: Any = type("Shown", (), {"intent": replace(intent, scope=scope)})
    order = minter.minting._order(shown, b"token")
    assert (order.holder, order.token) == (intent.holder, b"token")
    assert (order.scope, order.source) == (intent.scope, ("192.0.2.0/24",))


def test_a_credential_that_does_not_work_is_taken_back_at_once(minter: OneMinter) -> None:
    minter.trouble(unusable_probes=1000)
    broken = minter.break_glass()
    with pytest.raises(UnavailableError, match=r"was taken back; nothing was handed out") as caught:
        minter.mint(broken)
    assert caught.value.name == "not_usable"
    assert minter.platform.handles() == []
    minter.trouble()
    minter.log_in(minter.mint(broken))  # the same token, once the target works


def test_a_credential_that_works_as_no_grant_may_is_taken_back_without_trying_again(
    minter: OneMinter,
) -> None:
    minter.trouble(shared_sessions=True)
    broken = minter.break_glass()
    with pytest.raises(RefusedError, match=r"back; nothing was handed out: .*share") as caught:
        minter.mint(broken)
    assert caught.value.name == "pool_mode"
    assert minter.platform.handles() == []
    assert minter.stage(broken) is Stage.CLAIMED
    minter.trouble()
    minter.log_in(minter.mint(broken))


def test_what_could_not_be_taken_back_is_swept_away_later(minter: OneMinter) -> None:
    minter.trouble(unusable_probes=1000, cuts_that_fail=1)
    broken = minter.break_glass()
    with pytest.raises(UnavailableError):
        minter.mint(broken)
    assert minter.platform.handles() == [broken.intent.handle]
    assert minter.accounts() == {}
    minter.trouble()
    minter.sweep()
    assert minter.platform.handles() == []
    assert minter.stage(broken) is Stage.CLAIMED


def test_the_second_of_two_brokers_intents_never_mints(minter: OneMinter) -> None:
    first = minter.break_glass(broker="broker")
    minter.pass_time(MINUTE)
    second = minter.break_glass(broker="broker-2", of=first)
    assert second.grant == first.grant
    assert second.intent.not_after > first.intent.not_after
    with pytest.raises(RefusedError, match="is invalid in the ledger") as caught:
        minter.mint(second)
    assert caught.value.name == "void"
    minter.view.kept = 0  # judged so long ago that only the state knows
    with pytest.raises(RefusedError, match="has another valid intent") as caught:
        minter.mint(second)
    assert caught.value.name == "void"
    assert minter.stage(first) is None
    minter.mint(first)
    assert minter.accounts() == {first.intent.handle: first.intent.not_after}


def test_an_intent_that_the_view_has_not_reached_mints_nothing(minter: OneMinter) -> None:
    minter.view.held = True
    broken = minter.break_glass()
    with pytest.raises(UnavailableError, match="has not read intent") as caught:
        minter.mint(broken)
    assert caught.value.name == "behind"
    assert minter.stage(broken) is None
    minter.view.held = False
    minter.mint(broken)


def test_a_view_last_witnessed_long_ago_mints_nothing(minter: OneMinter) -> None:
    broken = minter.break_glass()
    minter.true.at += 6 * MINUTE
    with pytest.raises(UnavailableError, match="newest witnessed head") as caught:
        minter.mint(broken)
    assert caught.value.name == "behind"
    assert minter.stage(broken) is None


def test_with_the_ledger_away_a_token_that_exists_still_mints(minter: OneMinter) -> None:
    broken = minter.break_glass()
    minter.view.follow()
    minter.ledger.gone = True
    minter.log_in(minter.mint(broken))
    assert minter.said(broken) == ["intent"]
    minter.ledger.gone = False
    minter.send()
    assert minter.said(broken) == ["intent", "minted", "usable"]


def test_with_the_ledger_away_nothing_is_minted_on_less_than_was_judged_before(
    minter: OneMinter,
) -> None:
    """An old copy of its folder, from before somebody was suspended."""
    broken = minter.break_glass()
    minter.view.follow()
    minter.ledger.gone = True
    minter.view.judged_before = minter.view.size + 1
    with pytest.raises(UnavailableError, match="nothing was minted") as caught:
        minter.mint(broken)
    assert caught.value.name == "behind_judged"
    assert minter.accounts() == {}
    minter.view.judged_before = minter.view.size
    assert minter.mint(broken).stage is Stage.MINTED


def test_with_the_ledger_away_since_its_start_a_minter_knows_nothing_and_mints_nothing(
    minter: OneMinter,
) -> None:
    broken = minter.break_glass()
    minter.view.held = True
    minter.catching_up._current.clear()
    with pytest.raises(UnavailableError, match="still reading the ledger") as caught:
        minter.mint(broken)
    assert caught.value.name == "catching_up"
    assert minter.stage(broken) is None


def test_nothing_new_is_minted_while_too_many_records_wait(minter: OneMinter) -> None:
    broken = minter.break_glass()
    minter.outbox.full = True
    with pytest.raises(UnavailableError, match="too many records wait") as caught:
        minter.mint(broken)
    assert caught.value.name == "spool_full"
    assert minter.stage(broken) is None


def test_what_ended_in_the_ledger_is_not_minted(minter: OneMinter) -> None:
    broken = minter.break_glass()
    minter.give_up(broken.grant)
    with pytest.raises(RefusedError, match=r"has ended \(not_minted\)") as caught:
        minter.mint(broken)
    assert caught.value.name == "ended"
    assert minter.stage(broken) is None


def test_what_was_stopped_with_everything_is_not_minted_and_not_after_the_lift_either(
    all_minter: OneMinter,
) -> None:
    minter, broken = all_minter, all_minter.break_glass()
    minter.stop_everything()
    with pytest.raises(RefusedError, match="everything is suspended; nothing was minted"):
        minter.mint(broken)
    minter.stop_everything(lift=True)
    with pytest.raises(RefusedError, match="is suspended; nothing was minted") as caught:
        minter.mint(broken)
    assert caught.value.name == "suspended"
    assert minter.stage(broken) is None
    later = minter.break_glass(who="teo")
    minter.mint(later)


@pytest.mark.parametrize("target", list(Target))
def test_whoever_or_whatever_is_suspended_is_not_minted(minter: OneMinter, target: Target) -> None:
    broken = minter.break_glass()
    name = {"person": "mira", "glass": broken.intent.glass, "grant": broken.grant}[target.value]
    minter.suspend(target, name)
    with pytest.raises(RefusedError, match="is suspended; nothing was minted") as caught:
        minter.mint(broken)
    assert caught.value.name == "suspended"
    assert minter.stage(broken) is None


def test_a_card_of_an_older_activation_mints_nothing(minter: OneMinter) -> None:
    broken = minter.break_glass()
    later = minter.org.card_note("orders-repair", issued=NOW + SECOND)
    holds(minter.org.activate_cards({broken.intent.glass: later}))
    with pytest.raises(RefusedError, match="was replaced") as caught:
        minter.mint(broken)
    assert caught.value.name == "old_card"
    assert minter.stage(broken) is None


@pytest.mark.parametrize("step", ["claimed", "minted", "usable"])
def test_a_grant_that_is_ended_while_it_is_minted_is_not_handed_out(
    minter: OneMinter, step: str
) -> None:
    broken = minter.break_glass()
    ended = minter.end_at(step, broken, minter.done(broken))
    with pytest.raises(RefusedError, match="never minted again") as caught:
        minter.mint(broken)
    assert caught.value.name == "ended"
    assert ended()
    minter.reconcile()
    assert minter.stage(broken) is Stage.DEAD
    assert minter.platform.handles() == []


STEPS = ["verified", "agreed", "claimed", "minted", "usable", "kept", "answered", "stated"]


@pytest.mark.parametrize("step", STEPS)
def test_a_crash_at_any_step_leaves_one_account_at_most_and_every_record(
    minter: OneMinter, step: str
) -> None:
    broken = minter.break_glass()
    minter.crash_at(step)
    with pytest.raises(Crash):
        minter.mint(broken)
    accounts = minter.accounts()
    assert len(accounts) == (0 if step in STEPS[:3] else 1)
    minter.restart()
    minter.reconcile()
    kept = step in STEPS[5:]
    assert minter.accounts() == (accounts if kept else {})  # a secret that nobody has opens nothing
    assert minter.said(broken) == ["intent", *(["minted", "usable"] if kept else [])]
    row = minter.mint(broken)
    minter.log_in(row)
    assert minter.end(broken, minter.done(broken)).stage is Stage.DEAD
    assert minter.said(broken) == WHOLE
    assert minter.platform.handles() == []


def test_an_answer_that_the_target_lost_leaves_one_working_account(minter: OneMinter) -> None:
    broken = minter.break_glass()
    minter.trouble(lose_mint_replies=True)
    with pytest.raises(UnavailableError, match="the answer was lost"):
        minter.mint(broken)
    minter.trouble()
    minter.log_in(minter.mint(broken))
    assert minter.platform.handles() == [broken.intent.handle]


def test_what_has_ended_is_never_minted_again_also_after_a_restart(minter: OneMinter) -> None:
    broken = minter.break_glass()
    minter.mint(broken)
    minter.end(broken, minter.done(broken))
    for _ in range(2):
        with pytest.raises(RefusedError, match=r"has ended \(done\)"):
            minter.mint(broken)
        minter.restart()
    assert minter.platform.handles() == []


@pytest.mark.parametrize("minted_before", [True, False])
def test_what_was_handed_back_is_not_minted_though_the_ledger_does_not_know_yet(
    minter: OneMinter, minted_before: bool
) -> None:
    broken = minter.break_glass()
    minter.view.follow()
    minter.ledger.gone = True
    if minted_before:
        minter.mint(broken)
    assert minter.end(broken, minter.done(broken)).stage is Stage.DEAD
    with pytest.raises(RefusedError, match=r"has ended \(done\)") as caught:
        minter.mint(broken)
    assert caught.value.name == "ended"
    assert minter.platform.handles() == []
    minter.ledger.gone = False
    minter.send()
    assert minter.said(broken) == (WHOLE if minted_before else ["intent", "ended", "dead"])


def test_what_is_over_by_the_witnesses_time_is_not_minted_by_a_clock_that_is_behind(
    make: Make,
) -> None:
    minter = make(ahead={"minter": -100 * SECOND})
    broken = minter.break_glass(for_s=300)
    minter.pass_time(301 * SECOND)
    minter.ahead["mira"] = -100 * SECOND  # who shows it has the same clock
    with pytest.raises(RefusedError, match="has -1 s left") as caught:
        minter.mint(broken)
    assert caught.value.name == "limits"
    assert minter.accounts() == {}
