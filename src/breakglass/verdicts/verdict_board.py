"""The verdicts of all gates kept current: only a gate whose own records changed is judged again.

A verdict depends on its gate's records, the day and the median gate's rate, so it is kept under a
digest of these. A new day judges all gates once; within the day a new bypass costs one gate. What
the siblings say is read of gates that stand above them alone, so new words judge only those again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from breakglass.verdicts.evidence import look_around
from breakglass.verdicts.history import Gate, History
from breakglass.verdicts.signs import THRESHOLDS, stands_above
from breakglass.verdicts.verdict import Verdict, judge
from breakglass.verdicts.windows import end_of


class VerdictBoard:
    """Verdicts by gate; ``refresh`` brings them up to a history and says which were judged anew."""

    def __init__(self) -> None:
        self.verdicts: dict[str, Verdict] = {}
        self._digests: dict[str, bytes] = {}
        self._words: Mapping[str, float] = {}

    def refresh(self, history: History) -> tuple[str, ...]:
        """Judge what changed; calling twice with the same history judges nothing the second time.

        Returns the names of the gates that were judged, sorted. Gates that are gone are forgotten.
        """
        usual = look_around(history.gates, history.as_of)
        day = f"{end_of(history.as_of)} {usual.rate}"
        same_words = usual.words == self._words
        judged = []
        for gate in history.gates:
            digest = _digest(gate, day)
            if self._digests.get(gate.name) == digest and (
                same_words or not stands_above(self.verdicts[gate.name].evidence, THRESHOLDS)
            ):
                continue
            self.verdicts[gate.name] = judge(gate, history.as_of, usual)
            self._digests[gate.name] = digest
            judged.append(gate.name)
        self._words = usual.words
        names = {gate.name for gate in history.gates}
        for gone in set(self.verdicts) - names:
            del self.verdicts[gone], self._digests[gone]
        return tuple(sorted(judged))


def _digest(gate: Gate, day: str) -> bytes:
    """Return a digest of all that a verdict on ``gate`` reads on ``day``."""
    told = hashlib.blake2b(day.encode(), digest_size=16)
    for event in gate.events:
        # Records of a ledger do not change; the text is taken in for folders, where they may.
        told.update(
            f"{event.id}\x1f{event.time.timestamp()}\x1f{event.person}\x1f{event.family}\x1f"
            f"{event.incident}\x1f{event.kind}\x1f{event.sanctioned}\x1f{event.reason_code}\x1f"
            f"{event.reason}\x1e".encode()
        )
    told.update(repr((gate.born, gate.retired, gate.changes)).encode())
    told.update(_mapping(gate.passages).encode())
    for season in sorted(gate.people):
        told.update(f"{season}\x1d{_mapping(gate.people[season])}".encode())
    return told.digest()


def _mapping(values: Mapping[Any, float]) -> str:
    return repr(list(values.items()))
