"""The shapes that real histories brought and the first simulator did not have.

Each was found as a wrong verdict on data that nobody here made: a gate wrong from its first day,
a person's own path on a busy gate, people who go round a gate more often than their share for no
new reason, components in the reasons, one named incident on a busy gate, skips of documentation,
small teams, young gates, machines, and gates of which no passage was counted. Built on the same
levels as ``organisation``; the held-out half has other trades, words, sizes and spans.
"""

from __future__ import annotations

import math
import random
from dataclasses import replace
from datetime import timedelta

from breakglass.verdicts.history import Gate, History

from . import vocabularies
from .organisation import AS_OF, LEVELS, START, WEEKS, Level, Maker, Simulated, trades
from .vocabularies import Trade

SHAPES = {
    "healthy": ("plain", "propensity", "documentation", "machines", "small team", "few passages"),
    "gate_wrong": ("growth", "first day", "others too", "components"),
    "root_cause": ("plain", "on call", "few named"),
    "bad_month": ("plain", "named incident"),
    "one_person": ("plain", "busy gate", "small team"),
    "not_enough_data": ("no denominators", "young"),
}


def foreign(level: str, seed: int, *, held_out: bool) -> Simulated:
    """Return twelve gates of one organisation, each with a condition in one of its shapes."""
    rng = random.Random(f"foreign {level} {seed} {held_out}")
    shape = LEVELS[level]
    trade = rng.choice(trades(shape, held_out=held_out))
    kinds = ["gate_wrong", "root_cause", "bad_month", "one_person"] * 2
    kinds += ["healthy"] * 3 + [rng.choice(["healthy", "not_enough_data"])]
    rng.shuffle(kinds)
    truth, shapes, gates = {}, {}, []
    for number, condition in enumerate(kinds):
        name = f"gate-{number:02d}"
        truth[name], shapes[name] = condition, rng.choice(SHAPES[condition])
        maker = _Shaped(rng, shape, trade, name, held_out)
        gates.append(maker.shaped(condition, shapes[name]))
    return Simulated(History(AS_OF, tuple(gates)), truth, shapes)


