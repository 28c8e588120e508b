"""Sibling doors: closing one moves the traffic, so a group of doors is judged together.

In one public history the bypass of a closed review gate came back three days later under another
name (DEVIANCE.md 2). Siblings are those that ``meta.json`` names, else gates that the same people
pass in the same weeks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from breakglass.verdicts.evidence import counted
from breakglass.verdicts.history import Gate, History
from breakglass.verdicts.intervals import Interval, ratio_exact
from breakglass.verdicts.windows import Windows, windows

FALL = 0.6  # a door has fallen when the upper limit of its ratio is under this …
RISE = 1.3  # … and another has risen when the lower limit of its ratio is over this
LEAST = 10  # events that must have gone from the one door, and half as many come to the other


@dataclass(frozen=True)
class Displacement:
    """A door that fell, the sibling that rose meanwhile, and the ratio of both taken together."""

    fell: str
    rose: str
    gone: float  # bypasses a half-year that the first door lost, scaled to today's passages
    come: float
    together: Interval


def groups(history: History) -> tuple[tuple[str, ...], ...]:
    """Return the groups of sibling gates, named ones first, else by equal passages."""
    parent = {gate.name: gate.name for gate in history.gates}

    def root(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    named = any(gate.siblings for gate in history.gates)
    by_traffic: dict[tuple[tuple[object, float], ...], str] = {}
    for gate in history.gates:
        for other in gate.siblings:
            if other in parent:
                parent[root(other)] = root(gate.name)
        if not named and gate.passages:
            # Gates on one road have the same passages in the latest weeks, to the last change.
            key = tuple(sorted(gate.passages.items())[-8:])
            parent[root(gate.name)] = root(by_traffic.setdefault(key, gate.name))
    found: dict[str, list[str]] = {}
    for gate in history.gates:
        found.setdefault(root(gate.name), []).append(gate.name)
    return tuple(tuple(sorted(names)) for names in found.values() if len(names) > 1)


def displacements(history: History) -> tuple[Displacement, ...]:
    """Return every fall at one door that a rise at a sibling answers."""
    found: list[Displacement] = []
    for group in groups(history):
        doors = [gate for gate in history.gates if gate.name in group]
        looked = [(door, windows(door, counted(door), history.as_of)) for door in doors]
        for closed, was in looked:
            for opened, now in looked:
                moved = _moved(closed, was, opened, now)
                if closed is not opened and moved is not None:
                    found.append(moved)
    return tuple(sorted(found, key=lambda d: (-d.come, d.fell, d.rose)))


def _moved(closed: Gate, was: Windows, opened: Gate, now: Windows) -> Displacement | None:
    fell, rose = _ratio(was), _ratio(now)
    if fell is None or rose is None or fell.high >= FALL or rose.low <= RISE:
        return None
    gone = was.before.k * was.recent.passages / was.before.passages - was.recent.k
    come = now.recent.k - now.before.k * now.recent.passages / now.before.passages
    if gone < LEAST or come < LEAST / 2:
        return None
    together = ratio_exact(
        was.recent.k + now.recent.k,
        max(was.recent.passages, now.recent.passages),
        was.before.k + now.before.k,
        max(was.before.passages, now.before.passages),
    )
    return Displacement(closed.name, opened.name, gone, come, together)


def _ratio(both: Windows) -> Interval | None:
    if both.before.passages <= 0 or both.recent.passages <= 0:
        return None
    return ratio_exact(both.recent.k, both.recent.passages, both.before.k, both.before.passages)


def joined(doors: Sequence[Gate], as_of: datetime) -> tuple[int, float, Interval]:
    """Return bypasses, passages and ratio of a group in the recent window, all doors as one.

    A change that went round two doors at once is counted once: the same person within a minute.
    """
    recent: dict[tuple[str, int], int] = {}
    before: dict[tuple[str, int], int] = {}
    n1 = n0 = 0.0
    for door in doors:
        both = windows(door, counted(door), as_of)
        n1, n0 = max(n1, both.recent.passages), max(n0, both.before.passages)
        for span, store in ((both.recent, recent), (both.before, before)):
            for event in span.events:
                store[event.person, int(event.time.timestamp()) // 60] = 1
    return len(recent), n1, ratio_exact(len(recent), n1, len(before), n0)
