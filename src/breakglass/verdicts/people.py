"""Who goes round a gate, against who passes it: never a raw share alone.

Sources: DEVIANCE.md 3.5; the binomial tail is multiplied by the number of people (Bonferroni).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import date, timedelta

from breakglass.verdicts.distributions import binomial_at_least
from breakglass.verdicts.history import Bypass, Gate, quarter
from breakglass.verdicts.intervals import Interval, ratio_exact, share_read
from breakglass.verdicts.windows import Windows

FEWEST_PER_PERSON = 5  # under this, nothing is shown per person


@dataclass(frozen=True)
class TopPerson:
    """The person with the most bypasses beyond their share of the passages in the same window."""

    person: str
    events: int
    share_of_passages: float
    chance: float  # of so many by such a share, times the number of people
    ratio_without: Interval
    rate_without: Interval
    weeks: int
    own_ratio: Interval  # their recent rate over their own earlier one
    explains: float  # share of the gate's excess that goes when they are left out
    own_excess: float  # their days with one, beyond their share at the others' or earlier rate
    own_rate: Interval
    rest_excess: float  # bypasses of all the others beyond the others' own earlier rate


def find_top_person(gate: Gate, both: Windows, k0: float) -> TopPerson | None:
    """Find the person who stands out most against their own share, and count without them."""
    recent, before = both.recent, both.before
    by_person: dict[str, list[Bypass]] = defaultdict(list)
    for event in recent.events:
        by_person[event.person].append(event)
    by_person.pop("", None)
    if not by_person:
        return None
    now, then = shares(gate, recent.start, recent.end), shares(gate, before.start, before.end)
    k = recent.k
    crowd = max(len(now), len(by_person))
    # Somebody whose passages were never counted is given the share of an ordinary person.
    unknown = 1 / (crowd + 1)

    def stands_out(person: str) -> tuple[float, float, str]:
        n = len(by_person[person])
        share = now.get(person, 0.0) or unknown * 0.5
        return (binomial_at_least(n, k, min(0.99, share)), -n, person)

    # Among those with at least a quarter of the largest count; one event proves nothing.
    most = max(len(events) for events in by_person.values())
    chance, _, person = min(stands_out(p) for p, es in by_person.items() if len(es) * 3 >= most)
    theirs = by_person[person]
    share_now = now.get(person, 0.0) or unknown * 0.5
    share_then = then.get(person, share_now if not then else 0.0)
    k_left = k - len(theirs)
    n_left = recent.passages * (1 - min(share_now, 0.95))
    before_left = sum(1 for event in before.events if event.person != person)
    k0_left = before_left * (k0 / before.k if before.k else 1.0)
    n0_left = before.passages * (1 - min(share_then, 0.95))
    usual = k0 * recent.passages / before.passages if before.passages else float(k)
    usual_left = k0_left * n_left / n0_left if n0_left else float(k_left)
    excess = k - usual
    theirs_before = before.k - before_left
    rates = [k_left / n_left if n_left else 0.0, k0 / before.passages if before.passages else 0.0]
    own_passages = max(recent.passages * share_now, 1.0)
    return TopPerson(
        person=person,
        events=len(theirs),
        share_of_passages=share_now,
        chance=min(1.0, chance * crowd),
        ratio_without=ratio_exact(k_left, n_left, k0_left, n0_left),
        rate_without=share_read(k_left, n_left),
        weeks=len({event.time.isocalendar()[:2] for event in theirs}),
        own_ratio=ratio_exact(
            len(theirs),
            own_passages,
            theirs_before,
            max(before.passages * share_then, 1.0) if before.passages else 0.0,
        ),
        explains=1 - max(0.0, k_left - usual_left) / excess if excess > 0 else 0.0,
        # The five parts of one task on one day are one occasion.
        own_excess=len({event.time.date() for event in theirs}) - own_passages * max(rates),
        own_rate=share_read(len(theirs), own_passages),
        rest_excess=k_left - usual_left if before.passages else 0.0,
    )


def shares(gate: Gate, start: date, end: date) -> dict[str, float]:
    """Return each person's share of the passages between two days.

    Shares of the same window where quarters are given: all-time shares made one active committer
    look like an offender (DEVIANCE.md 2, fact 5). Quarters weigh by the days they cover.
    """
    seasons = {name: weights for name, weights in gate.people.items() if name}
    covered: Counter[str] = Counter()
    day = start
    while day < end:
        covered[quarter(day)] += 1
        day += timedelta(days=1)
    total: dict[str, float] = defaultdict(float)
    used = {season: days for season, days in covered.items() if seasons.get(season)}
    if not used:
        total.update(gate.people.get("", {}))
        if not total and seasons:
            for weights in seasons.values():
                total.update(weights)
    for season, days in used.items():
        # A quarter that the window only touches counts by the part that it covers.
        for person, weight in seasons[season].items():
            total[person] += weight * days / 91
    whole = sum(total.values())
    return {person: weight / whole for person, weight in total.items()} if whole > 0 else {}
