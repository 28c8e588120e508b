"""When a glass may be asked for or broken: incident, ticket, and how the breaker signed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from breakglass.error_names import ErrorName
from breakglass.policy import yaml_fields
from breakglass.policy.factors import Factors
from breakglass.policy.yaml_nodes import Node, wrong
from breakglass.records.signing.signature import Factor

FIELDS = ("incident", "incident_source", "ticket", "mfa_age", "factor")
"""Everything that may stand in ``when:``."""


class IncidentFrom(StrEnum):
    """Where an incident must come from: anywhere, or from a source that is no responder."""

    ANY = "any"
    OUTSIDE = "outside"


class Ticket(StrEnum):
    """Whether the place where the work is planned must be named."""

    OPTIONAL = "optional"
    REQUIRED = "required"


@dataclass(frozen=True)
class When:
    """The conditions of a glass. Empty ``incident``: none is asked for."""

    incident: tuple[str, ...] = ()
    mfa_age: timedelta | None = None
    factor: Factor = Factor.ONE
    incident_source: IncidentFrom = IncidentFrom.ANY
    ticket: Ticket = Ticket.OPTIONAL


def parse_when(node: Node) -> When:
    """Read ``when:`` of a glass."""
    at = yaml_fields.fields(node, "'when'", may=FIELDS)
    if "incident_source" in at and "incident" not in at:
        raise wrong(node, "'incident' beside 'incident_source'", "none", name=ErrorName.MISSING_KEY)
    return When(
        yaml_fields.items(at["incident"], yaml_fields.severity, least=1, most=16)
        if "incident" in at
        else (),
        yaml_fields.span(at["mfa_age"], timedelta(seconds=30), timedelta(hours=12))
        if "mfa_age" in at
        else None,
        yaml_fields.choice(at["factor"], Factor) if "factor" in at else Factor.ONE,
        yaml_fields.choice(at["incident_source"], IncidentFrom)
        if "incident_source" in at
        else IncidentFrom.ANY,
        yaml_fields.choice(at["ticket"], Ticket) if "ticket" in at else Ticket.OPTIONAL,
    )


def least_factor(when: When, factors: Factors) -> Factor:
    """Return the least factor that these conditions take."""
    # ``mfa_age`` asks for a fresh signature by two factors; a software key never answers it.
    asked = factors.fresh if when.mfa_age is not None else Factor.ONE
    return asked if asked.meets(when.factor) else when.factor
