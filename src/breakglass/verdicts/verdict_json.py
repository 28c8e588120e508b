"""The verdict as one JSON object per gate, in the keys that DEVIANCE.md names, and a few beside.

A limit without bound is written as null, since JSON has no infinity.
"""

from __future__ import annotations

import math
from typing import Any

from breakglass.verdicts.evidence import Evidence
from breakglass.verdicts.intervals import UNKNOWN, Interval, rate_exact, share_exact
from breakglass.verdicts.people import FEWEST_PER_PERSON
from breakglass.verdicts.reasons import Cluster
from breakglass.verdicts.sentence import sentence, what_would_change
from breakglass.verdicts.verdict import Verdict
from breakglass.verdicts.windows import WindowRate, table


def answer(verdict: Verdict) -> dict[str, Any]:
    """Return the verdict as plain values, keys in a fixed order; numbers to six figures."""
    e = verdict.evidence
    # A broken count has no rate, not even one that a few good weeks would lend it.
    rate = UNKNOWN if e.is_spoiled else e.rate
    exact = UNKNOWN if e.is_spoiled else share_exact(e.recent.k, e.recent.passages)
    per_week = rate_exact(e.recent.k, max(e.recent.days, 1) / 7)
    return {
        "gate": verdict.gate,
        "verdict": verdict.reading.value,
        "runner_up": verdict.runner_up.value,
        "n": e.recent.k,
        "passages": _plain(e.recent.passages),
        "rate": _plain(rate.middle),
        "rate_low": _plain(rate.low) if rate is not UNKNOWN else None,
        "rate_high": _plain(rate.high) if rate is not UNKNOWN else None,
        "ratio": _plain(e.ratio.middle),
        "ratio_low": _plain(e.ratio.low),
        "ratio_high": _plain(e.ratio.high),
        "without_top_person": _without_person(e),
        "without_top_incident": _without_incident(e),
        "clusters": [_cluster(cluster) for cluster in e.clusters[:5]],
        "sentence": sentence(verdict),
        "would_change": list(what_would_change(verdict)),
        "qualifiers": list(verdict.qualifiers),
        "weeks_needed": verdict.weeks_needed,
        "window": [e.recent.start.isoformat(), e.recent.end.isoformat()],
        "baseline": [e.before.start.isoformat(), e.before.end.isoformat()],
        "baseline_n": e.before.k,
        "baseline_passages": _plain(e.before.passages),
        "rate_exact": [_plain(exact.low), _plain(exact.high)],
        "per_week": _interval(per_week),
        "people": len(e.people),
        "effective_people": _plain(round(e.effective_people, 2)),
        "incidents": len(e.families),
        "noise": _plain(round(e.noise, 3)),
        "set_apart": dict(e.set_apart),
        "data_errors": [
            {
                "week": error.week.isoformat(),
                "n": error.bypasses,
                "passages": _plain(error.passages),
            }
            for error in e.data_errors
        ],
        "windows": [_window(row) for row in table(e.gate, e.as_of)],
    }


def _without_person(e: Evidence) -> dict[str, Any] | None:
    t = e.top
    if t is None or t.events < FEWEST_PER_PERSON:
        return None
    left = e.recent.k - t.events
    return {"n": left, **_ratio(t.ratio_without), "share_of_passages": _plain(t.share_of_passages)}


def _without_incident(e: Evidence) -> dict[str, Any] | None:
    b = e.burst
    if b is None:
        return None
    return {"n": b.left, **_ratio(b.ratio_without), "incident": b.family or None}


def _ratio(ratio: Interval) -> dict[str, Any]:
    return {
        "ratio": _plain(ratio.middle),
        "ratio_low": _plain(ratio.low),
        "ratio_high": _plain(ratio.high),
    }


def _cluster(cluster: Cluster) -> dict[str, Any]:
    return {
        "label": cluster.label,
        "events": cluster.events,
        "weeks": cluster.weeks,
        "people": cluster.people,
        "incidents": cluster.incidents,
        "quotes": list(cluster.quotes),
    }


def _window(row: WindowRate) -> dict[str, Any]:
    return {
        "days": row.days,
        "n": row.n,
        "passages": _plain(row.passages),
        "rate": _interval(row.share),
        "exact": _interval(row.exact),
        "per_week": _interval(row.per_week),
        "set_apart": row.set_apart,
    }


def _interval(interval: Interval) -> list[float | int | None]:
    return [_plain(interval.middle), _plain(interval.low), _plain(interval.high)]


def _plain(value: float) -> float | int | None:
    if math.isinf(value) or math.isnan(value):
        return None
    short = float(f"{value:.6g}")
    return int(short) if short.is_integer() else short
