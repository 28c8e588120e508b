"""The history folder: what goes in comes out, and a wrong line is named."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from breakglass.errors import MalformedError, MisconfiguredError
from breakglass.verdicts.folder import append_review, read_folder, read_reviews, write_folder
from breakglass.verdicts.history import Bypass, GateReview

AS_OF = datetime(2026, 6, 29, tzinfo=UTC)
EVENT = {
    "id": "1",
    "time": "2026-06-22T03:14:09Z",
    "gate": "deploy",
    "person": "mira",
    "incident": "INC-4821",
    "reason": "checkout 5xx",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "events.jsonl").write_text(json.dumps(EVENT) + "\n")
    (tmp_path / "opportunities.csv").write_text(
        "gate,week_start,opportunities\ndeploy,2026-06-15,210\ndeploy,2026-06-22,198\n"
    )
    (tmp_path / "people.csv").write_text("gate,person,activity_share\ndeploy,mira,0.4\n")
    (tmp_path / "meta.json").write_text('{"as_of": "2026-06-29T00:00:00Z"}')
    return tmp_path


def test_a_folder_is_read_into_gates(folder: Path) -> None:
    history = read_folder(folder)
    gate = history.gate("deploy")
    assert gate is not None
    assert gate.events[0].reason == "checkout 5xx"
    assert gate.passages == {date(2026, 6, 15): 210.0, date(2026, 6, 22): 198.0}
    assert gate.people == {"": {"mira": 0.4}}
    assert history.gate("other") is None


def test_a_written_folder_is_the_same_bytes_twice_and_reads_back(tmp_path: Path) -> None:
    event = Bypass("1", datetime(2026, 6, 22, 3, 14, 9, tzinfo=UTC), "deploy", "mira", "INC-1")
    for name in ("one", "two"):
        write_folder(
            tmp_path / name,
            AS_OF,
            [event],
            {"deploy": {date(2026, 6, 22): 12.0}},
            {"deploy": {"2026-Q2": {"mira": 12.0}}},
            {"deploy": {"born": "2026-06-01", "siblings": ["review"]}},
        )
    for file in ("events.jsonl", "opportunities.csv", "people.csv", "meta.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    gate = read_folder(tmp_path / "one").gates[0]
    assert gate.events == (event,)
    assert gate.born == date(2026, 6, 1)
    assert gate.siblings == ("review",)
    assert gate.people["2026-Q2"] == {"mira": 12.0}


def test_a_history_is_not_written_over_another(folder: Path) -> None:
    with pytest.raises(MisconfiguredError, match="already holds a history"):
        write_folder(folder, AS_OF, [], {}, {})


def test_what_happened_after_as_of_is_not_known_yet(folder: Path) -> None:
    earlier = read_folder(folder, datetime(2026, 6, 20, tzinfo=UTC))
    gate = earlier.gate("deploy")
    assert gate is not None
    assert gate.events == ()
    assert list(gate.passages) == [date(2026, 6, 15)]


def test_a_leading_quarter_column_and_a_byte_order_mark_are_understood(folder: Path) -> None:
    (folder / "people.csv").write_text(
        "\ufeffquarter,gate,person,activity_share\n2026-Q2,deploy,mira,3\n", encoding="utf-8"
    )
    gate = read_folder(folder).gate("deploy")
    assert gate is not None
    assert gate.people == {"2026-Q2": {"mira": 3.0}}


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("events.jsonl", "{not json", r"events.jsonl:1: not JSON"),
        ("events.jsonl", "\n[1]\n", r"events.jsonl:2: wanted a JSON object"),
        ("events.jsonl", json.dumps(EVENT | {"time": "noon"}), r"events.jsonl:1: 'time' is 'noon'"),
        ("events.jsonl", json.dumps(EVENT | {"gate": ""}), r"events.jsonl:1: 'gate' is ''"),
        ("events.jsonl", json.dumps(EVENT | {"kind": "prank"}), r"'kind' is 'prank', wanted one"),
        ("opportunities.csv", "gate,week_start\n", r"opportunities.csv:1: no column 'opport"),
        (
            "opportunities.csv",
            "gate,week_start,opportunities\nd,2026-06-15,-4\n",
            r"opportunities.csv:2: 'opportunities' is '-4'",
        ),
        (
            "opportunities.csv",
            "gate,week_start,opportunities\nd,2026-06-99,4\n",
            r"opportunities.csv:2: 'week_start' is '2026-06-99'",
        ),
        ("opportunities.csv", "gate,week_start,opportunities\nd\n", r"csv:2: the row is short"),
        ("meta.json", "{}", r"meta.json:1: 'as_of' is None"),
        ("meta.json", "[" * 100_000, r"meta.json:1: not JSON"),
    ],
)
def test_a_wrong_line_is_named_with_its_file(folder: Path, file: str, text: str, told: str) -> None:
    (folder / file).write_text(text)
    with pytest.raises(MalformedError, match=told):
        read_folder(folder)


def test_a_missing_file_is_named_and_the_way_out_told(folder: Path) -> None:
    (folder / "opportunities.csv").unlink()
    with pytest.raises(MisconfiguredError, match=r"opportunities.csv' is missing") as caught:
        read_folder(folder)
    assert "docs/how-to" in caught.value.hint


def test_people_are_optional(folder: Path) -> None:
    (folder / "people.csv").unlink()
    assert read_folder(folder).gates[0].people == {}


def test_a_decision_is_a_line_that_is_only_ever_added(folder: Path) -> None:
    first = GateReview("deploy", AS_OF, "gate_wrong", "split the suite", "mira", date(2026, 9, 1))
    second = GateReview("deploy", AS_OF, "healthy", "close", "sam")
    append_review(folder, first)
    before = (folder / "reviews.jsonl").read_text()
    append_review(folder, second)
    after = (folder / "reviews.jsonl").read_text()
    assert after.startswith(before)
    assert read_reviews(folder / "reviews.jsonl", AS_OF) == (first, second)
    assert json.loads(before)["kind"] == "gate_reviewed"


def test_a_cut_week_counts_by_its_days(folder: Path) -> None:
    gate = read_folder(folder).gates[0]
    assert gate.passages_between(date(2026, 6, 15), date(2026, 6, 29)) == 408
    assert gate.passages_between(date(2026, 6, 18), date(2026, 6, 22)) == pytest.approx(120)
    assert gate.passages_between(date(2026, 6, 22), date(2026, 6, 15)) == 0
    assert gate.passages_between(date(2020, 1, 1), date(2020, 2, 1)) == 0


def test_a_history_under_a_file_is_refused_in_our_own_words(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("x")
    with pytest.raises(MisconfiguredError, match="cannot be made"):
        write_folder(tmp_path / "plain" / "history", datetime(2026, 6, 29, tzinfo=UTC), [], {}, {})
