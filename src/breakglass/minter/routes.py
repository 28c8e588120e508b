"""What the minter answers over HTTP (docs/reference/minters.md)."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta

from breakglass.clock import Clock, format_time
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, RefusedError
from breakglass.http.routes import Nobody, Request, Route, get, nobody, post
from breakglass.minter.door import MinterDoor
from breakglass.minter.early_end import EarlyEnd
from breakglass.minter.grant_store import GrantStore, Row, Stage
from breakglass.minter.minting import At, Minting
from breakglass.minter.outcome_records import OutcomeRecords
from breakglass.minter.platforms.platform import Description
from breakglass.minter.requests import (
    CredentialView,
    EndedView,
    EndRequest,
    Forgone,
    ForgoRequest,
    MinterSummary,
    MintRequest,
)
from breakglass.minter.suspensions import Suspensions
from breakglass.minter.target_check import TargetCheck
from breakglass.node.grant_locks import GrantLocks
from breakglass.node.process import NodeProcess
from breakglass.node.readers import (
    Holder,
    KnownReader,
    Neighbour,
    Readers,
)
from breakglass.node.views import Health, StateView, health, state_view
from breakglass.process.alert_channel import AlertChannel
from breakglass.records.handout import sign_handout
from breakglass.strict_json import view
from breakglass.token.token import BYTES_AT_MOST

PULSE_AT_MOST_OLD = timedelta(minutes=3)


@dataclass(frozen=True)
class Stories:
    """What can be asked of one minter, and what answers it; safe under threads."""

    name: str
    process: NodeProcess
    watch: Suspensions
    table: GrantStore
    described: Description
    checking: TargetCheck
    locks: GrantLocks
    minting: Minting
    saying: OutcomeRecords
    giving_up: EarlyEnd
    doors: MinterDoor
    bell: AlertChannel
    readers: Readers
    clock: Clock
    at: At
    behind: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(2, thread_name_prefix="behind")
    )

    def mint(self, who: Nobody, asked: Request[MintRequest]) -> CredentialView:
        """Mint by a token; what became of it is stated behind the answer."""
        text = asked.body.token.encode("utf-8", "surrogatepass")
        row = self.minting.mint(text, timedelta(milliseconds=asked.body.asked_ms_ago))
        answer = self._shown(row)
        self.behind.submit(self._say_behind, row.grant)
        return answer

    def end(self, who: Nobody, asked: Request[EndRequest]) -> EndedView:
        """End a grant before its time, on a person's word."""
        row = self.giving_up.end(asked.body.grant, asked.body.statement)
        ended_at = format_time(row.ended_at) if row.ended_at else ""
        return EndedView(row.grant, ended_at, row.stage is Stage.DEAD, row.tail_ms)

    def forgo(self, who: Neighbour, asked: Request[ForgoRequest]) -> Forgone:
        """Promise that nothing will be minted for a grant, or say that something was."""
        body = asked.body
        return Forgone(body.grant, self.giving_up.forgo(body.grant, body.intent))

    def credential(self, who: Neighbour | Holder, asked: Request[None]) -> CredentialView:
        """Return a credential again, sealed as it was."""
        row = self.table.find(asked.path["grant"])
        if row is None or row.stage is not Stage.MINTED or row.made is None:
            grant, hint = asked.path["grant"][:40], ""
            if row is not None and row.stage in (Stage.ENDED, Stage.DEAD):
                why = "the grant has ended"
            elif row is not None:
                why = "minting failed or is still running"
                hint = f"wait 5 s, then: breakglass status {grant}"
            else:
                why, hint = self._not_minted(grant), f"retry: breakglass break --again {grant}"
            raise RefusedError(
                f"no credential for grant {grant!r}: {why}", name=ErrorName.NO_CREDENTIAL, hint=hint
            )
        return self._shown(row)

    def _not_minted(self, grant: str) -> str:
        with self.process.view.reading() as state:
            found = state.grants.by_id.get(grant)
        if found is not None and found.scheduled and self.clock.now() < found.not_before:
            return f"it begins {format_time(found.not_before)}, and may be fetched from then on"
        return "this minter has minted nothing for it"

    def state(self, who: KnownReader, asked: Request[None]) -> StateView:
        """Return what is folded, and what is held here."""
        newest, limits = self.watch.newest, self.described.limits
        assert limits.residual_tail is not None, "what has a minter states its tail"
        summary = MinterSummary(
            grants=self.table.counts(),
            waiting_records=self.process.outbox.waiting,
            unappended_doors=tuple(self.doors.standing()),
            platform=limits.platform,
            stands_at=self.described.target,
            residual_tail_s=limits.residual_tail.total_seconds(),
            unrecorded=limits.unrecorded,
            witnessed=format_time(newest) if newest else "",
            target=self.checking.found,
        )
        return state_view(self.process.view, summary)

    def health(self, who: Nobody, asked: Request[None]) -> Health:
        """Return how far the ledger is read."""
        process = self.process
        return health(process.view, process.catching_up.current, True, process.check.keys)

    def _say_behind(self, grant: str) -> None:
        try:
            self.at("answered")
            with self.locks.of(grant):
                self.saying.say(grant)
            self.at("stated")
            self._ring_if_monitor_is_silent(grant)
        except BreakglassError as error:
            self.bell.ring(
                "unsaid", grant, f"its records cannot be written to the minter's disk yet: {error}"
            )

    def _ring_if_monitor_is_silent(self, grant: str) -> None:
        with self.process.view.reading() as state:
            pulse = state.monitor.pulse_at
        if pulse is None or self.clock.now() - pulse > PULSE_AT_MOST_OLD:
            when = format_time(pulse) if pulse else "never"
            self.bell.ring(
                "monitor_silent",
                grant,
                f"GLASS BROKEN. The monitor is silent, last pulse: {when}. Stop it: breakglass kill"
                f" {grant}",
            )

    def _shown(self, row: Row) -> CredentialView:
        assert row.made is not None
        return view(
            CredentialView,
            row.claim,
            row.made,
            minter=self.name,
            sealed=base64.b64encode(row.made.sealed).decode(),
            since_asked_ms=row.made.usable_ms,
            # Signed anew each time: by the key that trust files name now, after a rotation too.
            handout=sign_handout(row.made.handout, self.process.key) if row.made.handout else "",
            dead=row.stage is Stage.DEAD,
        )


def routes(stories: Stories) -> list[Route]:
    """Return the table over one minter."""
    readers = stories.readers
    return [
        post("/mint", nobody, MintRequest, stories.mint, CredentialView, 2 * BYTES_AT_MOST),
        post("/end", nobody, EndRequest, stories.end, EndedView, 64 * 1024),
        post("/forgo", readers.broker, ForgoRequest, stories.forgo, Forgone, 1024),
        get(
            "/grants/{grant}/credential",
            readers.neighbour_or_holder,
            stories.credential,
            CredentialView,
        ),
        get("/state", readers.all_or_trusted, stories.state, StateView),
        get("/healthz", nobody, stories.health, Health),
    ]
