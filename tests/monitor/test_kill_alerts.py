"""What is heard when everything is stopped: the first word, the second, and the lifts."""

from __future__ import annotations

import pytest

from breakglass.monitor.alert_rules import alert_for
from breakglass.monitor.alerts.alert import Alert
from breakglass.records import all_kinds as kinds
from breakglass.records.statement import Do
from tests.kit.organisation import Organisation
from tests.kit.plain_english import check_wording
from tests.monitor.stand_ins import history_of


@pytest.fixture
def org() -> Organisation:
    org = Organisation(kinds="2", killers=("sam", "noor"))
    org.begin()
    return org


def says(org: Organisation, who: str, *, active: bool = True, nonce: str = "91") -> Alert:
    do = Do.KILL_ALL if active else Do.LIFT_ALL
    word = org.sign(org.kill_all(who, do=do, nonce=nonce * 16))
    judged = org.state_that("broker", kinds.AllSuspended(active, word), f"all/{nonce}")
    assert judged.holds
    entry = org.log.entries(judged.index)[0]
    (alert,) = alert_for(judged, entry, org.state, history_of(org))
    check_wording(alert.text)
    assert alert.thread == "suspended/all"
    return alert


def test_the_first_word_calls_for_a_second_and_says_how_to_stop_a_thief(org: Organisation) -> None:
    first = says(org, "sam")
    assert first.subject == "second_wanted"
    assert "SECOND PERSON WANTED until 03:29 UTC: sam says to STOP EVERYTHING" in first.text
    assert "to agree: breakglass kill --all." in first.text
    assert "Not theirs? breakglass kill person:sam" in first.text


def test_the_second_word_says_that_everything_is_stopped_and_what_it_cannot_reach(
    org: Organisation,
) -> None:
    says(org, "sam")
    second = says(org, "noor", nonce="92")
    assert second.subject == "all_suspended"
    assert second.text.startswith("EVERYTHING IS STOPPED, noor was the second")
    assert "Gates that work offline cannot know" in second.text


def test_a_lift_is_heard_twice_too(org: Organisation) -> None:
    says(org, "sam")
    says(org, "noor", nonce="92")
    third = says(org, "noor", active=False, nonce="93")
    assert third.subject == "second_wanted"
    assert "breakglass kill --all --lift" in third.text
    last = says(org, "sam", active=False, nonce="94")
    assert last.subject == "all_released"
    assert "Grants that ended stay over." in last.text
