"""The pictures: well-formed, described, the same each time, and nobody named."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from breakglass.verdicts.charts.gate_chart import NARROW, WIDE, gate_chart
from breakglass.verdicts.charts.page import page
from breakglass.verdicts.charts.scale import ticks, time_ticks
from breakglass.verdicts.charts.series import Week, blocks, shown
from breakglass.verdicts.charts.sparkline import sparkline
from breakglass.verdicts.evidence import gather
from breakglass.verdicts.history import Bypass, GateChange, GateReview, History
from breakglass.verdicts.verdict import judge

from .kit import AS_OF, PEOPLE, bypass, gate, monday_of, steady

WORDS = "checkout <b>5xx</b> & more"
BUSY = gate(
    steady(0.3, 0, 84)
    + steady(2.0, 84, 104, lambda _: WORDS, first=500)
    + steady(0.5, first=900, sanctioned=True),
    changes=(GateChange(monday_of(60), "split <suite>"),),
)
REVIEW = GateReview("deploy", AS_OF - timedelta(weeks=4), "gate_wrong", "mend it", "owner")


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_a_chart_is_well_formed_and_says_what_it_shows(width: int) -> None:
    data = shown(gather(BUSY, AS_OF), [REVIEW])
    svg = ElementTree.fromstring(gate_chart("deploy", data, "gate wrong", width, "k"))
    assert svg.get("role") == "img"
    title, desc = svg.find("title"), svg.find("desc")
    assert title is not None
    assert title.text == "deploy: gate wrong"
    assert desc is not None
    assert "13-week rate was highest" in str(desc.text)
    assert svg.get("aria-labelledby") == f"{title.get('id')} {desc.get('id')}"
    assert len([line for line in svg.iter("line") if line.get("class") == "change"]) == 2


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_labels_stay_on_the_paper_and_apart(width: int) -> None:
    data = shown(gather(BUSY, AS_OF), [REVIEW])
    svg = ElementTree.fromstring(gate_chart("deploy", data, "gate wrong", width, "k"))
    rows: dict[float, list[tuple[float, float]]] = {}
    for text in svg.iter("text"):
        long = 6.4 * len(str(text.text))
        at = float(str(text.get("x")))
        left = {"start": at, "middle": at - long / 2, "end": at - long}[
            str(text.get("text-anchor"))
        ]
        assert left >= 0, text.text
        assert left + long <= width + 2, text.text
        rows.setdefault(round(float(str(text.get("y")))), []).append((left, left + long))
    for spans in rows.values():
        spans.sort()
        assert all(a[1] <= b[0] + 1 for a, b in pairwise(spans))


def test_the_page_is_one_file_that_names_nobody_and_runs_nothing() -> None:
    history = History(AS_OF, (BUSY,), (REVIEW,))
    text = page(history, [judge(BUSY, AS_OF)], "Gates of <us>")
    assert text == page(history, [judge(BUSY, AS_OF)], "Gates of <us>")
    assert "<script" not in text
    assert not re.search(r"(?:src|href)=\"(?!#)", text)
    assert "checkout &lt;b&gt;5xx&lt;/b&gt; &amp; more" in text
    assert "<b>5xx</b>" not in text
    assert "split &lt;suite&gt;" in text
    assert not any(person in text for person in PEOPLE)
    ids = re.findall(r"\bid=\"([^\"]+)\"", text)
    assert len(ids) == len(set(ids))
    assert "mend it" in text
    assert "<caption" in text or "<details>" in text


def test_two_gates_with_the_same_letters_keep_their_own_anchors() -> None:
    other = replace(BUSY, name="review/post hoc")
    text = page(History(AS_OF, (BUSY, other)), [judge(g, AS_OF) for g in (BUSY, other)], "x")
    assert 'id="gate-review-post-hoc"' in text
    assert "Sibling doors on one scale" in text


def test_people_with_fewer_than_five_uses_share_one_row() -> None:
    data = shown(gather(gate(steady(0.2)), AS_OF))
    assert len(data.strips) == 1
    assert data.strips[0].label.endswith("people")


def test_a_sparkline_shows_the_shape() -> None:
    weeks = shown(gather(gate(steady(2.0, 52, 104)), AS_OF)).weeks
    line = sparkline(weeks)
    assert len(line) == 26
    assert line.startswith("▁▁▁▁")
    assert line.endswith("█")
    nothing = sparkline(shown(gather(gate([], 0.0), AS_OF)).weeks)
    assert set(nothing) <= {"·"}


def test_blocks_of_thirteen_weeks_add_up() -> None:
    weeks = shown(gather(BUSY, AS_OF)).weeks
    rows = blocks(weeks)
    assert sum(row[2] for row in rows) == sum(week.counted for week in weeks)
    assert sum(row[3] for row in rows) == 52


def test_an_axis_has_few_round_labels() -> None:
    assert ticks(0.23) == [0.0, 0.1, 0.2, 0.3]
    assert ticks(0) == [0.0, 1.0]
    assert 3 <= len(ticks(0.0037)) <= 6
    for days in (40, 200, 730, 5000):
        marks = time_ticks(date(2020, 3, 2), date(2020, 3, 2) + timedelta(days=days), 9)
        assert 1 <= len(marks) <= 14


def test_a_count_of_passages_that_is_next_to_nothing_draws_no_line() -> None:
    assert sparkline([Week(date(2026, 6, 1), 3, 0, 5e-324, None)]) == "·"


def burst() -> list[Bypass]:
    return [
        bypass(95 + i * 0.06, 700 + i, reason="cart down", incident="INC-900") for i in range(30)
    ]


def test_a_gate_that_nobody_went_round_is_one_line() -> None:
    quiet = replace(gate([]), name="quiet")
    text = page(History(AS_OF, (quiet,)), [judge(quiet, AS_OF)], "x")
    assert "quiet: none in 20,800 passages of two years" in text
    assert "<svg" not in text


def test_a_healthy_gate_is_folded_and_a_wrong_one_is_open() -> None:
    usual = replace(gate(steady(0.3)), name="usual")
    text = page(History(AS_OF, (BUSY, usual)), [judge(g, AS_OF) for g in (BUSY, usual)], "x")
    assert re.search(r'<details class="fold"><summary>usual', text)
    assert "<h2>deploy" in text
    assert text.count('href="#top"') == 1


def test_a_value_beyond_the_scale_is_an_arrow_and_no_dot_on_the_edge() -> None:
    odd = [bypass(50.1, 800 + i, reason="odd") for i in range(90)]
    data = shown(gather(gate(steady(0.3) + odd), AS_OF))
    svg = gate_chart("deploy", data, "healthy", WIDE, "k")
    assert 'class="off weekly"' in svg


def test_a_burst_is_drawn_as_a_burst_and_not_as_a_season() -> None:
    e = gather(gate(steady(0.3) + burst()), AS_OF)
    apart, mixed = shown(e, burst_apart=True), shown(e)
    assert apart.burst is not None
    assert apart.burst[2] > 0.05
    assert max(w.rate.high for w in apart.weeks if w.rate) < 0.02
    assert max(w.rate.middle for w in mixed.weeks if w.rate) > 0.01
    assert 'class="burst"' in gate_chart("deploy", apart, "bad month", WIDE, "k")


def test_the_tables_say_on_a_phone_that_they_scroll() -> None:
    text = page(History(AS_OF, (BUSY,)), [judge(BUSY, AS_OF)], "x")
    assert "the tables scroll sideways" in text
    assert ".hint{display:block" in text


def test_two_hundred_gates_are_a_page_of_less_than_a_megabyte() -> None:
    some = [replace(gate(steady(0.3)), name=f"gate-{i:03d}") for i in range(180)]
    some += [replace(BUSY, name=f"wrong-{i:02d}") for i in range(20)]
    verdicts = [replace(judge(g, AS_OF), gate=g.name) for g in (some[0], some[-1])]
    each = [replace(verdicts[g.name.startswith("wrong")], gate=g.name) for g in some]
    assert len(page(History(AS_OF, tuple(some)), each, "x").encode()) < 1_000_000
