"""The fold: what stands at a target without a grant, as its surveyor counts it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from breakglass.records.encoding.text_types import ZERO_DIGEST
from breakglass.records.fold.fold import Judged, fold
from breakglass.records.kinds.dead import Dead
from breakglass.records.kinds.ended import EndedWhy
from breakglass.records.kinds.minted import Minted
from breakglass.records.kinds.standing import TAKEN_WITHIN, Occasion, Standing, Tally
from breakglass.records.kinds.usable import Usable
from breakglass.records.record_reader import parse_record

from ..kit.organisation import NOW, SECOND, SKEW, Broken, Organisation, signer
from ..kit.twins import alike
from .folding import begun, ended, holds, minted, orders, pulse, void

SURVEYOR = "minter:orders-db.survey"
FIRST = Standing(
    "orders-db",
    Occasion.DAILY,
    (),
    (),
    {"superuser": Tally(2, 0, 0, 0, 0)},
    ("hba-trust",),
    "a1" * 32,
    ZERO_DIGEST,
    NOW,
)
LATER = replace(
    FIRST,
    counts={"superuser": Tally(2, 0, 0, 1, 1), "login": Tally(1, 0, 0, 1, 0)},
    digest="a2" * 32,
    before="a1" * 32,
    taken_at=NOW + SECOND,
)


def of_set_3() -> Organisation:
    org = begun()
    org.submitters[SURVEYOR] = signer("orders-db-survey.shop.example")
    holds(org.activate_trust(version="2", kinds="2"))
    holds(org.activate_trust(version="3", kinds="3"))
    return org


def state(org: Organisation, body: Standing, ident: str = "", role: str = SURVEYOR) -> Judged:
    return org.state_that(role, body, ident or f"standing/{len(org.judged)}")


def used(org: Organisation) -> Broken:
    """Return a grant that is minted and usable."""
    broken = orders(org, statement={"nonce": "a9" * 16})
    holds(minted(org, broken))
    holds(org.state_that("minter:orders-db", Usable(broken.grant, "login ok", 5)))
    return broken


def over(org: Organisation, broken: Broken) -> None:
    org.now = broken.intent.not_after + SECOND
    holds(ended(org, broken.grant, EndedWhy.EXPIRED, role="minter:orders-db"))
    holds(org.state_that("minter:orders-db", Dead(broken.grant, "refused", 1, 0, ())))


def test_the_newest_survey_of_a_target_stands() -> None:
    """(F-114)"""
    org = of_set_3()
    holds(state(org, FIRST))
    assert parse_record(org.log.notes[-1]).body == FIRST
    found = org.state.surveys.newest["orders-db"]
    assert (found.total, found.unknown, found.digest) == (2, ("hba-trust",), "a1" * 32)
    holds(state(org, LATER))
    found = org.state.surveys.newest["orders-db"]
    assert (found.total, found.taken_at) == (3, NOW + SECOND)
    assert fold(org.genesis, org.log.entries()).digest() == org.state.digest()


@pytest.mark.parametrize("role", ["broker", "minter:orders-db", "monitor", "gate:orders-write"])
def test_nobody_but_the_targets_surveyor_says_what_stands_there(role: str) -> None:
    """(F-114) A minter's own word of what it left behind would prove nothing."""
    void(state(of_set_3(), FIRST, role=role), "role")


def test_a_stolen_surveyors_key_says_nothing_of_a_grant() -> None:
    """(F-16) (F-114) It is a minter's line of no mint: no grant is its own."""
    org = of_set_3()
    broken = orders(org)
    body = Minted(broken.grant, "postgres", "x", {}, broken.intent.not_after, 3)
    void(org.state_that(SURVEYOR, body), "role")
    void(org.state_that(SURVEYOR, Usable(broken.grant, "login ok", 5)), "role")
    void(ended(org, broken.grant, EndedWhy.IDLE, role=SURVEYOR), "role")
    void(org.state_that(SURVEYOR, Dead(broken.grant, "refused", 1, 0, ())), "role")


