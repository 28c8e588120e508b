"""Grants that start later: one for a person and glass, decided again, and asked again at start."""

from __future__ import annotations

from dataclasses import replace

import pytest

from breakglass.clock import format_time
from breakglass.records import all_kinds as kinds
from breakglass.records.fold.fold import fold
from breakglass.records.fold.scheduled_start import right_lost, start_refused
from breakglass.records.fold.slices.grant_table import pack, unpack
from breakglass.records.grant import EndedWhy
from breakglass.records.kinds.incident import IncidentChange
from breakglass.records.people_list import PeopleList
from breakglass.records.statement import Do, Target, digest_of

from ..kit.organisation import SECOND, SKEW, Broken, Organisation
from ..kit.scheduled import GLASS, HOUR, decided_again, put_kinds_2_in_force, schedule
from .folding import MINUTE, begun, ended, holds, last, orders, void
from .test_fold_asks import Ask


@pytest.fixture
def org() -> Organisation:
    found = begun()
    put_kinds_2_in_force(found)
    return found


@pytest.fixture
def card(org: Organisation) -> bytes:
    return org.card_note(GLASS)


def refusal(org: Organisation, broken: Broken) -> str:
    return start_refused(org.state, org.state.grants.by_id[broken.grant])


def test_a_later_justified_of_what_starts_later_holds(org: Organisation, card: bytes) -> None:
    """(F-98)"""
    broken = schedule(org, card)
    holds(last(org))
    holds(decided_again(org, broken))
    org.now += HOUR - 4 * MINUTE
    void(decided_again(org, broken, leaf="ab" * 32), "mismatch")
    holds(decided_again(org, broken))
    grant = org.state.grants.by_id[broken.grant]
    assert grant.justified_at == org.now
    at_once = orders(org, card=card)
    holds(decided_again(org, at_once))
    void(decided_again(org, at_once), "lost_race", quiet=True)
    holds(ended(org, broken.grant, EndedWhy.NOT_MINTED))
    void(decided_again(org, broken), "lost_race", quiet=True)


def test_under_kinds_1_the_first_justified_stands_and_nothing_starts_later() -> None:
    """(F-98)"""
    org = begun()
    broken = schedule(org, org.card_note(GLASS))
    holds(last(org))
    holds(decided_again(org, broken))
    void(decided_again(org, broken), "lost_race", quiet=True)
    assert "kinds 2" in refusal(org, broken)


@pytest.mark.parametrize("kinds", ["1", "2"])
def test_an_ask_that_starts_later_waits_until_then_at_most(kinds: str) -> None:
    """(F-80) Since set 2: what would have begun before it was granted is never granted."""
    org = begun()
    if kinds == "2":
        put_kinds_2_in_force(org)
    start = org.now + 2 * MINUTE
    ask = Ask(org, glass=GLASS, starts=format_time(start))
    holds(ask.judged)
    assert (org.state.grants.asked[ask.grant].until == start) == (kinds == "2")
    org.now = start + SECOND
    again = Ask(org, "a6", glass=GLASS).judged
    holds(again) if kinds == "2" else void(again, "asked_already")


def test_one_start_of_a_person_and_glass_is_set_at_a_time(org: Organisation, card: bytes) -> None:
    """(F-99) Else a chain of asks would be standing access that was approved once, tiredly."""
    first = schedule(org, card)
    holds(last(org))
    schedule(org, card, "a6", 2 * HOUR)
    void(last(org), "scheduled_already", quiet=True)
    org.now += SKEW + SECOND
    schedule(org, card, "a7", 2 * HOUR)
    void(last(org), "scheduled_already")
    schedule(org, card, "a8", 2 * HOUR, who="teo")
    holds(last(org))
    void(ended(org, first.grant, EndedWhy.WITHDRAWN), "no_statement")
    mine = digest_of(first.signed.text)
    by_another = org.sign(org.answer(mine, do=Do.WITHDRAW, who="teo", at=org.now))
    void(ended(org, first.grant, EndedWhy.WITHDRAWN, by_another), "mismatch")
    done = org.sign(org.answer(mine, do=Do.DONE, nonce="d1" * 16, who="mira", at=org.now))
    void(ended(org, first.grant, EndedWhy.WITHDRAWN, done), "mismatch")
    word = org.sign(org.answer(mine, do=Do.WITHDRAW, nonce="d2" * 16, who="mira", at=org.now))
    holds(ended(org, first.grant, EndedWhy.WITHDRAWN, word))
    schedule(org, card, "a9", 2 * HOUR)
    holds(last(org))
    org.now += 2 * HOUR
    schedule(org, card, "aa", 2 * HOUR)  # the one before has begun
    holds(last(org))
    assert fold(org.genesis, org.log.entries()).digest() == org.state.digest()


