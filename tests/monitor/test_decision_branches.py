"""The second decision, branch by branch: a broker's claims meet signatures, times and rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any

import pytest

from breakglass.monitor.decision_replay import (
    ROUNDING,
    Case,
    Unjustified,
    case_of,
    compiled,
    replay_decision,
)
from breakglass.policy.bundle import pack_bundle, unpack_bundle
from breakglass.policy.review_deadline import review_due
from breakglass.records.card import Tier
from breakglass.records.kinds.asked import Factors
from breakglass.records.kinds.justified import Justified
from breakglass.records.record_reader import parse_record
from breakglass.records.signing.signature import Factor
from breakglass.records.statement import digest_of
from breakglass.tlog.merkle import leaf_hash
from tests.monitor.stand_ins import Shop, bundle, history_of

SECOND = timedelta(seconds=1)
MILLISECOND = timedelta(milliseconds=1)
STRONG = Factor.PHISHING_RESISTANT


def taken(shop: Shop, grant: str) -> Case:
    return case_of(grant, shop.org.state, history_of(shop.org))


@cache
def by(who: str = "mira", glass: str = "deploy-rollback", factor: Factor = STRONG) -> Case:
    """An honest case; each test changes one thing in a copy."""
    shop = Shop().begin()
    broken = shop.breaks(glass, statement={"who": who}, factors=Factors(factor, 0, False))
    return taken(shop, broken.grant)


@cache
def by_the_door() -> Case:
    """An honest case of the custodians' door: nobody could write ``asked``."""
    shop = Shop()
    shop.org.door = "yes"
    shop.begin()
    card = shop.org.state.governance.cards["deploy-rollback"].note
    note = shop.org.door_intent(card=card)
    assert shop.org.append(note).holds
    body = parse_record(note).body
    return taken(shop, body.grant)


@cache
def approved() -> Case:
    """An honest case of a glass of two people, mira and sam."""
    org = (shop := Shop().begin()).org
    said = shop.asks()
    signed = org.sign(said)
    yes = org.sign(org.answer(digest_of(signed.text), who="sam"))
    asked = org.asked(signed)
    assert org.state_that("broker", asked, f"{asked.grant}/asked").holds
    card = org.state.governance.cards["deploy-rollback"].note
    broken = org.break_glass(said=said, signed=signed, approvals=(yes,), card=card)
    return having(taken(shop, broken.grant), bundle=ruled(*OF_TWO))


def ruled(*changes: tuple[str, str]) -> bytes:
    """Return the shop's bundle with each change made to the text of deploy-rollback."""
    text = unpack_bundle(bundle())["breakglass.yaml"].decode()
    head, found, tail = text.partition("  orders-repair:")
    for old, new in changes:
        before, at, ours = head.rpartition("  deploy-rollback:")
        assert ours.count(old) == 1, f"{old!r} stands {ours.count(old)} times"
        head = before + at + ours.replace(old, new)
    return pack_bundle({"breakglass.yaml": f"{head}{found}{tail}".encode()})


OF_TWO = (
    ("blast_radius: contained", "blast_radius: severe"),
    ("    for: 30m", "    for: 30m\n    approvers: {from: [sam, teo], need: 1}"),
)
SEALED = (
    ("blast_radius: contained", "blast_radius: catastrophic"),
    (
        "    for: 30m",
        "    for: 30m\n    seal: {name: root, threshold: 2, custodians: [sam, teo, bo]}",
    ),
)


def having(case: Case, **changes: Any) -> Case:
    return replace(case, history=replace(case.history, **changes))


def intending(case: Case, **changes: Any) -> Case:
    return replace(case, grant=replace(case.grant, intent=replace(case.grant.intent, **changes)))


def asking(case: Case, **changes: Any) -> Case:
    assert case.history.asked is not None
    factors = replace(case.history.asked.factors, **changes)
    return having(case, asked=replace(case.history.asked, factors=factors))


def later(case: Case, by: timedelta) -> Case:
    return replace(case, grant=replace(case.grant, at=case.grant.at + by))


def refusal(case: Case, says: str = "") -> str:
    found = replay_decision(case)
    assert isinstance(found, Unjustified), found
    assert says in found.why
    return found.name


