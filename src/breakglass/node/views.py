"""What every process that follows the ledger tells of itself: how it is, and what it has folded."""

from __future__ import annotations

from dataclasses import dataclass

from breakglass.node.replica import Replica
from breakglass.records import kind_sets


@dataclass(frozen=True)
class Health:
    """``GET /healthz``: how far a process has read the ledger.

    Attributes:
        ok: whether it does its work.
        size: entries folded.
        of: entries there are, as far as known, in its cache or in the ledger; ``size`` at least.
        current: whether its view has been current since the start.
        ledger: why the ledger cannot be followed, or empty.
        kinds: the newest set of kinds that it knows.
        keys: the process's own, for which requests to it are signed.
    """

    ok: bool
    size: int
    of: int
    current: bool
    ledger: str
    kinds: int
    keys: tuple[str, ...]


@dataclass(frozen=True)
class StateView:
    """``GET /state``: the same digest at the same size for everybody who folded."""

    size: int
    digest: str
    summary: object


def health(view: Replica, current: bool, ok: bool, keys: tuple[str, ...]) -> Health:
    """Return how a process is that follows the ledger; takes no lock that the fold holds long."""
    away = str(view.away) if view.away else ""
    return Health(ok, view.size, view.known, current, away, kind_sets.NEWEST, keys)


def state_view(view: Replica, summary: object = None) -> StateView:
    """Return what is folded; in place of its summary, that of the process's own if it has one."""
    with view.reading() as state:
        return StateView(state.size, state.digest(), summary or state.summary())
