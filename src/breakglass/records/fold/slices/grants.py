"""The grants: asked for, refused, or standing with what became of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from breakglass.canonical import Json
from breakglass.clock import format_time
from breakglass.error_names import ErrorName
from breakglass.records.fold.slices.grant_ids import GrantIds
from breakglass.records.fold.slices.grant_state import GrantState
from breakglass.records.fold.slices.grant_table import GrantTable
from breakglass.records.fold.slices.overlay import Overlay
from breakglass.records.statement import AccessRequest, digest_of

if TYPE_CHECKING:
    from breakglass.records.signing.signature import Signature

__all__ = ["AnswerState", "AskedState", "EndedAsk", "GrantState", "Grants", "RefusedState"]


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

    ``said`` is what they signed, ``digest`` of its text and ``statement`` the signed word: any
    broker can go on from it. After ``until`` no intent can follow
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
    statement: Signature
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
class RefusedState:
    """What was asked for was refused: by which record, and when its statement was signed."""

    index: int
    said_at: datetime


@dataclass
class Grants:
    """Each ask that waits, each refusal's record, and each grant, by the grant's id.

    ``ended_asks`` are those that wait no more without a grant, ``last_ask`` gives the newest ask's
    grant by person and glass. ``closed`` are the grants that have left.
    ``machine_uses`` gives the witnessed times of a machine's intents that still count towards its
    card's cap, by glass and machine.
    """

    asked: dict[str, AskedState] = field(default_factory=dict)
    refused: dict[str, RefusedState] = field(default_factory=dict)
    by_id: GrantTable = field(default_factory=GrantTable)
    machine_uses: dict[tuple[str, str], tuple[datetime, ...]] = field(default_factory=dict)
    ended_asks: dict[str, EndedAsk] = field(default_factory=dict)
    last_ask: dict[tuple[str, str], str] = field(default_factory=dict)
    closed: GrantIds = field(default_factory=GrantIds)

    def trial(self) -> Grants:
        """Return a thin copy that changes alone."""
        return Grants(
            Overlay(self.asked),
            Overlay(self.refused),
            self.by_id.trial(),
            dict(self.machine_uses),
            Overlay(self.ended_asks),
            Overlay(self.last_ask),
            self.closed,  # only a sweep adds to it, and a trial has none
        )

    def summary(self) -> dict[str, Json]:
        """Return this part of the state as plain JSON."""
        return {
            "asked": {name: _asked(each) for name, each in self.asked.items()},
            "ended_asks": {
                name: {
                    "index": each.index,
                    "name": each.name,
                    "by": each.by,
                    "seen": format_time(each.seen),
                    "ask": _asked(each.ask),
                }
                for name, each in self.ended_asks.items()
            },
            "last_ask": {f"{who} {glass}": grant for (who, glass), grant in self.last_ask.items()},
            "refused": {
                name: f"{each.index} {format_time(each.said_at)}"
                for name, each in self.refused.items()
            },
            "grants": {name: each.summary() for name, each in self.by_id.items()},
            "closed": self.closed.form(),
            "machine_uses": {
                f"{glass} {machine}": [format_time(each) for each in times]
                for (glass, machine), times in self.machine_uses.items()
            },
        }


def _asked(ask: AskedState) -> Mapping[str, Json]:
    answers: list[Json] = [
        f"{each.index} {each.who} {'yes' if each.yes else 'no'} {format_time(each.seen)}"
        f" {digest_of(each.statement.text)}"
        for each in ask.answers
    ]
    return {
        "index": ask.index,
        "at": format_time(ask.at),
        "who": ask.who,
        "glass": ask.glass,
        "digest": ask.digest,
        "until": format_time(ask.until),
        "seen": format_time(ask.seen),
        "answers": answers,
        "pages": sorted(ask.pages),
        "silent": ask.silent,
    }
