"""Whatever a folder holds, it is read or refused in our own words; and the JSON is JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakglass.verdicts.charts.page import page
from breakglass.verdicts.drafts import draft
from breakglass.verdicts.history import Bypass, Gate, GateChange, History, monday
from breakglass.verdicts.sentence import READS, points, what_would_change
from breakglass.verdicts.verdict import Reading, Verdict, judge, judge_all
from breakglass.verdicts.verdict_json import answer

from .organisation import Simulated, organisation
from .shapes import foreign

Maker = Callable[..., Simulated]

AS_OF = datetime(2026, 6, 29, 15, 30, tzinfo=UTC)
NAMES = st.sampled_from(["", "mira", "sam", "p3", "日本"])
REASONS = st.sampled_from(["", "flaky suite", "5xx <b>", 'Revert "x"', "fix bustage", "\x00\u2028"])
EVENTS = st.builds(
    Bypass,
    id=st.uuids().map(str),
    time=st.integers(0, 800).map(lambda days: AS_OF - timedelta(days=days)),
    gate=st.just("g"),
    person=NAMES,
    incident=st.sampled_from(["", "INC-1", "INC-2", "INC-3"]),
    parent_incident=st.sampled_from(["", "INC-1"]),
    reason=REASONS,
    reason_code=st.sampled_from(["", "other", "flaky-check"]),
    sanctioned=st.booleans(),
    kind=st.sampled_from(["bypass", "bypass", "drill", "machine"]),
)
DAYS = st.integers(0, 900).map(lambda days: (AS_OF - timedelta(days=days)).date())
GATES = st.builds(
    Gate,
    name=st.just("g"),
    events=st.lists(EVENTS, max_size=40).map(
        lambda events: tuple(sorted(events, key=lambda e: (e.time, e.id)))
    ),
    passages=st.dictionaries(DAYS.map(monday), st.floats(0, 1e6), max_size=60),
    people=st.dictionaries(
        st.sampled_from(["", "2026-Q2", "2025-Q1"]),
        st.dictionaries(NAMES, st.floats(0, 100), max_size=4),
        max_size=3,
    ),
    born=st.none() | DAYS,
    retired=st.none() | DAYS,
    changes=st.lists(st.builds(GateChange, DAYS, st.just("mended")), max_size=3).map(tuple),
)


def contradictions(read: Verdict) -> list[str]:
    """Return what a reader would find at odds in the words of one verdict."""
    e, words = read.evidence, " ".join([*points(read), *what_would_change(read), draft(read)])
    t, found = e.top, []
    others_rose = t is None or t.ratio_without.low >= 1.1
    if "everybody else" in words and (read.reading is not Reading.ONE_PERSON or others_rose):
        found.append("the others are not as before")
    b = e.burst
    left_high = b is not None and b.ratio_without.low >= 1.1
    if read.reading is Reading.BAD_MONTH and left_high and "without it, too" not in words:
        found.append("a bad month that is not all, and that is not said")
    alarm = re.search(r"about ([\d]+) bypasses in a half-year", words)
    if alarm and int(alarm[1]) <= e.recent.k:
        found.append("fewer than there are would be looked at, and the gate is healthy")
    if "improving" in words and (e.before.k <= e.recent.k or not e.has_past):
        found.append("improving from nothing")
    if "No incident ids were named" in words and e.families:
        found.append("incidents were named")
    if "no incident was named" in words and re.search(r"in \d+ incidents?", words):
        found.append("incidents are counted and none was named")
    if "no earlier rate" in words and "times its earlier rate" in words:
        found.append("an earlier rate and none")
    if "error of the data" in words and ("%" in words.partition("## Evidence")[0]):
        found.append("a rate from a count that failed")
    if READS[read.reading] not in words or "None" in words or "nan" in words:
        found.append("the reading is not told")
    if read.reading is not Reading.NOT_ENOUGH_DATA and "would decide it" in words:
        found.append("decided, and more weeks are wanted")
    if f"Runner-up: {READS[read.reading]}" in words:
        found.append("second after itself")
    if "small class" in words and e.clusters and e.clusters[0].events == e.recent.k:
        found.append("a small class that is all")
    return found


@given(GATES)
@settings(max_examples=60, deadline=None)
def test_any_gate_is_read_drafted_and_drawn(gate: Gate) -> None:
    read = judge(gate, AS_OF)
    told = json.loads(json.dumps(answer(read), allow_nan=False))
    if told["rate"] is None:
        assert (told["verdict"], told["rate_low"]) == ("not_enough_data", None)
    else:
        assert 0 <= told["rate_low"] <= told["rate"] + 1e-9
        assert told["rate"] <= told["rate_high"] + 1e-9
    assert told["sentence"].startswith("g: ")
    assert draft(read).startswith("# ")
    assert page(History(AS_OF, (gate,)), [read], "any").endswith("</html>\n")
    assert contradictions(read) == []


@pytest.mark.parametrize("level", ["easy", "hard"])
@pytest.mark.parametrize("maker", [organisation, foreign])
def test_a_sentence_never_contradicts_its_verdict(level: str, maker: Maker) -> None:
    seen = set()
    for seed in range(4):
        for read in judge_all(maker(level, seed, held_out=False).history):
            assert contradictions(read) == [], " ".join(points(read))
            seen.add(read.reading)
    assert len(seen) >= 5  # every template but perhaps one


@given(GATES, st.sampled_from(list(Reading)), st.sampled_from(list(Reading)), st.booleans())
@settings(max_examples=60, deadline=None)
def test_every_template_agrees_with_any_evidence(
    gate: Gate, reading: Reading, second: Reading, waits: bool
) -> None:
    """Force each reading on evidence of any kind: no sentence may claim what does not hold."""
    read = judge(gate, AS_OF)
    if second is reading or read.evidence.is_spoiled or read.evidence.recent.passages < 1:
        return
    weeks = 8 if waits and reading is Reading.NOT_ENOUGH_DATA else None
    forced = replace(read, reading=reading, runner_up=second, weeks_needed=weeks)
    assert contradictions(forced) == []
