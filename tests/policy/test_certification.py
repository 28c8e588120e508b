"""A group that nobody looks through any more: advice first, then it counts for nobody."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from breakglass.errors import MalformedError
from breakglass.operate import doctor
from breakglass.policy.approvers import valid_approvals
from breakglass.policy.compile import CompiledPolicy, compile_policy
from breakglass.policy.decide import Allowed, NeedsApproval, Refused, decide
from breakglass.policy.explain import explain
from breakglass.policy.lint import lint
from tests.policy.kit import NOW, facts, files_of, policy_of

ONCALL, LEADS = "oncall: {members: [mira]", "leads:  {members: [sam, noor]"
LEADS_CERTIFIED = (f"{LEADS}}}", f"{LEADS}, certified: {{by: noor, on: 2026-06-01}}}}")
_END = """
    when: {incident: [SEV1, SEV2], mfa_age: 5m}
    review: {due: 3 business days, by: [group:leads]}

"""
LAST = datetime(2026, 6, 29, 23, 59, 59, tzinfo=UTC)  # the last second of the 90th day
OVER = LAST + timedelta(seconds=1)


def oncall(on: str) -> tuple[str, str]:
    return (f"{ONCALL}}}", f"{ONCALL}, certified: {{by: sam, on: {on}}}}}")


def policy(then: str = "refuse", on: str = "2026-03-31", *more: tuple[str, str]) -> CompiledPolicy:
    return policy_of(
        "demo",
        oncall(on),
        LEADS_CERTIFIED,
        ("kill:", f"certify: {{every: 90d, then: {then}}}\nkill:"),
        *more,
    )


def test_a_group_counts_to_the_end_of_its_last_day_and_for_nobody_after_it() -> None:
    assert isinstance(decide(policy(), facts(now=LAST)), Allowed)
    answer = decide(policy(), facts(now=OVER))
    assert isinstance(answer, Refused)
    assert answer.name == "not_certified"
    assert answer.why == (
        "'mira' is listed for 'deploy-rollback' by group oncall, which nobody has certified for"
        " 90d; a maintainer certifies it: a new 'on' under 'certified'; others who may: nobody",
    )


def test_where_the_policy_only_advises_the_decision_stays_and_lint_and_explain_say_it() -> None:
    advising = policy("advise")
    assert isinstance(decide(advising, facts(now=OVER)), Allowed)
    (said,) = [each for each in lint(advising, now=OVER) if each.path.endswith(".certified")]
    assert said.message == "last certified 2026-03-31, more than 90 days ago"
    assert explain(advising, "mira", "orders-repair", OVER)[0] == (
        "group:oncall was certified 2026-03-31, the policy asks for it every 90d"
    )
    assert explain(policy(), "mira", "orders-repair", OVER)[0].endswith(": it counts for nobody")
    assert not explain(policy(), "mira", "orders-repair", LAST)[0].startswith("group:")


def test_a_bundle_without_a_word_of_it_decides_as_ever() -> None:
    old = policy_of("demo", oncall("2001-01-01"))
    assert isinstance(decide(old, facts(now=OVER)), Allowed)


def test_who_is_named_beside_the_group_goes_on_and_a_stranger_is_only_not_listed() -> None:
    named = (f"who: [group:oncall]{_END}", f"who: [group:oncall, mira]{_END}")
    assert isinstance(decide(policy("refuse", "2026-03-31", named), facts(now=OVER)), Allowed)
    answer = decide(policy(), facts(who="sam", now=OVER))
    assert isinstance(answer, Refused)
    assert answer.name == "not_listed"


def test_an_approval_by_an_uncertified_group_counts_no_more() -> None:
    def asked(on: str) -> object:
        two = policy_of(
            "demo",
            oncall("2026-06-20"),
            (f"{LEADS}}}", f"{LEADS}, certified: {{by: noor, on: {on}}}}}"),
            ("    for: 20m\n", "    for: 20m\n    approvers: {from: [group:leads]}\n"),
            ("kill:", "certify: {every: 90d, then: refuse}\nkill:"),
        )
        return decide(two, facts(glass="orders-repair", path="jit", approvals=("sam",), now=NOW))

    assert isinstance(asked("2026-06-01"), Allowed)
    answer = asked("2026-01-01")
    assert isinstance(answer, Refused)
    assert answer.name == "no_approvers"
    assert not isinstance(answer, NeedsApproval)


def nested(*more: tuple[str, str]) -> CompiledPolicy:
    """A fresh roster whose members come from a group that was certified too long ago."""
    roster = (
        "  duty: {members: [group:oncall], roster: 'file:duty', at_most_old: 1h, else: [noor],"
        " certified: {by: sam, on: 2026-06-01}}\n"
    )
    return policy(
        "refuse",
        "2026-03-31",
        ("groups:\n", f"groups:\n{roster}"),
        (f"who: [group:oncall]{_END}", f"who: [group:duty]{_END}"),
        *more,
    )


def test_who_stands_on_a_roster_by_a_group_that_counts_for_nobody_is_not_on_it() -> None:
    on_it = {"duty": ("mira",)}
    assert isinstance(decide(nested(), facts(now=LAST, rosters=on_it)), Allowed)
    answer = decide(nested(), facts(now=OVER, rosters=on_it))
    assert isinstance(answer, Refused)
    assert answer.name == "not_certified"
    assert "by group oncall, which" in answer.why[0]
    approvers = ("    for: 20m\n", "    for: 20m\n    approvers: {from: [group:duty]}\n")
    asking = facts(
        who="sam", glass="orders-repair", path="jit", approvals=("mira",), now=OVER, rosters=on_it
    )
    bundle = nested(approvers).bundle
    glass = bundle.glasses["orders-repair"]
    assert valid_approvals(bundle, glass, replace(asking, now=LAST)) == ("mira",)
    assert valid_approvals(bundle, glass, asking) == ()


def test_only_groups_that_the_glass_means_are_named() -> None:
    other = "  others: {members: [mira], certified: {by: sam, on: 2026-01-01}}\n"
    changed = policy("refuse", "2026-03-31", ("groups:\n", f"groups:\n{other}"))
    answer = decide(changed, facts(now=OVER))
    assert isinstance(answer, Refused)
    assert "by group oncall, which" in answer.why[0]


def test_a_forbid_of_a_group_that_counts_for_nobody_goes_on_forbidding() -> None:
    cedar = {
        "own.cedar": '@id("no-oncall")\nforbid (principal in Group::"oncall", action, resource);'
    }
    named = (f"who: [group:oncall]{_END}", f"who: [group:oncall, mira]{_END}")
    changes = (oncall("2026-03-31"), LEADS_CERTIFIED, named)
    certify = ("kill:", "certify: {every: 90d, then: refuse}\nkill:")
    answer = decide(policy_of("demo", *changes, certify, cedar=cedar), facts(now=OVER))
    assert isinstance(answer, Refused)
    assert answer.name == "forbidden"


def test_a_group_that_nobody_ever_certified_is_an_error_before_it_can_refuse() -> None:
    change = ("kill:", "certify: {every: 90d, then: refuse}\nkill:")
    with pytest.raises(MalformedError, match="a group that nobody has certified") as caught:
        policy_of("demo", change)
    assert "certified: {by: NAME" in caught.value.hint
    advising = policy_of("demo", ("kill:", "certify: {every: 90d, then: advise}\nkill:"))
    assert isinstance(decide(advising, facts(now=OVER)), Allowed)


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("{every: 90d}", "'then' in 'certify'"),
        ("{every: 12h, then: refuse}", "a duration from 1d to 731d"),
        ("{every: 90d, then: warn}", "one of advise, refuse"),
    ],
)
def test_what_certify_must_say(written: str, wanted: str) -> None:
    with pytest.raises(MalformedError, match=wanted):
        policy_of("demo", ("kill:", f"certify: {written}\nkill:"))


@pytest.mark.parametrize("then", ["refuse", "advise"])
def test_a_certification_of_a_day_that_has_begun_nowhere_is_an_error_where_today_is_known(
    then: str,
) -> None:
    files = files_of(
        "demo",
        oncall("2029-03-31"),
        LEADS_CERTIFIED,
        ("kill:", f"certify: {{every: 90d, then: {then}}}\nkill:"),
    )
    compile_policy(files)  # as broker and monitor do, also of what took force once
    begins = datetime(2029, 3, 30, 10, tzinfo=UTC)  # the 31st, 00:00, at UTC+14
    compile_policy(files, now=begins)
    wanted = "groups.oncall.certified: certified 2029-03-31, a day that has not begun"
    with pytest.raises(MalformedError, match=wanted) as caught:
        compile_policy(files, now=begins - timedelta(seconds=1))
    assert caught.value.name == "lint"


def test_doctor_warns_two_weeks_ahead_and_fails_once_nobody_counts() -> None:
    def found(now: datetime, then: str = "refuse") -> list[tuple[str, str]]:
        bundle = policy(then).bundle
        return [(each.weight.value, each.says) for each in doctor._certified(bundle, now)]

    assert found(OVER - timedelta(days=15)) == []
    ahead = "group 'oncall' is certified to the end of 2026-06-29"
    assert found(OVER - timedelta(days=13)) == [("WARN", f"{ahead}, and then counts for nobody")]
    assert found(LAST) == found(OVER - timedelta(days=13))
    past = ahead.replace("is certified", "was certified")
    assert found(OVER) == [("FAIL", f"{past}, and counts for nobody")]
    assert found(OVER, "advise") == [("WARN", past)]
    assert found(LAST, "advise") == [("WARN", ahead)]
    assert list(doctor._certified(policy_of("demo").bundle, OVER)) == []
