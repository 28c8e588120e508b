"""A glass that opens no gate: so often a week, and no share of anything."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from breakglass.clock import format_time
from breakglass.verdicts.charts.page import page
from breakglass.verdicts.folder import read_folder, write_folder
from breakglass.verdicts.glasses import glass_rates, glass_sentence
from breakglass.verdicts.history import Bypass, History
from breakglass.verdicts.imports.records import from_records

AS_OF = datetime(2026, 6, 29, tzinfo=UTC)


def grants(*weeks_ago: float, glass: str = "db-admin", kind: str = "bypass") -> list[Bypass]:
    return [
        Bypass(f"{glass}-{kind}-{n}", AS_OF - timedelta(weeks=w), glass, f"p{n % 2}", kind=kind)
        for n, w in enumerate(sorted(weeks_ago, reverse=True))
    ]


def test_a_glass_has_a_rate_a_week_and_its_own_past() -> None:
    some = tuple(grants(90, 60, 20, 15, 10, 5, 2) + grants(3, kind="drill"))
    [rate] = glass_rates(History(AS_OF, (), (), some))
    assert (rate.n, rate.before, rate.people, rate.drills) == (5, 2, 2, 1)
    assert rate.per_week.low < 5 / 26 < rate.per_week.high
    assert rate.ratio is not None
    assert rate.ratio.low > 1
    assert glass_sentence(rate).endswith("; 1 drill not counted")


def test_a_young_glass_is_compared_with_nothing() -> None:
    [rate] = glass_rates(History(AS_OF, (), (), tuple(grants(3, 2))))
    assert rate.ratio is None
    assert glass_sentence(rate).startswith("db-admin: broken twice in 3 weeks by 2 people")


def test_the_records_and_the_folder_carry_it_and_the_page_shows_it(tmp_path: Path) -> None:
    record = {"kind": "broken", "id": "g-1", "time": format_time(AS_OF - timedelta(weeks=1)),
              "gate": "db-admin", "person": "mira", "drill": False}  # fmt: skip
    told = from_records([record], AS_OF)
    assert told.gates == ()
    write_folder(tmp_path / "h", AS_OF, [], {}, {}, grants=told.grants)
    read = read_folder(tmp_path / "h")
    assert [(grant.gate, grant.id) for grant in read.grants] == [("db-admin", "g-1")]
    text = page(read, [], "x")
    assert "Glasses that open no gate" in text
    assert "mira" not in text
