"""The everyday yes, each no by its name with a way out, and how many people it takes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from breakglass.policy.decide import Allowed, NeedsApproval, NeedsCustodians, Refused, decide
from breakglass.policy.facts import IncidentFacts
from breakglass.records.signing.signature import Factor
from tests.policy.kit import NOW, OWN_WORD, SEV1, facts, policy_of

EXAMPLE = policy_of("example")
DEMO = policy_of("demo")
STRONG = Factor.PHISHING_RESISTANT
ROLLBACK_SCOPE = {"namespaces": ("shop",), "roles": ("breakglass-rollback",)}
BROAD = (
    "    blast_radius: contained\n    opens_gates: [deploy-approval]",
    "    blast_radius: broad\n    opens_gates: [deploy-approval]",
)


def refused(policy: Any, **changes: Any) -> Refused:
    answer = decide(policy, facts(**changes))
    assert isinstance(answer, Refused), answer
    assert all(0 < len(line) <= 500 and line.isprintable() for line in answer.why)
    return answer


def test_the_everyday_glass_opens_for_one_person_with_a_touched_key_and_an_open_incident() -> None:
    for glass in ("deploy-rollback", "orders-repair"):
        assert decide(DEMO, facts(glass=glass)) == Allowed((f"{glass}/when",))
    assert decide(EXAMPLE, facts(minter="prod-eu", scope=ROLLBACK_SCOPE)) == Allowed(
        ("deploy-rollback/when",)
    )


REFUSALS = [
    ({"glass": "deploy"}, "unknown_glass", "there are: deploy-rollback, orders-repair"),
    ({"who": "eve"}, "unknown_person", "the policy knows nobody called 'eve'"),
    ({"who": "sam"}, "not_listed", "ask one of: mira"),
    ({"factor": Factor.ONE}, "weak_factor", "sign again with your security key"),
    ({"age": timedelta(seconds=301)}, "stale_factor", "run the same command again"),
    ({"incident": None}, "no_incident", "declare one: breakglass incident declare"),
    (
        {"incident": IncidentFacts("INC-1", "SEV1", False, False)},
        "incident_closed",
        "incident 'INC-1' is closed",
    ),
    (
        {"incident": IncidentFacts("INC-1", "SEV3", False, True)},
        "incident_severity",
        "'INC-1' is SEV3, 'deploy-rollback' needs SEV1 or SEV2",
    ),
    ({"for_": timedelta(minutes=31)}, "too_long", "ask again with: --for 30m"),
    ({"minter": "orders-db"}, "wrong_minter", "mints nothing at 'orders-db'"),
    ({"scope": {"databases": ("orders",)}}, "wrong_scope", "leave the scope out"),
    ({"suspended": frozenset({"person:mira"})}, "suspended", "person 'mira' is suspended"),
    ({"suspended": frozenset({"glass:deploy-rollback"})}, "suspended", "these can lift it: "),
    ({"suspended": frozenset({"a thief has the keys"})}, "suspended", "stopped: a thief"),
    ({"path": "machine"}, "unknown_machine", "no machine called 'mira'"),
    ({"path": "jit"}, "cannot_be_asked", "break it instead"),
]


@pytest.mark.parametrize(
    ("changes", "name", "says"), REFUSALS, ids=[f"{n}-{i}" for i, (_, n, _) in enumerate(REFUSALS)]
)
def test_each_no_has_a_name_and_says_the_way_out(
    changes: dict[str, Any], name: str, says: str
) -> None:
    answer = refused(DEMO, **changes)
    assert answer.name == name
    assert says in answer.why[0]


def test_every_reason_is_told_at_once_so_that_nobody_tries_five_times() -> None:
    answer = refused(
        DEMO,
        who="sam",
        factor=Factor.ONE,
        age=timedelta(hours=1),
        incident=None,
        for_=timedelta(hours=9),
    )
    assert len(answer.why) == 5


def test_somebody_elses_suspension_stops_nobody_else() -> None:
    others = frozenset({"person:sam", "glass:orders-repair"})
    assert isinstance(decide(DEMO, facts(suspended=others)), Allowed)


def test_an_alias_is_the_same_person() -> None:
    assert isinstance(decide(DEMO, facts(who="mira@demo.example")), Allowed)
    suspended = frozenset({"person:mira"})
    assert refused(DEMO, who="mira@demo.example", suspended=suspended).name == "suspended"


@pytest.mark.parametrize(
    "now", [datetime(2025, 12, 31, 23, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)]
)
def test_nobody_acts_before_their_first_or_after_their_last_day(now: datetime) -> None:
    assert refused(EXAMPLE, who="teo", now=now).name == "not_eligible"
    assert isinstance(decide(EXAMPLE, facts(who="teo")), Allowed)


@pytest.mark.parametrize(
    "scope",
    [
        {"namespaces": ("shop", "kube-system"), "roles": ("breakglass-rollback",)},
        {"namespaces": ("shop",)},
        {"namespaces": ("shop",), "roles": ("breakglass-rollback",), "hosts": ("a",)},
        {"namespaces": ("shop",), "roles": ("cluster-admin",)},
    ],
)
def test_a_scope_wider_or_other_than_the_glass_is_refused(scope: dict[str, Any]) -> None:
    assert refused(EXAMPLE, minter="prod-eu", scope=scope).name == "wrong_scope"


def test_a_self_declared_incident_opens_a_contained_glass() -> None:
    assert isinstance(decide(DEMO, facts(incident=OWN_WORD)), Allowed)


def test_a_self_declared_incident_does_not_open_a_broader_glass_alone() -> None:
    alone = policy_of("demo", BROAD)
    assert isinstance(decide(alone, facts()), Allowed)
    answer = refused(alone, incident=OWN_WORD)
    assert answer.name == "self_declared"
    assert "came from monitoring or another outside source" in answer.why[0]


def test_a_second_signer_stands_in_for_the_outside_source() -> None:
    approvers = ("    for: 30m", "    for: 30m\n    approvers: {from: [group:leads]}")
    policy = policy_of("demo", BROAD, approvers)
    assert isinstance(decide(policy, facts(incident=OWN_WORD)), NeedsApproval)
    assert isinstance(decide(policy, facts(incident=OWN_WORD, approvals=("noor",))), Allowed)
    assert isinstance(decide(policy, facts(incident=SEV1)), Allowed)


def test_a_glass_that_insists_on_an_outside_source_takes_nobodys_word() -> None:
    key = {"glass": "key-deletion", "who": "sam", "factor": STRONG}
    answer = refused(EXAMPLE, **key, incident=OWN_WORD, approvals=("noor",))
    assert answer.name == "incident_source"


@pytest.mark.parametrize("path", ["glass", "jit"])
@pytest.mark.parametrize("incident", [SEV1, OWN_WORD])
def test_a_glass_of_two_people_without_the_second_lacks_approvers_whoever_declared(
    path: str, incident: IncidentFacts
) -> None:
    """No better incident would help, and nobody can break it alone; more people would."""
    any_source = ("incident_source: outside, mfa_age: 2m, ", "mfa_age: 2m, ")
    security = frozenset({"person:noor", "person:ines", "person:ravi"})
    answer = refused(
        policy_of("example", any_source),
        glass="key-deletion",
        who="sam",
        factor=STRONG,
        path=path,
        incident=incident,
        suspended=security,
    )
    assert answer.name == "no_approvers"
    assert "a maintainer must name more people" in answer.why[0]


def test_a_severe_glass_needs_a_second_person_of_the_named_group() -> None:
    key: dict[str, Any] = {"glass": "key-deletion", "who": "sam", "factor": STRONG}
    waiting = NeedsApproval(1, ("key-deletion/when",))
    assert decide(EXAMPLE, facts(**key)) == waiting
    assert decide(EXAMPLE, facts(**key, approvals=("noor",))) == Allowed(("key-deletion/when",))
    for nobody in [("sam",), ("mira",), ("eve",), ()]:
        assert decide(EXAMPLE, facts(**key, approvals=nobody)) == waiting
    suspended = frozenset({"person:noor"})
    assert decide(EXAMPLE, facts(**key, approvals=("noor",), suspended=suspended)) == waiting


def test_one_person_never_counts_twice_and_never_for_themselves() -> None:
    two = policy_of(
        "example",
        (
            "approvers: {from: [group:security], need: 1, ask_need: 2}",
            "approvers: {from: [group:security, group:sre-leads], need: 2}",
        ),
    )
    key: dict[str, Any] = {"glass": "key-deletion", "who": "sam", "factor": STRONG}
    for approvals in [("noor", "noor"), ("noor", "sam"), ("noor", "sam@shop.example")]:
        assert isinstance(decide(two, facts(**key, approvals=approvals)), NeedsApproval)
    assert isinstance(decide(two, facts(**key, approvals=("noor", "ines"))), Allowed)


def test_a_sealed_glass_waits_for_its_custodians_and_never_counts_the_breaker() -> None:
    root: dict[str, Any] = {"glass": "aws-root", "who": "noor", "factor": STRONG}
    assert decide(EXAMPLE, facts(**root)) == NeedsCustodians(2, 3, ("aws-root/when",))
    for joined in [("sam",), ("sam", "noor"), ("sam", "ines")]:
        assert isinstance(decide(EXAMPLE, facts(**root, approvals=joined)), NeedsCustodians)
    assert isinstance(decide(EXAMPLE, facts(**root, approvals=("sam", "escrow"))), Allowed)


def test_the_normal_path_asks_an_approver_first() -> None:
    assert decide(EXAMPLE, facts(path="jit")) == NeedsApproval(1, ("deploy-rollback/when",))
    assert isinstance(decide(EXAMPLE, facts(path="jit", approvals=("sam",))), Allowed)


def test_a_fresh_roster_says_who_approves_and_the_fallback_when_there_is_none() -> None:
    roster = {"shop-leads": ("ines",)}
    on_it = facts(path="jit", approvals=("ines",), rosters=roster)
    assert isinstance(decide(EXAMPLE, on_it), Allowed)
    off_it = facts(path="jit", approvals=("sam",), rosters=roster)
    assert isinstance(decide(EXAMPLE, off_it), NeedsApproval)
    assert isinstance(decide(EXAMPLE, facts(path="jit", approvals=("ines",))), NeedsApproval)


def test_a_rostered_breaker_passes_only_while_on_the_roster() -> None:
    who = "    who: [group:oncall-shop]"
    rest = "\n    when: {incident: [SEV1, SEV2], mfa_age: 5m}\n    approvers"
    policy = policy_of("example", (who + rest, who.replace("oncall-shop", "shop-leads") + rest))
    assert refused(policy, who="ines").name == "not_listed"
    roster = {"shop-leads": ("ines",)}
    assert isinstance(decide(policy, facts(who="ines", rosters=roster)), Allowed)
    assert refused(policy, who="sam", rosters=roster).name == "not_listed"


def test_while_mfa_is_down_one_factor_opens_the_stand_in_and_only_it() -> None:
    stand_in: dict[str, Any] = {"glass": "deploy-rollback.mfa-down", "factor": Factor.ONE}
    assert refused(EXAMPLE, **stand_in).name == "mfa_not_down"
    needs = NeedsApproval(1, ("deploy-rollback.mfa-down/when",))
    assert decide(EXAMPLE, facts(**stand_in, mfa_down=True)) == needs
    # The named approver's word alone counts, whoever else approves the everyday glass.
    for who in ("ines", "mira"):
        assert decide(EXAMPLE, facts(**stand_in, mfa_down=True, approvals=(who,))) == needs
    approved = facts(**stand_in, mfa_down=True, approvals=("sam",))
    assert isinstance(decide(EXAMPLE, approved), Allowed)
    assert refused(EXAMPLE, factor=Factor.ONE, mfa_down=True).name == "weak_factor"
    weak = refused(EXAMPLE, factor=Factor.ONE).why[0]
    assert "break 'deploy-rollback.mfa-down' instead, which sam must approve" in weak
    longer = refused(EXAMPLE, **stand_in, mfa_down=True, for_=timedelta(minutes=11))
    assert longer.name == "too_long"


def test_a_class_of_two_factors_without_touch_asks_for_verification() -> None:
    strict = policy_of(
        "example", ("two: [sk-presence, passkey]  ", "two: [sk-verified, passkey]  ")
    )
    assert refused(strict, factor=Factor.TWO).name == "weak_factor"
    assert isinstance(decide(strict, facts(factor=STRONG)), Allowed)


def test_a_machine_acts_with_its_own_glass_without_incident_or_signature_age() -> None:
    machine: dict[str, Any] = {
        "path": "machine",
        "who": "rollback-on-5xx",
        "minter": "prod-runner",
        "act": "undo-checkout",
        "incident": None,
    }
    answer = decide(EXAMPLE, facts(**machine, factor=Factor.ONE, age=timedelta(days=1)))
    assert answer == Allowed(("deploy-rollback/rollback-on-5xx",))
    for odd in [{"act": "pause-checkout"}, {"act": ""}, {"minter": "prod-eu"}, {"minter": ""}]:
        assert refused(EXAMPLE, **(machine | odd)).name == "wrong_act"
    other = refused(EXAMPLE, **machine, glass="orders-repair")
    assert other.name == "unknown_machine"
    assert refused(EXAMPLE, **machine, suspended=frozenset({"glass:deploy-rollback"})).name == (
        "suspended"
    )


def test_a_drill_meets_the_same_conditions() -> None:
    assert isinstance(decide(DEMO, facts(path="drill")), Allowed)
    assert refused(DEMO, path="drill", incident=None).name == "no_incident"


def test_two_clocks_a_little_apart_make_no_difference() -> None:
    assert isinstance(decide(DEMO, facts(age=timedelta(seconds=-90))), Allowed)
    later = NOW + timedelta(microseconds=400)
    assert decide(DEMO, facts(now=later)) == decide(DEMO, facts())


MIGRATION: dict[str, Any] = {
    "glass": "orders-migration",
    "path": "jit",
    "incident": None,
    "ticket": "OPS-311",
    "minter": "orders-db",
    "scope": {
        "databases": ("orders",),
        "may": ("create",),
        "templates": ("breakglass_orders_ddl",),
        "source": ("10.0.0.0/8", "192.0.2.0/24", "2001:db8:10::/48"),
    },
}


def test_planned_work_is_asked_for_behind_a_ticket_and_without_an_incident() -> None:
    assert decide(EXAMPLE, facts(**MIGRATION)) == NeedsApproval(2, ("orders-migration/when",))
    approved = facts(**MIGRATION, approvals=("noor", "sam"))
    assert isinstance(decide(EXAMPLE, approved), Allowed)
    answer = refused(EXAMPLE, **(MIGRATION | {"ticket": ""}))
    assert (answer.name, answer.why) == (
        "no_ticket",
        ("'orders-migration' needs a ticket, and none is named; add: --ticket TICKET",),
    )


def test_networks_that_the_card_does_not_name_are_a_wider_scope() -> None:
    wider = {**MIGRATION["scope"], "source": ("0.0.0.0/0",)}
    assert refused(EXAMPLE, **(MIGRATION | {"scope": wider})).name == "wrong_scope"
    fewer = {**MIGRATION["scope"], "source": ("192.0.2.0/24",)}
    assert isinstance(decide(EXAMPLE, facts(**(MIGRATION | {"scope": fewer}))), NeedsApproval)


def test_an_ask_takes_its_own_number_of_people_and_a_break_another() -> None:
    key: dict[str, Any] = {"glass": "key-deletion", "who": "sam", "factor": STRONG}
    one: dict[str, Any] = {**key, "approvals": ("noor",)}
    assert isinstance(decide(EXAMPLE, facts(**one)), Allowed)
    assert decide(EXAMPLE, facts(**one, path="jit")) == NeedsApproval(2, ("key-deletion/when",))
    drill = facts(**one, path="drill", drill_of_ask=True)
    assert decide(EXAMPLE, drill) == NeedsApproval(2, ("key-deletion/when",))
    assert isinstance(decide(EXAMPLE, facts(**one, path="drill")), Allowed)


def test_a_drill_of_an_ask_is_refused_where_nobody_can_be_asked() -> None:
    assert refused(DEMO, path="drill", drill_of_ask=True).name == "cannot_be_asked"
    unasked = ("approvers: {from: [group:shop-leads]}", "approvers: {from: [sam], ask_need: 0}")
    policy = policy_of("example", unasked, ("    silence: 120s\n", ""))
    assert refused(policy, path="jit").name == "cannot_be_asked"


@pytest.mark.parametrize(
    ("ahead", "holds"),
    [
        (timedelta(0), False),
        (timedelta(milliseconds=1), True),
        (timedelta(days=2), True),
        (timedelta(days=2, milliseconds=1), False),
        (-timedelta(hours=1), False),
    ],
)
def test_an_ask_starts_after_its_own_time_and_as_far_ahead_as_the_glass_says(
    ahead: timedelta, holds: bool
) -> None:
    # The distance counts from the statement's own time, four seconds ago, as verifiers count it.
    starts = NOW - timedelta(seconds=4) + ahead
    answer = decide(EXAMPLE, facts(**MIGRATION, starts=starts))
    assert isinstance(answer, NeedsApproval if holds else Refused)
    if isinstance(answer, Refused):
        assert (answer.name, answer.why[0].startswith("'orders-migration' can start at most 2d")
                ) == ("wrong_start", True)  # fmt: skip


def test_what_is_broken_starts_at_once() -> None:
    starts = NOW + timedelta(hours=1)
    assert (
        "only an ask" in refused(EXAMPLE, **(MIGRATION | {"path": "glass"}), starts=starts).why[0]
    )
    assert refused(EXAMPLE, path="jit", starts=starts).name == "wrong_start"


def test_an_entry_has_acts_or_a_credential_and_nobody_picks() -> None:
    runner: dict[str, Any] = {"minter": "prod-runner"}
    assert isinstance(decide(EXAMPLE, facts(**runner, act="pause-checkout")), Allowed)
    answer = refused(EXAMPLE, **runner)
    assert answer.name == "wrong_act"
    assert answer.why[0].endswith("name one of: pause-checkout, undo-checkout")
    credential: dict[str, Any] = {"minter": "prod-eu", "scope": ROLLBACK_SCOPE}
    assert refused(EXAMPLE, **credential, act="undo-checkout").name == "wrong_act"
    assert refused(EXAMPLE, act="undo-checkout").name == "wrong_act"


def test_a_reason_is_one_of_the_policys_and_other_stands_in_every_policy() -> None:
    for reason in ("gate-slow", "other"):
        assert isinstance(decide(EXAMPLE, facts(reason=reason)), Allowed)
    answer = decide(EXAMPLE, facts(reason="because"))
    assert isinstance(answer, Refused)
    assert answer.name == "unknown_reason"
    assert answer.why[0].startswith("the policy has no reason 'because'; name one of: gate-slow, ")
    few = policy_of("demo", ("  other: none of these\n", ""))
    assert isinstance(decide(few, facts(reason="other")), Allowed)
