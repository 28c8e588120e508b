"""Whether the ledger can be reached from here: what every party tries before it takes the door.

A ledger is reached if it serves a head that its own key signed. One that answers but takes nothing
counts as reached: whoever wants the door then has to stop it first, and that is seen.
"""

from __future__ import annotations

from datetime import timedelta

from breakglass.error_names import ErrorName
from breakglass.errors import (
    BreakglassError,
    MalformedError,
    RefusedError,
    UnavailableError,
    UnprovenError,
)
from breakglass.http.client import Peer
from breakglass.records.encoding.text_types import one_line
from breakglass.records.trust import Trust
from breakglass.tlog.checkpoint import check_log_signature, parse_checkpoint

WITHIN = timedelta(seconds=2)  # as long as an intent may wait for its proof
_LINE = 200
_GLANCE = timedelta(seconds=0.5)


def who_is_silent(ledger: Peer, within: timedelta = _GLANCE) -> str:
    """Say whom a receipt waits for, as one clause: the ledger itself, or who does not cosign.

    Asked when a receipt did not come in time; empty where nobody can be named.
    """
    try:
        told = ledger.get("/healthz", within=within).json()
    except UnavailableError as error:
        return one_line(str(error))[:_LINE]
    except BreakglassError:
        return ""
    waits_for = told.get("waits_for")
    if not isinstance(waits_for, dict) or not waits_for:
        return ""
    names = ", ".join(sorted(map(repr, waits_for)))
    return f"the ledger waits for {one_line(names)[:_LINE]}"


def unreached(ledger: Peer, trust: Trust, within: timedelta = WITHIN) -> str:
    """Try the ledger once, bounded; return how it did not answer, on one line.

    Raises:
        RefusedError: ``ledger_reachable``: it answered, so there is no door.
    """
    try:
        head = ledger.send("GET", "/checkpoint", within=within)
    except UnavailableError as error:
        return one_line(str(error))[:_LINE]
    try:
        checkpoint, note = parse_checkpoint(head.body)
        check_log_signature(checkpoint, note, [log.vkey for log in trust.tlog.logs])
    except (MalformedError, UnprovenError):
        # Whatever stands in its place, nothing can be recorded there.
        return f"{ledger.name} answered {head.status} with nothing that its key signed"
    raise RefusedError(
        f"the ledger can be reached from here, at {checkpoint.size} entries: the custodians' door"
        " stays shut",
        name=ErrorName.LEDGER_REACHABLE,
        hint="take the ordinary way: breakglass break GLASS --incident INCIDENT --why REASON",
    )
