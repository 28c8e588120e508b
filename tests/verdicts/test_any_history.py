"""Whatever a folder holds, it is read or refused in our own words; and the JSON is JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from breakglass.verdicts.charts.page import page
from breakglass.verdicts.drafts import draft
from breakglass.verdicts.history import Bypass, Gate, GateChange, History, monday
from breakglass.verdicts.verdict import judge
from breakglass.verdicts.verdict_json import answer

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


@given(GATES)
@settings(max_examples=60, deadline=None)
def test_any_gate_is_read_drafted_and_drawn(gate: Gate) -> None:
    read = judge(gate, AS_OF)
    told = json.loads(json.dumps(answer(read), allow_nan=False))
    assert 0 <= told["rate_low"] <= told["rate"] + 1e-9
    assert told["rate"] <= told["rate_high"] + 1e-9
    assert told["sentence"].startswith("g: ")
    assert draft(read).startswith("# ")
    assert page(History(AS_OF, (gate,)), [read], "any").endswith("</html>\n")
