"""The ledger's records as a history."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from breakglass.errors import MalformedError
from breakglass.verdicts.imports.records import from_records

AS_OF = datetime(2026, 6, 29, tzinfo=UTC)
TALLY = {
    "kind": "passages", "gate": "deploy", "start": "2026-06-22T10:00:00.000Z", "passed": 90,
    "blocked": 6, "could_not_evaluate": 4, "bypassed": 2, "sanctioned": 3,
}  # fmt: skip
USED = {
    "kind": "bypassed", "id": "g-7kq3m2x4p5ab", "gate": "deploy",
    "time": "2026-06-22T10:14:09.000Z", "person": "mira", "incident": "INC-4821",
    "reason": "checkout 5xx", "reason_code": "gate-broken",
}  # fmt: skip


def test_tallies_are_passages_and_each_bypass_is_an_event() -> None:
    history = from_records([TALLY, USED, {"kind": "pulse", "size": 9}], AS_OF)
    (gate,) = history.gates
    # 100 runs were judged, two of them then bypassed; three a policy let through.
    assert gate.passages == {date(2026, 6, 22): 103.0}
    assert sum(event.sanctioned for event in gate.events) == 3
    (used,) = [event for event in gate.events if not event.sanctioned]
    assert (used.person, used.incident, used.reason_code) == ("mira", "INC-4821", "gate-broken")


def test_drills_machines_and_reviews_keep_their_kind() -> None:
    review = {
        "kind": "gate_reviewed", "gate": "deploy", "at": "2026-06-28T00:00:00.000Z",
        "verdict": "gate_wrong", "decision": "split the suite", "by": "mira",
        "look_again": "2026-09-21",
    }  # fmt: skip
    history = from_records([USED | {"drill": True}, USED | {"machine": True}, review], AS_OF)
    assert [event.kind for event in history.gates[0].events] == ["drill", "machine"]
    assert history.reviews[0].look_again == date(2026, 9, 21)


def test_what_came_later_is_not_known_yet() -> None:
    assert from_records([USED], datetime(2026, 6, 1, tzinfo=UTC)).gates == ()


@pytest.mark.parametrize(
    ("record", "told"),
    [
        (TALLY | {"passed": -1}, "'passed' is -1, wanted a count"),
        (TALLY | {"start": "then"}, "'start' is 'then', wanted a time"),
        (USED | {"gate": None}, "record g-7kq3m2x4p5ab: 'gate' is None"),
    ],
)
def test_a_record_that_lacks_something_is_named(record: dict[str, object], told: str) -> None:
    with pytest.raises(MalformedError, match=told):
        from_records([record], AS_OF)


def test_a_week_that_still_runs_is_counted_up_to_now() -> None:
    """A ledger is read on a Wednesday: what has passed by then has passed, all of it."""
    wednesday = datetime(2026, 6, 24, 12, tzinfo=UTC)
    (gate,) = from_records([TALLY], wednesday).gates
    assert gate.counted_to == date(2026, 6, 25)
    assert gate.passages_between(date(2026, 6, 1), date(2026, 6, 25)) == 103
    assert gate.passages_between(date(2026, 6, 22), date(2026, 6, 23)) == pytest.approx(103 / 3)
    (whole,) = from_records([TALLY], AS_OF).gates
    assert whole.passages_between(date(2026, 6, 22), date(2026, 6, 29)) == 103
