"""Whether an intent is what its breaker asked, lies within the card, and came in time.

Step 5 of the token's verification order (docs/spec/token.md), shared by token and fold.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from breakglass.errors import UnprovenError
from breakglass.records.authority import Asking
from breakglass.records.card import LONGEST_LIFE, Card
from breakglass.records.grant import Path
from breakglass.records.statement import Answer, Break, Do, grant_id, parse_as

if TYPE_CHECKING:
    from breakglass.records.kinds.intent import Intent

DOOR_LIFE = timedelta(hours=1)  # DESIGN.md section 4: what nobody could record ends soon
DOOR_WITHIN = timedelta(hours=24)  # a door intent is in the log by then, or it does not count


def check_terms(intent: Intent, at: datetime, asking: Asking, card: Card, skew: timedelta) -> None:
    """Check that the intent is what the breaker asked, within the card, and not too late.

    Args:
        intent: as read.
        at: the intent's own time.
        asking: what ``check_statements`` returned.
        card: as checked.
        skew: how far two clocks may be apart.

    Raises:
        UnprovenError: ``intent_mismatch``, ``scope_widened``, ``life_lengthened``,
            ``review_due``, ``statement_old`` or ``waited_too_long``.
    """
    said = asking.statement
    _check_equal(intent, said, card)
    _check_scope(said, card)
    if not set(intent.gates) <= set(card.gates):
        raise UnprovenError("the intent opens gates that the card does not", name="scope_widened")
    longest = timedelta(seconds=min(said.for_s, card.for_s))
    if said.do is Do.DOOR:
        longest = min(longest, DOOR_LIFE)
    if not at - skew <= intent.not_before < intent.not_after <= at + longest:
        raise UnprovenError(
            f"the intent's life is longer than the {longest.total_seconds():.0f} s that were asked"
            " and may be given",
            name="life_lengthened",
        )
    if not at < intent.review_by <= at + LONGEST_LIFE:
        raise UnprovenError("the review is due before the intent or far behind", name="review_due")
    times = [said.at, *(parse_as(Answer, each.text).at for each in intent.statements[1:])]
    if abs(at - max(times)) > skew:
        raise UnprovenError(
            f"the newest statement was signed at {max(times):%H:%M:%S}, the intent written at"
            f" {at:%H:%M:%S}; {skew.total_seconds():.0f} s may lie between",
            name="statement_old",
            hint="ask again; a statement is good for two minutes",
        )
    if at > said.at + max(timedelta(seconds=card.wait_s), skew):
        raise UnprovenError(
            f"the intent came more than {card.wait_s} s after the statement", name="waited_too_long"
        )


def _check_equal(intent: Intent, said: Break, card: Card) -> None:
    text = intent.statements[0].text
    pairs = {
        "grant": (intent.grant, grant_id(text)),
        "glass": (intent.glass, said.glass),
        "who": (intent.who, said.who),
        "incident": (intent.incident, said.incident),
        "minter": (intent.minter, said.minter),
        "scope": (dict(intent.scope), dict(said.scope)),
        "holder": (intent.holder, said.holder),
        "policy": (intent.policy, said.policy),
        "path": (intent.path, _path(intent.path, said)),
    }
    for name, (got, wanted) in pairs.items():
        if got != wanted:
            raise UnprovenError(
                f"the intent's {name} is not what {said.who!r} signed", name="intent_mismatch"
            )
    if said.log != card.log:
        raise UnprovenError("the statement is of another log", name="wrong_log")


def _path(path: Path, said: Break) -> Path:
    if said.drill:
        return Path.DRILL
    if said.do is Do.MACHINE:
        return Path.MACHINE
    return path if path in (Path.JIT, Path.GLASS) else Path.GLASS


def _check_scope(said: Break, card: Card) -> None:
    if not said.minter:
        if said.scope:
            raise UnprovenError("a scope without a minter", name="scope_widened")
        return
    mint = card.mint(said.minter)
    if mint is None:
        raise UnprovenError(f"the card names no minter {said.minter!r}", name="scope_widened")
    if set(said.scope) != set(mint.scope):
        raise UnprovenError("the scope has other dimensions than the card", name="scope_widened")
    for dimension, values in said.scope.items():
        beyond = sorted(set(values) - set(mint.scope[dimension]))
        if beyond:
            raise UnprovenError(
                f"{dimension} {beyond[0]!r} is not on the card of {card.glass!r}",
                name="scope_widened",
            )