class _Shaped(Maker):
    """A maker whose people go round a gate by their propensity, not only by their share."""

    def __init__(
        self, rng: random.Random, level: Level, trade: Trade, name: str, held_out: bool
    ) -> None:
        super().__init__(rng, level, trade, name, held_out)
        self.likely = [w * rng.gammavariate(4, 0.25) for w in self.weights]
        self.first = 0

    def _someone(self) -> str:
        return self.rng.choices(self.people, self.likely)[0]

    def _team(self, size: int) -> None:
        self.people = self.people[:size]
        self.weights = [self.rng.uniform(0.5, 1.5) for _ in self.people]
        self.likely = [w * self.rng.uniform(0.7, 1.4) for w in self.weights]

    def shaped(self, condition: str, shape: str) -> Gate:
        self.condition = condition
        kind = self.rng.choice(["quiet", "busy", "noisy"])
        if shape in ("busy gate", "named incident", "propensity"):
            kind = "busy"
        self.volume = math.exp(self.rng.uniform(math.log(80), math.log(1200)))
        usual = {"quiet": (0.05, 0.4), "busy": (0.4, 2.0), "noisy": (0.3, 1.6)}[kind]
        self.usual = min(self.rng.uniform(*usual), self.volume * 0.01)
        self.noise = self.level.noise if kind == "noisy" else 1.0
        prepare = getattr(self, "_before_" + shape.replace(" ", "_"), None)
        if prepare is not None:
            prepare()
        self.passages = self._passages()
        self._ordinary()
        lay = getattr(self, "_" + shape.replace(" ", "_"), None)
        if lay is not None:
            lay()
        elif condition not in ("healthy", "not_enough_data"):
            getattr(self, "_" + condition)()
        if self.rng.random() < self.level.decoys / 2 and condition != "not_enough_data":
            self._decoy(condition)
        start = START + timedelta(weeks=self.first)
        total = sum(self.weights)
        return Gate(
            name=self.name,
            events=tuple(
                sorted(
                    (e for e in self.events if e.time.date() >= start),
                    key=lambda e: (e.time, e.id),
                )
            ),
            passages={week: n for week, n in self.passages.items() if week >= start},
            people={"": {p: w / total for p, w in zip(self.people, self.weights, strict=True)}},
        )

    # Healthy, with something that misleads.

    def _before_propensity(self) -> None:
        # Somebody has always gone round three to five times as often as the others.
        heavy = self.rng.randrange(len(self.people))
        self.likely[heavy] = self.weights[heavy] * self.rng.uniform(3, 5)

    def _documentation(self) -> None:
        pool = vocabularies.DOCUMENTATION[self.held_out]
        rate = self.rng.uniform(0.04, 0.15)
        for week in range(WEEKS):
            grown = 0.5 + week / WEEKS
            n = self._poisson(min(8.0, rate * self.volume * 0.5) * grown)
            for _ in range(n):
                self._event(
                    week * 7 + self.rng.uniform(0, 7), self._fill(self.rng.choice(pool)), ""
                )

    def _machines(self) -> None:
        at = len(self.events)
        for _ in range(self.rng.randint(60, 200)):
            day = WEEKS * 7 * self.rng.random() ** 0.3
            self._event(day, self._any_sentence(), "", person="robot")
        self.events[at:] = [replace(e, kind="machine") for e in self.events[at:]]

    def _before_small_team(self) -> None:
        self._team(self.rng.randint(3, 5))
        self.volume = self.rng.uniform(12, 60)
        self.usual = min(self.usual, self.volume * 0.01)

    def _before_few_passages(self) -> None:
        self.volume, self.usual = self.rng.uniform(4, 9), 0.0

    # A wrong gate.

    def _growth(self) -> None:
        self._gate_wrong()

    def _before_first_day(self) -> None:
        self.volume = self.rng.uniform(60, 350)
        self.usual, self.noise = 0.1, 1.0

    def _first_day(self) -> None:
        low, high = {"easy": (0.02, 0.04), "hard": (0.01, 0.03)}.get(
            self.level.name, (0.015, 0.035)
        )
        rate = self.rng.uniform(low, high)
        theme, telling = self.rng.choice(self.trade.gate), self.rng.uniform(*self.level.telling)
        for week in range(WEEKS):
            for _ in range(self._poisson(rate * self.volume)):
                told = self.rng.random() < telling
                words = self._fill(self.rng.choice(theme)) if told else self._any_sentence()
                self._single(week * 7 + self.rng.uniform(0, 7), words)

    def _others_too(self) -> None:
        # The one who works most goes round most, and all the others do so newly as well.
        lead = self.rng.randrange(len(self.people))
        part = self.rng.uniform(0.35, 0.6)
        rest = sum(self.likely) - self.likely[lead]
        self.likely[lead] = rest * part / (1 - part)
        self.weights[lead] = sum(self.weights) * self.rng.uniform(0.2, 0.35)
        self._gate_wrong()

    def _components(self) -> None:
        pool = vocabularies.COMPONENTS[self.held_out]
        if not self.level.unfamiliar:
            self.trade = replace(self.trade, gate=(pool,))
        self._gate_wrong()

    # A root cause, a bad month.

    def _on_call(self) -> None:
        self._waves(self.rng.randint(4, 8), self.rng.uniform(0.4, 0.65))

    def _few_named(self) -> None:
        # Two or three of its incidents were named for every bypass; the others were not.
        self._waves(self.rng.randint(2, 3), 0.0)
        theme = self.rng.choice(self.trade.production)
        for _ in range(self.rng.randint(6, 12)):
            day = (WEEKS - self.rng.uniform(0, 24)) * 7
            self._event(day, self._fill(self.rng.choice(theme)), "")

    def _waves(self, waves: int, mine: float) -> None:
        theme, telling = (
            self.rng.choice(self.trade.production),
            self.rng.uniform(*self.level.telling),
        )
        on_call = self.rng.choice(self.people)
        span = self.rng.uniform(16, 25)
        least = max(self.level.excess[0], round((self.level.growth[0] - 1) * self.usual * 26))
        size = min(7, max(2, math.ceil(least / waves)))
        for wave in range(waves):
            day = (WEEKS - span * (wave + self.rng.random()) / waves) * 7 - 3
            incident = self._new_incident()
            for _ in range(size + self.rng.randint(0, 2)):
                told = self.rng.random() < telling
                words = self._fill(self.rng.choice(theme)) if told else self._any_sentence()
                person = on_call if self.rng.random() < mine else ""
                self._event(day + self.rng.uniform(0, 2.5), words, incident, person=person)

    def _named_incident(self) -> None:
        theme = self.rng.choice(self.trade.production)
        day = (WEEKS - self.rng.uniform(4, 24)) * 7
        count = self.rng.randint(8, 13) if self.level.name != "hard" else self.rng.randint(7, 12)
        main, span = self._new_incident(), self.rng.uniform(8, 18)
        for _ in range(count):
            named = self.rng.random() < self.rng.uniform(0.75, 0.95)
            incident = main if named else self._new_incident()
            words = self._fill(self.rng.choice(theme))
            self._event(day + self.rng.random() * span, words, incident, sure=named)

    # One person's own path.

    def _busy_gate(self) -> None:
        sizes = {"easy": (18, 30), "hard": (11, 20)}.get(self.level.name, (14, 26))
        self._path(self.rng.randint(*sizes))

    def _small_team(self) -> None:
        if self.condition == "one_person":
            self._path(self.rng.randint(12, 24))

    def _path(self, count: int) -> None:
        place = self.rng.randint(1, len(self.people) - 1)
        weeks = self.rng.uniform(12, 25)
        theme = self.rng.choice((self.trade.other, *self.trade.gate))
        for _ in range(count):
            day = (WEEKS - weeks * self.rng.random()) * 7
            words = self._fill(self.rng.choice(theme))
            self._event(day, words, self._new_incident(), person=self.people[place])

    # Of which too little is known.

    def _no_denominators(self) -> None:
        for _ in range(self.rng.randint(5, 40)):
            self._single((WEEKS - 26 * self.rng.random()) * 7, self._any_sentence())
        self.passages = dict.fromkeys(self.passages, 0.0)

    def _before_young(self) -> None:
        self.first = WEEKS - self.rng.randint(8, 18)
        self.volume, self.usual = self.rng.uniform(4, 6), 0.0

    def _young(self) -> None:
        weeks = WEEKS - self.first
        for _ in range(self.rng.randint(4, 8)):
            self._single((WEEKS - weeks * self.rng.random()) * 7, self._any_sentence())
