"""What only tampering explains: a second version, a delete marker, a lock that is not there.

It is told and kept, and reading goes on from the oldest version: whoever may add versions must not
be able to stop the archive by doing so.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from breakglass.clock import Clock, format_time

log = logging.getLogger("breakglass.archiver")

Kind = Literal["second_version", "delete_marker", "not_locked", "altered"]


@dataclass(frozen=True)
class Evidence:
    """One thing that an honest archiver cannot have caused.

    Attributes:
        kind: what it is.
        name: the object.
        version: the store's id of the version that is too many, unlocked or altered.
        says: in words, with what is trusted instead.
        at: when the store says that it happened, if it does.
    """

    kind: Kind
    name: str
    version: str
    says: str
    at: datetime | None = None


Alarm = Callable[[Evidence], None]


def log_evidence(evidence: Evidence) -> None:
    """Say it on the process's log."""
    log.error("tampering, %s: %s", evidence.kind, evidence.says)


class EvidenceFile:
    """Says each piece of evidence once on the log, and keeps it as a line of JSON.

    Args:
        path: appended to; a line that cannot be written has still been logged.
        clock: for when it was found.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._told: set[tuple[str, str, str]] = set()

    @property
    def count(self) -> int:
        """How many different pieces were found since the start."""
        with self._lock:
            return len(self._told)

    def __call__(self, evidence: Evidence) -> None:
        """Take a piece of evidence; one that was told before is passed over."""
        key = (evidence.kind, evidence.name, evidence.version)
        with self._lock:
            if key in self._told:
                return
            self._told.add(key)
            log_evidence(evidence)
            line = {
                "found": format_time(self._clock.now()),
                "kind": evidence.kind,
                "name": evidence.name,
                "version": evidence.version,
                "at": format_time(evidence.at) if evidence.at else None,
                "says": evidence.says,
            }
            try:
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
            except OSError as error:
                log.error("evidence could not be kept: %s", error)