def test_at_its_start_everything_is_asked_again(org: Organisation, card: bytes) -> None:
    broken = schedule(org, card)
    holds(decided_again(org, broken))
    assert refusal(org, broken) == "the monitor has not decided again at its start"
    org.now += HOUR - 5 * MINUTE
    holds(decided_again(org, broken))
    assert refusal(org, broken) == ""


def test_a_closed_incident_lets_nothing_start(org: Organisation, card: bytes) -> None:
    broken = schedule(org, card)
    org.now += HOUR
    holds(decided_again(org, broken))
    said = org.declare(do=Do.CLOSE, who="bo", nonce="c9" * 16, at=org.now)
    body = kinds.Incident(
        said.incident, IncidentChange.CLOSED, said.severity, said.title, "x", True, org.sign(said)
    )
    holds(org.state_that("broker", body))
    assert refusal(org, broken) == "incident 'INC-4821' is not open"


@pytest.mark.parametrize("who", ["mira", "sam"])
def test_a_suspended_asker_or_approver_lets_nothing_start(
    org: Organisation, card: bytes, who: str
) -> None:
    broken = schedule(org, card)
    # sam signs the word against sam too: who may kill may stop themselves.
    word = org.sign(org.kill(Target.PERSON, who))
    holds(org.state_that("broker", kinds.Suspended(Target.PERSON, who, True, word)))
    grant = org.state.grants.by_id[broken.grant]
    assert right_lost(org.state, grant) == f"person {who!r} is suspended"


@pytest.mark.parametrize("who", ["mira", "sam"])
def test_who_left_the_card_or_has_another_key_lets_nothing_start(
    org: Organisation, card: bytes, who: str
) -> None:
    broken = schedule(org, card)
    grant = org.state.grants.by_id[broken.grant]
    active = org.state.governance.cards[GLASS]
    lines = active.people.by_name
    for others in (
        [line for name, line in lines.items() if name != who],
        [
            replace(line, keys=lines["bo"].keys) if name == who else line
            for name, line in lines.items()
            if name != "bo"
        ],
    ):
        new = replace(active, people=PeopleList(others))
        assert "does not give it any more" in right_lost(org.state, grant, new)
    assert right_lost(org.state, grant, active) == ""


@pytest.mark.parametrize(
    "changes", [{"ahead_s": 0}, {"for_s": 600}, {"mints": ()}, {"ask_need": 2}]
)
def test_a_card_that_gives_less_lets_nothing_start(
    org: Organisation, card: bytes, changes: dict[str, object]
) -> None:
    grant = org.state.grants.by_id[schedule(org, card).grant]
    active = org.state.governance.cards[GLASS]
    new = replace(active, card=replace(active.card, **changes))
    assert "does not give it any more" in right_lost(org.state, grant, new)


def test_when_a_start_was_decided_survives_packing(org: Organisation, card: bytes) -> None:
    broken = schedule(org, card)
    holds(decided_again(org, broken))
    holds(ended(org, broken.grant, EndedWhy.NOT_MINTED))
    grant = org.state.grants.by_id[broken.grant]
    assert unpack(grant.grant, pack(grant)).justified_at == grant.justified_at is not None
    table = org.state.grants.by_id
    table.shrink(broken.grant)
    assert [each.grant for each in table.of("mira", GLASS)] == [broken.grant]
    assert table.of("teo", GLASS) == []
