"""Whether this gate's clock is right, by the ledger that would take its records.

A record of another time than its witnesses' is void, and rings as if the gate's key were stolen.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from breakglass.clock import Clock
from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError, UnavailableError
from breakglass.gate.gate_config import GateConfig
from breakglass.gate.record_spool import take_back_dates
from breakglass.http.client import Peer, Reply
from breakglass.process.settings import neighbour_at


def set_right(place: GateConfig, clock: Clock, within: timedelta) -> None:
    """Check our clock against the ledger's answer, if it gives one in time, and what waits here.

    A record that was dated while our clock was ahead gets the present time.

    The date of the answer is not signed: a ledger that lies about it keeps our records waiting,
    as one that does not answer does. Nothing opens or shuts by it.

    Raises:
        RefusedError: ``wrong_clock``; what we stated now would be void.
        UnavailableError: the spool cannot be written.
    """
    with Peer(
        neighbour_at(place.folder, place.settings.ledger), name="ledger", within=within
    ) as ledger:
        try:
            reply = ledger.send("GET", "/checkpoint")
        except UnavailableError:
            return  # what waits is sent, and looked at, another time
    theirs = _date(reply)
    if theirs is None:
        return
    now, skew = clock.now(), place.trust().skew
    if abs(now - theirs) <= skew + timedelta(seconds=1):  # the header has whole seconds
        take_back_dates(place, clock)
        return
    ahead = now > theirs
    off = round(abs(now - theirs) / timedelta(minutes=1))
    raise RefusedError(
        f"the clock of this machine is {off} min {'ahead of' if ahead else 'behind'} the ledger's"
        f" (limit {skew.total_seconds():g} s); nothing was sent, it waits here",
        name=ErrorName.WRONG_CLOCK,
        hint="fix: timedatectl set-ntp true; then run: breakglass-gate flush"
        f" {place.settings.gate}",
    )


def _date(reply: Reply) -> datetime | None:
    try:
        found = parsedate_to_datetime(reply.date)
    except ValueError:
        return None  # none, or nonsense: then there is nothing to compare with
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
