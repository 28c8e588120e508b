"""Which roster counts, and what is said where none does."""

from __future__ import annotations

from datetime import timedelta

import pytest

from breakglass.errors import MalformedError
from breakglass.policy.decide import Allowed, NeedsApproval, Refused, decide
from breakglass.policy.explain import explain
from breakglass.policy.rosters import fresh, lately_fresh
from breakglass.records.fold.slices.monitor import RosterState
from tests.policy.kit import NOW, facts, policy_of

GROUP, SOURCE = "shop-leads", "pagerduty:PSHOP"
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
BUNDLE = policy_of("example").bundle


def roster(
    *people: str, age: timedelta = HOUR, source: str = SOURCE, index: int = 9
) -> RosterState:
    return RosterState(people, source, NOW - age, NOW - age, index)


def test_the_newest_roster_counts_until_the_policy_calls_it_old() -> None:
    kept = {GROUP: (roster("ines"), roster("sam", age=2 * HOUR)), "other": (roster("mira"),)}
    assert fresh(kept, BUNDLE, NOW) == {GROUP: ("ines",)}
    edge = {GROUP: (roster("ines", age=12 * HOUR),)}
    assert fresh(edge, BUNDLE, NOW) == {GROUP: ("ines",)}
    assert fresh(edge, BUNDLE, NOW + SECOND) == {}


@pytest.mark.parametrize(
    "found",
    [roster(), roster("ines", source="pagerduty:POTHER"), roster("ines", age=13 * HOUR)],
    ids=["of nobody", "of another source", "old"],
)
def test_another_roster_is_none_and_no_older_one_takes_its_place(found: RosterState) -> None:
    assert fresh({GROUP: (found, roster("sam", age=2 * HOUR))}, BUNDLE, NOW) == {}


def test_who_decides_again_sees_each_set_of_a_moment_ago() -> None:
    minute = timedelta(minutes=1)
    new, old = roster("ines", age=minute, index=20), roster("sam", age=11 * HOUR, index=7)
    both = lately_fresh({GROUP: (new, old)}, BUNDLE, NOW, 2 * minute)
    assert both == ({GROUP: ("ines",)}, {GROUP: ("sam",)})
    assert lately_fresh({GROUP: (new, old)}, BUNDLE, NOW + 2 * minute, 2 * minute) == both[:1]
    went = roster("sam", age=12 * HOUR + minute)
    assert lately_fresh({GROUP: (went,)}, BUNDLE, NOW, 2 * minute) == ({}, {GROUP: ("sam",)})
    assert lately_fresh({}, BUNDLE, NOW, 2 * minute) == ({},)


def test_a_refusal_says_that_no_roster_is_fresh_and_who_counts_meanwhile() -> None:
    who = "    who: [group:oncall-shop]"
    rest = "\n    when: {incident: [SEV1, SEV2], mfa_age: 5m}\n    approvers"
    policy = policy_of("example", (who + rest, who.replace("oncall-shop", "shop-leads") + rest))
    found = decide(policy, facts(who="ines"))
    assert isinstance(found, Refused)
    assert found.why[0] == (
        "'ines' is not allowed to break 'deploy-rollback' now: not on call; ask one of: sam"
        " (group 'shop-leads' has no roster of at most 12h, so its 'else' counts)"
    )
    assert isinstance(decide(policy, facts(who="ines", rosters={GROUP: ("ines",)})), Allowed)
    other = decide(policy, facts(who="ines", rosters={GROUP: ("ravi",)}))
    assert isinstance(other, Refused)
    assert other.why[0].endswith("ask one of: ravi")


def test_an_ask_that_nobody_present_can_approve_says_so() -> None:
    policy = policy_of("example", ("else: [sam]", "else: [mira]"))
    found = decide(policy, facts(who="mira", path="jit"))
    assert isinstance(found, Refused)
    assert "so its 'else' counts" in found.why[0]
    on_call = facts(who="mira", path="jit", rosters={GROUP: ("ines",)})
    assert isinstance(decide(policy, on_call), NeedsApproval)


def test_explain_names_the_source_and_who_counts_without_it() -> None:
    told = explain(policy_of("example"), "mira", "deploy-rollback", NOW)
    line = "  roster  shop-leads from pagerduty:PSHOP, 12h old at most; without one: sam"
    assert line in told


@pytest.mark.parametrize(
    "source", ["pagerduty", "file:", "file:../x", "file:a/b", "pagerduty:x", "ical:x", "file:A"]
)
def test_a_source_is_a_file_of_the_folder_or_a_schedule(source: str) -> None:
    with pytest.raises(MalformedError, match="a source: file:NAME"):
        policy_of("example", ("pagerduty:PSHOP", source))
