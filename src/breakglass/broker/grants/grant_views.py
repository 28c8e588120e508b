"""Grants and glasses as people and machines are shown them: plain JSON from the folded state."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from breakglass.broker.grants.breaking import Granted
from breakglass.clock import format_time
from breakglass.policy.compile import CompiledPolicy
from breakglass.records.fold.state import ActiveCard, GrantState, State
from breakglass.records.people_list import May
from breakglass.token.token import Token


def granted_json(granted: Granted) -> dict[str, Any]:
    """Return the answer of ``POST /break``."""
    intent = granted.grant.intent
    return {
        "grant": intent.grant,
        "index": granted.grant.index,
        "token": granted.token,
        "cosigned": {name: format_time(at) for name, at in sorted(granted.cosigned.items())},
        "not_after": format_time(intent.not_after),
        "review_by": format_time(intent.review_by),
        "labels": list(granted.labels),
        "minted": granted.minted,
        "since_asked_ms": _since_asked(granted),
    }


def grant_json(grant: GrantState, now: datetime) -> dict[str, Any]:
    """Return one grant: what the intent says, how it stands, and when what happened."""
    intent = grant.intent
    return {
        "grant": intent.grant,
        "state": state_of(grant, now),
        "glass": intent.glass,
        "who": intent.who,
        "incident": intent.incident,
        "ticket": intent.ticket,
        "path": intent.path.value,
        "tier": intent.tier.value,
        "minter": intent.minter,
        "act": intent.act,
        "scope": {name: list(values) for name, values in intent.scope.items()},
        "gates": list(intent.gates),
        "handle": intent.handle,
        "index": grant.index,
        "at": format_time(grant.at),
        "not_before": format_time(intent.not_before),
        "not_after": format_time(intent.not_after),
        "review_by": format_time(intent.review_by),
        "minted_at": _time(grant.minted_at),
        "usable_at": _time(grant.usable_at),
        "since_asked_ms": grant.since_asked_ms,
        "ended_at": _time(grant.ended_at),
        "ended": grant.ended.why.value if grant.ended else "",
        "dead_at": _time(grant.dead_at),
        "tail_ms": grant.tail_ms,
        "justified": grant.justified,
        "bypasses": grant.bypasses,
    }


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


def glasses_json(state: State, policy: CompiledPolicy | None) -> dict[str, Any]:
    """Return the glasses that have a card in force."""
    return {
        "log": state.log,
        "policy": state.policy.bundle if state.policy else "",
        "version": state.policy.version if state.policy else 0,
        "glasses": [_glass(active, policy) for _, active in sorted(state.cards.items())],
    }


def incidents_json(state: State) -> dict[str, Any]:
    """Return every incident, the newest first."""
    ordered = sorted(state.incidents.values(), key=lambda each: each.opened_at, reverse=True)
    return {
        "incidents": [
            {
                "incident": each.incident,
                "severity": each.severity,
                "title": each.title,
                "open": each.open,
                "self_declared": each.self_declared,
                "opened_at": format_time(each.opened_at),
            }
            for each in ordered
        ]
    }


def token_json(token: Token) -> dict[str, Any]:
    """Return a token that is not bound to a door yet."""
    return {"token": token.encoded()}


def _glass(active: ActiveCard, policy: CompiledPolicy | None) -> dict[str, Any]:
    card = active.card
    glass = policy.bundle.glasses.get(card.glass) if policy else None
    return {
        "glass": card.glass,
        "does": card.does,
        "tier": card.tier.value,
        "factor": card.factor.value,
        "for_s": card.for_s,
        "gates": list(card.gates),
        "mints": [
            {
                "minter": mint.minter,
                "platform": mint.platform,
                "scope": {name: list(values) for name, values in mint.scope.items()},
                "acts": sorted(mint.acts),
            }
            for mint in card.mints
        ],
        "people": sorted(
            each.who for each in active.people.by_name.values() if May.BREAK in each.may
        ),
        "incident": list(glass.when.incident) if glass else [],
        "card_expires": format_time(card.expires),
    }


def _since_asked(granted: Granted) -> int:
    minted = granted.minted or {}
    usable = minted.get("since_asked_ms")
    return usable if isinstance(usable, int) else granted.since_asked_ms


def _time(moment: datetime | None) -> str | None:
    return format_time(moment) if moment else None
