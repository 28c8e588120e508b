"""How every gate stands now: the verdicts, and the history that they are read from."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from breakglass.errors import BreakglassError
from breakglass.monitor.decision_replay import compiled
from breakglass.monitor.gates.gate_records import GateRecords, gate_records
from breakglass.monitor.history_projection import HistoryProjection
from breakglass.monitor.witnessed_time import WitnessedTime
from breakglass.node.replica import Replica
from breakglass.verdicts.folder import append_review, write_folder
from breakglass.verdicts.history import Gate, History
from breakglass.verdicts.imports.records import from_records
from breakglass.verdicts.verdict_board import VerdictBoard
from breakglass.verdicts.verdict_json import answer

_SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class GatesView:
    """The verdict on every gate, each as ``verdict_json`` writes it."""

    as_of: datetime
    gates: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class HistoryView:
    """The history folder of every gate: the text of each file by its name."""

    as_of: datetime
    files: Mapping[str, str]


class Gates:
    """Reads gates out of the followed log; each call is as of now. Safe under threads."""

    def __init__(self, view: Replica, chronicle: HistoryProjection, time: WitnessedTime) -> None:
        self._view = view
        self._chronicle = chronicle
        self._time = time
        self._standing = VerdictBoard()
        self._lock = threading.Lock()  # two would judge the same gates twice

    def records(self) -> GateRecords:
        """Return a copy of what the ledger says of gates."""
        with self._view.reading():
            return gate_records(self._chronicle)

    def history(self) -> History:
        """Return the history of all gates that the ledger tells."""
        with self._view.reading() as state:
            records, bundle = gate_records(self._chronicle), state.governance.bundle
        # What holds in the ledger is known, also where its submitter's clock is ahead of ours.
        latest = max(filter(None, (self._time.now(), records.latest)))
        history = from_records(records.told(), _whole_second(latest))
        doors = siblings_of(bundle)
        gates = (replace(each, siblings=doors.get(each.name, ())) for each in history.gates)
        return replace(history, gates=tuple(gates))

    def listed(self) -> GatesView:
        """Return the verdict on every gate; only gates with new records are judged again."""
        with self._lock:
            history = self.history()
            self._standing.refresh(history)
            judged = [self._standing.verdicts[gate.name] for gate in history.gates]
        return GatesView(history.as_of, tuple(map(answer, judged)))

    def exported(self) -> HistoryView:
        """Return the history folder, sorted and whole."""
        history = self.history()
        with TemporaryDirectory(prefix="breakglass-history-") as name:
            folder = Path(name)
            events = [event for gate in history.gates for event in gate.events]
            passages = {gate.name: gate.passages for gate in history.gates}
            people = {gate.name: gate.people for gate in history.gates}
            told = {gate.name: _life(gate) for gate in history.gates}
            write_folder(folder, history.as_of, events, passages, people, told, history.grants)
            for review in history.reviews:
                append_review(folder, review)
            files = {path.name: path.read_text("utf-8") for path in sorted(folder.iterdir())}
        return HistoryView(history.as_of, files)


def siblings_of(bundle: bytes) -> dict[str, tuple[str, ...]]:
    """Return which doors the policy in force says lead to the same room; judged together."""
    try:
        return {name: gate.siblings for name, gate in compiled(bundle).bundle.gates.items()}
    except BreakglassError:
        return {}  # none yet, or one that rang; each gate is judged alone


def _life(gate: Gate) -> dict[str, Any]:
    told = {
        "counted_to": gate.counted_to.isoformat() if gate.counted_to else "",
        "siblings": list(gate.siblings),
    }
    return {name: value for name, value in told.items() if value}


def _whole_second(moment: datetime) -> datetime:
    # The folder's times are whole seconds; rounded down, what came last would be in the future.
    return moment if not moment.microsecond else moment.replace(microsecond=0) + _SECOND
