"""The grants: asked for, refused, or standing with what became of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from breakglass.canonical import Json
from breakglass.clock import format_maybe, format_time
from breakglass.error_names import ErrorName
from breakglass.records.fold.slices.overlay import Overlay
from breakglass.records.statement import AccessRequest, digest_of
from breakglass.tlog.note import Note

if TYPE_CHECKING:
    from breakglass.records.fold.slices.governance import ActiveCard
    from breakglass.records.kinds.ended import Ended
    from breakglass.records.kinds.intent import Intent
    from breakglass.records.signing.signature import Signature

DEATH_WITHIN = timedelta(seconds=60)  # after this the monitor rings; DESIGN.md section 4


@dataclass(frozen=True)
class AnswerState:
    """What one approver said of an ask, with the signed word: any broker can go on from it.

    ``seen`` is when it was witnessed.
    """

    who: str
    yes: bool
    index: int
    seen: datetime
    statement: Signature


@dataclass(frozen=True)
class AskedState:
    """Somebody asked for a glass, and nothing has come of it yet.

    ``said`` is what they signed and ``digest`` of its text. After ``until`` no intent can follow
    any more: that is the deadline, and nobody need write anything. ``seen`` is when it was
    witnessed, ``pages`` are the records that an approver was paged, ``silent`` says that nobody
    answered for as long as the card asks.
    """

    index: int
    at: datetime
    who: str
    glass: str
    digest: str
    until: datetime
    said: AccessRequest
    seen: datetime
    answers: tuple[AnswerState, ...] = ()
    pages: frozenset[str] = frozenset()
    silent: bool = False


@dataclass(frozen=True)
class EndedAsk:
    """An ask that waits no more: ``name`` says by what, ``by`` by whom, ``seen`` since when."""

    name: ErrorName
    by: str
    index: int
    seen: datetime
    ask: AskedState


@dataclass(frozen=True)
class GrantState:
    """One grant: its intent and what came after; a change makes another one.

    ``index`` is the intent's place in the log, ``rung_at`` the first delivered alert about it,
    ``runs`` the gates and runs that it opened, ``labels`` what the log says of asking before
    breaking.
    """

    intent: Intent
    index: int
    at: datetime
    note: bytes
    card: ActiveCard
    minted_at: datetime | None = None
    usable_at: datetime | None = None
    since_asked_ms: int | None = None
    ended: Ended | None = None
    ended_at: datetime | None = None
    dead_at: datetime | None = None
    tail_ms: int | None = None
    justified: bool = False
    bypasses: int = 0
    rung_at: datetime | None = None
    stopped_at: datetime | None = None
    runs: frozenset[tuple[str, str]] = frozenset()
    labels: tuple[str, ...] = ()

    @cached_property
    def statement(self) -> str:
        """Return the digest of the breaker's statement."""
        return digest_of(self.intent.statements[0].text)

    @cached_property
    def text_digest(self) -> str:
        """Return the intent's identity: the SHA-256 of its note's text."""
        return hashlib.sha256(Note.parse(self.note).text.encode()).hexdigest()

    def live(self, now: datetime) -> bool:
        """Say whether the grant may still be used; the one rule for every path."""
        return self.ended is None and self.stopped_at is None and now <= self.intent.not_after

    def deadline(self) -> datetime | None:
        """Return by when the next record of this grant must be there; ``None`` when it is over.

        Without ``ended``: soon after its expiry, or after it was stopped. With ``ended`` but, if
        a credential was minted, without ``dead``: soon after the end.
        """
        if self.ended is None:
            end = self.intent.not_after
            return min(end, self.stopped_at or end) + DEATH_WITHIN
        if self.dead_at is None and self.minted_at is not None and self.ended_at is not None:
            return self.ended_at + DEATH_WITHIN
        return None


@dataclass
class Grants:
    """Each ask that waits, each refusal's record, and each grant, by the grant's id.

    ``ended_asks`` are those that wait no more without a grant, ``last_ask`` gives the newest ask's
    grant by person and glass.
    ``machine_uses`` gives the witnessed times of a machine's intents that still count towards its
    card's cap, by glass and machine.
    """

    asked: dict[str, AskedState] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    by_id: dict[str, GrantState] = field(default_factory=dict)
    machine_uses: dict[tuple[str, str], tuple[datetime, ...]] = field(default_factory=dict)
    ended_asks: dict[str, EndedAsk] = field(default_factory=dict)
    last_ask: dict[tuple[str, str], str] = field(default_factory=dict)

    def trial(self) -> Grants:
        """Return a thin copy that changes alone."""
        return Grants(
            Overlay(self.asked),
            Overlay(self.refused),
            Overlay(self.by_id),
            dict(self.machine_uses),
            Overlay(self.ended_asks),
            Overlay(self.last_ask),
        )

    def summary(self) -> dict[str, Json]:
        """Return this part of the state as plain JSON."""
        return {
            "asked": {name: _asked(each) for name, each in self.asked.items()},
            "ended_asks": {
                name: f"{each.index} {each.name} {each.by}"
                for name, each in self.ended_asks.items()
            },
            "refused": dict(self.refused),
            "grants": {name: _grant(each) for name, each in self.by_id.items()},
            "machine_uses": {
                f"{glass} {machine}": [format_time(each) for each in times]
                for (glass, machine), times in self.machine_uses.items()
            },
        }


def _asked(ask: AskedState) -> Mapping[str, Json]:
    answers: list[Json] = [
        f"{each.index} {each.who} {'yes' if each.yes else 'no'}" for each in ask.answers
    ]
    return {
        "index": ask.index,
        "answers": answers,
        "pages": sorted(ask.pages),
        "silent": ask.silent,
    }


def _grant(grant: GrantState) -> Mapping[str, Json]:
    return {
        "index": grant.index,
        "minted": format_maybe(grant.minted_at),
        "usable": format_maybe(grant.usable_at),
        "ended": grant.ended.why.value if grant.ended else "",
        "dead": format_maybe(grant.dead_at),
        "rung": format_maybe(grant.rung_at),
        "stopped": format_maybe(grant.stopped_at),
        "justified": grant.justified,
        "bypasses": grant.bypasses,
        "labels": list(grant.labels),
    }
