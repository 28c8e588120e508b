"""Minting one credential for one grant, in numbered steps.

Nothing outside the token is believed, and nothing is done at the platform before it is promised
on our own disk.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from breakglass.clock import Clock, Deadline, format_time, to_milliseconds
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, MalformedError, RefusedError, UnavailableError
from breakglass.minter.credential_sealing import seal
from breakglass.minter.door import MinterDoor
from breakglass.minter.grant_store import Claim, GrantStore, Row, SealedCredential, Stage
from breakglass.minter.platforms.platform import (
    Account,
    Credential,
    Order,
    Pending,
    Platform,
)
from breakglass.minter.suspensions import Suspensions, claim_of
from breakglass.node.catch_up import CatchingUp
from breakglass.node.grant_locks import GrantLocks
from breakglass.node.replica import Replica
from breakglass.node.submitter import Submitter
from breakglass.records.card import card_digest
from breakglass.records.fold.scheduled_start import start_refused
from breakglass.records.fold.slices.grants import GrantState
from breakglass.records.fold.state import State
from breakglass.records.grant import session_name
from breakglass.records.handout import (
    Handout,
    digest_of_connect,
    digest_of_sealed,
    handout_text,
)
from breakglass.records.kinds.ended import Ended, EndedWhy
from breakglass.records.kinds.intent import Intent
from breakglass.records.platforms import SOURCE
from breakglass.records.record_reader import parse_record
from breakglass.tlog.note import Note
from breakglass.token.token import Token, parse_token
from breakglass.token.verify import VerifiedToken, Verifier, verify_token

At = Callable[[str], None]
"""Told each step as it is done; tests end the process there."""
_ASKED_AT_MOST = timedelta(hours=1)


@dataclass(frozen=True)
class Patience:
    """How long the mint waits, and how old its view may be; see ``MinterSettings``."""

    usable_within: timedelta
    view_within: timedelta
    view_at_most_old: timedelta


class Minting:
    """See the module; safe under threads, and grants never wait for one another."""

    def __init__(
        self,
        name: str,
        view: Replica,
        catching_up: CatchingUp,
        watch: Suspensions,
        table: GrantStore,
        platform: Platform,
        locks: GrantLocks,
        stating: Submitter,
        clock: Clock,
        patience: Patience,
        doors: MinterDoor,
        end_now: Callable[[str], Row | None],
        at: At,
    ) -> None:
        self._name = name
        self._end_now = end_now
        self._view = view
        self._catching_up = catching_up
        self._watch = watch
        self._table = table
        self._platform = platform
        self._limits = platform.describe().limits
        self._locks = locks
        self._stating = stating
        self._clock = clock
        self._patience = patience
        self._doors = doors
        self._at = at

    def mint(self, text: bytes, asked_ago: timedelta) -> Row:
        """Verify a token and return the grant's row, with its one sealed credential.

        The same token again returns the same credential, until the grant ends.

        Args:
            text: the token, with the holder's presentation for this minter and grant.
            asked_ago: how long ago the person asked, by the broker's own measure.

        Raises:
            BreakglassError: the token does not hold, by the names of docs/spec/token.md; or
                ``ended``, ``suspended``, ``old_card``, ``void``, ``behind``, ``spool_full``;
                in every case nothing was handed out.
        """
        began = time.monotonic() - min(max(asked_ago, timedelta(0)), _ASKED_AT_MOST).total_seconds()
        # (1) The token, as a gate would verify it. Nothing is written: a stranger costs us nothing.
        token = parse_token(text)
        shown = self._verified(token)
        _check_offered(shown)
        self._at("verified")
        # (2) The ledger, as we see it ourselves: the intent holds, the card is the newest, nobody
        #     has stopped it, and we could tell of it.
        #     By the custodians' door: the ledger is away, and that stands on our own disk.
        claim = self._agreed(shown, token)
        self._at("agreed")
        with self._locks.of(claim.grant):
            # (3) Promise, on disk. A crash before this leaves nothing. After it a row says that
            #     an account may stand; the sweep removes it, and the same token starts here again.
            row = self._table.claim(claim, self._clock.now())
            if row.stage is not Stage.CLAIMED:
                return _standing(row)
            self._at("claimed")
            # (4) Mint. A crash behind it leaves an account whose secret nobody has.
            credential = self._platform.mint(self._order(shown, text))
            if isinstance(credential, Pending):
                # The target has begun, and the row stays a claim: the same token asks again, an
                # end takes it back, and a crash here changes neither.
                raise _pending(claim.grant, credential)
            minted_ms = _since(began)
            self._at("minted")
            # (5) Probe until it works; what does not work is not handed out.
            probe = self._usable(credential)
            usable_ms = _since(began)
            self._at("usable")
            # (6) Keep it sealed. From here a restart hands out the same credential. If somebody
            #     ended the grant meanwhile, that word stands and nothing is handed out. Of a drill
            #     nothing is kept: what was minted has been tried, and is cut next.
            drill = shown.asking.statement.drill
            sealed = b"" if drill else seal(credential.secret, shown.intent.holder)
            handout = "" if drill else self._handout(shown, credential, sealed)
            made = SealedCredential(
                sealed, credential.connect, credential.ids, probe, minted_ms, usable_ms, handout
            )
            self._table.minted(claim.grant, made)
            row = self._table.find(claim.grant) or row
            self._at("kept")
            if not drill:
                # (7) Answer. ``minted`` and ``usable`` are stated behind it; after a crash here,
                #     the reconciler states them.
                return _standing(row)
        return self._drilled(claim.grant)

    def _drilled(self, grant: str) -> Row:
        """End a drill as every grant ends: told on disk, cut, and its death tried."""
        # A crash before this leaves a credential that nobody has, until its twenty minutes are
        # over; behind it, one that the reconciler cuts.
        now = to_milliseconds(self._clock.now())
        why = "a drill: minted, tried, and cut at once; nothing was handed out"
        self._table.end(now, (Ended(grant, EndedWhy.DRILL, why, None), now))
        row = self._end_now(grant)
        assert row is not None
        return row

    def _verified(self, token: Token) -> VerifiedToken:
        record = parse_record(token.intent)
        if not isinstance(record.body, Intent):
            raise MalformedError("the token's record is no intent", name=ErrorName.NOT_AN_INTENT)
        verifier = Verifier(self._view.trust(), f"minter:{self._name}", self._watch.newest)
        return verify_token(token, verifier, record.body.grant, self._clock.now())

    def _agreed(self, shown: VerifiedToken, token: Token) -> Claim:
        grant = shown.intent.grant
        self._check_limits(shown.intent)
        if self._stating.full:
            raise UnavailableError(
                "too many records wait for the ledger; nothing was minted, and nothing will be"
                " until it takes them",
                name=ErrorName.SPOOL_FULL,
                hint="bring the ledger back; what waits is sent by itself, then try again",
            )
        self._check_replayed()
        if token.proof is None:
            return self._doors.take(shown, token)
        self._check_current()
        try:
            judged = self._view.wait_for(shown.index, self._patience.view_within)
        except UnavailableError as error:
            # Long past is not behind: then the state itself must know the grant.
            if self._view.size <= shown.index:
                raise UnavailableError(
                    f"this minter has not read intent {grant!r} yet, entry {shown.index} of the"
                    " ledger; nothing was minted",
                    name=ErrorName.BEHIND,
                    hint=f"retry: breakglass break --again {grant}",
                ) from error
        else:
            if judged.void:
                raise RefusedError(
                    f"intent {grant!r} is invalid in the ledger: {judged.why or judged.void};"
                    " nothing was minted",
                    name=ErrorName.VOID,
                    hint="break the glass again",
                )
        with self._view.reading() as state:
            return self._judged(shown, token, state)

    def _judged(self, shown: VerifiedToken, token: Token, state: State) -> Claim:
        intent = shown.intent
        found = state.grants.by_id.get(intent.grant)
        if found is None or found.index != shown.index:
            raise RefusedError(
                f"grant {intent.grant!r} has another valid intent; nothing was minted",
                name=ErrorName.VOID,
                hint=f"retry: breakglass break --again {intent.grant}",
            )
        claim = claim_of(found)
        if found.ended is not None:
            raise _ended(intent.grant, found.ended.value, found.ended_at)
        stopped = state.governance.suspensions(intent.who, intent.glass, intent.grant)
        if not stopped and found.stopped_at is not None:
            # Everything was stopped behind it, and let go again: for what comes, not for this.
            stopped = (f"grant {intent.grant!r}",)
        if stopped:
            raise RefusedError(
                f"{stopped[0]} is suspended; nothing was minted", name=ErrorName.SUSPENDED
            )
        if found.scheduled:
            self._check_start(state, found)
            return claim
        active = state.governance.cards.get(intent.glass)
        if active is None or active.digest != card_digest(Note.parse(token.card)):
            raise RefusedError(
                f"the card of {intent.glass!r} was replaced; nothing was minted",
                name=ErrorName.OLD_CARD,
                hint="break the glass again: the policy has changed since",
            )
        self._check_fresh()
        return claim

    def _check_start(self, state: State, found: GrantState) -> None:
        """Ask everything again of what was put off, as of now; once begun it is fetched again."""
        self._check_fresh()
        row = self._table.find(found.grant)
        if row is not None and row.stage is Stage.MINTED:
            return
        why = start_refused(state, found)
        if why:
            raise RefusedError(
                f"grant {found.grant!r} may not begin: {why}; nothing was minted",
                name=ErrorName.START_REFUSED,
                hint=f"in a minute: breakglass status {found.grant}; or ask again",
            )

    def _check_replayed(self) -> None:
        if not self._view.wait_current(self._patience.view_within):
            raise UnavailableError(
                "this minter has just started and is still reading the ledger; nothing was minted",
                name=ErrorName.BEHIND,
                hint="retry in a few seconds: breakglass break --again GRANT",
            )
        # A token that exists mints while the ledger is away, on what we followed last: so that
        # must not be a copy from before somebody was stopped.
        self._view.require_newest("minted")

    def _check_current(self) -> None:
        # With the ledger away a token that exists still mints, within ``view_at_most_old``.
        if not self._catching_up.current and self._view.away is None:
            self._catching_up.require(self._patience.view_within)

    def _check_fresh(self) -> None:
        newest, now = self._watch.newest, self._clock.now()
        if newest is None or now - newest > self._patience.view_at_most_old:
            seen = format_time(newest) if newest else "never"
            raise UnavailableError(
                f"the newest witnessed head that this minter has is of {seen}, now is"
                f" {format_time(now)}; nothing was minted",
                name=ErrorName.BEHIND,
                hint="check that the minter reaches the ledger, and that the monitor runs",
            )

    def _check_limits(self, intent: Intent) -> None:
        # As at the end: a clock that was set back gives nobody what is over.
        limits = self._limits
        now = max(filter(None, (self._clock.now(), self._watch.passed)))
        left, life = intent.not_after - now, intent.not_after - intent.not_before
        if left < limits.shortest or life > limits.longest:
            raise RefusedError(
                f"grant {intent.grant!r} has {left.total_seconds():.0f} s left;"
                f" {limits.platform} can give {limits.shortest.total_seconds():.0f} s to"
                f" {limits.longest.total_seconds():.0f} s; nothing was minted",
                name=ErrorName.LIMITS,
                hint="break the glass again: a grant is never extended",
            )

    def _order(self, shown: VerifiedToken, text: bytes) -> Order:
        intent = shown.intent
        return Order(
            intent.grant,
            intent.handle,
            session_name(intent.incident, intent.who),
            {key: values for key, values in intent.scope.items() if key != SOURCE},
            # One skew early, for a target whose clock is behind; the end is never moved back.
            intent.not_before - self._view.trust().skew,
            intent.not_after,
            intent.scope.get(SOURCE, ()),
            intent.holder,
            text,
        )

    def _handout(self, shown: VerifiedToken, credential: Credential, sealed: bytes) -> str:
        intent = shown.intent
        return handout_text(
            Handout(
                log=shown.asking.statement.log,
                grant=intent.grant,
                statement=shown.asking.digest,
                minter=self._name,
                platform=self._limits.platform,
                holder=intent.holder,
                sealed=digest_of_sealed(sealed),
                connect=digest_of_connect(credential.connect),
                until=intent.not_after,
            )
        )

    def _usable(self, credential: Credential) -> str:
        deadline = Deadline(self._patience.usable_within)
        rest = 0.01
        while True:
            try:
                return self._platform.probe(credential)
            except RefusedError as error:
                self._abandon(Account(credential.handle, credential.ids))
                raise RefusedError(
                    f"credential {credential.handle!r} was taken back; nothing was handed out:"
                    f" {error.message}",
                    name=error.name,
                    hint=error.hint,
                ) from error
            except UnavailableError as error:
                if rest > deadline.left:
                    self._abandon(Account(credential.handle, credential.ids))
                    raise UnavailableError(
                        f"credential {credential.handle!r} did not work within"
                        f" {self._patience.usable_within.total_seconds():g} s and was taken back;"
                        f" nothing was handed out: {error}",
                        name=ErrorName.NOT_USABLE,
                    ) from error
            time.sleep(rest)
            rest = min(rest * 2, 0.5)

    def _abandon(self, account: Account) -> None:
        try:
            self._platform.cut(account)
            self._platform.tidy(account)
        except BreakglassError:
            return  # the sweep finds it: its row says ``claimed``


def _check_offered(shown: VerifiedToken) -> None:
    """Refuse what this minter does not do yet, before anything is written.

    Raises:
        RefusedError: ``not_offered``; nothing was minted, and nothing ran.
    """
    act = shown.asking.statement.act
    if act:
        raise RefusedError(
            f"this minter does not run act {act!r}; nothing was minted, and nothing ran",
            name=ErrorName.NOT_OFFERED,
        )


def _standing(row: Row) -> Row:
    if row.stage is Stage.MINTED and row.made is not None:
        return row
    why = row.ended.why.value if row.ended else "ended"
    raise _ended(row.grant, why, row.ended_at)


def _pending(grant: str, pending: Pending) -> UnavailableError:
    return UnavailableError(
        f"the target has taken the order for grant {grant!r}, and is not done: {pending.why};"
        " nothing was handed out yet",
        name=ErrorName.PENDING,
        hint=f"in {pending.again_in.total_seconds():.0f} s: breakglass break --again {grant}",
    )


def _ended(grant: str, why: str, at: datetime | None) -> RefusedError:
    when = f" at {format_time(at)}" if at else ""
    return RefusedError(
        f"grant {grant!r} has ended ({why}){when}; a grant that ended is never minted again",
        name=ErrorName.ENDED,
        hint="break the glass again",
    )


def _since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
