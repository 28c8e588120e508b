"""When an ask starts, as people type it; clocks that change make nobody guess."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from breakglass.cli.start_time import parse_start
from breakglass.errors import MalformedError

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 12, 1, 9, 30, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("2026-12-05 22:00", "2026-12-05T21:00"),
        ("2026-12-05T22:00", "2026-12-05T21:00"),
        ("2026-12-05T22:00Z", "2026-12-05T22:00"),
        ("2026-12-05T22:00+02:00", "2026-12-05T20:00"),
        ("22:00", "2026-12-01T21:00"),
        ("9:00", "2026-12-02T08:00"),
        ("+2h", "2026-12-01T11:31"),
        ("+1d90m", "2026-12-02T11:01"),
    ],
)
def test_a_time_is_read_in_the_persons_own_zone(typed: str, wanted: str) -> None:
    assert parse_start(typed, NOW, BERLIN) == datetime.fromisoformat(wanted).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("tomorrow", "is no time"),
        ("+", "is no time"),
        ("+0h", "is no time"),
        ("25:00", "is no time"),
        ("2026-12-05", "has no hour"),
        ("2026-12-01 10:00", "not in the future"),
        ("2026-10-25 02:30", "clocks change"),  # comes twice
        ("2027-03-28 02:30", "clocks change"),  # is skipped
    ],
)
def test_what_nobody_could_mean_is_refused_with_a_way_out(typed: str, says: str) -> None:
    with pytest.raises(MalformedError, match=says) as caught:
        parse_start(typed, NOW - timedelta(days=60 if "10-25" in typed else 0), BERLIN)
    assert caught.value.hint


def test_the_machines_zone_is_the_persons() -> None:
    found = parse_start("2026-12-05 22:00", NOW)
    assert found.astimezone().strftime("%Y-%m-%d %H:%M") == "2026-12-05 22:00"
