"""Windows: the table of rates, and where a window may not reach."""

from __future__ import annotations

from datetime import date

import pytest

from breakglass.verdicts.evidence import counted
from breakglass.verdicts.windows import table, weekly, windows

from .kit import AS_OF, gate, monday_of, steady


def test_rates_stand_for_7_30_90_and_365_days_with_exact_limits() -> None:
    rows = table(gate(steady(2.0)), AS_OF)
    assert [row.days for row in rows] == [7, 30, 90, 365]
    assert [row.n for row in rows] == [2, 9, 26, 104]
    year = rows[-1]
    assert year.passages == pytest.approx(365 * 200 / 7, rel=1e-9)
    assert year.exact.low < year.share.low < year.share.middle < year.share.high < year.exact.high
    assert year.per_week.middle == pytest.approx(104 / (365 / 7))


def test_what_is_set_apart_is_counted_by_its_own_name() -> None:
    events = steady(1.0) + steady(1.0, 100, 104, first=900, sanctioned=True)
    events += steady(0.5, 100, 104, first=950, kind="drill")
    row = table(gate(events), AS_OF)[1]
    assert row.n == 4
    assert row.set_apart == {"sanctioned": 4, "routine": 0, "drill": 2, "machine": 0,
                             "documentation": 0}  # fmt: skip


def test_no_window_reaches_back_before_the_birth() -> None:
    young = gate(steady(2.0, 96, 104), born=monday_of(96))
    assert table(young, AS_OF)[-1].passages == 8 * 200
    both = windows(young, counted(young), AS_OF)
    assert both.recent.start == monday_of(96)
    assert both.before.passages == 0
    assert both.cut == f"has existed only since {monday_of(96)}"


def test_weeks_are_counted_back_from_the_end() -> None:
    one = gate(steady(1.0))
    both = windows(one, counted(one), AS_OF)
    counts, exposures = weekly(both.recent, one)
    assert counts == [1] * 26
    assert exposures == [200.0] * 26
    assert both.recent.end == date(2026, 6, 29)
