"""The early warning: a rising rate is heard while it rises, at a stated price in false alarms.

A Poisson CUSUM per gate (Page 1954; Lucas 1985) on counts divided by the gate's noise, watching for
a rate ``RISE`` times the usual. The bar is set per gate by exact computation, so that a gate whose
rate never changes alarms at most once in ``WEEKS_BETWEEN`` weeks on average; with more than twelve
gates the bars rise until all of them together stay at ``TOGETHER_PER_YEAR``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

RISE = 2.0
WEEKS_BETWEEN = 52.0
TOGETHER_PER_YEAR = 12.0  # false alarms a year over all gates, once there are more than twelve
LEARN = 26  # weeks from which the usual rate is learned before the watch begins


@dataclass(frozen=True)
class Alarm:
    """The week (index) at which the sum crossed the bar, and since which week it had risen."""

    week: int
    since: int
    height: float
    bar: float


@dataclass(frozen=True)
class Watch:
    """A CUSUM between two weeks: everything that the next week needs; nothing else is kept."""

    height: float = 0.0
    since: int = 0
    week: int = 0

    def step(self, count: float, expected: float, bar: float) -> tuple[Watch, Alarm | None]:
        """Take one week in; an alarm starts the sum again from zero.

        Args:
            count: bypasses of the week, divided by the gate's noise.
            expected: what the usual rate would bring this week, divided likewise.
            bar: from ``bar_for``.
        """
        gain = count * math.log(RISE) - expected * (RISE - 1)
        height = max(0.0, self.height + gain)
        since = self.since if self.height > 0 else self.week
        if height >= bar:
            return Watch(0.0, self.week + 1, self.week + 1), Alarm(self.week, since, height, bar)
        return Watch(height, since, self.week + 1), None


def watch(
    counts: Sequence[float],
    exposures: Sequence[float],
    *,
    noise: float = 1.0,
    gates: int = 1,
    per_year: float = 1.0,
) -> tuple[Alarm, ...]:
    """Run the watch over weekly ``counts`` and return its alarms, oldest first.

    The usual rate is that of all weeks before, at least ``LEARN`` of them and at most 78, weeks
    since the sum began to rise left out. ``gates`` is how many are watched together, ``per_year``
    the false alarms that one gate may give.
    """
    state, alarms = Watch(), []
    for week, (count, exposure) in enumerate(zip(counts, exposures, strict=True)):
        state = Watch(state.height, state.since, week)
        learned = slice(max(0, week - 78), min(week, state.since) if state.height > 0 else week)
        known_n = sum(exposures[learned])
        if len(exposures[learned]) < LEARN or known_n < 1:
            continue
        # Half an event is added: a usual rate of zero would make the first bypass an alarm.
        usual = (sum(counts[learned]) + 0.5) / known_n
        # What was learned from few events is uncertain; the bar is set for its upper middle.
        unsure = 1 + 0.8 / math.sqrt(sum(counts[learned]) + 1)
        expected = usual * unsure * exposure / noise
        state, alarm = state.step(count / noise, expected, bar_for(expected, gates, per_year))
        if alarm is not None:
            alarms.append(alarm)
    return tuple(alarms)


def bar_for(expected: float, gates: int = 1, per_year: float = 1.0) -> float:
    """Return the height at which to ring for ``expected`` events a week under the usual rate."""
    weeks = WEEKS_BETWEEN / per_year * _gate_factor(gates)
    # Beyond a hundred a week the bar hardly moves, and the chain's terms would vanish.
    held = min(100.0, max(0.02, expected))
    # Rungs of an eighth: each costs a chain to solve, and between them the bar hardly moves.
    rung = round(math.log(held) / math.log(1.125))
    return _bar(1.125**rung, weeks)


def _gate_factor(gates: int) -> float:
    """More than twelve gates share one false alarm a month, so nobody learns to ignore them."""
    return max(1.0, gates / TOGETHER_PER_YEAR)


@lru_cache(maxsize=4096)
def _bar(expected: float, weeks: float) -> float:
    low, high = 0.5, 12.0
    for _ in range(11):
        middle = (low + high) / 2
        low, high = (middle, high) if run_length(expected, middle) < weeks else (low, middle)
    return high


@lru_cache(maxsize=16384)
def run_length(expected: float, bar: float, actual: float = 0.0, cells: int = 40) -> float:
    """Return the mean number of weeks to an alarm, by a Markov chain over the sum's height.

    Args:
        expected: events a week under the usual rate.
        bar: height of the alarm.
        actual: events a week that really come; zero means the usual rate.

    Source: Brook and Evans 1972; ``cells`` states, solved by iteration from above.
    """
    mean = actual or expected
    width = bar / cells
    chances = _poisson_terms(mean)
    moves = []
    for cell in range(cells):
        row: dict[int, float] = {}
        for count, p in enumerate(chances):
            height = cell * width + count * math.log(RISE) - expected * (RISE - 1)
            target = min(cells, max(0, round(height / width)))
            if target < cells:
                row[target] = row.get(target, 0.0) + p
        moves.append(row)
    return _solve(moves)


def _solve(moves: list[dict[int, float]]) -> float:
    """Solve ``(I - Q) x = 1`` for the state of height zero by elimination."""
    n = len(moves)
    rows = [[(1.0 if i == j else 0.0) - moves[i].get(j, 0.0) for j in range(n)] for i in range(n)]
    right = [1.0] * n
    for i in range(n - 1, 0, -1):
        pivot = rows[i][i]
        if pivot < 1e-12:
            return math.inf
        for k in range(i):
            factor = rows[k][i] / pivot
            if factor:
                row_i, row_k = rows[i], rows[k]
                for j in range(i):
                    row_k[j] -= factor * row_i[j]
                right[k] -= factor * right[i]
    return right[0] / rows[0][0] if rows[0][0] > 1e-12 else math.inf


def _poisson_terms(mean: float) -> list[float]:
    term, terms, left, k = math.exp(-mean), [], 1.0, 0
    while left > 1e-9 and k < 400:
        terms.append(term)
        left -= term
        k += 1
        term *= mean / k
    return terms