def justified(case: Case) -> Justified:
    found = replay_decision(case)
    assert isinstance(found, Justified), found
    return found


def test_the_record_names_the_intents_own_leaf() -> None:
    case = by()
    assert justified(case).leaf == leaf_hash(case.grant.note).hex()


# --- what the broker wrote in ``asked`` ---------------------------------------------------------


def test_a_factor_may_not_be_claimed_that_the_signature_does_not_show() -> None:
    """The policy of that night asks for two factors, and teo's key shows just these."""
    case = by("teo", factor=Factor.TWO)
    justified(case)
    assert refusal(asking(case, factor=STRONG), "the signature shows 'two'") == "factor_claimed"
    justified(asking(case, factor=Factor.ONE))  # less than it shows is no lie that helps anybody


def test_the_signatures_factor_is_what_the_policy_meets_and_not_the_brokers_word() -> None:
    strict = ruled(("mfa_age: 5m", "mfa_age: 5m, factor: phishing_resistant"))
    justified(having(by(), bundle=strict))
    justified(having(asking(by(), factor=Factor.ONE), bundle=strict))
    assert refusal(having(by("teo", factor=Factor.TWO), bundle=strict)) == "weak_factor"


def test_that_mfa_is_down_is_said_by_the_glass_and_never_by_the_broker() -> None:
    """The bundle permits more while MFA is down; the grant has no incident, and asks for nothing
    that stands in for MFA."""
    files = unpack_bundle(bundle()) | {
        "down.cedar": b'@id("down") permit (principal is Person, action, resource)'
        b" when { context.mfa_down };"
    }
    case = having(by(), bundle=pack_bundle(files), incident=None)
    plain = refusal(case)
    assert plain != "mfa_claimed"
    claims = "'asked' claims that MFA is down, glass 'deploy-rollback' does not say so"
    assert refusal(asking(case, mfa_down=True), claims) == "mfa_claimed"
    assert refusal(asking(by(), mfa_down=True)) == "mfa_claimed"  # a lie, whether it helps or not


def test_a_signatures_age_may_be_rounded_and_not_hidden() -> None:
    case = by()
    assert case.history.asked_at is not None
    said_at = case.history.asked_at  # the statement was signed at that very time
    justified(having(case, asked_at=said_at + ROUNDING))
    hidden = having(case, asked_at=said_at + ROUNDING + MILLISECOND)
    assert refusal(hidden, "says that the signature was 0 s old") == "age_claimed"
    told = asking(hidden, age_s=1)
    justified(told)
    assert refusal(asking(case, age_s=301)) == "stale_factor"


def test_an_asked_without_a_time_is_none() -> None:
    assert refusal(having(by(), asked_at=None)) == "not_asked"


# --- the custodians' door -----------------------------------------------------------------------


def test_at_the_door_nobody_could_ask_and_the_policy_is_met_all_the_same() -> None:
    case = by_the_door()
    assert case.history.asked is None
    justified(case)
    assert refusal(having(case, incident=None)) == "no_incident"


def test_at_the_door_the_wait_for_custodians_makes_no_signature_older() -> None:
    case = by_the_door()
    justified(later(case, timedelta(minutes=50)))
    justified(later(case, -SECOND))  # two clocks; not an age below nothing


# --- what the policy of its time says -----------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda case: _incident(case, severity="SEV3"), "incident_severity"),
        (lambda case: _incident(case, open=False), "incident_closed"),
        (lambda case: having(case, incident=None), "no_incident"),
        (lambda case: _suspended(case, "person:mira"), "suspended"),
        (lambda case: _suspended(case, "glass:deploy-rollback"), "suspended"),
        (lambda case: _suspended(case, f"grant:{case.grant.intent.grant}"), "suspended"),
        (lambda case: intending(case, glass="no-such-glass"), "unknown_glass"),
        (lambda case: intending(case, minter="orders-db"), "wrong_minter"),
        (lambda case: intending(case, scope={"roles": ("root",)}), "wrong_scope"),
        (lambda case: having(case, bundle=ruled(("for: 30m", "for: 29m"))), "too_long"),
        (
            lambda case: having(case, bundle=ruled(('["group:oncall"]', '["group:leads"]'))),
            "not_listed",
        ),
    ],
)
def test_what_the_policy_refuses_is_unjustified_by_the_policys_own_name(
    change: Callable[[Case], Case], name: str
) -> None:
    assert refusal(change(by())) == name


