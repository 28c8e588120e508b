"""The fold: two people stop everything, and two let it go again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from breakglass.records import all_kinds as kinds
from breakglass.records.fold.fold import Judged, apply
from breakglass.records.fold.slices.governance import ALL
from breakglass.records.fold.state_form import still_copy
from breakglass.records.grant import EndedWhy
from breakglass.records.kinds.all_suspended import SECOND_WITHIN
from breakglass.records.statement import Do, Target, digest_of

from ..kit.organisation import SECOND, Broken, Organisation
from .folding import begun, ended, holds, last, minted, orders, void
from .test_fold_asks import Ask


def of_set_2() -> Organisation:
    org = begun(killers=("sam", "noor", "teo"))
    holds(org.activate_trust(version="2", kinds="2"))
    return org


def word(org: Organisation, who: str, *, active: bool = True, **changes: Any) -> Any:
    do = Do.KILL_ALL if active else Do.LIFT_ALL
    return org.sign(org.kill_all(who, **{"do": do, **changes}))


def says(org: Organisation, who: str, *, active: bool = True, **changes: Any) -> Judged:
    body = kinds.AllSuspended(active, word(org, who, active=active, **changes))
    return org.state_that("broker", body, f"all/{len(org.judged)}")


def stopped(org: Organisation) -> bool:
    return ALL in org.state.governance.suspended


def test_one_word_stops_nothing_and_the_second_persons_stops_everything() -> None:
    """(F-112)"""
    org = of_set_2()
    holds(says(org, "sam"))
    assert not stopped(org)
    org.break_glass()
    holds(last(org))
    holds(says(org, "noor"))
    assert stopped(org)
    void(last(org, org.break_glass(statement={"nonce": "ab" * 16})), "suspended")
    assert org.state.governance.suspensions("bo", "x", "g") == ("everything",)


def test_the_same_persons_second_word_is_none() -> None:
    """(F-112)"""
    org = of_set_2()
    holds(says(org, "sam"))
    void(says(org, "sam", nonce="91" * 16), "lost_race", quiet=True)
    assert not stopped(org)


def test_the_first_word_waits_fifteen_minutes() -> None:
    """(F-112)"""
    org = of_set_2()
    holds(says(org, "sam"))
    org.now += SECOND_WITHIN + SECOND
    holds(says(org, "noor"))
    assert not stopped(org)
    org.now += SECOND_WITHIN
    holds(says(org, "teo"))
    assert stopped(org)


def test_only_who_may_kill_counts_and_not_who_was_stopped_meanwhile() -> None:
    """(F-112) A thief with one killer's key stops nothing with the word of one who was let go."""
    org = of_set_2()
    void(says(org, "mira"), "unknown_person")
    holds(says(org, "sam"))
    kill = org.sign(org.kill(Target.PERSON, "sam", who="noor"))
    holds(org.state_that("broker", kinds.Suspended(Target.PERSON, "sam", True, kill)))
    holds(says(org, "noor"))
    assert not stopped(org)
    void(says(org, "sam", nonce="91" * 16), "suspended")
    holds(says(org, "teo"))
    assert stopped(org)


def test_two_people_let_it_go_and_neither_kind_of_word_serves_the_other() -> None:
    """(F-112)"""
    org = of_set_2()
    void(says(org, "sam", active=False), "lost_race", quiet=True)
    holds(says(org, "sam"))
    other = kinds.AllSuspended(False, word(org, "noor"))
    void(org.state_that("broker", other, "all/other"), "mismatch")
    holds(says(org, "noor"))
    void(says(org, "teo"), "lost_race", quiet=True)
    holds(says(org, "sam", active=False, nonce="92" * 16))
    assert stopped(org)
    holds(says(org, "teo", active=False, nonce="93" * 16))
    assert not stopped(org)
    org.break_glass(statement={"nonce": "ab" * 16})
    holds(last(org))


def test_a_word_is_used_once() -> None:
    """(F-112)"""
    org = of_set_2()
    holds(says(org, "sam"))
    holds(says(org, "noor"))
    for who, nonce in (("sam", "92"), ("noor", "93")):
        holds(says(org, who, active=False, nonce=nonce * 16))
    void(says(org, "sam"), "nonce")


def test_a_grant_of_before_ends_by_either_word_and_one_of_after_by_none() -> None:
    """(F-31)"""
    org = of_set_2()
    first = orders(org)
    holds(minted(org, first))
    first_word, second_word = word(org, "sam"), word(org, "noor")
    holds(org.state_that("broker", kinds.AllSuspended(True, first_word), "all/1"))
    void(killed(org, first, first_word), "malformed")  # one person stops nothing
    holds(org.state_that("broker", kinds.AllSuspended(True, second_word), "all/2"))
    assert org.state.governance.stopped_with_all(first.index)
    for who, nonce in (("sam", "92"), ("noor", "93")):
        holds(says(org, who, active=False, nonce=nonce * 16))
    later = orders(org, statement={"nonce": "ab" * 16})
    holds(last(org))
    # The lift let go what comes; what stood before stays over.
    assert not org.state.governance.stopped_with_all(later.index)
    void(killed(org, later, second_word), "malformed")
    holds(killed(org, first, first_word))


