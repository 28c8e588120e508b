"""Whose own channels hear of a grant's life besides everybody's."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from breakglass.monitor.alerts.alert import Alert
from breakglass.monitor.people.concerned import with_concerned

AT = datetime(2026, 6, 22, tzinfo=UTC)


def news(subject: str, **fields: str) -> Alert:
    return Alert(subject, "g-7kq3m2x4p5ab", 7, "g-7kq3m2x4p5ab", AT, "what happened", fields)


@pytest.mark.parametrize(
    ("told", "people"),
    [
        (news("incident_closing", who="mira, teo"), ["", "mira", "teo"]),
        (news("starts_soon", who="mira", approvers="sam, noor"), ["", "mira", "noor", "sam"]),
        (news("start_refused", who="mira"), ["", "mira"]),
        (news("ended", who="mira", ended="incident_closed"), ["", "mira"]),
        (news("ended", who="mira", ended="not_minted"), ["", "mira"]),
        (news("ended", who="mira", ended="done"), [""]),  # they know: they signed it
        (news("ended", who="mira", ended="expired"), [""]),
        (news("broke_glass", who="mira"), [""]),
        (news("starts_now"), [""]),
    ],
)
def test_news_of_a_grant_goes_to_its_people_as_well(told: Alert, people: list[str]) -> None:
    assert [each.person for each in with_concerned(told)] == people


def test_what_is_for_one_person_is_sent_on_to_nobody() -> None:
    (one,) = with_concerned(
        Alert("starts_soon", "g", 1, "g", AT, "", {"who": "mira"}, person="sam")
    )
    assert one.person == "sam"
