"""Grants and glasses as people and machines are shown them, from the folded state."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from breakglass.broker.grants.breaking import Granted
from breakglass.policy.compile import CompiledPolicy
from breakglass.records.fold.slices.governance import ActiveCard
from breakglass.records.fold.slices.grants import GrantState
from breakglass.records.fold.state import State
from breakglass.records.people_list import May
from breakglass.strict_json import view


@dataclass(frozen=True)
class GrantedView:
    """The answer of ``POST /break``; ``minted`` is what the minter answered."""

    grant: str
    index: int
    token: str
    cosigned: Mapping[str, datetime]
    not_after: datetime
    review_by: datetime
    labels: tuple[str, ...]
    minted: Mapping[str, Any] | None
    since_asked_ms: int


@dataclass(frozen=True)
class GrantView:
    """One grant: what the intent says, how it stands, and when what happened."""

    grant: str
    state: str
    glass: str
    who: str
    incident: str
    ticket: str
    path: str
    tier: str
    minter: str
    act: str
    scope: Mapping[str, tuple[str, ...]]
    gates: tuple[str, ...]
    handle: str
    index: int
    at: datetime
    not_before: datetime
    not_after: datetime
    review_by: datetime
    minted_at: datetime | None
    usable_at: datetime | None
    since_asked_ms: int | None
    ended_at: datetime | None
    ended: str
    dead_at: datetime | None
    tail_ms: int | None
    justified: bool
    bypasses: int
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Grants:
    """Every grant, the newest first."""

    grants: tuple[GrantView, ...]


@dataclass(frozen=True)
class MintView:
    """One minter that a glass may ask; with ``acts`` it hands out no credential."""

    minter: str
    platform: str
    scope: Mapping[str, tuple[str, ...]]
    acts: tuple[str, ...]


@dataclass(frozen=True)
class GlassView:
    """One glass that has a card in force; ``card`` is that card's note, in base64."""

    glass: str
    does: str
    tier: str
    factor: str
    for_s: int
    gates: tuple[str, ...]
    mints: tuple[MintView, ...]
    incident: tuple[str, ...]
    card_expires: datetime
    card: str


@dataclass(frozen=True)
class Glasses:
    """The glasses that have a card in force, under which policy, with its coded reasons."""

    log: str
    policy: str
    version: int
    reasons: tuple[str, ...]
    glasses: tuple[GlassView, ...]


@dataclass(frozen=True)
class CardsView:
    """The signed cards in force, by glass, as text; of which policy, by its digest."""

    policy: str
    version: int
    cards: Mapping[str, str]


@dataclass(frozen=True)
class PolicyView:
    """The bundle in force, packed and in base64, and its digest; both empty if there is none."""

    policy: str
    bundle: str


@dataclass(frozen=True)
class OwnGlassView:
    """A glass that the reader is on, with who else may break it."""

    glass: str
    people: tuple[str, ...]


@dataclass(frozen=True)
class OwnGlasses:
    """The glasses that the reader is on."""

    glasses: tuple[OwnGlassView, ...]


@dataclass(frozen=True)
class IncidentView:
    """One incident as the records tell it."""

    incident: str
    severity: str
    title: str
    open: bool
    self_declared: bool
    opened_at: datetime


@dataclass(frozen=True)
class Incidents:
    """Every incident, the newest first."""

    incidents: tuple[IncidentView, ...]


@dataclass(frozen=True)
class TokenView:
    """A token that is not bound to a door yet."""

    token: str


def granted_view(granted: Granted) -> GrantedView:
    """Return how a glass was broken."""
    handed = granted.handed
    usable = (handed.minted or {}).get("since_asked_ms")
    return view(
        GrantedView,
        granted,
        handed,
        grant=handed.grant.grant,
        index=handed.grant.index,
        # What the records say of asking first, beside what the broker tells once.
        labels=tuple(dict.fromkeys([*granted.labels, *handed.grant.labels])),
        not_after=handed.grant.not_after,
        review_by=handed.grant.review_by,
        cosigned=dict(sorted(handed.cosigned.items())),
        since_asked_ms=usable if isinstance(usable, int) else granted.since_asked_ms,
    )


def grant_view(grant: GrantState, now: datetime) -> GrantView:
    """Return one grant as it stands."""
    ended = grant.ended.value if grant.ended else ""
    return view(GrantView, grant, state=state_of(grant, now), ended=ended)


def state_of(grant: GrantState, now: datetime) -> str:
    """Return one word for how a grant stands: the furthest that the ledger says."""
    if grant.dead_at is not None:
        return "dead"
    if grant.ended is not None:
        return "ended"
    if grant.stopped_at is not None:
        return "stopped"
    if not grant.live(now):
        return "expired"
    if grant.usable_at is not None:
        return "usable"
    return "minted" if grant.minted_at is not None else "recorded"


def glasses_of(state: State, policy: CompiledPolicy | None) -> Glasses:
    """Return the glasses that have a card in force."""
    governance = state.governance
    cards = sorted(governance.cards.items())
    return Glasses(
        log=state.log,
        policy=governance.policy.bundle if governance.policy else "",
        version=governance.policy.version if governance.policy else 0,
        reasons=tuple(policy.bundle.reasons) if policy else (),
        glasses=tuple(_glass(active, policy) for _, active in cards),
    )


def cards_of(state: State) -> CardsView:
    """Return the signed cards in force."""
    governance = state.governance
    return CardsView(
        policy=governance.policy.bundle if governance.policy else "",
        version=governance.policy.version if governance.policy else 0,
        cards={glass: each.note.decode() for glass, each in governance.cards.items()},
    )


def policy_of(state: State) -> PolicyView:
    """Return the bundle in force."""
    governance = state.governance
    digest = governance.policy.bundle if governance.policy else ""
    return PolicyView(digest, base64.b64encode(governance.bundle).decode())


def own_glasses_of(state: State, names: Iterable[str]) -> OwnGlasses:
    """Return these glasses with the people who may break them."""
    found = []
    for name in sorted(names):
        people = state.governance.cards[name].people.by_name.values()
        found.append(
            OwnGlassView(name, tuple(sorted(each.who for each in people if May.BREAK in each.may)))
        )
    return OwnGlasses(tuple(found))


def incidents_of(state: State) -> Incidents:
    """Return every incident, the newest first."""
    ordered = sorted(state.incidents.by_id.values(), key=lambda each: each.opened_at, reverse=True)
    return Incidents(tuple(view(IncidentView, each) for each in ordered))


def _glass(active: ActiveCard, policy: CompiledPolicy | None) -> GlassView:
    card = active.card
    glass = policy.bundle.glasses.get(card.glass) if policy else None
    return view(
        GlassView,
        card,
        mints=tuple(view(MintView, each, acts=tuple(sorted(each.acts))) for each in card.mints),
        incident=tuple(glass.when.incident) if glass else (),
        card_expires=card.expires,
        card=base64.b64encode(active.note).decode(),
    )