def test_an_end_by_the_word_of_an_earlier_standstill_holds() -> None:
    """(F-31) The minter's record may come late, behind the next standstill."""
    org = of_set_2()
    grants = [orders(org, statement={"nonce": f"{each:02x}" * 16}) for each in (1, 2)]
    words = []
    for each in range(9):
        words.append(word(org, "sam", nonce=f"{10 + each:032x}"))
        holds(org.state_that("broker", kinds.AllSuspended(True, words[-1]), f"all/first/{each}"))
        holds(says(org, "noor", nonce=f"{30 + each:032x}"))
        for who, start in (("sam", 50), ("noor", 70)):
            holds(says(org, who, active=False, nonce=f"{start + each:032x}"))
    void(killed(org, grants[0], words[0]), "malformed")
    holds(killed(org, grants[0], words[1]))
    holds(killed(org, grants[1], words[8]))


def killed(org: Organisation, broken: Broken, statement: Any) -> Judged:
    return ended(org, broken.grant, EndedWhy.KILLED, statement, role="minter:orders-db")


@pytest.mark.parametrize("how", ["asker", "glass", "all"])
def test_an_ask_that_a_kill_is_meant_for_ends_and_is_granted_by_nobody(how: str) -> None:
    """(F-113)"""
    org = of_set_2()
    ask, other = Ask(org), Ask(org, "a6", who="sam", glass="orders-repair")
    if how == "all":
        holds(says(org, "noor"))
        holds(says(org, "teo"))
        for who, nonce in (("sam", "92"), ("noor", "93")):
            holds(says(org, who, active=False, nonce=nonce * 16))
    else:
        target, name = (
            (Target.PERSON, "mira") if how == "asker" else (Target.GLASS, "deploy-rollback")
        )
        kill = org.sign(org.kill(target, name))
        holds(org.state_that("broker", kinds.Suspended(target, name, True, kill)))
        lift = org.sign(org.kill(target, name, do=Do.LIFT, nonce="77" * 16))
        holds(org.state_that("broker", kinds.Suspended(target, name, False, lift)))
    assert (other.grant in org.state.grants.asked) == (how != "all")
    found = org.state.grants.ended_asks[ask.grant]
    assert (found.name, found.ask.who) == ("suspended", "mira")
    void(ask.answers(nonce="b2"), "suspended", quiet=True)
    org.now += timedelta(seconds=1)
    void(ask.granted(), "suspended", quiet=True)


def test_a_stopped_approvers_answers_count_no_more() -> None:
    """(F-113)"""
    org = of_set_2()
    ask = Ask(org)
    holds(ask.answers("noor", nonce="b2"))
    holds(ask.answers("sam"))
    kill = org.sign(org.kill(Target.PERSON, "sam", who="noor"))
    holds(org.state_that("broker", kinds.Suspended(Target.PERSON, "sam", True, kill)))
    assert [each.who for each in org.state.grants.asked[ask.grant].answers] == ["noor"]
    void(ask.granted(), "suspended")


def test_a_trial_sees_and_ends_the_asks_of_the_state_below_and_leaves_them_there() -> None:
    """(F-113)"""
    org = of_set_2()
    ask = Ask(org)
    below = still_copy(org.state)
    trial = below.trial(org.submitters["broker"].verifier.label)
    kill = org.sign(org.kill(Target.PERSON, "mira"))
    judged = org.state_that("broker", kinds.Suspended(Target.PERSON, "mira", True, kill))
    holds(judged)
    holds(apply(trial, org.log.entries(judged.index)[0]))
    assert ask.grant in trial.grants.ended_asks
    assert ask.grant not in trial.grants.asked
    assert ask.grant in below.grants.asked
    assert ask.grant not in below.grants.ended_asks


def test_a_word_for_everything_is_unreadable_under_kinds_1() -> None:
    """(F-75) (S-21)"""
    org = begun(killers=("sam", "noor"))
    holds(says(org, "sam"))
    holds(says(org, "noor"))
    assert not stopped(org)
    assert org.state.governance.first_word is None


def test_the_state_shows_the_word_that_waits_and_the_standstill() -> None:
    org = of_set_2()
    seen = {org.state.digest()}
    holds(says(org, "sam"))
    seen.add(org.state.digest())
    shown = org.state.summary()["first_word"]
    assert isinstance(shown, str)
    assert " sam " in shown
    holds(says(org, "noor"))
    seen.add(org.state.digest())
    assert org.state.summary()["first_word"] == ""
    assert digest_of(word(org, "noor").text) in str(org.state.summary()["all_stop"])
    assert len(seen) == 3
