"""Asks of one person that came to nothing, three on a day: that may be somebody else's key. Pure.

One stolen key pages everybody until somebody says yes; who may stop it should hear of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime

from breakglass.error_names import ErrorName
from breakglass.monitor.alerts.alert import Alert
from breakglass.records.fold.slices.grants import AskedState
from breakglass.records.fold.state import State
from breakglass.records.statement import Do

SUSPICIOUS = 3
_FAILED = frozenset({ErrorName.REFUSED_BY_APPROVER, ErrorName.WITHDRAWN})


def failed_asks(state: State, now: datetime) -> Iterator[Alert]:
    """Yield one alert for each person and UTC day with three asks that came to nothing.

    They were refused, taken back, or nobody answered while they could be answered. Person and day
    name the alert: which ask is the third changes when an older one that waited comes to nothing.
    """
    grants = state.grants
    failed = [(name, each.ask) for name, each in grants.ended_asks.items() if each.name in _FAILED]
    failed += [(name, each) for name, each in grants.asked.items() if each.until < now]
    by_day: dict[tuple[str, date], list[tuple[str, AskedState]]] = {}
    for name, ask in sorted(failed, key=lambda each: each[1].index):
        if ask.said.do is Do.ASK:
            by_day.setdefault((ask.who, ask.seen.date()), []).append((name, ask))
    for (who, day), asks in sorted(by_day.items()):
        if len(asks) >= SUSPICIOUS:
            yield _news(who, day, asks)


def _news(who: str, day: date, asks: list[tuple[str, AskedState]]) -> Alert:
    glasses = sorted({ask.glass for _, ask in asks[:SUSPICIOUS]})
    grant, third = asks[SUSPICIOUS - 1]
    kill = f"breakglass kill person:{who}"
    text = (
        f"SUSPICIOUS: {SUSPICIOUS} asks of {who} came to nothing on {day:%Y-%m-%d} (UTC):"
        f" {', '.join(map(repr, glasses))}. A stolen key pages people until somebody says yes: call"
        f" {who}. Not them? {kill}"
    )
    fields = {"who": who, "glass": third.glass, "kill": kill}
    once = f"{who}/{day}"
    return Alert(
        "asks_failed", grant, third.index, f"asks/{who}", third.seen, text, fields, once=once
    )
