"""What a gate states, kept on disk before the gate answers.

A gate opens without any network; ``sending`` hands the spool over when there is one.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

from breakglass.canonical import canonical
from breakglass.clock import Clock, format_time, parse_time, to_milliseconds
from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError, UnavailableError
from breakglass.gate.counters import Tally
from breakglass.gate.gate_config import GateConfig
from breakglass.records.encoding.text_types import ZERO_DIGEST, one_line
from breakglass.records.kinds.bypassed import Bypassed, GateState
from breakglass.records.kinds.door import Door
from breakglass.records.kinds.passages import Passages
from breakglass.records.record import Envelope, Kind, record_text
from breakglass.records.signing.signature import Signed
from breakglass.submit.spool import Draft, Spool
from breakglass.token.verify import VerifiedToken


def spool_bypass(
    place: GateConfig,
    shown: VerifiedToken,
    presentation: Signed,
    state: GateState,
    detail: str,
    clock: Clock,
) -> None:
    """Keep the record of one bypass; on disk when this returns.

    The same run shown again is the same record: its id names grant, gate and run.

    Raises:
        UnavailableError: ``spool``: the disk refuses; ``spool_full``: too much waits for the
            ledger. The gate must stay shut.
    """
    run = hashlib.sha256(shown.run.encode()).hexdigest()[:16]
    ident = f"{shown.intent.grant}/bypassed/{run}"
    body = Bypassed(
        gate=place.settings.gate,
        grant=shown.intent.grant,
        statement=shown.asking.digest,
        run=shown.run,
        state=state,
        detail=one_line(detail),
        presentation=presentation,
    )
    _spool(place, ident, body, clock, place.settings.spool_notes)


def spool_door(place: GateConfig, body: Door, clock: Clock) -> None:
    """Keep the record of one use of the custodians' door; on disk when this returns.

    Raises:
        UnavailableError: the disk refuses; the gate must stay shut.
    """
    run = hashlib.sha256(body.run.encode()).hexdigest()[:16]
    _spool(place, f"{body.grant}/door/{run}", body, clock, place.settings.spool_notes)


def spool_passages(place: GateConfig, clock: Clock) -> None:
    """Move what was counted into the spool as one tally.

    Raises:
        UnavailableError: the disk refuses; the counts stay where they are.
    """
    tally = place.memory.close_period()
    if tally is None:
        return
    _spool(
        place, f"passages/{tally.period}", _passages(place.settings.gate, tally, clock.now()), clock
    )
    # A crash before this spools the same period again, under the same id: it counts once.
    place.memory.forget(tally.period)


def take_back_dates(place: GateConfig, clock: Clock) -> None:
    """Give records of a later time than now the present one: this clock was ahead and is no more.

    Called before the spool is sent, when the clock is known to be right. Such a record would be
    void, and so would each behind it, whose times may not go back.

    Raises:
        UnavailableError: the disk refuses; nothing was changed.
    """
    now = to_milliseconds(clock.now())
    data = place.folder / "data"
    try:
        with _ordered(data) as order, closing(Spool(data / "spool.sqlite")) as spool:
            late = [each for each in spool.waiting() if _time_of(each.draft.text) > now]
            # A crash between the two leaves an order ahead of its records, which is put right here.
            spool.replace([(each.position, _dated(each.draft.text, now)) for each in late])
            if _not_back(order, now) > now:
                os.pwrite(order, now.isoformat().ljust(64).encode(), 0)
    except (OSError, sqlite3.Error, MisconfiguredError) as error:
        raise UnavailableError(
            f"spool of gate {place.settings.gate!r} cannot be written: {error}",
            name=ErrorName.SPOOL,
        ) from error


def _time_of(text: str) -> datetime:
    return parse_time(json.loads(text.splitlines()[-1])["at"])


def _dated(text: str, at: datetime) -> str:
    *head, line = text.splitlines()
    said = json.loads(line) | {"at": format_time(at)}
    return "\n".join([*head, canonical(said), ""])


def waiting(place: GateConfig) -> int:
    """Return how many records wait in the spool.

    Raises:
        MisconfiguredError: the spool cannot be opened.
    """
    with closing(Spool(place.folder / "data" / "spool.sqlite")) as spool:
        return spool.count()


def _spool(
    place: GateConfig, ident: str, body: Kind, clock: Clock, most: int | None = None
) -> None:
    data = place.folder / "data"
    try:
        data.mkdir(mode=0o700, exist_ok=True)
        with _ordered(data) as order, closing(Spool(data / "spool.sqlite")) as spool:
            if most is not None and (count := spool.count()) >= most:
                raise _full(place.settings.gate, count, most)
            at = _not_back(order, to_milliseconds(clock.now()))
            envelope = Envelope(place.settings.log, ident, at, 0, ZERO_DIGEST)
            spool.add([Draft(ident, record_text(envelope, body))], at)
    except (OSError, MisconfiguredError) as error:
        raise UnavailableError(
            f"spool of gate {place.settings.gate!r} cannot be written: {error}",
            name=ErrorName.SPOOL,
        ) from error


def _full(gate: str, count: int, most: int) -> UnavailableError:
    return UnavailableError(
        f"{count} records of gate {gate!r} wait for the ledger, {most} at most;"
        " the gate stays shut",
        name=ErrorName.SPOOL_FULL,
        hint=f"bring the ledger back, then run: breakglass-gate flush {gate}",
    )


@contextmanager
def _ordered(data: Path) -> Iterator[int]:
    """Let one run at a time take its time and its place, so that times follow the order."""
    order = os.open(data / "order", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(order, fcntl.LOCK_EX)
        yield order
    finally:
        os.close(order)


def _not_back(order: int, now: datetime) -> datetime:
    try:
        latest = datetime.fromisoformat(os.pread(order, 64, 0).decode("ascii"))
    except ValueError:
        latest = now  # empty: the first record of this place
    at = max(now, latest)
    os.pwrite(order, at.isoformat().ljust(64).encode(), 0)
    return at


def _passages(gate: str, tally: Tally, now: datetime) -> Passages:
    counts = tally.counts
    return Passages(
        gate=gate,
        start=min(tally.start, now),  # counted while this clock was ahead
        end=min(tally.end, now),
        passed=counts.get("passed", 0),
        blocked=counts.get("failed", 0),
        could_not_evaluate=counts.get("could_not_evaluate", 0),
        bypassed=counts.get("bypassed", 0),
        sanctioned=0,
        p50_ms=tally.p50_ms,
        p99_ms=tally.p99_ms,
        flaky=tally.flaky,
    )
