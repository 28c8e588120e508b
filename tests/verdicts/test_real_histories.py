"""What is said of the public histories, against what their records say really happened."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest

from breakglass.verdicts.folder import read_folder, write_folder
from breakglass.verdicts.history import Gate, History
from breakglass.verdicts.imports.tables import from_tables
from breakglass.verdicts.siblings import displacements
from breakglass.verdicts.verdict import judge

PLACE = tempfile.TemporaryDirectory()  # gone when the process ends
DATA = Path(__file__).parents[2] / "data" / "bypass"


@cache
def folder(name: str) -> Path:
    out = Path(PLACE.name) / name
    files = [DATA / f"{name}.{table}.csv" for table in ("events", "weekly", "people")]
    found = from_tables(*files, str.strip, {}, hidden=False)
    assert found.as_of is not None
    write_folder(out, found.as_of, found.events, found.passages, found.people)
    return out


def at(name: str, day: str) -> History:
    return read_folder(folder(name), datetime.fromisoformat(day).replace(tzinfo=UTC))


def gate_at(name: str, gate: str, day: str) -> Gate:
    found = at(name, day).gate(gate)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "gate", "day", "wanted"),
    [
        # 25 to 33 % of changes by the whole team of five to seven.
        ("skia-buildbot", "review-post-hoc", "2015-07-01", {"gate_wrong"}),
        ("skia-buildbot", "review-post-hoc", "2016-01-01", {"gate_wrong"}),
        # 27 % to 3 % with the move to another review tool.
        ("skia-buildbot", "review-post-hoc", "2017-07-01", {"healthy"}),
        # After spring 2021 nobody could go round review, bar left-over footers on reverts.
        ("skia-buildbot", "review-post-hoc", "2022-01-01", {"healthy"}),
        ("catapult", "review-post-hoc", "2022-01-01", {"healthy"}),
        # 32 in one week, 34 in two; 16 name one project's bug.
        ("skia-buildbot", "tryjobs", "2017-01-01", {"bad_month"}),
        # 3 % to 30 % by seventy people, flaky or broken bots in the reasons.
        ("webrtc", "tryjobs", "2017-01-01", {"gate_wrong", "root_cause"}),
        ("webrtc", "tryjobs", "2016-07-01", {"gate_wrong", "root_cause"}),
        ("webrtc", "tryjobs", "2019-07-01", {"healthy"}),
        # Two thirds to nearly all of these are automatic footers on reverts.
        ("catapult", "tree-status", "2020-01-01", {"healthy"}),
        ("catapult", "tree-status", "2024-01-01", {"healthy"}),
        ("skia-buildbot", "tree-status", "2023-01-01", {"healthy"}),
        ("skia-buildbot", "presubmit", "2024-01-01", {"healthy"}),
    ],
)
def test_a_year_that_is_described_is_read_so(
    name: str, gate: str, day: str, wanted: set[str]
) -> None:
    moment = datetime.fromisoformat(day).replace(tzinfo=UTC)
    told = judge(gate_at(name, gate, day), moment)
    assert told.reading.value in wanted


def test_most_gates_are_healthy_in_most_half_years() -> None:
    healthy = total = 0
    for name, years in (("webrtc", range(2017, 2020)), ("catapult", range(2017, 2025))):
        for year in years:
            history = at(name, f"{year}-07-01")
            for gate in history.gates:
                total += 1
                healthy += judge(gate, history.as_of).reading.value == "healthy"
    assert 0.6 <= healthy / total <= 0.9


def test_the_fall_of_one_door_and_the_rise_of_another_are_seen() -> None:
    moved = displacements(at("skia-buildbot", "2017-01-01"))
    assert ("review-post-hoc", "tryjobs") in {(d.fell, d.rose) for d in moved}
