"""A survey as it is shown: what stands, what is unknown, and the trend by day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from breakglass.cli.standing_table import by_day, json_of, tell_survey
from breakglass.surveyor.inventory_record import InventoryRecord, KeptThing, UnreadPart
from breakglass.surveyor.inventory_store import Point
from breakglass.surveyor.survey import Thing

NOW = datetime(2026, 6, 22, 3, 14, tzinfo=UTC)
DAY = timedelta(days=1)
SURVEY = InventoryRecord(
    "orders-db",
    NOW - timedelta(minutes=30),
    "ab" * 32,
    (
        KeptThing(Thing("superuser", "superuser", "ghost\x1b[2J"), NOW - DAY, "g-aaaaaaaaaaaa"),
        KeptThing(
            Thing("table-write", "update on t", "intern", "orders"), NOW, "", ("orders-repair",)
        ),
    ),
    {"login-without-end": 1},
    (UnreadPart("hba-trust", "", "permission denied"),),
)
TREND = [
    Point(NOW - DAY, "daily", 4, 0, 0, (), 8),
    Point(NOW - timedelta(hours=1), "usable", 9, 0, 5, (), 9),
    Point(NOW, "ended", 2, 1, 0, ("hba-trust",), 11),
]


def test_each_thing_has_the_glass_that_could_replace_it_or_is_said_to_have_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tell_survey(SURVEY, TREND, NOW)
    said = capsys.readouterr().out
    assert "LEFT BY g-aaaaaaaaaaaa; remove it. Else: no glass of the policy in force" in said
    assert "update on t (orders)" in said
    assert "2026-06-22  orders-repair" in said
    assert "2 without a grant, 1 of them left by grants" in said
    assert "1 explained by running grants" in said
    assert "hba-trust: permission denied" in said
    assert "\x1b[2J" not in said


def test_the_trend_has_one_line_a_day_and_says_where_the_count_is_a_least(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert [each.total for each in by_day(TREND)] == [4, 2]
    tell_survey(SURVEY, TREND, NOW)
    lines = capsys.readouterr().out.splitlines()
    assert f"2026-06-21      4 {'#' * 40}" in lines
    assert f"2026-06-22      2 {'#' * 20} at least" in lines


def test_machines_get_all_of_it() -> None:
    told = json_of(SURVEY, TREND)
    assert told["unknown"] == [
        {"category": "hba-trust", "database": "", "why": "permission denied"}
    ]
    assert [each["entry"] for each in told["trend"]] == [8, 9, 11]  # type: ignore[index, union-attr]
    assert [each["during"] for each in told["standing"]] == ["g-aaaaaaaaaaaa", ""]  # type: ignore[index, union-attr]
