"""The minter's process: its parts, put together from its folder, and its few routes."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

from breakglass.clock import Clock, format_time
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, MisconfiguredError, RefusedError
from breakglass.http.client import Peer
from breakglass.http.edge import application
from breakglass.http.routes import Nobody, Request, get, nobody, post
from breakglass.minter.door import MinterDoor
from breakglass.minter.early_end import EarlyEnd
from breakglass.minter.grant_store import GrantStore, Row, Stage
from breakglass.minter.locks import GrantLocks
from breakglass.minter.minting import At, Minting, Patience
from breakglass.minter.outcome_records import OutcomeRecords
from breakglass.minter.platforms.platform import Platform
from breakglass.minter.platforms.postgres import Postgres
from breakglass.minter.platforms.simulated import Simulated
from breakglass.minter.reconciler import Reconciler, ReconcilerLimits
from breakglass.minter.requests import (
    CredentialView,
    EndedView,
    EndRequest,
    Forgone,
    ForgoRequest,
    MinterSummary,
    MintRequest,
)
from breakglass.minter.settings import MinterSettings
from breakglass.minter.suspensions import Suspensions
from breakglass.node.catch_up import CatchingUp
from breakglass.node.door import Doors, DoorsFirst, TakenDoor
from breakglass.node.replica import Replica
from breakglass.node.submitter import Submitter, gap_draft
from breakglass.node.views import Health, StateView, health, state_view
from breakglass.process.alert_channel import AlertChannel
from breakglass.process.folder import make_folder
from breakglass.process.key_store import read_key
from breakglass.process.serving import Ending, Service
from breakglass.process.settings import neighbour_at, read_settings
from breakglass.records.kind_sets import UnknownKindsError
from breakglass.records.trust import Trust, accept_trust
from breakglass.strict_json import view
from breakglass.submit.outbox import Outbox, OutboxLimits
from breakglass.tlog.note import Note
from breakglass.token.token import BYTES_AT_MOST

PULSE_AT_MOST_OLD = timedelta(minutes=3)


def _go_on(step: str) -> None:
    """Do nothing at a step; tests end the process there."""


def build(folder: Path, clock: Clock, at: At = _go_on) -> Service:
    """Make a minter from its folder; nothing runs before ``Service.start``.

    Args:
        folder: with ``settings.toml``, ``key`` and the trust file.
        clock: for every time that is written or compared.
        at: told each numbered step; for tests alone.

    Raises:
        MisconfiguredError: something in the folder cannot be used.
    """
    return Minter(folder, clock, at).room()


class Minter:
    """One minter's parts."""

    def __init__(self, folder: Path, clock: Clock, at: At) -> None:
        settings = read_settings(folder, MinterSettings)
        make_folder(folder / "data")
        ledger = neighbour_at(folder, settings.ledger)
        self._settings = settings
        self._clock = clock
        self._at = at
        self._bell = AlertChannel(
            folder / settings.ring.log, settings.ring.webhook, f"minter:{settings.name}", clock
        )
        self._table = GrantStore(folder / "data" / "grants.sqlite")
        self._watch = Suspensions(settings.name, lambda: self._ending.wake())
        self._process = Ending()
        self._view = Replica(
            Peer(ledger, name="ledger"),
            read_trust(folder / settings.trust),
            folder / "data" / "view",
            on_judged=self._watch.judged,
            trouble=self._trouble,
        )
        self._platform = _platform(settings, folder, clock)
        key = read_key(folder)
        doors = Doors(folder / "data" / "doors.sqlite")
        self._outbox = Outbox(
            DoorsFirst(
                ledger,
                doors,
                self._view.trust,
                clock,
                self._ring_unappended,
                settings.door_within,
            ),
            key,
            folder / "data",
            clock,
            gap=gap_draft(settings.log),
            stranger=lambda words: self._bell.ring("stolen_key", "ledger", words),
            limits=OutboxLimits(notes_at_most=settings.spool_notes, age_at_most=settings.spool_for),
        )
        self._asking = Peer(ledger, name="ledger")
        self._catching_up = CatchingUp(self._view, self._asking, "minted")
        ours = key.verifier.label
        stating = Submitter(self._outbox, settings.log, clock, lambda: self._view.last_at(ours))
        self._doors = MinterDoor(
            settings.name,
            self._view,
            Peer(ledger, name="ledger"),
            doors,
            stating,
            self._bell,
            clock,
            at,
        )
        self._locks = GrantLocks()
        self._saying = OutcomeRecords(stating, self._table, self._platform.limits.platform)
        self._minting = Minting(
            settings.name,
            self._view,
            self._catching_up,
            self._watch,
            self._table,
            self._platform,
            self._locks,
            stating,
            clock,
            Patience(settings.usable_within, settings.view_within, settings.view_at_most_old),
            self._doors,
            lambda grant: self._ending.end_now(grant),
            at,
        )
        self._ending = Reconciler(
            self._view,
            self._watch,
            self._table,
            self._platform,
            self._locks,
            self._saying,
            self._bell,
            clock,
            ReconcilerLimits(settings.sweep_every, settings.ring_after, settings.ending_threads),
            at,
        )
        self._giving_up = EarlyEnd(
            settings.name,
            self._view,
            self._catching_up,
            self._table,
            self._platform,
            self._locks,
            self._ending,
            clock,
            settings.view_within,
            settings.forgo_after,
            self._doors,
        )
        self._behind = ThreadPoolExecutor(2, thread_name_prefix="behind")

    def room(self) -> Service:
        """Return what to serve and what to do around it."""
        app = application(
            [
                post("/mint", nobody, MintRequest, self._mint, CredentialView, 2 * BYTES_AT_MOST),
                post("/end", nobody, EndRequest, self._end, EndedView, 64 * 1024),
                post("/forgo", nobody, ForgoRequest, self._forgo, Forgone, 1024),
                get("/grants/{grant}/credential", nobody, self._credential, CredentialView),
                get("/state", nobody, self._state, StateView),
                get("/healthz", nobody, self._health, Health),
            ]
        )
        return Service(
            app, self._settings.serving, start=self._start, close=self._close, ending=self._process
        )

    def _trouble(self, error: Exception) -> None:
        """Hear that following has stopped for good."""
        self._bell.ring("ledger", "ledger", str(error))
        if isinstance(error, UnknownKindsError):
            # Nothing more is minted. Credentials that live end by the platform's own clock.
            self._process.end(error)

    def _start(self) -> None:
        self._view.start()
        self._catching_up.start()
        self._ending.start()

    def _close(self) -> None:
        self._ending.close()
        self._behind.shutdown(wait=True)
        self._catching_up.close()
        self._asking.close()
        self._doors.close()
        self._view.close()
        self._outbox.close()
        self._platform.close()
        self._bell.close()
        self._table.close()

    def _mint(self, who: Nobody, asked: Request[MintRequest]) -> CredentialView:
        text = asked.body.token.encode("utf-8", "surrogatepass")
        row = self._minting.mint(text, timedelta(milliseconds=asked.body.asked_ms_ago))
        answer = self._shown(row)
        self._behind.submit(self._say_behind, row.grant)
        return answer

    def _say_behind(self, grant: str) -> None:
        try:
            self._at("answered")
            with self._locks.of(grant):
                self._saying.say(grant)
            self._at("stated")
            self._ring_if_monitor_is_silent(grant)
        except BreakglassError as error:
            self._bell.ring(
                "unsaid", grant, f"its records cannot be written to the minter's disk yet: {error}"
            )

    def _ring_if_monitor_is_silent(self, grant: str) -> None:
        with self._view.reading() as state:
            pulse = state.monitor.pulse_at
        if pulse is None or self._clock.now() - pulse > PULSE_AT_MOST_OLD:
            when = format_time(pulse) if pulse else "never"
            self._bell.ring(
                "monitor_silent",
                grant,
                f"GLASS BROKEN. The monitor is silent, last pulse: {when}. Stop it: breakglass kill"
                f" {grant}",
            )

    def _ring_unappended(self, door: TakenDoor, why: str) -> None:
        self._bell.ring(
            "door_unappended",
            door.grant,
            f"{door.who!r} got a credential by the custodians' door at"
            f" {door.taken:%Y-%m-%d %H:%M} UTC, and its intent is not in the ledger: {why}",
        )

    def _end(self, who: Nobody, asked: Request[EndRequest]) -> EndedView:
        row = self._giving_up.end(asked.body.grant, asked.body.statement)
        ended_at = format_time(row.ended_at) if row.ended_at else ""
        return EndedView(row.grant, ended_at, row.stage is Stage.DEAD, row.tail_ms)

    def _forgo(self, who: Nobody, asked: Request[ForgoRequest]) -> Forgone:
        return Forgone(asked.body.grant, self._giving_up.forgo(asked.body.grant))

    def _credential(self, who: Nobody, asked: Request[None]) -> CredentialView:
        row = self._table.find(asked.path["grant"])
        if row is None or row.stage is not Stage.MINTED or row.made is None:
            grant, hint = asked.path["grant"][:40], ""
            if row is not None and row.stage in (Stage.ENDED, Stage.DEAD):
                why = "the grant has ended"
            elif row is not None:
                why = "minting failed or is still running"
                hint = f"wait 5 s, then: breakglass status {grant}"
            else:
                why = "this minter has minted nothing for it"
                hint = f"retry: breakglass break --again {grant}"
            raise RefusedError(
                f"no credential for grant {grant!r}: {why}", name=ErrorName.NO_CREDENTIAL, hint=hint
            )
        return self._shown(row)

    def _state(self, who: Nobody, asked: Request[None]) -> StateView:
        limits = self._platform.limits
        newest = self._watch.newest
        summary = MinterSummary(
            grants=self._table.counts(),
            waiting_records=self._outbox.waiting,
            unappended_doors=tuple(self._doors.standing()),
            platform=limits.platform,
            residual_tail_s=limits.residual_tail.total_seconds(),
            unrecorded=limits.unrecorded,
            witnessed=format_time(newest) if newest else "",
        )
        return state_view(self._view, summary)

    def _health(self, who: Nobody, asked: Request[None]) -> Health:
        return health(self._view, self._catching_up.current, True)

    def _shown(self, row: Row) -> CredentialView:
        assert row.made is not None
        return view(
            CredentialView,
            row.claim,
            row.made,
            minter=self._settings.name,
            sealed=base64.b64encode(row.made.sealed).decode(),
            since_asked_ms=row.made.usable_ms,
            dead=row.stage is Stage.DEAD,
        )


def read_trust(path: Path) -> Trust:
    """Read the trust file that this process begins with.

    Raises:
        MisconfiguredError: it cannot be read, or its maintainers did not sign it.
    """
    try:
        return accept_trust(Note.parse(path.read_bytes()), None)
    except (OSError, BreakglassError) as error:
        raise MisconfiguredError(f"{str(path)!r} cannot be used: {error}; not started") from error


def _platform(settings: MinterSettings, folder: Path, clock: Clock) -> Platform:
    if settings.platform == "simulated":
        return Simulated(folder / settings.simulated, settings.name, clock)
    assert settings.postgres is not None
    return Postgres(settings.postgres, settings.name, settings.log)
