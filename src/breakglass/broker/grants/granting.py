"""Granting a wish: the second story, from a decided wish to a credential, in numbered steps.

It takes what was decided and asks nobody again; what drives it (a request, an answer, a silence) it
does not know. Each comment says what a crash just before or after the step leaves behind.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from breakglass.broker.grants.tokens import Tokens
from breakglass.broker.grants.wish import Wish, make_intent
from breakglass.broker.minters import Minters
from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError, UnavailableError
from breakglass.node.recorder import Recorder
from breakglass.node.submitter import Fact
from breakglass.process.alert_channel import AlertChannel
from breakglass.records.fold.slices.grants import GrantState
from breakglass.records.fold.state import State
from breakglass.records.signing.signature import Signature, Signed
from breakglass.records.statement import digest_of
from breakglass.submit.outbox import Receipt
from breakglass.token.token import Token

At = Callable[[str], None]
"""Told each step as it is done; tests end the process there."""


@dataclass(frozen=True)
class HandedOut:
    """A grant's token. ``minted`` is what the minter answered, sealed to the holder."""

    grant: GrantState
    token: str
    cosigned: dict[str, datetime]
    minted: dict[str, Any] | None


class Granting:
    """See the module; safe under threads, for one ``record`` of a grant at a time."""

    def __init__(
        self,
        recording: Recorder,
        tokens: Tokens,
        minters: Minters,
        bell: AlertChannel,
        at: At,
        who_is_silent: Callable[[], str],
    ) -> None:
        self._recording = recording
        self._tokens = tokens
        self._minters = minters
        self._bell = bell
        self._at = at
        self._who_is_silent = who_is_silent

    def record(self, wish: Wish) -> GrantState:
        """Write the intent of a wish; the same wish again is the same grant.

        Raises:
            RefusedError: it does not hold; the message says whether it is recorded all the same.
            UnprovenError: the ledger's proof does not hold; nothing may be done with it.
            UnavailableError: a neighbour did not answer; the message says whether something was
                recorded. Nothing was minted.
        """
        # (1) What is unsaid and the intent in one append, proven. A crash before it leaves
        #     nothing; behind it, an intent that the same statement finds again, or that we close
        #     later.
        intent = Fact(f"{wish.grant}/intent", make_intent(wish))
        try:
            *_, receipt = self._recording.append([*wish.unsaid, intent])
        except UnavailableError as error:
            self._at("unanswered")
            raise self._no_proof(wish.grant, error) from error
        except RefusedError as error:
            if error.name not in (ErrorName.ID_TAKEN, ErrorName.LOST_RACE):
                raise
            # An earlier try of ours was recorded after all, or another replica has the same
            # statement under way: our view is about to show its intent.
            return self._found_again(wish)
        self._at("recorded")
        grant = self._judged(wish, receipt)
        if "monitor_silent" in wish.labels:
            self._bell.ring(
                "monitor_silent",
                wish.grant,
                f"GLASS BROKEN: {wish.said.who!r} broke {wish.said.glass!r}. The monitor is"
                f" silent. Stop it: breakglass kill {wish.grant}",
            )
        return grant

    def hand_out(
        self, grant: GrantState, presentation: Signed | None, asked_at: float
    ) -> HandedOut:
        """Return a grant's token and, if its holder shows it, what its minter makes of it.

        Args:
            grant: as ``record`` returned it.
            presentation: the holder's, for the grant's minter; ``None``: nothing is minted.
            asked_at: when what drives this began, in seconds by the monotonic clock.

        Raises:
            UnprovenError: the ledger's proof does not hold.
            UnavailableError: a neighbour did not answer; the grant stands.
            BreakglassError: the minter's refusal.
        """
        # (3) The token to the minter. A crash before it leaves a recorded grant without a
        #     credential; behind it, one that the minter ends in time. The same statement again
        #     gets the same credential.
        token = self._tokens.token(grant)
        minted = None
        if grant.minter and presentation is not None:
            minted = self._minted(grant, token.presented(presentation), asked_at)
        self._at("handed")
        # (4) Answer. ``minted`` and ``usable`` are the minter's to write, behind its own answer;
        # (5) the monitor has seen the intent and rings, and the review is open since (1).
        cosigned = dict(self._tokens.proven(grant).cosigned)
        return HandedOut(grant, token.encoded(), cosigned, minted)

    def _no_proof(self, grant: str, error: UnavailableError) -> UnavailableError:
        within = self._recording.receipt_within.total_seconds()
        recorded = (
            "nothing was recorded" if error.name == ErrorName.NOT_SENT else "it may yet be recorded"
        )
        with self._recording.view.reading() as state:
            trust = state.governance.trust
        door = "; still nothing: breakglass door ask" if trust and trust.door else ""
        silent = self._who_is_silent()
        return UnavailableError(
            f"no proof that grant {grant!r} is recorded within {within:g} s"
            f"{f': {silent}' if silent else ''}; nothing was minted, and {recorded}",
            name=error.name
            if error.name in (ErrorName.NOT_SENT, ErrorName.UNANSWERED)
            else ErrorName.NO_PROOF,
            hint=f"{_again(grant)}{door}",
        )

    def _judged(self, wish: Wish, receipt: Receipt) -> GrantState:
        # (2) Proven, and judged where it came to stand. Pure: a crash leaves what (1) left.
        proven = self._tokens.prove(receipt.note, receipt.proof)
        try:
            judged = self._recording.settled(proven.index)
        except UnavailableError as error:
            raise UnavailableError(
                f"intent {wish.grant!r} is recorded, but the broker has not read it back yet:"
                f" {error}; nothing was minted",
                name=error.name,
                hint=_again(wish.grant),
            ) from error
        self._at("judged")
        if judged.void and judged.void != ErrorName.LOST_RACE:
            raise RefusedError(
                f"intent {wish.grant!r} is recorded, entry {proven.index}, and does not hold"
                f" there: {judged.why or judged.void}; nothing was minted",
                name=judged.void,
            )
        # Another replica may have been first with the same statement: then its intent is ours.
        with self._recording.view.reading() as state:
            return state.grants.by_id[wish.grant]

    def _found_again(self, wish: Wish) -> GrantState:
        until = time.monotonic() + self._recording.follow_within.total_seconds()
        while True:
            with self._recording.view.reading() as state:
                found = earlier_grant(state, wish.grant, wish.first, wish.decided_at)
            if found is not None:
                return found
            if time.monotonic() > until:
                raise UnavailableError(
                    f"an earlier try of {wish.grant!r} is being recorded; nothing was minted",
                    name=ErrorName.UNANSWERED,
                    hint=_again(wish.grant),
                )
            time.sleep(0.02)

    def _minted(self, grant: GrantState, shown: Token, asked_at: float) -> dict[str, Any]:
        ago_ms = round((time.monotonic() - asked_at) * 1000)
        try:
            return self._minters.mint(grant.minter, shown.encoded(), ago_ms)
        except UnavailableError as error:
            raise UnavailableError(
                f"grant {grant.grant!r} is recorded, and no credential came of it: {error}",
                name=error.name,
                hint=_again(grant.grant),
            ) from error


def earlier_grant(state: State, grant: str, first: Signature, now: datetime) -> GrantState | None:
    """Return the grant of an earlier try of the same statement, if there is one.

    Raises:
        RefusedError: ``id_taken``: it is another statement's; ``suspended``, ``ended`` or
            ``expired``: it may not be used any more.
    """
    found = state.grants.by_id.get(grant)
    if found is None:
        return None
    if found.statement != digest_of(first.text):
        raise RefusedError(
            f"grant {grant!r} exists already, with another statement", name=ErrorName.ID_TAKEN
        )
    if found.stopped_at is not None:
        raise RefusedError(f"grant {grant!r} was stopped", name=ErrorName.SUSPENDED)
    if found.ended is not None:
        raise RefusedError(
            f"grant {grant!r} has ended ({found.ended.value})",
            name=ErrorName.ENDED,
            hint="break the glass again: a grant is never extended",
        )
    if not found.live(now):
        raise RefusedError(
            f"grant {grant!r} ended {found.not_after:%Y-%m-%d %H:%M:%S} UTC",
            name=ErrorName.EXPIRED,
            hint="break the glass again: a grant is never extended",
        )
    return found


def _again(grant: str) -> str:
    return f"retry: breakglass break --again {grant}"
