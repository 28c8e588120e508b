"""A simulated organisation: twelve gates over two years, each with a known condition.

One honest simulator with switches for trouble. ``Level`` says how hard the truth is to see;
``held_out`` chooses vocabularies, shapes of growth and decoys that tuning never saw. The same seed
gives the same organisation.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

from breakglass.verdicts.history import Bypass, Gate, History

from . import vocabularies
from .vocabularies import Trade

WEEKS = 104
AS_OF = datetime(2026, 6, 29, tzinfo=UTC)
START = AS_OF.date() - timedelta(weeks=WEEKS)
CONDITIONS = ("healthy", "gate_wrong", "root_cause", "bad_month", "one_person")


@dataclass(frozen=True)
class Level:
    """How clearly a condition shows: its growth, its words, and the troubles around it."""

    name: str
    growth: tuple[float, float]  # rate under the condition over the rate before
    excess: tuple[int, int]  # events that the condition adds at the least and at the most
    telling: tuple[float, float]  # share of reasons that name the cause
    named: float  # share of events that name an incident
    parents: float  # chance that a long incident's pieces name their parent
    noise: float  # variance of weekly counts over a Poisson's, on noisy gates
    decoys: float  # chance that a gate also carries a misleading feature
    paired: float = 0.0  # chance that an ordinary bypass is one of two in its incident
    unfamiliar: bool = False


LEVELS = {
    level.name: level
    for level in (
        Level("easy", (4.0, 9.0), (24, 70), (0.7, 0.95), 0.9, 1.0, 1.3, 0.0, 0.05),
        Level("medium", (2.6, 6.0), (16, 50), (0.5, 0.85), 0.75, 0.7, 2.0, 0.25, 0.12),
        Level("unfamiliar", (2.6, 6.0), (16, 50), (0.5, 0.85), 0.75, 0.7, 2.0, 0.25, 0.12, True),
        Level("hard", (2.0, 4.5), (12, 36), (0.3, 0.6), 0.55, 0.4, 2.6, 0.5, 0.2),
    )
}
SHAPES = {False: ("step", "ramp"), True: ("stairs", "drift", "step", "pulses")}


@dataclass(frozen=True)
class Simulated:
    """A history and, per gate, the condition that made it."""

    history: History
    truth: dict[str, str]
    shapes: dict[str, str] = field(default_factory=dict)  # per gate, where ``shapes`` made it


def trades(level: Level, *, held_out: bool) -> tuple[Trade, ...]:
    """Return the trades whose sentences one half of a level may use."""
    return {
        (False, False): vocabularies.TUNING,
        (False, True): vocabularies.HELD_OUT,
        (True, False): vocabularies.UNFAMILIAR_TUNING,
        (True, True): vocabularies.UNFAMILIAR_HELD_OUT,
    }[level.unfamiliar, held_out]


def organisation(level: str, seed: int, *, held_out: bool) -> Simulated:
    """Return one organisation of twelve gates at ``level``."""
    rng = random.Random(f"{level} {seed} {held_out}")
    shape = LEVELS[level]
    trade = rng.choice(trades(shape, held_out=held_out))
    truth, gates = {}, []
    kinds = [*CONDITIONS[1:], *CONDITIONS[1:], *["healthy"] * 4]
    rng.shuffle(kinds)
    for number, condition in enumerate(kinds):
        name = f"gate-{number:02d}"
        truth[name] = condition
        gates.append(Maker(rng, shape, trade, name, held_out).gate(condition))
    return Simulated(History(AS_OF, tuple(gates)), truth)


class Maker:
    """Makes one gate: its ordinary life, then a condition, then perhaps a decoy."""

    def __init__(
        self, rng: random.Random, level: Level, trade: Trade, name: str, held_out: bool
    ) -> None:
        self.rng, self.level, self.trade, self.name = rng, level, trade, name
        self.held_out = held_out
        self.people = [f"p{name[-2:]}{i:02d}" for i in range(rng.randint(7, 32))]
        self.weights = [1 / (i + 1.5) ** rng.uniform(0.4, 1.0) for i in range(len(self.people))]
        if held_out and rng.random() < level.decoys / 3:
            # Somebody who does a third of all the work also does a third of the bypasses.
            self.weights[0] = sum(self.weights[1:]) * 0.5
        self.events: list[Bypass] = []
        self.incidents = 0

    def gate(self, condition: str) -> Gate:
        """Make the ordinary life of a gate, then lay ``condition`` and any decoys over it."""
        kind = self.rng.choice(["quiet", "busy", "noisy"])
        self.volume = math.exp(self.rng.uniform(math.log(60), math.log(1500)))
        usual = {"quiet": (0.05, 0.4), "busy": (0.4, 2.0), "noisy": (0.3, 1.6)}[kind]
        self.usual = self.rng.uniform(*usual)  # bypasses a week
        self.usual = min(self.usual, self.volume * 0.012)
        self.noise = self.level.noise if kind == "noisy" else 1.0
        self.passages = self._passages()
        self._ordinary()
        if condition != "healthy":
            getattr(self, "_" + condition)()
        if self.rng.random() < self.level.decoys:
            self._decoy(condition)
        total = sum(self.weights)
        return Gate(
            name=self.name,
            events=tuple(sorted(self.events, key=lambda e: (e.time, e.id))),
            passages=self.passages,
            people={"": {p: w / total for p, w in zip(self.people, self.weights, strict=True)}},
        )

    def _passages(self) -> dict[date, float]:
        weeks, level = {}, self.volume
        for week in range(WEEKS):
            level *= math.exp(self.rng.gauss(0, 0.05))
            level += 0.05 * (self.volume - level)
            holiday = 0.35 if week % 52 in (25, 26) else 1.0
            weeks[START + timedelta(weeks=week)] = float(
                max(3, round(self.rng.gauss(level, level**0.5) * holiday))
            )
        return weeks

    def _poisson(self, mean: float, noise: float = 1.0) -> int:
        if noise > 1.0 and mean > 0:
            shape = mean / (noise - 1)
            mean = self.rng.gammavariate(shape, mean / shape)
        count, left = 0, self.rng.expovariate(1)
        while left < mean:
            count, left = count + 1, left + self.rng.expovariate(1)
        return count

    def _ordinary(self) -> None:
        for week in range(WEEKS):
            busy = self.passages[START + timedelta(weeks=week)] / self.volume
            for _ in range(self._poisson(self.usual * busy, self.noise)):
                sentence = self._any_sentence()
                self._single(week * 7 + self.rng.uniform(0, 7), sentence)

    def _single(self, day: float, sentence: str) -> None:
        """One bypass of an incident of its own; sometimes the incident needs a second one."""
        incident = self._new_incident()
        self._event(day, sentence, incident)
        if self.rng.random() < self.level.paired:
            self._event(day + self.rng.uniform(0, 1), sentence, incident)

    def _any_sentence(self) -> str:
        pick = self.rng.random()
        if pick < 0.7:
            return self._fill(self.rng.choice(self.trade.other))
        pool = self.trade.gate if pick < 0.85 else self.trade.production
        return self._fill(self.rng.choice(self.rng.choice(pool)))

    def _fill(self, sentence: str) -> str:
        return sentence.format(self.rng.choice(self.trade.fillers))

    def _new_incident(self) -> str:
        self.incidents += 1
        return f"INC-{self.name[-2:]}{self.incidents:04d}"

    def _someone(self) -> str:
        return self.rng.choices(self.people, self.weights)[0]

    def _event(
        self,
        day: float,
        reason: str,
        incident: str,
        *,
        person: str = "",
        parent: str = "",
        sure: bool = False,
    ) -> None:
        if day >= WEEKS * 7:
            return
        named = sure or self.rng.random() < self.level.named
        moment = datetime.combine(START, datetime.min.time(), UTC) + timedelta(days=max(day, 0))
        self.events.append(
            Bypass(
                id=f"{self.name}-{len(self.events):05d}",
                time=moment.replace(microsecond=0),
                gate=self.name,
                person=person or self._someone(),
                incident=incident if named else "",
                parent_incident=parent if named and parent else "",
                reason=reason,
            )
        )

    def _extra(self, weeks: float) -> int:
        growth = self.rng.uniform(*self.level.growth)
        low, high = self.level.excess
        longer = max(1.0, weeks / 26)
        return round(longer * min(high * 1.6, max(low, (growth - 1) * self.usual * weeks)))

    def _onset(self, least: float) -> float:
        """Return how many weeks ago a condition began; now and then it is nearly a year."""
        if self.level.name != "easy" and self.rng.random() < 0.2:
            return self.rng.uniform(26, 46)
        return self.rng.uniform(least, 26)

    def _growing_day(self, first: float) -> float:
        """Return a day after ``first``, drawn from one of the shapes that a habit grows in."""
        last, u = WEEKS * 7.0, self.rng.random()
        if self.shape == "step":
            return first + u * (last - first)
        if self.shape in ("ramp", "drift"):
            return first + u**0.6 * (last - first)
        if self.shape == "stairs":
            half = (first + last) / 2
            return (
                first + u * (half - first) if self.rng.random() < 0.35 else half + u * (last - half)
            )
        weeks = sorted(self.rng.sample(range(int(first // 7), WEEKS), 3))
        if self.rng.random() < 0.3:
            return self.rng.choice(weeks) * 7 + u * 7
        return first + u * (last - first)

    def _gate_wrong(self) -> None:
        self.shape = self.rng.choice(SHAPES[self.held_out])
        weeks = self._onset(12)
        telling = self.rng.uniform(*self.level.telling)
        theme = self.rng.choice(self.trade.gate)
        for _ in range(self._extra(weeks)):
            told = self.rng.random() < telling
            sentence = self._fill(self.rng.choice(theme)) if told else self._any_sentence()
            self._single(self._growing_day((WEEKS - weeks) * 7), sentence)

    def _root_cause(self) -> None:
        theme = self.rng.choice(self.trade.production)
        telling = self.rng.uniform(*self.level.telling)
        weeks = self._onset(14)
        left = self._extra(weeks)
        parent = self._new_incident() if self.rng.random() < self.level.parents / 2 else ""
        while left > 0:
            size = min(left, self.rng.randint(*self._sizes()))
            left -= size
            day = (WEEKS - weeks * self.rng.random()) * 7 - 3
            incident = self._new_incident()
            for _ in range(size):
                told = self.rng.random() < telling
                sentence = self._fill(self.rng.choice(theme)) if told else self._any_sentence()
                when = day + self.rng.uniform(0, 2.5)
                own = parent if parent and self.rng.random() < 0.3 else ""
                self._event(when, sentence, incident, parent=own)

    def _sizes(self) -> tuple[int, int]:
        return {"easy": (3, 6), "hard": (1, 5)}.get(self.level.name, (2, 5))

    def _bad_month(self) -> None:
        theme = self.rng.choice(self.trade.production)
        telling = self.rng.uniform(*self.level.telling)
        span = self.rng.uniform(6, 21)
        day = (WEEKS - self.rng.uniform(4, 24)) * 7
        count = max(self._extra(6), self.level.excess[0])
        main = self._new_incident()
        pieces = [main]
        if self.level.name != "easy":
            pieces += [self._new_incident() for _ in range(self.rng.randint(0, 4))]
        with_parents = self.rng.random() < self.level.parents
        on_call = self.rng.sample(self.people, 3)
        for _ in range(count):
            told = self.rng.random() < telling
            sentence = self._fill(self.rng.choice(theme)) if told else self._any_sentence()
            piece = main if self.rng.random() < 0.5 else self.rng.choice(pieces)
            person = self.rng.choice(on_call) if self.rng.random() < 0.4 else ""
            when = day + self.rng.betavariate(1.2, 2.0) * span
            parent = main if with_parents and piece != main else ""
            self._event(when, sentence, piece, person=person, parent=parent)

    def _one_person(self) -> None:
        self.shape = self.rng.choice(SHAPES[self.held_out])
        weeks = self._onset(14)
        position = self.rng.randint(1, len(self.people) - 1)
        pool = self.trade.gate if self.rng.random() < 0.4 else (self.trade.other,)
        theme = self.rng.choice(pool)
        for _ in range(self._extra(weeks)):
            sentence = self._fill(self.rng.choice(theme))
            day = self._growing_day((WEEKS - weeks) * 7)
            self._event(day, sentence, self._new_incident(), person=self.people[position])

    def _decoy(self, condition: str) -> None:
        choices = ["old burst", "sanctioned", "growth of traffic"]
        if self.held_out:
            choices += ["holiday rush"]
        choice = self.rng.choice(choices)
        if choice == "old burst":
            day, incident = self.rng.uniform(100, 400), self._new_incident()
            theme = self.rng.choice(self.trade.production)
            for _ in range(self.rng.randint(8, 25)):
                sentence = self._fill(self.rng.choice(theme))
                self._event(day + self.rng.uniform(0, 14), sentence, incident)
        elif choice == "sanctioned":
            extra = len(self.events)
            for _ in range(self.rng.randint(20, 80)):
                day = WEEKS * 7 * self.rng.random() ** 0.5
                self._event(day, self._fill("automatic revert of {}"), "", sure=True)
            self.events[extra:] = [replace(e, sanctioned=True) for e in self.events[extra:]]
        elif choice == "growth of traffic":
            first = START + timedelta(weeks=WEEKS - 20)
            for week in self.passages:
                if week >= first:
                    self.passages[week] *= 1.5
            if condition == "healthy":
                for _ in range(self._poisson(self.usual * 10)):
                    day = WEEKS * 7 - self.rng.uniform(0, 140)
                    self._event(day, self._any_sentence(), self._new_incident())
        elif choice == "holiday rush" and condition == "healthy":
            for _ in range(min(4, round(self.usual * 3))):
                day = (WEEKS - 8) * 7 + self.rng.uniform(0, 7)
                self._event(day, self._any_sentence(), self._new_incident())
