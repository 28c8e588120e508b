"""Whether an intent is what its breaker asked, lies within the card, and came in time.

Step 5 of the token's verification order (docs/spec/token.md), shared by token and fold.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from breakglass.clock import parse_time
from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError, UnprovenError
from breakglass.records.authority import DOOR_WAIT, Asking
from breakglass.records.card import LONGEST_LIFE, Card
from breakglass.records.grant import path_of
from breakglass.records.statement import AccessRequest, Do, grant_id

if TYPE_CHECKING:
    from breakglass.records.kinds.intent import Intent

DOOR_LIFE = timedelta(hours=1)  # DESIGN.md section 4: what nobody could record ends soon
DOOR_WITHIN = timedelta(hours=24)  # a door intent is in the log by then, or it does not count


def check_terms(intent: Intent, at: datetime, asking: Asking, card: Card, skew: timedelta) -> None:
    """Check that the intent is what the asker signed, within the card, and not too late.

    Args:
        intent: as read.
        at: the intent's own time.
        asking: what ``check_statements`` returned.
        card: as checked.
        skew: how far two clocks may be apart.

    Raises:
        UnprovenError: ``intent_mismatch``, ``scope_widened``, ``wrong_act``, ``life_lengthened``,
            ``review_due``, ``statement_old`` or ``waited_too_long``.
        RefusedError: ``wrong_gate``; what starts later opens no gate.
    """
    said = asking.statement
    _check_equal(intent, said, card)
    check_scope_of_card(said, card)
    if not set(intent.gates) <= set(card.gates):
        raise UnprovenError(
            "the intent opens gates that the card does not", name=ErrorName.SCOPE_WIDENED
        )
    _check_life(intent, at, said, card, skew)
    _check_waited(at, asking, card, skew)


def _check_life(
    intent: Intent, at: datetime, said: AccessRequest, card: Card, skew: timedelta
) -> None:
    longest = timedelta(seconds=min(said.for_s, card.for_s))
    if said.do is Do.DOOR:
        longest = min(longest, DOOR_LIFE)
    if said.starts:
        # An offline gate would not see that the person left, or the policy changed, meanwhile.
        if intent.gates:
            raise RefusedError("what starts later opens no gate", name=ErrorName.WRONG_GATE)
        begins = parse_time(said.starts)
        ahead = timedelta(seconds=card.ahead_s)
        fits = at < begins <= at + ahead and intent.not_before == begins < intent.not_after
        fits = fits and intent.not_after <= begins + longest
    else:
        begins = at
        fits = at - skew <= intent.not_before < intent.not_after <= at + longest
    if not fits:
        raise UnprovenError(
            f"the intent's life is longer than the {longest.total_seconds():.0f} s that were asked"
            " and may be given, or begins at another time",
            name=ErrorName.LIFE_LENGTHENED,
        )
    counted = intent.not_after if said.starts else at
    if not counted < intent.review_by <= counted + LONGEST_LIFE:
        raise UnprovenError(
            "the review is due before the intent or far behind", name=ErrorName.REVIEW_DUE
        )


def _check_waited(at: datetime, asking: Asking, card: Card, skew: timedelta) -> None:
    door = asking.statement.do is Do.DOOR
    # Custodians are found by hand; how old the newest of them may be, ``check_custodians`` says.
    fresh = DOOR_WAIT if door else skew
    if not -skew <= at - asking.newest <= fresh:
        raise UnprovenError(
            f"the newest statement was signed at {asking.newest:%H:%M:%S}, the intent written at"
            f" {at:%H:%M:%S}; {fresh.total_seconds():.0f} s apart is the limit",
            name=ErrorName.STATEMENT_OLD,
            hint="ask again; a statement is good for two minutes",
        )
    wait = DOOR_WAIT if door else max(timedelta(seconds=card.wait_s), skew)
    if at > asking.statement.at + wait:
        raise UnprovenError(
            f"the intent came more than {wait.total_seconds():.0f} s after the statement",
            name=ErrorName.WAITED_TOO_LONG,
        )


def _check_equal(intent: Intent, said: AccessRequest, card: Card) -> None:
    text = intent.statements[0].text
    pairs = {
        "grant": (intent.grant, grant_id(text)),
        "glass": (intent.glass, said.glass),
        "who": (intent.who, said.who),
        "incident": (intent.incident, said.incident),
        "ticket": (intent.ticket, said.ticket),
        "minter": (intent.minter, said.minter),
        "scope": (dict(intent.scope), dict(said.scope)),
        "act": (intent.act, said.act),
        "holder": (intent.holder, said.holder),
        "policy": (intent.policy, said.policy),
        "path": (intent.path, path_of(said)),
    }
    for name, (got, wanted) in pairs.items():
        if got != wanted:
            raise UnprovenError(
                f"the intent's {name} is not what {said.who!r} signed",
                name=ErrorName.INTENT_MISMATCH,
            )
    if said.log != card.log:
        raise UnprovenError("the statement is of another log", name=ErrorName.WRONG_LOG)


def check_scope_of_card(said: AccessRequest, card: Card) -> None:
    """Check that minter, act and scope of a statement are of the card.

    Raises:
        UnprovenError: ``scope_widened`` or ``wrong_act``.
    """
    if not said.minter:
        if said.scope:
            raise UnprovenError("a scope without a minter", name=ErrorName.SCOPE_WIDENED)
        return
    mint = card.mint(said.minter)
    if mint is None:
        raise UnprovenError(
            f"the card names no minter {said.minter!r}", name=ErrorName.SCOPE_WIDENED
        )
    if said.act not in (tuple(mint.acts) or ("",)):
        # Else an entry that has an act and a credential would let the broker pick.
        raise UnprovenError(
            f"minter {said.minter!r} of {card.glass!r} runs"
            f" {', '.join(sorted(mint.acts)) or 'nothing'}, not {said.act or 'nothing'!r}",
            name=ErrorName.WRONG_ACT,
        )
    if said.do is Do.MACHINE:
        return  # its act is whole; there is no scope to choose
    if set(said.scope) != set(mint.scope):
        raise UnprovenError(
            "the scope has other dimensions than the card", name=ErrorName.SCOPE_WIDENED
        )
    for dimension, values in said.scope.items():
        beyond = sorted(set(values) - set(mint.scope[dimension]))
        if beyond:
            raise UnprovenError(
                f"{dimension} {beyond[0]!r} is not on the card of {card.glass!r}",
                name=ErrorName.SCOPE_WIDENED,
            )
