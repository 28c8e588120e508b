"""Ends that nobody asks this minter for: with the incident, for lying idle, before the start."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from breakglass.errors import RefusedError
from breakglass.minter.grant_store import Stage
from breakglass.records import all_kinds as kinds
from breakglass.records.kinds.ended import EndedWhy
from breakglass.records.kinds.incident import IncidentChange
from breakglass.records.statement import Do, Target, digest_of
from tests.kit.lives import ENDS, EndingOrganisation, changes_incident
from tests.kit.one_minter import MINUTE, SECOND, Crash, OneMinter
from tests.kit.organisation import Broken
from tests.kit.scheduled import HOUR, decided_again, put_kinds_2_in_force, schedule

from .conftest import Make

WARNED = 10 * MINUTE


@pytest.fixture
def minter(make: Make) -> OneMinter:
    return make(org=EndingOrganisation())


def why(minter: OneMinter, broken: Broken) -> EndedWhy | None:
    row = minter.table.find(broken.grant)
    return row.ended.why if row is not None and row.ended is not None else None


def closes(minter: OneMinter, who: str, nonce: str = "c1", do: Do = Do.CLOSE, **how: Any) -> None:
    assert changes_incident(minter.org, who, do, nonce, **how).holds
    minter.reconcile()


def passes(minter: OneMinter, time: timedelta) -> None:
    minter.pass_time(time)
    minter.reconcile()


def passes_awake(minter: OneMinter, time: timedelta) -> None:
    """Let time pass with the idle watch looking, as its task does."""
    for _ in range(time // (15 * SECOND)):
        minter.pass_time(15 * SECOND)
        minter.idle.look()
    minter.reconcile()


def lies_idle(minter: OneMinter, broken: Broken) -> None:
    """Let it be told to end for lying idle; nothing was cut yet."""
    while minter.stage(broken) is Stage.MINTED:
        minter.pass_time(15 * SECOND)
        minter.idle.look()


# --- with the incident ----------------------------------------------------------------------------


def test_anothers_close_ends_a_grant_ten_minutes_later(minter: OneMinter) -> None:
    broken = minter.break_glass()
    session = minter.log_in(minter.mint(broken))
    closes(minter, "bo")
    passes(minter, WARNED - SECOND)
    assert minter.platform.alive(session)
    passes(minter, 2 * SECOND)
    assert not minter.platform.alive(session)
    assert why(minter, broken) is EndedWhy.INCIDENT_CLOSED
    assert minter.org.state.grants.by_id[broken.grant].ended is EndedWhy.INCIDENT_CLOSED
    assert minter.said(broken) == ["intent", "minted", "usable", "ended", "dead"]


def test_the_holders_own_close_ends_it_at_once(minter: OneMinter) -> None:
    broken, other = minter.break_glass(), minter.break_glass("teo")
    minter.mint(broken), minter.mint(other)
    closes(minter, "mira")
    assert why(minter, broken) is EndedWhy.INCIDENT_CLOSED
    assert why(minter, other) is None
    passes(minter, WARNED + SECOND)
    assert why(minter, other) is EndedWhy.INCIDENT_CLOSED


@pytest.mark.parametrize("who", ["mira", "sam"])
def test_who_declares_it_open_again_keeps_the_grant(minter: OneMinter, who: str) -> None:
    broken = minter.break_glass()
    minter.mint(broken)
    closes(minter, "bo")
    passes(minter, WARNED - MINUTE)
    closes(minter, who, "c2", Do.DECLARE)
    passes(minter, 5 * MINUTE)
    assert why(minter, broken) is None
    closes(minter, "bo", "c3")
    passes(minter, 4 * MINUTE)  # the ten minutes begin anew
    assert why(minter, broken) is None


def test_a_brokers_word_alone_ends_no_repair(minter: OneMinter) -> None:
    broken = minter.break_glass()
    minter.mint(broken)
    org = minter.org
    body = kinds.Incident(
        "INC-4821", IncidentChange.CLOSED, "SEV1", "checkout 5xx", "x", False, None
    )
    assert org.state_that("broker", body, attachments=[b"a source, says the broker"]).holds
    passes(minter, WARNED + MINUTE)
    assert why(minter, broken) is None


def test_a_clock_of_ours_that_runs_ahead_ends_nothing_early(make: Make) -> None:
    minter = make(org=EndingOrganisation(), ahead={"minter": 100 * SECOND})
    broken = minter.break_glass()
    minter.mint(broken)
    closes(minter, "bo")
    passes(minter, WARNED - 30 * SECOND)
    assert why(minter, broken) is None


def test_a_restart_in_the_middle_comes_to_the_same_end(minter: OneMinter) -> None:
    broken = minter.break_glass()
    minter.mint(broken)
    closes(minter, "bo")
    passes(minter, 5 * MINUTE)
    minter.restart()
    passes(minter, 4 * MINUTE)
    assert why(minter, broken) is None
    passes(minter, 2 * MINUTE)
    row = minter.table.find(broken.grant)
    assert row is not None
    assert row.over_at == minter.org.state.incidents.by_id["INC-4821"].closed_at + WARNED


@pytest.mark.parametrize("step", ["early", "told", "cut", "probed", "dead", "said"])
def test_after_a_crash_at_any_step_of_such_an_end_it_is_finished(
    minter: OneMinter, step: str
) -> None:
    broken = minter.break_glass()
    minter.mint(broken)
    closes(minter, "bo")
    minter.pass_time(WARNED + SECOND)
    minter.crash_at(step)
    with pytest.raises(Crash):
        minter.reconcile()
    minter.restart()
    minter.reconcile()
    assert minter.stage(broken) is Stage.DEAD
    assert why(minter, broken) is EndedWhy.INCIDENT_CLOSED
    assert minter.said(broken) == ["intent", "minted", "usable", "ended", "dead"]


def test_a_glass_that_does_not_say_so_outlives_its_incident(make: Make) -> None:
    class Staying(EndingOrganisation):
        said = ""

    minter = make(org=Staying())
    broken = minter.break_glass()
    minter.mint(broken)
    closes(minter, "mira")
    passes(minter, WARNED + SECOND)
    assert why(minter, broken) is None


def test_a_bundle_that_this_release_cannot_read_ends_nothing_and_rings_once(make: Make) -> None:
    class Newer(EndingOrganisation):
        said = "    ends_with_the_week: true\n"

    minter = make(org=Newer())
    broken = minter.break_glass()
    minter.mint(broken)
    closes(minter, "mira")
    passes(minter, WARNED + SECOND)
    assert why(minter, broken) is None
    assert minter.rings() == [("policy_unread", "orders-db")]


# --- for lying idle -------------------------------------------------------------------------------


def test_what_nobody_uses_is_over(minter: OneMinter) -> None:
    broken = minter.break_glass()
    session = minter.log_in(minter.mint(broken))
    passes_awake(minter, 9 * MINUTE)
    assert minter.platform.alive(session)
    minter.platform.works(session, busy=False)  # one statement, and done
    passes_awake(minter, 9 * MINUTE)
    assert minter.platform.alive(session)
    passes_awake(minter, 2 * MINUTE)
    assert not minter.platform.alive(session)
    assert minter.org.state.grants.by_id[broken.grant].ended is EndedWhy.IDLE


def test_one_that_nobody_ever_logged_in_to_is_over_too(minter: OneMinter) -> None:
    broken = minter.break_glass()
    minter.mint(broken)
    passes_awake(minter, 11 * MINUTE)
    assert why(minter, broken) is EndedWhy.IDLE


def test_a_statement_under_way_is_use_however_long_it_takes(minter: OneMinter) -> None:
    broken = minter.break_glass()
    session = minter.log_in(minter.mint(broken))
    minter.platform.works(session, busy=True)
    passes_awake(minter, 15 * MINUTE)
    assert minter.platform.alive(session)
    assert why(minter, broken) is None


def test_a_statement_that_came_between_the_look_and_the_cut_ends_in_its_own_time(
    minter: OneMinter,
) -> None:
    broken = minter.break_glass()
    row = minter.mint(broken)
    session = minter.log_in(row)
    lies_idle(minter, broken)
    minter.platform.works(session, busy=True)
    minter.reconcile()
    assert minter.platform.alive(session)
    with pytest.raises(RefusedError):
        minter.log_in(row)  # nothing new begins
    minter.platform.works(session, busy=False)
    passes(minter, MINUTE)
    assert not minter.platform.alive(session)
    assert minter.stage(broken) is Stage.DEAD


def test_a_statement_without_an_end_is_cut_at_the_end_of_the_grant(minter: OneMinter) -> None:
    broken = minter.break_glass()
    session = minter.log_in(minter.mint(broken))
    lies_idle(minter, broken)
    minter.platform.works(session, busy=True)
    minter.reconcile()
    passes(minter, 10 * MINUTE)
    assert not minter.platform.alive(session)


def test_what_was_not_watched_counts_as_used(minter: OneMinter) -> None:
    broken = minter.break_glass()
    minter.mint(broken)
    passes_awake(minter, 9 * MINUTE)
    minter.restart()
    passes_awake(minter, 5 * MINUTE)
    assert why(minter, broken) is None
    minter.trouble(away=True)
    minter.pass_time(15 * SECOND)
    minter.idle.look()
    minter.trouble()
    assert why(minter, broken) is None


def test_a_policy_that_lets_it_lie_for_a_while_does_not_stop_the_watch(minter: OneMinter) -> None:
    assert isinstance(minter.org, EndingOrganisation)
    broken = minter.break_glass()
    minter.mint(broken)
    passes_awake(minter, 8 * MINUTE)
    minter.org.says("")
    passes_awake(minter, MINUTE)
    minter.org.says(ENDS)
    passes_awake(minter, 9 * MINUTE)
    assert why(minter, broken) is None, "what was not watched counts as used"
    lies_idle(minter, broken)
    minter.reconcile()
    assert why(minter, broken) is EndedWhy.IDLE


# --- before the start -----------------------------------------------------------------------------


@pytest.fixture
def scheduling(minter: OneMinter) -> OneMinter:
    put_kinds_2_in_force(minter.org)
    return minter


def scheduled(minter: OneMinter, **how: Any) -> Broken:
    broken = schedule(minter.org, minter.card, **how)
    assert decided_again(minter.org, broken).holds
    minter.reconcile()
    return broken


def starts(minter: OneMinter, broken: Broken, behind: timedelta = SECOND) -> None:
    """Let its start come, with the monitor's second word at 4 minutes before."""
    minter.pass_time(broken.intent.not_before - minter.true.at - 4 * MINUTE)
    assert decided_again(minter.org, broken).holds
    minter.reconcile()
    passes(minter, 4 * MINUTE + behind)


