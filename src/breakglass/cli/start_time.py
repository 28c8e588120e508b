"""When an ask starts, as a person types it: in their own zone, or so long from now."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo

from breakglass.cli import output
from breakglass.errors import MalformedError

_AHEAD = re.compile(r"\+(?:([1-9][0-9]{0,2})d)?(?:([1-9][0-9]{0,2})h)?(?:([1-9][0-9]{0,3})m)?")
_FORMS = "2026-12-05 22:00, 22:00 (the next one), 2026-12-05T21:00:00Z, or +2h, +1d, +90m"


def parse_start(text: str, now: datetime, zone: tzinfo | None = None) -> datetime:
    """Read when a grant is to begin; whole minutes, UTC.

    A time without a zone is the person's own. One that their clocks skip, or show twice, is
    refused: nobody should find out on that night which of the two was meant.

    Args:
        text: as typed.
        now: aware; ``+2h`` counts from here, and what is not behind it is refused.
        zone: the person's; this machine's, if left out.

    Raises:
        MalformedError: no time, or not in the future.

    >>> now = datetime(2026, 12, 1, 9, 30, tzinfo=UTC)
    >>> parse_start("+1d2h", now, UTC).isoformat()
    '2026-12-02T11:30:00+00:00'
    >>> parse_start("22:00", now, UTC).isoformat()
    '2026-12-01T22:00:00+00:00'
    """
    found = _ahead(text, now) or _moment(text.strip(), now, zone)
    if found <= now:
        raise MalformedError(
            f"--start {text!r} is {output.day_and_time(found, zone)}, which is not in the future",
            hint="leave --start out to begin at once",
        )
    return found


def _ahead(text: str, now: datetime) -> datetime | None:
    match = _AHEAD.fullmatch(text)
    if match is None or text == "+":
        return None
    days, hours, minutes = (int(each or 0) for each in match.groups())
    whole = now.astimezone(UTC).replace(second=0, microsecond=0)
    # Rounded up: what is shown on the clock is never earlier than what was asked for.
    begun = whole if whole == now else whole + timedelta(minutes=1)
    return begun + timedelta(days=days, hours=hours, minutes=minutes)


def _moment(text: str, now: datetime, zone: tzinfo | None) -> datetime:
    try:
        if re.fullmatch(r"[0-9]{1,2}:[0-9]{2}", text):
            hour, minute = map(int, text.split(":"))
            today = now.astimezone(zone).replace(
                hour=hour, minute=minute, second=0, microsecond=0, tzinfo=None
            )
            at = _own(today, zone, text)
            return at if at > now else _own(today + timedelta(days=1), zone, text)
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise MalformedError(f"--start {text!r} is no time", hint=f"such as: {_FORMS}") from error
    if found.tzinfo is not None:
        return found.astimezone(UTC)
    if len(text) <= len("2026-12-05"):
        raise MalformedError(f"--start {text!r} has no hour", hint=f"such as: {_FORMS}")
    return _own(found, zone, text)


def _own(naive: datetime, zone: tzinfo | None, text: str) -> datetime:
    """Place a time of the person's own clock, or refuse one that it skips or shows twice."""
    first, second = (
        naive.replace(tzinfo=zone, fold=fold)
        if zone is not None
        else naive.replace(fold=fold).astimezone()
        for fold in (0, 1)
    )
    if first.utcoffset() != second.utcoffset():
        raise MalformedError(
            f"--start {text!r}: the clocks change then, so it is skipped or comes twice",
            hint=f"name it with its zone: {first.isoformat()} or {second.isoformat()}",
        )
    return first.astimezone(UTC)
