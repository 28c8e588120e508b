"""How a survey is shown: what stands, by what it could be replaced, what is unknown, the trend."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import click

from breakglass.canonical import Json
from breakglass.cli import output
from breakglass.clock import format_time
from breakglass.surveyor.inventory_record import InventoryRecord, KeptThing
from breakglass.surveyor.inventory_store import Point

_BAR_AT_MOST = 40  # columns


def json_of(survey: InventoryRecord, trend: Sequence[Point]) -> dict[str, Json]:
    """Return a survey for machines."""
    return {
        "target": survey.target,
        "taken_at": format_time(survey.taken_at),
        "standing": [
            {
                "category": each.thing.category,
                "name": each.thing.name,
                "holder": each.thing.holder,
                "database": each.thing.database,
                "seen": format_time(each.seen),
                "during": each.during,
                "glasses": list(each.glasses),
            }
            for each in survey.things
        ],
        "granted": dict(survey.granted),
        "unknown": [
            {"category": each.category, "database": each.database, "why": each.why}
            for each in survey.unread
        ],
        "trend": [
            {
                "taken_at": format_time(each.taken_at),
                "occasion": each.occasion,
                "standing": each.total,
                "left": each.left,
                "new": each.new,
                "unknown": list(each.unknown),
                "entry": each.entry,
            }
            for each in trend
        ],
    }


def tell_survey(survey: InventoryRecord, trend: Sequence[Point], now: datetime) -> None:
    """Print a survey for people."""
    rows = [_row(each) for each in survey.things]
    output.tell_table(["holder", "what", "since", "instead of it"], rows)
    click.echo()
    left = sum(1 for each in survey.things if each.during)
    granted = sum(survey.granted.values())
    age = output.duration((now - survey.taken_at).total_seconds())
    output.tell_rows(
        [
            ("target", f"{survey.target}, surveyed {age} ago"),
            ("standing", f"{len(survey.things)} without a grant, {left} of them left by grants"),
            ("granted", f"{granted} explained by running grants"),
            *(
                ("unknown", _where(each.category, each.database, each.why))
                for each in survey.unread
            ),
        ]
    )
    points = list(by_day(trend))
    most = max((each.total for each in points), default=0)
    click.echo()
    for each in points:
        bar = "#" * -(-each.total * _BAR_AT_MOST // most) if most else ""
        least = " at least" if each.unknown else ""
        click.echo(f"{each.taken_at:%Y-%m-%d} {each.total:>6} {bar}{least}".rstrip())


def by_day(trend: Sequence[Point]) -> Iterator[Point]:
    """Yield the last survey of each day, the oldest first."""
    days = {each.taken_at.date(): each for each in trend}
    yield from days.values()


def _row(each: KeptThing) -> list[str]:
    thing = each.thing
    what = f"{thing.name} ({thing.database})" if thing.database else thing.name
    instead = " or ".join(each.glasses) or "no glass of the policy in force"
    if each.during:
        instead = f"LEFT BY {each.during}; remove it. Else: {instead}"
    return [thing.holder, what, f"{each.seen:%Y-%m-%d}", instead]


def _where(category: str, database: str, why: str) -> str:
    return f"{category}{f' in {database}' if database else ''}: {why}"