def test_it_is_fetched_at_its_start_and_by_the_same_token_again(scheduling: OneMinter) -> None:
    minter, broken = scheduling, scheduled(scheduling)
    with pytest.raises(RefusedError, match="begins 2026-06-22T04:14:09") as early:
        minter.mint(broken)
    assert early.value.name == "not_yet_valid"
    starts(minter, broken)
    row = minter.mint(broken)
    minter.log_in(row)
    assert minter.said(broken)[-2:] == ["minted", "usable"]
    closes(minter, "bo")
    again = minter.mint(broken)
    assert again.made is not None
    assert row.made is not None
    assert again.made.sealed == row.made.sealed
    passes(minter, 21 * MINUTE)
    assert minter.stage(broken) is Stage.DEAD


def test_without_the_monitors_second_word_it_never_begins_and_that_is_told(
    scheduling: OneMinter,
) -> None:
    minter, broken = scheduling, scheduled(scheduling)
    passes(minter, HOUR + 30 * SECOND)
    with pytest.raises(RefusedError, match="the monitor has not decided again") as refused:
        minter.mint(broken)
    assert refused.value.name == "start_refused"
    assert minter.stage(broken) is None  # it may still come
    passes(minter, 31 * SECOND)
    grant = minter.org.state.grants.by_id[broken.grant]
    assert grant.ended is EndedWhy.NOT_MINTED
    ended = [each.record.body for each in minter.org.judged if each.record][-2:]
    assert "the monitor has not decided again" in ended[0].detail
    decided_again(minter.org, broken)
    with pytest.raises(RefusedError):
        minter.mint(broken)


