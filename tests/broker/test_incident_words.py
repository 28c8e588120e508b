"""An incident counts as a person signed it: what a broker writes of its own decides nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from breakglass.errors import RefusedError
from breakglass.monitor.alert_rules import alert_for
from breakglass.monitor.decision_replay import Unjustified, case_of, replay_decision
from breakglass.records import all_kinds as kinds
from breakglass.records.kinds.incident import IncidentChange
from breakglass.records.statement import Do
from tests.kit.one_broker import OneBroker
from tests.monitor.stand_ins import Shop, history_of
from tests.records.folding import pulse

ATTACHED = [b"{}"]  # bytes that nobody can check


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[OneBroker]:
    made = OneBroker(tmp_path)
    pulse(made.org)
    made.view.follow()
    yield made
    made.close()


def refused(broker: OneBroker, incident: str, nonce: str) -> str:
    broker.view.follow()
    with pytest.raises(RefusedError) as caught:
        broker.asking.ask(broker.request(incident=incident, nonce=nonce))
    return caught.value.name


def of_the_broker(name: str, change: IncidentChange, severity: str) -> kinds.Incident:
    return kinds.Incident(name, change, severity, "checkout 5xx", "pagerduty", False, None)


def test_an_incident_that_only_a_broker_tells_of_decides_nothing(broker: OneBroker) -> None:
    """The attack: an incident from outside, out of nothing but the broker's key."""
    made = of_the_broker("INC-9999", IncidentChange.OPENED, "SEV1")
    assert broker.org.state_that("broker-2", made, attachments=ATTACHED).holds
    assert refused(broker, "INC-9999", "a1" * 16) == "no_incident"


def test_a_broker_neither_raises_nor_opens_what_a_person_declared(broker: OneBroker) -> None:
    org = broker.org
    word = org.sign(org.declare(incident="INC-2", severity="SEV4", nonce="a2" * 16))
    assert org.open_incident(incident="INC-2", severity="SEV4", statement=word).holds
    for severity in ("SEV2", "SEV1"):  # the second keeps what the first raised
        made = of_the_broker("INC-2", IncidentChange.UPDATED, severity)
        assert org.state_that("broker-2", made, attachments=ATTACHED).holds
    assert refused(broker, "INC-2", "a3" * 16) == "incident_severity"
    said = org.declare(incident="INC-2", severity="SEV4", do=Do.CLOSE, nonce="a4" * 16)
    closed = {"incident": "INC-2", "severity": "SEV4", "change": IncidentChange.CLOSED}
    assert org.open_incident(**closed, statement=org.sign(said)).holds
    again = of_the_broker("INC-2", IncidentChange.OPENED, "SEV1")
    assert org.state_that("broker-2", again, attachments=ATTACHED).holds
    assert refused(broker, "INC-2", "a5" * 16) == "incident_closed"


def test_a_persons_later_word_is_what_counts(broker: OneBroker) -> None:
    org = broker.org
    made = of_the_broker("INC-3", IncidentChange.OPENED, "SEV3")
    assert org.state_that("broker-2", made, attachments=ATTACHED).holds
    word = org.sign(org.declare(incident="INC-3", severity="SEV1", nonce="a6" * 16))
    raised = {"incident": "INC-3", "change": IncidentChange.UPDATED, "statement": word}
    assert org.open_incident(**raised).holds
    broker.view.follow()
    wish = broker.asking.ask(broker.request(incident="INC-3", nonce="a7" * 16))
    assert getattr(wish, "severity", "") == "SEV1"
    assert "self_declared" in getattr(wish, "labels", ())


def test_what_a_broker_makes_of_a_persons_incident_is_not_counted_and_rings() -> None:
    """The monitor's half: it decides again by the person's word, and tells whose word is whose."""
    shop = Shop().begin()
    org = shop.org
    word = org.sign(org.declare(incident="INC-2", severity="SEV4", nonce="a2" * 16))
    for judged, says in (
        (
            org.open_incident(incident="INC-2", severity="SEV4", statement=word),
            "Incident INC-2 opened (SEV4: checkout returns 5xx), by the signed word of mira.",
        ),
        (
            org.state_that(
                "broker",
                of_the_broker("INC-2", IncidentChange.UPDATED, "SEV1"),
                attachments=ATTACHED,
            ),
            "Incident INC-2 updated (SEV1: checkout 5xx) by the broker's word alone",
        ),
    ):
        assert judged.holds
        entry = org.log.entries(judged.index)[0]
        (found,) = alert_for(judged, entry, org.state, history_of(org))
        assert found.subject == "incident"
        assert found.text.startswith(says)
    broken = shop.breaks("orders-repair", statement={"incident": "INC-2"})
    history = history_of(org)
    verdict = replay_decision(case_of(broken.grant, org.state, history))
    assert isinstance(verdict, Unjustified)
    assert verdict.name == "incident_severity"
    then = history.of(broken.grant).incident
    assert then is not None
    assert (then.severity, then.standing) == (
        "SEV4",
        "self-declared; the broker alone says SEV1, open",
    )
