"""How long a state machine of grants' lives is let run."""

from __future__ import annotations

from hypothesis import HealthCheck, settings


def lives(examples: int, steps: int) -> settings:
    """Return the bounds; none of time, which is the machine's."""
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
