"""The archive's own doctor, repeated into the ledger; and a bell when it does not come.

The archiver looks once a day and at every start (``archiver/doctor_schedule.py``). Whoever could
make it say nothing, or make the archive worth nothing, is heard within 26 h.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from breakglass.clock import format_time, parse_time
from breakglass.errors import BreakglassError
from breakglass.http.client import Peer
from breakglass.monitor.alerts.alert import Alert
from breakglass.monitor.alerts.dispatch import Dispatch
from breakglass.monitor.witnessed_time import WitnessedTime
from breakglass.node.replica import Replica
from breakglass.node.submitter import Fact, Submitter
from breakglass.records.encoding.text_types import one_line
from breakglass.records.kinds.attested import Attested, Attesting

log = logging.getLogger("breakglass.monitor")
ARCHIVE = "archive"
_WITHIN = timedelta(seconds=10)
_WRONG_TOLD = 5


class ArchiveHealth:
    """Fetches the doctor's result and states it once; ``look`` belongs to one thread.

    Args:
        archiver: gives the neighbour by the trust file's name of it; ``None`` if unknown here.
        view: the followed log: its trust file names the archiver.
        stating: where the record goes.
        ringing: told when no look is recorded for too long.
        now: the time that the witnesses agree on.
        broken: why the ledger is not believed, or empty; then nothing is stated.
        within: how old the last recorded look may be.
    """

    def __init__(
        self,
        archiver: Callable[[str], Peer | None],
        view: Replica,
        stating: Submitter,
        ringing: Dispatch,
        now: WitnessedTime,
        broken: Callable[[], str],
        within: timedelta,
    ) -> None:
        self._archiver = archiver
        self._view = view
        self._stating = stating
        self._ringing = ringing
        self._now = now
        self._broken = broken
        self._within = within
        self._since: datetime | None = None  # when we began to look, for an archive never seen
        self._stated = ""  # the look that was stated last, so that it is not stated twice
        self.trouble = ""
        self.looks = 0

    def look(self) -> None:
        """Look once: state what is new, ring what is old."""
        if self._broken():
            return
        now = self._now.now()
        self._since = self._since or now
        name = self._view.trust().archiver
        self.trouble = ""
        try:
            self._state(name)
        except BreakglassError as error:
            self.trouble = str(error)
        self._ring_if_old(name, now)
        self.looks += 1

    def _state(self, name: str) -> None:
        neighbour = self._archiver(name)
        if neighbour is None:
            self.trouble = f"no address of archiver {name!r} is known here"
            return
        body = neighbour.get("/doctor", within=_WITHIN)
        fact = attested_fact(name, body.body, body.json())
        if fact is None or fact.id == self._stated:
            return
        with self._view.reading() as state:
            before = state.monitor.attested.get((ARCHIVE, name))
        assert isinstance(fact.body, Attested)
        if before is None or fact.body.looked > before.looked:
            # Kept on disk until the ledger takes it; a restart in between states it again, under
            # the same id.
            self._stating.post(fact)
        self._stated = fact.id

    def _ring_if_old(self, name: str, now: datetime) -> None:
        with self._view.reading() as state:
            last = state.monitor.attested.get((ARCHIVE, name))
            size = state.size
        since = last.looked if last else self._since
        assert since is not None
        if now - since <= self._within:
            return
        index = last.index if last else 0
        why = f" ({self.trouble})" if self.trouble else ""
        text = (
            f"Archive {name!r} was last checked {format_time(since)}{why}: whether its records can"
            f" be deleted is unknown, at {size} entries. On its host: breakglass archiver doctor"
        )
        # One message for each look that none followed: its entry names it.
        news = Alert("archive_unattested", name, index, f"archive/{name}", now, text)
        self._ringing.ring([news])


def attested_fact(name: str, evidence: bytes, told: dict[str, Any]) -> Fact | None:
    """Make the record of a doctor's answer; ``None`` if it has not looked yet, or says nonsense.

    Args:
        name: the archiver's, as the trust file has it.
        evidence: the answer's bytes, whose digest is recorded.
        told: the same, read.
    """
    try:
        looked = parse_time(str(told["at"]))
        outcome = Attesting(str(told["outcome"]))
        findings = [each for each in told["findings"] if isinstance(each, dict)]
    except (KeyError, TypeError, ValueError, BreakglassError):
        return None
    bad = [each for each in findings if each.get("level") in ("wrong", "unknown")]
    said = "; ".join(f"{each.get('name')}: {each.get('what')}" for each in bad[:_WRONG_TOLD])
    detail = one_line(said or f"{told.get('archive', '')}: {len(findings)} looks")
    body = Attested(ARCHIVE, name, outcome, looked, hashlib.sha256(evidence).hexdigest(), detail)
    return Fact(f"attested/{ARCHIVE}/{name}/{format_time(looked)}", body)
