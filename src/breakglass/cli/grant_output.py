"""How a grant is told to the person who just got it: recorded, granted, reviewed when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from breakglass.cli import output
from breakglass.clock import format_time
from breakglass.records.platforms import PLATFORMS

if TYPE_CHECKING:
    from breakglass.records.trust import Trust
    from breakglass.token.verify import VerifiedToken

# Dimensions that say how the platform grants it; people ask where. `status` shows them all.
_HOW = {"may", "roles", "templates"}
_LABELS = {
    "self_declared": "self-declared incident; this is flagged for review",
    "monitor_silent": "the monitor is silent: the broker alerted on its own channel",
    "drill": "this is a drill",
    # What the records say of asking first; the review reads it.
    "approvers_silent": "recorded as: approvers silent",
    "not_paged": "recorded as: not paged",
    "did_not_wait": "recorded as: did not wait for approvers",
    "not_asked": "recorded as: nobody was asked first",
}


def tell_grant(grant: VerifiedToken, trust: Trust, answer: dict[str, Any], as_json: bool) -> None:
    """Print what came of breaking a glass.

    Args:
        grant: what was proven of it; rows come from here alone.
        trust: by which trust file.
        answer: of the broker, for its labels, and for machines.
        as_json: print the answer, with what was proven in the place of what was said.
    """
    intent = grant.intent
    if as_json:
        output.tell_json(
            {
                **answer,
                "grant": intent.grant,
                "index": grant.index,
                "cosigned": {name: format_time(at) for name, at in sorted(grant.cosigned.items())},
                "not_after": format_time(intent.not_after),
                "review_by": format_time(intent.review_by),
            }
        )
        return
    drill = grant.asking.statement.drill
    output.tell_rows(
        [
            ("recorded", f"entry {grant.index}, {_seen(trust, grant.cosigned)}"),
            ("DRILL" if drill else "granted", _granted(grant)),
            ("review", f"due {intent.review_by:%Y-%m-%d}, opened as review {intent.grant}"),
            ("grant", intent.grant),
        ]
    )
    for label in answer.get("labels", []):
        output.talk(_label(label))
    mint = grant.card.mint(intent.minter) if intent.minter else None
    if drill:
        return
    connector = PLATFORMS[mint.platform].connector if mint and mint.platform in PLATFORMS else ""
    if connector == "run":
        output.talk(f"next: breakglass run {intent.grant} -- COMMAND")
    elif connector == "psql":
        output.talk(f"next: breakglass psql {intent.grant}")
    elif connector == "ssh":
        output.talk(f"next: breakglass ssh {intent.grant} {intent.scope['hosts'][0]}")
    elif intent.gates:
        gate = intent.gates[0]
        output.talk(
            f"next: breakglass gate token {intent.grant} --gate {gate} --for RUN --out token"
        )


def _label(label: str) -> str:
    word, _, who = label.partition(":")
    if word == "refused_by":
        return f"recorded as: refused by {who}"
    return _LABELS.get(label, f"labelled '{label}'")


def _seen(trust: Trust, cosigned: Mapping[str, datetime]) -> str:
    """Say who has seen the record, by the names of the trust file."""
    others = {each.name for each in trust.tlog.witnesses} - {trust.archiver}
    seen = f"seen by {len(others & set(cosigned))} of {len(others)} witnesses"
    return f"{seen}, {'archived' if trust.archiver in cosigned else 'not archived yet'}"


def _granted(grant: VerifiedToken) -> str:
    intent = grant.intent
    if grant.asking.statement.drill:
        return f"{intent.glass}: minted and cut again where it mints; nothing was handed out"
    left = output.duration(max(0, (intent.not_after - _now()).total_seconds()))
    if intent.minter:
        scope = ", ".join(
            _dimension(name, values) for name, values in intent.scope.items() if name not in _HOW
        )
        what = f"{intent.glass} on {scope} ({intent.minter})"
    else:
        gates = ", ".join(map(repr, intent.gates))
        what = f"{intent.glass}, to open gate {gates}" if gates else intent.glass
    return f"{what} until {output.clock_time(intent.not_after, _now())} ({left})"


def _dimension(name: str, values: Sequence[str]) -> str:
    """Write one dimension of a scope: ``database 'orders'``."""
    named = name.removesuffix("s") if len(values) == 1 else name
    return f"{named} {', '.join(map(repr, values))}"


def _now() -> Any:
    from breakglass.cli.sign_statement import now

    return now()
