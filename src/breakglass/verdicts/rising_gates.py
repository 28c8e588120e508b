"""Which gates are rising now: the early warning run over a whole history, all gates together.

An alarm is told for four weeks; a gate that Benjamini-Hochberg keeps among all gates is marked as
sure. Neither is a verdict: they say where to look before an incident does.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from breakglass.verdicts.history import WEEK
from breakglass.verdicts.many import chance_of_rise, kept
from breakglass.verdicts.verdict import Verdict
from breakglass.verdicts.warning import watch
from breakglass.verdicts.windows import weekly

FRESH = timedelta(weeks=4)


@dataclass(frozen=True)
class Rising:
    """A gate whose rate began to rise in the week of ``since`` and rang in the week of ``rang``."""

    gate: str
    since: date
    rang: date
    sure: bool


def rising(verdicts: list[Verdict]) -> tuple[Rising, ...]:
    """Return the gates that rang within the last four weeks, the latest first.

    At most one false alarm a gate and year at a flat rate, and at most one a month over all gates
    once there are more than twelve (shown by simulation in the tests).
    """
    sure = kept({verdict.gate: chance_of_rise(verdict.evidence) for verdict in verdicts})
    found = []
    for verdict in verdicts:
        e = verdict.evidence
        whole = e.whole
        counts, exposures = weekly(whole, e.gate)
        first = whole.end - len(counts) * WEEK
        alarms = watch(counts, exposures, noise=e.noise, gates=len(verdicts))
        if alarms:
            last = alarms[-1]
            rang = first + last.week * WEEK
            if rang >= whole.end - FRESH:
                since = first + last.since * WEEK
                found.append(Rising(verdict.gate, since, rang, verdict.gate in sure))
    return tuple(sorted(found, key=lambda r: (-r.rang.toordinal(), r.gate)))
