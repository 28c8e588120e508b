"""Where ``now`` comes from, the one way a time is written, and the one way to wait a bounded time.

Rules take ``now`` as an argument. Only a process edge holds a ``Clock``.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError


class Clock(Protocol):
    """Tells the time, aware and in UTC; two calls may go backwards, as real clocks do."""

    def now(self) -> datetime:
        """Return the current time in UTC."""
        ...


class Deadline:
    """A bounded time that begins now, by the monotonic clock: setting a clock moves it nowhere."""

    def __init__(self, within: timedelta) -> None:
        self._end = time.monotonic() + within.total_seconds()

    @property
    def left(self) -> float:
        """Seconds left, 0 at least."""
        return max(0.0, self._end - time.monotonic())

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return not self.left

    def tries(self, every_s: float = 0.02) -> Iterator[None]:
        """Yield at once, then every so often, and a last time when the time is up."""
        while not self.over:
            yield
            time.sleep(min(every_s, self.left))
        yield


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Return the machine's time in UTC."""
        return datetime.now(UTC)


@dataclass(frozen=True)
class OffsetClock:
    """A clock that is wrong by a known amount: for demonstrations; no setting names it."""

    inner: Clock
    offset: timedelta

    def now(self) -> datetime:
        """Return the inner clock's time, shifted."""
        return self.inner.now() + self.offset


_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z", re.ASCII)


def to_milliseconds(moment: datetime) -> datetime:
    """Cut ``moment`` to whole milliseconds, the precision that is written."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def format_time(moment: datetime) -> str:
    """Write an aware time as ``2026-06-22T03:14:09.221Z``: RFC 3339, UTC, three digits, cut.

    >>> from datetime import UTC, datetime
    >>> format_time(datetime(2026, 6, 22, 3, 14, 9, 221999, UTC))
    '2026-06-22T03:14:09.221Z'
    """
    utc = moment.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z"


def format_maybe(moment: datetime | None) -> str:
    """Write a time as ``format_time`` does, and none as nothing."""
    return format_time(moment) if moment else ""


def parse_time(text: str) -> datetime:
    """Read exactly the form that ``format_time`` writes.

    Raises:
        MalformedError: another form, or a day or hour that does not exist.
    """
    if not _TIME.fullmatch(text):
        raise MalformedError(
            f"time {text[:40]!r} is not of the form 2026-06-22T03:14:09.221Z",
            name=ErrorName.BAD_TIME,
        )
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise MalformedError(
            f"time {text!r} does not exist: {error}", name=ErrorName.BAD_TIME
        ) from error
