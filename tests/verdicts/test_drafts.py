"""The drafts: an issue against the gate, a note, a date; never a ranking of people."""

from __future__ import annotations

from datetime import timedelta

from breakglass.verdicts.drafts import draft, look_again, remedies
from breakglass.verdicts.history import GateReview
from breakglass.verdicts.verdict import judge

from .kit import AS_OF, PEOPLE, bypass, gate, steady


def flaky(i: int) -> str:
    return f"flaky test CheckoutFlowTest.retry in run {i}, passed on rerun"


def rising(reason=flaky):  # type: ignore[no-untyped-def]
    return judge(gate(steady(0.3, 0, 84) + steady(2.0, 84, 104, reason, first=500)), AS_OF)


def test_a_wrong_gate_gets_an_issue_with_the_change_that_would_have_helped() -> None:
    text = draft(rising())
    assert text.startswith("# Gate `deploy` was bypassed")
    assert "`CheckoutFlowTest.retry`" in text
    assert "quarantine the flaky test" in text
    assert "40 of the last 42" in text
    assert "## Evidence" in text
    assert "> flaky test CheckoutFlowTest.retry in run" in text
    assert "The present rate began about 2026-02" in text


def test_each_kind_of_reason_asks_for_its_own_change() -> None:
    asked = {
        "gate takes 40 minutes and the rollback cannot wait": "make the check faster",
        "linter rejects a plain index, wrong rule": "relax the threshold",
        "no approver awake, second sign-off not to be had": "fast path",
    }
    for reason, change in asked.items():
        found = remedies(rising(lambda i, r=reason: f"{r} {i}").evidence)
        assert change in found[0].change, reason


def test_reasons_that_say_what_and_not_why_lead_to_asking_for_why() -> None:
    assert "coded reason" in draft(rising(lambda i: f"Remove unused include {i}"))


def test_a_reason_cannot_write_into_the_issue() -> None:
    text = draft(rising(lambda i: f"flaky <script>alert({i})</script> [x](http://e) @all #1"))
    assert "<script>" not in text
    assert r"\@all" in text


def test_no_person_is_named_in_an_issue() -> None:
    text = draft(rising())
    assert not any(person in text for person in PEOPLE)


def test_one_path_is_a_private_note_about_access() -> None:
    theirs = steady(1.0, 80, 104, lambda i: f"publish prices {i}", 900, person=PEOPLE[3])
    text = draft(judge(gate(steady(0.3) + theirs), AS_OF))
    assert text.startswith("# Private note to the owner")
    assert "access design" in text
    assert "Do not pass this note on" in text


def test_a_bad_month_is_a_note_with_a_date() -> None:
    burst = [bypass(92 + i * 0.05, 700 + i, reason="5xx", incident="INC-9") for i in range(24)]
    read = judge(gate(steady(0.3) + burst), AS_OF)
    text = draft(read)
    assert "for incident `INC-9`" in text
    assert f"Look again on {AS_OF.date() + timedelta(weeks=13)}" in text


def test_a_root_cause_lists_its_incidents_and_leaves_the_gate_alone() -> None:
    waves = [
        bypass(82 + w * 3 + n * 0.1, 800 + w * 10 + n, reason="DLQ full", incident=f"INC-8{w}")
        for w in range(7)
        for n in range(4)
    ]
    text = draft(judge(gate(steady(0.3) + waves), AS_OF))
    assert "- INC-80: 4 bypasses" in text
    assert "Mend the trouble, not the gate" in text


def test_too_little_data_says_how_many_weeks_are_missing() -> None:
    read = judge(gate([bypass(103, 1)], 1.0, weeks=20), AS_OF)
    assert read.weeks_needed is not None
    assert f"{read.weeks_needed} more weeks like these" in draft(read)
    assert look_again(read) > AS_OF.date()


def test_after_a_fix_the_draft_says_whether_the_rate_fell() -> None:
    fixed = judge(gate(steady(2.0, 0, 90) + steady(0.2, 90, 104, first=500)), AS_OF)
    review = GateReview("deploy", AS_OF - timedelta(weeks=14), "gate_wrong", "split it", "mira")
    assert "The rate fell: 3 in 2,800 passages since" in draft(fixed, [review])
    worse = judge(gate(steady(0.3, 0, 90) + steady(2.0, 90, 104, first=500)), AS_OF)
    assert "The rate did not fall" in draft(worse, [review])