def _incident(case: Case, **changes: Any) -> Case:
    assert case.history.incident is not None
    return having(case, incident=replace(case.history.incident, **changes))


def _suspended(case: Case, *names: str) -> Case:
    return replace(case, suspended=frozenset(names))


def test_a_responders_own_word_for_the_incident_is_told_to_the_policy_as_that() -> None:
    broad = having(by(), bundle=ruled(("blast_radius: contained", "blast_radius: broad")))
    assert refusal(broad) == "self_declared"
    justified(_incident(broad, self_declared=False))


def test_what_stops_somebody_else_stops_nobody_here() -> None:
    justified(_suspended(by(), "person:teo", "glass:orders-repair", "grant:g-aaaaaaaaaaaa"))


def test_a_second_person_that_the_policy_asks_for_must_have_signed() -> None:
    of_two = ruled(*OF_TWO)
    assert refusal(having(by(), bundle=of_two), "1 approvals are needed") == "needs_approval"
    justified(approved())
    outsider = having(approved(), bundle=ruled(OF_TWO[0], _from("[teo, bo]")))
    assert refusal(outsider) == "needs_approval"


def _from(people: str) -> tuple[str, str]:
    return ("    for: 30m", f"    for: 30m\n    approvers: {{from: {people}, need: 1}}")


def test_custodians_that_the_policy_asks_for_must_have_signed() -> None:
    sealed = having(by(), bundle=ruled(*SEALED))
    assert refusal(sealed, "2 of 3 custodians are needed") == "needs_custodians"


def test_an_intent_whose_signatures_do_not_hold_is_unjustified_by_their_name() -> None:
    case = by()
    assert refusal(intending(case, statements=())) == "no_statement"
    foreign = by("teo", factor=Factor.TWO).grant.intent.statements
    (own,) = case.grant.intent.statements
    assert (
        refusal(intending(case, statements=(replace(foreign[0], text=own.text),))) == "foreign_key"
    )
    card = replace(case.grant.card.card, tier=Tier.TWO, need=1)
    few = replace(case.grant, card=replace(case.grant.card, card=card))
    assert refusal(replace(case, grant=few)) == "too_few_people"


def test_a_bundle_that_does_not_compile_justifies_nothing_and_says_why() -> None:
    case = having(by(), bundle=pack_bundle({"breakglass.yaml": b"version: 7\n"}))
    assert refusal(case, "breakglass.yaml")


# --- the review ---------------------------------------------------------------------------------


def test_a_review_may_be_due_as_late_as_the_policy_says_two_clocks_apart() -> None:
    case = by()
    severity = case.history.incident.severity if case.history.incident else ""
    policy = compiled(case.history.bundle)
    latest = review_due(policy, case.grant.intent.glass, severity, case.grant.at + case.skew)
    justified(intending(case, review_by=latest))
    late = intending(case, review_by=latest + MILLISECOND)
    assert refusal(late, f"{latest:%Y-%m-%d %H:%M} at the latest") == "review_late"
    justified(intending(case, review_by=case.grant.at + SECOND))  # sooner harms nobody


@pytest.mark.parametrize(("incident", "severity"), [(True, "SEV1"), (False, "")])
def test_where_the_glass_names_no_deadline_the_incidents_severity_does(
    incident: bool, severity: str
) -> None:
    rules = ruled(
        ("when: {incident: [SEV1], mfa_age: 5m}", "when: {mfa_age: 5m}"),
        ("review: {due: 3 business days, ", "review: {"),
    )
    text = unpack_bundle(rules)["breakglass.yaml"]
    text += b"reviews: {default: {SEV1: 2 business days, other: 9 business days}}\n"
    case = having(by(), bundle=pack_bundle({"breakglass.yaml": text}))
    case = case if incident else having(case, incident=None)
    policy, at = compiled(case.history.bundle), case.grant.at + case.skew
    due = review_due(policy, "deploy-rollback", severity, at)
    assert (due - at > timedelta(days=8)) == (not incident)
    justified(intending(case, review_by=due))
    assert refusal(intending(case, review_by=due + MILLISECOND)) == "review_late"