def test_a_surveyor_speaks_of_its_own_target_alone() -> None:
    """(F-114) Whose key is stolen hides nothing at other targets."""
    void(state(of_set_3(), replace(FIRST, target="billing-db")), "role")


def test_a_name_that_a_card_mints_at_is_no_surveyors(monkeypatch: pytest.MonkeyPatch) -> None:
    """(F-114) Who writes at the target is not who looks."""
    org = of_set_3()
    glass, active = next(
        (name, each)
        for name, each in org.state.governance.cards.items()
        if each.card.mint("orders-db")
    )
    mint = active.card.mint("orders-db")
    assert mint is not None
    card = replace(active.card, mints=(replace(mint, minter="orders-db.survey"),))
    org.state.governance.cards[glass] = replace(active, card=card)
    void(state(org, FIRST), "role")


@pytest.mark.parametrize(
    "changes",
    [
        {"taken_at": NOW + SKEW + SECOND},
        {"taken_at": NOW - TAKEN_WITHIN - SECOND},
        {"unknown": ("b", "a")},
        {"unknown": ("a", "a")},
        {"counts": {"superuser": Tally(1, 0, 2, 0, 0)}},
        {"counts": {"superuser": Tally(1, 0, 0, 1, 0)}},
        {"counts": {"superuser": Tally(1, 0, 0, 0, 1)}},
        {"counts": {"superuser": Tally(1, 1, 0, 0, 0)}},
        {"grant": ("g-aaaaaaaaaaaa",)},
        {"occasion": Occasion.ENDED},
    ],
    ids=[
        "future",
        "old",
        "unsorted",
        "twice",
        "more-left-than-stands",
        "new-to-nothing",
        "gone-from-nothing",
        "granted-by-nobody",
        "grant-of-no-occasion",
        "ended-of-no-grant",
    ],
)
def test_a_survey_that_nobody_could_have_made_is_void(changes: dict[str, Any]) -> None:
    """(F-115) (F-116) (F-117)"""
    org = of_set_3()
    void(state(org, replace(FIRST, **changes)), "mismatch")
    assert org.state.surveys.newest == {}


@pytest.mark.parametrize(
    "counts",
    [
        {"superuser": Tally(3, 0, 0, 0, 0)},
        {"superuser": Tally(1, 0, 0, 0, 0)},
        {"superuser": Tally(2, 0, 0, 0, 0), "login": Tally(1, 0, 0, 0, 0)},
        {},
    ],
    ids=["grew", "shrank", "another", "left-out"],
)
def test_what_came_and_went_adds_up_to_what_stands(counts: dict[str, Tally]) -> None:
    """(F-117) Who hides growth must lie about what stands, and go on lying."""
    org = of_set_3()
    holds(state(org, FIRST))
    void(state(org, replace(LATER, counts=counts)), "mismatch")
    assert org.state.surveys.newest["orders-db"].total == 2


def test_a_survey_that_lost_its_race_is_quiet() -> None:
    """(F-115) Its answer was lost, and the next one was compared with the same."""
    org = of_set_3()
    holds(state(org, FIRST))
    holds(state(org, LATER))
    void(state(org, replace(LATER, digest="a3" * 32)), "lost_race", quiet=True)
    beside = replace(LATER, digest="a3" * 32, taken_at=NOW + 2 * SECOND)
    void(state(org, beside), "lost_race", quiet=True)
    void(state(org, replace(FIRST, before="a9" * 32)), "lost_race", quiet=True)
    anew = replace(FIRST, digest="a4" * 32, taken_at=LATER.taken_at)
    void(state(org, anew), "lost_race", quiet=True)


