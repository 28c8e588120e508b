"""What the minter states of a grant, each once and in order: minted, usable, ended, dead."""

from __future__ import annotations

from breakglass.minter.grant_store import GrantStore, Outcome, Row, Stage
from breakglass.node.submitter import Fact, Submitter
from breakglass.records.kinds.dead import Dead
from breakglass.records.kinds.ended import EndedWhy
from breakglass.records.kinds.minted import Minted
from breakglass.records.kinds.usable import Usable


class OutcomeRecords:
    """Hands the records that a grant owes to the outbox; harmless to call again.

    The caller holds the grant's lock. The outbox keeps one note of each id, and the ledger takes
    an id once, so a crash between the two steps inside repeats nothing.
    """

    def __init__(self, stating: Submitter, table: GrantStore, platform: str) -> None:
        self._stating = stating
        self._table = table
        self._platform = platform

    def say(self, grant: str) -> None:
        """State whatever is true of ``grant`` and was not stated yet.

        Raises:
            UnavailableError: the disk refuses; what is owed stays owed.
        """
        row = self._table.find(grant)
        if row is None or row.stage is Stage.CLAIMED:
            return
        for said, facts in self._owed(row):
            # Kept together, then marked. A crash in between keeps them again, under their ids.
            self._stating.post(*facts)
            self._table.said(grant, said)

    def _owed(self, row: Row) -> list[tuple[Outcome, list[Fact]]]:
        owed: list[tuple[Outcome, list[Fact]]] = []
        # A grant that was never minted is ended by the broker; there is nothing of ours to tell.
        # If the broker said so of one that we did mint, the ledger must hear that it is dead.
        not_minted = row.ended is not None and row.ended.why is EndedWhy.NOT_MINTED
        # Of a start that we refused ourselves nobody else knows why.
        ours = row.ended is not None and bool(row.ended.detail)
        silent = not_minted and row.made is None and not ours
        if Outcome.MINTED not in row.said:
            owed.append((Outcome.MINTED, self._minted(row)))
        if row.ended is not None and Outcome.ENDED not in row.said:
            told = [] if silent else [Fact(f"{row.grant}/ended", row.ended)]
            owed.append((Outcome.ENDED, told))
        if row.left_behind is not None and Outcome.DEAD not in row.said:
            dead = Dead(row.grant, row.evidence, row.tail_ms or 0, row.sessions, row.left_behind)
            owed.append((Outcome.DEAD, [] if silent else [Fact(f"{row.grant}/dead", dead)]))
        return owed

    def _minted(self, row: Row) -> list[Fact]:
        made, claim = row.made, row.claim
        if made is None:
            return []
        minted = Minted(
            claim.grant, self._platform, claim.handle, made.ids, claim.expires, made.minted_ms
        )
        usable = Usable(claim.grant, made.probe, made.usable_ms)
        return [Fact(f"{claim.grant}/minted", minted), Fact(f"{claim.grant}/usable", usable)]
