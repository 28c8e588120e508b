"""Tables as people export them: what can be found out is, and the rest is refused or told."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from breakglass.errors import MalformedError, MisconfiguredError
from breakglass.verdicts.history import Gate
from breakglass.verdicts.imports.imported import Imported
from breakglass.verdicts.imports.table_files import Reading, count_in
from breakglass.verdicts.imports.tables import from_tables
from breakglass.verdicts.verdict import judge

WEEKLY = "week_start,gate,passages\n2025-01-06,deploy,50\n2025-01-13,deploy,50\n"


def read(tmp_path: Path, events: str | bytes, weekly: str = WEEKLY, **how: str) -> Imported:
    raw = events if isinstance(events, bytes) else events.encode()
    (tmp_path / "e.csv").write_bytes(raw)
    (tmp_path / "w.csv").write_text(weekly)
    files = (tmp_path / "e.csv", tmp_path / "w.csv", None)
    return from_tables(*files, str.strip, {}, hidden=False, reading=Reading(**how))


@pytest.mark.parametrize(
    ("written", "how", "at"),
    [
        ("2025-01-06T14:03:00Z", {}, datetime(2025, 1, 6, 14, 3, tzinfo=UTC)),
        ("06.01.2025 14:03", {"zone": "Europe/Berlin"}, datetime(2025, 1, 6, 13, 3, tzinfo=UTC)),
        ("06/Jan/25 3:14 PM", {}, datetime(2025, 1, 6, 15, 14, tzinfo=UTC)),
        ("13/01/2025 09:00", {}, datetime(2025, 1, 13, 9, tzinfo=UTC)),
        ("01/06/2025", {"time_format": "%m/%d/%Y"}, datetime(2025, 1, 6, tzinfo=UTC)),
    ],
)
def test_a_local_date_is_read(
    tmp_path: Path, written: str, how: dict[str, str], at: datetime
) -> None:
    got = read(tmp_path, f"time,gate\n{written},deploy\n", **how)
    assert [event.time for event in got.events] == [at]


def test_a_day_that_reads_two_ways_is_refused_with_both(tmp_path: Path) -> None:
    with pytest.raises(MalformedError, match="is 2025-01-06 or 2025-06-01") as caught:
        read(tmp_path, "time,gate\n01/06/2025,deploy\n")
    assert "--time-format" in str(caught.value.hint)


def test_times_without_a_zone_are_told(tmp_path: Path) -> None:
    told = read(tmp_path, "time,gate\n2025-01-06T10:00:00,deploy\n").notes
    assert told == ["1 times have no zone and were read as UTC (another: --zone)"]
    with pytest.raises(MisconfiguredError, match="'Berlin' is no time zone"):
        Reading(zone="Berlin")


def test_an_office_export_is_read_as_it_is(tmp_path: Path) -> None:
    text = '\ufeffTime;Gate;Person;Reason\r\n2025-01-06T10:00:00Z;deploy;Mira;"flaky\r\npassed"\r\n'
    [event] = read(tmp_path, text).events
    assert (event.gate, event.person, event.reason) == ("deploy", "Mira", "flaky passed")


def test_a_foreign_encoding_is_refused_with_the_option_and_read_with_it(tmp_path: Path) -> None:
    raw = "time,gate,reason\n2025-01-06T10:00:00Z,deploy,Prüfung rot\n".encode("cp1252")
    with pytest.raises(MalformedError, match="is not UTF-8 text") as caught:
        read(tmp_path, raw)
    assert "--encoding cp1252" in str(caught.value.hint)
    assert read(tmp_path, raw, encoding="cp1252").events[0].reason == "Prüfung rot"


def test_a_line_separator_in_a_reason_is_no_new_row(tmp_path: Path) -> None:
    got = read(tmp_path, "time,gate,reason\n2025-01-06T10:00:00Z,deploy,a\u2028b\n")
    assert len(got.events) == 1


def test_thousands_are_read_and_a_point_between_them_is_refused() -> None:
    assert count_in("1,389", "w") == count_in("1 389", "w") == 1389
    assert count_in("12.5", "w") == 12.5
    with pytest.raises(MalformedError, match=r"w: '1.389' is 1389 or a part of 2"):
        count_in("1.389", "w")


def test_months_are_laid_on_their_weeks(tmp_path: Path) -> None:
    weekly = "month,gate,passages\n2025-01,deploy,310\n"
    got = read(tmp_path, "time,gate\n2025-01-06T10:00:00Z,deploy\n", weekly)
    assert sum(got.passages["deploy"].values()) == pytest.approx(310)
    assert got.passages["deploy"][date(2025, 1, 6)] == pytest.approx(70)
    assert got.as_of == datetime(2025, 2, 1, tzinfo=UTC)


def test_the_last_week_counts_to_its_end(tmp_path: Path) -> None:
    got = read(tmp_path, "time,gate\n2025-01-06T10:00:00Z,deploy\n")
    assert got.as_of == datetime(2025, 1, 20, tzinfo=UTC)


def test_what_does_not_fit_together_is_told(tmp_path: Path) -> None:
    events = (
        "id,time,gate\n1,2025-01-06T10:00:00Z,deploy\n1,2025-01-06T10:00:00Z,deploy\n"
        "2,2025-01-07T10:00:00Z,Deploy\n"
    )
    got = read(tmp_path, events, WEEKLY + "2025-01-13,deploy,7\n")
    assert len(got.events) == 2
    assert [note.partition(":")[0] for note in got.notes] == [
        "left out, its id was there already",
        "named twice, both were added up",
        "bypassed, but no passages under this name",
    ]


def test_without_passages_no_rate_is_made_up(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("time,gate\n2025-01-06T10:00:00Z,deploy\n")
    got = from_tables(tmp_path / "e.csv", None, None, str.strip, {}, hidden=False)
    assert got.notes == ["no passages were given: no rate can be known of any gate"]
    told = judge(Gate("deploy", tuple(got.events), {}), datetime(2025, 1, 8, tzinfo=UTC))
    assert told.reading.value == "not_enough_data"
