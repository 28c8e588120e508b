"""How grants end early and follow one another, as a bundle says it: read, linted, decided."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from breakglass.broker.grants.authorization import moment_of
from breakglass.errors import MalformedError
from breakglass.monitor.decision_replay import case_of
from breakglass.policy.bundle import pack_bundle
from breakglass.policy.decide import NeedsApproval, Refused, decide
from breakglass.policy.earlier_grants import EarlierGrants, earlier_grants, plain
from breakglass.policy.early_ends import CLOSED_FOR, ends_with_incident, lives_of
from breakglass.policy.grant_life import NO_LIFE, GrantLife
from breakglass.policy.lint import lint_bundle
from breakglass.policy.parse import parse_bundle
from breakglass.records.fold.slices.incidents import IncidentState, IncidentWord
from breakglass.records.statement import Do, Why, digest_of
from tests.kit.lives import EndingOrganisation
from tests.kit.scheduled import put_kinds_2_in_force, schedule
from tests.monitor.stand_ins import history_of
from tests.policy.kit import NOW, facts, files_of, policy_of
from tests.policy.test_decide import MIGRATION
from tests.records.folding import begun, orders

EXAMPLE = policy_of("example")
MINUTE = timedelta(minutes=1)
FOR = "    for: 20m\n"


def life(text: str) -> GrantLife:
    files = files_of("demo", ("    for: 20m\n", f"    for: 20m\n{text}"))
    return lives_of(pack_bundle(files))["orders-repair"]


def test_a_glass_says_when_its_grants_end_and_how_long_they_follow() -> None:
    assert life("") == NO_LIFE
    said = "    ends_with_incident: true\n    idle: 10m\n    extend: {at_most: 2h}\n"
    assert life(said) == GrantLife(True, 10 * MINUTE, 120 * MINUTE)
    assert life("    ends_with_incident: false\n") == NO_LIFE


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ("idle: 30s", "a duration from 1m to 12h"),
        ("idle: 13h", "a duration from 1m to 12h"),
        ("ends_with_incident: yes", "true or false"),
        ("extend: 2h", "a mapping"),
        ("extend: {}", "'at_most' in extend"),
        ("extend: {at_most: 8d}", "a duration from 1m to 7d"),
    ],
)
def test_what_is_wrong_in_them_is_named(said: str, says: str) -> None:
    with pytest.raises(MalformedError, match=says):
        life(f"    {said}\n")


@pytest.mark.parametrize(
    ("glass", "said", "level", "says"),
    [
        ("deploy-rollback", "idle: 10m", "warning", "a gate cannot tell when a grant was used"),
        ("orders-repair", "idle: 20m", "advice", "over before it can lie idle so long"),
        ("orders-repair", "extend: {at_most: 2h}", "advice", "a break is not limited by it"),
    ],
)
def test_lint_names_what_can_do_nothing(glass: str, said: str, level: str, says: str) -> None:
    does = {"orders-repair": "20m", "deploy-rollback": "30m"}[glass]
    files = files_of("demo", (f"    for: {does}\n", f"    for: {does}\n    {said}\n"))
    found = [each for each in lint_bundle(parse_bundle(files)) if says in str(each)]
    assert [str(each.level) for each in found] == [level]


def test_one_grant_is_never_longer_than_all_of_them_together() -> None:
    with pytest.raises(MalformedError, match="1h together, and one grant may last 2h"):
        policy_of("example", ("{at_most: 6h}", "{at_most: 1h}"))


def test_a_glass_that_takes_no_incident_ends_with_none() -> None:
    said = "    ahead: 2d\n    ends_with_incident: true\n"
    files = files_of("example", ("    ahead: 2d\n", said))
    found = [str(each) for each in lint_bundle(parse_bundle(files))]
    assert any("outlives every close" in each for each in found)


# --- extension ------------------------------------------------------------------------------------


def earlier(since: timedelta, *reasons: str) -> EarlierGrants:
    return EarlierGrants(NOW, NOW - since, reasons)


def asked(**changes: Any) -> Any:
    return decide(EXAMPLE, facts(**{**MIGRATION, "for_": 60 * MINUTE, **changes}))


def test_an_ask_that_follows_a_grant_takes_a_reason_of_its_own() -> None:
    before = earlier(60 * MINUTE, "move shard 3")
    answer = asked(earlier=before, typed="  Move SHARD 3! ")
    assert isinstance(answer, Refused)
    assert answer.name == "same_reason"
    assert "breakglass break orders-migration" in answer.why[0]
    said = asked(earlier=before, typed="shard 3 was larger than thought")
    assert isinstance(said, NeedsApproval)


def test_uninterrupted_grants_last_as_long_as_the_glass_says_and_no_longer() -> None:
    new = "shard 4 too"
    assert isinstance(asked(earlier=earlier(300 * MINUTE, "move"), typed=new), NeedsApproval)
    answer = asked(earlier=earlier(301 * MINUTE, "move"), typed=new)
    assert isinstance(answer, Refused)
    assert answer.name == "extended_enough"
    assert (
        "it would be 361m in a row, and the policy gives 6h; ask for 59m at most" in answer.why[0]
    )
    over = asked(earlier=earlier(360 * MINUTE, "move"), typed=new)
    assert isinstance(over, Refused)
    assert "let it end first" in over.why[0]


def reaching(begins_in: timedelta, ends_in: timedelta, since: timedelta) -> EarlierGrants:
    return EarlierGrants(NOW, NOW - since, (), NOW + begins_in, NOW + ends_in)


def test_a_start_that_is_reached_counts_and_what_ends_before_it_is_said() -> None:
    ahead = reaching(60 * MINUTE, 300 * MINUTE, 60 * MINUTE)
    assert isinstance(asked(earlier=ahead, typed="x"), NeedsApproval)  # 6 h, as the glass says
    answer = asked(earlier=reaching(60 * MINUTE, 301 * MINUTE, 60 * MINUTE), typed="x")
    assert isinstance(answer, Refused)
    assert answer.name == "extended_enough"
    assert "and the start at 2026-06-22 04:14 it would be 361m in a row" in answer.why[0]
    assert "; ask for 59m at most;" in answer.why[0]
    alone = asked(earlier=reaching(60 * MINUTE, 361 * MINUTE, 0 * MINUTE), typed="x")
    assert "'mira' would have 'orders-migration' since 2026-06-22 03:14 UTC" in alone.why[0]


@pytest.mark.parametrize(
    ("ahead", "for_s", "reached"),
    [
        (20 * MINUTE, 1200, True),
        (20 * MINUTE, 1199, False),
        (10 * MINUTE, 1200, True),
        (60 * MINUTE, 1200, False),
    ],
)
def test_broker_and_monitor_derive_the_same_of_a_start_that_an_ask_reaches(
    ahead: timedelta, for_s: int, reached: bool
) -> None:
    org = EndingOrganisation()
    org.begin()
    put_kinds_2_in_force(org)
    card = org.card_note("orders-repair")
    start = schedule(org, card, ahead=ahead, for_s=1200)
    assert org.judged[-1].holds, org.judged[-1]
    org.now += timedelta(milliseconds=1)
    said = org.statement(
        do=Do.ASK, glass="orders-repair", nonce="a2" * 16, reason=Why("production", "x"),
        for_s=for_s, at=org.now,
    )  # fmt: skip
    signed = org.sign(said)
    org.state_that("broker", org.asked(signed))
    began = org.now
    before = moment_of(said, "g-none", org.state, org.now).earlier
    yes = org.sign(org.answer(digest_of(signed.text), nonce="2e" * 16, at=org.now))
    own = org.break_glass(said=said, signed=signed, approvals=(yes,), card=card)
    assert org.judged[-1].holds, org.judged[-1]
    assert case_of(own.grant, org.state, history_of(org)).earlier == before
    begins = org.state.grants.by_id[start.grant].not_before
    if not reached:
        assert before is None
        return
    end = begins + timedelta(seconds=1200)
    assert before == EarlierGrants(began, began, (), begins, end)
    assert before.together(timedelta(seconds=for_s)) == end - began
    assert before.left(60 * MINUTE) == begins - began - MINUTE
    withdrawn = replace(org.state.grants.by_id[start.grant], ended_at=began)
    org.state.grants.by_id[start.grant] = withdrawn
    assert earlier_grants(org.state, said, began, own.grant) is None


def test_a_break_is_limited_by_no_extension() -> None:
    before = earlier(360 * MINUTE, "same")
    demo = policy_of("demo")
    assert decide(demo, facts(earlier=before, typed="same")) == decide(demo, facts())


def test_reasons_are_compared_by_their_words() -> None:
    assert plain("Still  (repairing) shard-3 ...") == plain("still repairing shard 3")
    assert plain("\uff33hard 3") == "shard 3"  # NFKC: a fullwidth letter is the letter
    assert plain("shard 3") != plain("shard 4")


# --- the end with the incident --------------------------------------------------------------------


def closed(by: str = "bo", **changes: Any) -> IncidentState:
    word = IncidentWord("SEV1", "down", False, by)
    found = IncidentState("INC-4821", "SEV1", "down", True, False, NOW, NOW + MINUTE, word)
    return replace(found, **changes)


WITH = GrantLife(with_incident=True)


def test_a_close_warns_for_ten_minutes_and_the_holders_own_ends_at_once() -> None:
    org = begun()
    grant = org.state.grants.by_id[orders(org).grant]
    assert ends_with_incident(WITH, grant, closed()) == NOW + MINUTE + CLOSED_FOR
    assert ends_with_incident(WITH, grant, closed("mira")) == NOW + MINUTE
    assert ends_with_incident(NO_LIFE, grant, closed()) is None
    assert ends_with_incident(WITH, replace(grant, incident=""), closed()) is None
    assert ends_with_incident(WITH, grant, None) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"open": True, "closed_at": None},  # declared open again
        {"word": None},  # the broker's word alone
        {"word": IncidentWord("SEV1", "down", True, "bo")},  # a person's last word was: open
        {"open": True},  # a person closed it, and the broker says that it runs
    ],
)
def test_no_word_but_a_persons_close_ends_a_repair(changes: dict[str, Any]) -> None:
    org = begun()
    grant = org.state.grants.by_id[orders(org).grant]
    assert ends_with_incident(WITH, grant, closed(**changes)) is None
