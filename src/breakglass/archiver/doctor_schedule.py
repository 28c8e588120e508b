"""The archiver's doctor, once a day and at every start: its result is kept, and told to who asks.

The monitor fetches it and has it recorded (``attested``), so that an archive that lost its lock is
heard of within a day, and so is a doctor that does not come any more.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

from breakglass.archiver.bucket_examination import BucketFinding
from breakglass.clock import Clock, format_time
from breakglass.errors import BreakglassError
from breakglass.process.folder import write_whole
from breakglass.process.periodic import PeriodicTask

log = logging.getLogger("breakglass.archiver")
Examine = Callable[[], Iterable[BucketFinding]]


class DoctorSchedule:
    """Runs the doctor on a thread of its own; safe under threads.

    Args:
        examine: makes every look.
        kept: where the last result stands, so that a restart still knows it.
        archive: where the archive is, for people: a folder, or ``s3://…``.
        clock: for the time of the look.
        every: from one look to the next.
    """

    def __init__(
        self, examine: Examine, kept: Path, archive: str, clock: Clock, every: timedelta
    ) -> None:
        self._examine = examine
        self._kept = kept
        self._archive = archive
        self._clock = clock
        self._last = _read(kept)
        self._task = PeriodicTask("doctor", every, self.look)

    def start(self) -> None:
        """Look now, and then every so often."""
        self._task.start()

    def close(self) -> None:
        """Stop; a look under way is left alone after a second, and ends with the process."""
        self._task.close()

    def told(self) -> dict[str, Any]:
        """Return the last result; ``at`` is empty if there was none yet.

        ``outcome`` is ``failed`` if anything is wrong, else ``unknown`` if anything could not be
        looked at, else ``held``.
        """
        return self._last

    def look(self) -> None:
        """Look once, and keep what was found."""
        try:
            findings = list(self._examine())
        except BreakglassError as error:
            findings = [BucketFinding("unknown", "doctor", str(error), error.hint)]
        except Exception as error:  # the edge of a thread: a look that failed is told as such
            log.exception("doctor: an error inside")
            why = f"an error inside: {type(error).__name__}"
            findings = [BucketFinding("unknown", "doctor", why)]
        told = {
            "at": format_time(self._clock.now()),
            "archive": self._archive,
            "outcome": outcome(findings),
            "findings": [asdict(each) for each in findings],
        }
        # A crash before this forgets one look, and the next start looks again.
        try:
            write_whole(self._kept, json.dumps(told, ensure_ascii=False).encode())
        except OSError as error:
            log.error("doctor: the result could not be kept: %s", error)
        self._last = told


def outcome(findings: Iterable[BucketFinding]) -> str:
    """Sum findings up in a word: ``held``, ``unknown`` or ``failed``."""
    levels = {each.level for each in findings}
    if "wrong" in levels:
        return "failed"
    return "unknown" if "unknown" in levels or not levels else "held"


def _read(kept: Path) -> dict[str, Any]:
    try:
        told = json.loads(kept.read_bytes())
    except (OSError, ValueError):
        told = None
    return told if isinstance(told, dict) else {"at": "", "outcome": "unknown", "findings": []}
