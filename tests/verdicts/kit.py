"""Small histories by hand: a gate with so many bypasses a week, in as few words as can be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta

from breakglass.verdicts.history import Bypass, Gate

AS_OF = datetime(2026, 6, 29, tzinfo=UTC)
WEEKS = 104
PEOPLE = tuple(f"person-{i}" for i in range(12))


def day_of(week: float) -> datetime:
    """Return the moment ``week`` weeks after the first Monday, at noon."""
    return AS_OF - timedelta(weeks=WEEKS - week) + timedelta(hours=12)


def bypass(
    week: float,
    number: int,
    *,
    person: str = "",
    reason: str = "",
    incident: str = "",
    **more: object,
) -> Bypass:
    """Return one bypass; people take turns where none is named."""
    return Bypass(
        id=f"b{number:05d}",
        time=day_of(week),
        gate="deploy",
        person=person or PEOPLE[number % len(PEOPLE)],
        incident=incident,
        reason=reason,
        **more,  # type: ignore[arg-type]
    )


def gate(
    events: Sequence[Bypass], passages: float = 200.0, weeks: int = WEEKS, **more: object
) -> Gate:
    """Return a gate with ``passages`` a week and people of equal shares."""
    first = AS_OF.date() - timedelta(weeks=weeks)
    return Gate(
        name="deploy",
        events=tuple(sorted(events, key=lambda e: (e.time, e.id))),
        passages={first + timedelta(weeks=i): passages for i in range(weeks)},
        people={"": {person: 1 / len(PEOPLE) for person in PEOPLE}},
        **more,  # type: ignore[arg-type]
    )


def steady(
    per_week: float,
    start: float = 0,
    end: float = WEEKS,
    reason: Callable[[int], str] = lambda i: f"hotfix for service {i}",
    first: int = 0,
    **more: object,
) -> list[Bypass]:
    """Return evenly spaced bypasses between two weeks."""
    count = round((end - start) * per_week)
    return [
        bypass(
            start + (i + 0.5) * (end - start) / count,
            first + i,
            reason=reason(i),
            incident=f"INC-{first + i}",
            **more,  # type: ignore[arg-type]
        )
        for i in range(count)
    ]


def monday_of(week: int) -> date:
    """Return the Monday of ``week``."""
    return AS_OF.date() - timedelta(weeks=WEEKS - week)
