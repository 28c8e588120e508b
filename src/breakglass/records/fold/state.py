"""What the records add up to: the state that broker, minter, monitor and auditors share.

``fold.py`` alone changes it. Everything here can be thrown away and folded again.

Attributes:
    FOLD_VERSION: raise it whenever the fold's rules or the shape of the state change: what was
        folded and kept under another number is thrown away and folded again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import datetime

from breakglass.canonical import Json, canonical
from breakglass.clock import format_maybe
from breakglass.records.fold.slices.gates import DoorState, Gates
from breakglass.records.fold.slices.governance import Governance
from breakglass.records.fold.slices.grants import Grants
from breakglass.records.fold.slices.incidents import Incidents
from breakglass.records.fold.slices.monitor import Monitor
from breakglass.records.fold.slices.statements import Statements
from breakglass.records.fold.slices.submitters import Submitters
from breakglass.records.fold.slices.surveys import Surveys
from breakglass.records.fold.slices.voids import Voids

FOLD_VERSION = 5


@dataclass
class State:
    """The whole fold, in slices. ``genesis`` is the digest that the follower pinned.

    ``witnessed`` is the fold's only time of its own: the greatest witnessed time so far.
    ``forgets`` says whether a sweep drops what no judge can ask for any more; a trial sweeps
    nothing, and a state that never does judges alike.
    """

    genesis: str
    size: int = 0
    log: str = ""
    witnessed: datetime | None = None
    forgets: bool = True
    void: Voids = field(default_factory=Voids)
    submitters: Submitters = field(default_factory=Submitters)
    statements: Statements = field(default_factory=Statements)
    governance: Governance = field(default_factory=Governance)
    incidents: Incidents = field(default_factory=Incidents)
    grants: Grants = field(default_factory=Grants)
    gates: Gates = field(default_factory=Gates)
    monitor: Monitor = field(default_factory=Monitor)
    surveys: Surveys = field(default_factory=Surveys)

    def trial(self, submitter: str) -> State:
        """Return a thin copy on which the next records of one key label can be tried by ``apply``.

        The copy reads through to this state, which must stand still meanwhile; what is applied to
        the copy changes only the copy. Copying a long log's state whole would take seconds.
        """
        return replace(
            self,
            forgets=False,
            submitters=self.submitters.trial(submitter),
            statements=self.statements.trial(),
            governance=self.governance.trial(),
            incidents=self.incidents.trial(),
            grants=self.grants.trial(),
            gates=self.gates.trial(),
            monitor=self.monitor.trial(),
            surveys=self.surveys.trial(),
        )

    def unappended_doors(self) -> list[DoorState]:
        """Return the doors that were used and whose intent does not stand in the log."""
        return [each for each in self.gates.doors.values() if not self._stands(each)]

    def _stands(self, door: DoorState) -> bool:
        grant = self.grants.by_id.get(door.grant)
        return grant is not None and grant.text_digest == door.intent

    def digest(self) -> str:
        """Return the SHA-256 of the state: equal at the same size for everybody who folded."""
        return hashlib.sha256(canonical(self.summary()).encode()).hexdigest()

    def summary(self) -> dict[str, Json]:
        """Return the whole state as plain JSON, for digests and for people."""
        return {
            "size": self.size,
            "log": self.log,
            "witnessed": format_maybe(self.witnessed),
            **self.void.summary(),
            **self.submitters.summary(),
            **self.statements.summary(),
            **self.governance.summary(),
            **self.incidents.summary(),
            **self.grants.summary(),
            **self.gates.summary(),
            **self.monitor.summary(),
            **self.surveys.summary(),
        }
