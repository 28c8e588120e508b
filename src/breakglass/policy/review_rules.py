"""When reviews are due where a glass does not say so, and what an overdue one does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from breakglass.policy import yaml_fields
from breakglass.policy.yaml_fields import BusinessDays, Due
from breakglass.policy.yaml_nodes import Items, Node


class Overdue(StrEnum):
    """What an overdue review does to its glass."""

    ONE_MORE_PERSON = "one-more-person"
    REMIND = "remind"


@dataclass(frozen=True)
class Reviews:
    """Deadlines by severity (``other`` for the rest), and which days are no working days."""

    default: Mapping[str, Due]
    holidays: tuple[date, ...] = ()
    calendar: str = ""
    overdue: Overdue = Overdue.REMIND


REVIEWS = Reviews({"other": BusinessDays(5)})


def parse_reviews(node: Node | None) -> Reviews:
    """Read ``reviews:``; left out, every review is due in 5 business days."""
    if node is None:
        return REVIEWS
    at = yaml_fields.fields(node, "reviews", may=("default", "holidays", "overdue"))
    default: dict[str, Due] = dict(REVIEWS.default)
    if "default" in at:
        rule = yaml_fields.CODE_OR_SEVERITY
        default |= yaml_fields.named(
            at["default"], "deadlines", lambda _, each: yaml_fields.due(each), rule
        )
    holidays: tuple[date, ...] = ()
    calendar = ""
    if "holidays" in at:
        if isinstance(at["holidays"], Items):
            holidays = yaml_fields.items(at["holidays"], yaml_fields.day)
        else:
            calendar = yaml_fields.word(at["holidays"])
    overdue = yaml_fields.choice(at["overdue"], Overdue) if "overdue" in at else Overdue.REMIND
    return Reviews(default, holidays, calendar, overdue)
