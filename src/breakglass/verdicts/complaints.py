"""A complaint told from everyday reasons by its siblings, in whatever words it is made.

No list knows the words of every trade. What a gate's everyday reasons have in common, its siblings'
have too; a complaint about one gate is made there, by several people, month after month, and
hardly anywhere else.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from breakglass.verdicts.history import Bypass
from breakglass.verdicts.reasons import cluster_reasons, words_of

LATEST = 220  # reasons of a gate that say what is usual there
FEWEST = 10  # reasons, under which a gate says nothing of what is usual
STEP = 0.01  # shares are told in whole per cent, so that one reason more changes no verdict
OFTEN = 3.0  # times the usual share: a word that is this gate's own
CARRIED = 0.2  # of the complaint's reasons, or a word is no part of what it says
NAME = 0.9  # of all reasons: a word that nearly all of them carry names the gate, not a trouble
TOGETHER = 2  # own words in one reason; one alone is a component's name


@dataclass(frozen=True)
class Usual:
    """What is usual in an organisation: the median gate's rate, and how it words its reasons."""

    rate: float | None = None  # none where the gates are too few to have a median
    words: Mapping[str, float] = field(default_factory=dict)  # share of the median gate's reasons

    def share(self, word: str) -> float:
        """Return the share of reasons that carry ``word`` at the median gate; one step at least."""
        return max(STEP, self.words.get(word, 0.0))


@dataclass(frozen=True)
class Complaint:
    """One reason in words of the gate's own: its share of each window, and its support."""

    now: float
    before: float
    weeks: int
    people: int


def usual_words(gates: Sequence[Sequence[Bypass]]) -> dict[str, float]:
    """Return the words of the median gate's reasons, each with its share, in whole per cent."""
    shares: dict[str, list[float]] = defaultdict(list)
    telling = 0
    for events in gates:
        told = [words_of(event) for event in events if event.reason.strip()][-LATEST:]
        if len(told) < FEWEST:
            continue
        telling += 1
        for word, n in Counter(word for words in told for word in words).items():
            shares[word].append(n / len(told))
    found = {}
    for word, some in shares.items():
        if 2 * len(some) > telling:
            share = median([*some, *[0.0] * (telling - len(some))])
            if share >= STEP:
                found[word] = round(share, 2)
    return dict(sorted(found.items()))


def find_complaint(
    recent: Sequence[Bypass], before: Sequence[Bypass], usual: Usual
) -> Complaint | None:
    """Return the gate's own complaint that holds most of both windows; nothing without one."""
    told_now = [event for event in recent if event.reason.strip()]
    told_before = [event for event in before if event.reason.strip()]
    if not told_now or not told_before:
        return None
    now = {event.id for event in told_now}
    own = _own_words(told_now, usual) & _own_words(told_before, usual)
    best = None
    by_id = {event.id: event for event in (*told_before, *told_now)}
    for cluster in cluster_reasons((*before, *recent)):
        said = [by_id[i] for i in sorted(cluster.ids & by_id.keys())]
        carried = Counter(word for event in said for word in words_of(event) & own)
        words = {word for word, n in carried.items() if n >= CARRIED * len(said)}
        meant = [event for event in said if len(words_of(event) & words) >= TOGETHER]
        here = [event for event in meant if event.id in now]
        found = Complaint(
            len(here) / len(told_now),
            (len(meant) - len(here)) / len(told_before),
            len({event.time.isocalendar()[:2] for event in here}),
            len({event.person for event in here}),
        )
        if best is None or min(found.now, found.before) > min(best.now, best.before):
            best = found
    return best


def _own_words(told: Sequence[Bypass], usual: Usual) -> set[str]:
    counts = Counter(word for event in told for word in words_of(event))
    return {word for word, n in counts.items() if OFTEN * usual.share(word) <= n / len(told) < NAME}
