"""How a set of verdicts on simulated gates is scored; the same words as DEVIANCE.md's table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from breakglass.verdicts.verdict import judge_all

from .organisation import organisation
from .shapes import foreign

MAKERS = {"organisation": organisation, "foreign": foreign}


@dataclass(frozen=True)
class Score:
    """Shares of gates, and the confusion: truth, verdict, how often."""

    gates: int
    accuracy: float
    harm: float
    false_alarms: float
    coverage: float
    confusion: Counter[tuple[str, str]]
    by_shape: Counter[tuple[str, str, str]]  # condition, shape, verdict

    @property
    def lowest_recall(self) -> float:
        """The share of right verdicts in the condition where it is lowest."""
        whole, right = Counter[str](), Counter[str]()
        for (truth, told), n in self.confusion.items():
            whole[truth] += n
            right[truth] += n if truth == told else 0
        return min(right[truth] / n for truth, n in whole.items())


def is_harm(truth: str, told: str) -> bool:
    """Return whether ``told`` blames or spares wrongly; asking for more weeks does neither.

    Blames: a person where it was not one, a gate that is healthy, had a bad month or one person.
    Spares: a wrong gate or a real root cause called healthy or a bad month.
    """
    if told in (truth, "not_enough_data"):
        return False
    if told == "one_person":
        return True
    if told == "gate_wrong":
        return truth in ("healthy", "bad_month", "one_person")
    return truth in ("gate_wrong", "root_cause") and told in ("healthy", "bad_month")


def score(
    level: str, seeds: Iterable[int], *, held_out: bool, maker: str = "organisation"
) -> Score:
    """Judge every gate of the organisations with these seeds."""
    confusion: Counter[tuple[str, str]] = Counter()
    by_shape: Counter[tuple[str, str, str]] = Counter()
    for seed in seeds:
        made = MAKERS[maker](level, seed, held_out=held_out)
        for read in judge_all(made.history):
            told, truth = read.reading.value, made.truth[read.gate]
            confusion[truth, told] += 1
            by_shape[truth, made.shapes.get(read.gate, ""), told] += 1
    gates = sum(confusion.values())
    healthy = sum(n for (truth, _), n in confusion.items() if truth == "healthy")
    quiet = {"healthy", "not_enough_data"}
    return Score(
        gates=gates,
        accuracy=sum(n for (truth, told), n in confusion.items() if truth == told) / gates,
        harm=sum(n for (truth, told), n in confusion.items() if is_harm(truth, told)) / gates,
        false_alarms=sum(
            n for (truth, told), n in confusion.items() if truth == "healthy" and told not in quiet
        )
        / healthy,
        coverage=sum(n for (_, told), n in confusion.items() if told != "not_enough_data") / gates,
        confusion=confusion,
        by_shape=by_shape,
    )
