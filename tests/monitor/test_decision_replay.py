"""An intent decided again from records alone: every lie of a broker that signatures do not show."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from breakglass.monitor.decision_replay import Case, Unjustified, case_of, replay_decision
from breakglass.monitor.history_projection import IncidentThen
from breakglass.policy.bundle import pack_bundle, unpack_bundle
from breakglass.records.grant import Path
from breakglass.records.kinds.asked import Factors
from breakglass.records.kinds.justified import Justified
from breakglass.records.signing.signature import Factor
from tests.monitor.stand_ins import Shop, history_of


@pytest.fixture(scope="module")
def case() -> Case:
    """An honest case; each test changes one thing in a copy."""
    shop = Shop().begin()
    broken = shop.breaks("orders-repair")
    return case_of(broken.grant, shop.org.state, history_of(shop.org))


def having(case: Case, **changes: Any) -> Case:
    return replace(case, history=replace(case.history, **changes))


def refusal(case: Case) -> str:
    found = replay_decision(case)
    assert isinstance(found, Unjustified)
    assert found.why
    return found.name


def test_an_honest_intent_is_justified_under_the_policy_that_it_names(case: Case) -> None:
    found = replay_decision(case)
    assert isinstance(found, Justified)
    intent = case.grant.intent
    assert (found.grant, found.index, found.policy) == (
        intent.grant,
        case.grant.index,
        intent.policy,
    )


def test_nobody_asked(case: Case) -> None:
    assert refusal(having(case, asked=None, asked_at=None)) == "not_asked"


def test_asked_by_another_path(case: Case) -> None:
    assert case.history.asked is not None
    asked = replace(case.history.asked, path=Path.JIT)
    assert refusal(having(case, asked=asked)) == "other_path"


def test_a_signature_older_than_the_broker_says(case: Case) -> None:
    assert case.history.asked_at is not None
    later = case.history.asked_at + timedelta(seconds=6)
    assert refusal(having(case, asked_at=later)) == "age_claimed"
    soon = case.history.asked_at + timedelta(seconds=4)
    assert isinstance(replay_decision(having(case, asked_at=soon)), Justified)


def test_a_signature_older_than_the_policy_allows(case: Case) -> None:
    assert case.history.asked is not None
    asked = replace(case.history.asked, factors=Factors(Factor.TWO, 301, False))
    assert refusal(having(case, asked=asked)) not in ("age_claimed", "not_asked")


def test_no_incident_of_that_severity(case: Case) -> None:
    then = case.history.incident
    assert then is not None
    assert refusal(having(case, incident=replace(then, severity="SEV3")))
    assert refusal(having(case, incident=replace(then, open=False)))
    assert refusal(having(case, incident=None))


def test_a_suspended_person_or_glass(case: Case) -> None:
    for each in ("person:mira", "glass:orders-repair"):
        assert refusal(replace(case, suspended=frozenset({each})))
    for each in ("person:teo", "grant:g-aaaaaaaaaaaa"):
        assert isinstance(replay_decision(replace(case, suspended=frozenset({each}))), Justified)


def test_a_bundle_that_does_not_compile_justifies_nothing(case: Case) -> None:
    assert refusal(having(case, bundle=b'{"breakglass.yaml":"version: 7"}'))


def test_a_coded_reason_that_the_policy_does_not_have(case: Case) -> None:
    other = case.history.bundle.replace(b"approver-silent: nobody", b"gate-broken: nobody")
    assert refusal(having(case, bundle=other)) == "unknown_reason"


def test_the_network_that_asked_has_written_decides_again(case: Case) -> None:
    assert case.history.asked is not None
    files = unpack_bundle(case.history.bundle)
    files["office.cedar"] = (
        b'@id("not-from-office") forbid (principal, action, resource)'
        b' when { context.network == "office" };'
    )
    forbids = having(case, bundle=pack_bundle(files))
    assert isinstance(replay_decision(forbids), Justified)
    office = replace(case.history.asked, from_="office")
    assert refusal(having(forbids, asked=office)) == "forbidden"


def test_a_review_due_later_than_the_policy_says(case: Case) -> None:
    intent = replace(case.grant.intent, review_by=case.grant.at + timedelta(days=20))
    late = replace(case, grant=replace(case.grant, intent=intent))
    assert refusal(late) == "review_late"


def test_an_incident_remembers_how_it_stood(case: Case) -> None:
    assert case.history.incident == IncidentThen(
        "INC-4821", "SEV1", "checkout returns 5xx", self_declared=True, open=True
    )
