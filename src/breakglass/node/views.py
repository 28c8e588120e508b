"""What every process that follows the ledger tells of itself: how it is, and what it has folded."""

from __future__ import annotations

from dataclasses import dataclass

from breakglass.node.replica import Replica


@dataclass(frozen=True)
class Health:
    """``GET /healthz``; ``ledger`` is why it cannot be followed, or empty."""

    ok: bool
    size: int
    ledger: str


@dataclass(frozen=True)
class StateView:
    """``GET /state``: the same digest at the same size for everybody who folded."""

    size: int
    digest: str
    summary: object


def health(view: Replica, ok: bool) -> Health:
    """Return how a process is that follows the ledger."""
    away = view.away
    return Health(ok, view.size, str(away) if away else "")


def state_view(view: Replica, summary: object = None) -> StateView:
    """Return what is folded; in place of its summary, that of the process's own if it has one."""
    with view.reading() as state:
        return StateView(state.size, state.digest(), summary or state.summary())