def test_a_closed_incident_refuses_the_start(scheduling: OneMinter) -> None:
    minter, broken = scheduling, scheduled(scheduling)
    closes(minter, "bo")
    assert why(minter, broken) is None  # it may be opened again until then
    starts(minter, broken, 61 * SECOND)
    assert why(minter, broken) is EndedWhy.NOT_MINTED


def stops_mira(minter: OneMinter, broken: Broken) -> None:
    minter.suspend(Target.PERSON, "mira")


def kills_it(minter: OneMinter, broken: Broken) -> None:
    minter.end(broken, minter.kill(Target.GRANT, broken.grant))


def withdraws_it(minter: OneMinter, broken: Broken) -> None:
    said = minter.org.answer(
        digest_of(broken.signed.text), do=Do.WITHDRAW, who="mira", nonce="e1" * 16
    )
    minter.end(broken, minter.org.sign(said))


def leaves_the_card(minter: OneMinter, broken: Broken) -> None:
    org = minter.org
    del org.people["sam"]  # the approver left
    org.policy_version += 1
    org.activate_policy()


@pytest.mark.parametrize(
    ("does", "ended"),
    [
        (stops_mira, EndedWhy.KILLED),
        (kills_it, EndedWhy.KILLED),
        (withdraws_it, EndedWhy.WITHDRAWN),
        (leaves_the_card, EndedWhy.NOT_MINTED),
    ],
)
def test_what_ends_it_before_its_start_ends_it_then_and_not_on_sunday(
    scheduling: OneMinter, does: Callable[[OneMinter, Broken], None], ended: EndedWhy
) -> None:
    minter, broken = scheduling, scheduled(scheduling)
    does(minter, broken)
    minter.reconcile()
    assert why(minter, broken) is ended
    assert minter.org.state.grants.by_id[broken.grant].ended is ended
    assert minter.platform.handles() == []


def test_nobody_gives_up_what_is_still_to_begin(scheduling: OneMinter) -> None:
    minter, broken = scheduling, scheduled(scheduling)
    passes(minter, 10 * MINUTE)
    with pytest.raises(RefusedError, match="was put off") as refused:
        minter.early_end.forgo(broken.grant, broken.intent_digest)
    assert refused.value.name == "too_early"


def test_one_that_nobody_fetches_ends_with_its_time(scheduling: OneMinter) -> None:
    minter, broken = scheduling, scheduled(scheduling)
    starts(minter, broken)
    minter.restart()
    passes(minter, 21 * MINUTE)
    assert why(minter, broken) is EndedWhy.NOT_MINTED
    assert minter.org.state.grants.by_id[broken.grant].ended is EndedWhy.NOT_MINTED


def test_under_kinds_1_nothing_starts_later(minter: OneMinter) -> None:
    broken = schedule(minter.org, minter.card)
    minter.reconcile()
    assert why(minter, broken) is EndedWhy.NOT_MINTED