def test_a_surveyor_that_lost_its_disk_begins_anew_and_calls_nothing_new() -> None:
    """(F-117) The monitor rings it: what grew in between was seen by nobody."""
    org = of_set_3()
    holds(state(org, FIRST))
    again = replace(
        FIRST,
        counts={"login": Tally(9, 0, 0, 0, 0)},
        digest="a4" * 32,
        taken_at=NOW + SECOND,
    )
    holds(state(org, again))
    assert dict(org.state.surveys.newest["orders-db"].standing) == {"login": 9}


def test_a_running_grant_explains_and_one_that_is_over_does_not() -> None:
    """(F-116)"""
    org = of_set_3()
    broken = orders(org)
    granted = {"login": Tally(0, 1, 0, 0, 0)}
    by_it = replace(FIRST, grants=(broken.grant,), counts=granted)
    void(state(org, by_it), "mismatch")
    holds(minted(org, broken))
    holds(state(org, by_it))
    over(org, broken)
    org.now += SKEW + 2 * SECOND
    late = replace(by_it, before=by_it.digest, digest="a5" * 32, taken_at=org.now)
    void(state(org, late), "mismatch")


def test_a_grant_of_another_target_explains_nothing() -> None:
    """(F-116)"""
    org = of_set_3()
    gate_only = org.break_glass()
    holds(org.judged[-1])
    void(state(org, replace(FIRST, grants=(gate_only.grant,))), "role")
    void(state(org, replace(FIRST, grants=("g-aaaaaaaaaaaa",))), "no_grant")
    broken = used(org)
    twice = replace(FIRST, grants=(broken.grant, broken.grant))
    void(state(org, twice), "mismatch")


def test_a_look_at_a_grant_comes_when_it_is_usable_and_when_it_is_over() -> None:
    """(F-116) Before it is dead its own account would be called left behind."""
    org = of_set_3()
    broken = orders(org)
    holds(minted(org, broken))
    at_usable = replace(FIRST, occasion=Occasion.USABLE, grant=(broken.grant,))
    void(state(org, at_usable), "mismatch")
    holds(org.state_that("minter:orders-db", Usable(broken.grant, "login ok", 5)))
    holds(state(org, at_usable))
    at_end = replace(
        LATER,
        occasion=Occasion.ENDED,
        grant=(broken.grant,),
        counts={"superuser": Tally(3, 0, 1, 1, 0)},
    )
    void(state(org, at_end), "mismatch")
    over(org, broken)
    holds(state(org, replace(at_end, taken_at=org.now)))


def test_a_survey_is_unknown_under_kinds_2_and_stays_so() -> None:
    """(F-75) (F-114)"""
    org = begun()
    org.submitters[SURVEYOR] = signer("orders-db-survey.shop.example")
    holds(org.activate_trust(version="2", kinds="2"))
    holds(state(org, FIRST))
    assert org.state.surveys.newest == {}
    assert "surveys" not in org.state.summary()
    holds(org.activate_trust(version="3", kinds="3"))
    assert org.state.surveys.newest == {}
    holds(state(org, FIRST))


def test_a_survey_that_came_late_without_a_gap_is_void() -> None:
    """(F-13)"""
    org = of_set_3()
    org.now += timedelta(hours=1)
    void(org.state_that(SURVEYOR, FIRST, "standing/1", envelope={"at": NOW}), "late")


def test_surveys_judge_alike_whether_anything_is_forgotten_or_not() -> None:
    """(F-97)"""
    org = of_set_3()
    broken = used(org)
    holds(state(org, replace(FIRST, grants=(broken.grant,), taken_at=org.now)))
    over(org, broken)
    org.now += timedelta(days=90)
    holds(pulse(org))
    again = replace(LATER, taken_at=org.now, before=FIRST.digest)
    holds(state(org, again))
    gone = replace(again, before=again.digest, digest="a7" * 32, grants=(broken.grant,))
    void(state(org, replace(gone, taken_at=org.now + SECOND)), "closed", quiet=True)
    alike(org.genesis, org.log.entries())
