"""Deadlines in working days, from dates alone: no network, no time zone but UTC."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime, timedelta

from breakglass.clock import to_milliseconds
from breakglass.policy.compile import CompiledPolicy
from breakglass.policy.glass import Glass
from breakglass.policy.parse import Bundle
from breakglass.policy.yaml_fields import Due

_SATURDAY = 5


def review_due(policy: CompiledPolicy, glass: str, severity: str, at: datetime) -> datetime:
    """Return when the review of a grant is due.

    Args:
        policy: the policy in force at ``at``.
        glass: the glass that was broken.
        severity: of its incident; empty when there was none.
        at: when the intent was written, aware.

    Raises:
        KeyError: no such glass.
    """
    found = due_of(policy.bundle, policy.bundle.glasses[glass], severity)
    return to_milliseconds(after(at, found, policy.bundle.reviews.holidays))


def due_of(bundle: Bundle, glass: Glass, severity: str) -> Due:
    """Return the deadline as the bundle writes it: the glass's own, else by severity."""
    default = bundle.reviews.default
    return glass.review.due or default.get(severity, default["other"])


def after(at: datetime, due: Due, holidays: Collection[date] = ()) -> datetime:
    """Return ``at`` plus a deadline; a working day later keeps the time of day.

    >>> from datetime import UTC
    >>> from breakglass.policy.yaml_fields import BusinessDays
    >>> friday = datetime(2026, 6, 26, 3, 14, tzinfo=UTC)
    >>> after(friday, BusinessDays(3)).isoformat()
    '2026-07-01T03:14:00+00:00'
    """
    if isinstance(due, timedelta):
        return at + due
    left = due.count
    while left:
        at += timedelta(days=1)
        if at.weekday() < _SATURDAY and at.date() not in holidays:
            left -= 1
    return at
