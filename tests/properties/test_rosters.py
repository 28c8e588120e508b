"""Broker and monitor reach the same rosters, wherever a roster comes in or grows old."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from breakglass.policy.people import Rosters
from breakglass.policy.rosters import Kept, fresh, lately_fresh
from breakglass.records.fold.slices.monitor import RosterState
from tests.policy.kit import NOW, policy_of

SKEW, SECOND = timedelta(seconds=120), timedelta(seconds=1)
SOURCES = {"shop-leads": "pagerduty:PSHOP", "sre-leads": "file:sre.json"}
BUNDLE = policy_of(
    "example",
    (
        "sre-leads:   {members: [sam]}",
        "sre-leads: {roster: file:sre.json, at_most_old: 5m, else: [sam]}",
    ),
).bundle

SEEN = st.integers(0, 40)  # in half minutes


@st.composite
def logs(draw: st.DrawFn) -> list[tuple[str, RosterState]]:
    """Make a log's rosters in order: of one group no two within the skew, and now and then old."""
    found: list[tuple[str, RosterState]] = []
    last = dict.fromkeys(SOURCES, -5)
    for half_minutes in sorted(draw(st.lists(SEEN, max_size=8))):
        group = draw(st.sampled_from(sorted(SOURCES)))
        if half_minutes - last[group] <= 4:
            continue
        last[group] = half_minutes
        seen = NOW + half_minutes * 30 * SECOND
        age = draw(st.sampled_from([timedelta(0), timedelta(minutes=4), timedelta(hours=12)]))
        people = draw(st.sampled_from([(), ("ines",), ("ines", "sam"), ("mira",)]))
        index = len(found) * 3
        found.append((group, RosterState(people, SOURCES[group], seen - age, seen, index)))
    return found


def kept(log: list[tuple[str, RosterState]], before: int) -> Kept:
    """Keep of a log what the fold does."""
    found: dict[str, tuple[RosterState, ...]] = {}
    for group, roster in log[:before]:
        found[group] = (roster, *found.get(group, ())[:1])
    return found


@settings(max_examples=300, deadline=None)
@given(logs(), st.integers(0, 45), st.integers(0, 240), st.integers(0, 8), st.data())
def test_what_a_broker_decided_on_is_among_what_the_monitor_looks_at(
    log: list[tuple[str, RosterState]], at: int, half_seconds: int, behind: int, data: st.DataObject
) -> None:
    decided = NOW + at * 30 * SECOND
    stated = decided + half_seconds * SECOND / 2  # the intent's own time, within the skew
    here = [each for each in log if each[1].seen <= decided]
    # The broker may lag, by no more than the skew.
    must = sum(each[1].seen <= stated - SKEW for each in log)
    broker = fresh(kept(log, max(must, len(here) - behind)), BUNDLE, decided)
    monitor = kept(log, sum(each[1].seen <= stated for each in log))
    assert broker in lately_fresh(monitor, BUNDLE, stated, SKEW)


@settings(max_examples=100, deadline=None)
@given(logs(), st.integers(0, 60))
def test_the_monitor_looks_at_nothing_that_never_counted(
    log: list[tuple[str, RosterState]], at: int
) -> None:
    stated = NOW + at * 30 * SECOND
    size = sum(each[1].seen <= stated for each in log)
    counted: list[Rosters] = []
    for known in range(size + 1):
        if any(each[1].seen <= stated - SKEW for each in log[known:size]):
            continue
        for second in range(int(SKEW.total_seconds()) + 1):
            counted.append(fresh(kept(log, known), BUNDLE, stated - second * SECOND))
    for found in lately_fresh(kept(log, size), BUNDLE, stated, SKEW):
        assert found in counted
